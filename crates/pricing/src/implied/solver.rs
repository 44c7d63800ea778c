//! Total vol of an out-of-the-money time value, vectorised: a guess and two steps of fourth order.
//!
//! With xi = |ln(F/K)|, c = time value / min(F, K), total vol s, h = xi / s, t = s / 2 and the
//! Mills ratio R, c = n(t - h) (R(h - t) - R(h + t)). The scheme is our own; its parts:
//!
//! - Guess near the money (xi < 0.5, s < 0.75): the normal model's h is a function of
//!   ln(1 + xi / beta) alone, beta = c exp(-xi / 2), here a rational one in its root (3e-4); the
//!   lognormal model is within 2.4 per cent of it.
//! - Guess elsewhere: in d = |h - t|, c is close to a normal tail: c / 2c* = N(-d) below the
//!   inflection c* (where d = 0), (1 - c) / 2(1 - c*) = N(-d) above; then one step of fourth order
//!   in d on ln c or ln(1 - c), after which s is within 5e-4.
//! - Two Householder steps of fourth order in s on ln c (above c = 1/2 on ln(1 - c)), as P. Jaeckel
//!   ("Let's Be Rational", Wilmott 2015) has them, with c to the last bits where it cancels.
//!
//! The last step is below 2e-8 of s everywhere, so what is left is rounding; a larger one flags the
//! lane. Inputs are checked by `implied`.

use crate::black::{mills_slope, quotient};
use crate::lanes::elementary::{exp_of_sum, ln, ln_ratio};
use crate::normal::{DENSITY_AT_ZERO, mills, mills_fraction};

/// Below this total vol and moneyness the difference of Mills ratios is taken by its series.
const SERIES_VOL: f64 = 1.0;
const SERIES_MONEYNESS: f64 = 1.0;
/// Terms of the series: 1e-7 for the first step, the last bit for the second.
const FIRST_TERMS: usize = 4;
const LAST_TERMS: usize = 10;
/// Where the guess of the normal model serves.
const NORMAL_MONEYNESS: f64 = 0.5;
const NORMAL_VOL: f64 = 0.75;
/// h / y in powers of sqrt(y), y = ln(1 + xi / beta), of the normal model.
const NORMAL_ABOVE: [f64; 4] =
    [0.398_828_931_943_063, 0.008_536_643_180_356, 0.035_189_443_161_244, 0.019_135_569_664_855];
const NORMAL_BELOW: [f64; 5] = [
    1.0,
    0.015_184_567_458_439,
    0.109_611_242_742_682,
    0.023_391_882_620_565,
    0.013_577_432_741_09,
];
/// Time values below this are scaled up, so that products of two stay normal.
const SMALL: f64 = 1e-100;
const SCALE: f64 = 4.149_515_568_880_993e180;
const LN_SCALE: f64 = 415.888_308_335_967_2;
/// n(x) is zero, even scaled, before this |x|.
const DENSITY_VANISHES: f64 = 60.0;
/// A last step above this share of s is not rounding.
const LAST_STEP_MAX: f64 = 1e-6;

/// Up to N problems: columns of checked numbers.
pub(super) struct Problem<const N: usize> {
    /// |ln(forward / strike)|.
    pub moneyness: [f64; N],
    /// Time value over min(forward, strike), in (0, 1).
    pub value: [f64; N],
    /// One less that, of full accuracy.
    pub rest: [f64; N],
    /// Total vols, once solved.
    pub total_vol: [f64; N],
    /// Whether the last step was rounding.
    pub has_settled: [bool; N],
    slope: [f64; N],
    at_near: [f64; N],
    at_far: [f64; N],
    per_vol: [f64; N],
    distance: [f64; N],
    density: [f64; N],
    at_vol: [f64; N],
    gap: [f64; N],
}

impl<const N: usize> Problem<N> {
    /// N at-the-money problems.
    pub(super) const fn harmless() -> Self {
        Self {
            moneyness: [0.0; N],
            value: [0.25; N],
            rest: [0.75; N],
            total_vol: [0.0; N],
            has_settled: [false; N],
            slope: [0.0; N],
            at_near: [0.0; N],
            at_far: [0.0; N],
            per_vol: [0.0; N],
            distance: [0.0; N],
            density: [0.0; N],
            at_vol: [0.0; N],
            gap: [0.0; N],
        }
    }

