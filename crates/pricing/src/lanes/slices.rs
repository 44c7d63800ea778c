//! exp, ln and the normal distribution over slices, dispatched.
//!
//! Each panics unless `out` is as long as `x`: both belong to the caller, so a difference is his
//! mistake and not the world's. Whoever needs several of them fused writes a kernel.

use super::{Erfc, Erfcx, Exp, LaneFunction, Ln, Map, NormalCdf, NormalDensity, dispatch};
use std::marker::PhantomData;

fn map<F: LaneFunction>(x: &[f64], out: &mut [f64]) {
    assert_eq!(x.len(), out.len(), "out must be as long as x");
    dispatch(Map::<F> { x, out, function: PhantomData });
}

/// e^x, see `elementary::exp`.
pub fn exp(x: &[f64], out: &mut [f64]) {
    map::<Exp>(x, out);
}

/// ln x, see `elementary::ln`.
pub fn ln(x: &[f64], out: &mut [f64]) {
    map::<Ln>(x, out);
}

/// P(X <= x), see `normal::normal_cdf`.
pub fn normal_cdf(x: &[f64], out: &mut [f64]) {
    map::<NormalCdf>(x, out);
}

/// exp(-x^2 / 2) / sqrt(2 pi), see `normal::normal_density`.
pub fn normal_density(x: &[f64], out: &mut [f64]) {
    map::<NormalDensity>(x, out);
}

/// The complementary error function, see `normal::erfc`.
pub fn erfc(x: &[f64], out: &mut [f64]) {
    map::<Erfc>(x, out);
}

/// exp(x^2) erfc(x), see `normal::erfcx`.
pub fn erfcx(x: &[f64], out: &mut [f64]) {
    map::<Erfcx>(x, out);
}
