//! What a node is made of: the wiring that differs between live and simulated, and the addresses
//! and published values that its roles share.

use crate::auditor::Audit;
use crate::book_keeper::BookKeeper;
use crate::feed::FeedMessage;
use crate::journal::{JournalPort, WriterMode};
use crate::kill_switch::HaltFile;
use crate::layers::{Layers, StrategyLayers};
use crate::lines::ProductLines;
use crate::messages::{
    BreakerMessage, CaretakerMessage, DeskMessage, KillSwitchMessage, LinkStatus,
    ReconcilerMessage, RiskMessage, SessionMessage, StrategyMessage,
};
use crate::meters::ProductCounts;
use crate::node::Runtimes;
use crate::pricing::{PricingMessage, ViewListener};
use crate::reconciler::LastReconciliation;
use crate::runtime::role::RoleMessage;
use crate::runtime::role_ref::RoleRef;
use crate::runtime::specification::ChildSpec;
use crate::snapshots::{OpenSnapshots, SnapshotsMessage};
use crate::strategy::StrategyFactory;
use crate::views::Views;
use ::risk::breaker::BreakerLimits;
use ::risk::breaker::watch::Watch;
use ::risk::limits::Limits;
use ::risk::risk_book::RiskBook;
use ::strategy::builtin;
use ::strategy::certificate::Environment;
use ::strategy::tome::Tome;
use arc_swap::{ArcSwap, ArcSwapOption};
use broker::downtime::DowntimeSchedule;
use broker::link::{LinkState, LinkTiming};
use broker::port::{DataPort, OrderPort};
use broker::wire_fence::WireFence;
use desk::desk::{DeskConfig, Surroundings};
use desk::reconcile::ReconcilePolicy;
use desk::record::Record;
use desk::state::State;
use desk::view::DeskView;
use market::calendar::Calendar;
use market::corporate_action::DividendSchedule;
use market::instrument::{Catalog, Instrument};
use market::money::Money;
use market::quality::{FlawCounts, Gates};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{Disk, JournalOptions};
use trading::id::StrategyId;
use trading::trading_state::{HaltEpoch, TradingState, TradingStates};
use valuation::book::{BookCounts, BookSettings};

/// How many messages a role's queue may hold, by what it carries.
const ORDER_QUEUE: usize = 16_384;
const WAKE_QUEUE: usize = 64;
const ANSWER_QUEUE: usize = 4_096;
/// Reports that wait while the desk restarts alone (reconciliation would ask for them again).
const PARKED: usize = 1_024;

/// One product: what trades, when, and how its quotes are judged and valued.
#[derive(Clone)]
pub struct Product {
    /// Its root symbol.
    pub symbol: String,
    /// The instruments that are listed at the start.
    pub instruments: Vec<Instrument>,
    /// When it trades.
    pub calendar: Arc<Calendar>,
    /// The quality gates.
    pub gates: Gates,
    /// The pricing book.
    pub settings: BookSettings,
    /// The stock's cash dividends, as announced or expected; none for others.
    pub dividends: DividendSchedule,
}

/// One strategy.
#[derive(Clone)]
pub struct StrategyPlan {
    /// Its id.
    pub id: StrategyId,
    /// Its tome.
    pub tome: Arc<Tome>,
    /// What the layers know of it.
    pub layers: StrategyLayers,
}

impl StrategyPlan {
    /// What the caretaker must know to look after it.
    #[must_use]
    pub fn ward(&self) -> (StrategyId, Arc<Tome>) {
        (self.id.clone(), Arc::clone(&self.tome))
    }

    /// How its machine is made, from the catalog of the moment.
    #[must_use]
    pub fn make(&self, catalog: Arc<ArcSwap<Catalog>>) -> StrategyFactory {
        let tome = Arc::clone(&self.tome);
        Arc::new(move |keys, durable| {
            builtin::build(&tome, &catalog.load(), keys, durable).map_err(|error| error.to_string())
        })
    }
}

