//! What a broker doesn't say: which expiries, exercises, assignments and settlements explain that
//! its positions and cash differ from the ledger's after all executions were told.
//!
//! IB reports none of them as such: a position is gone the next day, shares have come, cash has
//! moved. The terms of a contract leave few stories: what expired was exercised at one settlement
//! price (all calls below it, all puts above it) or is worthless; what vanished before its last
//! trade was exercised or assigned early, for shares at the strike. A story is told only if it
//! explains the shares exactly and, where several do or somebody would have exercised early, the
//! cash as well; anything else stays a difference, and its contract ReduceOnly.
//!
//! An option on a future delivers the future at the strike: its positions tell the story, and cash
//! says nothing, since the daily variation of futures moves it too. Where several stories fit, the
//! market decides. If the future ended with the option, cash alone came, and it is believed where
//! no other future could have brought it. Not here: asking (reconcile), booking (desk), the end of
//! a future that is held itself.

use market::instrument::{
    Catalog, ConId, Deliverable, ExerciseStyle, Instrument, InstrumentKind, OptionTerms, Right,
    Settlement,
};
use market::money::{Currency, Money, Price, Quantity};
use market::time::{Date, Timestamp};
use std::collections::BTreeMap;
use trading::lifecycle::{Delivery, LifecycleEvent, LifecycleId, LifecycleKind};

/// A broker tells cash in cents, the ledger keeps every fraction of a fee.
pub const CASH_TOLERANCE: Money = Money::from_micros(10_000);
/// Stories compared at most; beyond it a person has to look.
const STORIES_MAX: usize = 20_000;

/// Two books that differ.
pub struct Break<'a> {
    /// The terms of everything that was held.
    pub catalog: &'a Catalog,
    /// The ledger's positions.
    pub ours: &'a BTreeMap<ConId, Quantity>,
    /// The broker's.
    pub theirs: &'a BTreeMap<ConId, Quantity>,
    /// The broker's cash less the ledger's.
    pub cash: &'a BTreeMap<Currency, Money>,
    /// What an underlying costs now, where that is known.
    pub spot: &'a dyn Fn(ConId) -> Option<Price>,
    /// Market time.
    pub now: Timestamp,
}

/// A position in an option that ended without a trade.
struct Ended<'a> {
    instrument: &'a Instrument,
    terms: &'a OptionTerms,
    /// Signed: what was held before less what is held now.
    quantity: Quantity,
    /// Shares or futures that a contract delivers.
    per_contract: i128,
}

impl Ended<'_> {
    fn units(&self) -> i128 {
        i128::from(self.quantity.0) * i128::from(self.instrument.multiplier.0)
    }

    /// What a settlement at `price` brings, in micro-units.
    fn settles(&self, price: i128) -> i128 {
        let strike = i128::from(self.terms.strike.micros());
        let intrinsic = match self.terms.right {
            Right::Call => price - strike,
            Right::Put => strike - price,
        };
        self.units() * intrinsic.max(0)
    }

    /// Shares or futures that an exercise brings.
    fn delivers(&self) -> i128 {
        let delivered = i128::from(self.quantity.0) * self.per_contract;
        match self.terms.right {
            Right::Call => delivered,
            Right::Put => -delivered,
        }
    }
}

/// What an exercise brings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Brings {
    /// Cash.
    Cash,
    /// Shares for cash at the strike.
    Shares,
    /// Futures at the strike, without cash.
    Futures,
}

type Key = (ConId, Date, Currency);

/// Options that settle together: one price decides about all.
struct Group<'a> {
    key: Key,
    brings: Brings,
    is_over: bool,
    ended: Vec<Ended<'a>>,
}

