//! Implied vol: the vol at which Black's formula gives an undiscounted price, or a typed reason.
//!
//! Exists so that one answer, with one set of reasons, is used for bids, mids and asks. Time values
//! are formed here, on the out-of-the-money side, and go through the vectorised `solver` (its own
//! scheme, to about three times the attainable accuracy of P. Jaeckel, "Let's Be Rational", Wilmott
//! 2015). A lane that does not settle there, and none is known that does not, is started again from
//! the answer of the `implied-vol` crate. That crate calls the platform's `exp` and `ln`; its
//! answer is therefore cut to 40 bits and finished by our own kernel, so that the platform's last
//! bits do not show. De-Americanising and discounting are left to the caller.

mod solver;

use crate::black::{OptionKind, PRICE_RANGE, PricingError, quotient};
use crate::lanes::elementary::ln_ratio;
use crate::lanes::{Kernel, WIDTH, dispatch, padded, scalar};
use implied_vol::{DefaultSpecialFn, ImpliedBlackVolatilityNormalised};
use serde::{Deserialize, Serialize};
use solver::Problem;
use thiserror::Error;

/// An in-the-money time value below this share of the price is rounding, not information.
const ROUNDING_OF_PRICE: f64 = 4.0 * f64::EPSILON;
/// Years outside of this are refused.
const YEARS_MIN: f64 = 1e-20;
const YEARS_MAX: f64 = 1e20;
/// Lanes per block.
const BLOCK: usize = 64;
/// Leaves 40 bits of a mantissa: far below them, results of different platforms agree.
const UPPER_BITS: u64 = !0xfff;

/// Why a price has no implied vol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
pub enum NoVol {
    /// Price is zero or negative: nothing is bid.
    #[error("price is not positive; there is no quote to invert")]
    NoPrice,
    /// Price has no time value.
    #[error("price is at or below intrinsic value; check the forward or the age of the quote")]
    BelowIntrinsic,
    /// A call at or above the forward, a put at or above the strike.
    #[error("price is at or above what any vol can give; check the quote")]
    AboveCap,
    /// Time to expiry is zero or negative.
    #[error("option has expired; it has no vol")]
    Expired,
    /// An input is NaN or infinite.
    #[error("an input is not a finite number; check the quote or curve it comes from")]
    NotFinite,
    /// Forward or strike is zero or negative.
    #[error("forward or strike is not positive; the lognormal model can't price it")]
    NotPositive,
    /// An input is outside of the range that the kernels are made for.
    #[error("an input is too extreme for the kernels; check its unit")]
    TooExtreme,
}

/// One column per input, one lane per price; all of one length.
#[derive(Debug, Clone, Copy)]
pub struct ImpliedInputs<'a> {
    /// Prices divided by the discount factor.
    pub undiscounted_price: &'a [f64],
    /// Forward prices.
    pub forward: &'a [f64],
    /// Strikes.
    pub strike: &'a [f64],
    /// Years to expiry.
    pub years: &'a [f64],
    /// True for calls.
    pub is_call: &'a [bool],
}

/// One column per input, one lane per two-sided quote; all of one length.
#[derive(Debug, Clone, Copy)]
pub struct QuoteInputs<'a> {
    /// Bids divided by the discount factor.
    pub undiscounted_bid: &'a [f64],
    /// Asks divided by the discount factor.
    pub undiscounted_ask: &'a [f64],
    /// Forward prices.
    pub forward: &'a [f64],
    /// Strikes.
    pub strike: &'a [f64],
    /// Years to expiry.
    pub years: &'a [f64],
    /// True for calls.
    pub is_call: &'a [bool],
}

/// Annual vols of bid, mid and ask, or why there are none. Reuse it between calls: nothing is
/// allocated when the capacity suffices.
#[derive(Debug, Clone, Default)]
pub struct QuoteVols {
    /// Of the bids.
    pub bid: Vec<Result<f64, NoVol>>,
    /// Of the mids.
    pub mid: Vec<Result<f64, NoVol>>,
    /// Of the asks.
    pub ask: Vec<Result<f64, NoVol>>,
}

