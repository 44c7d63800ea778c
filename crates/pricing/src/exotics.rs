//! Exotic options on one lognormal underlying with constant rate and yield, by formula: digitals,
//! barriers, lookbacks, averages, and exchange options and spreads on two underlyings.
//!
//! Exists so that a structured position has a value whose error is known: each answer carries a
//! `StatedError`. What needs paths is left to `monte_carlo`, smiles to `heston`. Every result is
//! finite; outside of the box below (years 1e-6 to 100, vol 1e-4 to 5, prices 1e-9 to 1e12, rates
//! within +-1) there is a typed refusal instead. Nothing here has Greeks yet: bump.

pub mod asian;
pub mod barrier;
mod images;
pub mod lookback;
pub mod spread;

use crate::black::OptionKind;
use crate::error_class::StatedError;
use crate::lanes::scalar::{erfcx, exp, ln};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Prices, strikes, barriers.
const PRICES: std::ops::RangeInclusive<f64> = 1e-9..=1e12;
/// Years to expiry.
const YEARS: std::ops::RangeInclusive<f64> = 1e-6..=100.0;
/// Annual vols.
const VOLS: std::ops::RangeInclusive<f64> = 1e-4..=5.0;
/// Largest size of a rate or yield.
const RATE_MAX: f64 = 1.0;
/// Rounding of the closed forms per unit of the largest term: at most 1e-12 on the reference grids.
const ROUNDING: f64 = 1e-12;

/// The underlying and its market.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Underlying {
    /// Spot price.
    pub spot: f64,
    /// Years to expiry.
    pub years: f64,
    /// Annual volatility.
    pub vol: f64,
    /// Continuous annual rate.
    pub rate: f64,
    /// Continuous annual dividend yield.
    pub dividend_yield: f64,
}

/// A present value and what is known of its error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Present value, in the currency of the spot.
    pub value: f64,
    /// The method's kind and claim.
    pub error: StatedError,
}

/// What is paid at expiry, by the spot S then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Payoff {
    /// S - strike or strike - S, if positive.
    Vanilla {
        /// The strike.
        strike: f64,
        /// Call or put.
        kind: OptionKind,
    },
    /// `cash`, if in the money.
    CashOrNothing {
        /// Above it a call pays, below it a put.
        strike: f64,
        /// What is paid.
        cash: f64,
        /// Call or put.
        kind: OptionKind,
    },
    /// S, if in the money.
    AssetOrNothing {
        /// Above it a call pays, below it a put.
        strike: f64,
        /// Call or put.
        kind: OptionKind,
    },
    /// S - paid_strike (or its negative for a put) if S is beyond `strike`; may be negative.
    Gap {
        /// Decides whether there is a payment.
        strike: f64,
        /// Decides how large it is.
        paid_strike: f64,
        /// Call or put.
        kind: OptionKind,
    },
}

/// Names an input in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ExoticInput {
    Spot,
    Strike,
    Years,
    Vol,
    Rate,
    DividendYield,
    Barrier,
    Rebate,
    Cash,
    Extreme,
    Quantity,
    Correlation,
    FirstFixing,
}

/// Why there is no price.
#[derive(Debug, Clone, Copy, PartialEq, Error, Serialize, Deserialize)]
pub enum ExoticRefusal {
    /// An input is NaN, infinite, of the wrong sign or outside of what is computed with.
    #[error("{input:?} is {value}, outside of {lowest} to {highest}; check where it comes from")]
    OutOfRange {
        /// The first such input.
        input: ExoticInput,
        /// What it is.
        value: f64,
        /// The least that is accepted.
        lowest: f64,
        /// The most that is accepted.
        highest: f64,
    },
    /// The lower of two barriers is not below the upper one.
    #[error("lower barrier is not below the upper one; swap or mend them")]
    BarriersCrossed,
    /// The running minimum is above the spot, or the running maximum below it.
    #[error("the extreme so far is on the wrong side of the spot; check the history")]
    ExtremeContradictsSpot,
    /// A rebate at the hit at a rate so negative that the closed form leaves the real numbers.
    #[error("no closed form for a rebate at the hit at this negative rate; set the rebate to zero")]
    RebateAtNegativeRate,
    /// More or fewer fixings than are computed with.
    #[error("{count} fixings, 1 to 2000 are computed with")]
    FixingCount {
        /// What was asked for.
        count: usize,
    },
    /// Intermediate results leave the range or the precision of f64.
    #[error("the price is not representable with the precision stated; inputs are too extreme")]
    NotRepresentable,
}

pub(crate) fn within(
    input: ExoticInput,
    value: f64,
    range: std::ops::RangeInclusive<f64>,
) -> Result<(), ExoticRefusal> {
    if range.contains(&value) {
        return Ok(());
    }
    let (lowest, highest) = range.into_inner();
    Err(ExoticRefusal::OutOfRange { input, value, lowest, highest })
}

impl Underlying {
    pub(crate) fn check(&self) -> Result<(), ExoticRefusal> {
        within(ExoticInput::Spot, self.spot, PRICES)?;
        within(ExoticInput::Years, self.years, YEARS)?;
        within(ExoticInput::Vol, self.vol, VOLS)?;
        within(ExoticInput::Rate, self.rate, -RATE_MAX..=RATE_MAX)?;
        within(ExoticInput::DividendYield, self.dividend_yield, -RATE_MAX..=RATE_MAX)
    }

    /// Rate less yield: the drift of the spot.
    pub(crate) fn carry(&self) -> f64 {
        self.rate - self.dividend_yield
    }

    pub(crate) fn discount(&self) -> f64 {
        exp(-self.rate * self.years)
    }