impl Group<'_> {
    /// Settlement prices of which every other is equivalent to one: between, below and above the
    /// strikes. What is not over was exercised whatever the price.
    fn prices(&self) -> Vec<i128> {
        if !self.is_over {
            return vec![0];
        }
        let strikes = self.strikes();
        let between = strikes.windows(2).map(|pair| i128::midpoint(pair[0], pair[1]));
        let (first, last) = (strikes[0], strikes[strikes.len() - 1]);
        [first - 1].into_iter().chain(between).chain([last + 1]).collect()
    }

    fn strikes(&self) -> Vec<i128> {
        let mut strikes: Vec<i128> =
            self.ended.iter().map(|ended| i128::from(ended.terms.strike.micros())).collect();
        strikes.sort_unstable();
        strikes.dedup();
        strikes
    }

    fn is_exercised(&self, ended: &Ended<'_>, price: i128) -> bool {
        !self.is_over || ended.settles(price) != 0
    }

    /// Shares or futures and cash (micro-units) that come of a settlement at `price`.
    fn delivers(&self, price: i128) -> (i128, i128) {
        let exercised = self.ended.iter().filter(|ended| self.is_exercised(ended, price));
        exercised.fold((0, 0), |(delivered, cash), ended| {
            let own = ended.delivers();
            let paid = match self.brings {
                Brings::Shares => own * i128::from(ended.terms.strike.micros()),
                Brings::Futures | Brings::Cash => 0,
            };
            (delivered + own, cash - paid)
        })
    }

    fn value(&self, price: i128) -> i128 {
        self.ended.iter().map(|ended| ended.settles(price)).sum()
    }

    /// The settlement price at which all of it brings `cash`, the one nearest to `spot` if there
    /// are several.
    fn price_of(&self, cash: i128, spot: Option<i128>) -> Option<i128> {
        let tolerance = i128::from(CASH_TOLERANCE.micros());
        let mut edges = vec![0];
        edges.extend(self.strikes());
        let last = edges[edges.len() - 1];
        edges.push(last * 10 + 1);
        let mut found: Vec<i128> = Vec::new();
        for pair in edges.windows(2) {
            let (low, high) = (pair[0], pair[1]);
            let (at_low, at_high) = (self.value(low), self.value(high));
            let (least, most) = (at_low.min(at_high), at_low.max(at_high));
            if cash < least - tolerance || cash > most + tolerance {
                continue;
            }
            let price = if at_low == at_high {
                spot.unwrap_or(low).clamp(low, high)
            } else {
                let along = (cash - at_low) * (high - low) / (at_high - at_low);
                (low + along).clamp(low, high)
            };
            found.push(price);
        }
        match spot {
            Some(spot) => found.into_iter().min_by_key(|price| (price - spot).abs()),
            // Without a market only a price about which there is no doubt.
            None => {
                let exercised = |price: i128| {
                    self.ended.iter().map(|ended| ended.settles(price)).collect::<Vec<_>>()
                };
                found.dedup_by_key(|price| exercised(*price));
                if let [one] = found.as_slice() { Some(*one) } else { None }
            }
        }
    }
}

/// The events that explain the break; empty if there is no such story, or no break.
#[must_use]
pub fn explain(books: &Break<'_>) -> Vec<LifecycleEvent> {
    let groups = groups(books);
    if groups.is_empty() {
        return Vec::new();
    }
    let (in_cash, physical): (Vec<&Group<'_>>, Vec<&Group<'_>>) =
        groups.iter().partition(|group| group.brings == Brings::Cash);
    let Some(told) = deliveries(books, &physical, &in_cash) else { return Vec::new() };
    let mut events = Vec::new();
    for (group, price) in physical.iter().zip(told.prices) {
        for ended in &group.ended {
            let delivered = group.is_exercised(ended, price).then(|| Delivery {
                con_id: group.key.0,
                quantity: Quantity(i64::try_from(ended.delivers()).unwrap_or(0)),
                price: ended.terms.strike,
            });
            events.push(event(books, group, ended, delivered, Money::ZERO));
        }
    }
    for group in in_cash {
        // Several that settle at once share one sum: nobody can say which brought what.
        let others = groups
            .iter()
            .filter(|other| other.brings == Brings::Cash && other.key.2 == group.key.2);
        if others.count() > 1 {
            continue;
        }
        let cash = told.cash_left.get(&group.key.2).copied().unwrap_or(0);
        let spot = (books.spot)(group.key.0).map(|spot| i128::from(spot.micros()));
        let Some(price) = group.price_of(cash, spot) else { continue };
        for ended in &group.ended {
            let amount = i64::try_from(ended.settles(price)).map(Money::from_micros);
            events.push(event(books, group, ended, None, amount.unwrap_or(Money::ZERO)));
        }
    }
    events
}