    /// Solves the first `lanes`, a whole number of vectors.
    #[inline(always)]
    pub(super) fn solve(&mut self, lanes: usize) {
        let lanes = if lanes < N { lanes } else { N };
        if self.guess_near_the_money(lanes) {
            self.guess_elsewhere(lanes);
        }
        self.step::<FIRST_TERMS>(lanes);
        self.step::<LAST_TERMS>(lanes);
    }

    /// Steps once from `total_vol` as it is.
    #[inline(always)]
    pub(super) fn polish(&mut self, lanes: usize) {
        self.step::<LAST_TERMS>(if lanes < N { lanes } else { N });
    }

    /// Leaves zero where another guess is needed, and answers whether it is.
    #[inline(always)]
    fn guess_near_the_money(&mut self, lanes: usize) -> bool {
        let mut elsewhere = 0_u64;
        for i in 0..lanes {
            let (xi, c) = (self.moneyness[i], self.value[i]);
            // exp(-xi / 2) to 2e-4 where it counts.
            let beta = c * (1.0 - xi * (0.5 - xi * (0.125 - xi * (1.0 / 48.0))));
            let ratio = xi / beta;
            let y = ln(1.0 + ratio);
            let z = y.sqrt();
            let above = horner(&NORMAL_ABOVE, z);
            let below = horner(&NORMAL_BELOW, z);
            let is_at_the_money = ratio < 1e-6;
            let numerator = if is_at_the_money { beta } else { xi * below };
            let denominator = if is_at_the_money { NORMAL_ABOVE[0] } else { y * above };
            let total_vol = numerator / denominator;
            let serves = (xi < NORMAL_MONEYNESS) & (total_vol < NORMAL_VOL);
            self.total_vol[i] = if serves { total_vol } else { 0.0 };
            elsewhere |= u64::from(!serves);
        }
        elsewhere != 0
    }

    #[inline(always)]
    fn guess_elsewhere(&mut self, lanes: usize) {
        for i in 0..lanes {
            let (xi, c) = (self.moneyness[i], self.value[i]);
            let inflection = 0.5 - DENSITY_AT_ZERO * mills((2.0 * xi).sqrt());
            let is_above = c >= inflection;
            let target = ln(if is_above { self.rest[i] } else { c });
            let half_of = if is_above { 1.0 - inflection } else { inflection };
            let d = minus_quantile(target - ln(2.0 * half_of));
            let d = if d > 1e-9 { d } else { 1e-9 };

            let far = d.mul_add(d, 2.0 * xi).sqrt();
            let (near, other) = (mills(d), mills(far));
            let sum = if is_above { near + other } else { near - other };
            let f = ln(DENSITY_AT_ZERO * sum) - 0.5 * d * d - target;
            let sign = if is_above { 1.0 } else { -1.0 };
            let conjugate = far - sign * d;
            let total_vol = if is_above { far + d } else { 2.0 * xi / (far + d) };
            let q = total_vol / (far * sum);
            let per_square = 1.0 / (far * far);
            let bend = sign * conjugate * per_square;
            let bend_slope = -conjugate * (far + 2.0 * sign * d) * (per_square * per_square);
            let h2 = q - d + bend;
            let h3 = h2 * h2 + q * h2 - 1.0 + bend_slope;
            let d = d + householder(f / q, h2, h3);
            let d = if d > 0.0 { d } else { 0.0 };
            let far = d.mul_add(d, 2.0 * xi).sqrt();
            let total_vol = if is_above { far + d } else { 2.0 * xi / (far + d) };
            self.total_vol[i] = if self.total_vol[i] > 0.0 { self.total_vol[i] } else { total_vol };
        }
    }