/// Annual implied vol of one undiscounted price.
pub fn implied_vol(
    undiscounted_price: f64,
    forward: f64,
    strike: f64,
    years: f64,
    kind: OptionKind,
) -> Result<f64, NoVol> {
    let mut vol = [Err(NoVol::NotFinite)];
    let terms = Terms {
        forward: &[forward],
        strike: &[strike],
        years: &[years],
        is_call: &[kind.is_call()],
    };
    dispatch(Invert::<WIDTH, 1> { prices: [&[undiscounted_price]], terms, vols: [&mut vol] });
    vol[0]
}

/// Total vol (vol * sqrt(years)) of the time value over sqrt(forward * strike), at log-moneyness
/// x <= 0. The price must be positive; `AboveCap` from exp(x / 2) on.
pub fn total_vol_of_normalised_price(
    log_moneyness: f64,
    normalised_price: f64,
) -> Result<f64, NoVol> {
    if !(log_moneyness.is_finite() && normalised_price.is_finite()) {
        return Err(NoVol::NotFinite);
    }
    if !(-1_000.0..=0.0).contains(&log_moneyness) {
        return Err(NoVol::TooExtreme);
    }
    if normalised_price <= 0.0 {
        return Err(NoVol::NoPrice);
    }
    let moneyness = -log_moneyness;
    let cap = scalar::exp(-0.5 * moneyness);
    if normalised_price >= cap {
        return Err(NoVol::AboveCap);
    }
    if !normalised_price.is_normal() {
        return Err(NoVol::BelowIntrinsic);
    }
    let value = normalised_price * scalar::exp(0.5 * moneyness);
    let rest = (cap - normalised_price) / cap;
    one(moneyness, value, rest, None)
}

/// Inverts every lane into `vols`, which must have as many lanes as each column.
///
/// Errors with `LengthMismatch`, leaving `vols` as it was.
pub fn implied_vols(
    inputs: &ImpliedInputs<'_>,
    vols: &mut [Result<f64, NoVol>],
) -> Result<(), PricingError> {
    let ImpliedInputs { undiscounted_price, forward, strike, years, is_call } = *inputs;
    let terms = Terms { forward, strike, years, is_call };
    terms.require_lanes(undiscounted_price.len(), ("vols", vols.len()))?;
    dispatch(Invert::<BLOCK, 1> { prices: [undiscounted_price], terms, vols: [vols] });
    Ok(())
}

