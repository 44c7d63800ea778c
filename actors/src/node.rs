//! The tree of the node, assembled: which roles there are, who depends on whom, where each runs and
//! what happens when it fails too often (DESIGN 6).
//!
//! The wiring hands in everything that differs between the live node and a simulation: clock, disk,
//! snapshots, ports, runtimes. Nothing here decides about trading.

mod listing;
mod parts;

pub use listing::Listing;
pub use parts::{NodeParts, Product, StrategyPlan, Wiring};

use crate::auditor::{AuditorMessage, AuditorRole, AuditorSpec};
use crate::breaker::{BreakerRole, BreakerSpec};
use crate::calendar::{CalendarMessage, CalendarRole, CalendarSpec};
use crate::caretaker::{CaretakerRole, CaretakerSpec};
use crate::desk::{DeskRole, DeskSpec};
use crate::feed::{FeedRole, FeedSpec};
use crate::journal::{JournalMessage, JournalRole, JournalSpec};
use crate::kill_switch::{KillSwitchRole, KillSwitchSpec};
use crate::meters::{MetersMessage, MetersRole, MetersSpec};
use crate::pricing::{PricingRole, PricingSpec};
use crate::reconciler::{ReconcilerRole, ReconcilerSpec};
use crate::risk::{RiskRole, RiskSpec};
use crate::runtime::policy::{
    Backoff, Beyond, ChildPolicy, Intensity, Restart, Shutdown, Strategy as SupervisionStrategy,
};
use crate::runtime::role_ref::RoleRef;
use crate::runtime::specification::{ChildSpec, SupervisorSpec};
use crate::runtime::tree::{LaunchError, Setup, Tree};
use crate::session::{SessionRole, SessionSpec};
use crate::snapshots::{SnapshotsRole, SnapshotsSpec};
use crate::strategy::{StrategyRole, StrategySpec};
use market::calendar::Calendar;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Restarts that a strategy has in ten minutes; the next one quarantines it.
pub const STRATEGY_RESTARTS_MAX: u32 = 3;
/// Restarts that the root's children have together in ten minutes; the next one ends the process.
pub const ROOT_RESTARTS_MAX: u32 = 2;

/// Where each part of the tree runs. In a simulation all are the same.
#[derive(Clone, Debug)]
pub struct Runtimes {
    /// The root, ops and everything that waits.
    pub control: Handle,
    /// Kill switch, breakers, auditor.
    pub safety: Handle,
    /// Feeds and strategies.
    pub market: Handle,
    /// Pricing.
    pub pricing: Handle,
    /// Session, desk, reconciler, risk book.
    pub execution: Handle,
    /// Snapshots: whoever waits for the disk here keeps nobody else waiting.
    pub storage: Handle,
}

impl Runtimes {
    /// Everything on one runtime.
    #[must_use]
    pub fn one(handle: Handle) -> Self {
        Self {
            control: handle.clone(),
            safety: handle.clone(),
            market: handle.clone(),
            pricing: handle.clone(),
            execution: handle.clone(),
            storage: handle,
        }
    }
}

/// A running node.
pub struct Node {
    /// The tree.
    pub tree: Tree,
    /// What its roles publish and where they are addressed.
    pub parts: NodeParts,
}

impl Node {
    /// Assembles and launches the tree on the present runtime.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub async fn launch(wiring: Wiring, setup: Setup) -> Result<Self, LaunchError> {
        let parts = NodeParts::new(&wiring);
        let root = root(wiring, &parts);
        let tree = Tree::launch(root, setup).await?;
        Ok(Self { tree, parts })
    }
}

fn within(restarts: u32, seconds: u64) -> Intensity {
    Intensity::new(restarts, Duration::from_secs(seconds))
}

/// A scope of the root: its own failures are escalations from below, which the root counts.
fn scope(spec: SupervisorSpec, runtime: &Handle) -> ChildSpec {
    let policy = ChildPolicy {
        shutdown: Shutdown::Graceful(Duration::from_secs(10)),
        start_deadline: Duration::from_secs(30),
        ..ChildPolicy::PERMANENT
    };
    ChildSpec::supervisor(spec, policy).on(runtime.clone())
}

