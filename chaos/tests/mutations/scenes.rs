//! The scenes in which faults of our own are looked for. Each is green without a fault.

use crate::hand::{Hand, STOCK, minute, option_id, start};
use crate::settings::{day, orders, scalper};
use crate::wishes::wish;
use actors::runtime::protocol::{ProtocolStep, StepObserver, StepVerdict};
use actors::runtime::role::RolePath;
use audit::AuditReport;
use chaos::simulation::director::{Direction, Director, Stage};
use chaos::simulation::{SimulationSpec, run_directed};
use market::instrument::{ConId, Right};
use risk::setting::PerSymbol;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strategy::tome::Tome;

#[derive(Clone, Copy, Debug)]
pub enum Scene {
    /// A straddle is bought and hedged.
    Trading,
    /// The node dies between the record of an order and its send.
    CrashBeforeTheSend,
    /// The desk dies when its order has been written and is still under way to the venue.
    KillAtTheSend,
    /// A straddle expires with the stock at its strike.
    WorthlessExpiry,
    /// The delta limit is smaller than the wish.
    NarrowDelta,
    /// Two strategies place and cancel the same combo, far from the venue.
    CrossingCancels,
    /// A wish comes after the halt.
    WishInAHalt,
    /// A wish for an option whose bid and ask are one.
    LockedQuote,
    /// The power fails.
    PowerCut,
    /// A strategy dies four times in ten minutes.
    FourKills,
    /// The link settles for long after a crash, while there is something to hedge.
    SlowToSettle,
}

impl Scene {
    pub const ALL: [Self; 11] = [
        Self::Trading,
        Self::CrashBeforeTheSend,
        Self::KillAtTheSend,
        Self::WorthlessExpiry,
        Self::NarrowDelta,
        Self::CrossingCancels,
        Self::WishInAHalt,
        Self::LockedQuote,
        Self::PowerCut,
        Self::FourKills,
        Self::SlowToSettle,
    ];
}

/// Plays a scene and answers what the auditor says of it, also when the day broke off.
pub fn play(scene: Scene) -> AuditReport {
    let cast = Cast { scene, audit: Mutex::new(None), struck: Arc::default() };
    match run_directed(spec(scene), &cast) {
        Ok(day) => {
            eprintln!("{} fills, denied {:?}", day.report.fills, day.report.denied);
            // For whoever plays a scene by hand: what the node noticed itself.
            day.report.alarms.iter().take(20).for_each(|alarm| eprintln!("alarm: {alarm}"));
        }
        Err(error) => eprintln!("the day broke off: {error}"),
    }
    let audit = cast.audit.lock().unwrap().clone().expect("the node was launched");
    audit.report()
}

fn to_and_fro(seconds: u64) -> f64 {
    if (seconds / 30) % 2 == 1 { 100.6 } else { 100.0 }
}

fn one() -> Vec<Tome> {
    vec![scalper("one", &json!({}), &json!({}))]
}

