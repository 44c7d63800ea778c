//! The vol at which an American option has a price, or a typed reason.
//!
//! Exists in two forms: `implied_vol` solves a boundary for every trial vol; a `VolCurve` solves
//! boundaries once per expiry at Chebyshev points of ln(vol) and interpolates them, so that a trial
//! costs one last quadrature. Both use Newton's method on the scheme's own vega inside a bracket,
//! so they end on every price between the value without vol and the value with infinite vol. The
//! reasons are those of European prices, `implied::NoVol`.

use super::normalised::Normalised;
use super::premium::{Flows, Tick};
use super::put::collocate_fast;
use super::scheme::FAST;
use super::{Accuracy, Boundary, check_prices};
use crate::black::{OptionKind, Refusal, SpotContract};
use crate::implied::NoVol;
use crate::lanes::{Kernel, dispatch};
use std::f64::consts::PI;

/// Trials before the bracket is taken as the answer; each at least halves ln of the bracket.
const TRIALS: usize = 100;
/// Relative width at which a vol is found.
const WIDTH: f64 = 1e-13;
/// Time values below this share of the price are rounding.
const ROUNDING: f64 = 1e-13;
/// Total vols searched.
const LOWEST_VOL: f64 = 1e-5;
const HIGHEST_VOL: f64 = 60.0;
/// Chebyshev points of a curve, and the lanes of its boundaries.
const POINTS: usize = 24;
const LANES: usize = 16;

/// What a search needs to know: bounds of the vol and where to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    lowest: f64,
    highest: f64,
    start: f64,
}

/// Implied vol of one price of `contract` (whose vol is ignored).
pub fn implied_vol(price: f64, contract: &SpotContract, accuracy: Accuracy) -> Result<f64, NoVol> {
    let bounds = bounds(true, price, contract)?;
    let SpotContract { spot, strike, years, rate, dividend_yield, kind, .. } = *contract;
    search(price, &bounds, |vol| {
        let boundary =
            Boundary::solve_with_greeks(kind, rate, dividend_yield, vol, years, accuracy).ok()?;
        let greeks = boundary.greeks(spot, strike);
        Some((greeks.price, greeks.vega))
    })
}

/// Checks a price against what no vol and any vol can give, dividends aside.
pub(crate) fn bounds(american: bool, price: f64, contract: &SpotContract) -> Result<Bounds, NoVol> {
    let SpotContract { spot, strike, years, rate, dividend_yield, kind, .. } = *contract;
    if ![price, spot, strike, years, rate, dividend_yield].iter().all(|x| x.is_finite()) {
        return Err(NoVol::NotFinite);
    }
    if years <= 0.0 {
        return Err(NoVol::Expired);
    }
    check_prices(spot, strike).map_err(|refusal| match refusal {
        Refusal::NotFinite { .. } => NoVol::NotFinite,
        _ => NoVol::NotPositive,
    })?;
    if price <= 0.0 {
        return Err(NoVol::NoPrice);
    }
    let (asset, cash) =
        (spot * libm::exp(-dividend_yield * years), strike * libm::exp(-rate * years));
    let (cap, intrinsic) = match (kind, american) {
        (OptionKind::Call, true) => (asset.max(spot), spot - strike),
        (OptionKind::Put, true) => (cash.max(strike), strike - spot),
        (OptionKind::Call, false) => (asset, 0.0),
        (OptionKind::Put, false) => (cash, 0.0),
    };
    if price >= cap {
        return Err(NoVol::AboveCap);
    }
    let rounding = if intrinsic > 0.0 { ROUNDING * price } else { 0.0 };
    if price - intrinsic.max(0.0) <= rounding {
        return Err(NoVol::BelowIntrinsic);
    }
    let root = years.sqrt();
    let distance = (2.0 * libm::log(asset / cash).abs()).sqrt();
    Ok(Bounds {
        lowest: LOWEST_VOL / root,
        highest: HIGHEST_VOL / root,
        start: distance.max(2.5 * (price - intrinsic.max(0.0)) / spot).clamp(0.02, 3.0) / root,
    })
}

/// Newton's method inside a shrinking bracket on a rising function that gives value and vega (none
/// where it can't: taken as out of reach from there on, away from the start).
pub(crate) fn search(
    price: f64,
    bounds: &Bounds,
    mut value: impl FnMut(f64) -> Option<(f64, f64)>,
) -> Result<f64, NoVol> {
    let Bounds { mut lowest, mut highest, start } = *bounds;
    let mut vol = start;
    // the highest vol seen to be worth less than the price, and the lowest worth more
    let (mut below, mut above) = (false, false);
    for _ in 0..TRIALS {
        let step = match value(vol) {
            Some((at, vega)) => {
                let miss = at - price;
                if miss == 0.0 {
                    return Ok(vol);
                }
                if miss < 0.0 {
                    (lowest, below) = (vol, true);
                } else {
                    (highest, above) = (vol, true);
                }
                // far out of the money the price is flat in vol and its logarithm is not
                if vega > 0.0 && at > 0.0 && at < 0.5 * price {
                    vol + libm::log(price / at) * at / vega
                } else {
                    vol - miss / vega
                }
            }
            None => {
                if vol < start {
                    lowest = vol;
                } else {
                    highest = vol;
                }
                f64::NAN
            }
        };
        if (step - vol).abs() <= WIDTH * vol {
            return Ok(step);
        }
        let next = if step > lowest && step < highest { step } else { (lowest * highest).sqrt() };
        if highest - lowest <= WIDTH * highest {
            break;
        }
        vol = next;
    }
    match (below, above) {
        (true, true) => Ok(vol),
        (false, _) => Err(NoVol::BelowIntrinsic),
        (true, false) => Err(NoVol::AboveCap),
    }
}

