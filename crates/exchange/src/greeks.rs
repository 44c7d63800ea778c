//! Implied volatility and Greeks of a price, and the price of a volatility, as a broker's data
//! lines show them.
//!
//! Model: Black (1976) on the forward; dividends until expiry are taken off the spot at their face
//! value, an option on a future has the future as its forward. Early exercise is not priced: deep
//! American options have no implied volatility rather than a wrong one. Left to others: which price
//! (bid, ask, model) is meant.

use crate::Exchange;
use crate::builtin::RATE;
use crate::day::midnight_utc;
use market::instrument::{ConId, Instrument, InstrumentKind, OptionTerms, Right};
use market::money::Price;
use market::time::Timestamp;
use pricing::black::{ForwardContract, OptionKind};
use pricing::implied::implied_vol;

/// Calendar days in a year, for theta.
const DAYS_PER_YEAR: f64 = 365.0;
/// Percentage points in 1.00 of volatility, for vega.
const POINTS: f64 = 100.0;

/// An option's model values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Computation {
    /// Annual, 0.20 is 20 %.
    pub implied_vol: f64,
    /// Price per unit of the underlying.
    pub price: f64,
    /// Per unit of the underlying's price.
    pub delta: f64,
    /// Delta per unit of the underlying's price.
    pub gamma: f64,
    /// Per percentage point of volatility.
    pub vega: f64,
    /// Per calendar day.
    pub theta: f64,
    /// The underlying's price that it is computed at.
    pub underlying: f64,
    /// Dividends until expiry.
    pub dividends: f64,
}

struct Frame {
    contract: ForwardContract,
    spot: f64,
    dividends: f64,
    carry: f64,
}

impl Exchange {
    /// The model values of an option at `price`, at the underlying's mark.
    #[must_use]
    pub fn computation(&self, con_id: ConId, price: Price, now: Timestamp) -> Option<Computation> {
        let instrument = self.instrument(con_id)?;
        let spot = self.mark(instrument.option()?.underlying)?.to_f64();
        self.computation_at(con_id, price.to_f64(), spot, now)
    }

    /// The same at another price of the underlying.
    #[must_use]
    pub fn computation_at(
        &self,
        con_id: ConId,
        price: f64,
        spot: f64,
        now: Timestamp,
    ) -> Option<Computation> {
        let frame = self.frame(self.instrument(con_id)?, spot, now)?;
        let c = &frame.contract;
        let undiscounted = price / c.discount;
        let vol = implied_vol(undiscounted, c.forward, c.strike, c.years, c.kind).ok()?;
        values(&frame, vol)
    }

    /// The model values of an option at a volatility.
    #[must_use]
    pub fn valuation_at(
        &self,
        con_id: ConId,
        vol: f64,
        spot: f64,
        now: Timestamp,
    ) -> Option<Computation> {
        values(&self.frame(self.instrument(con_id)?, spot, now)?, vol)
    }

    fn frame(&self, instrument: &Instrument, spot: f64, now: Timestamp) -> Option<Frame> {
        let terms: &OptionTerms = instrument.option()?;
        let years = now.years_until(terms.last_trade);
        if years <= 0.0 {
            return None;
        }
        let discount = libm::exp(-RATE * years);
        let on_future = matches!(instrument.kind, InstrumentKind::FutureOption(_));
        let dividends = if on_future { 0.0 } else { self.dividends_until(terms, now) };
        let forward = if on_future { spot } else { (spot - dividends) / discount };
        let contract = ForwardContract {
            forward,
            strike: terms.strike.to_f64(),
            years,
            vol: 0.0,
            discount,
            kind: match terms.right {
                Right::Call => OptionKind::Call,
                Right::Put => OptionKind::Put,
            },
        };
        let carry = if on_future { 0.0 } else { RATE };
        Some(Frame { contract, spot, dividends, carry })
    }

    fn dividends_until(&self, terms: &OptionTerms, now: Timestamp) -> f64 {
        let dates = self.books().dividends.get(&terms.underlying);
        let due = dates.into_iter().flatten().filter(|(day, _)| {
            let begins = midnight_utc(**day);
            begins > now && begins <= terms.last_trade
        });
        due.map(|(_, amount)| amount.to_f64()).sum()
    }
}

fn values(frame: &Frame, vol: f64) -> Option<Computation> {
    let contract = ForwardContract { vol, ..frame.contract };
    let greeks = contract.price_and_greeks().ok()?;
    // From the forward to the spot, which grows into it.
    let growth = contract.forward / frame.spot;
    let theta = greeks.theta - frame.carry * contract.forward * greeks.delta;
    Some(Computation {
        implied_vol: vol,
        price: greeks.price,
        delta: greeks.delta * growth,
        gamma: greeks.gamma * growth * growth,
        vega: greeks.vega / POINTS,
        theta: theta / DAYS_PER_YEAR,
        underlying: frame.spot,
        dividends: frame.dividends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExchangeConfig;
    use crate::samples::{self, at};
    use market::quote::{Level, Quote};

    #[test]
    fn the_vol_of_a_price_gives_the_price_back() {
        let mut exchange = Exchange::new(ExchangeConfig::default(), at(0, 9));
        exchange.list(samples::stock());
        exchange.list(samples::stock_call(100));
        let level = |price: &str| Some(Level { price: Price::parse(price).unwrap(), size: 1 });
        let quote = Quote { bid: level("99.99"), ask: level("100.01"), time: at(0, 9) };
        exchange.on_quotes(&[(samples::STOCK, quote)], at(0, 9));
        let call = ConId(1100);
        let values = exchange.computation(call, Price::parse("1.50").unwrap(), at(0, 9)).unwrap();
        assert!((values.price - 1.5).abs() < 1e-9);
        assert!(values.delta > 0.5 && values.delta < 0.6 && values.theta < 0.0, "{values:?}");
        let back = exchange.valuation_at(call, values.implied_vol, 100.0, at(0, 9)).unwrap();
        assert!((back.price - 1.5).abs() < 1e-9);
        assert_eq!(exchange.computation(call, Price::from_units(200), at(0, 9)), None);
    }
}
