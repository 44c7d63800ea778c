//! The meters' role: turns what the other roles publish into metrics, once a second.
//!
//! Counters of records are counted where records are appended; everything that is a state is read
//! here, so that no role carries a gauge.
//!
//! *Restart:* begins again; gauges are current within a second.
//! *Loses:* nothing.

use crate::journal::JournalPort;
use crate::messages::LinkStatus;
use crate::runtime::metrics;
use crate::runtime::role::{Context, Role, RoleError, RoleMessage};
use crate::views::Views;
use ::metrics::Counter;
use ::risk::limits::Limits;
use ::risk::risk_book::RiskBook;
use arc_swap::ArcSwap;
use broker::downtime::{DowntimePhase, DowntimeSchedule};
use broker::link::LinkState;
use desk::order_state::OrderState;
use desk::view::DeskView;
use market::money::Money;
use market::quality::{Flaw, FlawCounts};
use market::time::ProcessTime;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use trading::trading_state::{TradingState, TradingStates};
use valuation::book::BookCounts;

const EVERY: Duration = Duration::from_secs(1);

/// The counts of one product.
#[derive(Clone)]
pub struct ProductCounts {
    /// Its root symbol.
    pub symbol: String,
    /// The verdicts of its feed.
    pub flaws: Arc<Mutex<FlawCounts>>,
    /// The counts of its book.
    pub book: Arc<Mutex<BookCounts>>,
}

/// What the meters read.
#[derive(Clone)]
pub struct MetersSpec {
    /// The desk's picture.
    pub desk_view: Arc<ArcSwap<DeskView>>,
    /// The risk book.
    pub risk_book: Arc<ArcSwap<RiskBook>>,
    /// The bounds.
    pub limits: Limits,
    /// The trading states.
    pub states: Arc<ArcSwap<TradingStates>>,
    /// Where the link stands.
    pub link: Arc<ArcSwap<LinkStatus>>,
    /// When the broker is expected to be away.
    pub downtime: DowntimeSchedule,
    /// The journal.
    pub journal: JournalPort,
    /// The views.
    pub views: Views,
    /// The products.
    pub products: Vec<ProductCounts>,
}

/// The meters are told nothing; they look.
#[derive(Clone, Copy, Debug)]
pub enum MetersMessage {
    /// Look now.
    Look,
}

impl RoleMessage for MetersMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(*self)
    }

    fn may_drop(&self) -> bool {
        true
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Look => "look",
        }
    }
}

/// The role.
pub struct MetersRole {
    spec: MetersSpec,
    due: ProcessTime,
    quotes: BTreeMap<String, Counter>,
    vols: BTreeMap<String, Counter>,
}

impl MetersRole {
    /// Takes the handles.
    pub fn start(spec: &MetersSpec, cx: &mut Context<MetersMessage>) -> Result<Self, RoleError> {
        let each = |metric: metrics::Metric| {
            let symbols = spec.products.iter().map(|product| product.symbol.clone());
            symbols.map(|symbol| (symbol.clone(), metric.counter(&[&symbol]))).collect()
        };
        let (quotes, vols) = (each(metrics::QUOTES), each(metrics::IMPLIED_VOLS));
        cx.ready();
        Ok(Self { spec: spec.clone(), due: cx.now().process, quotes, vols })
    }