    #[inline(always)]
    fn step<const TERMS: usize>(&mut self, lanes: usize) {
        let (mut any_series, mut any_pair) = (0_u64, 0_u64);
        for i in 0..lanes {
            let by_series = cancels(self.moneyness[i], self.total_vol[i]);
            any_series |= u64::from(by_series);
            any_pair |= u64::from(!by_series);
        }
        if any_series != 0 {
            for i in 0..lanes {
                let s = self.total_vol[i];
                self.slope[i] = mills_slope::<TERMS>(self.moneyness[i] / s, 0.5 * s);
            }
        }
        if any_pair != 0 {
            for i in 0..lanes {
                let s = self.total_vol[i];
                let (h, t) = (self.moneyness[i] / s, 0.5 * s);
                let (a, c) = (mills_fraction((h - t).abs()), mills_fraction(h + t));
                let inverse = 1.0 / (a.denominator * c.denominator);
                self.at_near[i] = a.ratio * (c.denominator * inverse);
                self.at_far[i] = c.ratio * (a.denominator * inverse);
            }
        }
        // A loop per chain of operations: short ones overlap in the processor.
        for i in 0..lanes {
            let (xi, s) = (self.moneyness[i], self.total_vol[i]);
            let per_s = 1.0 / s;
            let h = quotient(xi, s, per_s);
            let shift = if self.value[i] < SMALL { LN_SCALE } else { 0.0 };
            self.per_vol[i] = per_s;
            self.distance[i] = h;
            self.density[i] = density(0.5 * s - h, shift);
        }
        for i in 0..lanes {
            let (xi, c, s) = (self.moneyness[i], self.value[i], self.total_vol[i]);
            // Either c(s) or, where that is nearly one, 1 - c(s).
            let is_upper = c > 0.5;
            let (sum, difference) =
                (self.at_near[i] + self.at_far[i], self.at_near[i] - self.at_far[i]);
            let is_inside = 0.5 * s > self.distance[i];
            let part = self.density[i] * if is_inside { sum } else { difference };
            let direct = if is_upper == is_inside { part } else { 1.0 - part };
            let by_series = cancels(xi, s);
            let value = if by_series { self.density[i] * (s * self.slope[i]) } else { direct };
            let target = if is_upper { self.rest[i] } else { c };
            let target = if c < SMALL { target * SCALE } else { target };
            self.at_vol[i] = value;
            self.gap[i] = ln_ratio(value, target);
        }
        for i in 0..lanes {
            let (s, h, per_s) = (self.total_vol[i], self.distance[i], self.per_vol[i]);
            let (density, value) = (self.density[i], self.at_vol[i]);
            let sign = if self.value[i] > 0.5 { -1.0 } else { 1.0 };
            let inverse = 1.0 / (density * value);
            let slope = sign * (density * density * inverse);
            let newton = -sign * self.gap[i] * (value * value * inverse);
            // c'' / c' and c''' / c'.
            let t = 0.5 * s;
            let h_per_s = h * per_s;
            let b2 = (h - t) * (h + t) * per_s;
            let b3 = b2 * b2 - 3.0 * h_per_s * h_per_s - 0.25;
            let h2 = b2 - slope;
            let h3 = b3 - slope * (3.0 * b2 - 2.0 * slope);
            let step = householder(newton, h2, h3);
            self.total_vol[i] = s + step;
            self.has_settled[i] = (s > 0.0) & (step.abs() <= LAST_STEP_MAX * s);
        }
    }
}

#[inline(always)]
fn cancels(xi: f64, total_vol: f64) -> bool {
    (total_vol < SERIES_VOL) & (xi < SERIES_MONEYNESS)
}

/// Householder's step of fourth order, from Newton's step -f / f' and f'' / f', f''' / f'.
#[inline(always)]
fn householder(newton: f64, h2: f64, h3: f64) -> f64 {
    newton * (0.5 * h2).mul_add(newton, 1.0) / newton.mul_add(h2 + h3 * newton * (1.0 / 6.0), 1.0)
}

/// n(x) exp(shift) for a shift that is zero, or else need not be accurate beyond its own rounding.
#[inline(always)]
fn density(x: f64, shift: f64) -> f64 {
    let size = x.abs();
    let size = if size > DENSITY_VANISHES { DENSITY_VANISHES } else { size };
    let square = size * size;
    let tail = -0.5 * size.mul_add(size, -square);
    DENSITY_AT_ZERO * exp_of_sum((-0.5f64).mul_add(square, shift), tail)
}

/// -N^-1(p) from ln p, for p <= 1/2, to 4.5e-4 (Abramowitz and Stegun 26.2.23).
#[inline(always)]
fn minus_quantile(ln_p: f64) -> f64 {
    let ln_p = if ln_p > -0.693_2 { -0.693_2 } else { ln_p };
    let t = (-2.0 * ln_p).sqrt();
    let above = horner(&[2.515_517, 0.802_853, 0.010_328], t);
    let below = horner(&[1.0, 1.432_788, 0.189_269, 0.001_308], t);
    t - above / below
}

#[inline(always)]
fn horner<const M: usize>(coefficients: &[f64; M], x: f64) -> f64 {
    let mut sum = coefficients[M - 1];
    let mut next = M - 1;
    while next > 0 {
        next -= 1;
        sum = sum.mul_add(x, coefficients[next]);
    }
    sum
}
