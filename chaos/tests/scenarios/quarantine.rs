//! Quarantine: what becomes of a strategy's positions, by the policy of its tome, through a crash
//! of the node and until a resume.

use crate::hand::{Hand, STOCK, SYMBOL, minute};
use crate::journal::{assert_balanced, records};
use crate::settings::{day, scalper, with_policy};
use crate::wishes::wish;
use actors::journal::writer_tag;
use actors::runtime::board::Status;
use actors::runtime::role::RolePath;
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::{SimulatedDay, run_directed};
use desk::record::{Latch, Record};
use market::instrument::ConId;
use market::money::Quantity;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use strategy::tome::QuarantinePolicy;
use trading::approval::Clearance;
use trading::id::StrategyId;
use trading::trading_state::TradingState;

/// When the fourth kill has struck.
const BENCHED: u64 = 17;
/// When the node crashes.
const CRASH: u64 = 40;
/// When an operator resumes.
const RESUME: u64 = 60;

/// Moves by one per cent every two minutes, and drifts upwards.
fn lively(seconds: u64) -> f64 {
    let drift = (seconds / 60) as f64 * 0.03;
    if (seconds / 120) % 2 == 1 { 101.0 + drift } else { 100.0 + drift }
}

type Positions = BTreeMap<ConId, Quantity>;

/// Quarantines `one` by killing it four times, crashes the node, resumes; looks once a minute.
#[derive(Default)]
struct Quarantined {
    /// What it held at each minute.
    held: RefCell<BTreeMap<u64, Positions>>,
    /// The net delta of what it held, in shares.
    deltas: RefCell<BTreeMap<u64, f64>>,
}

fn one() -> StrategyId {
    StrategyId::new("one").unwrap()
}

impl Quarantined {
    fn look(&self, stage: &Stage, minutes: u64) {
        let parts = &stage.parts;
        let view = parts.desk_view.load();
        let held = view.strategies.get(&one()).map(|own| own.positions.clone()).unwrap_or_default();
        let view = parts.views.latest(SYMBOL).unwrap();
        let delta = |(id, quantity): (&ConId, &Quantity)| {
            let line = view.line(*id).unwrap();
            let units = if *id == STOCK { 1.0 } else { 100.0 };
            let each = if *id == STOCK { 1.0 } else { line.greeks().unwrap().delta };
            each * units * quantity.0 as f64
        };
        self.deltas.borrow_mut().insert(minutes, held.iter().map(delta).sum());
        self.held.borrow_mut().insert(minutes, held);
    }

    fn held(&self, minutes: u64) -> Positions {
        self.held.borrow()[&minutes].clone()
    }
}

fn status(stage: &Stage) -> Status {
    stage.node.tree.board().row("strategy/one").unwrap().status()
}

impl Director for Quarantined {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            if stage.life == 1 {
                for kill in 0..4 {
                    stage.until(minute(10 + 2 * kill)).await;
                    if kill == 3 {
                        self.look(&stage, BENCHED - 1);
                    }
                    stage.faults.kill(&RolePath::new("strategy/one")).unwrap();
                }
                for minutes in BENCHED..CRASH {
                    stage.until(minute(minutes)).await;
                    self.look(&stage, minutes);
                    assert_eq!(status(&stage), Status::Quarantined);
                }
                stage.faults.crash();
                return;
            }
            for minutes in CRASH + 2..RESUME {
                stage.until(minute(minutes)).await;
                self.look(&stage, minutes);
                assert_eq!(status(&stage), Status::Quarantined, "the latch outlives the process");
                let state = stage.parts.states.load().applying_to(SYMBOL, &one());
                assert_eq!(state, TradingState::ReduceOnly);
            }
            // Whoever wishes for more in its name is denied.
            wish(&stage, "one", STOCK, 500);
            stage.until(minute(RESUME)).await;
            stage.resume("the test").await.unwrap();
            stage.until(minute(RESUME + 2)).await;
            assert_eq!(status(&stage), Status::Ready);
            stage.until(minute(75)).await;
            self.look(&stage, 75);
        })
    }
}

struct Scene {
    day: SimulatedDay,
    director: Quarantined,
    /// Records of the strategy's own intents between the quarantine and the resume.
    approved: Vec<(Clearance, Positions)>,
}

