//! Fits an eSSVI surface to quoted vols without ever leaving the domain without arbitrage.
//!
//! Residuals are in total variance, in units of each quote's own error: half the spread as a
//! uniform deviation, and the model's. The loss is that of Geman and McClure (1985) on residuals
//! over the slice's robust scale, so that a wild quote loses its say. The search is Levenberg and
//! Marquardt's inside the box of `domain`. First each expiry alone; if their fits already make a
//! surface it is the best one, else all together from its projection. A later fit starts where the
//! last one ended. Lanes are sorted first: the order of quotes does not matter, to the bit.

use super::domain::{Map, OWN, bounds};
use super::{NoSurface, Slice, Surface};
use crate::arbitrage::{ArbitrageReport, Grid, prove};
use crate::normal_equations::NormalEquations;
use serde::{Deserialize, Serialize};

/// Quotes are padded to whole groups, so that the loops run in vectors.
const GROUP: usize = 8;
/// A mid inside a half spread h has about this standard deviation, in h (uniform).
const HALF_SPREAD_TO_DEVIATION: f64 = 0.577_350_269_189_625_8;
/// Further out or larger there is no option market.
const LOG_MONEYNESS_MOST: f64 = 20.0;
const VARIANCE_LEAST: f64 = 1e-10;
const VARIANCE_MOST: f64 = 1e3;
/// The search: damping, and the relative fall of the cost that ends it.
const DAMPING_FIRST: f64 = 1e-3;
const DAMPING_LEAST: f64 = 1e-9;
const DAMPING_MOST: f64 = 1e6;
const SETTLED: f64 = 1e-5;
/// Rounds of re-estimating the robust scale, and its change that asks for another one.
const ROUNDS: usize = 4;
const SCALE_SETTLED: f64 = 0.02;

/// What shapes a fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalibrationSettings {
    /// What three numbers per expiry miss by, as a standard deviation of vol; quotes narrower than
    /// it weigh no more.
    pub model_error: f64,
    /// Residuals, in robust deviations, from which on a quote loses its weight.
    pub cutoff: f64,
    /// Fewest usable quotes of an expiry; expiries with fewer are left out.
    pub min_quotes: usize,
    /// Most steps of one search.
    pub max_steps: usize,
}

impl Default for CalibrationSettings {
    fn default() -> Self {
        Self { model_error: 0.001, cutoff: 4.0, min_quotes: 5, max_steps: 60 }
    }
}

/// One expiry's quotes; one lane per quote, in any order.
#[derive(Debug, Clone, Copy)]
pub struct SliceQuotes<'a> {
    /// Names the expiry from one fit to the next, such as its day.
    pub key: i64,
    /// Years to expiry.
    pub years: f64,
    /// ln(strike / forward).
    pub log_moneyness: &'a [f64],
    /// Annual vol of each mid (Black, European).
    pub vol: &'a [f64],
    /// Half the bid-ask spread, in vol.
    pub half_width: &'a [f64],
}

/// How one expiry came out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SliceReport {
    /// Its position among the expiries given.
    pub expiry: usize,
    /// Its key.
    pub key: i64,
    /// Quotes that entered; the others were not finite, or out of range.
    pub quotes: usize,
    /// Root mean square of (model - mid) in vol, weighted as in the fit.
    pub residual_vol: f64,
    /// Robust scale of the residuals in the quotes' own errors; one is a fit within them.
    pub scale: f64,
    /// Share of quotes whose bid-ask holds the model's vol.
    pub inside: f64,
    /// Greatest distance of the model from a bid or ask that it misses, in vol.
    pub outside_most: f64,
    /// Curvature of the cost in (theta, rho, psi) at the end: the inverse of their covariance in
    /// units of `scale`^2, as its lower triangle by rows.
    pub information: [f64; 6],
}

/// A surface that has passed its tests, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The surface.
    pub surface: Surface,
    /// One per slice of it.
    pub slices: Vec<SliceReport>,
    /// What the tests on the grid found.
    pub arbitrage: ArbitrageReport,
    /// Steps of all searches.
    pub steps: usize,
    /// The expiries alone would not have made a surface: the conditions bind somewhere.
    pub constrained: bool,
}

