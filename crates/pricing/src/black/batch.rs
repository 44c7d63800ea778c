//! Whole chains through the kernel: columns in, columns and refusals out.
//!
//! Exists so that callers hold plain columns and never see blocks, padding or instruction levels.
//! A batch is cut into blocks that stay in the first-level cache; a lane that is refused is
//! computed as a harmless one and then overwritten, so that its neighbours keep their speed and
//! bits.

use super::kernel::{DISCOUNT_RANGE, PRICE_RANGE, Terms, Values};
use super::refusal::{VOL_MAX, YEARS_RANGE};
use super::{ForwardContract, OptionKind, PricingError, Refusal, SpotContract};
use crate::lanes::{Kernel, dispatch, padded};

/// Lanes per block: about 15 KiB of inputs, outputs and intermediate columns.
const BLOCK: usize = 64;

/// Options on forwards: one column per input, one lane per option; all of one length.
#[derive(Debug, Clone, Copy)]
pub struct EuropeanInputs<'a> {
    /// Forward prices.
    pub forward: &'a [f64],
    /// Strikes.
    pub strike: &'a [f64],
    /// Years to expiry.
    pub years: &'a [f64],
    /// Annual vols.
    pub vol: &'a [f64],
    /// Discount factors.
    pub discount: &'a [f64],
    /// True for calls.
    pub is_call: &'a [bool],
}

/// Options on spots: one column per input, one lane per option; all of one length.
#[derive(Debug, Clone, Copy)]
pub struct SpotInputs<'a> {
    /// Spot prices.
    pub spot: &'a [f64],
    /// Strikes.
    pub strike: &'a [f64],
    /// Years to expiry.
    pub years: &'a [f64],
    /// Annual vols.
    pub vol: &'a [f64],
    /// Continuous annual rates.
    pub rate: &'a [f64],
    /// Continuous annual dividend (or borrow) yields.
    pub dividend_yield: &'a [f64],
    /// True for calls.
    pub is_call: &'a [bool],
}

/// One column per `ForwardGreeks` or `SpotGreeks` field. A refused lane holds NaN everywhere and
/// its reason in `refusal`; an expired one holds its intrinsic value as price. Reuse it between
/// calls: nothing is allocated when the capacity suffices.
#[derive(Debug, Clone, Default)]
pub struct EuropeanGreeks {
    /// Present values.
    pub price: Vec<f64>,
    /// Per unit of the underlying.
    pub delta: Vec<f64>,
    /// Per unit of the underlying, squared.
    pub gamma: Vec<f64>,
    /// Per 1.00 of vol.
    pub vega: Vec<f64>,
    /// Per year of calendar time.
    pub theta: Vec<f64>,
    /// Per 1.00 of rate.
    pub rho: Vec<f64>,
    /// Why a lane is NaN.
    pub refusal: Vec<Option<Refusal>>,
}

/// One column per `HigherOrder` field; NaN where the lane is refused.
#[derive(Debug, Clone, Default)]
pub struct HigherGreeks {
    /// Of delta, per 1.00 of vol.
    pub vanna: Vec<f64>,
    /// Of vega, per 1.00 of vol.
    pub volga: Vec<f64>,
    /// Of delta, per year of calendar time.
    pub charm: Vec<f64>,
    /// Of gamma, per unit of the underlying.
    pub speed: Vec<f64>,
    /// Of gamma, per 1.00 of vol.
    pub zomma: Vec<f64>,
    /// Of gamma, per year of calendar time.
    pub color: Vec<f64>,
}

impl EuropeanGreeks {
    /// Prices every lane of `inputs` into these columns, replacing what they held.
    ///
    /// Errors with `LengthMismatch`, leaving the columns as they were.
    pub fn fill(&mut self, inputs: &EuropeanInputs<'_>) -> Result<(), PricingError> {
        self.run::<false, false>(inputs.columns()?, [(); 6].map(|()| -> &mut [f64] { &mut [] }));
        Ok(())
    }

    /// The same and the Greeks of the Greeks, in one pass. A vol of zero is refused.
    ///
    /// Errors with `LengthMismatch`, leaving the columns as they were.
    pub fn fill_with_higher(
        &mut self,
        inputs: &EuropeanInputs<'_>,
        higher: &mut HigherGreeks,
    ) -> Result<(), PricingError> {
        let columns = inputs.columns()?;
        self.run::<false, true>(columns, higher.resized(columns.underlying.len()));
        Ok(())
    }

