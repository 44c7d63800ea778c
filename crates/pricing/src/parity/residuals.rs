//! What each strike's pair is off the fitted line, and whether its quotes allow that.
//!
//! Exists to explain: a residual inside the pair's own spreads is noise, one outside is a bad
//! quote, a stale side or a premium for early exercise. Deciding which is left to the reader of the
//! report.

use super::{NoFit, ParityFit, ParityInputs};
use serde::{Deserialize, Serialize};

/// What the quotes say about a residual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairVerdict {
    /// The line lies between what the pair can be sold and bought for.
    Inside,
    /// The pair costs more than the line even when sold: call too dear or put too cheap.
    Rich,
    /// The pair costs less than the line even when bought.
    Cheap,
    /// One of the four prices is missing or crossed.
    Unquoted,
}

/// One strike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ParityResidual {
    /// Strike.
    pub strike: f64,
    /// Call mid - put mid - discount * (forward - strike); NaN where unquoted.
    pub residual: f64,
    /// Half of what buying and selling the pair costs; NaN where unquoted.
    pub half_width: f64,
    /// Whether the quotes allow it.
    pub verdict: PairVerdict,
}

/// Residuals of all strikes, in the order of the inputs.
pub fn parity_residuals(
    inputs: &ParityInputs<'_>,
    fit: &ParityFit,
) -> Result<Vec<ParityResidual>, NoFit> {
    let lanes = inputs.strike.len();
    let columns = [inputs.call_bid, inputs.call_ask, inputs.put_bid, inputs.put_ask];
    if columns.iter().any(|column| column.len() != lanes) {
        return Err(NoFit::LengthMismatch);
    }
    let quoted = |bid: f64, ask: f64| bid >= 0.0 && ask > 0.0 && ask >= bid && ask.is_finite();
    let residuals = inputs.strike.iter().enumerate().map(|(lane, &strike)| {
        let (call_bid, call_ask) = (inputs.call_bid[lane], inputs.call_ask[lane]);
        let (put_bid, put_ask) = (inputs.put_bid[lane], inputs.put_ask[lane]);
        if !(quoted(call_bid, call_ask) && quoted(put_bid, put_ask) && strike.is_finite()) {
            let verdict = PairVerdict::Unquoted;
            return ParityResidual { strike, residual: f64::NAN, half_width: f64::NAN, verdict };
        }
        let line = fit.discount * (fit.forward - strike);
        let (sold, bought) = (call_bid - put_ask - line, call_ask - put_bid - line);
        let verdict = match (sold > 0.0, bought < 0.0) {
            (true, _) => PairVerdict::Rich,
            (false, true) => PairVerdict::Cheap,
            (false, false) => PairVerdict::Inside,
        };
        let (residual, half_width) = (0.5 * (sold + bought), 0.5 * (bought - sold));
        ParityResidual { strike, residual, half_width, verdict }
    });
    Ok(residuals.collect())
}
