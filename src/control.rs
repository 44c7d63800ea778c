//! What the node shows to people and programs outside, and what they may ask of it.
//!
//! The views are words of the wire (JSON, schema version 1), money as decimal text. The node's tree
//! implements [`ControlPlane`]; the HTTP server and every test of it know nothing else of the node.

use actors::runtime::board::RowView;
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use valuation::view::SurfaceView;

/// The version of every object here; fields are only ever added.
pub const SCHEMA_VERSION: u32 = 1;

/// Decimal text in the account's currency, such as `-3217.25`.
pub type Decimal = String;

/// The result of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultView {
    /// Cash.
    pub cash: Decimal,
    /// Fees paid.
    pub fees: Decimal,
    /// Realised result, before fees.
    pub realised: Decimal,
    /// Unrealised result; none while a mark is missing.
    pub unrealised: Option<Decimal>,
}

/// `status --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Reconciled with the broker and able to trade (what the trading state allows).
    pub ready: bool,
    /// `active`, `reduce_only` or `halted`: the strictest that applies to the account.
    pub trading_state: String,
    /// Why it is halted, if it is.
    pub halt_reason: Option<String>,
    /// The state of the broker link, such as `ready`.
    pub broker_link: String,
    /// Why the link needs a person, while it does.
    #[serde(default)]
    pub needs_human: Option<String>,
    /// Why no entries pass around this time, such as a restart of the gateway that is near.
    #[serde(default)]
    pub entries_frozen: Option<String>,
    /// Violated invariants since the start.
    pub violations: u64,
    /// The last durable record.
    pub journal_seq: u64,
    /// Working orders.
    pub open_orders: u64,
    /// Instruments with a position.
    pub positions: u64,
    /// Fills since the journal began.
    pub fills: u64,
    /// The day's result.
    pub pnl: ResultView,
    /// Seconds since the process began.
    pub uptime_s: f64,
    /// The process life, from 1.
    pub epoch: u32,
    /// Market time, RFC 3339.
    pub market_time: String,
    /// `dev`, `paper` or `live`.
    pub environment: String,
    /// The account.
    pub account: String,
}

/// One line of `tree --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRow {
    /// The role's path.
    pub role: String,
    /// Its supervisor; none for the root.
    pub parent: Option<String>,
    /// Where it is, such as `ready` or `backoff`.
    pub status: String,
    /// Its present or last incarnation.
    pub generation: u64,
    /// Restarts after failures.
    pub restarts: u64,
    /// Messages queued or in hand.
    pub queue_depth: u64,
    /// Why it last ended; empty if it never did.
    pub last_reason: String,
    /// What it says of itself; the session: where its link to the broker stands.
    pub detail: String,
}

impl From<RowView> for TreeRow {
    fn from(row: RowView) -> Self {
        // The board's own word for a status, as its serialisation writes it.
        let status = serde_json::to_value(row.status).unwrap_or_default();
        Self {
            role: row.role.as_str().to_owned(),
            parent: row.parent.map(|parent| parent.as_str().to_owned()),
            status: status.as_str().unwrap_or_default().to_owned(),
            generation: row.generation,
            restarts: row.restarts,
            queue_depth: row.queue_depth,
            last_reason: row.last_reason,
            detail: String::new(),
        }
    }
}

/// A position of one strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// Whose it is; none for what no strategy of this node bought.
    pub strategy: Option<String>,
    /// The broker's number of the instrument.
    pub con_id: i64,
    /// The instrument in words.
    pub contract: String,
    /// Signed units.
    pub quantity: i64,
    /// Average cost per unit of the underlying.
    pub average_cost: Decimal,
    /// The mid it is valued at, if there is one.
    pub mark: Option<Decimal>,
    /// Realised result.
    pub realised: Decimal,
    /// Unrealised result at the mark.
    pub unrealised: Option<Decimal>,
    /// Of all amounts.
    pub currency: String,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Our number.
    pub order_id: i64,
    /// The broker's number, once it has acknowledged.
    pub perm_id: Option<i64>,
    /// The intent's key, which is the reference at the broker.
    pub reference: String,
    /// Whose it is; none for orders of others in the account.
    pub strategy: Option<String>,
    /// The contract in words.
    pub contract: String,
    /// `buy` or `sell`.
    pub side: String,
    /// Total units.
    pub quantity: i64,
    /// Units filled.
    pub filled: i64,
    /// Limit per unit.
    pub limit: Decimal,
    /// Its state, such as `working` or `unknown`.
    pub state: String,
}

