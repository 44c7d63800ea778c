//! I7: every order that the venue received equals, field by field, the canonical order whose hash
//! the three approvals carry.
//!
//! The fields are compared one by one; the hash is compared as text over the record, its approvals
//! and the session's report. An order must also stay within its intent: same contract, no worse
//! price.

use super::{Books, Check, Received};
use crate::fact::{Approved, Clearance, Fact, Layer, Order};
use crate::orders::{Tracked, Version};
use crate::report::{Invariant, Place, Tally};
use crate::wire::{WireEvent, WireOrder};
use market::quote::Side;
use std::collections::{BTreeMap, BTreeSet};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct WireEqualsApproved {
    /// The version that the venue received last, by order number.
    received: BTreeMap<i64, u64>,
}

const I7: Invariant = Invariant::I7;

/// The first field in which an order on the wire differs from an approved one.
fn difference(order: &Order, wire: &WireOrder) -> Option<String> {
    let mut wire_legs = wire.legs.clone();
    wire_legs.sort_unstable();
    let account = wire.account.as_ref().unwrap_or(&order.account);
    let valid_until = wire.valid_until_nanos.unwrap_or(order.valid_until);
    let rows = [
        ("order number", order.order_id.to_string(), wire.order_id.to_string()),
        ("reference", order.key.to_string(), wire.reference.clone()),
        ("account", order.account.clone(), account.clone()),
        ("legs", format!("{:?}", order.contract.legs()), format!("{wire_legs:?}")),
        ("side", format!("{:?}", order.side), format!("{:?}", wire.side)),
        ("quantity", order.quantity.to_string(), wire.quantity.to_string()),
        ("limit", order.limit.to_string(), wire.limit_micros.to_string()),
        (
            "time in force",
            format!("{:?}", order.time_in_force),
            format!("{:?}", wire.time_in_force),
        ),
        ("valid until", order.valid_until.to_string(), valid_until.to_string()),
    ];
    let differing = rows.into_iter().find(|(_, approved, received)| approved != received);
    differing.map(|(field, approved, received)| {
        format!("{field} is {received} on the wire and {approved} as approved")
    })
}

fn versions(order: &Tracked, from: u64, durable_seq: u64) -> impl Iterator<Item = &Version> {
    let durable = order.versions.iter().filter(move |version| version.seq <= durable_seq);
    durable.filter(move |version| version.number >= from)
}

impl WireEqualsApproved {
    fn received(&mut self, books: &Books, wire: &Received, order: &WireOrder, tally: &mut Tally) {
        // Without a durable record there is nothing to compare with: that is I8's verdict.
        let Some(tracked) = books.orders.get(&order.reference) else {
            return;
        };
        let placed = matches!(wire.event, WireEvent::Placed(_));
        let from = match self.received.get(&order.order_id) {
            Some(last) if !placed => *last,
            _ => 0,
        };
        let mut candidates = versions(tracked, from, wire.durable_seq);
        let compared: Vec<_> =
            if placed { candidates.next().into_iter().collect() } else { candidates.collect() };
        let Some(newest) = compared.last() else {
            return;
        };
        let equal =
            compared.iter().rev().find(|version| difference(&version.order, order).is_none());
        tally.check(I7, wire.place, equal.is_some(), || {
            let difference = difference(&newest.order, order).unwrap_or_default();
            format!("order {}: {difference}", order.reference)
        });
        let number = equal.unwrap_or(newest).number;
        self.received.insert(order.order_id, number);
    }
}

fn hashes(place: Place, approved: &Approved, tally: &mut Tally) {
    let reference = &approved.order.key;
    let layers: BTreeSet<Layer> = approved.approvals.iter().map(|yes| yes.layer).collect();
    let enough = match approved.clearance {
        Clearance::Full => layers.len() == 3,
        Clearance::RiskReducing => layers.contains(&Layer::Risk),
    };
    tally.check(I7, place, enough, || {
        format!("order {reference} has the approvals {layers:?} for {:?}", approved.clearance)
    });
    let other = approved.approvals.iter().find(|yes| yes.order != approved.hash);
    tally.check(I7, place, other.is_none(), || {
        let layer = other.map(|yes| yes.layer);
        format!("an approval of order {reference} ({layer:?}) is for another order's hash")
    });
}

