//! The option chain of one built-in underlying: four expiries that roll, strikes that follow the
//! spot, and a market maker's quotes.
//!
//! Value: Black (1976) on the forward with a smile in standardised moneyness; an American option is
//! worth no less than exercise. Spread: one to three ticks near the money, more in the wings and
//! for long terms. Prices that would be zero are not bid: the line is one-sided, as in real
//! markets.

use super::path::Path;
use super::{DIVIDEND, RATE, REFRESH_ONE_IN};
use crate::day::{midnight_utc, utc_day};
use crate::random::Random;
use market::instrument::{
    ConId, Deliverable, ExerciseStyle, Fixing, Instrument, InstrumentKind, OptionTerms, Right,
    Settlement, TickRule,
};
use market::money::{Currency, Multiplier, Price};
use market::quote::{Level, Quote};
use market::time::{Date, Timestamp};
use pricing::black::{ForwardContract, OptionKind};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Expiries in a chain.
pub const EXPIRIES: usize = 4;
/// Calendar days from listing to expiry.
const LIFETIMES: [i32; EXPIRIES] = [1, 7, 30, 90];
const STRIKES_EACH_SIDE: i64 = 15;
/// Strikes on each side of the spot that are always listed.
const LEAST_STRIKES_EACH_SIDE: i64 = 10;
/// Trading in an expiry ends at 20:00 UTC.
const LAST_TRADE: Duration = Duration::from_secs(20 * 3_600);
/// A first expiry has at least this long to live.
const LEAST_LIFE: Duration = Duration::from_secs(3_600);
const SKEW: f64 = -0.05;
const CURVATURE: f64 = 0.02;
const WINGS: f64 = 4.0;

/// What the options of a chain have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Style {
    pub exercise: ExerciseStyle,
    pub settlement: Settlement,
    pub tick: TickRule,
    /// Micro-units between strikes, per expiry.
    pub spacing_micros: [i64; EXPIRIES],
}

/// One option and its last quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Listed {
    instrument: Instrument,
    quote: Option<Quote>,
}

/// One expiry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Expiry {
    day: Date,
    last_trade: Timestamp,
    /// Calls and puts by rising strike, as they were listed.
    options: Vec<Listed>,
    lowest: i64,
    highest: i64,
}

/// What the market maker looks at.
pub struct View<'a> {
    pub now: Timestamp,
    pub spot: f64,
    pub path: &'a Path,
    /// Ex-dates to come.
    pub dividends: &'a [Date],
}

/// The chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    symbol: String,
    underlying: ConId,
    style: Style,
    expiries: Vec<Expiry>,
}

impl Chain {
    pub fn new(symbol: &str, underlying: ConId, style: Style) -> Self {
        Self { symbol: symbol.to_owned(), underlying, style, expiries: Vec::new() }
    }

