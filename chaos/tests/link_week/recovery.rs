//! Single faults with their exact outcome: executions that a healthy link loses, and combos whose
//! legs come in every order with a break between them.

use crate::journal::{assert_balanced, records};
use crate::trader::{at, limit, seat};
use crate::watch::Watch;
use crate::{QUOTED_EVERY, SEED, built_in, hand};
use actors::messages::DeskMessage;
use broker::simulated::faults::{Fault, LinkFault, Moment, ReportFault, Said};
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::run_directed;
use desk::record::Record;
use exchange::builtin::SIM;
use market::instrument::{Combo, ConId, Contract, Leg, Right};
use market::money::Quantity;
use market::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use trading::id::{Epoch, InstallId, IntentKey, StrategyId};
use trading::intent::{Intent, Purpose, Target};

const SEAT: &str = "debit";

/// Asks for a target at a price that fills at once.
fn ask(stage: &Stage, target: Target, sign: i64, seq: u32, valid_seconds: u64) {
    let contract = target.contract();
    let limit = stage.venue.with_exchange(|exchange| limit(&contract, sign, 100, exchange));
    let now = stage.clock.now().market;
    let flat = target.positions().iter().all(|(_, position)| position.is_zero());
    let intent = Intent {
        key: IntentKey {
            install: InstallId(SEED as u32),
            epoch: Epoch(stage.parts.journal.epoch()),
            strategy: StrategyId::new(SEAT).unwrap(),
            seq,
        },
        target,
        limit: limit.expect("it is quoted"),
        purpose: if flat { Purpose::Exit } else { Purpose::Entry },
        valid_until: now.plus(Duration::from_secs(valid_seconds)),
        created: now,
        view_version: 0,
    };
    // A desk that is down is asked again.
    let _ = stage.parts.desk.send(DeskMessage::Intent(Box::new(intent)));
}

fn holds(stage: &Stage, con_id: ConId) -> i64 {
    let view = stage.parts.desk_view.load();
    let own = view.strategies.get(&StrategyId::new(SEAT).unwrap());
    own.and_then(|own| own.positions.get(&con_id)).map_or(0, |held| held.0)
}

/// Asks until a target is held or `until` has come: a gate denies what is too far from a model.
async fn reach(
    stage: &Stage,
    (target, sign): (&Target, i64),
    legs: [ConId; 2],
    until: Timestamp,
    seq: u32,
) {
    let wanted: BTreeMap<ConId, Quantity> = target.positions().into_iter().collect();
    for attempt in 0.. {
        if stage.clock.now().market >= until {
            return;
        }
        let held = legs.map(|con_id| holds(stage, con_id));
        let missing = legs.map(|con_id| wanted.get(&con_id).map_or(0, |wanted| wanted.0));
        let view = stage.parts.desk_view.load();
        let working = view.orders.iter().any(|order| order.state.is_live());
        if held != missing && !working && view.ready {
            // One that the market has left is asked for anew.
            ask(stage, target.clone(), sign, seq + attempt, 15);
        }
        stage.clock.sleep(Duration::from_secs(5)).await;
    }
}

/// Trades the stock to and fro, each time without hearing of it.
struct Unheard {
    lost: &'static [Said],
    trades: u64,
    generations: Mutex<Vec<u32>>,
}

impl Director for Unheard {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        Box::pin(async move {
            for trade in 0..self.trades {
                // Each at another distance from the periodic reconciliation.
                let when = hand::start().plus(Duration::from_secs(300 + trade * 187));
                stage.until(when).await;
                for said in self.lost {
                    let fault = Fault::Report { said: *said, fault: ReportFault::Drop };
                    stage.venue.arm(fault, stage.clock.now().market).unwrap();
                }
                let position = if trade % 2 == 0 { 3 } else { 0 };
                let sign = if trade % 2 == 0 { 1 } else { -1 };
                let target = Target::Single { con_id: SIM, position: Quantity(position) };
                ask(&stage, target, sign, 100 + trade as u32, 180);
                let generation = stage.parts.link.load().generation;
                self.generations.lock().unwrap_or_else(PoisonError::into_inner).push(generation);
            }
        })
    }
}

