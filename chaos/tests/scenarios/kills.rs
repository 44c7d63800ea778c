//! Strategies and roots that die: two hundred times at a step, four times in ten minutes, too
//! often.

use crate::hand::{Hand, minute, start};
use crate::journal::{assert_balanced, positions, records};
use crate::settings::{day, scalper};
use actors::runtime::fault::Injection;
use actors::runtime::protocol::{ProtocolStep, StepObserver, StepVerdict};
use actors::runtime::role::RolePath;
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::{SimulationError, run_directed};
use desk::record::{Latch, Record};
use market::instrument::ConId;
use market::time::{ProcessTime, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trading::id::StrategyId;
use trading::intent::Target;

const KILLS: u32 = 200;
/// Three restarts in ten minutes are allowed; one every 201 s never makes a fourth.
const SPACING: Duration = Duration::from_secs(201);

/// Kills the strategy at the steps of its own intents in turn.
#[derive(Default)]
struct Assassin {
    state: Arc<Mutex<Kills>>,
}

#[derive(Default)]
struct Kills {
    not_before: ProcessTime,
    done: u32,
    by_step: BTreeMap<ProtocolStep, u32>,
    ordered: Option<ProtocolStep>,
}

const STEPS: [ProtocolStep; 4] =
    [ProtocolStep::Idle, ProtocolStep::Recorded, ProtocolStep::Durable, ProtocolStep::Sent];

struct Watching {
    state: Arc<Mutex<Kills>>,
    clock: actors::runtime::clock::Clock,
}

impl StepObserver for Watching {
    fn on_step(&self, _: &RolePath, step: ProtocolStep, _: u64) -> StepVerdict {
        let now = self.clock.now().process;
        let mut kills = self.state.lock().unwrap();
        let next = STEPS[kills.done as usize % STEPS.len()];
        if kills.done >= KILLS || now < kills.not_before || step != next {
            return StepVerdict::Pass;
        }
        kills.not_before = now + SPACING;
        kills.ordered = Some(step);
        StepVerdict::KillRole(RolePath::new("strategy/scalper"))
    }
}

impl Director for Assassin {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        let state = Arc::clone(&self.state);
        stage.faults.report_to(move |injection: &Injection| {
            assert_eq!(injection.role.as_str(), "strategy/scalper");
            let mut kills = state.lock().unwrap();
            let step = kills.ordered.take().expect("nobody else injects");
            kills.done += 1;
            *kills.by_step.entry(step).or_default() += 1;
        });
        let clock = stage.clock.clone();
        let watching = Watching { state: Arc::clone(&self.state), clock };
        stage.faults.observe_steps(Some(Arc::new(watching)));
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn a_strategy_killed_two_hundred_times_on_the_way_of_an_order_holds_its_target() {
    let minutes = u64::from(KILLS) * 4 + 60;
    let hand = Hand::of(minutes, 40);
    // To and fro until half an hour before the end, then still.
    let wild = (minutes - 30) * 60;
    let path = |seconds: u64| match seconds {
        seconds if seconds < wild && (seconds / 40) % 2 == 1 => 100.8,
        seconds if seconds < wild => 100.0,
        _ => 100.4,
    };
    let spec = day(&hand, hand.along(path), vec![scalper("scalper", &json!({}), &json!({}))]);
    let medium = spec.medium.clone();
    let assassin = Assassin::default();
    let simulated = run_directed(spec, &assassin).unwrap();
    assert_balanced(&simulated);
    let kills = assassin.state.lock().unwrap();
    assert_eq!(kills.done, KILLS, "{:?}", kills.by_step);
    assert_eq!(kills.by_step.len(), STEPS.len());
    assert!(kills.by_step.values().all(|count| *count == KILLS / 4), "{:?}", kills.by_step);
    assert_eq!(simulated.report.restarts, u64::from(KILLS));
    // What its last word on each instrument asked for is what it holds.
    let mut targets: BTreeMap<ConId, i64> = BTreeMap::new();
    for (_, record) in records(&medium, simulated.report.journal_seq) {
        if let Record::IntentApproved { intent, .. } = record {
            match intent.target {
                Target::Single { con_id, position } => {
                    targets.insert(con_id, position.0);
                }
                Target::Combo { combo, units } => {
                    let legs = combo.legs().iter();
                    targets.extend(legs.map(|leg| (leg.con_id, units.0 * i64::from(leg.ratio))));
                }
            }
        }
    }
    targets.retain(|_, position| *position != 0);
    let (own, _) = positions(&simulated);
    assert_eq!(own, targets);
    assert!(own.len() >= 3, "a straddle and its hedge: {own:?}");
    let intents = simulated.report.approved;
    assert!(intents >= u64::from(KILLS), "only {intents} intents");
}

/// Kills one strategy four times within ten minutes.
struct FourTimes;

impl Director for FourTimes {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            let role = RolePath::new("strategy/unlucky");
            for kill in 0..4 {
                stage.until(minute(10 + 2 * kill)).await;
                stage.faults.kill(&role).expect("it runs until its fourth death");
            }
            stage.until(minute(30)).await;
            stage.faults.kill(&role).expect_err("it stays down");
        })
    }
}

