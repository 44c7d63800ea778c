//! European prices and Greeks: Black (1976) on forwards, Black-Scholes-Merton through
//! forward = spot * exp((rate - yield) * years).
//!
//! Exists as the one place where a vol becomes a price. Whole chains go through `EuropeanGreeks`
//! and `HigherGreeks` (slices, structure of arrays), single options through `ForwardContract` and
//! `SpotContract`; all through one kernel (`lanes`), so that bits depend neither on the CPU nor on
//! position or neighbours. Relative error for given inputs: below 1e-13 to 25
//! standard deviations, 0.7 d1^2 epsilons beyond. American exercise, cash dividends and surfaces
//! are left to other files.
//!
//! Conventions. `ForwardGreeks` move the forward with the discount factor held: delta and gamma per
//! unit of the forward, rho at a fixed forward (an option on a future). `SpotGreeks` move the spot:
//! the forward follows rate and yield. Both: vega per 1.00 of vol, theta per year of calendar time,
//! rho per 1.00 of rate.

mod batch;
mod kernel;
mod refusal;

pub use batch::{EuropeanGreeks, EuropeanInputs, HigherGreeks, SpotInputs};
pub(crate) use kernel::{PRICE_RANGE, mills_slope, quotient};
pub use refusal::{Input, PricingError, Refusal};

use crate::lanes::{Kernel, WIDTH, dispatch};
use kernel::{Terms, Values};
use serde::{Deserialize, Serialize};

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

    /// +1 for a call, -1 for a put.
    fn sign(self) -> f64 {
        if self.is_call() { 1.0 } else { -1.0 }
    }
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

/// What the first Greeks lose with vol, time and the underlying; the state variable and conventions
/// are those of the Greeks beside it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HigherOrder {
    /// Change of delta per 1.00 of vol.
    pub vanna: f64,
    /// Change of vega per 1.00 of vol.
    pub volga: f64,
    /// Change of delta per year of calendar time.
    pub charm: f64,
    /// Change of gamma per unit of the underlying.
    pub speed: f64,
    /// Change of gamma per 1.00 of vol.
    pub zomma: f64,
    /// Change of gamma per year of calendar time.
    pub color: f64,
}

impl ForwardContract {
    /// Price and Greeks by Black (1976), or why there are none.
    pub fn price_and_greeks(&self) -> Result<ForwardGreeks, Refusal> {
        self.check()?;
        let values = one::<false, false>(self.terms())?;
        let [price, delta, gamma, vega, theta, rho] = values.first.map(|column| column[0]);
        Ok(ForwardGreeks { price, delta, gamma, vega, theta, rho })
    }

    /// The Greeks of the Greeks, or why there are none: also refused at a vol of zero.
    pub fn higher_order(&self) -> Result<HigherOrder, Refusal> {
        self.check()?;
        one::<false, true>(self.terms()).map(|values| higher(&values))
    }

    fn terms(&self) -> Terms<WIDTH> {
        Terms {
            underlying: [self.forward; WIDTH],
            strike: [self.strike; WIDTH],
            years: [self.years; WIDTH],
            vol: [self.vol; WIDTH],
            discount_or_rate: [self.discount; WIDTH],
            sign: [self.kind.sign(); WIDTH],
            ..Terms::of_ones()
        }
    }
}

impl SpotContract {
    /// Price and Greeks by Black-Scholes-Merton, or why there are none.
    pub fn price_and_greeks(&self) -> Result<SpotGreeks, Refusal> {
        self.check()?;
        let values = one::<true, false>(self.terms())?;
        let [price, delta, gamma, vega, theta, rho] = values.first.map(|column| column[0]);
        Ok(SpotGreeks { price, delta, gamma, vega, theta, rho })
    }

    /// The Greeks of the Greeks, or why there are none: also refused at a vol of zero.
    pub fn higher_order(&self) -> Result<HigherOrder, Refusal> {
        self.check()?;
        one::<true, true>(self.terms()).map(|values| higher(&values))
    }

    fn terms(&self) -> Terms<WIDTH> {
        Terms {
            underlying: [self.spot; WIDTH],
            strike: [self.strike; WIDTH],
            years: [self.years; WIDTH],
            vol: [self.vol; WIDTH],
            discount_or_rate: [self.rate; WIDTH],
            dividend_yield: [self.dividend_yield; WIDTH],
            sign: [self.kind.sign(); WIDTH],
        }
    }
}

fn higher(values: &Values<WIDTH>) -> HigherOrder {
    let [vanna, volga, charm, speed, zomma, color] = values.higher.map(|column| column[0]);
    HigherOrder { vanna, volga, charm, speed, zomma, color }
}

/// One option in all lanes of one vector.
struct One<const SPOT: bool, const HIGHER: bool> {
    terms: Terms<WIDTH>,
}

impl<const SPOT: bool, const HIGHER: bool> Kernel for One<SPOT, HIGHER> {
    type Output = Values<WIDTH>;

    #[inline(always)]
    fn run(self) -> Values<WIDTH> {
        let mut values = Values::of_zeros();
        values.compute::<SPOT, HIGHER>(&self.terms, WIDTH);
        values
    }
}

fn one<const SPOT: bool, const HIGHER: bool>(
    terms: Terms<WIDTH>,
) -> Result<Values<WIDTH>, Refusal> {
    let values = dispatch(One::<SPOT, HIGHER> { terms });
    if values.is_sound::<HIGHER>(0) { Ok(values) } else { Err(Refusal::NotRepresentable) }
}