/// A reconciliation with the broker: what it said, and what of that no event explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconciliationView {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Its record in the journal.
    pub seq: u64,
    /// When it ended, market time, RFC 3339.
    pub ended: String,
    /// The connection through which the broker was asked.
    pub link_generation: u32,
    /// How often everything was asked.
    pub rounds: u32,
    /// Every question was answered, twice the same, with nothing happening between.
    pub complete: bool,
    /// Every question was answered, while reports kept coming: orders in doubt were judged by it,
    /// positions and cash were not.
    pub stirred: bool,
    /// The broker's positions.
    pub positions: Vec<BrokerPosition>,
    /// The broker's cash per currency.
    pub cash: BTreeMap<String, Decimal>,
    /// The broker's working orders.
    pub open_orders: Vec<BrokerOrder>,
    /// Differences that no event explains, one sentence each.
    pub unresolved: Vec<String>,
}

/// A position by the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerPosition {
    /// The broker's number of the instrument.
    pub con_id: i64,
    /// The instrument in words.
    pub contract: String,
    /// Signed units.
    pub quantity: i64,
}

/// A working order by the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerOrder {
    /// Its reference; empty for an order that no intent of a node made.
    pub reference: String,
    /// The broker's number.
    pub perm_id: i64,
}

/// A limit with what is used of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitView {
    /// Which, such as `delta/SIM`.
    pub limit: String,
    /// The worst case over all fills of what works, in the limit's unit.
    pub used: Decimal,
    /// The bound, in the same unit.
    pub bound: Decimal,
    /// Used over bound.
    pub used_ratio: f64,
}

/// One expiry of a product's volatility surface, the last one that passed its tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurfaceRow {
    /// The product's root symbol.
    pub symbol: String,
    /// The expiry day.
    pub expiry: String,
    /// Years to it at the fit.
    pub years: f64,
    /// Forward at the fit.
    pub forward: f64,
    /// Annual vol at the forward.
    pub at_the_money_vol: f64,
    /// Tilt of the eSSVI slice, in (-1, 1).
    pub rho: f64,
    /// Slope of the eSSVI slice.
    pub psi: f64,
    /// Quotes that it was fitted to.
    pub quotes: u64,
    /// Root mean square of surface less mid, in vol.
    pub residual_vol: f64,
    /// Share of those quotes whose bid and ask hold the surface's vol.
    pub inside: f64,
    /// Market time of the fit, RFC 3339.
    pub fitted: String,
    /// Seconds of market time since.
    pub age_s: f64,
}

impl SurfaceRow {
    /// The slices of a product's surface.
    #[must_use]
    pub fn of(symbol: &str, surface: &SurfaceView, now: Timestamp) -> Vec<Self> {
        let (years, slices) = (surface.surface.years(), surface.surface.slices());
        let rows = surface.expiries.iter().zip(years.iter().zip(slices));
        rows.map(|(own, (&years, slice))| Self {
            symbol: symbol.to_owned(),
            expiry: own.expiry.to_string(),
            years,
            forward: own.forward,
            at_the_money_vol: (slice.theta / years).sqrt(),
            rho: slice.rho,
            psi: slice.psi,
            quotes: own.report.quotes as u64,
            residual_vol: own.report.residual_vol,
            inside: own.report.inside,
            fitted: surface.time.to_string(),
            age_s: surface.age(now).as_secs_f64(),
        })
        .collect()
    }
}

/// An armed fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// Unique in the process.
    pub id: u64,
    /// The role.
    pub role: String,
    /// In words, such as `delay 200ms`.
    pub fault: String,
    /// How often it may still strike.
    pub left: u32,
    /// When it ends by itself, milliseconds from now.
    pub ends_in_ms: u64,
}

/// A snapshot that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// The last record folded into it.
    pub seq: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Its hash.
    pub blake3: String,
}

