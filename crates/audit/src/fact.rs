//! What the auditor reads of a record: its own decoder, of only the fields that it needs.
//!
//! A payload is MessagePack with named fields, tagged with the record's name. Fields that are not
//! named here are skipped, kinds that are not known are counted by the caller. Numbers stay plain
//! (micro-units, nanoseconds), so that no arithmetic of another room is used on them.

use market::instrument::ConId;
use market::money::Currency;
use market::quote::Side;
use serde::Deserialize;
use std::fmt;

/// The newest schema version that is read here.
pub const SCHEMA_VERSION: u16 = 1;

/// Kinds that hold nothing to check: denials, cancel requests, combo lines of others, and so on.
const PASSED_OVER: [u16; 9] = [3, 10, 11, 23, 24, 28, 29, 30, 31];

/// The kind of a checkpoint: the state is not read, only the journal's order goes on.
const CHECKPOINT: u16 = 32;

/// How long an order works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum TimeInForce {
    /// Until the end of the session.
    Day,
    /// Until canceled.
    GoodTillCanceled,
    /// What fills at once; the rest is canceled.
    ImmediateOrCancel,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum EndState {
    /// Filled whole.
    Filled,
    /// Canceled.
    Canceled,
    /// Its time in force ended.
    Expired,
    /// Refused by the broker.
    Rejected,
    /// Held without working.
    Inactive,
}

/// Which layer approves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum Layer {
    /// Market state.
    Cognition,
    /// The gate.
    Risk,
    /// The certificate.
    Performance,
}

/// How many layers had to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum Clearance {
    /// All three.
    Full,
    /// The risk layer alone.
    RiskReducing,
}

/// How much trading is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum TradingState {
    /// All.
    Active,
    /// What lowers risk.
    ReduceOnly,
    /// Nothing.
    Halted,
}

/// An intent's identity.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct IntentKey {
    /// The installation.
    pub install: u32,
    /// The process life.
    pub epoch: u32,
    /// Who wants it.
    pub strategy: String,
    /// Rising.
    pub seq: u32,
}

impl fmt::Display for IntentKey {
    /// The order reference at the broker.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { install, epoch, strategy, seq } = self;
        write!(f, "oib.{install:08x}.{epoch}.{strategy}.{seq}")
    }
}

/// One leg of a combo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Leg {
    /// The instrument.
    pub con_id: ConId,
    /// Contracts per unit, signed.
    pub ratio: i32,
}

/// What an order is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum Contract {
    /// One instrument.
    Single(ConId),
    /// Legs traded together.
    Combo(Vec<Leg>),
}

impl Contract {
    /// Instruments with their ratios, by rising id.
    #[must_use]
    pub fn legs(&self) -> Vec<(ConId, i32)> {
        match self {
            Self::Single(con_id) => vec![(*con_id, 1)],
            Self::Combo(legs) => {
                let mut legs: Vec<_> = legs.iter().map(|leg| (leg.con_id, leg.ratio)).collect();
                legs.sort_unstable();
                legs
            }
        }
    }
}

/// An order as it was approved.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Order {
    /// Our number.
    pub order_id: i64,
    /// The intent; in text the order reference.
    pub key: IntentKey,
    /// The account.
    pub account: String,
    /// What for.
    pub contract: Contract,
    /// Bought or sold.
    pub side: Side,
    /// Contracts, shares or combo units.
    pub quantity: i64,
    /// Micro-units.
    pub limit: i64,
    /// How long it works.
    pub time_in_force: TimeInForce,
    /// Nanoseconds.
    pub valid_until: i64,
}

/// The position that an intent aims at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum Target {
    /// In one instrument.
    Single {
        /// It.
        con_id: ConId,
        /// Signed.
        position: i64,
    },
    /// In units of a combo.
    Combo {
        /// Its legs.
        combo: Vec<Leg>,
        /// Signed.
        units: i64,
    },
}

impl Target {
    /// The wanted position per instrument, by rising id.
    #[must_use]
    pub fn positions(&self) -> Vec<(ConId, i128)> {
        match self {
            Self::Single { con_id, position } => vec![(*con_id, i128::from(*position))],
            Self::Combo { combo, units } => {
                let wanted = |leg: &Leg| i128::from(leg.ratio) * i128::from(*units);
                let mut legs: Vec<_> = combo.iter().map(|leg| (leg.con_id, wanted(leg))).collect();
                legs.sort_unstable();
                legs
            }
        }
    }
}

