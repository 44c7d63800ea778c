//! The normal distribution with relative accuracy in the tails, as lane functions.
//!
//! Everything rests on one rational function for the Mills ratio R(y) = N(-y) / n(y) on the whole
//! half line: numerator and denominator have positive coefficients only, so nothing cancels and the
//! relative error stays below 2 ulp however deep the tail. (A minimax fit in 70 digits; `statrs`
//! and Hart's approximation are avoided on purpose, both lose the tails.) Outside of a kernel use
//! the dispatched versions in `lanes::scalar`. What to do with the numbers is left to `black`.

use crate::lanes::elementary::exp_of_sum;
use std::f64::consts::SQRT_2;

/// 1 / sqrt(2 pi): the density at zero.
pub const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
/// sqrt(2 / pi): turns the Mills ratio into a scaled erfc.
const SQRT_TWO_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// exp(-x^2 / 2) underflows below the smallest subnormal before this |x|.
const DENSITY_VANISHES: f64 = 40.0;
/// The Mills ratio is 1 / y to the last bit long before this, and y^24 still finite at it.
const MILLS_ARGUMENT_MAX: f64 = 1e12;

/// Of R(y), the constant first.
const MILLS_RATIO: [f64; 12] = [
    1.2533141373155001,
    2.3775466277419337,
    2.2262074374511918,
    1.342360515686946,
    0.5754905832068453,
    0.18363469757625525,
    0.04447980288201039,
    0.00819166684204852,
    0.0011284872570292582,
    0.00011149717913843212,
    7.189728688920785e-06,
    2.3388664745685842e-07,
];
/// Of 1 - y R(y).
const MILLS_SLOPE: [f64; 11] = [
    1.0,
    1.4415781703515664,
    1.0489228810589997,
    0.4972837786129669,
    0.16834902903795293,
    0.04229472563384315,
    0.007971011350549338,
    0.0011141077996487695,
    0.00011102940584353042,
    7.189728688920764e-06,
    2.3388664745685842e-07,
];
/// Of both.
const MILLS_DENOMINATOR: [f64; 13] = [
    1.0,
    2.6948923076670668,
    3.4264695088009334,
    2.7234912160641587,
    1.510709544724899,
    0.6177853088406885,
    0.1916057089268046,
    0.04559391068165916,
    0.00830269624789205,
    0.001135676985718179,
    0.00011173106578588899,
    7.189728688920785e-06,
    2.3388664745685842e-07,
];

/// R(y) = ratio / denominator and 1 - y R(y) = slope / denominator.
#[derive(Debug, Clone, Copy)]
pub struct MillsFraction {
    /// Numerator of R.
    pub ratio: f64,
    /// Numerator of 1 - y R = -R'.
    pub slope: f64,
    /// The common denominator.
    pub denominator: f64,
}

/// The Mills ratio R(y) = N(-y) / n(y) for y >= 0 and the size of its derivative, both relative to
/// 1.1e-16 before rounding; beyond y = 1e12 as at 1e12. As fractions, so that several can share one
/// division.
#[inline(always)]
#[must_use]
pub fn mills_fraction(y: f64) -> MillsFraction {
    let y = if y > MILLS_ARGUMENT_MAX { MILLS_ARGUMENT_MAX } else { y };
    let square = y * y;
    MillsFraction {
        ratio: polynomial(&MILLS_RATIO, y, square),
        slope: polynomial(&MILLS_SLOPE, y, square),
        denominator: polynomial(&MILLS_DENOMINATOR, y, square),
    }
}

/// R(y) = N(-y) / n(y) for y >= 0. Error below 2 ulp.
#[inline(always)]
#[must_use]
pub fn mills(y: f64) -> f64 {
    let fraction = mills_fraction(y);
    let is_far = y > MILLS_ARGUMENT_MAX;
    let ratio = if is_far { 1.0 } else { fraction.ratio };
    ratio / if is_far { y } else { fraction.denominator }
}

/// Even and odd powers apart: two short chains of operations instead of one long one.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], y: f64, square: f64) -> f64 {
    let mut high = coefficients[N - 1];
    let mut low = coefficients[N - 2];
    let mut next = N - 2;
    while next >= 2 {
        next -= 2;
        high = high.mul_add(square, coefficients[next + 1]);
        low = low.mul_add(square, coefficients[next]);
    }
    if next == 0 {
        return high.mul_add(y, low);
    }
    // An odd number of coefficients: `low` holds the odd powers and one more even one is left.
    low.mul_add(y, high.mul_add(square, coefficients[0]))
}

/// exp(-x^2 / 2), without the loss of x^2 / 2 epsilons that rounding the square would cost.
#[inline(always)]
#[must_use]
pub fn exp_minus_half_square(x: f64) -> f64 {
    exp_minus_half_square_of_sum(x.abs(), 0.0)
}

/// exp(-(x + tail)^2 / 2) for x >= 0 and a |tail| of a few ulps of x: what rounding has cut off x
/// costs nothing either. For x < 0 the tail is left out.
#[inline(always)]
#[must_use]
pub fn exp_minus_half_square_of_sum(x: f64, tail: f64) -> f64 {
    let in_range = (0.0..=DENSITY_VANISHES).contains(&x);
    let size = x.abs();
    let size = if size > DENSITY_VANISHES { DENSITY_VANISHES } else { size };
    let square = size * size;
    let rest = -0.5 * size.mul_add(size, -square);
    let rest = if in_range { (-size).mul_add(tail, rest) } else { rest };
    exp_of_sum(-0.5 * square, rest)
}

/// exp(-x^2 / 2) / sqrt(2 pi). Error below 2 ulp for every x, and 1 unit of the subnormals.
#[inline(always)]
#[must_use]
pub fn normal_density(x: f64) -> f64 {
    DENSITY_AT_ZERO * exp_minus_half_square(x)
}

/// P(X <= x). Error below 4 ulp for every x, and 1 unit of the subnormals.
#[inline(always)]
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    let tail = normal_density(x) * mills(x.abs());
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The complementary error function. Error below 4 ulp, and 1 unit of the subnormals.
#[inline(always)]
#[must_use]
pub fn erfc(x: f64) -> f64 {
    let size = x.abs();
    let size = if size > DENSITY_VANISHES { DENSITY_VANISHES } else { size };
    let square = size * size;
    let tail = exp_of_sum(-square, -size.mul_add(size, -square)) * erfcx_of_positive(size);
    if x > 0.0 { tail } else { 2.0 - tail }
}

/// exp(x^2) erfc(x); infinite below x = -26.7. Error below 4 ulp.
#[inline(always)]
#[must_use]
pub fn erfcx(x: f64) -> f64 {
    let size = x.abs();
    let growth_at = if size > DENSITY_VANISHES { DENSITY_VANISHES } else { size };
    let square = growth_at * growth_at;
    let growth = exp_of_sum(square, growth_at.mul_add(growth_at, -square));
    let scaled = erfcx_of_positive(size);
    if x < 0.0 { 2.0f64.mul_add(growth, -scaled) } else { scaled }
}

#[inline(always)]
fn erfcx_of_positive(x: f64) -> f64 {
    SQRT_TWO_OVER_PI * mills(x * SQRT_2)
}
