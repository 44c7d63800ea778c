//! I5: no admitted order moves the worst case over all subsets of fills of (position + working +
//! reserved + Unknown) outside a limit, or further outside, on the evidence in its record; passive
//! breaches trip a breaker.
//!
//! Every figure in the evidence is compared with its bound. Figures that follow from orders alone
//! are counted again from the records: contracts per leg, and open orders per side (a reservation
//! that was given back too early shows there). Greeks can't be: their inputs are in no record.

use super::{Books, Check};
use crate::fact::{Approved, Clearance, Fact, LimitEvidence};
use crate::report::{Invariant, Place, Tally};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct LimitsHold;

const I5: Invariant = Invariant::I5;

impl LimitsHold {
    fn evidence(place: Place, approved: &Approved, tally: &mut Tally) {
        let reference = &approved.order.key;
        let named = !approved.evidence.limits.is_empty();
        tally.check(I5, place, named || approved.clearance != Clearance::Full, || {
            format!("order {reference} was approved without one limited figure in its evidence")
        });
        for figure in &approved.evidence.limits {
            let LimitEvidence { limit, before_milli, after_milli, bound_milli } = figure;
            let holds = after_milli <= bound_milli || after_milli <= before_milli;
            tally.check(I5, place, holds, || {
                format!(
                    "order {reference} moves {limit} from {before_milli} to {after_milli} \
                     thousandths, its bound is {bound_milli}"
                )
            });
        }
    }

    /// Counts again what a new order's evidence says about orders.
    fn recount(books: &Books, place: Place, approved: &Approved, tally: &mut Tally) {
        let order = &approved.order;
        let legs = order.contract.legs();
        for figure in &approved.evidence.limits {
            let after = i128::from(figure.after_milli);
            let (name, of) = figure.limit.split_once('/').unwrap_or((&figure.limit, ""));
            match name {
                "quantity_contracts" | "quantity_shares" => {
                    let leg = legs.iter().find(|leg| leg.0.to_string() == of);
                    let ratio = leg.map_or(0, |leg| i128::from(leg.1));
                    let own = (ratio * i128::from(order.quantity)).abs() * 1000;
                    tally.check(I5, place, own == after, || {
                        format!(
                            "order {} has {own} thousandths of {of}, its evidence says {after}",
                            order.key
                        )
                    });
                }
                "open_orders_per_side" => {
                    let alike = books.orders.live().filter(|other| {
                        other.order.contract.legs() == legs
                            && other.order.side == order.side
                            && other.has_whole_units_left(&books.executions)
                    });
                    let own = (alike.count() as i128 + 1) * 1000;
                    tally.check(I5, place, own <= after, || {
                        format!(
                            "{own} thousandths of orders are open on the side of {}, its evidence \
                             says {after}: a reservation was given back early",
                            order.key
                        )
                    });
                }
                _ => {}
            }
        }
    }
}

impl Check for LimitsHold {
    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        match fact {
            Fact::IntentApproved(approved) => {
                Self::evidence(place, approved, tally);
                Self::recount(books, place, approved, tally);
            }
            Fact::ModifyApproved(approved) => Self::evidence(place, approved, tally),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::{Fact, LimitEvidence};
    use crate::report::Invariant;
    use crate::scene::{Scene, approved};
    use market::quote::Side;

    fn figures(limit: &str, before: i64, after: i64, bound: i64) -> Vec<LimitEvidence> {
        vec![LimitEvidence {
            limit: limit.to_owned(),
            before_milli: before,
            after_milli: after,
            bound_milli: bound,
        }]
    }

    #[test]
    fn a_figure_may_stay_outside_but_not_go_further() {
        for (before, after, holds) in
            [(0, 100, true), (100, 101, false), (150, 150, true), (150, 140, true), (0, 101, false)]
        {
            for change in [false, true] {
                let mut scene = Scene::new();
                let mut order = approved(1, Side::Buy, 2, 2);
                order.evidence.limits = figures("delta/SIM", before, after, 100);
                if change {
                    scene.record(&Fact::ModifyApproved(Box::new(order)));
                } else {
                    scene.record(&Fact::IntentApproved(Box::new(order)));
                }
                let report = scene.auditor.report();
                assert_eq!(report.held(Invariant::I5), holds, "{before} to {after}");
            }
        }
    }

    #[test]
    fn evidence_that_counts_contracts_wrong_is_red() {
        let mut scene = Scene::new();
        let mut order = approved(1, Side::Buy, 2, 2);
        order.evidence.limits = figures("quantity_contracts/11", 0, 1000, 10_000);
        scene.record(&Fact::IntentApproved(Box::new(order)));
        scene.expect_red(&[Invariant::I5]);
    }

    #[test]
    fn a_reservation_that_was_given_back_early_is_red() {
        let mut scene = Scene::new();
        for (number, counted) in [(1, 1000), (2, 2000), (3, 1000)] {
            scene.expect_held(&[]);
            let mut order = approved(number, Side::Buy, 1, i64::from(number));
            order.evidence.limits = figures("open_orders_per_side", 0, counted, 10_000);
            scene.record(&Fact::IntentApproved(Box::new(order)));
        }
        scene.expect_red(&[Invariant::I5]);
    }

    #[test]
    fn full_clearance_without_figures_is_red() {
        let mut scene = Scene::new();
        let mut order = approved(1, Side::Buy, 2, 2);
        order.evidence.limits.clear();
        scene.record(&Fact::IntentApproved(Box::new(order)));
        scene.expect_red(&[Invariant::I5]);
    }
}
