//! The early-exercise premiums of one expiry of a fit, kept while what they depend on all but
//! rests.

use crate::early_exercise::{ExerciseTerms, premium};
use pricing::black::OptionKind;
use std::collections::BTreeMap;

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

#[cfg(test)]
mod tests {
    use super::*;
    use pricing::dividends::CashDividend;

    #[test]
    fn a_premium_is_kept_while_its_terms_rest_and_renewed_when_they_move() {
        let cash = [CashDividend { years: 0.2, cash: 0.8 }];
        let own = ExerciseTerms {
            spot: Some(70.0),
            dividends: &cash,
            years: 0.5,
            forward: 69.9,
            forward_error: 0.0,
            discount: 0.99,
            strike: 60.0,
            kind: OptionKind::Call,
            vol: 0.2,
        };
        let mut premiums = Premiums::default();
        let first = premiums.of(&own);
        assert_eq!(first, premium(&own));
        assert_eq!(premiums.of(&ExerciseTerms { vol: 0.201, ..own }), first);
        let moved = ExerciseTerms { vol: 0.25, ..own };
        assert_eq!(premiums.of(&moved), premium(&moved));
        assert!(premium(&moved) != first);
    }
}
