//! Canceling one installation's working orders with nothing of the node left: what to ask, what to
//! cancel, when it is over.
//!
//! The broker's word is never taken once: two complete answers in a row, on one connection and some
//! time apart, have to show nothing of ours that we could cancel. A connection that breaks is made
//! again, and what was done before stays in the report. All of it within a deadline. Left to
//! others: the socket (`ib`), which reference is ours (the caller), the words of the report.

use market::time::ProcessTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two attempts to connect.
const CONNECT_AGAIN: Duration = Duration::from_millis(500);
/// After cancels, before the broker is asked whether they have worked.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// Between an answer that shows nothing of ours and the one that confirms it: an order that was
/// under way has arrived by then.
const CONFIRM_AFTER: Duration = Duration::from_millis(500);
/// A cancel without an effect is sent again after this.
const CANCEL_AGAIN: Duration = Duration::from_secs(2);
/// Answers in a row that have to agree that nothing is left to cancel.
const CONFIRMATIONS: u32 = 2;

/// A working order as the broker names it. Nothing of its terms is needed, so nothing of them can
/// be misread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkingOrder {
    /// The broker's permanent number.
    pub perm_id: i64,
    /// The number under which its client placed it.
    pub order_id: i32,
    /// The client that placed it: no other may cancel it.
    pub client: i32,
    /// The order reference.
    pub reference: String,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Filled whole.
    Filled,
    /// It works no more and was not filled whole.
    Canceled,
}

/// An order that the broker lists as ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndedOrder {
    /// The broker's permanent number.
    pub perm_id: i64,
    /// How.
    pub ending: Ending,
    /// Units filled before that.
    pub filled: f64,
}

/// What comes back from the broker.
#[derive(Clone, Debug, PartialEq)]
pub enum SweepEvent {
    /// The connection stands.
    Connected,
    /// It can't be made, or is gone.
    Lost {
        /// Why, in words.
        reason: String,
    },
    /// What works.
    Open {
        /// The orders that could be read.
        orders: Vec<WorkingOrder>,
        /// Why there may be more, in words; none if these are all.
        missing: Option<String>,
    },
    /// The cancels are written.
    Written,
    /// What has ended, as far as the broker told it.
    Ended(Vec<EndedOrder>),
}

/// What to do next; each is answered with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepStep {
    /// Connect at this time.
    Connect(ProcessTime),
    /// Ask at this time what works.
    AskOpen(ProcessTime),
    /// Cancel these numbers.
    Cancel(Vec<i32>),
    /// Ask how orders ended.
    AskEnded,
    /// It is over: look at the report.
    Done,
}

/// What became of an order of ours.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It still works, or did when it was last seen.
    Works,
    /// It works no more; the broker didn't say how it ended.
    Gone,
    /// So it ended.
    Ended(Ending, f64),
}

/// An order of ours that was seen working.
#[derive(Clone, Debug, PartialEq)]
pub struct SweptOrder {
    /// As the broker named it.
    pub order: WorkingOrder,
    /// What became of it.
    pub outcome: Outcome,
    canceled_at: Option<ProcessTime>,
}

/// When to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepDeadlines {
    /// Without a first connection by then.
    pub connected: ProcessTime,
    /// In any case.
    pub done: ProcessTime,
}

/// The machine.
#[derive(Debug)]
pub struct Sweep {
    own_client: i32,
    deadlines: SweepDeadlines,
    /// By client and its number: the permanent one is 0 until the broker has acknowledged.
    seen: BTreeMap<(i32, i32), SweptOrder>,
    others: usize,
    connections: u32,
    /// Complete answers in a row with nothing to cancel.
    quiet: u32,
    trouble: Option<String>,
}

impl Sweep {
    /// Cancels under this client id. Begins with a connection, at once.
    #[must_use]
    pub fn new(own_client: i32, deadlines: SweepDeadlines) -> Self {
        let (seen, others, connections, quiet) = (BTreeMap::new(), 0, 0, 0);
        Self { own_client, deadlines, seen, others, connections, quiet, trouble: None }
    }

