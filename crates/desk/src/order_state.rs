//! The table of an order: what each event does in each state. No cell is unreachable.
//!
//! Why a table: orders go wrong where two events cross (a cancel and a fill, a modify and a lost
//! link), so each crossing has a defined effect. [`cell`] is the table; the desk carries its acts
//! out, and `cell` matches exhaustively, so a new state or event does not compile until each of its
//! cells is thought of. Here the table in words (`=` stays, `?` reconciles, `!` alarms, back is
//! reappeared; fills decide between working, partly filled and filled). The columns: Pending, Sent,
//! Working or partly filled, Filled, Cancel pending, Ended, Inactive, Unknown, Abandoned.
//!
//! | event | P | S | W | F | C | E | I | U | A |
//! |---|---|---|---|---|---|---|---|---|---|
//! | send ok | sent | = | = | = | = | = | = | = | = |
//! | send refused | rejected | ! | ! | ! | ! | = | = | rejected | = |
//! | send lost, link lost | Unknown (link lost: =) | Unknown | ? | = | ? | = | = | = | = |
//! | acknowledged | working | working | = | = | = | ? | ? | working | back |
//! | status | working | working | compare | compare | compare | compare | compare | working | ? |
//! | fill | ack, book | ack, book | book | book! | book | book | book? | ack, book | back, book |
//! | fill beyond | as a fill, with alarm and reconcile in every state |||||||||
//! | correction, bust | books in every state; a bust can make filled partly filled again |||||||||
//! | cancel asked | ask | ask | cancel pending | = | ask again | = | ask | ask | = |
//! | cancel rejected | ? | ? | ? | = | working? | = | ? | ? | = |
//! | ended otherwise, rejected | end | end | end | end | end | = (another: ?) | end | end | end |
//! | ended inactive | inactive, ask cancel ||||| ? | = | inactive, ask cancel ||
//! | restart | Unknown | Unknown | = | = | = | = | = | = | = |
//! | found open | working | working | compare | ? | = | back | ask cancel | working | back |
//! | found completed | end in every state that has not ended |||||||||
//! | absent, unproven | = | = | Unknown! | = | Unknown! | = | Unknown! | = | = |
//! | absent, proven | = | Unknown | Unknown! | = | Unknown! | = | Unknown! | Abandoned | = |
//! | time in force over | = | Unknown | Unknown! | = | Unknown! | = | Unknown! | Abandoned | = |
//! | modify asked | deny | deny | modify | deny | deny | deny | deny | deny | deny |
//! | modified, modify rejected | note | note | note | note | note | = | note | note | = |
//! | second permanent id | in every state: cancel all, alarm |||||||||
//!
//! An end other than filled that is heard before the link is reconciled waits for the
//! reconciliation, because executions before it may have been lost.

use serde::{Deserialize, Serialize};

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OrderState {
    /// Approved and reserved; its send waits for its record to be durable.
    Pending,
    /// Written to the wire, not answered.
    Sent,
    /// With the broker, nothing filled.
    Working,
    /// With the broker, filled in part.
    PartlyFilled,
    /// Executions for every unit are booked, or the broker said filled.
    Filled,
    /// We asked for a cancel of an acknowledged order.
    CancelPending,
    /// Canceled.
    Canceled,
    /// Its time in force ended.
    Expired,
    /// Refused by the broker, or by the session before it left.
    Rejected,
    /// Held by the broker without working: it may work again, so its reservation stays.
    Inactive,
    /// Sent, or perhaps sent, without an answer.
    Unknown,
    /// Proven absent; its key is burnt.
    Abandoned,
}