/// Everything that a node is made from.
pub struct Wiring {
    /// Where each part runs.
    pub runtimes: Runtimes,
    /// The journal's disk.
    pub disk: Arc<dyn Disk>,
    /// The journal's options.
    pub journal: JournalOptions,
    /// How its writer runs.
    pub writer: WriterMode,
    /// The first record of each opening.
    pub started: Record,
    /// Opens the snapshots' store.
    pub open_snapshots: OpenSnapshots,
    /// Folds the journal: at most its tail is left to read.
    pub keeper: BookKeeper,
    /// Between two snapshots.
    pub snapshot_interval: Duration,
    /// Records between two snapshots.
    pub snapshot_records: u64,
    /// Makes the order connection of one session.
    pub order_port: Arc<dyn Fn() -> Box<dyn OrderPort> + Send + Sync>,
    /// The data connection.
    pub data: Arc<Mutex<dyn DataPort>>,
    /// Checked at each write; shared with whoever halts from outside.
    pub fence: Arc<WireFence>,
    /// The products.
    pub products: Vec<Product>,
    /// Instruments that trade no more and may still be held, or have just been.
    pub past: Vec<Instrument>,
    /// The strategies.
    pub strategies: Vec<StrategyPlan>,
    /// Paper or live.
    pub environment: Environment,
    /// The gate's limits.
    pub limits: Limits,
    /// The breakers' limits.
    pub breakers: BreakerLimits,
    /// How long the link waits for what.
    pub link: LinkTiming,
    /// When the broker is expected to be away.
    pub downtime: DowntimeSchedule,
    /// How the broker is asked.
    pub reconcile: ReconcilePolicy,
    /// The desk's settings.
    pub desk: DeskConfig,
    /// The pricing kernel's name in evidence.
    pub kernel: String,
    /// The halt file.
    pub halt_file: Arc<dyn HaltFile>,
    /// The auditor; in a simulation it outlives the node.
    pub audit: Audit,
    /// Where roles append; shared with whoever watches the journal from outside.
    pub port: JournalPort,
    /// Ends the process at once: going on would be wrong.
    pub abort: Arc<dyn Fn(&str) + Send + Sync>,
    /// Tells a person.
    pub alarm: Arc<dyn Fn(&str) + Send + Sync>,
    /// Further children of `ops`.
    pub extra: Vec<ChildSpec>,
}

/// One product's addresses and shared values.
#[derive(Clone)]
pub struct ProductParts {
    /// Its data lines.
    pub lines: Arc<ProductLines>,
    /// Its feed.
    pub feed: RoleRef<FeedMessage>,
    /// Its pricing.
    pub pricing: RoleRef<PricingMessage>,
    /// Who is woken by a new view.
    pub listeners: Arc<Mutex<Vec<ViewListener>>>,
    /// The feed's verdicts.
    pub flaws: Arc<Mutex<FlawCounts>>,
    /// The book's counts.
    pub book: Arc<Mutex<BookCounts>>,
}

/// The addresses and published values of a node.
#[derive(Clone)]
pub struct NodeParts {
    /// Where records go.
    pub journal: JournalPort,
    /// The fold of the durable journal.
    pub keeper: BookKeeper,
    /// The wire fence.
    pub fence: Arc<WireFence>,
    /// The auditor.
    pub audit: Audit,
    /// The trading states.
    pub states: Arc<ArcSwap<TradingStates>>,
    /// The instruments.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// The views.
    pub views: Views,
    /// The link's state.
    pub link: Arc<ArcSwap<LinkStatus>>,
    /// The last link generation that was used.
    pub link_generations: Arc<AtomicU32>,
    /// The desk's picture.
    pub desk_view: Arc<ArcSwap<DeskView>>,
    /// The last reconciliation.
    pub reconciliation: Arc<ArcSwapOption<LastReconciliation>>,
    /// The risk book.
    pub risk_book: Arc<ArcSwap<RiskBook>>,
    /// Margin in use.
    pub margin_used: Arc<ArcSwap<Money>>,
    /// The kill switch.
    pub kill_switch: RoleRef<KillSwitchMessage>,
    /// The breakers.
    pub breakers: Vec<(Watch, RoleRef<BreakerMessage>)>,
    /// The broker session.
    pub session: RoleRef<SessionMessage>,
    /// The desk.
    pub desk: RoleRef<DeskMessage>,
    /// The reconciler.
    pub reconciler: RoleRef<ReconcilerMessage>,
    /// The risk book's role.
    pub risk: RoleRef<RiskMessage>,
    /// The snapshots.
    pub snapshots: RoleRef<SnapshotsMessage>,
    /// The products, by root symbol.
    pub products: BTreeMap<String, ProductParts>,
    /// The strategies.
    pub strategies: BTreeMap<StrategyId, RoleRef<StrategyMessage>>,
    /// Who looks after what quarantined strategies hold.
    pub caretaker: RoleRef<CaretakerMessage>,
}

