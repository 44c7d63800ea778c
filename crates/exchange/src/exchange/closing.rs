//! What happens by itself: contracts expire and settle, days end, futures are marked, short options
//! are assigned early, dividends are paid.
//!
//! Settlement price: the underlying's last valid mid (of AM contracts: at the fixing on their
//! expiry day). In the money by at least 0.01 is exercised. Without any price the settlement waits
//! and asks again every second of market time. On the eve of an ex-date short American calls worth
//! less over intrinsic than the dividend are assigned first; whoever holds the stock then gets or
//! pays it.

use super::Exchange;
use crate::books::BookChange;
use crate::day::{DayEnd, midnight_utc};
use crate::order::{EndState, TimeInForce};
use crate::random::mix;
use crate::report::{Delivery, EventKind};
use market::instrument::{
    ConId, Deliverable, ExerciseStyle, Fixing, Instrument, InstrumentKind, OptionTerms, Right,
    Settlement,
};
use market::money::{Money, Price, Quantity};
use market::time::Timestamp;
use std::time::Duration;

const RETRY: Duration = Duration::from_secs(1);
/// Exercise by exception: from here on an expiring option is exercised.
const LEAST_IN_THE_MONEY: Price = Price::from_micros(10_000);
/// A put is deep in the money from this part of the spot on, and worth no more than this over it.
const DEEP_PART: i64 = 20;
const DEEP_TIME_VALUE: Price = Price::from_micros(20_000);

impl Exchange {
    /// Sets the next instant at which something happens by itself.
    pub(super) fn refresh_due(&mut self) {
        let day_end = self.next_day_end().map_or(Timestamp::MAX, |end| end.at);
        let orders = self.books.open.values().flat_map(|order| order.contract.legs());
        let last_trades = orders.filter_map(|leg| self.books.instruments[&leg.con_id].last_trade());
        let good_till = self.books.open.values().filter_map(|order| order.instructions.good_till);
        let order_end = last_trades.chain(good_till).min().unwrap_or(Timestamp::MAX);
        let positions = self.positions();
        let settlement = positions.iter().filter_map(|(con_id, _)| {
            Some(self.settles_at(&self.books.instruments[con_id])?.max(self.settlement_retry))
        });
        self.due = day_end.min(order_end).min(settlement.min().unwrap_or(Timestamp::MAX));
    }

    fn next_day_end(&self) -> Option<DayEnd> {
        self.config.days.next_end(self.books.last_day_end)
    }