/// The longest time from an execution to its record.
fn longest_unheard(lost: &'static [Said], trades: u64) -> (Duration, Duration) {
    let director = Unheard { lost, trades, generations: Mutex::default() };
    let seconds = 300 + trades * 187 + 200;
    let spec = built_in::days(SEED, seconds, QUOTED_EVERY, vec![seat(SEAT, "SIM")]);
    let medium = spec.medium.clone();
    let day = run_directed(spec, &director).unwrap();
    assert_balanced(&day);
    let waits: Vec<Duration> = records(&medium, day.report.journal_seq)
        .into_iter()
        .filter_map(|(at, record)| match record {
            Record::Filled { fill, .. } => Some(at.since(fill.time)),
            _ => None,
        })
        .collect();
    assert_eq!(waits.len() as u64, trades, "denied {:?}", day.report.denied);
    let generations = director.generations.into_inner().unwrap();
    assert_eq!(generations.len() as u64, trades);
    assert!(generations.iter().all(|one| *one == generations[0]), "it reconnected");
    assert_eq!((day.report.lives, day.report.restarts), (1, 0));
    (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
}

#[test]
fn an_execution_that_a_healthy_link_loses_is_booked_within_90_s_without_a_reconnect() {
    // What was filled is still said: the desk compares, and asks after two seconds.
    let (_, longest) = longest_unheard(&[Said::Execution], 20);
    eprintln!("the execution alone lost: booked after at most {:.2} s", longest.as_secs_f64());
    assert!(longest <= Duration::from_secs(10), "{longest:?}");
    // Nothing at all is said of it: only the periodic reconciliation can tell.
    let all = &[Said::Execution, Said::Fee, Said::Status, Said::Ended];
    let (shortest, longest) = longest_unheard(all, 40);
    eprintln!(
        "everything said of it lost: booked after {:.2} to {:.2} s",
        shortest.as_secs_f64(),
        longest.as_secs_f64()
    );
    assert!(longest <= Duration::from_secs(90), "{longest:?}");
    assert!(longest > Duration::from_secs(20), "it was not lost: {longest:?}");
}

/// How a spread moves money.
#[derive(Clone, Copy, Debug)]
enum Spread {
    BoughtForDebit,
    SoldForCredit,
    BoughtForCredit,
}

/// In which order its legs are heard.
#[derive(Clone, Copy, Debug)]
enum Legs {
    AsTraded,
    Swapped,
    FirstDelayed,
    FirstDropped,
}

/// What breaks when the first of them was heard.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Connection,
    HalfOpen,
    Desk,
    Session,
    Node,
}

type Case = (Spread, Legs, Between);

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for spread in [Spread::BoughtForDebit, Spread::SoldForCredit, Spread::BoughtForCredit] {
        for legs in [Legs::AsTraded, Legs::Swapped, Legs::FirstDelayed, Legs::FirstDropped] {
            for between in [
                Between::Nothing,
                Between::Connection,
                Between::HalfOpen,
                Between::Desk,
                Between::Session,
                Between::Node,
            ] {
                all.push((spread, legs, between));
            }
        }
    }
    all
}

/// Enough for a break, its recovery and the restarts that ten minutes allow.
const CASE_SECONDS: u64 = 330;

/// Plays every case in turn; goes on where it was when a case was the node's death.
#[derive(Default)]
struct Breaker {
    watch: Watch,
    seen: Mutex<BTreeMap<usize, (i64, i64)>>,
    legs: Mutex<Option<(ConId, ConId)>>,
}

fn spread(spread: Spread, (dear, cheap): (ConId, ConId)) -> (Contract, i64) {
    let legs = |bought, sold| {
        let legs = vec![Leg { con_id: bought, ratio: 1 }, Leg { con_id: sold, ratio: -1 }];
        Contract::Combo(Combo::new(legs).unwrap())
    };
    match spread {
        Spread::BoughtForDebit => (legs(dear, cheap), 1),
        Spread::SoldForCredit => (legs(dear, cheap), -1),
        Spread::BoughtForCredit => (legs(cheap, dear), 1),
    }
}

impl Breaker {
    /// Two calls of one expiry, five strikes apart, near the money.
    fn calls(&self, stage: &Stage) -> (ConId, ConId) {
        let mut chosen = self.legs.lock().unwrap_or_else(PoisonError::into_inner);
        *chosen.get_or_insert_with(|| {
            let soonest = hand::start().plus(Duration::from_secs(10 * 86_400));
            stage.venue.with_exchange(|exchange| {
                let mut calls: Vec<_> = exchange
                    .instruments()
                    .filter_map(|one| Some((one.con_id, *one.option()?)))
                    .filter(|(_, terms)| terms.underlying == SIM && terms.right == Right::Call)
                    .filter(|(_, terms)| terms.last_trade > soonest)
                    .filter(|(_, terms)| terms.strike.to_f64() > 98.0)
                    .collect();
                calls.sort_by_key(|(con_id, terms)| (terms.expiry, terms.strike, *con_id));
                (calls[0].0, calls[4].0)
            })
        })
    }

