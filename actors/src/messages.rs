//! What the roles on the way of an order, and those that guard it, tell each other.
//!
//! The roles know these words and not one another: who stands behind a reference may be killed and
//! come back. Roles that nobody on that way answers (feeds, pricing, meters, the journal) keep
//! their own words in their own files.

use crate::runtime::role::RoleMessage;
use crate::runtime::role_ref::RoleRef;
use broker::link::{HumanCause, LinkState};
use broker::port::{BrokerEvent, WriteError};
use desk::desk::DeskAnswer;
use desk::reconcile::RoundResult;
use desk::record::Latch;
use market::instrument::Instrument;
use market::time::Date;
use risk::breaker::BreakerEvent;
use risk::breaker::watch::Watch;
use risk::cleared::Cleared;
use std::sync::Arc;
use store::Seq;
use tokio::sync::oneshot;
use trading::id::{OrderId, StrategyId};
use trading::intent::Intent;
use trading::order::{Order, OrderHash};
use trading::report::{Answer, Question, Report};
use trading::trading_state::{HaltEpoch, TradingState};

/// Where the link stands, for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// The state.
    pub state: LinkState,
    /// The generation that it belongs to.
    pub generation: u32,
    /// Why a person is asked for, while one is.
    pub human: Option<HumanCause>,
}

/// What the session is told.
#[derive(Debug)]
pub enum SessionMessage {
    /// Write a new order.
    Place(Cleared<Order>),
    /// Write a changed order.
    Modify(Cleared<Order>),
    /// Ask for a cancel; passes in every state of the link that has a connection.
    Cancel(OrderId),
    /// Ask the broker.
    Ask {
        /// Comes back with the answer.
        ticket: u64,
        /// What.
        question: Question,
    },
    /// The broker said something.
    Event {
        /// Through which connection.
        generation: u32,
        /// What.
        event: Box<BrokerEvent>,
    },
    /// The desk has taken in a complete reconciliation.
    Reconciled {
        /// Within which connection it was asked.
        generation: u32,
    },
}

impl RoleMessage for SessionMessage {
    fn duplicate(&self) -> Option<Self> {
        match self {
            Self::Event { generation, event } => {
                Some(Self::Event { generation: *generation, event: event.clone() })
            }
            Self::Reconciled { generation } => Some(Self::Reconciled { generation: *generation }),
            // A clearance can't be copied: that is its point. A cancel or a question may come
            // twice.
            Self::Cancel(order_id) => Some(Self::Cancel(*order_id)),
            Self::Ask { ticket, question } => {
                Some(Self::Ask { ticket: *ticket, question: *question })
            }
            Self::Place(_) | Self::Modify(_) => None,
        }
    }

    fn may_drop(&self) -> bool {
        // A real network loses reports; reconciliation has to find them.
        match self {
            Self::Event { event, .. } => matches!(**event, BrokerEvent::Report(_)),
            Self::Place(_)
            | Self::Modify(_)
            | Self::Cancel(_)
            | Self::Ask { .. }
            | Self::Reconciled { .. } => false,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Place(_) => "place",
            Self::Modify(_) => "modify",
            Self::Cancel(_) => "cancel",
            Self::Ask { .. } => "ask",
            Self::Event { .. } => "event",
            Self::Reconciled { .. } => "reconciled",
        }
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendOutcome {
    /// The order.
    pub order_id: OrderId,
    /// The hash of what was written, or why nothing was (or perhaps was).
    pub result: Result<OrderHash, WriteError>,
    /// It was a modify.
    pub modify: bool,
}

/// What the desk is told.
#[derive(Debug)]
pub enum DeskMessage {
    /// A strategy wants something.
    Intent(Box<Intent>),
    /// A strategy asks where it stands.
    Attach(StrategyId),
    /// The broker said something.
    Report(Box<Report>),
    /// The broker link changed.
    Link(LinkStatus),
    /// The broker's next valid order id.
    NextOrderId(OrderId),
    /// What became of a write.
    SendOutcome(SendOutcome),
    /// A reconciliation ended.
    Reconciled(Box<RoundResult>),
    /// Cancel all own working orders.
    Halt {
        /// Why.
        reason: String,
    },
    /// Cancel a strategy's working orders.
    CancelStrategy {
        /// Whose.
        strategy: StrategyId,
        /// Why.
        reason: String,
    },
    /// An exchange day began.
    Day(Date),
    /// The journal is durable up to here.
    Durable(Seq),
    /// Prove to the auditor that the live state is the fold of the journal.
    Prove,
}

impl RoleMessage for DeskMessage {
    fn duplicate(&self) -> Option<Self> {
        match self {
            Self::Intent(intent) => Some(Self::Intent(intent.clone())),
            Self::Attach(strategy) => Some(Self::Attach(strategy.clone())),
            Self::Report(report) => Some(Self::Report(report.clone())),
            Self::Link(status) => Some(Self::Link(*status)),
            Self::SendOutcome(outcome) => Some(Self::SendOutcome(outcome.clone())),
            Self::Durable(seq) => Some(Self::Durable(*seq)),
            Self::NextOrderId(order_id) => Some(Self::NextOrderId(*order_id)),
            Self::Prove => Some(Self::Prove),
            Self::Reconciled(_)
            | Self::Halt { .. }
            | Self::CancelStrategy { .. }
            | Self::Day(_) => None,
        }
    }

    fn may_drop(&self) -> bool {
        // Reports can be lost on a real connection; reconciliation finds them.
        matches!(self, Self::Report(_) | Self::Prove)
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Intent(_) => "intent",
            Self::Attach(_) => "attach",
            Self::Report(_) => "report",
            Self::Link(_) => "link",
            Self::NextOrderId(_) => "next_order_id",
            Self::SendOutcome(_) => "send_outcome",
            Self::Reconciled(_) => "reconciled",
            Self::Halt { .. } => "halt",
            Self::CancelStrategy { .. } => "cancel_strategy",
            Self::Day(_) => "day",
            Self::Durable(_) => "durable",
            Self::Prove => "prove",
        }
    }
}

/// What the reconciler is told.
#[derive(Clone, Debug)]
pub enum ReconcilerMessage {
    /// The broker link changed.
    Link(LinkStatus),
    /// Someone wants a reconciliation.
    Request(String),
    /// A new incarnation of the desk: it isn't ready before it has been told.
    DeskStarted,
    /// The broker reported something live.
    Stirred,
    /// A complete answer.
    Answer {
        /// Of which question.
        ticket: u64,
        /// It.
        answer: Box<Answer>,
    },
}

impl RoleMessage for ReconcilerMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn may_drop(&self) -> bool {
        matches!(self, Self::Answer { .. } | Self::Request(_))
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::Request(_) => "request",
            Self::DeskStarted => "desk_started",
            Self::Stirred => "stirred",
            Self::Answer { .. } => "answer",
        }
    }
}

