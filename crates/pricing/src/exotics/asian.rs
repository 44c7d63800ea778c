//! Options on an average of prices: the geometric one exactly, the arithmetic one between proven
//! bounds (conditioning on the geometric average) or by moments.
//!
//! Exists because a sum of lognormals has no closed form: `conditioned` is the method to trust, its
//! error is a theorem; `by_moments` is what others quote. Averages that have begun are left to the
//! caller (subtract what is fixed from the strike). Floating strikes are not here.

use super::{
    ExoticInput, ExoticRefusal, PRICES, Price, ROUNDING, Underlying, exp_times_cdf, finish, within,
};
use crate::black::OptionKind;
use crate::error_class::StatedError;
use crate::lanes::scalar::{exp, ln, normal_cdf};

/// Fixings that one average may have.
const FIXINGS_MAX: usize = 2000;
/// Newton steps for the boundary in `conditioned`; it is convex, and halving guards it.
const STEPS_MAX: usize = 200;

/// An average of `fixings` prices at equal intervals, the last at expiry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Average {
    /// Years to the first fixing, zero included.
    pub first: f64,
    /// How many.
    pub fixings: usize,
    /// Strike of the average.
    pub strike: f64,
    /// Call or put.
    pub kind: OptionKind,
}

/// Means and covariances of the log prices at the fixings.
struct Fixings {
    years: Vec<f64>,
    forwards: Vec<f64>,
    /// Variance of the log of the geometric average.
    variance: f64,
    /// Covariance of each log price with that log.
    covariances: Vec<f64>,
    /// Mean of the log of the geometric average.
    mean: f64,
}

impl Fixings {
    fn of(underlying: &Underlying, average: &Average) -> Result<Self, ExoticRefusal> {
        underlying.check()?;
        within(ExoticInput::Strike, average.strike, PRICES)?;
        let count = average.fixings;
        if !(1..=FIXINGS_MAX).contains(&count) {
            return Err(ExoticRefusal::FixingCount { count });
        }
        let last = if count == 1 { underlying.years } else { average.first };
        within(ExoticInput::FirstFixing, last, 0.0..=underlying.years)?;
        let gap = if count == 1 { 0.0 } else { (underlying.years - last) / (count - 1) as f64 };
        let years: Vec<f64> = (0..count).map(|index| last + gap * index as f64).collect();
        let square = underlying.vol * underlying.vol;
        let share = 1.0 / count as f64;
        // Running sums: cov(i, mean) = vol^2 / n (sum of t_j for j <= i + t_i (n - 1 - i)).
        let mut earlier = 0.0;
        let mut covariances = Vec::with_capacity(count);
        for (index, at) in years.iter().enumerate() {
            earlier += at;
            let later = (count - 1 - index) as f64;
            covariances.push(square * share * (earlier + at * later));
        }
        let variance = covariances.iter().sum::<f64>() * share;
        let carry = underlying.carry();
        let forwards = years.iter().map(|at| underlying.spot * exp(carry * at)).collect();
        let mean_years = years.iter().sum::<f64>() * share;
        let mean = ln(underlying.spot) + (carry - 0.5 * square) * mean_years;
        if variance <= 0.0 {
            return Err(ExoticRefusal::NotRepresentable);
        }
        Ok(Self { years, forwards, variance, covariances, mean })
    }

    fn forward(&self) -> f64 {
        self.forwards.iter().sum::<f64>() / self.forwards.len() as f64
    }
}

/// Undiscounted Black price at `forward` and total variance `variance`.
fn lognormal(forward: f64, strike: f64, variance: f64, kind: OptionKind) -> f64 {
    let deviation = variance.sqrt();
    let sign = if kind.is_call() { 1.0 } else { -1.0 };
    let d1 = ln(forward / strike) / deviation + 0.5 * deviation;
    sign * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * (d1 - deviation)))
}

/// The geometric average of the fixings, which is lognormal (Kemna, Vorst 1990).
pub fn geometric(underlying: &Underlying, average: &Average) -> Result<Price, ExoticRefusal> {
    let fixings = Fixings::of(underlying, average)?;
    let forward = exp(fixings.mean + 0.5 * fixings.variance);
    closed(underlying, forward, fixings.variance, average)
}

/// The geometric average over the whole life, watched continuously; fixings are not looked at.
pub fn geometric_continuous(
    underlying: &Underlying,
    average: &Average,
) -> Result<Price, ExoticRefusal> {
    underlying.check()?;
    within(ExoticInput::Strike, average.strike, PRICES)?;
    let square = underlying.vol * underlying.vol;
    let variance = square * underlying.years / 3.0;
    let drift = 0.5 * (underlying.carry() - 0.5 * square) * underlying.years;
    closed(underlying, underlying.spot * exp(drift + 0.5 * variance), variance, average)
}