impl QuoteVols {
    /// Inverts bid, mid and ask of every lane in one pass, replacing what was held. A side that is
    /// not there is NaN or zero in the inputs and has its reason in the answer, and so has the mid.
    ///
    /// Errors with `LengthMismatch`, leaving the columns as they were.
    pub fn fill(&mut self, inputs: &QuoteInputs<'_>) -> Result<(), PricingError> {
        let QuoteInputs { undiscounted_bid, undiscounted_ask, forward, strike, years, is_call } =
            *inputs;
        let terms = Terms { forward, strike, years, is_call };
        let lanes = undiscounted_bid.len();
        terms.require_lanes(lanes, ("undiscounted_ask", undiscounted_ask.len()))?;
        let vols = [&mut self.bid, &mut self.mid, &mut self.ask].map(|column| {
            column.resize(lanes, Err(NoVol::NoPrice));
            column.as_mut_slice()
        });
        dispatch(Invert::<BLOCK, 3> {
            // The mid is formed in the block, from its neighbours.
            prices: [undiscounted_bid, &[], undiscounted_ask],
            terms,
            vols,
        });
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Terms<'a> {
    forward: &'a [f64],
    strike: &'a [f64],
    years: &'a [f64],
    is_call: &'a [bool],
}

impl Terms<'_> {
    fn require_lanes(
        &self,
        expected: usize,
        other: (&'static str, usize),
    ) -> Result<(), PricingError> {
        for (column, found) in [
            ("forward", self.forward.len()),
            ("strike", self.strike.len()),
            ("years", self.years.len()),
            ("is_call", self.is_call.len()),
            other,
        ] {
            if found != expected {
                return Err(PricingError::LengthMismatch { column, expected, found });
            }
        }
        Ok(())
    }
}

/// What the prices of one block share.
struct Shared<const N: usize> {
    moneyness: [f64; N],
    low: [f64; N],
    per_low: [f64; N],
    intrinsic: [f64; N],
    cap: [f64; N],
    root_years: [f64; N],
    passes: [bool; N],
}

impl<const N: usize> Shared<N> {
    #[inline(always)]
    fn load(&mut self, terms: &Terms<'_>, start: usize, lanes: usize) {
        let end = start + lanes;
        let (forward, strike) = (&terms.forward[start..end], &terms.strike[start..end]);
        let (years, is_call) = (&terms.years[start..end], &terms.is_call[start..end]);
        for i in 0..if lanes < N { lanes } else { N } {
            let (f, k, years) = (forward[i], strike[i], years[i]);
            let low = if f < k { f } else { k };
            let exercise = if is_call[i] { f - k } else { k - f };
            self.moneyness[i] = ln_ratio(f, k).abs();
            self.low[i] = low;
            self.per_low[i] = 1.0 / low;
            self.intrinsic[i] = if exercise > 0.0 { exercise } else { 0.0 };
            self.cap[i] = if is_call[i] { f } else { k };
            self.root_years[i] = years.sqrt();
            self.passes[i] = in_range(f) & in_range(k) & within(years, YEARS_MIN, YEARS_MAX);
        }
    }
}

#[inline(always)]
fn in_range(price: f64) -> bool {
    within(price, *PRICE_RANGE.start(), *PRICE_RANGE.end())
}

/// `contains`, without its branch.
#[inline(always)]
fn within(value: f64, low: f64, high: f64) -> bool {
    let (is_above, is_below) = (value >= low, value <= high);
    is_above & is_below
}

/// `PRICES` prices per lane; of three, the second is the mid of the others.
struct Invert<'a, const N: usize, const PRICES: usize> {
    prices: [&'a [f64]; PRICES],
    terms: Terms<'a>,
    vols: [&'a mut [Result<f64, NoVol>]; PRICES],
}

impl<const N: usize, const PRICES: usize> Kernel for Invert<'_, N, PRICES> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut shared = Shared::<N> {
            moneyness: [0.0; N],
            low: [1.0; N],
            per_low: [1.0; N],
            intrinsic: [0.0; N],
            cap: [1.0; N],
            root_years: [1.0; N],
            passes: [false; N],
        };
        let mut problem = Problem::<N>::harmless();
        let (mut price, mut vol) = ([0.5; N], [0.0; N]);
        let total = self.terms.forward.len();
        let mut start = 0;
        while start < total {
            let lanes = if total - start < N { total - start } else { N };
            shared.load(&self.terms, start, lanes);
            for side in 0..PRICES {
                if PRICES == 3 && side == 1 {
                    let (bid, ask) = (&self.prices[0][start..], &self.prices[2][start..]);
                    for (mid, (bid, ask)) in price[..lanes].iter_mut().zip(bid.iter().zip(ask)) {
                        *mid = 0.5 * (bid + ask);
                    }
                } else {
                    price[..lanes].copy_from_slice(&self.prices[side][start..start + lanes]);
                }
                let passes = pose(&mut problem, &shared, &price, lanes);
                problem.solve(padded(lanes));
                let solved = problem.total_vol.iter().zip(&shared.root_years);
                for (vol, (total_vol, root_years)) in vol[..lanes].iter_mut().zip(solved) {
                    *vol = total_vol / root_years;
                }
                let out = &mut self.vols[side][start..start + lanes];
                for (lane, out) in out.iter_mut().enumerate() {
                    let is_done = passes[lane] & problem.has_settled[lane] & vol[lane].is_normal();
                    *out = if is_done { Ok(vol[lane]) } else { Err(NoVol::BelowIntrinsic) };
                    if !is_done {
                        *out = self.terms.by_itself(start + lane, price[lane]);
                    }
                }
            }
            start += N;
        }
    }
}

/// Fills in the problems of a block at these prices; lanes that fail are harmless, and say so.
#[inline(always)]
fn pose<const N: usize>(
    problem: &mut Problem<N>,
    shared: &Shared<N>,
    price: &[f64; N],
    lanes: usize,
) -> [bool; N] {
    let mut passes = [false; N];
    for i in 0..if lanes < N { lanes } else { N } {
        let (price, intrinsic, low) = (price[i], shared.intrinsic[i], shared.low[i]);
        let time_value = price - intrinsic;
        let rounding = if intrinsic > 0.0 { ROUNDING_OF_PRICE * price } else { 0.0 };
        let value = quotient(time_value, low, shared.per_low[i]);
        let rest = quotient(low - time_value, low, shared.per_low[i]);
        let pass = shared.passes[i]
            & (price > 0.0)
            & (price < shared.cap[i])
            & (time_value > rounding)
            & (value >= f64::MIN_POSITIVE)
            & (rest > 0.0);
        problem.moneyness[i] = if pass { shared.moneyness[i] } else { 0.0 };
        problem.value[i] = if pass { value } else { 0.25 };
        problem.rest[i] = if pass { rest } else { 0.75 };
        passes[i] = pass;
    }
    passes
}

