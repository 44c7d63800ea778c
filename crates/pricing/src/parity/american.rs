//! Parity of American pairs: the exercise premium is taken out of both sides, by turns with the
//! fit.
//!
//! The premium depends on vol and forward, which depend on it: each turn implies a European vol at
//! every strike from its out-of-the-money side, asks for both premiums at that vol, takes them off
//! the quotes and fits the line again, until forward and premiums rest (three or four turns: a
//! premium moves its own vol little where the out-of-the-money side has most of it). Who prices the
//! premium is the caller's choice; a premium of zero gives European parity.
//!
//! Quotes with a premium do not name a rate: far in the money both kinds are worth exercise now, at
//! any rate, and a rate of zero explains itself. So the discount is held at the guess while
//! premiums are taken out, and fitted only where they turn out smaller than the pairs' half
//! spreads.
//!
//! Before any fit the pairs must obey what holds for American options without a model
//! ([`american_parity_bounds`]; Merton 1973, for dividends and futures Hull's "Options, Futures and
//! Other Derivatives", chapters 11 and 18).

use super::{NoFit, ParityFit, ParityInputs, ParitySettings, fit_parity};
use crate::black::OptionKind;
use crate::implied::implied_vol;

/// Turns at most, and the relative change of the forward that ends them.
const TURNS: usize = 8;
const SETTLED: f64 = 1e-8;

/// What a premium is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PremiumTerms {
    /// Strike.
    pub strike: f64,
    /// Call or put.
    pub kind: OptionKind,
    /// Annual European vol.
    pub vol: f64,
    /// Forward of this turn.
    pub forward: f64,
    /// Discount factor of this turn.
    pub discount: f64,
}

/// A fit with what was taken off the quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct AmericanParityFit {
    /// Forward and discount.
    pub fit: ParityFit,
    /// Vol of each strike, in the order of the inputs; NaN where no quote names one.
    pub vol: Vec<f64>,
    /// Early-exercise premium of each call.
    pub call_premium: Vec<f64>,
    /// Early-exercise premium of each put.
    pub put_premium: Vec<f64>,
    /// Turns taken.
    pub turns: usize,
}

/// Fits forward and discount of American pairs. `premium` answers what early exercise adds to the
/// European price; answers that are not finite or are negative count as zero.
pub fn fit_american_parity(
    inputs: &ParityInputs<'_>,
    settings: &ParitySettings,
    mut premium: impl FnMut(&PremiumTerms) -> f64,
) -> Result<AmericanParityFit, NoFit> {
    let lanes = inputs.strike.len();
    let held = ParitySettings { rate_guess_error: 0.0, ..*settings };
    let mut found = AmericanParityFit {
        fit: fit_parity(inputs, &held)?,
        vol: vec![f64::NAN; lanes],
        call_premium: vec![0.0; lanes],
        put_premium: vec![0.0; lanes],
        turns: 0,
    };
    let mut columns =
        [inputs.call_bid, inputs.call_ask, inputs.put_bid, inputs.put_ask].map(<[f64]>::to_vec);
    while found.turns < TURNS {
        found.turns += 1;
        let ParityFit { forward, discount, .. } = found.fit;
        for lane in 0..lanes {
            let strike = inputs.strike[lane];
            let out_of_money = if strike >= forward { OptionKind::Call } else { OptionKind::Put };
            let (bid, ask, own) = match out_of_money {
                OptionKind::Call => {
                    (inputs.call_bid[lane], inputs.call_ask[lane], found.call_premium[lane])
                }
                OptionKind::Put => {
                    (inputs.put_bid[lane], inputs.put_ask[lane], found.put_premium[lane])
                }
            };
            let european = (0.5 * (bid + ask) - own) / discount;
            let vol = implied_vol(european, forward, strike, settings.years, out_of_money);
            let Ok(vol) = vol else { continue };
            found.vol[lane] = vol;
            let mut ask_for = |kind| {
                let terms = PremiumTerms { strike, kind, vol, forward, discount };
                let answer = premium(&terms);
                if answer.is_finite() { answer.max(0.0) } else { 0.0 }
            };
            found.call_premium[lane] = ask_for(OptionKind::Call);
            found.put_premium[lane] = ask_for(OptionKind::Put);
            for (column, (quote, own)) in columns.iter_mut().zip([
                (inputs.call_bid[lane], found.call_premium[lane]),
                (inputs.call_ask[lane], found.call_premium[lane]),
                (inputs.put_bid[lane], found.put_premium[lane]),
                (inputs.put_ask[lane], found.put_premium[lane]),
            ]) {
                // A quote below its premium is worth nothing, not less.
                column[lane] = if quote > 0.0 { (quote - own).max(0.0) } else { quote };
            }
        }
        let [call_bid, call_ask, put_bid, put_ask] = &columns;
        let european = ParityInputs { strike: inputs.strike, call_bid, call_ask, put_bid, put_ask };
        let next = fit_parity(&european, &held)?;
        let moved = (next.forward / forward - 1.0).abs();
        found.fit = next;
        if moved <= SETTLED {
            break;
        }
    }
    found.fit.discount_error = settings.rate_guess_error * settings.years * found.fit.discount;
    if !material(inputs, &found) {
        let [call_bid, call_ask, put_bid, put_ask] = &columns;
        let european = ParityInputs { strike: inputs.strike, call_bid, call_ask, put_bid, put_ask };
        found.fit = fit_parity(&european, settings)?;
    }
    Ok(found)
}

/// Whether some premium exceeds half of what buying and selling its pair costs.
fn material(inputs: &ParityInputs<'_>, found: &AmericanParityFit) -> bool {
    (0..inputs.strike.len()).any(|lane| {
        let call = inputs.call_ask[lane] - inputs.call_bid[lane];
        let put = inputs.put_ask[lane] - inputs.put_bid[lane];
        found.call_premium[lane].max(found.put_premium[lane]) > 0.5 * (call + put)
    })
}

/// What an American pair is written on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AmericanCarry {
    /// A stock at this price, with the present value of the dividends until expiry.
    Stock {
        /// Spot price.
        spot: f64,
        /// Present value of cash dividends that go ex before expiry.
        dividends: f64,
    },
    /// A future at this price.
    Future {
        /// Futures price.
        forward: f64,
    },
}

/// The least and the most that call - put may be for American options at one strike, for rates that
/// are not negative.
#[must_use]
pub fn american_parity_bounds(carry: AmericanCarry, strike: f64, discount: f64) -> (f64, f64) {
    match carry {
        AmericanCarry::Stock { spot, dividends } => {
            (spot - dividends - strike, spot - discount * strike)
        }
        AmericanCarry::Future { forward } => {
            (discount * forward - strike, forward - discount * strike)
        }
    }
}

#[cfg(test)]
mod tests;
