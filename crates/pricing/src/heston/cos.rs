//! All strikes of one expiry by the cosine series of the density (Fang, Oosterlee, SIAM Journal on
//! Scientific Computing 31, 2008), its range from proven tails instead of cumulants.
//!
//! Exists because the characteristic function, which costs most, does not know the strike: it is
//! evaluated once per term. Puts are summed and calls follow by parity. Absolute accuracy only:
//! wings are left to `contour`.

use super::complex::Complex;
use super::{Heston, HestonInput, HestonRefusal, within};
use crate::black::OptionKind;
use std::f64::consts::PI;

/// Terms of the series at most.
const TERMS_MAX: usize = 4096;
/// Strikes of one call at most.
const STRIKES_MAX: usize = 10_000;
/// What lies beyond either end of the range, at most.
const REST: f64 = 1e-12;

/// Undiscounted prices of every strike. Error below 1e-8 of the forward where the series settles
/// within 4096 terms, else a refusal.
pub fn chain(
    heston: &Heston,
    forward: f64,
    years: f64,
    strikes: &[f64],
    kind: OptionKind,
    out: &mut [f64],
) -> Result<(), HestonRefusal> {
    heston.check(forward, years)?;
    if strikes.len() != out.len() || strikes.len() > STRIKES_MAX {
        return Err(HestonRefusal::Strikes);
    }
    for strike in strikes {
        within(HestonInput::Strike, *strike, 1e-9, 1e12)?;
    }
    let (low, high) = heston.ends(years, REST).ok_or(HestonRefusal::NotSettled)?;
    let width = high - low;
    let mut terms = Vec::with_capacity(256);
    let mut quiet = 0;
    for index in 0..TERMS_MAX {
        let u = index as f64 * PI / width;
        let value = heston.characteristic(Complex { re: u, im: 0.0 }, years);
        let turn = Complex { re: 0.0, im: -u * low }.exp();
        let term = (value * turn).re * 2.0 / width;
        terms.push(if index == 0 { 0.5 * term } else { term });
        let size = libm::hypot(value.re, value.im);
        quiet = if size < 1e-14 { quiet + 1 } else { 0 };
        if quiet >= 4 {
            break;
        }
    }
    if quiet < 4 {
        return Err(HestonRefusal::NotSettled);
    }
    for (out, strike) in out.iter_mut().zip(strikes) {
        let at = libm::log(strike / forward);
        let put = if at <= low { 0.0 } else { put(&terms, forward, *strike, at, low, high) };
        let value = if kind.is_call() { put + forward - strike } else { put };
        *out = if value > 0.0 { value } else { 0.0 };
    }
    Ok(())
}

/// The sum of the terms times the cosine coefficients of (strike - forward e^x)+.
fn put(terms: &[f64], forward: f64, strike: f64, at: f64, low: f64, high: f64) -> f64 {
    let end = if at < high { at } else { high };
    let width = high - low;
    let (grown, start) = (forward * libm::exp(end), forward * libm::exp(low));
    // cos and sin of k theta by rotation: one pair of calls per strike.
    let step = Complex { re: 0.0, im: PI * (end - low) / width }.exp();
    let mut turn = Complex::ONE;
    let mut sum = 0.0;
    for (index, term) in terms.iter().enumerate() {
        let wave = index as f64 * PI / width;
        let cash = if index == 0 { end - low } else { turn.im / wave };
        let asset = (grown * (turn.re + wave * turn.im) - start) / (1.0 + wave * wave);
        sum += term * (strike * cash - asset);
        turn = turn * step;
    }
    sum
}
