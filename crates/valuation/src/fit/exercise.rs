//! What early exercise adds to an option of an expiry: American less European, by the pricing room.
//!
//! Stocks pay cash dividends in the spot model; what the forward is off spot, rate and dividends is
//! borrow, taken as a yield. An option on a future has its rate as yield. What can't be priced has
//! no premium: the quote is then taken as European, and its error is in the residuals.

use pricing::american;
use pricing::black::{OptionKind, SpotContract};
use pricing::dividends::{self, CashDividend, Exercise};
use std::collections::BTreeMap;

/// Newton steps for the borrow yield: the forward is all but linear in it.
const STEPS: usize = 4;

/// What a premium depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExerciseTerms<'a> {
    /// The stock's price now; `None` for an option on a future.
    pub spot: Option<f64>,
    /// Dividends that go ex before expiry, by rising time.
    pub dividends: &'a [CashDividend],
    /// Years to expiry.
    pub years: f64,
    /// Forward price.
    pub forward: f64,
    /// Discount factor.
    pub discount: f64,
    /// Strike.
    pub strike: f64,
    /// Call or put.
    pub kind: OptionKind,
    /// Annual vol.
    pub vol: f64,
}

/// How far vol, forward and time may have moved before a premium is computed anew: it moves by a
/// few per cent of itself then.
const VOL_STEP: f64 = 0.005;
const FORWARD_STEP: f64 = 0.0005;
const YEARS_STEP: f64 = 0.5 / 365.0;

/// The premiums of one expiry, kept while what they depend on all but rests: an option across cash
/// dividends takes long to price, and a chain is asked for at each moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Premiums {
    known: BTreeMap<(u64, bool), Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    vol: f64,
    forward: f64,
    discount: f64,
    years: f64,
    premium: f64,
}

impl Premiums {
    /// What the premium was when it was last asked for, or zero.
    pub(super) fn last(&self, strike: f64, kind: OptionKind) -> f64 {
        self.known.get(&(strike.to_bits(), kind.is_call())).map_or(0.0, |known| known.premium)
    }

    /// The premium of an option, of now or of a moment ago.
    pub(super) fn of(&mut self, terms: &ExerciseTerms<'_>) -> f64 {
        let key = (terms.strike.to_bits(), terms.kind.is_call());
        if let Some(known) = self.known.get(&key)
            && (terms.vol - known.vol).abs() <= VOL_STEP
            && (terms.forward / known.forward - 1.0).abs() <= FORWARD_STEP
            && (terms.discount / known.discount - 1.0).abs() <= FORWARD_STEP
            && (terms.years - known.years).abs() <= YEARS_STEP
        {
            return known.premium;
        }
        let ExerciseTerms { vol, forward, discount, years, .. } = *terms;
        let premium = premium(terms);
        self.known.insert(key, Known { vol, forward, discount, years, premium });
        premium
    }
}

/// What early exercise adds; never negative.
#[must_use]
pub fn premium(terms: &ExerciseTerms<'_>) -> f64 {
    let rate = -libm::log(terms.discount) / terms.years;
    let (spot, dividend_yield) = match terms.spot {
        None => (terms.forward, rate),
        Some(spot) => (spot, borrow(terms, spot, rate)),
    };
    let contract = SpotContract {
        spot,
        strike: terms.strike,
        years: terms.years,
        vol: terms.vol,
        rate,
        dividend_yield,
        kind: terms.kind,
    };
    let cash = if terms.spot.is_some() { terms.dividends } else { &[] };
    let price = |exercise| {
        let answer =
            dividends::price_and_greeks(exercise, &contract, cash, american::Accuracy::Fast);
        answer.map(|greeks| greeks.price)
    };
    match (price(Exercise::American), price(Exercise::European)) {
        (Ok(american), Ok(european)) if american.is_finite() => (american - european).max(0.0),
        _ => 0.0,
    }
}

/// The yield at which spot, rate and dividends give the forward.
fn borrow(terms: &ExerciseTerms<'_>, spot: f64, rate: f64) -> f64 {
    let mut found = rate - libm::log(terms.forward / spot) / terms.years;
    if terms.dividends.is_empty() {
        return found;
    }
    found = 0.0;
    for _ in 0..STEPS {
        let carry = rate - found;
        let mut forward = spot * libm::exp(carry * terms.years);
        let mut slope = -terms.years * forward;
        for dividend in terms.dividends {
            let left = terms.years - dividend.years;
            let grown = dividend.cash * libm::exp(carry * left);
            forward -= grown;
            slope += left * grown;
        }
        found -= (forward - terms.forward) / slope;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(dividends: &[CashDividend]) -> ExerciseTerms<'_> {
        ExerciseTerms {
            spot: Some(70.0),
            dividends,
            years: 0.5,
            forward: 69.9,
            discount: 0.99,
            strike: 60.0,
            kind: OptionKind::Call,
            vol: 0.2,
        }
    }

    #[test]
    fn a_call_is_exercised_for_a_dividend_and_not_without() {
        let cash = [CashDividend { years: 0.2, cash: 0.8 }];
        assert!(premium(&terms(&cash)) > 0.05);
        let none = ExerciseTerms { forward: 70.0 / 0.99, ..terms(&[]) };
        assert!(premium(&none) < 1e-6);
        let put = ExerciseTerms { kind: OptionKind::Put, strike: 80.0, ..none };
        assert!(premium(&put) > 0.05);
    }

    #[test]
    fn borrow_is_what_spot_rate_and_dividends_leave_open() {
        let cash = [CashDividend { years: 0.2, cash: 0.8 }];
        let own = terms(&cash);
        let rate = -libm::log(own.discount) / own.years;
        let found = borrow(&own, 70.0, rate);
        let carry = rate - found;
        let forward = 70.0 * libm::exp(carry * 0.5) - 0.8 * libm::exp(carry * 0.3);
        assert!((forward - own.forward).abs() < 1e-9);
    }

    #[test]
    fn a_premium_is_kept_while_its_terms_rest_and_renewed_when_they_move() {
        let cash = [CashDividend { years: 0.2, cash: 0.8 }];
        let own = terms(&cash);
        let mut premiums = Premiums::default();
        let first = premiums.of(&own);
        assert_eq!(first, premium(&own));
        assert_eq!(premiums.of(&ExerciseTerms { vol: 0.201, ..own }), first);
        let moved = ExerciseTerms { vol: 0.25, ..own };
        assert_eq!(premiums.of(&moved), premium(&moved));
        assert!(premium(&moved) != first);
    }

    #[test]
    fn what_can_not_be_priced_has_no_premium() {
        assert_eq!(premium(&ExerciseTerms { vol: f64::NAN, ..terms(&[]) }), 0.0);
        assert_eq!(premium(&ExerciseTerms { strike: -1.0, ..terms(&[]) }), 0.0);
    }
}
