//! The whole node on one paused runtime: a day in virtual time, with whole-node crashes.
//!
//! The venue outlives the node. A life is one runtime: it is dropped with every task in it when the
//! node crashes, the power is cut on what its disk had not synced, the venue trades on, and the
//! next life begins on what is left. Same seed, same state hash. Not here: when to strike (plan),
//! what the node is made of (actors), whether promises held (audit).

pub mod director;
mod life;
mod wiring;

pub use wiring::plan as seat;

use crate::disturbances::Disturbances;
use crate::medium::{Medium, MemoryHaltFile};
use crate::plan::{Plan, PlanSpec};
use crate::report::{DayReport, Folded, ReportError, ResultOfTheDay, SCHEMA_VERSION};
use actors::auditor::Audit;
use actors::node::Product;
use audit::AuditSettings;
use broker::downtime::DowntimeSchedule;
use broker::link::LinkTiming;
use broker::simulated::{SimulatedVenue, VenueError};
use desk::reconcile::ReconcilePolicy;
use desk::view::DeskView;
use director::{Director, Nobody};
use exchange::{Exchange, ExchangeConfig, MarketSource};
use life::{End, Life, Tallies};
use market::instrument::Catalog;
use market::money::Money;
use market::time::Timestamp;
use risk::breaker::BreakerLimits;
use risk::limits::Limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::Seq;
use strategy::tome::Tome;
use trading::id::AccountId;

/// A simulation could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// A runtime could not be made.
    #[error("the simulation's runtime can't be made: {0}")]
    Runtime(std::io::Error),
    /// The tree could not be launched.
    #[error("the node can't be launched: {0}")]
    Launch(#[from] actors::runtime::tree::LaunchError),
    /// The venue failed.
    #[error(transparent)]
    Venue(#[from] VenueError),
    /// The node's state can't be read back.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The root exhausted its restarts.
    #[error("the root of the tree exhausted its restarts: {0}")]
    Exhausted(String),
    /// The journal or the snapshots can't be opened.
    #[error("the state can't be opened: {0}")]
    State(String),
}

/// The node's settings, as the configuration gives them.
#[derive(Clone)]
pub struct NodeSettings {
    /// The account.
    pub account: AccountId,
    /// blake3 of the configuration.
    pub configuration: String,
    /// The gate's limits.
    pub limits: Limits,
    /// The breakers' limits.
    pub breakers: BreakerLimits,
    /// The link's timing.
    pub link: LinkTiming,
    /// When the broker is expected to be away.
    pub downtime: DowntimeSchedule,
    /// How the broker is asked.
    pub reconcile: ReconcilePolicy,
    /// The strategies.
    pub tomes: Vec<Tome>,
}

/// How chaos is made.
#[derive(Clone, Copy, Debug)]
pub struct ChaosSpec {
    /// The seed of the plan.
    pub seed: u64,
    /// Kills per role and supervisor.
    pub kills_min: u32,
    /// Whole-node crashes.
    pub crashes: u32,
    /// Between two strikes.
    pub spacing: Duration,
}

impl ChaosSpec {
    /// Three kills a role, six crashes, spaced so that the shipped restart intensities are kept:
    /// two strikes at scopes of the root in ten minutes.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, kills_min: 3, crashes: 6, spacing: Duration::from_secs(302) }
    }
}

/// What is simulated.
pub struct SimulationSpec {
    /// In words, for the report.
    pub source: String,
    /// The day, for the report.
    pub day: String,
    /// Where quotes come from.
    pub market: MarketSource,
    /// The products with the instruments that are listed at the start.
    pub products: Vec<Product>,
    /// The venue's settings.
    pub exchange: ExchangeConfig,
    /// Dividends that are known: instrument, ex-date, amount.
    pub dividends: Vec<(market::instrument::ConId, market::time::Date, market::money::Price)>,
    /// When market time begins.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
    /// Thousandths: how fast market time runs in process time.
    pub speed_permille: u64,
    /// The node's settings.
    pub settings: NodeSettings,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Faults, if any.
    pub chaos: Option<ChaosSpec>,
    /// Where the node keeps its state.
    pub medium: Medium,
    /// Called now and then with the market time.
    pub progress: Option<Box<dyn Fn(Timestamp)>>,
}