fn spec(scene: Scene) -> SimulationSpec {
    let lively = |minutes| {
        let hand = Hand::of(minutes, 10);
        let market = hand.along(to_and_fro);
        day(&hand, market, one())
    };
    match scene {
        Scene::Trading | Scene::PowerCut | Scene::FourKills => lively(20),
        Scene::CrashBeforeTheSend => {
            let hand = Hand::of(20, 10);
            let mut orders = orders();
            orders["valid_seconds"] = json!(600);
            let tome = scalper("one", &json!({"order": orders}), &json!({}));
            let mut spec = day(&hand, hand.along(|_| 100.0), vec![tome]);
            // Between the two rounds that prove it absent the market's views come back.
            spec.settings.link.settle_ms = 15_000;
            spec
        }
        Scene::KillAtTheSend => {
            let hand = Hand::of(20, 10);
            let mut spec = day(&hand, hand.along(|_| 100.0), one());
            spec.exchange.request_latency = Duration::from_millis(500);
            spec
        }
        Scene::WorthlessExpiry => {
            let hand = Hand::of_the_last_day(390, 360);
            // The stock's mid ends less than a cent from the strike: both legs end worthless.
            let market = hand.along(|_| 100.0);
            let changes = json!({
                "days_min": 0, "days_max": 0, "close_days": 0, "hedge_band_units": 1e6,
            });
            day(&hand, market, vec![scalper("one", &changes, &json!({}))])
        }
        Scene::NarrowDelta => {
            let mut spec = lively(20);
            spec.settings.limits.delta_max_shares = PerSymbol::all(5);
            spec
        }
        Scene::CrossingCancels => {
            let hand = Hand::of(20, 1);
            let passive = |valid: u32| {
                json!({
                    "cross_percent": 0, "valid_seconds": valid,
                    "backoff_first_seconds": 1, "backoff_max_seconds": 1,
                })
            };
            let tomes = [("one", 3, 5), ("two", 4, 7)].map(|(id, units, valid)| {
                let changes = json!({"order": passive(valid), "units": units, "pause_seconds": 0});
                scalper(id, &changes, &json!({}))
            });
            let mut spec = day(&hand, hand.along(|_| 100.0), tomes.to_vec());
            spec.exchange.request_latency = Duration::from_millis(800);
            spec.exchange.report_latency = Duration::from_millis(800);
            spec
        }
        Scene::WishInAHalt => {
            let hand = Hand::of(20, 10);
            day(&hand, hand.along(|_| 100.0), one())
        }
        Scene::LockedQuote => {
            let hand = Hand::of(20, 10);
            let market = hand.along_with(|_| 100.0, &[LOCKED]);
            day(&hand, market, one())
        }
        Scene::SlowToSettle => {
            let mut spec = lively(20);
            spec.settings.link.settle_ms = 40_000;
            spec
        }
    }
}

/// An option whose bid and ask are one.
const LOCKED: ConId = option_id(0, 97, Right::Put);

struct Cast {
    scene: Scene,
    audit: Mutex<Option<actors::auditor::Audit>>,
    struck: Arc<AtomicBool>,
}

/// Strikes when the first order of the day reaches a step.
struct StrikeOnce {
    step: ProtocolStep,
    verdict: StepVerdict,
    struck: Arc<AtomicBool>,
}

impl StepObserver for StrikeOnce {
    fn on_step(&self, _: &RolePath, step: ProtocolStep, _: u64) -> StepVerdict {
        if step == self.step && !self.struck.swap(true, Ordering::SeqCst) {
            return self.verdict.clone();
        }
        StepVerdict::Pass
    }
}

impl Cast {
    fn strike_once(&self, stage: &Stage, step: ProtocolStep, verdict: StepVerdict) {
        let struck = Arc::clone(&self.struck);
        stage.faults.observe_steps(Some(Arc::new(StrikeOnce { step, verdict, struck })));
    }
}

impl Director for Cast {
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a> {
        *self.audit.lock().unwrap() = Some(stage.audit.clone());
        Box::pin(async move {
            match self.scene {
                Scene::Trading
                | Scene::WorthlessExpiry
                | Scene::NarrowDelta
                | Scene::CrossingCancels => {}
                Scene::CrashBeforeTheSend => {
                    self.strike_once(&stage, ProtocolStep::Durable, StepVerdict::CrashNode);
                }
                Scene::KillAtTheSend => {
                    let verdict = StepVerdict::KillRole(RolePath::new("desk"));
                    self.strike_once(&stage, ProtocolStep::Sent, verdict);
                }
                Scene::WishInAHalt => {
                    stage.until(minute(5)).await;
                    stage.halt("a test").await.unwrap();
                    stage.until(minute(6)).await;
                    wish(&stage, "one", STOCK, 50);
                }
                Scene::LockedQuote => {
                    stage.until(minute(5)).await;
                    wish(&stage, "one", LOCKED, 1);
                }
                Scene::PowerCut | Scene::SlowToSettle => {
                    if stage.life == 1 {
                        stage.until(start().plus(Duration::from_secs(301))).await;
                        stage.faults.crash();
                    }
                }
                Scene::FourKills => {
                    for kill in 0..4 {
                        stage.until(minute(5 + 2 * kill)).await;
                        stage.faults.kill(&RolePath::new("strategy/one")).unwrap();
                    }
                }
            }
        })
    }
}