impl NodeParts {
    pub(super) fn new(wiring: &Wiring) -> Self {
        let journal = wiring.port.clone();
        let symbols = wiring.products.iter().map(|product| product.symbol.clone());
        let strategies = wiring.strategies.iter().map(|plan| {
            let path = format!("strategy/{}", plan.id);
            (plan.id.clone(), RoleRef::new(path, ANSWER_QUEUE))
        });
        // Nothing is known yet: halted until the kill switch has read the latches.
        let states = TradingStates {
            account: TradingState::Halted,
            halt_epoch: HaltEpoch::default(),
            ..TradingStates::default()
        };
        let down = LinkStatus { state: LinkState::Down, generation: 0, human: None };
        let breaker =
            |watch: Watch| (watch, RoleRef::new(format!("breaker/{}", watch.name()), ANSWER_QUEUE));
        let mut parts = Self {
            keeper: wiring.keeper.clone(),
            fence: Arc::clone(&wiring.fence),
            audit: wiring.audit.clone(),
            states: Arc::new(ArcSwap::from_pointee(states)),
            catalog: Arc::new(ArcSwap::from_pointee(Catalog::default())),
            views: Views::new(symbols),
            link: Arc::new(ArcSwap::from_pointee(down)),
            link_generations: Arc::new(AtomicU32::new(0)),
            desk_view: Arc::new(ArcSwap::from_pointee(nothing_known())),
            reconciliation: Arc::new(ArcSwapOption::empty()),
            risk_book: Arc::new(ArcSwap::from_pointee(RiskBook::default())),
            margin_used: Arc::new(ArcSwap::from_pointee(Money::ZERO)),
            kill_switch: RoleRef::with_parking("kill_switch", ORDER_QUEUE, PARKED),
            breakers: Watch::ALL.map(breaker).to_vec(),
            session: RoleRef::new("session", ORDER_QUEUE),
            desk: RoleRef::with_parking("desk", ORDER_QUEUE, PARKED),
            reconciler: RoleRef::new("reconciler", ORDER_QUEUE),
            risk: RoleRef::new("risk", ANSWER_QUEUE),
            snapshots: RoleRef::new("snapshots", WAKE_QUEUE),
            products: BTreeMap::new(),
            strategies: strategies.collect(),
            caretaker: RoleRef::new("caretaker", ANSWER_QUEUE),
            journal,
        };
        parts.name(&wiring.past, wiring);
        for product in &wiring.products {
            let seat = parts.seat(product, wiring);
            parts.products.insert(product.symbol.clone(), seat);
        }
        let desk = parts.desk.clone();
        parts.journal.on_durable(Box::new(move |seq| {
            // One that is down reads the watermark when it starts.
            desk.send_or_drop(DeskMessage::Durable(seq));
        }));
        parts
    }

    fn seat(&self, product: &Product, wiring: &Wiring) -> ProductParts {
        let symbol = &product.symbol;
        let lines = ProductLines::new(symbol);
        lines
            .add(&product.instruments)
            .expect("a product begins with fewer instruments than it may have lines");
        self.name(&product.instruments, wiring);
        let risk = self.risk.clone();
        let mut listeners: Vec<ViewListener> = vec![wake(&risk, || RiskMessage::Market)];
        for plan in wiring.strategies.iter().filter(|plan| plan.layers.symbol == *symbol) {
            listeners.push(wake(&self.strategies[&plan.id], || StrategyMessage::Market));
        }
        listeners.push(self.wake_caretaker());
        ProductParts {
            lines: Arc::new(lines),
            feed: RoleRef::new(format!("feed/{symbol}"), WAKE_QUEUE),
            // A wake while it starts waits in the park: refused, the quote behind it would wait for
            // the next one.
            pricing: RoleRef::with_parking(format!("pricing/{symbol}"), WAKE_QUEUE, 1),
            listeners: Arc::new(Mutex::new(listeners)),
            flaws: Arc::default(),
            book: Arc::default(),
        }
    }

    /// Makes terms known, to the roles and to the auditor.
    fn name(&self, instruments: &[Instrument], wiring: &Wiring) {
        let mut catalog = Catalog::clone(&self.catalog.load());
        for instrument in instruments {
            // A second instrument under one id is a bug of the reference data; the first one stays.
            if let Err(error) = catalog.insert(instrument.clone()) {
                (wiring.alarm)(&error.to_string());
            }
        }
        self.catalog.store(Arc::new(catalog));
        self.audit.add_instruments(instruments);
    }

    /// Views wake the caretaker only while somebody is in its care.
    fn wake_caretaker(&self) -> ViewListener {
        let (caretaker, states) = (self.caretaker.clone(), Arc::clone(&self.states));
        Arc::new(move || {
            if !states.load().strategies.is_empty() {
                caretaker.send_or_drop(CaretakerMessage::Market);
            }
        })
    }

    pub(super) fn surroundings(&self, wiring: &Wiring) -> Arc<dyn Surroundings + Send + Sync> {
        let layers = |plan: &StrategyPlan| (plan.id.clone(), plan.layers.clone());
        let calendar = |product: &Product| (product.symbol.clone(), Arc::clone(&product.calendar));
        Arc::new(Layers {
            strategies: wiring.strategies.iter().map(layers).collect(),
            calendars: wiring.products.iter().map(calendar).collect(),
            dividends: wiring
                .products
                .iter()
                .map(|product| (product.symbol.clone(), product.dividends.clone()))
                .collect(),
            catalog: Arc::clone(&self.catalog),
            views: self.views.clone(),
            environment: wiring.environment,
            downtime: wiring.downtime.clone(),
        })
    }

    pub(super) fn product_counts(&self) -> Vec<ProductCounts> {
        let counts = |(symbol, seat): (&String, &ProductParts)| ProductCounts {
            symbol: symbol.clone(),
            flaws: Arc::clone(&seat.flaws),
            book: Arc::clone(&seat.book),
        };
        self.products.iter().map(counts).collect()
    }
}

/// The desk's picture before the desk has one.
fn nothing_known() -> DeskView {
    DeskView::of(&State::default(), false, &BTreeMap::new())
}

/// A wake-up that a role which is busy doesn't need twice.
fn wake<M: RoleMessage>(role: &RoleRef<M>, make: fn() -> M) -> ViewListener {
    let role = role.clone();
    Arc::new(move || {
        role.send_or_drop(make());
    })
}
