//! I8: an intent is durable before its first byte is sent; fold(checkpoint + tail) =
//! fold(everything kept): equal state hashes.

use super::{Books, Check, Received};
use crate::fact::Fact;
use crate::report::{Invariant, Place, Tally};
use crate::wire::{WireEvent, WireOrder};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct DurableFirst;

const I8: Invariant = Invariant::I8;

impl DurableFirst {
    /// The state at one seq, folded from the journal, was compared with the one that lives.
    pub fn on_state_compared(&self, place: Place, same: bool, tally: &mut Tally) {
        tally.check(I8, place, same, || "the live state is not the fold of the journal".to_owned());
    }
}

/// A version of exactly this size and price is durable, or for a placement the intent itself.
fn durable(books: &Books, wire: &Received, order: &WireOrder, placed: bool) -> bool {
    books.orders.get(&order.reference).is_some_and(|tracked| {
        let mut durable = tracked.versions.iter().filter(|v| v.seq <= wire.durable_seq);
        if placed { durable.next().is_some() } else { durable.any(|v| v.number > 0) }
    })
}

impl Check for DurableFirst {
    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        if let Fact::Sent { order_id, .. } = fact
            && books.from_the_start
        {
            let known = books.orders.numbered(*order_id).is_some();
            tally.check(I8, place, known, || {
                format!("order {order_id} was sent and no approval stands before it")
            });
        }
    }

    fn on_wire(&mut self, books: &Books, wire: &Received, tally: &mut Tally) {
        let (order, placed) = match &wire.event {
            WireEvent::Placed(order) => (order, true),
            WireEvent::Modified(order) => (order, false),
            WireEvent::Canceled { .. } => return,
        };
        let holds = durable(books, wire, order, placed);
        tally.check(I8, wire.place, holds, || {
            format!(
                "order {} reached the venue when the journal was durable up to {} and its approval \
                 was not among it",
                order.reference, wire.durable_seq
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::Fact;
    use crate::report::Invariant;
    use crate::scene::Scene;
    use crate::wire::WireEvent;
    use market::quote::Side;

    #[test]
    fn a_durable_intent_and_equal_states_hold() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.place(&order);
        scene.auditor.on_state_compared(1, true, scene.now());
        scene.expect_held(&[Invariant::I8]);
    }

    #[test]
    fn an_order_before_its_intent_is_durable_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        let durable = scene.last_seq() - 1;
        scene.auditor.on_wire(WireEvent::Placed(order), durable, scene.now());
        scene.expect_red(&[Invariant::I8]);
    }

    #[test]
    fn a_wire_event_waits_for_records_that_were_durable() {
        let mut scene = Scene::new();
        let order = crate::scene::wire(&crate::scene::approved(1, Side::Buy, 2, 2));
        let durable = scene.last_seq() + 1;
        scene.auditor.on_wire(WireEvent::Placed(order), durable, scene.now());
        assert_eq!(scene.auditor.report().wire_events_waiting, 1);
        scene.approve(1, Side::Buy, 2, 2);
        assert_eq!(scene.auditor.report().wire_events_waiting, 0);
        scene.expect_held(&[Invariant::I1, Invariant::I7, Invariant::I8]);
    }

    #[test]
    fn a_live_state_that_is_not_the_fold_is_red() {
        let mut scene = Scene::new();
        scene.auditor.on_state_compared(1, false, scene.now());
        scene.expect_red(&[Invariant::I8]);
    }

    #[test]
    fn a_send_without_an_approval_is_red() {
        let mut scene = Scene::new();
        scene.record(&Fact::Sent { order_id: 5, hash: "hash 5".to_owned() });
        scene.expect_red(&[Invariant::I8]);
    }
}