fn root(mut wiring: Wiring, parts: &NodeParts) -> SupervisorSpec {
    let extra = std::mem::take(&mut wiring.extra);
    let intensity = Intensity::new(ROOT_RESTARTS_MAX, TEN_MINUTES);
    let runtimes = wiring.runtimes.clone();
    SupervisorSpec::new("root", SupervisionStrategy::RestForOne, Some(intensity), Beyond::Escalate)
        .child(scope(core(&wiring, parts), &runtimes.control))
        .child(scope(safety(&wiring, parts), &runtimes.safety))
        .child(scope(trade(&wiring, parts), &runtimes.execution))
        .child(scope(market(&wiring, parts), &runtimes.market))
        .child(scope(pricing(&wiring, parts), &runtimes.pricing))
        .child(scope(strategies(&wiring, parts), &runtimes.market))
        .child(droppable(ops(&wiring, parts, extra), &runtimes.control))
}

/// The scope whose loss costs no money: nobody depends on it.
fn droppable(spec: SupervisorSpec, runtime: &Handle) -> ChildSpec {
    let policy = ChildPolicy {
        restart: Restart::Permanent,
        shutdown: Shutdown::Graceful(Duration::from_secs(10)),
        start_deadline: Duration::from_secs(30),
        backoff: Backoff::PATIENT,
        ..ChildPolicy::PERMANENT
    }
    .within(within(20, 600), Beyond::Drop);
    ChildSpec::supervisor(spec, policy).on(runtime.clone())
}

/// The journal's death takes the latches and all of trade with it: it escalates at once.
fn core(wiring: &Wiring, parts: &NodeParts) -> SupervisorSpec {
    let own: RoleRef<JournalMessage> = RoleRef::new("journal", 4_096);
    let spec = JournalSpec {
        disk: wiring.disk.clone(),
        options: wiring.journal.clone(),
        mode: wiring.writer,
        started: wiring.started.clone(),
        port: parts.journal.clone(),
        abort: wiring.abort.clone(),
    };
    let policy = ChildPolicy::PERMANENT.within(within(0, 600), Beyond::Escalate);
    let journal =
        ChildSpec::role::<JournalRole>(&own, policy, move |cx| JournalRole::start(&spec, cx));
    let own: RoleRef<CalendarMessage> = RoleRef::new("calendar", 16);
    let days = CalendarSpec {
        calendars: calendars(wiring),
        desk: parts.desk.clone(),
        breakers: parts.breakers.clone(),
    };
    let calendar = ChildSpec::role::<CalendarRole>(&own, ChildPolicy::PERMANENT, move |cx| {
        CalendarRole::start(&days, cx)
    });
    let intensity = Some(within(5, 600));
    SupervisorSpec::new("core", SupervisionStrategy::RestForOne, intensity, Beyond::Escalate)
        .child(journal)
        .child(calendar)
}

fn safety(wiring: &Wiring, parts: &NodeParts) -> SupervisorSpec {
    let intensity = Some(within(5, 60));
    let mut spec =
        SupervisorSpec::new("safety", SupervisionStrategy::OneForOne, intensity, Beyond::Escalate);
    let kill_switch = KillSwitchSpec {
        fence: parts.fence.clone(),
        file: wiring.halt_file.clone(),
        journal: parts.journal.clone(),
        keeper: parts.keeper.clone(),
        states: parts.states.clone(),
        desk: parts.desk.clone(),
        breakers: parts.breakers.clone(),
        strategies: parts.strategies.clone(),
        caretaker: parts.caretaker.clone(),
    };
    spec = spec.child(ChildSpec::role::<KillSwitchRole>(
        &parts.kill_switch,
        ChildPolicy::PERMANENT,
        move |cx| KillSwitchRole::start(&kill_switch, cx),
    ));
    for (watch, own) in &parts.breakers {
        let breaker = BreakerSpec {
            watch: *watch,
            limits: wiring.breakers.clone(),
            keeper: parts.keeper.clone(),
            journal: parts.journal.clone(),
            kill_switch: parts.kill_switch.clone(),
        };
        spec = spec.child(ChildSpec::role::<BreakerRole>(own, ChildPolicy::PERMANENT, move |cx| {
            BreakerRole::start(&breaker, cx)
        }));
    }
    let own: RoleRef<AuditorMessage> = RoleRef::new("auditor", 64);
    let auditor = AuditorSpec {
        audit: parts.audit.clone(),
        disk: wiring.disk.clone(),
        journal: parts.journal.clone(),
        desk: parts.desk.clone(),
        kill_switch: parts.kill_switch.clone(),
    };
    spec.child(ChildSpec::role::<AuditorRole>(&own, ChildPolicy::PERMANENT, move |cx| {
        AuditorRole::start(&auditor, cx)
    }))
}