/// A simulated day with its evidence.
pub struct SimulatedDay {
    /// The report.
    pub report: DayReport,
    /// What the journal says.
    pub folded: Folded,
    /// The venue, as it stands.
    pub venue: Arc<SimulatedVenue>,
    /// All instruments that were known.
    pub catalog: Catalog,
}

/// Runs a day.
///
/// # Errors
/// [`SimulationError`].
pub fn run(spec: SimulationSpec) -> Result<SimulatedDay, SimulationError> {
    run_directed(spec, &Nobody)
}

/// Runs a day in which a director acts.
///
/// # Errors
/// [`SimulationError`].
pub fn run_directed(
    spec: SimulationSpec,
    director: &dyn Director,
) -> Result<SimulatedDay, SimulationError> {
    let SimulationSpec { market, exchange, .. } = &spec;
    let mut exchange = Exchange::new(exchange.clone(), spec.start);
    for (con_id, ex_date, amount) in &spec.dividends {
        exchange.announce_dividend(*con_id, *ex_date, *amount);
    }
    let venue = Arc::new(SimulatedVenue::new(exchange, market.clone(), None));
    let audit = Audit::new(AuditSettings {
        // Chaos reconciles with the link's own settling and the patience of two rounds.
        ready_budget: Duration::from_secs(60) * u32::try_from(speed(&spec)).unwrap_or(1),
        ..AuditSettings::default()
    });
    for product in &spec.products {
        audit.add_instruments(&product.instruments);
    }
    let plan = spec.chaos.map(|chaos| Arc::new(Mutex::new(Plan::new(&plan_spec(&spec, chaos)))));
    let disturbances = spec.chaos.map(|chaos| Mutex::new(disturbances(&spec, chaos)));
    let tallies = Tallies::default();
    let halt_file = MemoryHaltFile::default();
    let mut lives = 0;
    let mut start = spec.start;
    let mut random = spec.seed ^ 0x5851_f42d_4c95_7f2d;
    // Wall time for the report only; nothing in the simulation reads it.
    let begun = Instant::now();
    let end = loop {
        lives += 1;
        if let Some(plan) = &plan {
            plan.lock().unwrap_or_else(PoisonError::into_inner).on_new_life();
        }
        if let Some(disturbances) = &disturbances {
            disturbances.lock().unwrap_or_else(PoisonError::into_inner).on_new_life();
        }
        let life = Life {
            spec: &spec,
            venue: &venue,
            audit: &audit,
            plan: plan.as_ref(),
            disturbances: disturbances.as_ref(),
            tallies: &tallies,
            halt_file: &halt_file,
            director,
            start,
            number: lives,
        };
        match life.live()? {
            End::Crashed { at } => {
                venue.drop_clients();
                audit.reopen();
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(lives.into());
                spec.medium.cut_power(random);
                // The process is back within seconds; the venue has traded on meanwhile.
                let down = Duration::from_secs(2 + (random >> 60));
                start = at.plus(down);
                venue.advance(start)?;
                audit.tell(move |auditor| {
                    auditor.on_not_ready(at);
                    auditor.on_fault_injected(at);
                });
            }
            End::Finished(end) => break end,
        }
    };
    let wall = begun.elapsed();
    let mut report = DayReport {
        schema_version: SCHEMA_VERSION,
        source: spec.source.clone(),
        day: spec.day.clone(),
        pricing: "Black-76 on the parity forward; American options with what early exercise adds"
            .to_owned(),
        lives,
        ..DayReport::default()
    };
    let disk = spec.medium.disk();
    audit.tell(move |auditor| auditor.on_finished(end.at));
    let folded = report.count(&disk, end.durable)?;
    finish(&mut report, &venue, &audit, &tallies, &end.view, wall);
    if let Some(plan) = plan {
        let plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
        report.kills = plan.kills().clone();
        report.kill_matrix = plan.matrix().clone();
        report.kills_in_flight_permille = plan.in_flight_permille();
        report.strikes_left = plan.remaining();
    }
    report.describe(&folded.books, &end.catalog);
    Ok(SimulatedDay { report, folded, venue, catalog: end.catalog })
}

