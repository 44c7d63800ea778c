//! One option by one integral in the complex plane, along the line where the integrand decays most.
//!
//! Exists for the wings: on the line through the saddle point (Lord, Kahl, "Optimal Fourier
//! inversion", Journal of Computational Finance 10, 2007) the integral has the size of the
//! out-of-the-money price itself, so that nothing cancels and digits are relative. The trapezoidal
//! rule on a double exponential substitution is halved until it settles.

use super::complex::Complex;
use super::{Heston, HestonInput, HestonRefusal, within};
use crate::black::OptionKind;
use std::f64::consts::PI;

/// Halvings of the step.
const LEVELS_MAX: usize = 11;
/// Points of one level at most.
const POINTS_MAX: usize = 40_000;
/// What two levels may differ by, relative, to be settled: the next would differ by its square.
const SETTLED: f64 = 1e-9;

/// Undiscounted price of one option.
///
/// Relative error of the out-of-the-money price below 1e-12, to prices of 1e-55 of the forward
/// (tests/reference/heston_wings.csv); beyond, to 1e-200, only its sign and order were tested.
pub fn price(
    heston: &Heston,
    forward: f64,
    strike: f64,
    years: f64,
    kind: OptionKind,
) -> Result<f64, HestonRefusal> {
    heston.check(forward, years)?;
    within(HestonInput::Strike, strike, 1e-9, 1e12)?;
    let moneyness = libm::log(forward / strike);
    // Calls above the forward shift beyond 1, puts below it beyond 0.
    let is_call = moneyness <= 0.0;
    let alpha = saddle(heston, moneyness, years, is_call);
    let otm = integral(heston, moneyness, years, alpha)? * strike;
    let otm = otm.max(0.0);
    Ok(match (kind.is_call(), is_call) {
        (true, true) | (false, false) => otm,
        (true, false) => otm + forward - strike,
        (false, true) => otm + strike - forward,
    })
}

/// ln of the integrand's size where the line crosses the imaginary axis; infinite where the moment
/// does not exist.
fn height(heston: &Heston, moneyness: f64, years: f64, moment: f64) -> f64 {
    let value = heston.characteristic(Complex { re: 0.0, im: -moment }, years);
    let is_sound = heston.has_moment(years, moment) && value.re > 0.0 && value.re.is_finite();
    if !is_sound {
        return f64::INFINITY;
    }
    libm::log(value.re) + moment * moneyness - libm::log((moment * (moment - 1.0)).abs())
}

/// The moment of least height, by a bracket that grows and golden sections.
fn saddle(heston: &Heston, moneyness: f64, years: f64, is_call: bool) -> f64 {
    let at = |step: f64| if is_call { 1.0 + step } else { -step };
    let of = |log: f64| height(heston, moneyness, years, at(libm::exp(log)));
    let (mut low, mut high) = (-9.0f64, 8.0f64);
    let golden = 0.618_033_988_749_894_9;
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_a, mut at_b) = (of(a), of(b));
    for _ in 0..60 {
        // Where both are infinite the finite side is the nearer one.
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - golden * (high - low);
            at_a = of(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + golden * (high - low);
            at_b = of(b);
        }
    }
    at(libm::exp(0.5 * (low + high)))
}

/// (1 / pi) of the integral over u > 0 of Re[e^(i z k) phi(z) / (-z (z + i))], z = u - i moment;
/// per strike.
fn integral(
    heston: &Heston,
    moneyness: f64,
    years: f64,
    moment: f64,
) -> Result<f64, HestonRefusal> {
    let at = |u: f64| {
        let z = Complex { re: u, im: -moment };
        let phi = heston.characteristic(z, years);
        let turn = Complex { re: moment * moneyness, im: u * moneyness }.exp();
        // (i z) (i z - 1): the transform of a payoff per strike.
        let i_z = Complex { re: moment, im: u };
        (turn * phi / (i_z * (i_z - Complex::ONE))).re
    };
    let centre = at(0.0).abs();
    // u = exp(t - exp(-t)): both ends decay double exponentially or as the integrand does.
    let mut before = f64::NAN;
    let mut step = 0.25;
    for _ in 0..LEVELS_MAX {
        let (mut sum, mut sizes) = (0.0, 0.0);
        let mut quiet = 0;
        let mut count = 0;
        let mut t = -4.0f64;
        while count < POINTS_MAX && t < 25.0 {
            let shrunk = libm::exp(-t);
            let u = libm::exp(t - shrunk);
            let value = at(u) * u * (1.0 + shrunk);
            if !value.is_finite() {
                return Err(HestonRefusal::NotSettled);
            }
            sum += value;
            sizes += value.abs();
            quiet = if value.abs() <= 1e-18 * sizes.max(1e-300) { quiet + 1 } else { 0 };
            if quiet >= 12 && u > 1.0 {
                break;
            }
            t += step;
            count += 1;
        }
        let value = sum * step / PI;
        let scale = value.abs().max(1e-13 * sizes * step);
        if (value - before).abs() <= SETTLED * scale && centre.is_finite() {
            return Ok(value);
        }
        before = value;
        step *= 0.5;
    }
    Err(HestonRefusal::NotSettled)
}
