//! The normal distribution with relative accuracy in the tails.
//!
//! Everything rests on `libm` (a port of musl in Rust) and on IEEE operations, so the bits do not
//! depend on the platform's C library. `statrs` is avoided on purpose: its `erfc` has constants
//! cut to ten digits. What to do with the numbers is left to `black`.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// 1 / sqrt(2 pi): the density at zero.
pub const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
/// sqrt(pi / 2): turns a scaled erfc into the Mills ratio N(x) / n(x).
pub(crate) const SQRT_HALF_PI: f64 = 1.253_314_137_315_500_3;

/// Beyond this |x| the density is below the smallest subnormal number.
const DENSITY_VANISHES: f64 = 39.0;
/// Above this argument `erfc(z) exp(z^2)` is replaced by its asymptotic series (7 terms, 3e-17).
const ERFCX_ASYMPTOTIC: f64 = 25.0;
/// Clears the lower half of a mantissa, so that the square of what is left is exact.
const UPPER_HALF: u64 = !0x07ff_ffff;

/// P(X <= x). Relative error about (2 + x^2 / 2) machine epsilons down to x = -38.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// exp(-x^2 / 2) / sqrt(2 pi), relative error a few machine epsilons for every x.
pub fn normal_density(x: f64) -> f64 {
    DENSITY_AT_ZERO * exp_minus_half_square(x)
}

/// exp(-x^2 / 2) without the loss of x^2 epsilons that rounding the square would cost.
pub(crate) fn exp_minus_half_square(x: f64) -> f64 {
    if x.abs() > DENSITY_VANISHES {
        return 0.0;
    }
    let upper = f64::from_bits(x.to_bits() & UPPER_HALF);
    let rest = -0.5 * (x - upper) * (x + upper);
    libm::exp(-0.5 * upper * upper) * exp_tiny(rest)
}

/// exp(z^2) erfc(z) for z >= 0, relative error a few machine epsilons.
pub(crate) fn erfcx(z: f64) -> f64 {
    if z < ERFCX_ASYMPTOTIC {
        let upper = f64::from_bits(z.to_bits() & UPPER_HALF);
        let rest = (z - upper) * (z + upper);
        return libm::erfc(z) * libm::exp(upper * upper) * exp_tiny(rest);
    }
    let y = 0.5 / (z * z);
    let series = 1.0
        - y * (1.0
            - 3.0 * y * (1.0 - 5.0 * y * (1.0 - 7.0 * y * (1.0 - 9.0 * y * (1.0 - 11.0 * y)))));
    series / (z * PI.sqrt())
}

/// exp of an argument below 3e-5 in size: the fourth-order term is under 1e-19.
fn exp_tiny(argument: f64) -> f64 {
    1.0 + argument * (1.0 + argument * (0.5 + argument / 6.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_erfc_is_continuous_where_the_series_takes_over() {
        let below = erfcx(ERFCX_ASYMPTOTIC.next_down());
        let above = erfcx(ERFCX_ASYMPTOTIC);
        assert!((below / above - 1.0).abs() < 2e-15, "{below} {above}");
    }

    #[test]
    fn infinities_give_the_limits() {
        assert_eq!(normal_cdf(f64::NEG_INFINITY), 0.0);
        assert_eq!(normal_cdf(f64::INFINITY), 1.0);
        assert_eq!(normal_density(f64::INFINITY), 0.0);
        assert_eq!(erfcx(f64::INFINITY), 0.0);
    }
}
