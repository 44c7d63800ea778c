//! I1: at most one live broker order per intent, filled <= intended; and after any restart each
//! strategy's position equals what its intents asked for, not merely "no key twice".
//!
//! The second half is judged three times: when an order is approved it must not reach beyond its
//! intent's target (position + everything that may still fill + the order); when it has filled
//! whole and nothing disturbed it, the position is the target; and at a quiet point what a strategy
//! traded by the records is what the venue executed under its references.

use super::{Books, Check, Received};
use crate::fact::{Approved, EndState, Fact, Fill};
use crate::orders::{Phase, Tracked};
use crate::report::{Invariant, Place, Tally};
use crate::truth::VenueTruth;
use crate::wire::WireEvent;
use market::instrument::ConId;
use std::collections::BTreeMap;

/// The latest intent of a strategy in one instrument.
#[derive(Clone, Debug)]
struct Aim {
    reference: String,
    target: i128,
    /// Something else moved the position since: the target no longer follows from this order.
    disturbed: bool,
}

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct OneLiveOrder {
    /// Numbers under which a reference was placed on the wire.
    placed: BTreeMap<String, Vec<i64>>,
    aims: BTreeMap<(String, ConId), Aim>,
}

const I1: Invariant = Invariant::I1;
/// Placements that are remembered for each reference: a third one says nothing new.
const PLACEMENTS_KEPT: usize = 4;

impl OneLiveOrder {
    /// What a strategy's live intents ask for, by the strategy's own word, at a quiet point.
    pub fn on_targets(
        &self,
        books: &Books,
        strategy: &str,
        wanted: &BTreeMap<ConId, i64>,
        place: Place,
        tally: &mut Tally,
    ) {
        for (con_id, wanted) in wanted {
            let held = books.executions.strategy_position(strategy, *con_id);
            let (low, high) = pending(books, strategy, *con_id, None);
            let reaches = (held + low..=held + high).contains(&i128::from(*wanted));
            tally.check(I1, place, reaches, || {
                format!(
                    "{strategy} wants {wanted} of {con_id}, has {held} and between {low} and \
                     {high} pending"
                )
            });
        }
    }

    fn approved(&mut self, books: &Books, place: Place, approved: &Approved, tally: &mut Tally) {
        let order = &approved.order;
        let reference = order.key.to_string();
        let used = books.orders.get(&reference).is_some();
        tally.check(I1, place, !used, || format!("intent {reference} was approved twice"));
        let other = books.orders.numbered(order.order_id).map(|known| known.reference.clone());
        tally.check(I1, place, other.is_none() || used, || {
            let other = other.clone().unwrap_or_default();
            format!("order number {} of {reference} belongs to {other}", order.order_id)
        });
        self.aim(books, place, approved, tally);
    }

    /// The order, new or changed, must not reach beyond what its intent asks for.
    fn aim(&mut self, books: &Books, place: Place, approved: &Approved, tally: &mut Tally) {
        let (order, Some(intent)) = (&approved.order, &approved.intent) else {
            return;
        };
        let reference = order.key.to_string();
        let strategy = &order.key.strategy;
        let legs = order.contract.legs();
        let whole = i128::from(order.side.sign()) * i128::from(order.quantity);
        for (con_id, target) in intent.target.positions() {
            let ratio = legs.iter().find(|leg| leg.0 == con_id).map_or(0, |leg| leg.1);
            let all = i128::from(ratio) * whole;
            let change = all - books.executions.filled(&reference, con_id);
            let held = books.executions.strategy_position(strategy, con_id);
            let (low, high) = pending(books, strategy, con_id, Some(&reference));
            let within = match all.signum() {
                1 => held + low + change <= target,
                -1 => held + high + change >= target,
                _ => false,
            };
            if books.from_the_start {
                tally.check(I1, place, within, || {
                    format!(
                        "order {reference} changes {con_id} by {change}, beyond its intent's \
                         target {target} (held {held}, pending {low} to {high})"
                    )
                });
            }
            let aim = Aim { reference: reference.clone(), target, disturbed: false };
            self.aims.insert((strategy.clone(), con_id), aim);
        }
    }

    fn disturb(&mut self, strategy: &str, con_id: ConId, but: Option<&str>) {
        if let Some(aim) = self.aims.get_mut(&(strategy.to_owned(), con_id))
            && but != Some(aim.reference.as_str())
        {
            aim.disturbed = true;
        }
    }

    fn disturb_order(&mut self, order: &Tracked) {
        for (con_id, _) in &order.legs {
            self.disturb(order.strategy(), *con_id, None);
        }
    }

    /// A fill of an order that is not known to work moves what later intents counted on.
    fn filled(&mut self, books: &Books, fill: &Fill, strategy: Option<&String>) {
        let Some(strategy) = strategy else {
            return;
        };
        let live = books.orders.get(&fill.reference).is_some_and(|order| order.phase.is_live());
        if !live {
            self.disturb(strategy, fill.con_id, Some(&fill.reference));
        }
    }