    fn look(&self, cx: &Context<MetersMessage>) {
        let view = self.spec.desk_view.load();
        let gauge = |metric: metrics::Metric, labels: &[&str], value: f64| {
            metric.gauge(labels).set(value);
        };
        let sum = |amounts: &BTreeMap<market::money::Currency, Money>| {
            amounts.values().copied().sum::<Money>().to_f64()
        };
        gauge(metrics::PNL, &["cash"], sum(&view.cash));
        gauge(metrics::PNL, &["realised"], sum(&view.realised));
        gauge(metrics::PNL, &["fees"], sum(&view.fees));
        gauge(metrics::PNL, &["unrealised"], view.day.unrealised.map_or(f64::NAN, Money::to_f64));
        let live = view.orders.iter().filter(|order| order.state.is_live()).count();
        gauge(metrics::OPEN_ORDERS, &[], live as f64);
        let unknown = view.orders.iter().filter(|order| order.state == OrderState::Unknown).count();
        gauge(metrics::UNKNOWN_ORDERS, &[], unknown as f64);
        gauge(metrics::OPEN_POSITIONS, &[], view.exposure.positions.len() as f64);
        let states = self.spec.states.load();
        let strictest = states
            .underlyings
            .values()
            .chain(states.strategies.values())
            .fold(states.account, |strictest, state| strictest.max(*state));
        gauge(
            metrics::TRADING_STATE,
            &[],
            match strictest {
                TradingState::Active => 0.0,
                TradingState::ReduceOnly => 1.0,
                TradingState::Halted => 2.0,
            },
        );
        let link = self.spec.link.load().state;
        gauge(
            metrics::LINK_STATE,
            &[],
            match link {
                LinkState::Down => 0.0,
                LinkState::Connecting => 1.0,
                LinkState::Settling => 2.0,
                LinkState::Reconciling => 3.0,
                LinkState::Ready => 4.0,
                LinkState::Degraded => 5.0,
                LinkState::NeedsHuman => 6.0,
            },
        );
        let downtime = match self.spec.downtime.phase(cx.now().market) {
            DowntimePhase::Clear => 0.0,
            DowntimePhase::Ahead(_) => 1.0,
            DowntimePhase::On(_) => 2.0,
        };
        gauge(metrics::BROKER_DOWNTIME, &[], downtime);
        let ready = view.ready && link == LinkState::Ready;
        gauge(metrics::READY, &[], f64::from(u8::from(ready)));
        gauge(metrics::JOURNAL_DURABLE, &[], self.spec.journal.durable().0 as f64);
        gauge(metrics::JOURNAL_WAITING, &[], self.spec.journal.waiting() as f64);
        self.limits();
        self.products(cx);
    }

    fn limits(&self) {
        let (book, limits) = (self.spec.risk_book.load(), &self.spec.limits);
        let used = |limit: &str, milli: i64, bound: f64| {
            if bound > 0.0 {
                metrics::LIMIT_USED.gauge(&[limit]).set(milli as f64 / 1000.0 / bound);
            }
        };
        for (symbol, risk) in &book.symbols {
            let Some(worst) = &risk.worst else { continue };
            let delta = worst.delta_milli.worst();
            let vega = worst.vega_milli.worst();
            used(&format!("delta/{symbol}"), delta, limits.delta_max_shares.of(symbol) as f64);
            used(&format!("vega/{symbol}"), vega, limits.vega_max_per_point.of(symbol) as f64);
        }
        if let Some(margin) = book.margin {
            used("margin", margin.micros() / 1000, limits.margin_max.to_f64());
        }
        let day = self.spec.desk_view.load().day;
        if let Some(loss_milli) = day.loss_milli() {
            used("daily_loss", loss_milli.max(0), limits.daily_loss_max.to_f64());
        }
    }

    fn products(&self, cx: &Context<MetersMessage>) {
        for product in &self.spec.products {
            let flaws = *product.flaws.lock().unwrap_or_else(PoisonError::into_inner);
            let book = *product.book.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(quotes) = self.quotes.get(&product.symbol) {
                quotes.absolute(flaws.total());
            }
            if let Some(vols) = self.vols.get(&product.symbol) {
                vols.absolute(book.implied_vols_solved);
            }
            let fits = [("published", book.surfaces_published), ("refused", book.surfaces_refused)];
            for (outcome, count) in fits {
                let labels = [product.symbol.as_str(), outcome];
                metrics::SURFACES.counter(&labels).absolute(count);
            }
            for flaw in Flaw::ALL {
                let labels = [product.symbol.as_str(), flaw.name()];
                metrics::QUOTE_FLAWS.counter(&labels).absolute(flaws.of(flaw));
            }
            if let Some(view) = self.spec.views.latest(&product.symbol) {
                let age = cx.now().market.since(view.time).as_secs_f64();
                metrics::VIEW_AGE.gauge(&[&product.symbol]).set(age);
                if let Some(surface) = &view.surface {
                    let age = surface.age(cx.now().market).as_secs_f64();
                    metrics::SURFACE_AGE.gauge(&[&product.symbol]).set(age);
                }
            }
        }
    }
}

impl Role for MetersRole {
    type Message = MetersMessage;

    fn handle(
        &mut self,
        message: MetersMessage,
        cx: &mut Context<MetersMessage>,
    ) -> Result<(), RoleError> {
        match message {
            MetersMessage::Look => self.look(cx),
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        Some((self.due, "look"))
    }

    fn on_wake(&mut self, cx: &mut Context<MetersMessage>) -> Result<(), RoleError> {
        self.due = cx.now().process + EVERY;
        self.look(cx);
        Ok(())
    }
}
