//! Options on two underlyings: the right to exchange one for the other (exact), and a spread with a
//! strike (Kirk's approximation).
//!
//! Exists because calendar and crack spreads are quoted so. Baskets are left to `monte_carlo`.

use super::{
    ExoticInput, ExoticRefusal, PRICES, Price, ROUNDING, VOLS, YEARS, exp_times_cdf, finish, within,
};
use crate::black::OptionKind;
use crate::error_class::StatedError;
use crate::lanes::scalar::{exp, ln};
use serde::{Deserialize, Serialize};

/// One of two underlyings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// Spot price (a forward has a yield equal to the rate).
    pub spot: f64,
    /// How many units are exchanged.
    pub quantity: f64,
    /// Continuous annual dividend yield.
    pub dividend_yield: f64,
    /// Annual volatility.
    pub vol: f64,
}

impl Asset {
    fn check(&self) -> Result<(), ExoticRefusal> {
        within(ExoticInput::Spot, self.spot, PRICES)?;
        within(ExoticInput::Quantity, self.quantity, 1e-9..=1e9)?;
        within(ExoticInput::DividendYield, self.dividend_yield, -1.0..=1.0)?;
        within(ExoticInput::Vol, self.vol, VOLS)
    }

    fn prepaid(&self, years: f64) -> f64 {
        self.quantity * self.spot * exp(-self.dividend_yield * years)
    }
}

fn check(assets: &[Asset; 2], correlation: f64, years: f64) -> Result<(), ExoticRefusal> {
    assets[0].check()?;
    assets[1].check()?;
    within(ExoticInput::Correlation, correlation, -1.0..=1.0)?;
    within(ExoticInput::Years, years, YEARS)
}

/// a N(d1) - b N(d2) for a relative vol; at none of it the difference if positive.
fn exchange_value(get: f64, give: f64, deviation: f64) -> f64 {
    if deviation < 1e-12 {
        return (get - give).max(0.0);
    }
    let d1 = ln(get / give) / deviation + 0.5 * deviation;
    get * exp_times_cdf(0.0, d1) - give * exp_times_cdf(0.0, d1 - deviation)
}

/// The right to get the first for the second at expiry (Margrabe, Journal of Finance 33, 1978).
pub fn exchange(assets: &[Asset; 2], correlation: f64, years: f64) -> Result<Price, ExoticRefusal> {
    check(assets, correlation, years)?;
    let [get, give] = assets;
    let variance = get.vol * get.vol + give.vol * give.vol - 2.0 * correlation * get.vol * give.vol;
    let deviation = (variance.max(0.0) * years).sqrt();
    let (a, b) = (get.prepaid(years), give.prepaid(years));
    let value = exchange_value(a, b, deviation);
    finish(value, StatedError::Exact { rounding: ROUNDING * (a + b) }, true)
}

/// An option on the first less the second with a strike of zero or more (Kirk 1995): the second and
/// the strike are taken for one lognormal price.
///
/// Stated: 0.2 vol^2 years share (1 - share) (second + strike), with vol and share those of the
/// second. Against 200,000 exact integrals the largest error was 0.139 of it, to total variances of
/// 14 and correlations of 0.99 (tests/approximations.rs); to first order in the variance it is at
/// most n(1) / 2 = 0.121. Beyond that variance no more is stated than that a price is a price.
pub fn kirk(
    assets: &[Asset; 2],
    correlation: f64,
    years: f64,
    rate: f64,
    strike: f64,
    kind: OptionKind,
) -> Result<Price, ExoticRefusal> {
    check(assets, correlation, years)?;
    within(ExoticInput::Rate, rate, -1.0..=1.0)?;
    within(ExoticInput::Strike, strike, 0.0..=1e12)?;
    let [first, second] = assets;
    let (get, give) = (first.prepaid(years), second.prepaid(years));
    let paid = strike * exp(-rate * years);
    let share = give / (give + paid);
    let vol = second.vol * share;
    let variance = first.vol * first.vol + vol * vol - 2.0 * correlation * first.vol * vol;
    let deviation = (variance.max(0.0) * years).sqrt();
    let call = exchange_value(get, give + paid, deviation);
    let value = if kind.is_call() { call } else { call - get + give + paid };
    let total = second.vol * second.vol * years;
    let skew = (1.0 - share) * share * (total * (give + paid));
    let is_tested = first.vol * first.vol * years <= VARIANCE_TESTED && total <= VARIANCE_TESTED;
    let error = if is_tested { KIRK_ERROR * skew } else { get.max(give + paid) };
    let measured = error + ROUNDING * (get + give + paid);
    finish(value, StatedError::Approximation { measured }, true)
}

/// See `kirk`.
const KIRK_ERROR: f64 = 0.2;
const VARIANCE_TESTED: f64 = 14.4;