fn speed(spec: &SimulationSpec) -> u64 {
    (spec.speed_permille / 1000).max(1)
}

fn finish(
    report: &mut DayReport,
    venue: &SimulatedVenue,
    audit: &Audit,
    tallies: &Tallies,
    view: &DeskView,
    wall: Duration,
) {
    report.quotes = venue.quotes_total();
    report.wall_s = wall.as_secs_f64();
    report.quotes_per_s = report.quotes as f64 / report.wall_s.max(1e-9);
    let counts = tallies.book();
    report.implied_vols = counts.implied_vols_solved;
    report.fresh_quotes = counts.fresh;
    report.fresh_quotes_with_vol = counts.fresh_with_own_vol;
    report.implied_vol_share = counts.fresh_with_own_vol as f64 / counts.fresh.max(1) as f64;
    report.flaws = tallies.flaws();
    report.restarts = tallies.restarts();
    report.alarms = tallies.alarms();
    report.faults = tallies.faults();
    let sum = |amounts: &BTreeMap<market::money::Currency, Money>| {
        amounts.values().copied().sum::<Money>().to_string()
    };
    report.pnl = ResultOfTheDay {
        cash: sum(&view.cash),
        fees: sum(&view.fees),
        realised: sum(&view.realised),
        unrealised: view.day.unrealised.map(|amount| amount.to_string()),
    };
    let verdict = audit.report();
    report.violations = verdict.violations_total();
    report.checks = verdict.checks;
    report.violated = verdict.violations;
}

/// The supervisors below the root.
const SCOPES: [&str; 7] = ["core", "safety", "trade", "market", "pricing", "strategies", "ops"];

/// Every role that handles messages; the journal's failure counts at the root, as a strike does.
fn disturbances(spec: &SimulationSpec, chaos: ChaosSpec) -> Disturbances {
    let mut roles = plan_spec(spec, chaos).roles;
    roles.retain(|role| !SCOPES.contains(&role.as_str()));
    Disturbances::new(chaos.seed, roles, vec!["journal".to_owned()])
}

fn plan_spec(spec: &SimulationSpec, chaos: ChaosSpec) -> PlanSpec {
    let strategies: Vec<String> =
        spec.settings.tomes.iter().map(|tome| format!("strategy/{}", tome.id)).collect();
    let products = |kind: &str| {
        let name = |product: &Product| format!("{kind}/{}", product.symbol);
        spec.products.iter().map(name).collect::<Vec<String>>()
    };
    let fixed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut roles: Vec<String> = fixed(&SCOPES);
    roles.extend(fixed(&[
        "calendar",
        "journal",
        "kill_switch",
        "breaker/loss",
        "breaker/regime",
        "breaker/technical",
        "auditor",
        "session",
        "desk",
        "reconciler",
        "risk",
        "meters",
        "snapshots",
        "caretaker",
    ]));
    roles.extend(products("feed"));
    roles.extend(products("pricing"));
    roles.extend(strategies.clone());
    let mut order_path: Vec<String> = fixed(&["session", "desk", "journal"]);
    order_path.extend(strategies);
    PlanSpec {
        seed: chaos.seed,
        roles,
        order_path,
        kills_min: chaos.kills_min,
        crashes: chaos.crashes,
        spacing: chaos.spacing,
        patience: Duration::from_secs(450),
    }
}

/// The last record of a finished day.
#[derive(Clone, Debug)]
struct Finished {
    at: Timestamp,
    durable: Seq,
    view: Arc<DeskView>,
    catalog: Catalog,
}
