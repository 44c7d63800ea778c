//! Where the search for parameters starts: read off level and tilt of the smiles at the money.
//!
//! Exists because the cost has flat valleys (reversion against vol of variance) and a search from
//! nowhere may end in one. For a few speeds of reversion and sizes of correlation the other three
//! follow by linear least squares; the candidate that prices best is the start.

use super::{BOX, Search};
use crate::heston::Heston;
use crate::normal_equations::NormalEquations;

/// Speeds of reversion and sizes of correlation that are tried.
const REVERSIONS: [f64; 4] = [0.5, 1.5, 4.0, 10.0];
const CORRELATIONS: [f64; 3] = [0.3, 0.6, 0.85];
/// Expiries that candidates are priced on, at most: a good start needs no more.
const EXPIRIES: usize = 4;

/// A smile near the money: vol at the forward and its slope in log-moneyness.
#[derive(Debug, Clone, Copy)]
struct Level {
    years: f64,
    vol: f64,
    tilt: f64,
}

impl Search {
    /// The best of the candidates; none if no one can be priced.
    pub(super) fn start(&mut self) -> Option<Heston> {
        let levels: Vec<Level> = (0..self.blocks.len()).map(|index| self.level(index)).collect();
        let stride = self.blocks.len().div_ceil(EXPIRIES);
        let mut best: Option<(f64, Heston)> = None;
        for reversion in REVERSIONS {
            for correlation in CORRELATIONS {
                let candidate = candidate(&levels, reversion, correlation);
                let Some(cost) = self.cost(&candidate, stride).filter(|cost| cost.is_finite())
                else {
                    continue;
                };
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, candidate));
                }
            }
        }
        best.map(|(_, heston)| heston)
    }

    /// A parabola through the vols of an expiry within a deviation and a half, or of all if there
    /// are too few.
    fn level(&self, index: usize) -> Level {
        let block = self.blocks[index];
        let (k, vol) = (&self.log_strike[block.from..block.to], &self.vol[block.from..block.to]);
        let nearest = (0..k.len()).min_by(|&a, &b| k[a].abs().total_cmp(&k[b].abs()));
        let middle = vol[nearest.expect("a block has quotes")];
        let reach = 1.5 * middle * block.years.sqrt();
        let near = k.iter().filter(|own| own.abs() <= reach).count();
        let reach = if near >= 4 { reach } else { f64::INFINITY };
        let scale = k.iter().fold(1e-9, |most: f64, own| most.max(own.abs())).min(reach);
        let mut sums = NormalEquations::default();
        sums.reset(3);
        for ((own, vol), half_width) in
            k.iter().zip(vol).zip(&self.half_width[block.from..block.to])
        {
            if own.abs() <= reach {
                let (x, weight) = (own / scale, 1.0 / (half_width * half_width));
                let row = [1.0, x, x * x];
                sums.add_outer(&row.map(|own| own * weight), &row);
                sums.gradient.iter_mut().zip(row).for_each(|(to, own)| *to -= weight * own * vol);
            }
        }
        let flat = Level { years: block.years, vol: middle, tilt: 0.0 };
        if k.len() < 3 || !sums.solve(1e-9) {
            return flat;
        }
        let (vol, tilt) = (sums.step[0], sums.step[1] / scale);
        let is_sound = vol > 0.3 * middle && vol < 3.0 * middle;
        if is_sound { Level { vol, tilt, ..flat } } else { flat }
    }
}

/// Variance and mean by the expected variance over each life, vol of variance by the tilt: with
/// x = reversion years the expectation is mean + (variance - mean) (1 - e^-x) / x, and to first
/// order in the vol of variance the tilt is correlation vol (x - 1 + e^-x) / (2 x^2 vol at money).
fn candidate(levels: &[Level], reversion: f64, correlation: f64) -> Heston {
    let mut sums = NormalEquations::default();
    sums.reset(2);
    let (mut products, mut squares) = (0.0, 0.0);
    let (mut least, mut most) = (f64::INFINITY, 0.0f64);
    for level in levels {
        let x = reversion * level.years;
        let gone = -libm::expm1(-x);
        let share = gone / x;
        let square = level.vol * level.vol;
        // In relative terms, so that a stressed front expiry does not decide alone.
        let row = [share / square, (1.0 - share) / square];
        sums.add_outer(&row, &row);
        sums.gradient.iter_mut().zip(row).for_each(|(to, own)| *to -= own);
        let by_product = (x - gone) / (2.0 * x * x * level.vol);
        products += by_product * level.tilt;
        squares += by_product * by_product;
        least = least.min(square);
        most = most.max(square);
    }
    let is_sound = sums.solve(1e-6);
    let own = |at: usize| {
        let value = if is_sound { sums.step[at] } else { most };
        value.max(0.25 * least).min(4.0 * most).clamp(BOX[0].0 * 4.0, 0.5 * BOX[0].1)
    };
    let product = products / squares;
    let product = if product.is_finite() { product } else { 0.0 };
    let correlation = if product > 0.0 { correlation } else { -correlation };
    Heston {
        variance: own(0),
        reversion,
        mean: own(1),
        vol_of_variance: (product / correlation).abs().clamp(0.1, 2.0),
        correlation,
    }
}