fn scene(policy: QuarantinePolicy) -> Scene {
    let hand = Hand::of(80, 10);
    let tomes = vec![
        with_policy(scalper("one", &json!({}), &json!({})), policy),
        scalper("two", &json!({"units": 1}), &json!({})),
    ];
    let spec = day(&hand, hand.along(lively), tomes);
    let medium = spec.medium.clone();
    let director = Quarantined::default();
    let day = run_directed(spec, &director).unwrap();
    assert_balanced(&day);
    assert_eq!(day.report.lives, 2);
    let latch = Latch::Quarantine(one());
    assert!(!day.folded.books.latches.tripped.contains_key(&latch), "the resume released it");
    let mut tripped = false;
    let mut approved = Vec::new();
    for (_, record) in records(&medium, day.report.journal_seq) {
        match record {
            Record::Tripped { latch: tripping, .. } => tripped |= tripping == latch,
            Record::Released { latch: released, .. } => tripped &= released != latch,
            Record::IntentApproved { intent, clearance, .. }
                if tripped && *intent.strategy() == one() =>
            {
                approved.push((clearance, intent.target.positions().into_iter().collect()));
            }
            _ => {}
        }
    }
    for invariant in ["I1", "I5", "I9"] {
        assert!(day.report.checks[invariant] > 0, "{invariant} was evaluated");
    }
    assert!(approved.iter().all(|(clearance, _)| *clearance == Clearance::RiskReducing));
    assert!(day.report.denied.contains_key("REDUCE_ONLY"), "{:?}", day.report.denied);
    Scene { day, director, approved }
}

fn options_of(positions: &Positions) -> Positions {
    let options = positions.iter().filter(|(id, _)| **id != STOCK);
    options.map(|(id, held)| (*id, *held)).collect()
}

#[test]
fn a_quarantined_strategy_with_flatten_ends_flat_and_after_a_resume_enters_anew() {
    let scene = scene(QuarantinePolicy::Flatten);
    assert!(scene.director.held(BENCHED - 1).len() >= 2, "it held a straddle");
    assert!(scene.director.held(BENCHED + 3).is_empty(), "{:?}", scene.director.held.borrow());
    assert!(scene.director.held(RESUME - 1).is_empty());
    let fills = scene.approved.iter().filter(|(_, target)| target.values().any(|q| !q.is_zero()));
    assert_eq!(fills.count(), 0, "every target is flat");
    assert!(scene.director.held(75).len() >= 2, "it trades again");
    assert!(scene.day.report.fills > 10);
}

#[test]
fn a_quarantined_strategy_with_hold_keeps_what_it_has_and_enters_nothing() {
    let scene = scene(QuarantinePolicy::Hold);
    let before = scene.director.held(BENCHED);
    assert!(before.len() >= 2, "{before:?}");
    for (minutes, held) in scene.director.held.borrow().range(BENCHED..RESUME) {
        assert_eq!(*held, before, "at {minutes}");
    }
    assert!(scene.approved.is_empty(), "{:?}", scene.approved);
}

#[test]
fn a_quarantined_strategy_with_hedge_keeps_its_delta_in_its_band() {
    let scene = scene(QuarantinePolicy::Hedge);
    let before = options_of(&scene.director.held(BENCHED));
    assert!(before.len() >= 2, "{before:?}");
    for (minutes, held) in scene.director.held.borrow().range(BENCHED..RESUME) {
        assert_eq!(options_of(held), before, "at {minutes}: options are held");
    }
    assert!(scene.approved.len() > 3, "it had to hedge: {:?}", scene.approved);
    let only_stock = |target: &Positions| target.keys().all(|id| *id == STOCK);
    assert!(scene.approved.iter().all(|(_, target)| only_stock(target)));
    // A view and a fill after each move of the path; the looks are at its end.
    for (minutes, delta) in scene.director.deltas.borrow().range(BENCHED + 1..RESUME) {
        let just_moved = minutes % 2 == 0;
        assert!(delta.abs() <= if just_moved { 60.0 } else { 11.0 }, "{delta} at {minutes}");
    }
}

/// Damages the strategy's durable part and kills it once.
struct Damage;

impl Director for Damage {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            stage.until(minute(10)).await;
            let tag = writer_tag("test", 1).unwrap();
            let record = Record::StrategyDurable { strategy: one(), payload: b"rot".to_vec() };
            stage.parts.journal.append(&tag, stage.clock.now().market, &[record]).unwrap();
            stage.faults.kill(&RolePath::new("strategy/one")).unwrap();
            stage.until(minute(11)).await;
            assert_eq!(status(&stage), Status::Quarantined);
            stage.resume("the test").await.unwrap();
            stage.until(minute(12)).await;
            assert_eq!(status(&stage), Status::Quarantined, "nothing was mended");
        })
    }
}

#[test]
fn a_strategy_that_no_restart_can_help_is_quarantined_at_once() {
    let hand = Hand::of(20, 10);
    let spec = day(&hand, hand.along(lively), vec![scalper("one", &json!({}), &json!({}))]);
    let medium = spec.medium.clone();
    let day = run_directed(spec, &Damage).unwrap();
    assert_balanced(&day);
    assert_eq!(day.report.restarts, 1, "the kill's own");
    assert!(day.folded.books.latches.tripped.contains_key(&Latch::Quarantine(one())));
    let trips = records(&medium, day.report.journal_seq).into_iter().filter(|(_, record)| {
        matches!(record, Record::Tripped { latch: Latch::Quarantine(_), .. })
    });
    assert_eq!(trips.count(), 2);
}