    /// Spot less the present value of its dividends.
    pub(crate) fn prepaid(&self) -> f64 {
        self.spot * exp(-self.dividend_yield * self.years)
    }

    pub(crate) fn total_vol(&self) -> f64 {
        self.vol * self.years.sqrt()
    }
}

/// A part of a payoff: `amount` e^(power x) for ln(S / spot) = x between `low` and `high`.
#[derive(Debug, Clone, Copy)]
struct Piece {
    amount: f64,
    power: f64,
    low: f64,
    high: f64,
}

impl Payoff {
    fn strike_and_kind(&self) -> (f64, OptionKind) {
        let (Self::Vanilla { strike, kind }
        | Self::CashOrNothing { strike, kind, .. }
        | Self::AssetOrNothing { strike, kind }
        | Self::Gap { strike, kind, .. }) = *self;
        (strike, kind)
    }

    /// A vanilla and a digital of which it is the sum or the difference.
    fn vanilla_and_digital(&self) -> [Option<Self>; 2] {
        let (strike, kind) = self.strike_and_kind();
        let vanilla = Some(Self::Vanilla { strike, kind });
        match *self {
            Self::Vanilla { .. } => [vanilla, None],
            Self::CashOrNothing { .. } => [None, Some(*self)],
            Self::AssetOrNothing { .. } => {
                [vanilla, Some(Self::CashOrNothing { strike, cash: strike, kind })]
            }
            Self::Gap { paid_strike, .. } => {
                let cash = (strike - paid_strike).abs();
                [vanilla, Some(Self::CashOrNothing { strike, cash, kind })]
            }
        }
    }

    fn check(&self) -> Result<(), ExoticRefusal> {
        let (strike, _) = self.strike_and_kind();
        within(ExoticInput::Strike, strike, PRICES)?;
        match *self {
            Self::CashOrNothing { cash, .. } => within(ExoticInput::Cash, cash, 0.0..=1e12),
            Self::Gap { paid_strike, .. } => within(ExoticInput::Strike, paid_strike, PRICES),
            Self::Vanilla { .. } | Self::AssetOrNothing { .. } => Ok(()),
        }
    }

    /// As a sum of two pieces, the second possibly of nothing.
    fn pieces(&self, spot: f64) -> [Piece; 2] {
        let (strike, kind, assets, cash) = match *self {
            Self::Vanilla { strike, kind } => (strike, kind, 1.0, -strike),
            Self::CashOrNothing { strike, cash, kind } => (strike, kind, 0.0, cash),
            Self::AssetOrNothing { strike, kind } => (strike, kind, 1.0, 0.0),
            Self::Gap { strike, paid_strike, kind } => (strike, kind, 1.0, -paid_strike),
        };
        let is_spread = assets != 0.0 && cash != 0.0;
        let sign = if is_spread && !kind.is_call() { -1.0 } else { 1.0 };
        let at = ln(strike / spot);
        let (low, high) =
            if kind.is_call() { (at, f64::INFINITY) } else { (f64::NEG_INFINITY, at) };
        [
            Piece { amount: sign * assets * spot, power: 1.0, low, high },
            Piece { amount: sign * cash, power: 0.0, low, high },
        ]
    }

    /// The least and the most that may be paid, seen from the price's sign.
    fn is_never_negative(&self) -> bool {
        !matches!(self, Self::Gap { .. })
    }
}

/// Value of a European payoff.
pub fn european(underlying: &Underlying, payoff: &Payoff) -> Result<Price, ExoticRefusal> {
    underlying.check()?;
    payoff.check()?;
    let walk = images::Walk::of(underlying);
    let everywhere = (f64::NEG_INFINITY, f64::INFINITY);
    let mut sum = Sum::default();
    for piece in payoff.pieces(underlying.spot) {
        sum.add(piece.amount * walk.moment(0.0, &piece, everywhere));
    }
    sum.exact(underlying.discount(), payoff.is_never_negative())
}

/// A sum that remembers how much of it may have cancelled.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    value: f64,
    sizes: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        self.value += term;
        self.sizes += term.abs();
    }

    fn exact(self, discount: f64, floored: bool) -> Result<Price, ExoticRefusal> {
        let rounding = ROUNDING * self.sizes * discount;
        finish(self.value * discount, StatedError::Exact { rounding }, floored)
    }
}

/// Refuses what is not a number; a price that can't be negative isn't, even by rounding.
fn finish(value: f64, error: StatedError, floored: bool) -> Result<Price, ExoticRefusal> {
    if !(value.is_finite() && error.reach().is_finite()) {
        return Err(ExoticRefusal::NotRepresentable);
    }
    let value = if floored && value < 0.0 { 0.0 } else { value };
    Ok(Price { value, error })
}

/// e^exponent N(z), where neither factor needs to be representable.
fn exp_times_cdf(exponent: f64, z: f64) -> f64 {
    if z == f64::NEG_INFINITY {
        return 0.0;
    }
    if z <= 0.0 {
        let scaled = erfcx(-z * std::f64::consts::FRAC_1_SQRT_2);
        return 0.5 * exp(exponent - 0.5 * z * z) * scaled;
    }
    exp(exponent) - exp_times_cdf(exponent, -z)
}

/// e^exponent (N(high) - N(low)), from whichever tail loses less.
fn exp_times_interval(exponent: f64, low: f64, high: f64) -> f64 {
    if low >= high {
        0.0
    } else if low > 0.0 {
        exp_times_cdf(exponent, -low) - exp_times_cdf(exponent, -high)
    } else {
        exp_times_cdf(exponent, high) - exp_times_cdf(exponent, low)
    }
}