fn calendars(wiring: &Wiring) -> BTreeMap<String, Arc<Calendar>> {
    let calendar = |product: &Product| (product.symbol.clone(), product.calendar.clone());
    wiring.products.iter().map(calendar).collect()
}

fn trade(wiring: &Wiring, parts: &NodeParts) -> SupervisorSpec {
    let session = SessionSpec {
        port: wiring.order_port.clone(),
        timing: wiring.link,
        downtime: wiring.downtime.clone(),
        generations: parts.link_generations.clone(),
        status: parts.link.clone(),
        desk: parts.desk.clone(),
        reconciler: parts.reconciler.clone(),
        audit: parts.audit.clone(),
        alarm: wiring.alarm.clone(),
    };
    let desk = DeskSpec {
        config: wiring.desk.clone(),
        limits: wiring.limits.clone(),
        kernel: wiring.kernel.clone(),
        journal: parts.journal.clone(),
        keeper: parts.keeper.clone(),
        views: parts.views.clone(),
        catalog: parts.catalog.clone(),
        states: parts.states.clone(),
        margin_used: parts.margin_used.clone(),
        surroundings: parts.surroundings(wiring),
        link: parts.link.clone(),
        fence: parts.fence.clone(),
        view: parts.desk_view.clone(),
        reconciliation: parts.reconciliation.clone(),
        session: parts.session.clone(),
        reconciler: parts.reconciler.clone(),
        risk: parts.risk.clone(),
        strategies: parts.strategies.clone(),
        caretaker: parts.caretaker.clone(),
        breakers: parts.breakers.clone(),
        audit: parts.audit.clone(),
        alarm: wiring.alarm.clone(),
    };
    let reconciler = ReconcilerSpec {
        policy: wiring.reconcile,
        session: parts.session.clone(),
        desk: parts.desk.clone(),
        link: parts.link.clone(),
        alarm: wiring.alarm.clone(),
    };
    let risk = RiskSpec {
        limits: wiring.limits.clone(),
        views: parts.views.clone(),
        catalog: parts.catalog.clone(),
        desk_view: parts.desk_view.clone(),
        book: parts.risk_book.clone(),
        margin_used: parts.margin_used.clone(),
        breakers: parts.breakers.clone(),
        calendars: calendars(wiring),
    };
    let policy = ChildPolicy::PERMANENT;
    SupervisorSpec::new(
        "trade",
        SupervisionStrategy::RestForOne,
        Some(within(3, 300)),
        Beyond::Escalate,
    )
    .child(ChildSpec::role::<SessionRole>(&parts.session, policy, move |cx| {
        SessionRole::start(&session, cx)
    }))
    .child(ChildSpec::role::<DeskRole>(&parts.desk, policy, move |cx| DeskRole::start(&desk, cx)))
    .child(ChildSpec::role::<ReconcilerRole>(&parts.reconciler, policy, move |cx| {
        ReconcilerRole::start(&reconciler, cx)
    }))
    .child(ChildSpec::role::<RiskRole>(&parts.risk, policy, move |cx| RiskRole::start(&risk, cx)))
}

fn market(wiring: &Wiring, parts: &NodeParts) -> SupervisorSpec {
    let intensity = Some(within(20, 60));
    let mut spec =
        SupervisorSpec::new("market", SupervisionStrategy::OneForOne, intensity, Beyond::Escalate);
    for product in &wiring.products {
        let seat = &parts.products[&product.symbol];
        let feed = FeedSpec {
            lines: seat.lines.clone(),
            data: wiring.data.clone(),
            calendar: product.calendar.clone(),
            gates: product.gates,
            pricing: seat.pricing.clone(),
            counts: seat.flaws.clone(),
        };
        let child = ChildSpec::role::<FeedRole>(&seat.feed, ChildPolicy::PERMANENT, move |cx| {
            FeedRole::start(&feed, cx)
        });
        spec = spec.child(child);
    }
    spec
}