    pub fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        let options = self.expiries.iter().flat_map(|expiry| &expiry.options);
        options.map(|listed| &listed.instrument)
    }

    /// Replaces expiries that have ended and lists strikes that the spot has come near to.
    pub fn relist(&mut self, now: Timestamp, spot: f64, next_con_id: &mut u32) -> Vec<Instrument> {
        let mut listed = Vec::new();
        for slot in 0..EXPIRIES {
            let ended = self.expiries.get(slot).is_none_or(|expiry| expiry.last_trade <= now);
            if ended {
                let expiry = self.new_expiry(slot, now, spot);
                if slot < self.expiries.len() {
                    self.expiries[slot] = expiry;
                } else {
                    self.expiries.push(expiry);
                }
            }
            self.extend(slot, spot, next_con_id, &mut listed);
        }
        listed
    }

    fn new_expiry(&self, slot: usize, now: Timestamp, spot: f64) -> Expiry {
        let mut day = utc_day(now).plus_days(LIFETIMES[slot]);
        let first = self.expiries.len() <= slot;
        let today = midnight_utc(utc_day(now)).plus(LAST_TRADE);
        if first && slot == 0 && today >= now.plus(LEAST_LIFE) {
            day = utc_day(now);
        }
        while self.expiries.iter().any(|other| other.day == day) {
            day = day.plus_days(1);
        }
        let centre = self.nearest_strike(slot, spot);
        // An empty range just below the centre: everything around it is still to be listed.
        Expiry {
            day,
            last_trade: midnight_utc(day).plus(LAST_TRADE),
            options: Vec::new(),
            lowest: centre,
            highest: centre - 1,
        }
    }

    /// Strikes are counted in units of the expiry's spacing.
    fn nearest_strike(&self, slot: usize, spot: f64) -> i64 {
        (spot * 1e6 / self.style.spacing_micros[slot] as f64).round() as i64
    }

    fn extend(&mut self, slot: usize, spot: f64, next: &mut u32, listed: &mut Vec<Instrument>) {
        let centre = self.nearest_strike(slot, spot);
        let (lowest, highest) = (self.expiries[slot].lowest, self.expiries[slot].highest);
        let wants_lower = lowest > (centre - LEAST_STRIKES_EACH_SIDE).max(1);
        let wants_higher = highest < centre + LEAST_STRIKES_EACH_SIDE;
        if !wants_lower && !wants_higher {
            return;
        }
        let new_lowest = lowest.min((centre - STRIKES_EACH_SIDE).max(1));
        let new_highest = highest.max(centre + STRIKES_EACH_SIDE);
        for strike in (new_lowest..lowest).chain(highest + 1..=new_highest) {
            for right in [Right::Call, Right::Put] {
                let instrument = self.option(slot, strike, right, ConId(*next));
                *next += 1;
                listed.push(instrument.clone());
                self.expiries[slot].options.push(Listed { instrument, quote: None });
            }
        }
        (self.expiries[slot].lowest, self.expiries[slot].highest) = (new_lowest, new_highest);
    }

    fn option(&self, slot: usize, strike: i64, right: Right, con_id: ConId) -> Instrument {
        let expiry = &self.expiries[slot];
        let strike = Price::from_micros(strike * self.style.spacing_micros[slot]);
        let letter = match right {
            Right::Call => 'C',
            Right::Put => 'P',
        };
        let terms = OptionTerms {
            underlying: self.underlying,
            right,
            strike,
            expiry: expiry.day,
            last_trade: expiry.last_trade,
            style: self.style.exercise,
            settlement: self.style.settlement,
            fixing: Fixing::Pm,
            deliverable: Deliverable::Standard,
        };
        Instrument {
            con_id,
            symbol: self.symbol.clone(),
            local_symbol: format!("{} {}{letter}{strike}", self.symbol, expiry.day.compact()),
            exchange: "SIMEX".to_owned(),
            currency: Currency::USD,
            multiplier: Multiplier(100),
            tick: self.style.tick.clone(),
            trading_class: self.symbol.clone(),
            kind: InstrumentKind::Option(terms),
        }
    }

    /// Quotes one expiry; pushes the lines whose prices or sizes changed (or all of them).
    pub fn quote(
        &mut self,
        slot: usize,
        view: &View<'_>,
        all: bool,
        random: &mut Random,
        out: &mut Vec<(ConId, Quote)>,
    ) {
        let Self { expiries, style, .. } = self;
        let expiry = &mut expiries[slot];
        let years = view.now.years_until(expiry.last_trade);
        let discount = libm::exp(-RATE * years);
        let pays = |date: &&Date| midnight_utc(**date) <= expiry.last_trade;
        let dividends = view.dividends.iter().filter(pays).count() as f64 * DIVIDEND.to_f64();
        let forward = (view.spot - dividends) / discount;
        let at_the_money = view.path.expected_volatility(years);
        let deviation = at_the_money * libm::sqrt(years);
        for listed in &mut expiry.options {
            let InstrumentKind::Option(terms) = listed.instrument.kind else {
                continue;
            };
            let strike = terms.strike.to_f64();
            let moneyness = (libm::log(strike / forward) / deviation).clamp(-WINGS, WINGS);
            let smile = 1.0 + SKEW * moneyness + CURVATURE * moneyness * moneyness;
            let contract = ForwardContract {
                forward,
                strike,
                years,
                vol: at_the_money * smile,
                discount,
                kind: match terms.right {
                    Right::Call => OptionKind::Call,
                    Right::Put => OptionKind::Put,
                },
            };
            let Ok(greeks) = contract.price_and_greeks() else {
                continue;
            };
            let intrinsic = match terms.right {
                Right::Call => view.spot - strike,
                Right::Put => strike - view.spot,
            };
            let value = match style.exercise {
                ExerciseStyle::American => greeks.price.max(intrinsic),
                ExerciseStyle::European => greeks.price,
            };
            let term = if years > 0.1 { 1.0 } else { 0.0 };
            let ticks_wide = (1.0 + 0.8 * moneyness.abs() + term).round();
            let quote = two_sides(value, ticks_wide, &style.tick, view.now, random);
            let unchanged = listed.quote.is_some_and(|last| {
                let prices = |quote: &Quote| {
                    (quote.bid.map(|level| level.price), quote.ask.map(|level| level.price))
                };
                prices(&last) == prices(&quote)
            });
            if all || !unchanged || random.between(1, REFRESH_ONE_IN) == 1 {
                out.push((listed.instrument.con_id, quote));
                listed.quote = Some(quote);
            }
        }
    }
}

/// Bid and ask around `value`, on ticks, never crossed or locked; no bid below one tick.
fn two_sides(
    value: f64,
    ticks_wide: f64,
    rule: &TickRule,
    time: Timestamp,
    random: &mut Random,
) -> Quote {
    let sizes = (random.between(5, 200), random.between(5, 200));
    let exact = Price::from_f64(value.max(0.0)).unwrap_or(Price::ZERO);
    let tick = rule.increment(exact);
    let half = Price::from_micros((tick.to_f64() * ticks_wide * 0.5e6) as i64);
    let bid = rule.round_down(exact - half);
    let mut ask = rule.round_up(exact + half);
    if ask <= bid || ask < tick {
        ask = rule.round_up(bid.max(Price::ZERO) + tick);
    }
    let bid = (bid > Price::ZERO).then_some(Level { price: bid, size: sizes.0 });
    Quote { bid, ask: Some(Level { price: ask, size: sizes.1 }), time }
}
