//! I6: once a halt is acknowledged no new or enlarged order reaches the wire; own working orders
//! are cancelled and reported; a halt survives everything; only `resume` clears it.
//!
//! A halt that is tripped in the journal and not released when a process begins holds for that
//! whole process, whatever anyone acknowledged. Latches of one strategy or one symbol are not
//! judged here.

use super::{Books, Check, Received};
use crate::fact::{Approved, Fact, Latch, TradingState};
use crate::report::{Invariant, Place, Tally};
use crate::truth::VenueTruth;
use crate::wire::WireEvent;
use market::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct HaltHolds {
    acknowledged: Option<(u64, Timestamp)>,
    tripped: BTreeSet<Latch>,
    /// A halt was tripped when the present process began.
    inherited: bool,
    /// The record with which the present process began.
    started_seq: u64,
    /// The quantity of each order as the venue last received it.
    received: BTreeMap<i64, i64>,
}

const I6: Invariant = Invariant::I6;

impl HaltHolds {
    /// The node answered that it is halted.
    pub fn on_acknowledged(&mut self, halt_epoch: u64, now: Timestamp) {
        self.acknowledged.get_or_insert((halt_epoch, now));
    }

    /// An operator let trading go on.
    pub fn on_resumed(&mut self) {
        self.acknowledged = None;
        self.inherited = false;
    }

    fn approved(&self, place: Place, approved: &Approved, tally: &mut Tally) {
        let reference = &approved.order.key;
        let halted = approved.evidence.trading_state == TradingState::Halted;
        tally.check(I6, place, !halted && !self.inherited, || {
            format!("order {reference} was approved in a halt")
        });
    }

    /// What a message adds to what the venue has of an order.
    fn adds(&self, event: &WireEvent) -> Option<(i64, bool)> {
        match event {
            WireEvent::Placed(order) => Some((order.order_id, true)),
            WireEvent::Modified(order) => {
                let had = self.received.get(&order.order_id).copied().unwrap_or(0);
                Some((order.order_id, order.quantity > had))
            }
            WireEvent::Canceled { .. } => None,
        }
    }
}

/// The latches that stop the whole account.
fn stops_the_account(latch: &Latch) -> bool {
    match latch {
        Latch::Halt => true,
        Latch::Breaker { scope, .. } => scope == "account",
        Latch::Quarantine(_) => false,
    }
}

impl Check for HaltHolds {
    fn before(&mut self, _books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        match fact {
            Fact::Started {} => {
                self.inherited = !self.tripped.is_empty();
                self.started_seq = place.seq.unwrap_or_default();
            }
            Fact::Tripped { latch, state: TradingState::Halted, .. }
                if stops_the_account(latch) =>
            {
                self.tripped.insert(latch.clone());
            }
            Fact::Released { latch } => {
                self.tripped.remove(latch);
                self.inherited &= !self.tripped.is_empty();
            }
            Fact::IntentApproved(approved) => self.approved(place, approved, tally),
            _ => {}
        }
    }

    fn on_arrival(&mut self, books: &Books, wire: &Received, tally: &mut Tally) {
        let Some((order_id, adds)) = self.adds(&wire.event) else {
            return;
        };
        if let WireEvent::Placed(order) | WireEvent::Modified(order) = &wire.event {
            self.received.insert(order.order_id, order.quantity);
        }
        let Some((halt_epoch, since)) = self.acknowledged else {
            return;
        };
        let late = wire.place.time > since.plus(books.settings.wire_grace);
        tally.check(I6, wire.place, !(adds && late), || {
            format!("order {order_id} reached the venue in halt {halt_epoch}, acknowledged {since}")
        });
    }

    fn on_wire(&mut self, _books: &Books, wire: &Received, tally: &mut Tally) {
        if let WireEvent::Placed(order) = &wire.event
            && wire.durable_seq >= self.started_seq
        {
            tally.check(I6, wire.place, !self.inherited, || {
                format!(
                    "order {} reached the venue from a process that began halted",
                    order.reference
                )
            });
        }
    }

    fn on_truth(&mut self, books: &Books, truth: &VenueTruth, place: Place, tally: &mut Tally) {
        let Some((halt_epoch, _)) = self.acknowledged else {
            return;
        };
        let own = |(reference, _): &&(String, i64)| books.orders.get(reference).is_some();
        let working = truth.open_orders.iter().find(own);
        tally.check(I6, place, working.is_none(), || {
            let reference = working.map_or("", |order| order.0.as_str());
            format!("order {reference} still works at the venue in halt {halt_epoch}")
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::{Fact, Latch, TradingState};
    use crate::report::Invariant;
    use crate::scene::{Scene, reference};
    use market::quote::Side;

    fn tripped() -> Fact {
        Fact::Tripped { latch: Latch::Halt, state: TradingState::Halted, halt_epoch: 2 }
    }

    #[test]
    fn an_order_in_an_acknowledged_halt_is_red_until_resumed() {
        let mut scene = Scene::new();
        let orders = [1, 2].map(|n| scene.approve(n, Side::Buy, 1, i64::from(n)));
        scene.auditor.on_halt_acknowledged(2, scene.now());
        scene.tick();
        scene.auditor.on_resumed(scene.now());
        scene.place(&orders[0]);
        scene.expect_held(&[Invariant::I6]);
        scene.auditor.on_halt_acknowledged(3, scene.now());
        scene.tick();
        scene.place(&orders[1]);
        scene.expect_red(&[Invariant::I6]);
    }

    #[test]
    fn in_a_halt_an_order_may_shrink_and_not_grow() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.place(&order);
        let smaller = scene.modify(1, Side::Buy, 1);
        let larger = scene.modify(1, Side::Buy, 3);
        scene.auditor.on_halt_acknowledged(2, scene.now());
        scene.tick();
        scene.change(&smaller);
        scene.expect_held(&[Invariant::I6]);
        scene.change(&larger);
        scene.expect_red(&[Invariant::I6]);
    }

    #[test]
    fn a_halt_survives_a_restart() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.record(&tripped());
        scene.restart();
        scene.place(&order);
        scene.expect_red(&[Invariant::I6]);
    }

    #[test]
    fn a_released_halt_lets_orders_pass_after_a_restart() {
        let mut scene = Scene::new();
        scene.record(&tripped());
        scene.restart();
        scene.record(&Fact::Released { latch: Latch::Halt });
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.place(&order);
        scene.expect_held(&[Invariant::I6]);
    }

    #[test]
    fn working_orders_that_a_halt_leaves_are_red() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.auditor.on_halt_acknowledged(2, scene.now());
        scene.venue.open_orders = vec![(reference(1), 7)];
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_red(&[Invariant::I6]);
    }
}