impl OrderState {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::Sent,
        Self::Working,
        Self::PartlyFilled,
        Self::Filled,
        Self::CancelPending,
        Self::Canceled,
        Self::Expired,
        Self::Rejected,
        Self::Inactive,
        Self::Unknown,
        Self::Abandoned,
    ];

    /// It may still fill, as far as we know.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Pending
            | Self::Sent
            | Self::Working
            | Self::PartlyFilled
            | Self::CancelPending
            | Self::Inactive
            | Self::Unknown => true,
            Self::Filled | Self::Canceled | Self::Expired | Self::Rejected | Self::Abandoned => {
                false
            }
        }
    }

    /// Its name in JSON, metrics and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Working => "working",
            Self::PartlyFilled => "partly_filled",
            Self::Filled => "filled",
            Self::CancelPending => "cancel_pending",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Inactive => "inactive",
            Self::Unknown => "unknown",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What can happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderEvent {
    /// The session wrote it.
    SendOk,
    /// The session refused it: no byte left.
    SendRefused,
    /// The session can't say whether it left.
    SendLost,
    /// The broker has it.
    Acknowledged,
    /// The broker reported filled and remaining.
    Status,
    /// An execution that leaves something to fill.
    FillPart,
    /// An execution that completes it.
    FillWhole,
    /// An execution beyond its quantity.
    FillBeyond,
    /// A correction of one of its executions.
    Correction,
    /// One of its executions was taken back.
    Bust,
    /// The desk wants it gone.
    CancelAsked,
    /// The broker refused the cancel.
    CancelRejected,
    /// The broker says filled.
    EndedFilled,
    /// The broker says canceled.
    EndedCanceled,
    /// The broker says expired.
    EndedExpired,
    /// The broker holds it without working it.
    EndedInactive,
    /// The broker refused it.
    Rejected,
    /// The broker link broke.
    LinkLost,
    /// The desk started again.
    Restarted,
    /// A reconciliation found it working.
    FoundOpen,
    /// A reconciliation found it completed.
    FoundCompleted,
    /// A complete reconciliation did not find it; the rule is not yet fulfilled.
    AbsentUnproven,
    /// The rule is fulfilled: absent twice, far enough apart, in one link generation.
    AbsentProven,
    /// A complete reconciliation did not find it and its time in force has ended.
    TimeInForceEnded,
    /// The desk wants another limit or quantity.
    ModifyAsked,
    /// A modify took effect.
    Modified,
    /// A modify was refused.
    ModifyRejected,
    /// Another permanent id carries its reference.
    SecondPermId,
}

impl OrderEvent {
    /// Every event.
    pub const ALL: [Self; 28] = [
        Self::SendOk,
        Self::SendRefused,
        Self::SendLost,
        Self::Acknowledged,
        Self::Status,
        Self::FillPart,
        Self::FillWhole,
        Self::FillBeyond,
        Self::Correction,
        Self::Bust,
        Self::CancelAsked,
        Self::CancelRejected,
        Self::EndedFilled,
        Self::EndedCanceled,
        Self::EndedExpired,
        Self::EndedInactive,
        Self::Rejected,
        Self::LinkLost,
        Self::Restarted,
        Self::FoundOpen,
        Self::FoundCompleted,
        Self::AbsentUnproven,
        Self::AbsentProven,
        Self::TimeInForceEnded,
        Self::ModifyAsked,
        Self::Modified,
        Self::ModifyRejected,
        Self::SecondPermId,
    ];
}

/// One thing that the desk does about an event. Records are written once: what the state already
/// says is not written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Record `Sent`.
    RecordSent,
    /// Record `SendRefused`.
    RecordRefused,
    /// Record `Acknowledged`.
    Acknowledge,
    /// Record the execution, its correction or its bust.
    Book,
    /// Record `Ended` as reported.
    End,
    /// Record `Unknown`.
    BecomeUnknown,
    /// Record `Abandoned`.
    Abandon,
    /// Record `Reappeared`.
    Reappear,
    /// Record `CancelRequested` and send a cancel.
    AskCancel,
    /// Send a cancel again, within the backoff.
    AskAgain,
    /// Record `CancelRejected`.
    NoteCancelRejected,
    /// Record `ModifyApproved` and send.
    Modify,
    /// Record `Modified` or `ModifyRejected` if one is in flight or the terms differ.
    SettleModify,
    /// Compare what the broker says with what is booked.
    Compare,
    /// Ask for a reconciliation.
    Reconcile,
    /// Tell a person.
    Alarm,
    /// Deny the intent that wanted it.
    Deny,
}

/// Where an event leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The state does not change.
    Stay,
    /// This state.
    To(OrderState),
    /// Working, partly filled or filled, as the booked executions say.
    ByFills,
    /// As the reported end says.
    ByReport,
}

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is done, in this order; nothing means that the event says nothing new.
    pub acts: &'static [Act],
    /// Where it leads.
    pub next: Next,
}

const fn go(acts: &'static [Act], next: Next) -> Cell {
    Cell { acts, next }
}

const SAME: Cell = go(&[], Next::Stay);

