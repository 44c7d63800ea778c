//! American puts and calls: on a spot with a continuous dividend yield, or on a future.
//!
//! Exists so that a chain of American options can be repriced on every tick with a stated error:
//! the exercise boundary is solved once per (rate, yield, vol, years) and reused for every spot and
//! strike, because it scales with the strike. Follows Andersen, Lake and Offengenden (2016) with
//! the changes told in `boundary`. A call is a put with spot and strike, rate and yield exchanged
//! (R. McDonald and M. Schroder, Journal of Computational Finance 1 (1998)). An option on a future
//! is one whose yield equals its rate; its rho is the sum of both rhos.
//!
//! Cash dividends are left to `dividends`, European options to `black`.
//!
//! Units as in `black`: vega per 1.00 of vol, theta per year of calendar time, rho per 1.00 of rate
//! with spot and yield held. Errors are per 100 of strike (calls: of spot), see `ErrorClass`.

#![expect(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "a comparison that is not true also catches not-a-number"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "numerical loops over several arrays of one length"
)]

pub(crate) mod boundary;
pub mod chain;
pub mod implied;
pub(crate) mod lane;
pub(crate) mod normalised;
pub(crate) mod premium;
pub(crate) mod put;
pub(crate) mod scheme;
mod seed;

use crate::black::{Input, OptionKind, Refusal, SpotContract};
pub use crate::error_class::ErrorClass;
use normalised::Normalised;
use put::Put;
use serde::{Deserialize, Serialize};

/// Rate or yield times years beyond which exponentials leave their range.
const LARGEST_RATE: f64 = 100.0;
/// Vol times the root of years beyond which every put is worth its strike.
const LARGEST_VOL: f64 = 500.0;
/// Spot over strike and its inverse may not exceed this.
const LARGEST_RATIO: f64 = 1e100;

/// How much work a caller wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Accuracy {
    /// 8 boundary nodes: for ticks and chains.
    Fast,
    /// 16 boundary nodes: for marks, margins and implied vols.
    Tight,
    /// 24 boundary nodes: to judge the others.
    Reference,
}

/// Price and Greeks of an American option.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AmericanGreeks {
    /// Present value.
    pub price: f64,
    /// Change of price per unit of spot.
    pub delta: f64,
    /// Change of delta per unit of spot.
    pub gamma: f64,
    /// Per 1.00 of vol.
    pub vega: f64,
    /// Per year of calendar time, spot, rate and yield held.
    pub theta: f64,
    /// Per 1.00 of rate, spot and yield held.
    pub rho: f64,
    /// Per 1.00 of yield, spot and rate held; none where the method holds for no yield only.
    pub yield_rho: Option<f64>,
    /// Whether exercising now is best: the price is then the intrinsic value.
    pub exercise_now: bool,
    /// Class of the price's error.
    pub error: ErrorClass,
}

impl AmericanGreeks {
    pub(crate) fn is_finite(&self) -> bool {
        let Self { price, delta, gamma, vega, theta, rho, yield_rho, .. } = *self;
        [price, delta, gamma, vega, theta, rho, yield_rho.unwrap_or(0.0)]
            .iter()
            .all(|value| value.is_finite())
    }
}

/// Price, delta and gamma of one spot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpotTick {
    /// Present value.
    pub price: f64,
    /// Change of price per unit of spot.
    pub delta: f64,
    /// Change of delta per unit of spot.
    pub gamma: f64,
}

/// A solved exercise boundary: prices any spot and strike of one kind, expiry, vol and rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Boundary {
    kind: OptionKind,
    years: f64,
    vol: f64,
    put: Put,
}

impl Boundary {
    /// Solves for prices, deltas and gammas only.
    pub fn solve(
        kind: OptionKind,
        rate: f64,
        dividend_yield: f64,
        vol: f64,
        years: f64,
        accuracy: Accuracy,
    ) -> Result<Self, Refusal> {
        Self::solve_as(kind, rate, dividend_yield, vol, years, accuracy, false)
    }

    /// Solves for all Greeks: as `solve`, with the boundary's own derivatives.
    pub fn solve_with_greeks(
        kind: OptionKind,
        rate: f64,
        dividend_yield: f64,
        vol: f64,
        years: f64,
        accuracy: Accuracy,
    ) -> Result<Self, Refusal> {
        Self::solve_as(kind, rate, dividend_yield, vol, years, accuracy, true)
    }

    fn solve_as(
        kind: OptionKind,
        rate: f64,
        dividend_yield: f64,
        vol: f64,
        years: f64,
        accuracy: Accuracy,
        sensitivities: bool,
    ) -> Result<Self, Refusal> {
        for (input, value) in [
            (Input::Rate, rate),
            (Input::DividendYield, dividend_yield),
            (Input::Vol, vol),
            (Input::Years, years),
        ] {
            if !value.is_finite() {
                return Err(Refusal::NotFinite { input });
            }
        }
        if vol < 0.0 {
            return Err(Refusal::NegativeVol);
        }
        if !(years > 0.0) {
            return Err(Refusal::NegativeYears);
        }
        let (rate, dividend_yield) =
            if kind.is_call() { (dividend_yield, rate) } else { (rate, dividend_yield) };
        let option = Normalised {
            rate: rate * years,
            dividend_yield: dividend_yield * years,
            vol: vol * years.sqrt(),
        };
        let representable = option.rate.abs() <= LARGEST_RATE
            && option.dividend_yield.abs() <= LARGEST_RATE
            && option.vol <= LARGEST_VOL;
        if !representable {
            return Err(Refusal::NotRepresentable);
        }
        let put =
            Put::solve(option, accuracy, sensitivities).map_err(|_| Refusal::NotRepresentable)?;
        Ok(Self { kind, years, vol, put })
    }

