//! Every kind of record that the journal holds, and how it becomes bytes.
//!
//! The payload is MessagePack with named fields: old records decode for ever because fields are
//! only ever added, with a default; an unknown newer schema version refuses to start. The auditor
//! has its own decoder and shares nothing of this file. Not here: what a record does to the state
//! (fold).

use market::instrument::{ConId, Contract};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::Side;
use market::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use trading::approval::{Approval, Clearance};
use trading::denial::DenialCode;
use trading::id::{AccountId, ExecId, InstallId, IntentKey, OrderId, PermId, StrategyId};
use trading::intent::Intent;
use trading::ledger::Terms;
use trading::lifecycle::LifecycleEvent;
use trading::order::{Order, OrderHash};
use trading::report::{ComboExecution, EndState, Fill};
use trading::trading_state::{HaltEpoch, TradingState};

/// The schema version of records written by this build.
pub const SCHEMA_VERSION: u16 = 1;

/// One instrument's data as a decision saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteEvidence {
    /// The instrument.
    pub con_id: ConId,
    /// Bid, if any.
    pub bid: Option<Price>,
    /// Ask, if any.
    pub ask: Option<Price>,
    /// When the market said so.
    pub quote_time: Timestamp,
    /// The data was live, two-sided, valid and contained the model value.
    pub fresh: bool,
    /// The data was live (IB: market data type 1) and confirmed so in this generation.
    pub live: bool,
    /// Model value in micro-units, if there was one.
    pub fair: Option<Price>,
    /// Its standard error in micro-units.
    pub fair_error: Option<Price>,
}

/// One limited figure before an order, and the worst it can become with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitEvidence {
    /// Which limit, such as `delta/SIM` (the figure is in thousandths of the limit's unit).
    pub limit: String,
    /// Worst case over all subsets of fills before the order, in thousandths of its unit.
    pub before_milli: i64,
    /// Worst case with the order, in thousandths of its unit.
    pub after_milli: i64,
    /// The bound, in thousandths of its unit.
    pub bound_milli: i64,
}

/// What a decision of the gate rested on.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Version of the market view.
    pub view_version: u64,
    /// The data of each leg.
    pub quotes: Vec<QuoteEvidence>,
    /// The limits with the figures that were compared.
    pub limits: Vec<LimitEvidence>,
    /// Which pricing kernel made the model values.
    pub kernel: String,
    /// The strictest trading state that applied.
    pub trading_state: TradingState,
    /// The halt epoch under which it was decided.
    pub halt_epoch: HaltEpoch,
    /// The broker link was reconciled.
    pub link_ready: bool,
}

/// The outcome of a reconciliation, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconciliationReport {
    /// The link generation within which it was asked.
    pub link_generation: u32,
    /// Rounds of questions that were asked.
    pub rounds: u32,
    /// Every question was answered, twice the same, with no event between.
    pub complete: bool,
    /// Not complete, but every question was answered: orders in doubt were judged by it.
    #[serde(default)]
    pub stirred: bool,
    /// Positions by the broker.
    pub positions: Vec<(ConId, Quantity)>,
    /// Cash by the broker.
    pub cash: Vec<(Currency, Money)>,
    /// Working orders by the broker: order reference and permanent number.
    pub open_orders: Vec<(String, PermId)>,
    /// Differences that no event explains, one sentence each.
    pub unresolved: Vec<String>,
}

/// An order in the account that no intent of this installation explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalOrder {
    /// The broker's number.
    pub perm_id: PermId,
    /// Its order reference, possibly empty.
    pub reference: String,
    /// What it is for.
    pub contract: Contract,
    /// Bought or sold.
    pub side: Side,
    /// Total units.
    pub quantity: Quantity,
    /// Units filled.
    pub filled: Quantity,
    /// Its limit.
    pub limit: Price,
}

/// A latch that only a person (or its own documented rule) releases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Latch {
    /// The kill switch.
    Halt,
    /// A breaker by name (`loss`, `regime`, `technical`), for a scope (`account` or a symbol).
    Breaker {
        /// Which breaker.
        name: String,
        /// What it guards.
        scope: String,
    },
    /// A strategy that exhausted its restarts.
    Quarantine(StrategyId),
}