    /// Takes an event at `now`; `is_ours` judges a reference.
    pub fn on(
        &mut self,
        event: SweepEvent,
        is_ours: impl Fn(&str) -> bool,
        now: ProcessTime,
    ) -> SweepStep {
        match event {
            SweepEvent::Connected => {
                self.connections += 1;
                // What was sent before may never have arrived.
                self.seen.values_mut().for_each(|one| one.canceled_at = None);
                SweepStep::AskOpen(now)
            }
            SweepEvent::Lost { reason } => self.lost(reason, now),
            SweepEvent::Open { orders, missing } => self.open(orders, missing, is_ours, now),
            SweepEvent::Written => SweepStep::AskOpen(now + ASK_AGAIN),
            SweepEvent::Ended(ended) => {
                for swept in self.seen.values_mut() {
                    let found = ended.iter().find(|one| one.perm_id == swept.order.perm_id);
                    if let Some(one) = found.filter(|_| swept.outcome == Outcome::Gone) {
                        swept.outcome = Outcome::Ended(one.ending, one.filled);
                    }
                }
                SweepStep::Done
            }
        }
    }

    /// Orders of ours that were seen working.
    pub fn orders(&self) -> impl Iterator<Item = &SweptOrder> {
        self.seen.values()
    }

    /// Working orders that are not ours, when last told.
    #[must_use]
    pub const fn others(&self) -> usize {
        self.others
    }

    /// Connections that were made.
    #[must_use]
    pub const fn connections(&self) -> u32 {
        self.connections
    }

    /// Nothing is left that this client could cancel, by two answers in a row.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.quiet >= CONFIRMATIONS
    }

    /// What last went wrong, in words.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn lost(&mut self, reason: String, now: ProcessTime) -> SweepStep {
        self.trouble = Some(reason);
        let deadline =
            if self.connections == 0 { self.deadlines.connected } else { self.deadlines.done };
        if self.is_confirmed() || now >= deadline {
            // How orders ended is only for the report.
            return SweepStep::Done;
        }
        self.quiet = 0;
        SweepStep::Connect(now + CONNECT_AGAIN)
    }

    fn open(
        &mut self,
        orders: Vec<WorkingOrder>,
        missing: Option<String>,
        is_ours: impl Fn(&str) -> bool,
        now: ProcessTime,
    ) -> SweepStep {
        let is_complete = missing.is_none();
        let told = orders.len();
        let ours: Vec<WorkingOrder> =
            orders.into_iter().filter(|order| is_ours(&order.reference)).collect();
        self.others = told - ours.len();
        if is_complete {
            for swept in self.seen.values_mut() {
                let works = ours.iter().any(|order| key(order) == key(&swept.order));
                if !works && swept.outcome == Outcome::Works {
                    swept.outcome = Outcome::Gone;
                }
            }
        }
        let mut to_cancel = Vec::new();
        let mut works = false;
        for order in ours {
            let may_cancel = order.client == self.own_client && order.order_id > 0;
            let number = order.order_id;
            let swept = self.seen.entry(key(&order)).or_insert_with(|| SweptOrder {
                order: order.clone(),
                outcome: Outcome::Works,
                canceled_at: None,
            });
            (swept.order, swept.outcome) = (order, Outcome::Works);
            works |= may_cancel;
            let again = swept.canceled_at.is_none_or(|at| now.since(at) >= CANCEL_AGAIN);
            if may_cancel && again {
                swept.canceled_at = Some(now);
                to_cancel.push(number);
            }
        }
        self.quiet = if works || !is_complete { 0 } else { self.quiet + 1 };
        self.trouble = missing.or(self.trouble.take());
        if self.is_confirmed() || now >= self.deadlines.done {
            return SweepStep::AskEnded;
        }
        if to_cancel.is_empty() {
            let wait = if self.quiet > 0 { CONFIRM_AFTER } else { ASK_AGAIN };
            return SweepStep::AskOpen(now + wait);
        }
        SweepStep::Cancel(to_cancel)
    }
}

const fn key(order: &WorkingOrder) -> (i32, i32) {
    (order.client, order.order_id)
}

#[cfg(test)]
mod tests;