/// An intent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Intent {
    /// Its identity.
    pub key: IntentKey,
    /// What it aims at.
    pub target: Target,
    /// The worst acceptable price, in micro-units.
    pub limit: i64,
}

/// One layer's yes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Approval {
    /// Whose.
    pub layer: Layer,
    /// The order's hash, in hex.
    pub order: String,
}

/// One instrument's data as the decision saw it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct QuoteEvidence {
    /// The instrument.
    pub con_id: ConId,
    /// Micro-units.
    pub bid: Option<i64>,
    /// Micro-units.
    pub ask: Option<i64>,
    /// It was fresh.
    pub fresh: bool,
    /// It was of live type.
    pub live: bool,
}

/// One limited figure, in thousandths.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct LimitEvidence {
    /// Which.
    pub limit: String,
    /// Worst case before.
    pub before_milli: i64,
    /// Worst case with the order.
    pub after_milli: i64,
    /// The bound.
    pub bound_milli: i64,
}

/// What a decision rested on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Evidence {
    /// Data.
    pub quotes: Vec<QuoteEvidence>,
    /// Limits.
    pub limits: Vec<LimitEvidence>,
    /// The strictest state that applied.
    pub trading_state: TradingState,
    /// The halt epoch of the decision.
    pub halt_epoch: u64,
    /// The broker link was reconciled.
    pub link_ready: bool,
}

/// An execution.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Fill {
    /// Its identity.
    pub exec_id: String,
    /// The order reference.
    pub reference: String,
    /// The instrument.
    pub con_id: ConId,
    /// Bought or sold.
    pub side: Side,
    /// Positive.
    pub quantity: i64,
    /// Micro-units.
    pub price: i64,
    /// When, in nanoseconds.
    pub time: i64,
}

/// The terms of an instrument as a booking keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Terms {
    /// Units of the underlying per contract.
    pub multiplier: u32,
    /// What it settles in.
    pub currency: Currency,
    /// Only variation is paid.
    pub margined_daily: bool,
}

/// A combo's own line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct ComboExecution {
    /// Its identity.
    pub exec_id: String,
}

/// What an exercise delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Delivery {
    /// The underlying.
    pub con_id: ConId,
    /// Signed.
    pub quantity: i64,
    /// Micro-units.
    pub price: i64,
}

/// What happened without a trade. Quantities are the signed positions that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[expect(missing_docs, reason = "the same words as in `trading::lifecycle`")]
pub enum LifecycleKind {
    Expired { con_id: ConId, quantity: i64 },
    Exercised { con_id: ConId, quantity: i64, delivery: Option<Delivery> },
    Assigned { con_id: ConId, quantity: i64, delivery: Option<Delivery> },
    CashSettled { con_id: ConId, quantity: i64, amount: i64 },
    Dividend { con_id: ConId, amount: i64 },
    Variation { con_id: ConId, mark: i64, amount: i64 },
    DeliverableChanged { con_id: ConId, before: i64, after: i64 },
    Cash { amount: i64 },
}

/// A lifecycle or cash event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct LifecycleEvent {
    /// Its identity.
    pub id: String,
    /// What happened.
    pub kind: LifecycleKind,
    /// Of its amounts.
    pub currency: Currency,
    /// When, in nanoseconds.
    pub time: i64,
}

/// The outcome of a reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Reconciliation {
    /// Within which link generation.
    pub link_generation: u32,
    /// All was answered, twice the same.
    pub complete: bool,
    /// All was answered, while reports came.
    #[serde(default)]
    pub stirred: bool,
    /// By the broker.
    pub positions: Vec<(ConId, i64)>,
    /// By the broker, in micro-units.
    pub cash: Vec<(Currency, i64)>,
    /// Order reference and permanent number.
    pub open_orders: Vec<(String, i64)>,
    /// What nothing explains.
    pub unresolved: Vec<String>,
}

/// What holds trading back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum Latch {
    /// The kill switch.
    Halt,
    /// A breaker.
    Breaker {
        /// Which.
        name: String,
        /// `account` or a symbol.
        scope: String,
    },
    /// A strategy out of restarts.
    Quarantine(String),
}

/// An order that passed the gate, or a change of one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Approved {
    /// The intent; a change may have none.
    #[serde(default)]
    pub intent: Option<Intent>,
    /// The order.
    pub order: Order,
    /// Its canonical hash, in hex.
    pub hash: String,
    /// Who agreed.
    pub approvals: Vec<Approval>,
    /// How many had to.
    pub clearance: Clearance,
    /// On what.
    pub evidence: Evidence,
}

