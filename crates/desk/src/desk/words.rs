//! The desk's words: its configuration, what happens to it, and what it wants done.

use super::denials::DenialPolicy;
use crate::reconcile::RoundResult;
use crate::record::Record;
use crate::view::DeskView;
use market::instrument::{Catalog, ConId};
use market::money::{Money, Price, Quantity};
use market::time::{Date, ProcessTime, Timestamp};
use risk::cleared::Cleared;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use trading::approval::Approval;
use trading::denial::Denial;
use trading::id::{AccountId, Epoch, InstallId, IntentKey, OrderId, StrategyId};
use trading::intent::{Intent, Target};
use trading::order::{Order, OrderHash, TimeInForce};
use trading::report::{EndState, Fill, Report};
use trading::trading_state::TradingStates;
use valuation::view::Markets;

/// What the desk is told about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskConfig {
    /// The installation; other installations' references are external.
    pub install: InstallId,
    /// The process life: intents of another are refused.
    pub epoch: Epoch,
    /// The account.
    pub account: AccountId,
    /// How long orders work.
    pub time_in_force: TimeInForce,
    /// The least time between two rounds that prove an order absent.
    pub settle: Duration,
    /// How long filled and the sum of executions, or a combo's legs, may differ.
    pub mismatch: Duration,
    /// How long a leg of a filled combo may be missing.
    pub leg_deadline: Duration,
    /// How long cash alone may differ before it is booked as a cash event of its own.
    pub cash_ages: Duration,
    /// The first wait before a cancel is asked again; it doubles.
    pub cancel_retry_min: Duration,
    /// The longest wait.
    pub cancel_retry_max: Duration,
    /// How many records may wait to be durable before new intents are denied.
    pub backlog_records_max: usize,
    /// How long the oldest of them may have waited.
    pub backlog_age_max: Duration,
    /// How repeated denials are recorded.
    pub denials: DenialPolicy,
}

impl DeskConfig {
    /// The shipped values.
    #[must_use]
    pub fn new(install: InstallId, epoch: Epoch, account: AccountId) -> Self {
        Self {
            install,
            epoch,
            account,
            time_in_force: TimeInForce::Day,
            settle: Duration::from_secs(10),
            mismatch: Duration::from_secs(2),
            leg_deadline: Duration::from_secs(10),
            cash_ages: Duration::from_secs(30 * 60),
            cancel_retry_min: Duration::from_secs(2),
            cancel_retry_max: Duration::from_secs(60),
            backlog_records_max: 10_000,
            backlog_age_max: Duration::from_secs(1),
            denials: DenialPolicy::default(),
        }
    }
}

/// What is not yet durable, as the shell counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Records.
    pub records: usize,
    /// How long the oldest has waited.
    pub age: Duration,
}

/// What the desk asks about the world outside its machine. Implementations answer from what they
/// were given, without clocks or I/O.
pub trait Surroundings {
    /// The cognition layer's word on an order.
    fn cognition(&self, order: &Order) -> Result<Approval, Denial>;
    /// The performance layer's word on an order.
    fn performance(&self, order: &Order) -> Result<Approval, Denial>;
    /// Whether the sessions of all legs are open.
    fn session_open(&self, order: &Order, at: Timestamp) -> bool;
    /// Why no entries are wanted at `at` (an expected downtime of the broker), if none are.
    fn entries_frozen(&self, at: Timestamp) -> Option<String>;
    /// When the order's time in force ends by the exchange calendar, for one made at `created`.
    fn time_in_force_end(&self, order: &Order, created: Timestamp) -> Option<Timestamp>;
    /// The dividends of a stock that went ex between two moments: the day, its beginning, and the
    /// cash per share. Nothing where none are known.
    fn dividends(&self, stock: ConId, from: Timestamp, until: Timestamp) -> Vec<ExDividend> {
        let _ = (stock, from, until);
        Vec::new()
    }
}

/// A dividend that a stock has paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExDividend {
    /// The first day without it.
    pub ex_date: Date,
    /// When that day begins: who held the share then has the cash.
    pub ex: Timestamp,
    /// Per share.
    pub cash: Price,
}

