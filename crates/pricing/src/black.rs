//! European prices and Greeks: Black (1976) on forwards, Black-Scholes-Merton through
//! forward = spot * exp((rate - yield) * years).
//!
//! Exists as the one place where a vol becomes a price. Slices go in and out as a structure of
//! arrays; each lane is computed by the kernel alone, so its bits do not depend on its position or
//! its neighbours. American exercise, cash dividends and surfaces are left to later files.
//!
//! Conventions. `ForwardGreeks` move the forward with the discount factor held: delta and gamma per
//! unit of the forward, rho at a fixed forward (an option on a future). `SpotGreeks` move the spot:
//! the forward follows rate and yield. Both: vega per 1.00 of vol, theta per year of calendar time,
//! rho per 1.00 of rate.

mod kernel;

pub(crate) use kernel::log_moneyness;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OptionKind {
    /// The right to buy.
    Call,
    /// The right to sell.
    Put,
}

impl OptionKind {
    /// Whether this is a call.
    pub fn is_call(self) -> bool {
        self == Self::Call
    }
}

/// Why a lane has no Greeks.
#[derive(Debug, Clone, Copy, PartialEq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// An input is NaN or infinite.
    #[error("{input} is not a finite number; check the quote or curve it comes from")]
    NotFinite {
        /// The first input that is not finite.
        input: Input,
    },
    /// Forward, spot, strike or discount is zero or negative.
    #[error("{input} is not positive; the lognormal model can't price it")]
    NotPositive {
        /// The first input that is not positive.
        input: Input,
    },
    /// The vol is negative.
    #[error("vol is negative; no price exists")]
    NegativeVol,
    /// Time to expiry is zero: the value is what is left, Greeks do not exist.
    #[error("option has expired worth {intrinsic}; book the expiry instead of pricing it")]
    Expired {
        /// Undiscounted intrinsic value at the given forward.
        intrinsic: f64,
    },
    /// Time to expiry is negative.
    #[error("time to expiry is negative; check the clock and the calendar")]
    NegativeYears,
    /// A result left the range of f64, e.g. gamma at the money with no vol.
    #[error("a price or greek is not representable; inputs are too extreme")]
    NotRepresentable,
}

/// Names an input in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Forward price.
    Forward,
    /// Spot price.
    Spot,
    /// Strike price.
    Strike,
    /// Years to expiry.
    Years,
    /// Annual volatility.
    Vol,
    /// Discount factor.
    Discount,
    /// Continuous rate.
    Rate,
    /// Continuous dividend yield.
    DividendYield,
}

impl std::fmt::Display for Input {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Forward => "forward",
            Self::Spot => "spot",
            Self::Strike => "strike",
            Self::Years => "years to expiry",
            Self::Vol => "vol",
            Self::Discount => "discount factor",
            Self::Rate => "rate",
            Self::DividendYield => "dividend yield",
        })
    }
}

/// A batch that can't be answered as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PricingError {
    /// The slices of one batch differ in length.
    #[error("{column} has {found} lanes but the batch has {expected}; pass columns of one length")]
    LengthMismatch {
        /// The offending column.
        column: &'static str,
        /// Lanes of the first column.
        expected: usize,
        /// Lanes of the offending column.
        found: usize,
    },
}

/// A European option on a forward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardContract {
    /// Forward price for the expiry.
    pub forward: f64,
    /// Strike, same unit as the forward.
    pub strike: f64,
    /// Years to expiry.
    pub years: f64,
    /// Annual volatility.
    pub vol: f64,
    /// Value now of one unit paid at expiry.
    pub discount: f64,
    /// Call or put.
    pub kind: OptionKind,
}

/// A European option on a spot with a continuous dividend yield.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpotContract {
    /// Spot price.
    pub spot: f64,
    /// Strike, same unit as the spot.
    pub strike: f64,
    /// Years to expiry.
    pub years: f64,
    /// Annual volatility.
    pub vol: f64,
    /// Continuous annual rate.
    pub rate: f64,
    /// Continuous annual dividend (or borrow) yield.
    pub dividend_yield: f64,
    /// Call or put.
    pub kind: OptionKind,
}

/// Price and Greeks with the forward as the state variable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ForwardGreeks {
    /// Present value.
    pub price: f64,
    /// Change of price per unit of the forward.
    pub delta: f64,
    /// Change of delta per unit of the forward.
    pub gamma: f64,
    /// Per 1.00 of vol.
    pub vega: f64,
    /// Per year of calendar time, forward and rate held.
    pub theta: f64,
    /// Per 1.00 of rate, forward held: -years * price.
    pub rho: f64,
}

/// Price and Greeks with the spot as the state variable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpotGreeks {
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
}

impl ForwardContract {
    /// Price and Greeks by Black (1976), or why there are none.
    pub fn price_and_greeks(&self) -> Result<ForwardGreeks, Refusal> {
        for (input, value) in [(Input::Discount, self.discount), (Input::Forward, self.forward)] {
            require_positive(input, value)?;
        }
        check_terms(self.forward, self.strike, self.years, self.vol, self.kind)?;
        let rate = -libm::log(self.discount) / self.years;
        self.checked(rate)
    }

    fn checked(&self, rate: f64) -> Result<ForwardGreeks, Refusal> {
        let root_years = self.years.sqrt();
        let total_vol = self.vol * root_years;
        let lane = kernel::lane(self.forward, self.strike, total_vol, self.kind.is_call());
        let price = self.discount * lane.price;
        let density = self.discount * lane.density;
        let gamma = if density == 0.0 { 0.0 } else { density / (self.forward * total_vol) };
        let vega = self.forward * density * root_years;
        let greeks = ForwardGreeks {
            price,
            delta: self.discount * lane.delta,
            gamma,
            vega,
            theta: rate * price - 0.5 * self.forward * density * self.vol / root_years,
            rho: -self.years * price,
        };
        let all = [price, greeks.delta, gamma, vega, greeks.theta, greeks.rho];
        if all.iter().all(|value| value.is_finite()) {
            Ok(greeks)
        } else {
            Err(Refusal::NotRepresentable)
        }
    }
}

