//! I4: per currency, cash = fills + fees + cash events, exact decimals; a difference from the
//! broker is a named, aged item, never silent.
//!
//! The arithmetic is the auditor's own: whole micro-units in 128 bits, added up anew at each
//! comparison that has something new to compare. Stocks and options move their value at the trade,
//! futures only with variation events. A figure that needs the terms of an instrument that nobody
//! told is not compared.

use super::{Books, Check};
use crate::executions::signed;
use crate::fact::{Delivery, Fact, LifecycleKind, Terms};
use crate::report::{Invariant, Place, Tally};
use crate::truth::VenueTruth;
use market::instrument::ConId;
use market::money::Currency;
use std::collections::{BTreeMap, BTreeSet};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct CashFollows {
    /// Forgotten with every record that moves cash.
    added_up: Option<BTreeMap<Currency, i128>>,
}

const I4: Invariant = Invariant::I4;

/// Micro-units that no account can hold; larger figures stop here, so that sums of them fit.
const VALUE_MAX: i128 = 1 << 100;

/// In micro-units.
fn value(quantity: i128, price: i128, multiplier: i128) -> i128 {
    let micros = quantity.saturating_mul(price).saturating_mul(multiplier);
    micros.clamp(-VALUE_MAX, VALUE_MAX)
}

/// Cash per currency by the records; an instrument without terms is the error.
fn cash(books: &Books) -> Result<BTreeMap<Currency, i128>, ConId> {
    let mut cash: BTreeMap<Currency, i128> = BTreeMap::new();
    let traded = |con_id: ConId, quantity: i128, price: i64| {
        let terms = books.terms.get(&con_id).ok_or(con_id)?;
        let paid = match terms.is_future {
            true => 0,
            false => value(quantity, i128::from(price), i128::from(terms.multiplier)),
        };
        Ok((terms.currency, paid))
    };
    for execution in books.executions.all() {
        if let Some(fill) = execution.booked() {
            let (currency, paid) = traded(fill.con_id, signed(fill), fill.price)?;
            *cash.entry(currency).or_default() -= paid;
        }
        if let Some((currency, paid)) = execution.fee() {
            *cash.entry(currency).or_default() -= i128::from(paid);
        }
    }
    for event in books.executions.lifecycle() {
        let (received, delivery) = event_cash(&event.kind);
        *cash.entry(event.currency).or_default() += received;
        if let Some(delivery) = delivery {
            let quantity = i128::from(delivery.quantity);
            let (currency, paid) = traded(delivery.con_id, quantity, delivery.price)?;
            *cash.entry(currency).or_default() -= paid;
        }
    }
    cash.retain(|_, amount| *amount != 0);
    Ok(cash)
}

fn event_cash(kind: &LifecycleKind) -> (i128, Option<Delivery>) {
    match *kind {
        LifecycleKind::Exercised { delivery, .. } | LifecycleKind::Assigned { delivery, .. } => {
            (0, delivery)
        }
        LifecycleKind::CashSettled { amount, .. }
        | LifecycleKind::Dividend { amount, .. }
        | LifecycleKind::Variation { amount, .. }
        | LifecycleKind::Cash { amount } => (i128::from(amount), None),
        LifecycleKind::Expired { .. } | LifecycleKind::DeliverableChanged { .. } => (0, None),
    }
}

fn amounts(cash: &BTreeMap<Currency, i128>) -> String {
    let each: Vec<String> =
        cash.iter().map(|(currency, amount)| format!("{amount} micro-{currency}")).collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join(", ") }
}

fn nonzero<'a>(theirs: impl Iterator<Item = (&'a Currency, &'a i64)>) -> BTreeMap<Currency, i128> {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for (currency, amount) in theirs {
        *sums.entry(*currency).or_default() += i128::from(*amount);
    }
    sums.retain(|_, amount| *amount != 0);
    sums
}

impl CashFollows {
    fn recorded_terms(
        books: &Books,
        place: Place,
        con_id: ConId,
        recorded: &Terms,
        tally: &mut Tally,
    ) {
        if let Some(known) = books.terms.get(&con_id) {
            let same = known.multiplier == recorded.multiplier
                && known.is_future == recorded.margined_daily
                && known.currency == recorded.currency;
            tally.check(I4, place, same, || {
                format!("{con_id} is booked with {recorded:?}, its terms are {known:?}")
            });
        }
    }
}