/// What the risk book is told.
#[derive(Clone, Debug)]
pub enum RiskMessage {
    /// The desk's picture changed.
    Desk,
    /// A view changed.
    Market,
}

impl RoleMessage for RiskMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn may_drop(&self) -> bool {
        true
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Desk => "desk",
            Self::Market => "market",
        }
    }
}

/// What a strategy is told.
#[derive(Debug)]
pub enum StrategyMessage {
    /// A new view is there.
    Market,
    /// The desk answers.
    Desk(Box<DeskAnswer>),
    /// A new incarnation of the desk: attach again.
    DeskStarted,
    /// The trading states changed.
    States,
    /// Its product has new instruments.
    Listed(Arc<[Instrument]>),
}

impl RoleMessage for StrategyMessage {
    fn duplicate(&self) -> Option<Self> {
        match self {
            Self::Market => Some(Self::Market),
            Self::Desk(answer) => Some(Self::Desk(answer.clone())),
            Self::DeskStarted => Some(Self::DeskStarted),
            Self::States => Some(Self::States),
            Self::Listed(instruments) => Some(Self::Listed(Arc::clone(instruments))),
        }
    }

    fn may_drop(&self) -> bool {
        matches!(self, Self::Market)
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Desk(_) => "desk",
            Self::DeskStarted => "desk_started",
            Self::States => "states",
            Self::Listed(_) => "listed",
        }
    }
}

/// What the caretaker is told.
#[derive(Clone, Debug)]
pub enum CaretakerMessage {
    /// A new view is there.
    Market,
    /// The trading states changed.
    States,
    /// A new incarnation of the desk: attach again.
    DeskStarted,
    /// The desk answers to a strategy that is down.
    Desk {
        /// Which.
        strategy: StrategyId,
        /// What.
        answer: Box<DeskAnswer>,
    },
    /// A product has new instruments.
    Listed(Arc<[Instrument]>),
}

impl RoleMessage for CaretakerMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn may_drop(&self) -> bool {
        matches!(self, Self::Market)
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::States => "states",
            Self::DeskStarted => "desk_started",
            Self::Desk { .. } => "desk",
            Self::Listed(_) => "listed",
        }
    }
}

/// What a breaker is told.
#[derive(Clone, Debug)]
pub enum BreakerMessage {
    /// Something to judge.
    Event(BreakerEvent),
    /// A person released the latch.
    Released {
        /// Which breaker.
        name: String,
        /// What it guards.
        scope: String,
    },
}

impl BreakerMessage {
    /// Tells those breakers whom it concerns. One that is down now hears the next figures; what it
    /// counted is gone with it anyway.
    pub fn tell(breakers: &[(Watch, RoleRef<Self>)], event: &BreakerEvent) {
        for (_, breaker) in breakers.iter().filter(|(watch, _)| watch.hears(event)) {
            breaker.send_or_drop(Self::Event(event.clone()));
        }
    }
}

impl RoleMessage for BreakerMessage {
    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn may_drop(&self) -> bool {
        // The next view or result says the same again; a rejection is counted once.
        matches!(self, Self::Event(BreakerEvent::Day(_) | BreakerEvent::View { .. }))
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::Released { .. } => "released",
        }
    }
}

/// An acknowledged halt: no new or enlarged order reaches the wire from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltAcknowledged {
    /// What was cleared before this epoch is never written.
    pub halt_epoch: HaltEpoch,
}

/// What the kill switch is told.
#[derive(Debug)]
pub enum KillSwitchMessage {
    /// Halt.
    Halt {
        /// Why.
        reason: String,
        /// Answered once nothing more can reach the wire.
        reply: Option<oneshot::Sender<Result<HaltAcknowledged, String>>>,
    },
    /// The wire fence was halted without this role (watchdog): latch it.
    Fenced {
        /// Why.
        reason: String,
    },
    /// Release every latch: the halt, the breakers, the quarantines.
    Resume {
        /// By whom.
        by: String,
        /// Answered once it is recorded.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A latch trips.
    Trip {
        /// Which.
        latch: Latch,
        /// What it leads to.
        state: TradingState,
        /// Why.
        reason: String,
    },
}

impl RoleMessage for KillSwitchMessage {
    fn label(&self) -> &'static str {
        match self {
            Self::Halt { .. } => "halt",
            Self::Fenced { .. } => "fenced",
            Self::Resume { .. } => "resume",
            Self::Trip { .. } => "trip",
        }
    }
}