impl SpotContract {
    /// Price and Greeks by Black-Scholes-Merton, or why there are none.
    pub fn price_and_greeks(&self) -> Result<SpotGreeks, Refusal> {
        require_positive(Input::Spot, self.spot)?;
        require_finite(Input::Rate, self.rate)?;
        require_finite(Input::DividendYield, self.dividend_yield)?;
        check_terms(self.spot, self.strike, self.years, self.vol, self.kind)?;
        let carry = self.rate - self.dividend_yield;
        let growth = libm::exp(carry * self.years);
        let forward = ForwardContract {
            forward: self.spot * growth,
            strike: self.strike,
            years: self.years,
            vol: self.vol,
            discount: libm::exp(-self.rate * self.years),
            kind: self.kind,
        };
        if !(forward.forward.is_normal() && forward.discount.is_normal()) {
            return Err(Refusal::NotRepresentable);
        }
        let greeks = forward.checked(self.rate)?.seen_from_spot(self.spot, &forward, carry);
        let all = [greeks.delta, greeks.gamma, greeks.theta, greeks.rho];
        if all.iter().all(|value| value.is_finite()) {
            Ok(greeks)
        } else {
            Err(Refusal::NotRepresentable)
        }
    }
}

impl ForwardGreeks {
    /// The same option seen from a spot whose forward is spot * exp(carry * years); carry is rate
    /// minus yield, annual and continuous.
    pub fn seen_from_spot(&self, spot: f64, of: &ForwardContract, carry: f64) -> SpotGreeks {
        let growth = of.forward / spot;
        SpotGreeks {
            price: self.price,
            delta: self.delta * growth,
            gamma: self.gamma * growth * growth,
            vega: self.vega,
            theta: self.theta - carry * of.forward * self.delta,
            rho: self.rho + of.years * of.forward * self.delta,
        }
    }
}

fn require_finite(input: Input, value: f64) -> Result<(), Refusal> {
    if value.is_finite() { Ok(()) } else { Err(Refusal::NotFinite { input }) }
}

fn require_positive(input: Input, value: f64) -> Result<(), Refusal> {
    require_finite(input, value)?;
    if value > 0.0 { Ok(()) } else { Err(Refusal::NotPositive { input }) }
}

/// Checks what forward and spot contracts share; `underlying` is checked already.
fn check_terms(
    underlying: f64,
    strike: f64,
    years: f64,
    vol: f64,
    kind: OptionKind,
) -> Result<(), Refusal> {
    require_positive(Input::Strike, strike)?;
    require_finite(Input::Years, years)?;
    require_finite(Input::Vol, vol)?;
    if vol < 0.0 {
        return Err(Refusal::NegativeVol);
    }
    if years < 0.0 {
        return Err(Refusal::NegativeYears);
    }
    if years == 0.0 {
        let sign = if kind.is_call() { 1.0 } else { -1.0 };
        return Err(Refusal::Expired { intrinsic: (sign * (underlying - strike)).max(0.0) });
    }
    Ok(())
}

/// One column per input, one lane per option; all of one length.
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

/// One column per `ForwardGreeks` field. A refused lane holds NaN everywhere and its reason in
/// `refusal`; an expired one holds its intrinsic value as price. Reuse it between calls: nothing is
/// allocated when the capacity suffices.
#[derive(Debug, Clone, Default)]
pub struct EuropeanGreeks {
    /// Present values.
    pub price: Vec<f64>,
    /// Per unit of the forward.
    pub delta: Vec<f64>,
    /// Per unit of the forward, squared.
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

impl EuropeanGreeks {
    /// Prices every lane of `inputs` into these columns, replacing what they held.
    ///
    /// Errors with `LengthMismatch`, leaving the columns as they were.
    pub fn fill(&mut self, inputs: &EuropeanInputs<'_>) -> Result<(), PricingError> {
        let lanes = inputs.lanes()?;
        for column in [
            &mut self.price,
            &mut self.delta,
            &mut self.gamma,
            &mut self.vega,
            &mut self.theta,
            &mut self.rho,
        ] {
            column.clear();
            column.resize(lanes, f64::NAN);
        }
        self.refusal.clear();
        self.refusal.resize(lanes, None);
        for lane in 0..lanes {
            match inputs.contract(lane).price_and_greeks() {
                Ok(greeks) => {
                    self.price[lane] = greeks.price;
                    self.delta[lane] = greeks.delta;
                    self.gamma[lane] = greeks.gamma;
                    self.vega[lane] = greeks.vega;
                    self.theta[lane] = greeks.theta;
                    self.rho[lane] = greeks.rho;
                }
                Err(refusal) => {
                    if let Refusal::Expired { intrinsic } = refusal {
                        self.price[lane] = intrinsic;
                    }
                    self.refusal[lane] = Some(refusal);
                }
            }
        }
        Ok(())
    }
}

impl EuropeanInputs<'_> {
    fn lanes(&self) -> Result<usize, PricingError> {
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
        Ok(expected)
    }

    fn contract(&self, lane: usize) -> ForwardContract {
        ForwardContract {
            forward: self.forward[lane],
            strike: self.strike[lane],
            years: self.years[lane],
            vol: self.vol[lane],
            discount: self.discount[lane],
            kind: if self.is_call[lane] { OptionKind::Call } else { OptionKind::Put },
        }
    }
}