/// The world as it is at one event.
pub struct Context<'a> {
    /// The views of all products.
    pub markets: &'a Markets,
    /// All instruments.
    pub catalog: &'a Catalog,
    /// The trading states.
    pub states: &'a TradingStates,
    /// Margin in use, by the risk book.
    pub margin_used: Money,
    /// What is not yet durable.
    pub backlog: Backlog,
    /// Calendars and the other two layers.
    pub surroundings: &'a dyn Surroundings,
}

/// Why the session did not write an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSend {
    /// In words.
    pub reason: String,
    /// A byte of it may have left.
    pub may_have_left: bool,
}

/// What happens to the desk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeskEvent {
    /// The desk begins this life: once, first.
    Restarted,
    /// A strategy wants something.
    Intent(Box<Intent>),
    /// A strategy starts and asks where it stands.
    Attach {
        /// Which.
        strategy: StrategyId,
    },
    /// A strategy is gone; it must attach again.
    Detach {
        /// Which.
        strategy: StrategyId,
    },
    /// The broker said something.
    Report(Box<Report>),
    /// The broker link changed.
    Link {
        /// The broker answers (whether the desk may trade is decided by reconciliation).
        up: bool,
        /// The connection's generation.
        generation: u32,
        /// The broker's next valid order number, when it has said one.
        next_valid_id: Option<i64>,
    },
    /// What became of a send.
    SendOutcome {
        /// The order.
        order_id: OrderId,
        /// The hash of what was written, or why nothing (or perhaps nothing) was.
        result: Result<OrderHash, RefusedSend>,
    },
    /// A reconciliation ended.
    Reconciled(Box<RoundResult>),
    /// An exchange day began.
    Day(Date),
    /// Every own working order is canceled: the kill switch.
    Halt {
        /// Why.
        reason: String,
    },
    /// Every own working order is canceled.
    CancelAll {
        /// Why.
        reason: String,
    },
    /// Every own working order of one strategy is canceled (quarantine).
    CancelStrategy {
        /// Whose.
        strategy: StrategyId,
        /// Why.
        reason: String,
    },
    /// A deadline of [`Desk::next_wake`] was reached.
    Wake,
}

/// A live order, as its strategy is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveOrder {
    /// The intent that it serves.
    pub key: IntentKey,
    /// What that wants.
    pub target: Target,
    /// Units that may still fill.
    pub remaining: Quantity,
    /// Its fate is not known.
    pub unknown: bool,
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntentOutcome {
    /// It became (or changed) this order.
    Accepted {
        /// Which.
        order_id: OrderId,
    },
    /// Nothing to do: the target is served by what is held and working.
    Satisfied,
    /// Denied.
    Denied(Denial),
    /// Its order ended.
    Ended {
        /// How.
        end: EndState,
        /// Units filled.
        filled: Quantity,
    },
    /// Its order was proven absent.
    Abandoned,
}

/// What the desk tells a strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeskAnswer {
    /// Where it stands; from here on it may send intents.
    Attached {
        /// Its positions.
        positions: BTreeMap<ConId, Quantity>,
        /// Its live and Unknown orders.
        live: Vec<LiveOrder>,
        /// The first number for its keys in this epoch.
        next_seq: u32,
    },
    /// What became of an intent.
    Outcome {
        /// Which.
        key: IntentKey,
        /// What.
        outcome: IntentOutcome,
    },
    /// An execution of one of its orders.
    Filled {
        /// It.
        fill: Box<Fill>,
    },
    /// Its positions after something other than a plain fill.
    PositionsChanged(BTreeMap<ConId, Quantity>),
}

/// What the shell carries out, in order.
#[derive(Debug)]
pub enum Effect {
    /// Append to the journal.
    Record(Box<Record>),
    /// Send once all records before it in this list are durable.
    Send(Box<Cleared<Order>>),
    /// Send a changed order under the same number, with the same wait.
    SendModify(Box<Cleared<Order>>),
    /// Cancel at once.
    Cancel {
        /// Which.
        order_id: OrderId,
    },
    /// Tell a strategy.
    ToStrategy {
        /// Whom.
        strategy: StrategyId,
        /// What.
        answer: DeskAnswer,
    },
    /// The desk's picture changed.
    Publish(Box<DeskView>),
    /// Ask the broker where things stand.
    RequestReconcile(String),
    /// Tell a person.
    Alarm(String),
}

/// The next deadlines, each with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NextWake {
    /// In market time.
    pub market: Option<(Timestamp, &'static str)>,
    /// In process time.
    pub process: Option<(ProcessTime, &'static str)>,
}