/// The records that say something to check. The names are those of the journal's records.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[expect(missing_docs, reason = "the same words as in the journal's records")]
pub enum Fact {
    Started {},
    IntentApproved(Box<Approved>),
    Sent {
        order_id: i64,
        hash: String,
    },
    SendRefused {
        order_id: i64,
    },
    Acknowledged {
        order_id: i64,
        perm_id: i64,
    },
    ModifyApproved(Box<Approved>),
    Modified {
        order_id: i64,
        quantity: i64,
    },
    ModifyRejected {
        order_id: i64,
    },
    Ended {
        order_id: i64,
        end: EndState,
    },
    Unknown {
        order_id: i64,
    },
    Abandoned {
        order_id: i64,
        proof: String,
    },
    Reappeared {
        order_id: i64,
        perm_id: i64,
    },
    Filled {
        fill: Fill,
        strategy: Option<String>,
        #[serde(default)]
        terms: Option<Terms>,
    },
    Corrected {
        replaced: String,
        fill: Fill,
        strategy: Option<String>,
        #[serde(default)]
        terms: Option<Terms>,
    },
    Busted {
        exec_id: String,
    },
    ComboChecked {
        execution: ComboExecution,
    },
    Fee {
        exec_id: String,
        amount: i64,
        currency: Currency,
    },
    Lifecycle {
        event: LifecycleEvent,
        shares: Vec<(String, ConId, i64)>,
        #[serde(default)]
        terms: Vec<(ConId, Terms)>,
    },
    Reconciled {
        report: Reconciliation,
    },
    ContractRestricted {
        con_id: ConId,
        restricted: bool,
    },
    Tripped {
        latch: Latch,
        state: TradingState,
        halt_epoch: u64,
    },
    Released {
        latch: Latch,
    },
}

/// What a record is to the auditor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Something to check.
    Fact(Fact),
    /// Known, with nothing to check in it.
    PassedOver,
    /// A kind that this build does not know.
    UnknownKind,
}

/// A record of a known kind whose payload can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FactError {
    /// Written by a newer build.
    #[error(
        "schema version {0} is newer than {SCHEMA_VERSION}; audit with the build that wrote it"
    )]
    Newer(u16),
    /// Not what its kind says.
    #[error("the payload can't be decoded: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// The tag in the payload belongs to another kind.
    #[error("the envelope says kind {kind}, the payload is of kind {tagged}")]
    OtherKind {
        /// The envelope's.
        kind: u16,
        /// The payload's.
        tagged: u16,
    },
}

impl Fact {
    /// The frozen number of the kind in the envelope.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Started { .. } => 1,
            Self::IntentApproved(_) => 2,
            Self::Sent { .. } => 4,
            Self::SendRefused { .. } => 5,
            Self::Acknowledged { .. } => 6,
            Self::ModifyApproved(_) => 7,
            Self::Modified { .. } => 8,
            Self::ModifyRejected { .. } => 9,
            Self::Ended { .. } => 12,
            Self::Unknown { .. } => 13,
            Self::Abandoned { .. } => 14,
            Self::Reappeared { .. } => 15,
            Self::Filled { .. } => 16,
            Self::Corrected { .. } => 17,
            Self::Busted { .. } => 18,
            Self::ComboChecked { .. } => 19,
            Self::Fee { .. } => 20,
            Self::Lifecycle { .. } => 21,
            Self::Reconciled { .. } => 22,
            Self::ContractRestricted { .. } => 25,
            Self::Tripped { .. } => 26,
            Self::Released { .. } => 27,
        }
    }
}

/// Reads a record.
pub fn read(kind: u16, schema_version: u16, payload: &[u8]) -> Result<Reading, FactError> {
    if kind == store::envelope::CONTROL_KIND {
        return Ok(Reading::PassedOver);
    }
    if kind > CHECKPOINT {
        return Ok(Reading::UnknownKind);
    }
    if schema_version > SCHEMA_VERSION {
        return Err(FactError::Newer(schema_version));
    }
    if kind == CHECKPOINT || PASSED_OVER.contains(&kind) {
        return Ok(Reading::PassedOver);
    }
    let fact: Fact = rmp_serde::from_slice(payload)?;
    let tagged = fact.kind();
    if tagged == kind {
        Ok(Reading::Fact(fact))
    } else {
        Err(FactError::OtherKind { kind, tagged })
    }
}