/// Everything that is ever written to the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A process began: which build, configuration and account.
    Started {
        /// The installation.
        install: InstallId,
        /// The account.
        account: AccountId,
        /// The program's version.
        release: String,
        /// blake3 of the configuration.
        configuration: String,
        /// The environment's name.
        environment: String,
    },
    /// An intent passed the gate: durable before its first byte is sent.
    IntentApproved {
        /// The intent.
        intent: Intent,
        /// The order that it became.
        order: Order,
        /// The order's canonical hash.
        hash: OrderHash,
        /// Three approvals, or the risk layer's alone for a risk-reducing order.
        approvals: Vec<Approval>,
        /// Which of the two.
        clearance: Clearance,
        /// What it rested on.
        evidence: Evidence,
    },
    /// An intent was denied (repeats of the same denial are counted, not repeated).
    IntentDenied {
        /// The intent's key (of the first, if several were denied alike).
        key: IntentKey,
        /// The stable code.
        code: DenialCode,
        /// What was wrong.
        sentence: String,
        /// How many were denied alike since the last such record, this one included.
        count: u32,
    },
    /// The session wrote the order to the wire.
    Sent {
        /// Which.
        order_id: OrderId,
        /// The hash of what was written.
        hash: OrderHash,
    },
    /// The session refused to write it (expired clearance, old epoch, link down): it never left.
    SendRefused {
        /// Which.
        order_id: OrderId,
        /// Why.
        reason: String,
    },
    /// The broker acknowledged.
    Acknowledged {
        /// Which.
        order_id: OrderId,
        /// The broker's number.
        perm_id: PermId,
    },
    /// A modify was decided: durable before it is sent.
    ModifyApproved {
        /// The order as it shall be.
        order: Order,
        /// Its canonical hash.
        hash: OrderHash,
        /// The approvals of the changed order.
        approvals: Vec<Approval>,
        /// Which.
        clearance: Clearance,
        /// What it rested on.
        evidence: Evidence,
        /// The intent that asked for it; the order keeps the reference of its first one.
        #[serde(default)]
        intent: Option<Intent>,
    },
    /// The modify took effect.
    Modified {
        /// Which.
        order_id: OrderId,
        /// The limit that works.
        limit: Price,
        /// The total quantity that works.
        quantity: Quantity,
    },
    /// The modify failed; the order works on as it was.
    ModifyRejected {
        /// Which.
        order_id: OrderId,
        /// The broker's code.
        code: u32,
    },
    /// We asked for a cancel.
    CancelRequested {
        /// Which.
        order_id: OrderId,
        /// Why: `intent expired`, `halt`, `operator`, `superseded`.
        reason: String,
    },
    /// The broker refused the cancel.
    CancelRejected {
        /// Which.
        order_id: OrderId,
        /// The broker's code.
        code: u32,
    },
    /// The order ended.
    Ended {
        /// Which.
        order_id: OrderId,
        /// How.
        end: EndState,
        /// The broker's code and words, for a rejection.
        detail: String,
    },
    /// Sent (or perhaps sent) without an answer: its fate is not known.
    Unknown {
        /// Which.
        order_id: OrderId,
        /// Why.
        reason: String,
    },
    /// Proven absent by the rule: the key is burnt, the reservation returns.
    Abandoned {
        /// Which.
        order_id: OrderId,
        /// The proof.
        proof: String,
    },
    /// An abandoned or ended order turned up alive: its reservation is back.
    Reappeared {
        /// Which.
        order_id: OrderId,
        /// The broker's number.
        perm_id: PermId,
    },
    /// An execution booked.
    Filled {
        /// It.
        fill: Fill,
        /// Whose it is; `None` for an external order.
        strategy: Option<StrategyId>,
        /// The instrument's terms, if the catalog knew it.
        #[serde(default)]
        terms: Option<Terms>,
    },
    /// An execution replaced an earlier revision of itself.
    Corrected {
        /// The revision that is replaced.
        replaced: ExecId,
        /// The new one.
        fill: Fill,
        /// Whose it is.
        strategy: Option<StrategyId>,
        /// The instrument's terms, if the catalog knew it.
        #[serde(default)]
        terms: Option<Terms>,
    },
    /// An execution was taken back.
    Busted {
        /// Which.
        exec_id: ExecId,
    },
    /// A combo's own line: checked, never booked.
    ComboChecked {
        /// It.
        execution: ComboExecution,
    },
    /// What an execution cost.
    Fee {
        /// Which.
        exec_id: ExecId,
        /// Paid when positive.
        amount: Money,
        /// In this currency.
        currency: Currency,
    },
    /// A position or cash changed without a trade.
    Lifecycle {
        /// What happened.
        event: LifecycleEvent,
        /// How the signed change of position is shared among the strategies.
        shares: Vec<(StrategyId, ConId, Quantity)>,
        /// The terms of the instruments that it moves, as far as the catalog knew them.
        #[serde(default)]
        terms: Vec<(ConId, Terms)>,
    },
    /// A reconciliation ended.
    Reconciled {
        /// Its report.
        report: ReconciliationReport,
    },
    /// An order of someone else was adopted: counted in risk, never canceled by us.
    ExternalAdopted {
        /// It.
        order: ExternalOrder,
    },
    /// An external order is no longer working.
    ExternalEnded {
        /// Which.
        perm_id: PermId,
    },
    /// A contract whose break nothing explains trades ReduceOnly (or is free again).
    ContractRestricted {
        /// Which.
        con_id: ConId,
        /// ReduceOnly when true.
        restricted: bool,
        /// Why.
        reason: String,
    },
    /// A latch tripped.
    Tripped {
        /// Which.
        latch: Latch,
        /// What it leads to.
        state: TradingState,
        /// Why.
        reason: String,
        /// The halt epoch from here on.
        halt_epoch: HaltEpoch,
    },
    /// A latch was released.
    Released {
        /// Which.
        latch: Latch,
        /// By whom or by which rule.
        by: String,
        /// The halt epoch from here on.
        halt_epoch: HaltEpoch,
    },
    /// A strategy's durable part.
    StrategyDurable {
        /// Whose.
        strategy: StrategyId,
        /// Its own encoding.
        #[serde(with = "serde_bytes")]
        payload: Vec<u8>,
    },
    /// A fault was injected (or cleared).
    Fault {
        /// Rising per process.
        id: u64,
        /// The target role.
        role: String,
        /// The fault in words, `kill`, `delay 200ms`, `clear`.
        fault: String,
        /// By whom: `seed 7`, `operator`.
        by: String,
    },
    /// An operator's command that changes something.
    Operator {
        /// The command in words.
        command: String,
    },
    /// The marks at which the ledger was valued, for the day's loss: micro-units per unit.
    Marked {
        /// Price per instrument.
        marks: BTreeMap<ConId, Price>,
        /// The exchange day that begins with them.
        #[serde(default)]
        day: Option<Date>,
    },
    /// The whole state at this sequence number.
    Checkpoint {
        /// The state's hash.
        state_hash: String,
        /// The encoded state.
        #[serde(with = "serde_bytes")]
        state: Vec<u8>,
    },
}

