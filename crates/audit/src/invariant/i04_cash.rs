//! I4: per currency, cash = fills + fees + cash events, exact decimals; a difference from the broker
//! is a named, aged item, never silent.
//!
//! The arithmetic is the auditor's own: whole micro-units in 128 bits, added up anew at each
//! comparison in the order of time and id. A figure that needs the terms of an instrument that nobody
//! told is not compared.

use super::{Books, Check};
use crate::executions::{signed, stem};
use crate::fact::{Fact, Fill, LifecycleKind, Terms};
use crate::report::{Invariant, Place, Tally};
use crate::settings::{FutureCash, InstrumentTerms};
use crate::truth::VenueTruth;
use market::instrument::ConId;
use market::money::Currency;
use std::collections::{BTreeMap, BTreeSet};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct CashFollows;

const I4: Invariant = Invariant::I4;

/// A future's open lots: signed contracts and what they are carried at, in micro-units.
#[derive(Clone, Copy, Debug, Default)]
struct Lots {
    quantity: i128,
    cost: i128,
}

impl Lots {
    /// Moves the position; answers the result of what closed, by average cost.
    fn trade(&mut self, quantity: i128, price: i128, multiplier: i128) -> i128 {
        let closing = if self.quantity.signum() * quantity.signum() < 0 {
            quantity.signum() * quantity.abs().min(self.quantity.abs())
        } else {
            0
        };
        let mut result = 0;
        if closing != 0 {
            let released = self.cost.saturating_mul(closing.abs()) / self.quantity.abs();
            result = clamped(value(-closing, price, multiplier) - clamped(released));
            self.cost = clamped(self.cost - clamped(released));
        }
        self.cost = clamped(self.cost + value(quantity - closing, price, multiplier));
        self.quantity += quantity;
        result
    }
}

/// Micro-units that no account can hold; larger figures stop here, so that sums of them fit.
const VALUE_MAX: i128 = 1 << 100;

fn clamped(micros: i128) -> i128 {
    micros.clamp(-VALUE_MAX, VALUE_MAX)
}

/// In micro-units.
fn value(quantity: i128, price: i128, multiplier: i128) -> i128 {
    clamped(quantity.saturating_mul(price).saturating_mul(multiplier))
}