impl Check for CashFollows {
    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        if matches!(
            fact,
            Fact::Filled { .. }
                | Fact::Corrected { .. }
                | Fact::Busted { .. }
                | Fact::Fee { .. }
                | Fact::Lifecycle { .. }
        ) {
            self.added_up = None;
        }
        match fact {
            Fact::Filled { fill, terms: Some(terms), .. }
            | Fact::Corrected { fill, terms: Some(terms), .. } => {
                Self::recorded_terms(books, place, fill.con_id, terms, tally);
            }
            Fact::Lifecycle { terms, .. } => {
                for (con_id, terms) in terms {
                    Self::recorded_terms(books, place, *con_id, terms, tally);
                }
            }
            Fact::Reconciled { report } if report.complete && books.from_the_start => {
                if self.added_up.is_none() {
                    self.added_up = cash(books).ok();
                }
                let Some(ours) = &self.added_up else {
                    return;
                };
                let theirs = nonzero(report.cash.iter().map(|(currency, cash)| (currency, cash)));
                let named = !report.unresolved.is_empty();
                tally.check(I4, place, *ours == theirs || named, || {
                    format!(
                        "cash is {} by the records and {} by the broker, and the report names no \
                         difference",
                        amounts(ours),
                        amounts(&theirs)
                    )
                });
            }
            _ => {}
        }
    }

    fn on_truth(&mut self, books: &Books, truth: &VenueTruth, place: Place, tally: &mut Tally) {
        if !books.from_the_start {
            return;
        }
        if let Ok(ours) = cash(books) {
            let theirs = nonzero(truth.cash.iter());
            tally.check(I4, place, ours == theirs, || {
                format!(
                    "cash is {} by the records and {} by the venue",
                    amounts(&ours),
                    amounts(&theirs)
                )
            });
        }
        let wrong: BTreeSet<&String> = truth
            .fees
            .iter()
            .filter(|(exec_id, fee)| {
                let ours = books.executions.of(exec_id).and_then(|execution| execution.fee());
                // A fee of nothing need not be told.
                ours != Some(**fee) && !(ours.is_none() && fee.1 == 0)
            })
            .map(|(exec_id, _)| exec_id)
            .collect();
        tally.check(I4, place, wrong.is_empty(), || {
            let named: Vec<_> = wrong.iter().take(5).collect();
            format!("{} fees are not as the venue charged them: {named:?}", wrong.len())
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::LifecycleKind;
    use crate::fact::{Delivery, Fact};
    use crate::report::Invariant;
    use crate::scene::{CALL, FUTURE, STOCK, Scene, fill_of, usd};
    use market::quote::Side;

    #[test]
    fn premium_fees_and_deposits_add_up() {
        let mut scene = Scene::new();
        scene.lifecycle("d", LifecycleKind::Cash { amount: 1_000_000_000 }, 0);
        scene.trade_whole(1, 2);
        scene.fee("e1.1.01", 650_000);
        // 1000 - 2 x 1.50 x 100 - 0.65
        scene.venue.cash = [(usd(), 699_350_000)].into();
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.reconcile(&[], 1);
        scene.expect_held(&[Invariant::I4]);
        scene.venue.cash = [(usd(), 699_350_001)].into();
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_red(&[Invariant::I4]);
    }

    #[test]
    fn a_dropped_fee_is_red() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        scene.venue.fees.insert("e1.1.01".to_owned(), (usd(), 650_000));
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_red(&[Invariant::I4]);
    }

    #[test]
    fn a_silent_difference_from_the_broker_is_red() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        scene.venue.cash = [(usd(), 5)].into();
        scene.reconcile(&[], 1);
        scene.expect_red(&[Invariant::I4]);
    }

    #[test]
    fn an_assignment_pays_the_strike() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        let delivery = Some(Delivery { con_id: STOCK, quantity: 200, price: 100_000_000 });
        let kind = LifecycleKind::Exercised { con_id: CALL, quantity: 2, delivery };
        scene.lifecycle("x", kind, -2);
        scene.venue.positions = [(STOCK, 200)].into();
        // -2 x 1.50 x 100 - 200 x 100
        scene.venue.cash = [(usd(), -20_300_000_000)].into();
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_held(&[Invariant::I3, Invariant::I4]);
    }

    #[test]
    fn futures_move_cash_by_variation_alone() {
        let mut scene = Scene::new();
        let fill = fill_of(FUTURE, "f.1.01", Side::Buy, 3);
        scene.record(&Fact::Filled { fill, strategy: None, terms: None });
        let carried =
            LifecycleKind::Variation { con_id: FUTURE, mark: 1_600_000, amount: 15_000_000 };
        scene.lifecycle("v", carried, 0);
        scene.venue.positions = [(FUTURE, 3)].into();
        scene.venue.cash = [(usd(), 15_000_000)].into();
        scene.reconcile(&[], 1);
        scene.expect_held(&[Invariant::I3, Invariant::I4]);
    }

    #[test]
    fn without_terms_no_figure_is_compared() {
        let mut scene = Scene::without_terms();
        scene.trade_whole(1, 2);
        scene.reconcile(&[], 1);
        assert_eq!(scene.auditor.report().checks["I4"], 0);
    }
}
