//! The elementary functions of the American engine, branch-free so that loops over arrays of them
//! become vector code: the same operations in the same order on every machine, hence the same bits.
//!
//! Exists beside `normal` because the engine wants the normal distribution and its density from one
//! exponential. Coefficients were fitted for this file (Chebyshev projections in 50 digits, script
//! in `tests/reference/american.py`); relative errors: `exp` and `ln` 2e-16, `tail` 1e-15 for every
//! argument up to 40. What to evaluate is left to the callers.

use std::f64::consts::{LN_2, LOG2_E};

pub(crate) use crate::normal::DENSITY_AT_ZERO;

/// Adding and subtracting it rounds to an integer; the integer is left in the low mantissa bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; products of the upper one with exponents are exact.
const LN_2_UPPER: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOWER: f64 = 1.908_214_929_270_587_7e-10;
/// Smaller arguments of `exp` give exp(-708), about 3e-308.
const EXP_RANGE: f64 = 708.0;
/// Centre of the map from [0, infinity) to [-1, 1) of `tail`.
const TAIL_CENTRE: f64 = 6.0;

const EXP: [f64; 12] = [
    1.0,
    1.0,
    0.5000000000000019,
    0.1666666666666668,
    0.0416666666664881,
    0.008333333333319601,
    0.0013888888952314775,
    0.00019841269890047113,
    2.4801485482328494e-05,
    2.755724091857897e-06,
    2.763263963904103e-07,
    2.5110037605963777e-08,
];

const LN: [f64; 8] = [
    2.0,
    0.6666666666666765,
    0.3999999999930049,
    0.2857142876106032,
    0.2222219701200196,
    0.18183634112308752,
    0.1531246302957415,
    0.148103912163146,
];

const TAIL: [f64; 23] = [
    0.7773517718933621,
    -0.7010090295908675,
    0.5689688918147859,
    -0.4139035857754103,
    0.2679742458415497,
    -0.1526802320693092,
    0.07517191567087725,
    -0.030985315447714764,
    0.010029820622876658,
    -0.0021316056273183023,
    3.287010887352331e-05,
    0.0001813622069054111,
    -6.475225443446431e-05,
    1.0706453504188258e-06,
    6.796707412831092e-06,
    -1.7907568584840214e-06,
    -4.295192491977758e-07,
    3.000521281424456e-07,
    6.8475017548762e-09,
    -3.614572681936297e-08,
    2.827692671238881e-09,
    2.7095378539669314e-09,
    -3.6053251110905586e-10,
];

#[inline(always)]
fn pair(coefficients: &[f64], at: usize, x: f64) -> f64 {
    coefficients[at + 1].mul_add(x, coefficients[at])
}

#[inline(always)]
fn quad(coefficients: &[f64], at: usize, x: f64, square: f64) -> f64 {
    pair(coefficients, at + 2, x).mul_add(square, pair(coefficients, at, x))
}

/// e^x, clamped to the range in which it is a normal number.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let x = if x < -EXP_RANGE { -EXP_RANGE } else { x };
    let x = if x > EXP_RANGE { EXP_RANGE } else { x };
    let shifted = x.mul_add(LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = power.mul_add(-LN_2_LOWER, power.mul_add(-LN_2_UPPER, x));
    let square = rest * rest;
    let fourth = square * square;
    let upper = quad(&EXP, 8, rest, square).mul_add(fourth, quad(&EXP, 4, rest, square));
    let mantissa = upper.mul_add(fourth, quad(&EXP, 0, rest, square));
    f64::from_bits(mantissa.to_bits().wrapping_add(shifted.to_bits() << 52))
}

/// Natural logarithm of a positive normal number.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let offset = bits.wrapping_sub(0x3fe6_a09e_667f_3bcd);
    let power = ((offset as i64) >> 52) as f64;
    let mantissa = f64::from_bits(bits.wrapping_sub(offset & 0xfff0_0000_0000_0000));
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let z = ratio * ratio;
    let square = z * z;
    let series = quad(&LN, 4, z, square).mul_add(square * square, quad(&LN, 0, z, square));
    let series = ratio.mul_add(series - 2.0, 2.0 * ratio);
    power.mul_add(LN_2, series)
}

/// e^(-x^2 / 2).
#[inline(always)]
pub(crate) fn gauss(x: f64) -> f64 {
    exp(-0.5 * x * x)
}

/// N(-y) / e^(-y^2 / 2) for y >= 0, a polynomial in 1 - 12 / (y + 6) over y + 6.
#[inline(always)]
pub(crate) fn tail(y: f64) -> f64 {
    let inverse = 1.0 / (y + TAIL_CENTRE);
    let t = inverse.mul_add(-2.0 * TAIL_CENTRE, 1.0);
    let square = t * t;
    let fourth = square * square;
    let eighth = fourth * fourth;
    let last = TAIL[22].mul_add(square, pair(&TAIL, 20, t));
    let upper = last.mul_add(fourth, quad(&TAIL, 16, t, square));
    let middle = quad(&TAIL, 12, t, square).mul_add(fourth, quad(&TAIL, 8, t, square));
    let lower = quad(&TAIL, 4, t, square).mul_add(fourth, quad(&TAIL, 0, t, square));
    upper.mul_add(eighth, middle).mul_add(eighth, lower) * inverse
}

/// N(x), given `gauss(x)`.
#[inline(always)]
pub(crate) fn cdf(x: f64, gauss_x: f64) -> f64 {
    let tail = tail(x.abs()) * gauss_x;
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elementary_functions_agree_with_libm() {
        for step in -4_000..4_000 {
            let x = f64::from(step) * 0.01;
            assert!((exp(x) / libm::exp(x) - 1.0).abs() < 5e-16, "exp {x}");
            let y = libm::exp(x);
            assert!((ln(y) - libm::log(y)).abs() <= 3e-16 * x.abs().max(1.0), "ln {y}");
        }
        assert!(exp(-1e300) < 1e-307 && exp(1e300) > 1e307);
    }

    #[test]
    fn normal_distribution_agrees_with_the_reference_in_both_tails() {
        for step in -3_800..3_800 {
            let x = f64::from(step) * 0.01;
            let expected = crate::normal::normal_cdf(x);
            // rounding x^2 costs x^2 / 2 epsilons on either side
            let tolerance = 3e-15 + x * x * 3e-16;
            assert!((cdf(x, gauss(x)) / expected - 1.0).abs() < tolerance, "{x}");
        }
    }
}