/// The story of what was delivered.
struct Told {
    /// A settlement price for each group.
    prices: Vec<i128>,
    /// Micro-units of cash that it doesn't explain.
    cash_left: BTreeMap<Currency, i128>,
}

/// The settlement prices of the groups that explain the shares and futures; where several do, those
/// that explain the cash too, as far as it says anything.
fn deliveries(books: &Break<'_>, physical: &[&Group<'_>], in_cash: &[&Group<'_>]) -> Option<Told> {
    let choices: Vec<Vec<i128>> = physical.iter().map(|group| group.prices()).collect();
    let count = choices.iter().try_fold(1_usize, |all, own| all.checked_mul(own.len()))?;
    if count > STORIES_MAX {
        return None;
    }
    let mut matching: Vec<Told> = Vec::new();
    for number in 0..count {
        let mut rest = number;
        let prices: Vec<i128> = choices
            .iter()
            .map(|own| {
                let price = own[rest % own.len()];
                rest /= own.len();
                price
            })
            .collect();
        let mut shares: BTreeMap<ConId, i128> = BTreeMap::new();
        let mut cash_left: BTreeMap<Currency, i128> =
            books.cash.iter().map(|(of, cash)| (*of, i128::from(cash.micros()))).collect();
        for (group, price) in physical.iter().zip(&prices) {
            let (moved, paid) = group.delivers(*price);
            *shares.entry(group.key.0).or_default() += moved;
            *cash_left.entry(group.key.2).or_default() -= paid;
        }
        let explained = shares.iter().all(|(con_id, moved)| {
            let held = |book: &BTreeMap<ConId, Quantity>| {
                book.get(con_id).map_or(0, |quantity| i128::from(quantity.0))
            };
            held(books.theirs) - held(books.ours) == *moved
        });
        if explained {
            matching.push(Told { prices, cash_left });
        }
    }
    // Nothing here exercises early: that somebody did is believed if the cash says so too. A long
    // straddle that the ledger has twice would else pass for exercised, its shares netting out.
    let exercised_early = physical
        .iter()
        .any(|group| !group.is_over && group.ended.iter().any(|ended| ended.quantity.0 > 0));
    if matching.len() > 1 || exercised_early {
        let is_marked = |of: &Currency| {
            physical.iter().any(|group| group.brings == Brings::Futures && group.key.2 == *of)
        };
        if exercised_early && physical.iter().any(|group| is_marked(&group.key.2)) {
            return None;
        }
        let settles =
            |of: &Currency| is_marked(of) || in_cash.iter().any(|group| group.key.2 == *of);
        let tolerance = i128::from(CASH_TOLERANCE.micros());
        matching.retain(|told| {
            told.cash_left.iter().all(|(of, left)| settles(of) || left.abs() <= tolerance)
        });
        let distance = |told: &Told| {
            let off = physical.iter().zip(&told.prices).map(|(group, price)| {
                let spot = (books.spot)(group.key.0).map_or(0, |spot| i128::from(spot.micros()));
                (price - spot).abs()
            });
            off.sum::<i128>()
        };
        matching.sort_by_key(distance);
        let known = physical.iter().all(|group| (books.spot)(group.key.0).is_some());
        // Stories of one sum and different lines: the market says which, or nobody.
        if matching.len() > 1 && !known {
            return None;
        }
    }
    (!matching.is_empty()).then(|| matching.swap_remove(0))
}