/// A record's bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer build.
    #[error(
        "record has schema version {found}, this build reads up to {SCHEMA_VERSION}; use the \
             newer build that wrote it"
    )]
    Newer {
        /// What it says.
        found: u16,
    },
    /// Not a record.
    #[error("record of kind {kind} can't be decoded: {source}; verify the journal")]
    Decode {
        /// The envelope's kind.
        kind: u16,
        /// Why.
        source: rmp_serde::decode::Error,
    },
}

macro_rules! kinds {
    ($($variant:ident = $number:literal,)*) => {
        impl Record {
            /// The envelope's kind: frozen numbers, never reused. 0 belongs to the store.
            #[must_use]
            pub const fn kind(&self) -> u16 {
                match self {
                    $(Self::$variant { .. } => $number,)*
                }
            }

            /// The record's name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)*
                }
            }

            /// Every kind with its name.
            pub const KINDS: &'static [(u16, &'static str)] =
                &[$(($number, stringify!($variant)),)*];
        }
    };
}

kinds! {
    Started = 1,
    IntentApproved = 2,
    IntentDenied = 3,
    Sent = 4,
    SendRefused = 5,
    Acknowledged = 6,
    ModifyApproved = 7,
    Modified = 8,
    ModifyRejected = 9,
    CancelRequested = 10,
    CancelRejected = 11,
    Ended = 12,
    Unknown = 13,
    Abandoned = 14,
    Reappeared = 15,
    Filled = 16,
    Corrected = 17,
    Busted = 18,
    ComboChecked = 19,
    Fee = 20,
    Lifecycle = 21,
    Reconciled = 22,
    ExternalAdopted = 23,
    ExternalEnded = 24,
    ContractRestricted = 25,
    Tripped = 26,
    Released = 27,
    StrategyDurable = 28,
    Fault = 29,
    Operator = 30,
    Marked = 31,
    Checkpoint = 32,
}

impl Record {
    /// The payload's bytes: MessagePack with named fields, externally tagged by the variant's name.
    ///
    /// # Panics
    /// Never for these types: every map key is text or a number and nothing is unsized.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("records hold only encodable types")
    }

    /// Reads a payload back.
    pub fn decode(kind: u16, schema_version: u16, payload: &[u8]) -> Result<Self, RecordError> {
        if schema_version > SCHEMA_VERSION {
            return Err(RecordError::Newer { found: schema_version });
        }
        rmp_serde::from_slice(payload).map_err(|source| RecordError::Decode { kind, source })
    }
}
