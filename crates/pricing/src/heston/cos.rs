//! All strikes of one expiry by the cosine series of the density (Fang, Oosterlee, SIAM Journal on
//! Scientific Computing 31, 2008), its range from proven tails instead of cumulants; and the slopes
//! of all prices in the five parameters from the same terms.
//!
//! Exists because the characteristic function, which costs most, does not know the strike: it is
//! evaluated once per term. Puts are summed and calls follow by parity. Absolute accuracy only:
//! wings are left to `contour`.

use super::complex::Complex;
use super::transform::Transform;
use super::{Heston, HestonInput, HestonRefusal, within};
use crate::black::OptionKind;
use crate::lanes::{Kernel, dispatch, padded};
use std::f64::consts::PI;

/// Terms of the series at most.
const TERMS_MAX: usize = 4096;
/// Strikes of one call at most.
const STRIKES_MAX: usize = 10_000;
/// What lies beyond either end of the range, at most.
const REST: f64 = 1e-12;
/// Moments that are tried for it.
const MOMENTS: u32 = 80;
/// Terms this small, four in a row, end the series.
const TERM_LEAST: f64 = 1e-14;
/// Strikes that are summed together: their state stays in the first cache.
const BLOCK: usize = 64;

/// Value and the slopes in variance, reversion, mean, vol of variance, correlation.
pub(super) const WITH_SLOPES: usize = 6;

/// The terms of one expiry: of the value in the first column, of its slopes in further ones.
#[derive(Debug, Clone)]
pub(super) struct Series<const COLUMNS: usize> {
    low: f64,
    high: f64,
    /// By term from the second on: what multiplies the sine and the negative cosine.
    waves: Vec<[[f64; COLUMNS]; 2]>,
    /// What does not depend on the strike.
    level: [f64; COLUMNS],
}

impl<const COLUMNS: usize> Series<COLUMNS> {
    pub fn new() -> Self {
        Self { low: 0.0, high: 0.0, waves: Vec::new(), level: [0.0; COLUMNS] }
    }

    /// Computes the terms; refuses where they don't settle. `moments` as in `Heston::ends`.
    ///
    /// With wave w the cosine coefficient of (strike - e^x)+ is (strike (sin / w - cos) + e^low) /
    /// (1 + w^2), in units of the forward.
    pub fn fill(&mut self, heston: &Heston, years: f64, moments: u32) -> Result<(), HestonRefusal> {
        let ends = heston.ends(years, REST, moments);
        let (low, high) = ends.ok_or(HestonRefusal::NotSettled)?;
        let width = high - low;
        self.low = low;
        self.high = high;
        self.waves.clear();
        self.level = [0.0; COLUMNS];
        let start = libm::exp(low);
        let mut quiet = 0;
        for index in 1..TERMS_MAX {
            let wave = index as f64 * PI / width;
            let transform = Transform::at(heston, Complex { re: wave, im: 0.0 }, years);
            let turn = Complex { re: 0.0, im: -wave * low };
            let weight = 1.0 / (1.0 + wave * wave);
            let value = (transform.exponent() + turn).exp() * (2.0 / width * weight);
            let mut terms = [value.re; COLUMNS];
            if COLUMNS == WITH_SLOPES {
                for (term, slope) in terms[1..].iter_mut().zip(transform.slopes()) {
                    *term = value.re * slope.re - value.im * slope.im;
                }
            }
            for (level, term) in self.level.iter_mut().zip(&terms) {
                *level += start * term;
            }
            self.waves.push([terms.map(|term| term / wave), terms]);
            let size = libm::fmax(value.re.abs(), value.im.abs()) * width;
            quiet = if size < TERM_LEAST { quiet + 1 } else { 0 };
            if quiet >= 4 {
                return Ok(());
            }
        }
        Err(HestonRefusal::NotSettled)
    }

    /// Puts on a forward of one at log-strikes, and their slopes: a column of `out` each.
    pub fn puts(&self, log_strike: &[f64], out: [&mut [f64]; COLUMNS]) {
        dispatch(Puts { series: self, log_strike, out });
    }
}

struct Puts<'a, const COLUMNS: usize> {
    series: &'a Series<COLUMNS>,
    log_strike: &'a [f64],
    out: [&'a mut [f64]; COLUMNS],
}

impl<const COLUMNS: usize> Kernel for Puts<'_, COLUMNS> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { series, log_strike, out } = self;
        let (low, high) = (series.low, series.high);
        let width = high - low;
        let mut from = 0;
        while from < log_strike.len() {
            let count = BLOCK.min(log_strike.len() - from);
            let lanes = padded(count);
            // cos and sin of k theta by rotation: one pair of calls per strike.
            let (mut step_re, mut step_im) = ([1.0; BLOCK], [0.0; BLOCK]);
            for (lane, at) in log_strike[from..from + count].iter().enumerate() {
                let inside = if *at > low { *at } else { low };
                let inside = if inside < high { inside } else { high };
                let angle = PI * (inside - low) / width;
                step_re[lane] = libm::cos(angle);
                step_im[lane] = libm::sin(angle);
            }
            let (mut re, mut im) = (step_re, step_im);
            let mut sums = [[0.0; BLOCK]; COLUMNS];
            for [sines, cosines] in &series.waves {
                for lane in 0..lanes {
                    let (cos, sin) = (re[lane], im[lane]);
                    for column in 0..COLUMNS {
                        let term = sines[column] * sin - cosines[column] * cos;
                        sums[column][lane] += term;
                    }
                    re[lane] = cos * step_re[lane] - sin * step_im[lane];
                    im[lane] = cos * step_im[lane] + sin * step_re[lane];
                }
            }
            for lane in 0..count {
                let at = log_strike[from + lane];
                let strike = libm::exp(at);
                let first = (strike * (at - low - 1.0) + libm::exp(low)) / width;
                for column in 0..COLUMNS {
                    let own = if column == 0 { first } else { 0.0 };
                    let sum = own + strike * sums[column][lane] + series.level[column];
                    // Beyond the ends the put is worth nothing, or all that it can be.
                    let most = if column == 0 { strike - 1.0 } else { 0.0 };
                    let value = if at <= low { 0.0 } else { sum };
                    out[column][from + lane] = if at >= high { most } else { value };
                }
            }
            from += BLOCK;
        }
    }
}

/// Undiscounted prices of every strike. Error below 1e-11 of the larger of forward and strike where
/// the series settles within 4096 terms, else a refusal: measured (tests/heston.rs), on a range
/// that is proven by Markov's inequality (as Junike, Pankrashkin, Applied Mathematics and
/// Computation 421, 2022, have it).
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
    let mut series = Series::<1>::new();
    series.fill(heston, years, MOMENTS)?;
    let log_strike: Vec<f64> = strikes.iter().map(|strike| libm::log(strike / forward)).collect();
    series.puts(&log_strike, [out]);
    for (out, strike) in out.iter_mut().zip(strikes) {
        let put = forward * *out;
        let value = if kind.is_call() { put + forward - strike } else { put };
        *out = if value > 0.0 { value } else { 0.0 };
    }
    Ok(())
}