fn pricing(wiring: &Wiring, parts: &NodeParts) -> SupervisorSpec {
    let intensity = Some(within(10, 60));
    let mut spec =
        SupervisorSpec::new("pricing", SupervisionStrategy::OneForOne, intensity, Beyond::Escalate);
    for product in &wiring.products {
        let seat = &parts.products[&product.symbol];
        let pricing = PricingSpec {
            lines: seat.lines.clone(),
            settings: product.settings.clone(),
            dividends: product.dividends.clone(),
            views: parts.views.clone(),
            listeners: seat.listeners.clone(),
            counts: seat.book.clone(),
        };
        let child =
            ChildSpec::role::<PricingRole>(&seat.pricing, ChildPolicy::PERMANENT, move |cx| {
                PricingRole::start(&pricing, cx)
            });
        spec = spec.child(child);
    }
    spec
}

fn strategies(wiring: &Wiring, parts: &NodeParts) -> SupervisorSpec {
    let mut spec =
        SupervisorSpec::new("strategies", SupervisionStrategy::OneForOne, None, Beyond::Escalate);
    for plan in &wiring.strategies {
        let own = &parts.strategies[&plan.id];
        let strategy = StrategySpec {
            id: plan.id.clone(),
            install: wiring.desk.install,
            symbol: plan.layers.symbol.clone(),
            make: plan.make(parts.catalog.clone()),
            journal: parts.journal.clone(),
            keeper: parts.keeper.clone(),
            views: parts.views.clone(),
            states: parts.states.clone(),
            desk: parts.desk.clone(),
        };
        let policy = ChildPolicy::PERMANENT
            .within(Intensity::new(STRATEGY_RESTARTS_MAX, TEN_MINUTES), Beyond::Quarantine);
        let child = ChildSpec::role::<StrategyRole>(own, policy, move |cx| {
            StrategyRole::start(&strategy, cx)
        });
        spec = spec.child(child);
    }
    let caretaker = CaretakerSpec {
        install: wiring.desk.install,
        wards: wiring.strategies.iter().map(StrategyPlan::ward).collect(),
        catalog: parts.catalog.clone(),
        journal: parts.journal.clone(),
        views: parts.views.clone(),
        states: parts.states.clone(),
        desk: parts.desk.clone(),
    };
    let policy = ChildPolicy::PERMANENT.within(within(10, 60), Beyond::Quarantine);
    let child = ChildSpec::role::<CaretakerRole>(&parts.caretaker, policy, move |cx| {
        CaretakerRole::start(&caretaker, cx)
    });
    spec.child(child)
}

fn ops(wiring: &Wiring, parts: &NodeParts, extra: Vec<ChildSpec>) -> SupervisorSpec {
    let own: RoleRef<MetersMessage> = RoleRef::new("meters", 16);
    let meters = MetersSpec {
        desk_view: parts.desk_view.clone(),
        risk_book: parts.risk_book.clone(),
        limits: wiring.limits.clone(),
        states: parts.states.clone(),
        link: parts.link.clone(),
        downtime: wiring.downtime.clone(),
        journal: parts.journal.clone(),
        views: parts.views.clone(),
        products: parts.product_counts(),
    };
    let snapshots = SnapshotsSpec {
        open: wiring.open_snapshots.clone(),
        keeper: parts.keeper.clone(),
        journal: parts.journal.clone(),
        interval: wiring.snapshot_interval,
        records: wiring.snapshot_records,
    };
    let policy = ChildPolicy { backoff: Backoff::PATIENT, ..ChildPolicy::PERMANENT };
    let spec = SupervisorSpec::new("ops", SupervisionStrategy::OneForOne, None, Beyond::Escalate)
        .child(ChildSpec::role::<MetersRole>(&own, ChildPolicy::PERMANENT, move |cx| {
            MetersRole::start(&meters, cx)
        }))
        .child(
            ChildSpec::role::<SnapshotsRole>(&parts.snapshots, policy, move |cx| {
                SnapshotsRole::start(&snapshots, cx)
            })
            .on(wiring.runtimes.storage.clone()),
        );
    extra.into_iter().fold(spec, SupervisorSpec::child)
}