/// Sums over the quotes of one slice.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    cost: f64,
    gradient: [f64; OWN],
    information: [f64; 6],
}

/// One slice's lanes in the columns, and its scale.
#[derive(Debug, Clone, Copy)]
struct Block {
    from: usize,
    to: usize,
    quotes: usize,
    expiry: usize,
    key: i64,
    years: f64,
    scale: f64,
}

/// Fits surfaces one after the other, each from where the last one ended.
#[derive(Debug, Clone)]
pub struct Calibrator {
    settings: CalibrationSettings,
    /// The last fits of expiries alone: key, years, slice.
    last: Vec<(i64, f64, Slice)>,
    log_moneyness: Vec<f64>,
    variance: Vec<f64>,
    /// One over the error of the variance; zero in padding.
    precision: Vec<f64>,
    half_width: Vec<f64>,
    blocks: Vec<Block>,
    map: Map,
    trial: Map,
    equations: NormalEquations,
    rows: [Vec<f64>; 3],
    sizes: Vec<f64>,
}

impl Calibrator {
    /// Without a past.
    #[must_use]
    pub fn new(settings: CalibrationSettings) -> Self {
        Self {
            settings,
            last: Vec::new(),
            log_moneyness: Vec::new(),
            variance: Vec::new(),
            precision: Vec::new(),
            half_width: Vec::new(),
            blocks: Vec::new(),
            map: Map::default(),
            trial: Map::default(),
            equations: NormalEquations::default(),
            rows: Default::default(),
            sizes: Vec::new(),
        }
    }

    /// Forgets the last fit: the next one starts cold.
    pub fn forget(&mut self) {
        self.last.clear();
    }

    /// Starts the next fit at a surface from an earlier life.
    pub fn resume(&mut self, keys: &[i64], surface: &Surface) {
        let slices = surface.years().iter().zip(surface.slices());
        self.last =
            keys.iter().zip(slices).map(|(&key, (&years, &own))| (key, years, own)).collect();
    }