    fn settles_at(&self, instrument: &Instrument) -> Option<Timestamp> {
        let (last_trade, fixing, expiry) = match &instrument.kind {
            InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) => {
                (terms.last_trade, terms.fixing, terms.expiry)
            }
            InstrumentKind::Future(terms) => (terms.last_trade, terms.fixing, terms.expiry),
            InstrumentKind::Stock | InstrumentKind::Index => return None,
        };
        match fixing {
            Fixing::Pm => Some(last_trade),
            Fixing::Am => {
                let seconds = u64::from(self.config.am_fixing_seconds);
                let fixed = midnight_utc(expiry).plus(Duration::from_secs(seconds));
                Some(fixed.max(last_trade))
            }
        }
    }

    /// Works off everything that is due at `at`: expiries before the day's end.
    pub(super) fn close_due(&mut self, at: Timestamp) {
        self.expire_orders(at);
        // Options first: what they deliver may itself settle at the same instant.
        for options in [true, false] {
            let due: Vec<Instrument> = self
                .positions()
                .iter()
                .map(|(con_id, _)| &self.books.instruments[con_id])
                .filter(|instrument| instrument.option().is_some() == options)
                .filter(|instrument| self.settles_at(instrument).is_some_and(|time| time <= at))
                .cloned()
                .collect();
            for instrument in due {
                self.settle(&instrument, at);
            }
        }
        if let Some(end) = self.next_day_end().filter(|end| end.at <= at) {
            self.end_day(end);
        }
    }

    fn expire_orders(&mut self, at: Timestamp) {
        let ended = |con_id: ConId| {
            let last_trade = self.books.instruments[&con_id].last_trade();
            last_trade.is_some_and(|last_trade| last_trade <= at)
        };
        let expired: Vec<i64> = self
            .books
            .open
            .values()
            .filter(|order| {
                let good_till = order.instructions.good_till;
                good_till.is_some_and(|end| end <= at)
                    || order.contract.legs().iter().any(|leg| ended(leg.con_id))
            })
            .map(|order| order.perm_id)
            .collect();
        for perm_id in expired {
            self.end_order(perm_id, EndState::Expired, at);
        }
    }

    fn settle(&mut self, instrument: &Instrument, at: Timestamp) {
        let con_id = instrument.con_id;
        let quantity = self.books.quantity(con_id);
        let source = instrument.option().map_or(con_id, |terms| terms.underlying);
        let Some(price) = self.mark(source) else {
            self.settlement_retry = self.clock.plus(RETRY);
            return;
        };
        let Some(terms) = instrument.option().copied() else {
            self.variation(con_id, price, at);
            let kind = EventKind::CashSettled { con_id, quantity, amount: Money::ZERO };
            self.event(kind, instrument.currency, at);
            return;
        };
        let in_the_money = intrinsic(&terms, price);
        if in_the_money < LEAST_IN_THE_MONEY {
            self.event(EventKind::OptionExpired { con_id, quantity }, instrument.currency, at);
            return;
        }
        match terms.settlement {
            Settlement::Cash => {
                let amount = in_the_money.value(quantity, instrument.multiplier);
                let kind = EventKind::CashSettled { con_id, quantity, amount };
                self.event(kind, instrument.currency, at);
            }
            Settlement::Physical => self.deliver(instrument, &terms, quantity, at),
        }
    }

    /// Ends `quantity` (signed) of a physically settled option against its deliverable.
    fn deliver(
        &mut self,
        instrument: &Instrument,
        terms: &OptionTerms,
        quantity: Quantity,
        at: Timestamp,
    ) {
        let con_id = instrument.con_id;
        let Ok(underlying) = self.books.terms(terms.underlying) else {
            return;
        };
        let margined = underlying.is_margined_daily();
        let per_contract = i64::from(instrument.multiplier.0);
        let direction = match terms.right {
            Right::Call => 1,
            Right::Put => -1,
        };
        // An adjusted contract still costs strike times multiplier; cash squares what its units
        // leave.
        let unit = i64::from(underlying.multiplier.0);
        let (units, cash) = match terms.deliverable {
            Deliverable::Standard => (per_contract / unit, Money::ZERO),
            Deliverable::Adjusted { units, cash } => {
                let missing = (per_contract - units * unit) * terms.strike.micros();
                (units, Money::from_micros(cash.micros() - missing))
            }
        };
        let delivery = Delivery {
            con_id: terms.underlying,
            quantity: Quantity(quantity.0 * direction * units),
            price: terms.strike,
        };
        let kind = if quantity.0 > 0 {
            EventKind::Exercised { con_id, quantity, delivery }
        } else {
            EventKind::Assigned { con_id, quantity, delivery }
        };
        self.event(kind, instrument.currency, at);
        if !cash.is_zero() {
            let amount = Money::from_micros(cash.micros() * quantity.0 * direction);
            self.event(EventKind::Cash { amount }, instrument.currency, at);
        }
        if margined && let Some(mark) = self.mark(terms.underlying) {
            self.variation(terms.underlying, mark, at);
        }
    }

    fn end_day(&mut self, end: DayEnd) {
        let day_orders: Vec<i64> = self
            .books
            .open
            .values()
            .filter(|order| order.time_in_force == TimeInForce::Day)
            .map(|order| order.perm_id)
            .collect();
        for perm_id in day_orders {
            self.end_order(perm_id, EndState::Expired, end.at);
        }
        self.mark_futures(end);
        self.assign_early(end);
        self.pay_dividends(end);
        self.commit(BookChange::DayEnded(end));
    }

    fn mark_futures(&mut self, end: DayEnd) {
        for (con_id, _) in self.positions() {
            let margined = self.books.instruments[&con_id].is_margined_daily();
            if margined && let Some(mark) = self.mark(con_id) {
                self.variation(con_id, mark, end.at);
            }
        }
    }

    /// The dividend per share that the stock trades without from the day after `end`.
    fn dividend(&self, con_id: ConId, end: DayEnd) -> Option<Price> {
        let dates = self.books.dividends.get(&con_id)?;
        let due = dates.iter().filter(|(day, _)| **day > end.day && **day <= end.next);
        let total: Price = due.map(|(_, amount)| *amount).sum();
        (!total.is_zero()).then_some(total)
    }

    fn assign_early(&mut self, end: DayEnd) {
        for (con_id, quantity) in self.positions() {
            let instrument = self.books.instruments[&con_id].clone();
            let InstrumentKind::Option(terms) = instrument.kind else {
                continue;
            };
            let physical = terms.settlement == Settlement::Physical;
            if quantity.0 >= 0 || !physical || terms.style != ExerciseStyle::American {
                continue;
            }
            let Some(spot) = self.mark(terms.underlying) else {
                continue;
            };
            let exercise_value = intrinsic(&terms, spot);
            if exercise_value < LEAST_IN_THE_MONEY {
                continue;
            }
            let value = self.mark(con_id).unwrap_or(exercise_value);
            let time_value = value - exercise_value;
            let per_mille = match terms.right {
                Right::Call => {
                    let dividend = self.dividend(terms.underlying, end);
                    let due = dividend.is_some_and(|dividend| time_value < dividend);
                    if due { self.config.assignment.call_per_mille } else { 0 }
                }
                Right::Put => {
                    let deep = exercise_value.micros() >= spot.micros() / DEEP_PART
                        && time_value <= DEEP_TIME_VALUE;
                    let day = end.at.nanos().unsigned_abs();
                    let draw = mix(self.config.assignment.seed ^ mix(u64::from(con_id.0) ^ day));
                    let hit = draw % 1000 < u64::from(self.config.assignment.put_per_mille);
                    if deep && hit { 1000 } else { 0 }
                }
            };
            let assigned = (-quantity.0 * i64::from(per_mille.min(1000)) + 999) / 1000;
            if assigned > 0 {
                self.deliver(&instrument, &terms, Quantity(-assigned), end.at);
            }
        }
    }

    fn pay_dividends(&mut self, end: DayEnd) {
        for (con_id, quantity) in self.positions() {
            let instrument = &self.books.instruments[&con_id];
            let (currency, multiplier) = (instrument.currency, instrument.multiplier);
            if !matches!(instrument.kind, InstrumentKind::Stock) {
                continue;
            }
            if let Some(dividend) = self.dividend(con_id, end) {
                let amount = dividend.value(quantity, multiplier);
                self.event(EventKind::Dividend { con_id, amount }, currency, end.at);
            }
        }
    }
}

fn intrinsic(terms: &OptionTerms, price: Price) -> Price {
    match terms.right {
        Right::Call => price - terms.strike,
        Right::Put => terms.strike - price,
    }
}