/// What has become durable and is of interest outside, in the order of the journal. A client that
/// has seen one of these may rely on it after any crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DurableEvent {
    /// An intent passed the gate.
    Intent {
        /// Its record.
        seq: u64,
        /// Its key.
        key: String,
    },
    /// An execution was booked.
    Fill {
        /// Its record.
        seq: u64,
        /// The broker's number of the execution.
        exec_id: String,
        /// The intent that it serves; none for an external order.
        key: Option<String>,
    },
}

/// A halt that holds: nothing new reaches the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltAcknowledged {
    /// The epoch that began with it.
    pub halt_epoch: u64,
}

/// A halt that was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The epoch that began with it.
    pub halt_epoch: u64,
}

/// Why the node doesn't do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such role.
    #[error("there is no role `{role}` in the tree")]
    UnknownRole {
        /// As it was asked for.
        role: String,
    },
    /// The node doesn't allow it as things are.
    #[error("{what}")]
    Refused {
        /// What and why.
        what: String,
        /// What to do.
        next: String,
    },
    /// The part that would do it is down or slow; asking again may help.
    #[error("{what}")]
    Unavailable {
        /// Which part.
        what: String,
    },
    /// It was tried and failed.
    #[error("{what}")]
    Failed {
        /// What.
        what: String,
    },
}

/// An answer that takes its time: it must first be true on disk or on the wire.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, ControlError>> + Send + 'a>>;

/// A fault to arm at a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRequest {
    /// Where.
    pub role: String,
    /// What.
    pub fault: FaultKind,
    /// It ends by itself after so long.
    pub for_ms: u64,
}

/// What a role can be made to suffer, apart from a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// It panics at its next message.
    Panic,
    /// It fails with an error at its next message.
    Error,
    /// Each message is held so long; the runtime goes on.
    Delay {
        /// How long.
        hold_ms: u64,
    },
    /// Each message blocks the role's thread so long.
    Stall {
        /// How long.
        hold_ms: u64,
    },
    /// Messages that may be lost are.
    Drop {
        /// Of a hundred so many.
        percent: u8,
    },
    /// Messages that can be doubled are.
    Duplicate {
        /// Of a hundred so many.
        percent: u8,
    },
}

/// The node as the API sees it. Views are read at once from published snapshots and never wait for
/// a role; what changes something answers when it holds.
pub trait ControlPlane: Send + Sync + 'static {
    /// Where the node stands.
    fn status(&self) -> StatusView;

    /// Every role, parents before children.
    fn tree(&self) -> Vec<TreeRow>;

    /// Positions per strategy.
    fn positions(&self) -> Vec<PositionView>;

    /// Orders that work, that are unknown, and the recently ended.
    fn orders(&self) -> Vec<OrderView>;

    /// Limits with what is used.
    fn limits(&self) -> Vec<LimitView>;

    /// The volatility surfaces, a row per product and expiry.
    fn surfaces(&self) -> Vec<SurfaceRow>;

    /// Armed faults.
    fn faults(&self) -> Vec<FaultView>;

    /// The last reconciliation of this process, if there was one.
    fn reconciliation(&self) -> Option<ReconciliationView>;

    /// Reconciles now; answers when the report is durable.
    fn reconcile(&self) -> Pending<'_, ReconciliationView>;

    /// Snapshots that are kept, oldest first.
    fn snapshots(&self) -> Pending<'_, Vec<SnapshotView>>;

    /// Durable events from record `from` on, at most [`EVENTS_MAX`], oldest first.
    fn accepted_intents_and_fills_since(&self, from: u64) -> Pending<'_, Vec<DurableEvent>>;

    /// Halts; answers when nothing new can reach the wire.
    fn halt(&self, reason: String) -> Pending<'_, HaltAcknowledged>;

    /// Releases the halt; answers when that is durable.
    fn resume(&self, by: String) -> Pending<'_, Resumed>;

    /// Kills a role now.
    fn kill(&self, role: String) -> Pending<'_, ()>;

    /// Arms a fault at a role.
    fn arm(&self, asked: FaultRequest) -> Pending<'_, FaultView>;

    /// Disarms every fault; answers how many there were.
    fn clear_faults(&self) -> Pending<'_, usize>;

    /// Writes a snapshot; answers when it is durable.
    fn create_snapshot(&self) -> Pending<'_, SnapshotView>;
}

/// The most events of one answer; ask on from the last seq plus one.
pub const EVENTS_MAX: usize = 10_000;