/// The boundaries of one kind and expiry as functions of vol.
#[derive(Debug, Clone, PartialEq)]
pub struct VolCurve {
    kind: OptionKind,
    rate: f64,
    dividend_yield: f64,
    years: f64,
    /// Middle and half width in ln(vol * sqrt(years)).
    middle: f64,
    half: f64,
    /// Chebyshev coefficients of every lane of ln(boundary); the last lane is the boundary now.
    coefficients: Vec<[f64; LANES]>,
}

impl VolCurve {
    /// Solves the boundaries of vols between two bounds. None where the expiry has no single
    /// boundary at one of them (never exercised, two boundaries, extreme rates): use `implied_vol`.
    pub fn new(
        kind: OptionKind,
        rate: f64,
        dividend_yield: f64,
        years: f64,
        vols: (f64, f64),
    ) -> Option<Self> {
        let root = years.sqrt();
        let (from, to) = (libm::log(vols.0 * root), libm::log(vols.1 * root));
        let (middle, half) = (0.5 * (to + from), 0.5 * (to - from));
        if !(half > 0.0 && half.is_finite()) {
            return None;
        }
        let angle = |m: usize| PI * (m as f64 + 0.5) / POINTS as f64;
        let mut samples = Vec::with_capacity(POINTS);
        for m in 0..POINTS {
            let vol = libm::exp(middle + half * libm::cos(angle(m)));
            let option = normalised(kind, rate, dividend_yield, years, vol);
            let flows = collocate_fast(&option)?;
            let mut lanes = flows.log_boundaries();
            lanes[LANES - 1] = flows.log_boundary;
            samples.push(lanes);
        }
        let coefficients = (0..POINTS)
            .map(|k| {
                let scale = if k == 0 { 1.0 } else { 2.0 } / POINTS as f64;
                let mut sum = [0.0; LANES];
                for (m, lanes) in samples.iter().enumerate() {
                    let weight = scale * libm::cos(k as f64 * angle(m));
                    for (sum, lane) in sum.iter_mut().zip(lanes) {
                        *sum += weight * lane;
                    }
                }
                sum
            })
            .collect();
        Some(Self { kind, rate, dividend_yield, years, middle, half, coefficients })
    }

    /// Implied vol of a price; solved afresh where it lies outside of the curve's vols.
    pub fn implied_vol(&self, price: f64, spot: f64, strike: f64) -> Result<f64, NoVol> {
        let contract = SpotContract {
            spot,
            strike,
            years: self.years,
            vol: 0.0,
            rate: self.rate,
            dividend_yield: self.dividend_yield,
            kind: self.kind,
        };
        let bounds = bounds(true, price, &contract)?;
        let (ratio, scale) =
            if self.kind.is_call() { (strike / spot, spot) } else { (spot / strike, strike) };
        let root = self.years.sqrt();
        let (from, to) = (self.middle - self.half, self.middle + self.half);
        let inside = Bounds {
            lowest: libm::exp(from) / root,
            highest: libm::exp(to) / root,
            start: bounds.start.clamp(libm::exp(from) / root, libm::exp(to) / root),
        };
        let found = search(price / scale, &inside, |vol| {
            let at = At { curve: self, vol: vol * root, ratio };
            let (value, vega) = dispatch(at);
            Some((value.max(1.0 - ratio), vega * root))
        });
        let edge = |vol: f64| vol <= inside.lowest * 1.0001 || vol >= inside.highest * 0.9999;
        match found {
            Ok(vol) if !edge(vol) => Ok(vol),
            _ => implied_vol(price, &contract, Accuracy::Fast),
        }
    }
}

fn normalised(
    kind: OptionKind,
    rate: f64,
    dividend_yield: f64,
    years: f64,
    vol: f64,
) -> Normalised {
    let (rate, dividend_yield) =
        if kind.is_call() { (dividend_yield, rate) } else { (rate, dividend_yield) };
    Normalised { rate: rate * years, dividend_yield: dividend_yield * years, vol }
}

/// Value and vega of a normalised put at one vol of a curve.
struct At<'a> {
    curve: &'a VolCurve,
    vol: f64,
    ratio: f64,
}

impl Kernel for At<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run(self) -> (f64, f64) {
        let Self { curve, vol, ratio } = self;
        let x = (super::lane::ln(vol) - curve.middle) / curve.half;
        // sums of T_k and of its derivatives, by their recurrences
        let (mut level, mut slope) = ([0.0; LANES], [0.0; LANES]);
        let (mut t, mut t_before) = (1.0, x);
        let (mut d, mut d_before) = (0.0, 1.0);
        for lanes in &curve.coefficients {
            for p in 0..LANES {
                level[p] = lanes[p].mul_add(t, level[p]);
                slope[p] = lanes[p].mul_add(d, slope[p]);
            }
            (t, t_before, d, d_before) =
                (2.0 * x * t - t_before, t, 2.0 * t + 2.0 * x * d - d_before, d);
        }
        let now = level[LANES - 1];
        level[LANES - 1] = 0.0;
        let option = normalised(curve.kind, curve.rate, curve.dividend_yield, curve.years, vol);
        let scheme = &*FAST;
        let mut flows = Flows::new(&option, &scheme.last_sine, &scheme.last_step, &level, now);
        for p in 0..LANES - 1 {
            flows.tangent[0][p] = slope[p] / (curve.half * vol);
        }
        if super::lane::ln(ratio) <= now {
            return (1.0 - ratio, 0.0);
        }
        let Tick { value, .. } = flows.tick::<true>(ratio);
        (value, flows.slopes::<true>(ratio).vol)
    }
}