fn groups<'a>(books: &Break<'a>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(Key, bool, Brings), Group<'a>> = BTreeMap::new();
    for (con_id, held) in books.ours {
        let Ok(instrument) = books.catalog.get(*con_id) else { continue };
        let Some(terms) = instrument.option() else { continue };
        if terms.deliverable != Deliverable::Standard {
            continue;
        }
        let Some((brings, per_contract)) = brings(books, instrument, terms) else { continue };
        let left = books.theirs.get(con_id).copied().unwrap_or_default();
        let shrank = left.0.signum() * held.0.signum() >= 0 && left.0.abs() < held.0.abs();
        let is_over = terms.last_trade <= books.now;
        let is_american = terms.style == ExerciseStyle::American;
        let may_end = match brings {
            _ if is_over => left.is_zero(),
            Brings::Shares => is_american,
            // That we exercised early only cash could say.
            Brings::Futures => is_american && held.0 < 0,
            Brings::Cash => false,
        };
        if !shrank || !may_end {
            continue;
        }
        let key = (terms.underlying, terms.expiry, instrument.currency);
        let group = groups.entry((key, is_over, brings)).or_insert_with(|| Group {
            key,
            brings,
            is_over,
            ended: Vec::new(),
        });
        group.ended.push(Ended { instrument, terms, quantity: *held - left, per_contract });
    }
    groups.into_values().collect()
}

/// What an exercise of this option brings, and how many of it a contract; `None` where that can't
/// be told from the books.
fn brings(
    books: &Break<'_>,
    instrument: &Instrument,
    terms: &OptionTerms,
) -> Option<(Brings, i128)> {
    let multiplier = i128::from(instrument.multiplier.0);
    let is_on_future = matches!(instrument.kind, InstrumentKind::FutureOption(_));
    if !is_on_future {
        let brings = match terms.settlement {
            Settlement::Cash => Brings::Cash,
            Settlement::Physical => Brings::Shares,
        };
        return Some((brings, multiplier));
    }
    let future = books.catalog.get(terms.underlying).ok()?;
    let has_ended = future.last_trade().is_some_and(|last_trade| last_trade <= books.now);
    if terms.settlement == Settlement::Physical && !has_ended {
        let of_future = i128::from(future.multiplier.0);
        let is_whole = of_future > 0 && multiplier % of_future == 0;
        return is_whole.then(|| (Brings::Futures, multiplier / of_future));
    }
    let is_future = |con_id: &ConId| {
        books
            .catalog
            .get(*con_id)
            .is_ok_and(|one| one.is_margined_daily() && one.currency == instrument.currency)
    };
    let mut held = books.ours.keys().chain(books.theirs.keys());
    (!held.any(is_future)).then_some((Brings::Cash, multiplier))
}

fn event(
    books: &Break<'_>,
    group: &Group<'_>,
    ended: &Ended<'_>,
    delivery: Option<Delivery>,
    amount: Money,
) -> LifecycleEvent {
    let (con_id, quantity) = (ended.instrument.con_id, ended.quantity);
    let kind = match delivery {
        Some(_) if quantity.0 > 0 => LifecycleKind::Exercised { con_id, quantity, delivery },
        Some(_) => LifecycleKind::Assigned { con_id, quantity, delivery },
        None if amount.is_zero() => LifecycleKind::Expired { con_id, quantity },
        None => LifecycleKind::CashSettled { con_id, quantity, amount },
    };
    let time = if group.is_over { ended.terms.last_trade } else { books.now };
    // Said once: with it in the ledger the break is gone. Another break of the same contract is
    // another event, which its time tells apart.
    let id = LifecycleId(format!("inferred:{con_id}:{}", books.now.nanos()));
    LifecycleEvent { id, kind, currency: group.key.2, time }
}

#[cfg(test)]
mod tests;