fn closed(
    underlying: &Underlying,
    forward: f64,
    variance: f64,
    average: &Average,
) -> Result<Price, ExoticRefusal> {
    let discount = underlying.discount();
    let value = discount * lognormal(forward, average.strike, variance, average.kind);
    let rounding = ROUNDING * discount * (forward + average.strike);
    finish(value, StatedError::Exact { rounding }, true)
}

/// The arithmetic average by its first two moments, as if it were lognormal (Levy 1992; the first
/// two of the moments of Turnbull and Wakeman 1991).
///
/// Stated: its distance from `conditioned` and the width of that, for this very contract; no
/// formula in deviation and forward alone held (two fixings, one of them now, break it).
pub fn by_moments(underlying: &Underlying, average: &Average) -> Result<Price, ExoticRefusal> {
    let fixings = Fixings::of(underlying, average)?;
    let square = underlying.vol * underlying.vol;
    let forward = fixings.forward();
    // E[A^2] / E[A]^2 - 1, so that a small variance keeps its digits.
    let (mut excess, mut later) = (0.0, fixings.forwards.iter().sum::<f64>());
    for (at, price) in fixings.years.iter().zip(&fixings.forwards) {
        later -= price;
        excess += libm::expm1(square * at) * price * (price + 2.0 * later);
    }
    let count = fixings.forwards.len() as f64;
    let variance = libm::log1p(excess / (count * forward) / (count * forward));
    let discount = underlying.discount();
    let value = discount * lognormal(forward, average.strike, variance, average.kind);
    let bounded = conditioned(underlying, average)?;
    let measured = (value - bounded.value).abs() + bounded.error.reach();
    finish(value, StatedError::Approximation { measured }, true)
}

/// The arithmetic average conditioned on the geometric one (Curran 1994; Rogers, Shi 1995): a lower
/// bound, with the width to the upper bound of Nielsen and Sandmann (2003) as its error.
pub fn conditioned(underlying: &Underlying, average: &Average) -> Result<Price, ExoticRefusal> {
    let fixings = Fixings::of(underlying, average)?;
    let deviation = fixings.variance.sqrt();
    let count = fixings.forwards.len() as f64;
    let loads: Vec<f64> = fixings.covariances.iter().map(|c| c / deviation).collect();
    // E[average | geometric average at z deviations] and its slope; both rise with z.
    let at = |z: f64| {
        let (mut value, mut slope) = (0.0, 0.0);
        for (price, load) in fixings.forwards.iter().zip(&loads) {
            let term = price * exp(load * (z - 0.5 * load));
            value += term;
            slope += term * load;
        }
        (value / count, slope / count)
    };
    let strike = average.strike;
    let (mut low, mut high) = (-1.0f64, 1.0f64);
    while at(low).0 > strike && low > -1e9 {
        low *= 2.0;
    }
    while at(high).0 < strike && high < 1e9 {
        high *= 2.0;
    }
    let mut z = 0.5 * (low + high);
    for _ in 0..STEPS_MAX {
        let (value, slope) = at(z);
        if value > strike {
            high = z;
        } else {
            low = z;
        }
        let newton = z - (value - strike) / slope;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        let is_settled = (next - z).abs() <= 1e-15 * (1.0 + z.abs());
        z = next;
        if is_settled {
            break;
        }
    }
    let sign = if average.kind.is_call() { 1.0 } else { -1.0 };
    let mut value = 0.0;
    for (price, load) in fixings.forwards.iter().zip(&loads) {
        value += price * exp_times_cdf(0.0, sign * (load - z));
    }
    value = sign * (value / count - strike * exp_times_cdf(0.0, -sign * z));
    // Where the geometric average is above the strike so is the arithmetic one, and nothing is
    // lost; below, a half standard deviation given z (Jensen), by Cauchy and Schwarz over z.
    let square = underlying.vol * underlying.vol;
    let mut conditional = 0.0;
    for (i, (price, load)) in fixings.forwards.iter().zip(&loads).enumerate() {
        let mut row = 0.0;
        for (j, (other, other_load)) in fixings.forwards.iter().zip(&loads).enumerate() {
            let joint = square * fixings.years[i.min(j)];
            let common = load * other_load;
            row += other * exp(common) * libm::expm1(joint - common);
        }
        conditional += price * row;
    }
    let below = normal_cdf((ln(strike) - fixings.mean) / deviation);
    let spread = conditional.max(0.0).sqrt() / count;
    let discount = underlying.discount();
    let size = fixings.forward() + strike;
    let width = discount * (0.5 * spread * below.sqrt() + ROUNDING * size);
    finish(discount * value, StatedError::LowerBound { width }, true)
}
