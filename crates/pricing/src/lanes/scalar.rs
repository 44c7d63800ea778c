//! Single numbers through the same kernels, dispatched: for code that is no kernel itself.
//!
//! Exists because a lane function outside of a kernel is slow (each `mul_add` a call). The bits are
//! those of `slices`. Whoever has many numbers uses `slices` or writes a kernel.

use super::{Erfc, Erfcx, Exp, Kernel, LaneFunction, Ln, NormalCdf, NormalDensity, dispatch};
use std::marker::PhantomData;

struct One<F> {
    x: f64,
    function: PhantomData<F>,
}

impl<F: LaneFunction> Kernel for One<F> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let value = F::of(self.x);
        if value.is_nan() { f64::NAN } else { value }
    }
}

#[inline]
fn one<F: LaneFunction>(x: f64) -> f64 {
    dispatch(One::<F> { x, function: PhantomData })
}

/// e^x, see `elementary::exp`.
#[must_use]
pub fn exp(x: f64) -> f64 {
    one::<Exp>(x)
}

/// ln x, see `elementary::ln`.
#[must_use]
pub fn ln(x: f64) -> f64 {
    one::<Ln>(x)
}

/// P(X <= x), see `normal::normal_cdf`.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    one::<NormalCdf>(x)
}

/// exp(-x^2 / 2) / sqrt(2 pi), see `normal::normal_density`.
#[must_use]
pub fn normal_density(x: f64) -> f64 {
    one::<NormalDensity>(x)
}

/// The complementary error function, see `normal::erfc`.
#[must_use]
pub fn erfc(x: f64) -> f64 {
    one::<Erfc>(x)
}

/// exp(x^2) erfc(x), see `normal::erfcx`.
#[must_use]
pub fn erfcx(x: f64) -> f64 {
    one::<Erfcx>(x)
}
