//! The normal distribution and its density from one exponential, as lane functions.
//!
//! Exists because the American engine evaluates both at every point, and `normal` would compute the
//! exponential twice. The coefficients were fitted for this file (a Chebyshev projection in 50
//! digits, `tests/reference/american.py`); relative error 1e-15 for every argument up to 38,
//! besides x^2 / 2 epsilons from rounding the square. The rules that keep the bits the same on
//! every machine are in `lanes`.

pub(crate) use crate::lanes::elementary::{exp, ln};
pub(crate) use crate::normal::DENSITY_AT_ZERO;

/// Centre of the map from [0, infinity) to [-1, 1) of `tail`.
const TAIL_CENTRE: f64 = 6.0;

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