    /// As `fill`, with the spot as the state variable.
    ///
    /// Errors with `LengthMismatch`, leaving the columns as they were.
    pub fn fill_on_spot(&mut self, inputs: &SpotInputs<'_>) -> Result<(), PricingError> {
        self.run::<true, false>(inputs.columns()?, [(); 6].map(|()| -> &mut [f64] { &mut [] }));
        Ok(())
    }

    /// As `fill_with_higher`, with the spot as the state variable.
    ///
    /// Errors with `LengthMismatch`, leaving the columns as they were.
    pub fn fill_on_spot_with_higher(
        &mut self,
        inputs: &SpotInputs<'_>,
        higher: &mut HigherGreeks,
    ) -> Result<(), PricingError> {
        let columns = inputs.columns()?;
        self.run::<true, true>(columns, higher.resized(columns.underlying.len()));
        Ok(())
    }

    fn run<const SPOT: bool, const HIGHER: bool>(
        &mut self,
        columns: Columns<'_>,
        higher: [&mut [f64]; 6],
    ) {
        let lanes = columns.underlying.len();
        let Self { price, delta, gamma, vega, theta, rho, refusal } = self;
        refusal.clear();
        refusal.resize(lanes, None);
        let first = [price, delta, gamma, vega, theta, rho].map(|column| {
            column.resize(lanes, f64::NAN);
            column.as_mut_slice()
        });
        dispatch(Batch::<SPOT, HIGHER> { columns, first, higher, refusal });
    }
}

impl HigherGreeks {
    fn resized(&mut self, lanes: usize) -> [&mut [f64]; 6] {
        let Self { vanna, volga, charm, speed, zomma, color } = self;
        [vanna, volga, charm, speed, zomma, color].map(|column| {
            column.resize(lanes, f64::NAN);
            column.as_mut_slice()
        })
    }
}

impl<'a> EuropeanInputs<'a> {
    fn columns(&self) -> Result<Columns<'a>, PricingError> {
        let expected = self.forward.len();
        for (column, found) in [
            ("strike", self.strike.len()),
            ("years", self.years.len()),
            ("vol", self.vol.len()),
            ("discount", self.discount.len()),
            ("is_call", self.is_call.len()),
        ] {
            if found != expected {
                return Err(PricingError::LengthMismatch { column, expected, found });
            }
        }
        Ok(Columns {
            underlying: self.forward,
            strike: self.strike,
            years: self.years,
            vol: self.vol,
            discount_or_rate: self.discount,
            dividend_yield: &[],
            is_call: self.is_call,
        })
    }
}

impl<'a> SpotInputs<'a> {
    fn columns(&self) -> Result<Columns<'a>, PricingError> {
        let expected = self.spot.len();
        for (column, found) in [
            ("strike", self.strike.len()),
            ("years", self.years.len()),
            ("vol", self.vol.len()),
            ("rate", self.rate.len()),
            ("dividend_yield", self.dividend_yield.len()),
            ("is_call", self.is_call.len()),
        ] {
            if found != expected {
                return Err(PricingError::LengthMismatch { column, expected, found });
            }
        }
        Ok(Columns {
            underlying: self.spot,
            strike: self.strike,
            years: self.years,
            vol: self.vol,
            discount_or_rate: self.rate,
            dividend_yield: self.dividend_yield,
            is_call: self.is_call,
        })
    }
}

/// Inputs of either kind, of one length; the yield is empty with forwards.
#[derive(Clone, Copy)]
struct Columns<'a> {
    underlying: &'a [f64],
    strike: &'a [f64],
    years: &'a [f64],
    vol: &'a [f64],
    discount_or_rate: &'a [f64],
    dividend_yield: &'a [f64],
    is_call: &'a [bool],
}

struct Batch<'a, const SPOT: bool, const HIGHER: bool> {
    columns: Columns<'a>,
    first: [&'a mut [f64]; 6],
    higher: [&'a mut [f64]; 6],
    refusal: &'a mut [Option<Refusal>],
}

impl<const SPOT: bool, const HIGHER: bool> Kernel for Batch<'_, SPOT, HIGHER> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut terms = Terms::<BLOCK>::of_ones();
        let mut values = Values::<BLOCK>::of_zeros();
        let total = self.columns.underlying.len();
        let mut start = 0;
        while start < total {
            let lanes = if total - start < BLOCK { total - start } else { BLOCK };
            self.load(&mut terms, start, lanes);
            let all_pass = pass::<SPOT>(&terms, lanes);
            if !all_pass {
                self.refuse(&mut terms, start, lanes);
            }
            let sound = values.compute::<SPOT, HIGHER>(&terms, padded(lanes));
            for (out, column) in self.first.iter_mut().zip(&values.first) {
                out[start..start + lanes].copy_from_slice(&column[..lanes]);
            }
            if HIGHER {
                for (out, column) in self.higher.iter_mut().zip(&values.higher) {
                    out[start..start + lanes].copy_from_slice(&column[..lanes]);
                }
            }
            if !(all_pass && sound) {
                self.blank(&values, start, lanes);
            }
            start += BLOCK;
        }
    }
}