/// Moves by a quarter per cent every half a minute.
fn to_and_fro(seconds: u64) -> f64 {
    if (seconds / 30) % 2 == 1 { 100.6 } else { 100.0 }
}

fn fills_of(records: &[(Timestamp, Record)], whose: &str, from: Timestamp) -> usize {
    let own = |(at, record): &&(Timestamp, Record)| match record {
        Record::Filled { strategy: Some(strategy), .. } => {
            strategy.as_str() == whose && *at >= from
        }
        _ => false,
    };
    records.iter().filter(own).count()
}

#[test]
fn a_strategy_killed_four_times_in_ten_minutes_is_quarantined_and_the_others_go_on() {
    let hand = Hand::of(60, 10);
    let tomes = ["unlucky", "lucky"].map(|id| scalper(id, &json!({}), &json!({}))).to_vec();
    let spec = day(&hand, hand.along(to_and_fro), tomes);
    let medium = spec.medium.clone();
    let simulated = run_directed(spec, &FourTimes).unwrap();
    assert_balanced(&simulated);
    let quarantine = Latch::Quarantine(StrategyId::new("unlucky").unwrap());
    let tripped = &simulated.folded.books.latches.tripped;
    assert!(tripped.contains_key(&quarantine), "{tripped:?}");
    assert_eq!(simulated.report.restarts, 3);
    let records = records(&medium, simulated.report.journal_seq);
    assert!(fills_of(&records, "unlucky", start()) > 10);
    assert_eq!(fills_of(&records, "unlucky", minute(17)), 0);
    assert!(fills_of(&records, "lucky", minute(17)) > 50);
}

/// What a watcher at the venue saw: the next order number, executions, and whether the wire is
/// shut.
type Seen = (i64, usize, bool);

/// Kills the journal three times: the root allows two restarts in ten minutes.
#[derive(Default)]
struct ThriceTheJournal(Mutex<Vec<Seen>>);

fn look(stage: &Stage) -> Seen {
    let (next, executions) = stage.venue.with_exchange(|exchange| {
        (exchange.next_order_id(), exchange.executions(Timestamp::EPOCH).len())
    });
    (next, executions, stage.parts.fence.halted().is_some())
}

impl Director for ThriceTheJournal {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            stage.until(minute(20)).await;
            self.0.lock().unwrap().push(look(&stage));
            for kill in 0..3 {
                stage.until(minute(20 + 2 * kill)).await;
                stage.faults.kill(&RolePath::new("journal")).expect("it runs");
            }
            for minutes in 25..=58 {
                stage.until(minute(minutes)).await;
                self.0.lock().unwrap().push(look(&stage));
            }
        })
    }
}

#[test]
fn a_root_beyond_its_intensity_halts_the_node_and_nothing_is_sent_any_more() {
    let hand = Hand::of(60, 10);
    let spec = day(&hand, hand.along(to_and_fro), vec![scalper("one", &json!({}), &json!({}))]);
    let director = ThriceTheJournal::default();
    let ended = run_directed(spec, &director);
    let Err(SimulationError::Exhausted(reason)) = ended else { panic!("the root is exhausted") };
    assert!(reason.contains("core") || reason.contains("journal"), "{reason}");
    let seen = director.0.lock().unwrap();
    let (before, after) = (seen[0], &seen[1..]);
    assert!(before.1 > 10 && !before.2, "it traded before: {before:?}");
    assert_eq!(after.len(), 34);
    assert!(after.iter().all(|seen| *seen == after[0] && seen.2), "{after:?}");
}
