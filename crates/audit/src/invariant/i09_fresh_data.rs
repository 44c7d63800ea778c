//! I9: no order rests on data that was not fresh (section 5), valid and of live type.
//!
//! Every quote in the evidence of an approval must be fresh and live; every leg must have one, with
//! both sides and not crossed.

use super::{Books, Check};
use crate::fact::{Approved, Fact};
use crate::report::{Invariant, Place, Tally};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct FreshData;

const I9: Invariant = Invariant::I9;

fn judge(place: Place, approved: &Approved, tally: &mut Tally) {
    let reference = &approved.order.key;
    for quote in &approved.evidence.quotes {
        tally.check(I9, place, quote.fresh && quote.live, || {
            let what = if quote.live { "not fresh" } else { "not live" };
            format!("order {reference} rests on data of {} that was {what}", quote.con_id)
        });
    }
    for (con_id, _) in approved.order.contract.legs() {
        let mut quotes = approved.evidence.quotes.iter().filter(|quote| quote.con_id == con_id);
        let valid = quotes.any(|quote| match (quote.bid, quote.ask) {
            (Some(bid), Some(ask)) => bid <= ask,
            _ => false,
        });
        tally.check(I9, place, valid, || {
            format!("order {reference} has no two-sided quote of its leg {con_id} in evidence")
        });
    }
}

impl Check for FreshData {
    fn before(&mut self, _books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        if let Fact::IntentApproved(approved) | Fact::ModifyApproved(approved) = fact {
            judge(place, approved, tally);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::{Approved, Fact};
    use crate::report::Invariant;
    use crate::scene::{PUT, Scene, approved};
    use market::quote::Side;

    #[test]
    fn fresh_live_two_sided_quotes_hold() {
        let mut scene = Scene::new();
        scene.approve(1, Side::Buy, 2, 2);
        scene.expect_held(&[Invariant::I9]);
    }

    #[test]
    fn anything_less_is_red() {
        let changes: [fn(&mut Approved); 6] = [
            |order| order.evidence.quotes[0].fresh = false,
            |order| order.evidence.quotes[0].live = false,
            |order| order.evidence.quotes[0].bid = None,
            |order| order.evidence.quotes[0].ask = Some(0),
            |order| order.evidence.quotes[0].con_id = PUT,
            |order| order.evidence.quotes.clear(),
        ];
        for change in changes {
            let mut scene = Scene::new();
            let mut order = approved(1, Side::Buy, 2, 2);
            change(&mut order);
            scene.record(&Fact::IntentApproved(Box::new(order)));
            scene.expect_red(&[Invariant::I9]);
        }
    }
}