    fn arm(&self, stage: &Stage, (_, legs, between): Case) {
        let now = stage.clock.now().market;
        let fault = match legs {
            Legs::AsTraded => None,
            Legs::Swapped => Some(ReportFault::OvertakenBy(Said::Leg)),
            Legs::FirstDelayed => Some(ReportFault::Delay(Duration::from_secs(3))),
            Legs::FirstDropped => Some(ReportFault::Drop),
        };
        let fault = fault.map(|fault| Fault::Report { said: Said::Leg, fault });
        let at = Moment::Heard(Said::Leg);
        let close = Some(Fault::Link { at, fault: LinkFault::Close });
        let lasting = Duration::from_secs(10);
        let link = match between {
            Between::Nothing => None,
            Between::Connection | Between::Desk | Between::Session | Between::Node => close,
            Between::HalfOpen => Some(Fault::Link { at, fault: LinkFault::HalfOpen { lasting } }),
        };
        let dies = match between {
            Between::Desk => Some(Some("desk")),
            Between::Session => Some(Some("session")),
            Between::Node => Some(None),
            Between::Nothing | Between::Connection | Between::HalfOpen => None,
        };
        self.watch.seen().at_leg.extend(dies);
        for fault in [fault, link].into_iter().flatten() {
            stage.venue.arm(fault, now).unwrap();
        }
    }
}

impl Director for Breaker {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        self.watch.attach(&stage);
        Box::pin(async move {
            let (dear, cheap) = {
                stage.until(hand::start().plus(Duration::from_secs(120))).await;
                self.calls(&stage)
            };
            for (number, case) in cases().into_iter().enumerate() {
                let begins = 200 + number as u64 * CASE_SECONDS;
                let moment = |seconds| hand::start().plus(Duration::from_secs(begins + seconds));
                let (contract, sign) = spread(case.0, (dear, cheap));
                let seq = 100 + 100 * number as u32;
                if stage.clock.now().market < moment(0) {
                    stage.until(moment(0)).await;
                    self.arm(&stage, case);
                }
                let both = [dear, cheap];
                let bought = at(&contract, 2 * sign);
                reach(&stage, (&bought, sign), both, moment(130), seq).await;
                if stage.clock.now().market < moment(160) {
                    stage.until(moment(160)).await;
                    let held = (holds(&stage, dear), holds(&stage, cheap));
                    let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.insert(number, held);
                    drop(seen);
                    stage.venue.disarm();
                    self.watch.seen().at_leg.clear();
                }
                let flat = at(&contract, 0);
                reach(&stage, (&flat, -sign), both, moment(300), seq + 50).await;
            }
        })
    }
}

#[test]
fn combos_for_debit_and_credit_survive_a_break_between_legs_in_every_order() {
    let cases = cases();
    let director = Breaker::default();
    let seconds = 200 + cases.len() as u64 * CASE_SECONDS + 100;
    let mut spec = built_in::days(SEED, seconds, QUOTED_EVERY, vec![seat(SEAT, "SIM")]);
    spec.exchange.report_latency = Duration::from_millis(200);
    let medium = spec.medium.clone();
    let day = run_directed(spec, &director).unwrap();
    assert_balanced(&day);
    let seen = director.seen.into_inner().unwrap();
    for (number, case) in cases.iter().enumerate() {
        let expected = match case.0 {
            Spread::BoughtForDebit => (2, -2),
            Spread::SoldForCredit | Spread::BoughtForCredit => (-2, 2),
        };
        assert_eq!(seen.get(&number), Some(&expected), "{case:?}, {:?}", day.report.denied);
    }
    let mut booked: BTreeMap<String, u32> = BTreeMap::new();
    for (_, record) in records(&medium, day.report.journal_seq) {
        if let Record::Filled { fill, .. } = record {
            *booked.entry(fill.exec_id.0).or_default() += 1;
        }
    }
    let executed = day.venue.with_exchange(|exchange| exchange.executions(Timestamp::EPOCH).len());
    assert!(booked.values().all(|count| *count == 1));
    assert_eq!(booked.len(), executed);
    assert!(executed >= cases.len() * 4, "{executed} legs");
    let watched = director.watch.seen();
    let keys = &watched.keys;
    assert!(keys.values().all(|count| *count == 1) && keys.len() >= cases.len() * 2);
    let strikes = watched.total;
    let crashes = cases.iter().filter(|case| matches!(case.2, Between::Node)).count();
    assert_eq!(day.report.lives as usize, 1 + crashes);
    eprintln!("{} cases, {executed} legs, {strikes} faults, {crashes} deaths", cases.len());
}