impl Terms<'_> {
    /// One lane with all its reasons, and with the fallback.
    #[cold]
    #[inline(never)]
    fn by_itself(&self, lane: usize, price: f64) -> Result<f64, NoVol> {
        let (forward, strike, years) = (self.forward[lane], self.strike[lane], self.years[lane]);
        if ![price, forward, strike, years].iter().all(|value| value.is_finite()) {
            return Err(NoVol::NotFinite);
        }
        if years <= 0.0 {
            return Err(NoVol::Expired);
        }
        if forward <= 0.0 || strike <= 0.0 {
            return Err(NoVol::NotPositive);
        }
        if price <= 0.0 {
            return Err(NoVol::NoPrice);
        }
        if !(in_range(forward) && in_range(strike) && (YEARS_MIN..=YEARS_MAX).contains(&years)) {
            return Err(NoVol::TooExtreme);
        }
        let (cap, exercise) = if self.is_call[lane] {
            (forward, forward - strike)
        } else {
            (strike, strike - forward)
        };
        let (low, intrinsic) = (forward.min(strike), exercise.max(0.0));
        let time_value = price - intrinsic;
        let rest = (low - time_value) / low;
        if price >= cap || rest <= 0.0 {
            return Err(NoVol::AboveCap);
        }
        let rounding = if intrinsic > 0.0 { ROUNDING_OF_PRICE * price } else { 0.0 };
        let value = time_value / low;
        if time_value <= rounding || value < f64::MIN_POSITIVE {
            return Err(NoVol::BelowIntrinsic);
        }
        let moneyness = ln_ratio(forward, strike).abs();
        let vol = one(moneyness, value, rest, None)? / years.sqrt();
        if vol.is_normal() { Ok(vol) } else { Err(NoVol::TooExtreme) }
    }
}

struct Solve {
    problem: Problem<WIDTH>,
    is_started: bool,
}

impl Kernel for Solve {
    type Output = Problem<WIDTH>;

    #[inline(always)]
    fn run(mut self) -> Problem<WIDTH> {
        if self.is_started {
            self.problem.polish(WIDTH);
        } else {
            self.problem.solve(WIDTH);
        }
        self.problem
    }
}

/// Solves one checked problem from its own guess, or from `start`; if that does not settle, once
/// more from the answer of `implied-vol`.
fn one(moneyness: f64, value: f64, rest: f64, start: Option<f64>) -> Result<f64, NoVol> {
    let mut problem = Problem::harmless();
    problem.moneyness = [moneyness; WIDTH];
    problem.value = [value; WIDTH];
    problem.rest = [rest; WIDTH];
    problem.total_vol = [start.unwrap_or(0.0); WIDTH];
    let solved = dispatch(Solve { problem, is_started: start.is_some() });
    if solved.has_settled[0] {
        return Ok(solved.total_vol[0]);
    }
    match start {
        None => one(moneyness, value, rest, Some(by_peer(moneyness, value)?)),
        // Its own answer, to 40 bits, is all there is.
        Some(start) => Ok(start),
    }
}

/// Total vol by `implied-vol`, cut to the bits that no platform changes.
fn by_peer(moneyness: f64, value: f64) -> Result<f64, NoVol> {
    let problem = ImpliedBlackVolatilityNormalised::builder()
        .log_moneyness(-moneyness)
        .normalised_price(value * scalar::exp(-0.5 * moneyness))
        .build()
        .ok_or(NoVol::NotFinite)?;
    match problem.calculate::<DefaultSpecialFn>() {
        Some(total_vol) if total_vol.is_finite() && total_vol > 0.0 => {
            Ok(f64::from_bits(total_vol.to_bits() & UPPER_BITS))
        }
        Some(_) | None => Err(NoVol::AboveCap),
    }
}

#[cfg(test)]
mod tests;