    fn within_intended(books: &Books, place: Place, fill: &Fill, tally: &mut Tally) {
        let Some(order) = books.orders.get(&fill.reference) else {
            return;
        };
        let filled = books.executions.filled(&order.reference, fill.con_id);
        let intended = order.unit(fill.con_id) * i128::from(order.largest);
        let holds = filled.signum() * intended.signum() >= 0 && filled.abs() <= intended.abs();
        tally.check(I1, place, holds, || {
            format!(
                "order {} filled {filled} of {}, at most {intended} were intended",
                order.reference, fill.con_id
            )
        });
    }

    /// Whoever reached its target whole, with nothing else pending, holds exactly the target.
    fn reached(&mut self, books: &Books, place: Place, order: &Tracked, tally: &mut Tally) {
        for (con_id, _) in &order.legs {
            let key = (order.strategy().to_owned(), *con_id);
            let Some(aim) = self.aims.get(&key) else {
                continue;
            };
            let aimed = books.orders.get(&aim.reference);
            let done = aimed.is_some_and(|order| {
                order.phase == Phase::Ended(EndState::Filled) && order.is_whole(&books.executions)
            });
            let undecided = aimed.is_some_and(|order| order.modify_in_flight);
            let pending = books.orders.live().any(|live| {
                live.strategy() == key.0 && live.pending(*con_id, &books.executions) != (0, 0)
            });
            if !done || pending {
                continue;
            }
            if !aim.disturbed && !undecided && books.from_the_start {
                let held = books.executions.strategy_position(&key.0, *con_id);
                tally.check(I1, place, held == aim.target, || {
                    format!(
                        "{} filled whole and {} holds {held} of {con_id} instead of {}",
                        aim.reference, key.0, aim.target
                    )
                });
            }
            self.aims.remove(&key);
        }
    }
}

/// What a strategy's live orders may still change in one instrument.
fn pending(books: &Books, strategy: &str, con_id: ConId, but: Option<&str>) -> (i128, i128) {
    let own = books
        .orders
        .live()
        .filter(|order| order.strategy() == strategy && but != Some(order.reference.as_str()));
    own.map(|order| order.pending(con_id, &books.executions))
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

impl Check for OneLiveOrder {
    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        match fact {
            Fact::IntentApproved(approved) => self.approved(books, place, approved, tally),
            Fact::ModifyApproved(approved) => {
                if let Some(order) = books.orders.numbered(approved.order.order_id) {
                    self.disturb_order(order);
                }
                self.aim(books, place, approved, tally);
            }
            Fact::Filled { fill, strategy, .. } => self.filled(books, fill, strategy.as_ref()),
            Fact::Corrected { fill, strategy: Some(strategy), .. } => {
                self.disturb(strategy, fill.con_id, None);
            }
            Fact::Busted { exec_id } => {
                let known = books.executions.of(exec_id).and_then(|known| known.known());
                if let Some(order) = known.and_then(|fill| books.orders.get(&fill.reference)) {
                    self.disturb_order(order);
                }
            }
            Fact::Lifecycle { shares, .. } => {
                for (strategy, con_id, _) in shares {
                    self.disturb(strategy, *con_id, None);
                }
            }
            _ => {}
        }
    }

    fn after(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        match fact {
            Fact::Filled { fill, .. } | Fact::Corrected { fill, .. } => {
                Self::within_intended(books, place, fill, tally);
                if let Some(order) = books.orders.get(&fill.reference) {
                    self.reached(books, place, order, tally);
                }
            }
            Fact::Acknowledged { order_id, .. } | Fact::Reappeared { order_id, .. } => {
                if let Some(order) = books.orders.numbered(*order_id) {
                    let count = order.perm_ids.len();
                    tally.check(I1, place, count <= 1, || {
                        format!(
                            "order {} has {count} permanent numbers at the broker: {:?}",
                            order.reference, order.perm_ids
                        )
                    });
                }
            }
            Fact::Ended { order_id, end } => {
                if let Some(order) = books.orders.numbered(*order_id) {
                    if *end != EndState::Filled {
                        self.disturb_order(order);
                    }
                    self.reached(books, place, order, tally);
                }
            }
            Fact::Abandoned { order_id, .. }
            | Fact::SendRefused { order_id }
            | Fact::ModifyRejected { order_id } => {
                if let Some(order) = books.orders.numbered(*order_id) {
                    self.disturb_order(order);
                }
            }
            _ => {}
        }
    }

    fn on_wire(&mut self, books: &Books, wire: &Received, tally: &mut Tally) {
        let WireEvent::Placed(order) = &wire.event else {
            return;
        };
        let earlier = self.placed.entry(order.reference.clone()).or_default();
        let ended = |order_id: &i64| {
            let known = books.orders.numbered(*order_id);
            known.is_some_and(|known| matches!(known.phase, Phase::Ended(_)))
        };
        let alone = earlier.iter().all(ended);
        tally.check(I1, wire.place, alone, || {
            format!(
                "intent {} reached the venue as order {} while order {earlier:?} may be live",
                order.reference, order.order_id
            )
        });
        if earlier.len() < PLACEMENTS_KEPT {
            earlier.push(order.order_id);
        }
    }

    fn on_truth(&mut self, books: &Books, truth: &VenueTruth, place: Place, tally: &mut Tally) {
        let mut working: BTreeMap<&str, u32> = BTreeMap::new();
        for (reference, _) in &truth.open_orders {
            *working.entry(reference).or_default() += 1;
        }
        for (reference, count) in working {
            if reference.starts_with("oib.") {
                tally.check(I1, place, count <= 1, || {
                    format!("{count} orders of intent {reference} work at the venue")
                });
            }
        }
        if !books.from_the_start {
            return;
        }
        let mut executed: BTreeMap<(String, ConId), i128> = BTreeMap::new();
        for execution in &truth.executions {
            if let Some(strategy) = strategy_of(&execution.reference) {
                let key = (strategy.to_owned(), execution.con_id);
                let signed = i128::from(execution.side.sign()) * i128::from(execution.quantity);
                *executed.entry(key).or_default() += signed;
            }
        }
        let traded = books.executions.traded();
        let mut keys: Vec<_> = traded.keys().chain(executed.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let ours = traded.get(key).copied().unwrap_or(0);
            let theirs = executed.get(key).copied().unwrap_or(0);
            tally.check(I1, place, ours == theirs, || {
                format!(
                    "{} traded {ours} of {} by the journal and {theirs} by the venue",
                    key.0, key.1
                )
            });
        }
    }
}

