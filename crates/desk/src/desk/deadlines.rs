//! What the desk does because time passed: validity, cancels to ask again, fills that differ from
//! what the broker reported, combo legs that do not come, orders whose fate is not known.

use super::reports::News;
use super::{Context, Desk, NextWake};
use crate::order_state::OrderEvent;
use crate::record::Record;
use crate::state::{OrderEntry, Phase};
use market::time::{Now, ProcessTime};
use trading::id::OrderId;

impl Desk {
    pub(super) fn on_deadlines(&mut self, context: &Context<'_>, now: Now) {
        for record in self.denials.flush(now.process) {
            self.record(record);
        }
        let live: Vec<(OrderId, bool, bool)> = self
            .state
            .live()
            .map(|(order_id, entry)| {
                let expired = entry.order.valid_until <= now.market;
                (*order_id, expired, entry.cancel_asked)
            })
            .collect();
        for (order_id, expired, asked) in live {
            let due = self.cancels.get(&order_id).is_none_or(|retry| retry.next <= now.process);
            if due && (asked || expired) && self.link_up {
                let news = News::because("intent expired");
                self.happen(order_id, OrderEvent::CancelAsked, news, context, now);
            }
        }
        let orders = &self.state.orders;
        self.cancels
            .retain(|order_id, _| orders.get(order_id).is_some_and(|entry| entry.is_live()));
        self.sent_at
            .retain(|order_id, _| orders.get(order_id).is_some_and(|entry| entry.is_live()));
        self.watch_mismatches(now);
        self.watch_legs(now);
        let unsettled =
            |entry: &OrderEntry| entry.phase == Phase::Unknown || entry.modify.is_some();
        let unknown = self.state.live().any(|(_, entry)| unsettled(entry));
        match self.reconcile_again {
            Some(at) if at <= now.process && self.link_up => {
                self.reconcile_again = None;
                if unknown {
                    self.request_reconcile("the fate of an order or a modify is not known");
                }
            }
            None if unknown && self.is_ready() => {
                self.reconcile_again = Some(now.process + self.config.settle);
            }
            _ => {}
        }
    }

    fn watch_mismatches(&mut self, now: Now) {
        let mismatch = self.config.mismatch;
        let mut settled = Vec::new();
        let mut due = false;
        for (order_id, since) in &mut self.mismatched {
            let entry = self.state.orders.get(order_id);
            let reported = self.reported.get(order_id).copied().unwrap_or_default();
            if entry.is_none_or(|entry| entry.filled_units() >= reported) {
                settled.push(*order_id);
            } else if now.process.since(*since) >= mismatch {
                *since = now.process;
                due = true;
            }
        }
        for order_id in settled {
            self.mismatched.remove(&order_id);
            self.reported.remove(&order_id);
        }
        if due && !mutation::active("ignore_mismatch") {
            self.request_reconcile("filled differs from the sum of executions");
        }
    }

    fn watch_legs(&mut self, now: Now) {
        let unsettled = self.state.orders.unsettled();
        let uneven: Vec<OrderId> = unsettled
            .filter(|(_, entry)| entry.is_uneven())
            .map(|(order_id, _)| *order_id)
            .collect();
        let orders = &self.state.orders;
        self.uneven.retain(|order_id, _| orders.get(order_id).is_some_and(OrderEntry::is_uneven));
        for order_id in uneven {
            let since = *self.uneven.entry(order_id).or_insert(now.process);
            if now.process.since(since) < self.config.leg_deadline {
                continue;
            }
            let contract = self.state.order(order_id).map(|order| order.contract.clone());
            let legs = contract.map(|contract| contract.legs()).unwrap_or_default();
            for leg in legs {
                if !self.state.restricted.contains_key(&leg.con_id) {
                    let reason = format!("a leg of combo order {order_id} is missing");
                    self.alarm(reason.clone());
                    self.record(Record::ContractRestricted {
                        con_id: leg.con_id,
                        restricted: true,
                        reason,
                    });
                }
            }
        }
    }

    /// When the desk wants to be woken, and why.
    #[must_use]
    pub fn next_wake(&self) -> NextWake {
        let validity = self
            .state
            .live()
            .filter(|(order_id, entry)| {
                !entry.cancel_asked && !self.cancels.contains_key(order_id) && self.link_up
            })
            .map(|(_, entry)| entry.order.valid_until)
            .min();
        let mut process: Vec<(ProcessTime, &'static str)> = Vec::new();
        process.extend(self.denials.next_flush().map(|at| (at, "denials to record")));
        if self.link_up {
            let retries = self.cancels.values().map(|retry| retry.next).min();
            process.extend(retries.map(|at| (at, "cancel to ask again")));
            process.extend(self.reconcile_again.map(|at| (at, "unknown order to resolve")));
        }
        let mismatch = self.mismatched.values().min();
        process.extend(mismatch.map(|at| (*at + self.config.mismatch, "fills to compare")));
        let restricted = |order_id: &OrderId| {
            let order = self.state.order(*order_id);
            let legs = order.map(|order| order.contract.legs()).unwrap_or_default();
            legs.iter().all(|leg| self.state.restricted.contains_key(&leg.con_id))
        };
        let uneven = self.uneven.iter().filter(|(order_id, _)| !restricted(order_id));
        let missing = uneven.map(|(_, since)| *since + self.config.leg_deadline).min();
        process.extend(missing.map(|at| (at, "combo leg to miss")));
        NextWake {
            market: validity.map(|at| (at, "validity of an order")),
            process: process.into_iter().min(),
        }
    }
}