impl<const SPOT: bool, const HIGHER: bool> Batch<'_, SPOT, HIGHER> {
    #[inline(always)]
    fn load(&self, terms: &mut Terms<BLOCK>, start: usize, lanes: usize) {
        let from = &self.columns;
        let end = start + lanes;
        terms.underlying[..lanes].copy_from_slice(&from.underlying[start..end]);
        terms.strike[..lanes].copy_from_slice(&from.strike[start..end]);
        terms.years[..lanes].copy_from_slice(&from.years[start..end]);
        terms.vol[..lanes].copy_from_slice(&from.vol[start..end]);
        terms.discount_or_rate[..lanes].copy_from_slice(&from.discount_or_rate[start..end]);
        if SPOT {
            terms.dividend_yield[..lanes].copy_from_slice(&from.dividend_yield[start..end]);
        }
        for (sign, is_call) in terms.sign.iter_mut().zip(&from.is_call[start..end]) {
            *sign = if *is_call { 1.0 } else { -1.0 };
        }
        for lane in lanes..padded(lanes) {
            terms.clear(lane);
        }
    }

    /// Names the reason of each lane that fails `pass`, and makes the lane harmless.
    #[cold]
    #[inline(never)]
    fn refuse(&mut self, terms: &mut Terms<BLOCK>, start: usize, lanes: usize) {
        for lane in 0..lanes {
            if let Err(refusal) = self.check(start + lane) {
                self.refusal[start + lane] = Some(refusal);
                terms.clear(lane);
            }
        }
    }

    /// Takes the numbers out of lanes that are refused, or that turned out not representable.
    #[cold]
    #[inline(never)]
    fn blank(&mut self, values: &Values<BLOCK>, start: usize, lanes: usize) {
        for lane in 0..lanes {
            let refusal = &mut self.refusal[start + lane];
            if refusal.is_none() && !values.is_sound::<HIGHER>(lane) {
                *refusal = Some(Refusal::NotRepresentable);
            }
            let Some(refusal) = refusal else { continue };
            for column in &mut self.first {
                column[start + lane] = f64::NAN;
            }
            if HIGHER {
                for column in &mut self.higher {
                    column[start + lane] = f64::NAN;
                }
            }
            if let Refusal::Expired { intrinsic } = refusal {
                self.first[0][start + lane] = *intrinsic;
            }
        }
    }

    fn check(&self, lane: usize) -> Result<(), Refusal> {
        let from = &self.columns;
        let kind = if from.is_call[lane] { OptionKind::Call } else { OptionKind::Put };
        let (strike, years, vol) = (from.strike[lane], from.years[lane], from.vol[lane]);
        if SPOT {
            let (rate, dividend_yield) = (from.discount_or_rate[lane], from.dividend_yield[lane]);
            let spot = from.underlying[lane];
            SpotContract { spot, strike, years, vol, rate, dividend_yield, kind }.check()
        } else {
            let (forward, discount) = (from.underlying[lane], from.discount_or_rate[lane]);
            ForwardContract { forward, strike, years, vol, discount, kind }.check()
        }
    }
}

/// Whether every lane passes its `check`: the same conditions without branches or names.
#[inline(always)]
fn pass<const SPOT: bool>(terms: &Terms<BLOCK>, lanes: usize) -> bool {
    let lanes = if lanes < BLOCK { lanes } else { BLOCK };
    let within = |value: f64, range: &std::ops::RangeInclusive<f64>| {
        (value >= *range.start()) & (value <= *range.end())
    };
    let mut failed = 0_u64;
    for i in 0..lanes {
        let (underlying, strike, vol) = (terms.underlying[i], terms.strike[i], terms.vol[i]);
        let financing = terms.discount_or_rate[i];
        let passes = within(underlying, &PRICE_RANGE)
            & within(strike, &PRICE_RANGE)
            & within(terms.years[i], &YEARS_RANGE)
            & within(vol, &(0.0..=VOL_MAX))
            & ((vol > 0.0) | (underlying != strike))
            & if SPOT {
                (financing.abs() <= f64::MAX) & (terms.dividend_yield[i].abs() <= f64::MAX)
            } else {
                within(financing, &DISCOUNT_RANGE)
            };
        failed |= u64::from(!passes);
    }
    failed == 0
}