/// The cell of a state and an event.
#[must_use]
pub const fn cell(state: OrderState, event: OrderEvent) -> Cell {
    use Act::*;
    use OrderEvent as E;
    use OrderState as S;
    match event {
        E::SendOk => match state {
            S::Pending => go(&[RecordSent], Next::To(S::Sent)),
            // The write is a fact, whatever overtook the news of it.
            S::Working | S::PartlyFilled | S::Filled | S::CancelPending | S::Unknown => {
                go(&[RecordSent], Next::Stay)
            }
            S::Canceled | S::Expired | S::Rejected | S::Inactive | S::Abandoned => {
                go(&[RecordSent], Next::Stay)
            }
            S::Sent => SAME,
        },
        E::SendRefused => match state {
            S::Pending | S::Unknown => go(&[RecordRefused], Next::To(S::Rejected)),
            S::Sent | S::Working | S::PartlyFilled | S::Filled | S::CancelPending => {
                go(&[Alarm, Reconcile], Next::Stay)
            }
            S::Canceled | S::Expired | S::Rejected | S::Inactive | S::Abandoned => SAME,
        },
        E::SendLost => match state {
            S::Pending | S::Sent => go(&[BecomeUnknown, Reconcile], Next::To(S::Unknown)),
            S::Working | S::PartlyFilled | S::CancelPending | S::Unknown => {
                go(&[Reconcile], Next::Stay)
            }
            S::Filled | S::Canceled | S::Expired | S::Rejected | S::Inactive | S::Abandoned => SAME,
        },
        E::Acknowledged => match state {
            S::Pending | S::Sent | S::Unknown => go(&[Acknowledge], Next::ByFills),
            S::Working | S::PartlyFilled | S::Filled | S::CancelPending => SAME,
            // A late echo or a resurrection: only asking can tell.
            S::Canceled | S::Expired | S::Rejected | S::Inactive => go(&[Reconcile], Next::Stay),
            S::Abandoned => go(&[Reappear, AskCancel, Alarm], Next::To(S::CancelPending)),
        },
        E::Status => match state {
            S::Pending | S::Sent | S::Unknown => go(&[Acknowledge, Compare], Next::ByFills),
            S::Working | S::PartlyFilled | S::Filled | S::CancelPending => {
                go(&[Compare], Next::Stay)
            }
            S::Canceled | S::Expired | S::Rejected | S::Inactive => go(&[Compare], Next::Stay),
            S::Abandoned => go(&[Reconcile], Next::Stay),
        },
        E::FillPart | E::FillWhole => match state {
            S::Pending | S::Sent | S::Unknown => go(&[Acknowledge, Book], Next::ByFills),
            S::Working | S::PartlyFilled | S::CancelPending => go(&[Book], Next::ByFills),
            S::Filled => go(&[Book, Alarm, Reconcile], Next::Stay),
            // The fill crossed our cancel, or its news the end's.
            S::Canceled | S::Expired => go(&[Book], Next::ByFills),
            S::Rejected | S::Inactive => go(&[Book, Reconcile], Next::ByFills),
            S::Abandoned => go(&[Reappear, Book, AskCancel, Alarm], Next::ByFills),
        },
        E::FillBeyond => match state {
            S::Pending | S::Sent | S::Unknown => {
                go(&[Acknowledge, Book, Alarm, Reconcile], Next::ByFills)
            }
            S::Working
            | S::PartlyFilled
            | S::CancelPending
            | S::Filled
            | S::Canceled
            | S::Expired
            | S::Rejected
            | S::Inactive => go(&[Book, Alarm, Reconcile], Next::ByFills),
            S::Abandoned => go(&[Reappear, Book, Alarm, Reconcile], Next::ByFills),
        },
        E::Correction | E::Bust => go(&[Book], Next::ByFills),
        E::CancelAsked => match state {
            S::Pending | S::Sent | S::Unknown | S::Inactive => go(&[AskCancel], Next::Stay),
            S::Working | S::PartlyFilled => go(&[AskCancel], Next::To(S::CancelPending)),
            S::CancelPending => go(&[AskAgain], Next::Stay),
            S::Filled | S::Canceled | S::Expired | S::Rejected | S::Abandoned => SAME,
        },
        E::CancelRejected => match state {
            // It says nothing about the order: it may have filled, or never have arrived.
            S::CancelPending => go(&[NoteCancelRejected, Reconcile], Next::ByFills),
            S::Pending | S::Sent | S::Working | S::PartlyFilled | S::Inactive | S::Unknown => {
                go(&[NoteCancelRejected, Reconcile], Next::Stay)
            }
            S::Filled | S::Canceled | S::Expired | S::Rejected | S::Abandoned => SAME,
        },
        E::EndedFilled | E::EndedCanceled | E::EndedExpired | E::Rejected => match state {
            S::Pending
            | S::Sent
            | S::Working
            | S::PartlyFilled
            | S::CancelPending
            | S::Filled
            | S::Inactive
            | S::Unknown
            | S::Abandoned => go(&[End], Next::ByReport),
            S::Canceled | S::Expired | S::Rejected => go(&[Compare], Next::Stay),
        },
        E::EndedInactive => match state {
            S::Pending
            | S::Sent
            | S::Working
            | S::PartlyFilled
            | S::CancelPending
            | S::Unknown
            | S::Abandoned => go(&[End, AskCancel], Next::To(S::Inactive)),
            S::Canceled | S::Expired | S::Rejected | S::Filled => go(&[Reconcile], Next::Stay),
            S::Inactive => SAME,
        },
        E::LinkLost => match state {
            S::Sent => go(&[BecomeUnknown], Next::To(S::Unknown)),
            // Not written yet: the session refuses it and says so.
            S::Pending => SAME,
            S::Working | S::PartlyFilled | S::Filled | S::CancelPending | S::Unknown => SAME,
            S::Canceled | S::Expired | S::Rejected | S::Inactive | S::Abandoned => SAME,
        },
        E::Restarted => match state {
            S::Pending | S::Sent => go(&[BecomeUnknown], Next::To(S::Unknown)),
            S::Working | S::PartlyFilled | S::Filled | S::CancelPending | S::Unknown => SAME,
            S::Canceled | S::Expired | S::Rejected | S::Inactive | S::Abandoned => SAME,
        },
        E::FoundOpen => match state {
            S::Pending | S::Sent | S::Unknown => go(&[Acknowledge, SettleModify], Next::ByFills),
            S::Working | S::PartlyFilled => go(&[SettleModify, Compare], Next::Stay),
            S::CancelPending => go(&[SettleModify], Next::Stay),
            S::Filled => go(&[Reconcile], Next::Stay),
            S::Inactive => go(&[AskCancel], Next::Stay),
            S::Canceled | S::Expired | S::Rejected | S::Abandoned => {
                go(&[Reappear, AskCancel, Alarm], Next::To(S::CancelPending))
            }
        },
        E::FoundCompleted => match state {
            S::Pending
            | S::Sent
            | S::Working
            | S::PartlyFilled
            | S::CancelPending
            | S::Filled
            | S::Inactive
            | S::Unknown
            | S::Abandoned => go(&[End, Compare], Next::ByReport),
            S::Canceled | S::Expired | S::Rejected => go(&[Compare], Next::Stay),
        },
        E::AbsentUnproven => match state {
            S::Pending | S::Sent | S::Unknown | S::Abandoned => SAME,
            S::Working | S::PartlyFilled | S::CancelPending | S::Inactive => {
                go(&[BecomeUnknown, Alarm], Next::To(S::Unknown))
            }
            S::Filled | S::Canceled | S::Expired | S::Rejected => SAME,
        },
        E::AbsentProven | E::TimeInForceEnded => match state {
            S::Pending => SAME,
            S::Sent => go(&[BecomeUnknown], Next::To(S::Unknown)),
            S::Working | S::PartlyFilled | S::CancelPending | S::Inactive => {
                go(&[BecomeUnknown, Alarm], Next::To(S::Unknown))
            }
            S::Unknown => go(&[Abandon], Next::To(S::Abandoned)),
            S::Filled | S::Canceled | S::Expired | S::Rejected | S::Abandoned => SAME,
        },
        E::ModifyAsked => match state {
            S::Working | S::PartlyFilled => go(&[Modify], Next::Stay),
            S::Pending | S::Sent | S::Filled | S::CancelPending | S::Unknown => {
                go(&[Deny], Next::Stay)
            }
            S::Canceled | S::Expired | S::Rejected | S::Inactive | S::Abandoned => {
                go(&[Deny], Next::Stay)
            }
        },
        E::Modified | E::ModifyRejected => match state {
            S::Pending | S::Sent | S::Working | S::PartlyFilled | S::Filled => {
                go(&[SettleModify], Next::ByFills)
            }
            S::CancelPending | S::Inactive | S::Unknown => go(&[SettleModify], Next::Stay),
            S::Canceled | S::Expired | S::Rejected | S::Abandoned => SAME,
        },
        E::SecondPermId => go(&[Reappear, AskCancel, Alarm, Reconcile], Next::To(S::CancelPending)),
    }
}