fn serves_its_intent(place: Place, approved: &Approved, tally: &mut Tally) {
    let Some(intent) = &approved.intent else {
        return;
    };
    let order = &approved.order;
    let wanted: Vec<_> = intent.target.positions().iter().map(|leg| leg.0).collect();
    let asked: Vec<_> = order.contract.legs().iter().map(|leg| leg.0).collect();
    let priced = match order.side {
        Side::Buy => order.limit <= intent.limit,
        Side::Sell => order.limit >= intent.limit,
    };
    tally.check(I7, place, wanted == asked && priced && order.quantity > 0, || {
        format!(
            "order {} ({:?} {} of {asked:?} at {}) does not serve its intent for {wanted:?} at {}",
            order.key, order.side, order.quantity, order.limit, intent.limit
        )
    });
}

impl Check for WireEqualsApproved {
    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        match fact {
            Fact::IntentApproved(approved) => {
                hashes(place, approved, tally);
                serves_its_intent(place, approved, tally);
                let own = approved.intent.as_ref().map(|intent| &intent.key);
                tally.check(I7, place, own == Some(&approved.order.key), || {
                    format!("order {} is recorded with another intent", approved.order.key)
                });
            }
            Fact::ModifyApproved(approved) => {
                hashes(place, approved, tally);
                serves_its_intent(place, approved, tally);
            }
            Fact::Sent { order_id, hash } => {
                if let Some(order) = books.orders.numbered(*order_id) {
                    let known = order.versions.iter().any(|version| version.hash == *hash);
                    tally.check(I7, place, known, || {
                        format!("order {} was written with a hash nobody approved", order.reference)
                    });
                }
            }
            _ => {}
        }
    }

    fn on_wire(&mut self, books: &Books, wire: &Received, tally: &mut Tally) {
        if let WireEvent::Placed(order) | WireEvent::Modified(order) = &wire.event {
            self.received(books, wire, order, tally);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::{Fact, Layer, TimeInForce};
    use crate::report::Invariant;
    use crate::scene::{PUT, Scene, approved};
    use crate::wire::WireOrder;
    use market::quote::Side;

    #[test]
    fn what_was_approved_reaches_the_wire() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.place(&order);
        scene.record(&Fact::Sent { order_id: order.order_id, hash: "hash 1".to_owned() });
        let changed = scene.modify(1, Side::Buy, 3);
        scene.change(&changed);
        scene.expect_held(&[Invariant::I7]);
    }

    #[test]
    fn every_field_that_differs_is_red() {
        let changes: [fn(&mut WireOrder); 9] = [
            |order| order.order_id += 1,
            |order| order.account = Some("DU2".to_owned()),
            |order| order.legs[0].0 = PUT,
            |order| order.legs[0].1 = -1,
            |order| order.side = Side::Sell,
            |order| order.quantity += 1,
            |order| order.limit_micros += 1,
            |order| order.time_in_force = TimeInForce::GoodTillCanceled,
            |order| order.valid_until_nanos = Some(1),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut scene = Scene::new();
            let mut order = scene.approve(1, Side::Buy, 2, 2);
            change(&mut order);
            scene.place(&order);
            assert!(!scene.auditor.report().held(Invariant::I7), "field {number}");
            scene.expect_red(&[Invariant::I7]);
        }
    }

    #[test]
    fn an_older_version_after_a_newer_one_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.place(&order);
        let changed = scene.modify(1, Side::Buy, 3);
        scene.change(&changed);
        scene.change(&order);
        scene.expect_red(&[Invariant::I7]);
    }

    #[test]
    fn approvals_must_be_complete_and_for_this_hash() {
        for case in 0..3 {
            let mut scene = Scene::new();
            let mut order = approved(1, Side::Buy, 2, 2);
            match case {
                0 => order.approvals.retain(|yes| yes.layer != Layer::Performance),
                1 => order.approvals[1].order = "hash 9".to_owned(),
                _ => order.order.limit += 1,
            }
            scene.record(&Fact::IntentApproved(Box::new(order)));
            scene.expect_red(&[Invariant::I7]);
        }
    }

    #[test]
    fn a_hash_that_nobody_approved_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.record(&Fact::Sent { order_id: order.order_id, hash: "hash 9".to_owned() });
        scene.expect_red(&[Invariant::I7]);
    }
}