/// The strategy in one of our order references, `oib.<install>.<epoch>.<strategy>.<seq>`.
fn strategy_of(reference: &str) -> Option<&str> {
    let mut parts = reference.split('.');
    (parts.next() == Some("oib")).then_some(())?;
    parts.nth(2)
}

#[cfg(test)]
mod tests {
    use crate::fact::{EndState, Fact};
    use crate::report::Invariant;
    use crate::scene::{CALL, Scene, approved, reference};
    use market::quote::Side;
    use std::collections::BTreeMap;

    #[test]
    fn an_order_that_fills_its_intent_holds() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.auditor.on_targets("alpha", &BTreeMap::from([(CALL, 2)]), scene.now());
        scene.expect_held(&[Invariant::I1]);
    }

    #[test]
    fn a_second_order_of_one_intent_on_the_wire_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.place(&order);
        scene.place(&order);
        scene.expect_red(&[Invariant::I1]);
    }

    #[test]
    fn a_second_permanent_number_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        for perm_id in [0, 7, 8] {
            scene.record(&Fact::Acknowledged { order_id: order.order_id, perm_id });
        }
        scene.expect_red(&[Invariant::I1]);
    }

    #[test]
    fn filling_more_than_intended_is_red() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.fill(1, "e.1.01", Side::Buy, 3);
        scene.expect_red(&[Invariant::I1]);
    }

    #[test]
    fn an_order_beyond_its_target_is_red() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        // The target is held already: whoever decides again after a crash must not double it.
        scene.approve(2, Side::Buy, 2, 2);
        scene.expect_red(&[Invariant::I1]);
    }

    #[test]
    fn pending_orders_count_towards_the_target() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.approve(2, Side::Buy, 3, 5);
        scene.expect_held(&[Invariant::I1]);
        scene.approve(3, Side::Buy, 1, 5);
        scene.expect_red(&[Invariant::I1]);
    }

    #[test]
    fn a_modify_is_judged_against_its_intent() {
        for (quantity, target, holds) in [(5, 5, true), (5, 4, false)] {
            let mut scene = Scene::new();
            scene.approve(1, Side::Buy, 2, 2);
            scene.fill(1, "e.1.01", Side::Buy, 1);
            let changed = approved(1, Side::Buy, quantity, target);
            scene.record(&Fact::ModifyApproved(Box::new(changed)));
            assert_eq!(scene.auditor.report().held(Invariant::I1), holds, "{quantity}");
        }
    }

    #[test]
    fn an_inactive_order_keeps_its_share_of_the_target() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.record(&Fact::Ended { order_id: order.order_id, end: EndState::Inactive });
        scene.approve(2, Side::Buy, 2, 2);
        scene.expect_red(&[Invariant::I1]);
    }

    #[test]
    fn a_target_missed_by_a_whole_order_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 1, 2);
        scene.fill(1, "e.1.01", Side::Buy, 1);
        scene.record(&Fact::Ended { order_id: order.order_id, end: EndState::Filled });
        scene.expect_red(&[Invariant::I1]);
    }

    #[test]
    fn a_position_that_the_venue_does_not_know_is_red() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        scene.venue.executions[0].reference = reference(9).replace("alpha", "beta");
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        assert!(scene.auditor.report().violated.contains_key("I1"));
    }

    #[test]
    fn two_orders_of_one_intent_at_the_venue_are_red() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.venue.open_orders = vec![(reference(1), 7), (reference(1), 8)];
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_red(&[Invariant::I1]);
    }
}