enum Movement<'a> {
    Fill(&'a Fill),
    Event(&'a LifecycleKind, Currency),
}

/// Cash per currency by the records; an instrument without terms is the error.
fn cash(books: &Books) -> Result<BTreeMap<Currency, i128>, ConId> {
    let mut movements: Vec<(i64, String, Movement<'_>)> = Vec::new();
    let mut cash: BTreeMap<Currency, i128> = BTreeMap::new();
    for execution in books.executions.all() {
        if let Some(fill) = execution.booked() {
            let name = stem(&fill.exec_id).to_owned();
            movements.push((fill.time, name, Movement::Fill(fill)));
        }
        if let Some((currency, paid)) = execution.fee() {
            *cash.entry(currency).or_default() -= i128::from(paid);
        }
    }
    for event in books.executions.lifecycle() {
        // Behind every execution of the same instant: an expiry ends what was traded until then.
        let name = format!("~{}", event.id);
        movements.push((event.time, name, Movement::Event(&event.kind, event.currency)));
    }
    movements.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let terms = |con_id: ConId| books.terms.get(&con_id).copied().ok_or(con_id);
    let mut lots: BTreeMap<ConId, Lots> = BTreeMap::new();
    for (.., movement) in &movements {
        match movement {
            Movement::Fill(fill) => {
                let terms = terms(fill.con_id)?;
                let moved = traded(books, &mut lots, terms, fill.con_id, signed(fill), fill.price);
                *cash.entry(terms.currency).or_default() += moved;
            }
            Movement::Event(kind, currency) => {
                let (moved, delivered) = event_cash(kind);
                *cash.entry(*currency).or_default() += moved;
                if let Some(delivery) = delivered {
                    let terms = terms(delivery.con_id)?;
                    let quantity = i128::from(delivery.quantity);
                    let price = delivery.price;
                    let moved = traded(books, &mut lots, terms, delivery.con_id, quantity, price);
                    *cash.entry(terms.currency).or_default() += moved;
                }
                settle_lots(&mut lots, &books.terms, kind);
            }
        }
    }
    cash.retain(|_, amount| *amount != 0);
    Ok(cash)
}

fn traded(
    books: &Books,
    lots: &mut BTreeMap<ConId, Lots>,
    terms: InstrumentTerms,
    con_id: ConId,
    quantity: i128,
    price: i64,
) -> i128 {
    let (price, multiplier) = (i128::from(price), i128::from(terms.multiplier));
    if !terms.is_future {
        return -value(quantity, price, multiplier);
    }
    let result = lots.entry(con_id).or_default().trade(quantity, price, multiplier);
    match books.settings.future_cash {
        FutureCash::Variation => 0,
        FutureCash::CloseAndVariation => result,
    }
}

fn event_cash(kind: &LifecycleKind) -> (i128, Option<crate::fact::Delivery>) {
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

/// What an event does to a future's lots beyond its cash.
fn settle_lots(
    lots: &mut BTreeMap<ConId, Lots>,
    terms: &BTreeMap<ConId, InstrumentTerms>,
    kind: &LifecycleKind,
) {
    match *kind {
        LifecycleKind::Variation { con_id, mark, .. } => {
            let multiplier = terms.get(&con_id).map_or(1, |terms| terms.multiplier);
            let lots = lots.entry(con_id).or_default();
            lots.cost = value(lots.quantity, i128::from(mark), i128::from(multiplier));
        }
        LifecycleKind::Expired { con_id, quantity }
        | LifecycleKind::CashSettled { con_id, quantity, .. } => {
            if let Some(lots) = lots.get_mut(&con_id) {
                lots.trade(-i128::from(quantity), 0, 1);
            }
        }
        _ => {}
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
                let Ok(ours) = cash(books) else {
                    return;
                };
                let theirs = nonzero(report.cash.iter().map(|(currency, cash)| (currency, cash)));
                let named = !report.unresolved.is_empty();
                tally.check(I4, place, ours == theirs || named, || {
                    format!(
                        "cash is {} by the records and {} by the broker, and the report names no \
                         difference",
                        amounts(&ours),
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
    use crate::settings::{AuditSettings, FutureCash};
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
    fn futures_move_cash_by_either_convention() {
        for future_cash in [FutureCash::Variation, FutureCash::CloseAndVariation] {
            let settings = AuditSettings { future_cash, ..AuditSettings::default() };
            let mut scene = Scene::with(settings);
            for (exec_id, side, quantity, price, time) in [
                ("f.1.01", Side::Buy, 3, 4_000_000_000, 1),
                ("f.2.01", Side::Sell, 1, 4_010_000_000, 2),
            ] {
                let mut fill = fill_of(FUTURE, exec_id, side, quantity);
                (fill.price, fill.time) = (price, time);
                scene.record(&Fact::Filled { fill, strategy: None, terms: None });
            }
            let carried = LifecycleKind::Variation {
                con_id: FUTURE,
                mark: 4_020_000_000,
                amount: 2_000_000_000,
            };
            scene.lifecycle("v", carried, 0);
            let closed = match future_cash {
                FutureCash::Variation => 0,
                FutureCash::CloseAndVariation => 500_000_000,
            };
            scene.venue.executions.clear();
            scene.venue.positions = [(FUTURE, 2)].into();
            scene.venue.cash = [(usd(), closed + 2_000_000_000)].into();
            scene.auditor.on_truth(&scene.venue.clone(), scene.now());
            assert!(!scene.auditor.report().violated.contains_key("I4"), "{future_cash:?}");
        }
    }

    #[test]
    fn without_terms_no_figure_is_compared() {
        let mut scene = Scene::without_terms();
        scene.trade_whole(1, 2);
        scene.reconcile(&[], 1);
        assert_eq!(scene.auditor.report().checks["I4"], 0);
    }
}