    /// Price, delta and gamma at a spot: the last quadrature only.
    pub fn tick(&self, spot: f64, strike: f64) -> SpotTick {
        if self.kind.is_call() {
            // C(S, K) = S p(K / S)
            let ratio = strike / spot;
            let tick = self.put.tick(ratio);
            return SpotTick {
                price: spot * tick.value,
                delta: tick.value - ratio * tick.delta,
                gamma: ratio * ratio * tick.gamma / spot,
            };
        }
        let tick = self.put.tick(spot / strike);
        SpotTick { price: strike * tick.value, delta: tick.delta, gamma: tick.gamma / strike }
    }

    /// All Greeks at a spot; the boundary must come from `solve_with_greeks`.
    pub fn greeks(&self, spot: f64, strike: f64) -> AmericanGreeks {
        let tick = self.tick(spot, strike);
        let (ratio, scale) =
            if self.kind.is_call() { (strike / spot, spot) } else { (spot / strike, strike) };
        let slopes = self.put.slopes(ratio);
        let vega = scale * slopes.vol * self.years.sqrt();
        let (mut rho, mut yield_rho) =
            (scale * slopes.rate * self.years, scale * slopes.dividend_yield * self.years);
        // The value depends on time only through vol * sqrt(years), rate * years, yield * years.
        let option = self.put.option();
        let decay = 0.5 * option.vol * slopes.vol
            + option.rate * slopes.rate
            + option.dividend_yield * slopes.dividend_yield;
        if self.kind.is_call() {
            std::mem::swap(&mut rho, &mut yield_rho);
        }
        AmericanGreeks {
            price: tick.price,
            delta: tick.delta,
            gamma: tick.gamma,
            vega,
            theta: -scale * decay / self.years,
            rho,
            yield_rho: Some(yield_rho),
            exercise_now: self.put.is_exercised(ratio),
            error: self.put.error,
        }
    }

    /// As `greeks`, or `NotRepresentable` if one of them left the range of f64.
    pub(crate) fn checked_greeks(&self, spot: f64, strike: f64) -> Result<AmericanGreeks, Refusal> {
        let greeks = self.greeks(spot, strike);
        if greeks.is_finite() { Ok(greeks) } else { Err(Refusal::NotRepresentable) }
    }

    /// The boundary now, in units of the strike's currency: a put at or below it, a call at or
    /// above it is exercised. None if the option is never exercised before expiry.
    pub fn exercise_spot(&self, strike: f64) -> Option<f64> {
        let log_boundary = self.put.log_boundary();
        let boundary = libm::exp(log_boundary);
        if !log_boundary.is_finite() {
            None
        } else if self.kind.is_call() {
            Some(strike / boundary)
        } else {
            Some(strike * boundary)
        }
    }

    /// Vol that it was solved for.
    pub fn vol(&self) -> f64 {
        self.vol
    }

    /// Class of the errors of its prices.
    pub fn error(&self) -> ErrorClass {
        self.put.error
    }
}

/// Price and Greeks of one contract, or why there are none. The one call behind a command line or a
/// quote: everything from the boundary on is computed here; keep a `Boundary` to reprice on ticks.
/// Two boundaries (L. Andersen and M. Lake, "Fast American option pricing: the double-boundary
/// case", Wilmott (2021)) and what the collocation refuses are left to finite differences.
pub fn price_and_greeks(
    contract: &SpotContract,
    accuracy: Accuracy,
) -> Result<AmericanGreeks, Refusal> {
    check_prices(contract.spot, contract.strike)?;
    if contract.years == 0.0 {
        let sign = if contract.kind.is_call() { 1.0 } else { -1.0 };
        let intrinsic = (sign * (contract.spot - contract.strike)).max(0.0);
        return Err(Refusal::Expired { intrinsic });
    }
    let SpotContract { spot, strike, years, vol, rate, dividend_yield, kind } = *contract;
    match Boundary::solve_with_greeks(kind, rate, dividend_yield, vol, years, accuracy) {
        Ok(boundary) => boundary.checked_greeks(spot, strike),
        Err(Refusal::NotRepresentable) if vol > 0.0 => {
            crate::dividends::by_grid(contract).ok_or(Refusal::NotRepresentable)
        }
        Err(refusal) => Err(refusal),
    }
}

/// Refuses a spot or strike that is no price.
pub(crate) fn check_prices(spot: f64, strike: f64) -> Result<(), Refusal> {
    for (input, value) in [(Input::Spot, spot), (Input::Strike, strike)] {
        if !value.is_finite() {
            return Err(Refusal::NotFinite { input });
        }
        if value <= 0.0 {
            return Err(Refusal::NotPositive { input });
        }
    }
    let ratio = spot / strike;
    if ratio < LARGEST_RATIO && ratio > 1.0 / LARGEST_RATIO {
        Ok(())
    } else {
        Err(Refusal::NotRepresentable)
    }
}