    /// Fits all expiries, which come by rising years. What comes back has passed its tests.
    pub fn fit(&mut self, expiries: &[SliceQuotes<'_>]) -> Result<Fitted, NoSurface> {
        self.load(expiries)?;
        if self.blocks.is_empty() {
            return Err(NoSurface::Empty);
        }
        let all = 0..self.blocks.len();
        let mut steps = 0;
        let mut alone = Vec::with_capacity(all.len());
        for index in all.clone() {
            let known = self.known(&self.blocks[index]);
            let start = known.unwrap_or_else(|| self.guess(index));
            self.map.start_at(&[start]);
            steps += self.search(index..index + 1, ROUNDS);
            alone.push(self.map.slices[0]);
        }
        // Where conditions bind, the projection of the free fits is a better start than the last
        // surface: that one lies on edges and kinks, along which steps are short.
        let mut constrained = !self.map.start_at(&alone);
        if constrained {
            steps += self.search(all, ROUNDS);
            constrained = self.map.at_an_edge();
        }
        let fitted = self.finish(steps, constrained)?;
        self.last.clear();
        for (block, slice) in self.blocks.iter().zip(alone) {
            self.last.push((block.key, block.years, slice));
        }
        Ok(fitted)
    }

    /// Sorted, checked, padded columns.
    fn load(&mut self, expiries: &[SliceQuotes<'_>]) -> Result<(), NoSurface> {
        self.blocks.clear();
        let columns = [
            &mut self.log_moneyness,
            &mut self.variance,
            &mut self.precision,
            &mut self.half_width,
        ];
        columns.into_iter().for_each(Vec::clear);
        let mut last = 0.0;
        let mut lanes: Vec<[f64; 3]> = Vec::new();
        for (index, own) in expiries.iter().enumerate() {
            if !(own.years.is_finite() && own.years > last) {
                return Err(NoSurface::BadYears { index });
            }
            last = own.years;
            let count = own.vol.len();
            if own.log_moneyness.len() != count || own.half_width.len() != count {
                return Err(NoSurface::LengthMismatch { index });
            }
            lanes.clear();
            for lane in 0..count {
                let (k, vol, half) = (own.log_moneyness[lane], own.vol[lane], own.half_width[lane]);
                let variance = vol * vol * own.years;
                let usable = k.abs() <= LOG_MONEYNESS_MOST
                    && vol > 0.0
                    && (VARIANCE_LEAST..=VARIANCE_MOST).contains(&variance)
                    && (0.0..1e6).contains(&half);
                if usable {
                    lanes.push([k, vol, half]);
                }
            }
            if lanes.len() < self.settings.min_quotes.max(OWN + 1) {
                continue;
            }
            lanes.sort_unstable_by(|a, b| {
                let by = |at: usize| a[at].total_cmp(&b[at]);
                by(0).then_with(|| by(1)).then_with(|| by(2))
            });
            let from = self.variance.len();
            for &[k, vol, half] in &lanes {
                let error = libm::hypot(HALF_SPREAD_TO_DEVIATION * half, self.settings.model_error);
                self.log_moneyness.push(k);
                self.variance.push(vol * vol * own.years);
                self.precision.push(1.0 / (2.0 * vol * own.years * error));
                self.half_width.push(half);
            }
            let to = from + lanes.len().next_multiple_of(GROUP);
            self.log_moneyness.resize(to, 0.0);
            self.variance.resize(to, 0.0);
            self.precision.resize(to, 0.0);
            self.half_width.resize(to, 0.0);
            self.blocks.push(Block {
                from,
                to,
                quotes: lanes.len(),
                expiry: index,
                key: own.key,
                years: own.years,
                scale: 1.0,
            });
        }
        Ok(())
    }

    /// The last fit's slice of an expiry, with its variance at today's time.
    fn known(&self, block: &Block) -> Option<Slice> {
        let (_, years, slice) = self.last.iter().find(|(key, ..)| *key == block.key)?;
        Some(Slice { theta: slice.theta * block.years / years, ..*slice })
    }

    /// A start from the parabola of total variance through the quotes near the money.
    fn guess(&self, index: usize) -> Slice {
        let block = self.blocks[index];
        let lanes = block.from..block.from + block.quotes;
        let (k, w) = (&self.log_moneyness[lanes.clone()], &self.variance[lanes.clone()]);
        let nearest = (0..block.quotes).min_by(|&a, &b| k[a].abs().total_cmp(&k[b].abs()));
        let theta = w[nearest.expect("a block has quotes")];
        let mut sums = NormalEquations::default();
        sums.reset(3);
        let reach = 3.0 * theta.sqrt();
        for (lane, &own) in k.iter().enumerate() {
            let x = own / reach;
            if x.abs() <= 1.0 {
                let weight = self.precision[block.from + lane];
                let row = [weight, weight * x, weight * x * x];
                sums.add_outer(&row, &row);
                let left = weight * w[lane] / theta;
                sums.gradient.iter_mut().zip(row).for_each(|(to, from)| *to -= left * from);
            }
        }
        let fallback = Slice { theta, rho: -0.3, psi: 0.5 * Slice::psi_limit(theta, -0.3) };
        if !sums.solve(1e-9) {
            return fallback;
        }
        let [level, tilt, bend] = [0, 1, 2].map(|at| sums.step[at] * theta);
        let (tilt, bend) = (tilt / reach, 2.0 * bend / (reach * reach));
        let square = 2.0 * level * bend + tilt * tilt;
        if !(level > 0.2 * theta && level < 5.0 * theta && square > 0.0) {
            return fallback;
        }
        let rho = (tilt / square.sqrt()).clamp(-0.95, 0.95);
        let most = 0.95 * Slice::psi_limit(level, rho);
        Slice { theta: level, rho, psi: square.sqrt().min(most) }
    }

    /// Lowers the cost of some blocks from where the map stands; answers the steps tried.
    fn search(&mut self, blocks: std::ops::Range<usize>, rounds: usize) -> usize {
        let mut steps = 0;
        for round in 0..rounds {
            let moved = self.rescale(blocks.clone());
            if round > 0 && moved < SCALE_SETTLED {
                break;
            }
            steps += self.descend(blocks.clone());
        }
        steps
    }

    /// Robust scale of each block at the map's slices; answers the largest relative change.
    fn rescale(&mut self, blocks: std::ops::Range<usize>) -> f64 {
        let mut moved: f64 = 0.0;
        for (at, index) in blocks.enumerate() {
            let block = self.blocks[index];
            let slice = self.map.slices[at];
            self.sizes.clear();
            for lane in block.from..block.from + block.quotes {
                let off = slice.total_variance(self.log_moneyness[lane]) - self.variance[lane];
                self.sizes.push((off * self.precision[lane]).abs());
            }
            let middle = self.sizes.len() / 2;
            let median = *self.sizes.select_nth_unstable_by(middle, f64::total_cmp).1;
            let scale = (1.4826 * median).max(1.0);
            moved = moved.max((scale / block.scale - 1.0).abs());
            self.blocks[index].scale = scale;
        }
        moved
    }

    /// One search at fixed scales.
    fn descend(&mut self, blocks: std::ops::Range<usize>) -> usize {
        let mut damping = DAMPING_FIRST;
        let mut cost = self.build(blocks.clone());
        let mut steps = 0;
        let mut built = true;
        while steps < self.settings.max_steps && damping < DAMPING_MOST {
            steps += 1;
            if !built {
                self.build(blocks.clone());
                built = true;
            }
            if !self.equations.solve(damping) {
                damping *= 10.0;
                continue;
            }
            self.trial.point.clear();
            let mut moved = false;
            for (at, (&own, step)) in self.map.point.iter().zip(&self.equations.step).enumerate() {
                let (least, most) = bounds(at);
                let to = (own + step).clamp(least, most);
                moved |= to != own;
                self.trial.point.push(to);
            }
            if !moved {
                break;
            }
            self.trial.update();
            let reached = self.cost(blocks.clone(), &self.trial.slices);
            if reached < cost {
                std::mem::swap(&mut self.map, &mut self.trial);
                let settled = cost - reached <= SETTLED * cost;
                cost = reached;
                damping = (damping * 0.2).max(DAMPING_LEAST);
                built = false;
                if settled {
                    break;
                }
            } else {
                damping *= 5.0;
            }
        }
        steps
    }

    fn cost(&self, blocks: std::ops::Range<usize>, slices: &[Slice]) -> f64 {
        let pairs = self.blocks[blocks].iter().zip(slices);
        pairs.map(|(block, slice)| self.sums(block, slice).cost).sum()
    }

    /// Cost, gradient and curvature in the coordinates of the box, at the map's point.
    fn build(&mut self, blocks: std::ops::Range<usize>) -> f64 {
        let width = self.map.point.len();
        self.equations.reset(width);
        let mut cost = 0.0;
        for (at, index) in blocks.enumerate() {
            let sums = self.sums(&self.blocks[index], &self.map.slices[at]);
            cost += sums.cost;
            let by_theta = &self.map.by_theta[at * width..(at + 1) * width];
            let by_psi = &self.map.by_psi[at * width..(at + 1) * width];
            let rho = OWN * at;
            let [of_theta, of_rho, of_psi] = sums.gradient;
            for column in 0..width {
                self.equations.gradient[column] +=
                    of_theta * by_theta[column] + of_psi * by_psi[column];
            }
            self.equations.gradient[rho] += of_rho;
            let [tt, tr, rr, tp, rp, pp] = sums.information;
            for (row, [of_theta, of_rho, of_psi]) in
                self.rows.iter_mut().zip([[tt, tr, tp], [tr, rr, rp], [tp, rp, pp]])
            {
                row.clear();
                let both = by_theta.iter().zip(by_psi);
                row.extend(both.map(|(theta, psi)| of_theta * theta + of_psi * psi));
                row[rho] += of_rho;
            }
            self.equations.add_outer(by_theta, &self.rows[0]);
            self.equations.add_outer(by_psi, &self.rows[2]);
            let lower = &mut self.equations.matrix;
            for (column, own) in self.rows[1].iter().enumerate().take(rho + 1) {
                lower[rho * width + column] += own;
            }
        }
        for (at, &own) in self.map.point.iter().enumerate() {
            let (least, most) = bounds(at);
            let gradient = self.equations.gradient[at];
            self.equations.held[at] =
                (own <= least && gradient > 0.0) || (own >= most && gradient < 0.0);
        }
        cost
    }

    /// Loss and derivatives of one slice, lane-wise in groups, added in a fixed order.
    fn sums(&self, block: &Block, slice: &Slice) -> Sums {
        let over_scale = 1.0 / block.scale;
        let over_cutoff = 1.0 / (self.settings.cutoff * self.settings.cutoff);
        let mut lanes = [[0.0; GROUP]; 10];
        let k = self.log_moneyness[block.from..block.to].as_chunks::<GROUP>().0;
        let w = self.variance[block.from..block.to].as_chunks::<GROUP>().0;
        let p = self.precision[block.from..block.to].as_chunks::<GROUP>().0;
        for ((k, w), p) in k.iter().zip(w).zip(p) {
            for lane in 0..GROUP {
                let (value, by) = slice.gradient(k[lane]);
                let precision = p[lane] * over_scale;
                let residual = (value - w[lane]) * precision;
                let square = residual * residual;
                let kept = 1.0 / (1.0 + square * over_cutoff);
                let weight = kept * kept * precision;
                let [a, b, c] = by.map(|own| own * precision);
                lanes[0][lane] += square * kept;
                let pull = weight * residual;
                lanes[1][lane] += by[0] * pull;
                lanes[2][lane] += by[1] * pull;
                lanes[3][lane] += by[2] * pull;
                let [wa, wb, wc] = by.map(|own| own * weight);
                lanes[4][lane] += wa * a;
                lanes[5][lane] += wa * b;
                lanes[6][lane] += wb * b;
                lanes[7][lane] += wa * c;
                lanes[8][lane] += wb * c;
                lanes[9][lane] += wc * c;
            }
        }
        let [cost, a, b, c, aa, ab, bb, ac, bc, cc] = lanes.map(|own| own.iter().sum::<f64>());
        Sums { cost: 0.5 * cost, gradient: [a, b, c], information: [aa, ab, bb, ac, bc, cc] }
    }

    /// Tests the surface and reports on its slices.
    fn finish(&self, steps: usize, constrained: bool) -> Result<Fitted, NoSurface> {
        let years = self.blocks.iter().map(|block| block.years).collect();
        let surface = Surface::new(years, self.map.slices.clone())?;
        let arbitrage = prove(&surface, Grid::default())?;
        let slices = self.blocks.iter().zip(surface.slices());
        let slices = slices.map(|(block, slice)| self.report(block, slice)).collect();
        Ok(Fitted { surface, slices, arbitrage, steps, constrained })
    }

    fn report(&self, block: &Block, slice: &Slice) -> SliceReport {
        let (mut weights, mut squares, mut inside) = (0.0, 0.0, 0.0);
        let mut outside_most: f64 = 0.0;
        let over_cutoff = 1.0 / (self.settings.cutoff * block.scale).powi(2);
        for lane in block.from..block.from + block.quotes {
            let model = slice.total_variance(self.log_moneyness[lane]);
            let off = (model / block.years).sqrt() - (self.variance[lane] / block.years).sqrt();
            let residual = (model - self.variance[lane]) * self.precision[lane];
            let kept = 1.0 / (1.0 + residual * residual * over_cutoff);
            let vol_precision = self.precision[lane] * (self.variance[lane] * block.years).sqrt();
            let weight = kept * kept * vol_precision * vol_precision;
            weights += weight;
            squares += weight * off * off;
            let outside = off.abs() - self.half_width[lane];
            inside += f64::from(u8::from(outside <= 0.0));
            outside_most = outside_most.max(outside);
        }
        SliceReport {
            expiry: block.expiry,
            key: block.key,
            quotes: block.quotes,
            residual_vol: (squares / weights).sqrt(),
            scale: block.scale,
            inside: inside / block.quotes as f64,
            outside_most,
            information: self.sums(block, slice).information,
        }
    }
}
