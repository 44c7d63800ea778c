//! Fits the five parameters to the vols of a whole surface.
//!
//! Exists so that a model of how the smile moves can be read off quotes. The residual of a quote is
//! (model price - its price) / (its vega * its half width): the difference of vols in half widths,
//! to first order, and defined wherever the search wanders. Prices and their slopes in the
//! parameters come from one cosine series per expiry (`cos`, `transform`; analytic slopes as in
//! Cui, del Bano Rollin, Germano, European Journal of Operational Research 263, 2017). The search
//! is Levenberg and Marquardt's inside a box, on logarithms of the positive parameters and the area
//! tangent of the correlation, from a start read off the smiles (`start`). Neither the condition of
//! Feller nor robustness against wild quotes is imposed: the first is reported, the second is the
//! caller's (`smile`, `residual_field`). The same quotes give the same bits on every machine.

mod start;
#[cfg(test)]
mod tests;

use super::cos::{Series, WITH_SLOPES};
use super::{Heston, HestonRefusal};
use crate::black::{EuropeanGreeks, EuropeanInputs};
use crate::normal_equations::NormalEquations;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Expiries and quotes of one surface at most.
const EXPIRIES_MAX: usize = 256;
const QUOTES_MAX: usize = 20_000;
/// Moments tried for the range of a series: fewer than a chain's, for it is done at every step.
const MOMENTS: u32 = 20;
/// A half width must be worth this share of the forward: the series is exact to some 1e-11.
const WORTH_LEAST: f64 = 1e-8;
/// Damping of the search.
const DAMPING_FIRST: f64 = 1e-3;
const DAMPING_LEAST: f64 = 1e-12;
const DAMPING_MOST: f64 = 1e8;
/// A step is the last if it promises to lower the cost by no more than this share of it ...
const FALL_SETTLED: f64 = 1e-10;
/// ... and of this per quote, which is a billionth of a half width, squared.
const COST_SETTLED: f64 = 1e-18;

/// One expiry's quotes, one lane per quote, in any order.
#[derive(Debug, Clone, Copy)]
pub struct ExpiryQuotes<'a> {
    /// Forward price: 1e-9 to 1e12.
    pub forward: f64,
    /// Years to expiry: 1e-3 to 30.
    pub years: f64,
    /// Strikes.
    pub strike: &'a [f64],
    /// Annual vol of each mid (Black, European): vols need no discount.
    pub vol: &'a [f64],
    /// Half the bid-ask spread, in vol: one over it is the quote's weight.
    pub half_width: &'a [f64],
}

/// What shapes a fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HestonSettings {
    /// Most steps of the search.
    pub max_steps: usize,
    /// Fewest usable quotes; never fewer than six.
    pub min_quotes: usize,
    /// Where the search starts, such as the last fit; none is a start read off the quotes.
    pub start: Option<Heston>,
}

impl Default for HestonSettings {
    fn default() -> Self {
        Self { max_steps: 100, min_quotes: 8, start: None }
    }
}

/// How the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No step promises to lower the cost.
    Converged,
    /// The steps ran out.
    StepLimit,
    /// Steps promise to lower the cost, but none does: an edge of what the series can price.
    Stalled,
}

/// Why a quote was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum QuoteRefusal {
    /// NaN or infinite strike, vol or half width.
    #[error("a number is not finite; check the quote")]
    NotFinite,
    /// Zero or negative strike, vol or half width.
    #[error("strike, vol or half width is not positive; check the quote")]
    NotPositive,
    /// A vol above 400 %, or a strike from which nothing can be read.
    #[error("vol or strike is beyond what is computed with; check its unit")]
    TooExtreme,
    /// The half width is worth less than 1e-8 of the forward: prices can't tell vols apart.
    #[error("the quote's half width is worth too little; it is too far in a wing")]
    WorthTooLittle,
    /// Forward or years are not numbers that are computed with.
    #[error("the expiry's forward or years are out of range; check them")]
    Expiry,
}

/// A quote that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedQuote {
    /// Its expiry, as given.
    pub expiry: usize,
    /// Its lane.
    pub lane: usize,
    /// Why.
    pub reason: QuoteRefusal,
}

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, Error, Serialize, Deserialize)]
pub enum NotCalibrated {
    /// Columns of an expiry differ in length.
    #[error("columns of expiry {expiry} differ in length")]
    LengthMismatch {
        /// Its position.
        expiry: usize,
    },
    /// More than one call computes.
    #[error("more than 256 expiries or 20000 quotes; leave some out")]
    TooMany,
    /// Too few quotes can be used.
    #[error("{usable} usable quotes, {needed} are needed; see why the others were refused")]
    NotEnoughQuotes {
        /// How many can be used.
        usable: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The start that was given is outside of what is computed with.
    #[error("the given start can't be used: {0}")]
    Start(HestonRefusal),
    /// No start can be priced.
    #[error("no start can be priced; check years and vols")]
    NotSettled,
}

/// One standard error each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of `Heston`")]
pub struct StandardErrors {
    pub variance: f64,
    pub reversion: f64,
    pub mean: f64,
    pub vol_of_variance: f64,
    pub correlation: f64,
}

/// Parameters and how well they fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// The parameters.
    pub heston: Heston,
    /// How the search ended.
    pub verdict: Verdict,
    /// Steps tried.
    pub steps: usize,
    /// Quotes that entered.
    pub quotes: usize,
    /// The others, by expiry and lane.
    pub refused: Vec<RefusedQuote>,
    /// Root mean square of the residuals in half widths; one is a fit within typical quotes.
    pub rms_half_widths: f64,
    /// Root mean square of model less mid, in vol.
    pub rms_vol: f64,
    /// Whether the variance stays positive: a fact about the fit, not a condition on it.
    pub satisfies_feller: bool,
    /// Whether a parameter ended at an edge of what is computed with.
    pub is_at_edge: bool,
    /// From the curvature of the cost and the size of its residuals, as if these were independent
    /// and half widths in the right proportions. None at an edge, or where the quotes leave a
    /// combination of parameters open.
    pub standard_errors: Option<StandardErrors>,
}

/// Least and most of each coordinate: those of `Heston`.
const BOX: [(f64, f64); 5] = [(1e-6, 4.0), (1e-3, 50.0), (1e-6, 4.0), (1e-3, 5.0), (-0.999, 0.999)];

/// Coordinates of the search: logarithms, and the area tangent of the correlation.
fn coordinates(heston: &Heston) -> [f64; 5] {
    [
        libm::log(heston.variance),
        libm::log(heston.reversion),
        libm::log(heston.mean),
        libm::log(heston.vol_of_variance),
        libm::atanh(heston.correlation),
    ]
}

fn edge(coordinate: usize, parameter: f64) -> f64 {
    if coordinate == 4 { libm::atanh(parameter) } else { libm::log(parameter) }
}

/// The parameters at a point; rounding does not take them out of the box.
fn parameters(point: &[f64; 5]) -> Heston {
    let of = |coordinate: usize| {
        let own = point[coordinate];
        let value = if coordinate == 4 { libm::tanh(own) } else { libm::exp(own) };
        let (least, most) = BOX[coordinate];
        value.clamp(least, most)
    };
    Heston {
        variance: of(0),
        reversion: of(1),
        mean: of(2),
        vol_of_variance: of(3),
        correlation: of(4),
    }
}

/// How each parameter moves with its coordinate.
fn by_coordinate(heston: &Heston) -> [f64; 5] {
    let rho = heston.correlation;
    let own = [heston.variance, heston.reversion, heston.mean, heston.vol_of_variance];
    [own[0], own[1], own[2], own[3], 1.0 - rho * rho]
}

/// One expiry's usable quotes in the columns.
#[derive(Debug, Clone, Copy)]
struct Block {
    from: usize,
    to: usize,
    years: f64,
}

/// Usable quotes in columns, in units of their forwards, with the room to price them.
#[derive(Debug)]
struct Search {
    blocks: Vec<Block>,
    log_strike: Vec<f64>,
    vol: Vec<f64>,
    half_width: Vec<f64>,
    /// Put prices of the mids.
    price: Vec<f64>,
    /// One over what a half width is worth.
    weight: Vec<f64>,
    refused: Vec<RefusedQuote>,
    with_slopes: Series<WITH_SLOPES>,
    alone: Series<1>,
    /// Model prices and their slopes at the last point.
    columns: [Vec<f64>; WITH_SLOPES],
}

/// Fits a surface.
///
/// Every quote counts by its half width; those that can't be used are refused one by one. Errors if
/// columns differ in length, are too many, or too few of them can be used.
pub fn calibrate(
    expiries: &[ExpiryQuotes<'_>],
    settings: &HestonSettings,
) -> Result<Calibrated, NotCalibrated> {
    let mut search = Search::load(expiries)?;
    let (usable, needed) = (search.vol.len(), settings.min_quotes.max(6));
    if usable < needed {
        return Err(NotCalibrated::NotEnoughQuotes { usable, needed });
    }
    let start = match settings.start {
        Some(start) => {
            start.check(1.0, 1.0).map_err(NotCalibrated::Start)?;
            start
        }
        None => search.start().ok_or(NotCalibrated::NotSettled)?,
    };
    search.descend(start, settings.max_steps).ok_or(NotCalibrated::NotSettled)
}

impl Search {
    /// Checks every quote and turns the usable ones into prices and weights.
    fn load(expiries: &[ExpiryQuotes<'_>]) -> Result<Self, NotCalibrated> {
        let mut total = 0usize;
        for (expiry, own) in expiries.iter().enumerate() {
            if own.vol.len() != own.strike.len() || own.half_width.len() != own.strike.len() {
                return Err(NotCalibrated::LengthMismatch { expiry });
            }
            total = total.saturating_add(own.strike.len());
        }
        if total > QUOTES_MAX || expiries.len() > EXPIRIES_MAX {
            return Err(NotCalibrated::TooMany);
        }
        let mut search = Self {
            blocks: Vec::with_capacity(expiries.len()),
            log_strike: Vec::with_capacity(total),
            vol: Vec::with_capacity(total),
            half_width: Vec::with_capacity(total),
            price: Vec::with_capacity(total),
            weight: Vec::with_capacity(total),
            refused: Vec::new(),
            with_slopes: Series::new(),
            alone: Series::new(),
            columns: Default::default(),
        };
        for (expiry, own) in expiries.iter().enumerate() {
            search.load_expiry(expiry, own);
        }
        let usable = search.vol.len();
        search.columns.iter_mut().for_each(|column| column.resize(usable, 0.0));
        Ok(search)
    }

    fn load_expiry(&mut self, expiry: usize, quotes: &ExpiryQuotes<'_>) {
        let lanes = quotes.strike.len();
        let is_sound =
            (1e-9..=1e12).contains(&quotes.forward) && (1e-3..=30.0).contains(&quotes.years);
        let ratio: Vec<f64> = quotes.strike.iter().map(|strike| strike / quotes.forward).collect();
        let mut greeks = EuropeanGreeks::default();
        let inputs = EuropeanInputs {
            forward: &vec![1.0; lanes],
            strike: &ratio,
            years: &vec![quotes.years; lanes],
            vol: quotes.vol,
            discount: &vec![1.0; lanes],
            is_call: &vec![false; lanes],
        };
        greeks.fill(&inputs).expect("columns of one length");
        let from = self.vol.len();
        for (lane, &ratio) in ratio.iter().enumerate() {
            let (vol, half_width) = (quotes.vol[lane], quotes.half_width[lane]);
            let worth = greeks.vega[lane] * half_width;
            match verdict_of(is_sound, quotes.strike[lane], ratio, vol, half_width, worth) {
                Some(reason) => self.refused.push(RefusedQuote { expiry, lane, reason }),
                None => {
                    self.log_strike.push(libm::log(ratio));
                    self.vol.push(vol);
                    self.half_width.push(half_width);
                    self.price.push(greeks.price[lane]);
                    self.weight.push(1.0 / worth);
                }
            }
        }
        let to = self.vol.len();
        if to > from {
            self.blocks.push(Block { from, to, years: quotes.years });
        }
    }

    /// Half the sum of squared residuals of every `stride`th expiry; none where the series does not
    /// settle.
    fn cost(&mut self, heston: &Heston, stride: usize) -> Option<f64> {
        let mut cost = 0.0;
        for block in self.blocks.iter().step_by(stride) {
            self.alone.fill(heston, block.years, MOMENTS).ok()?;
            let lanes = block.from..block.to;
            let out = &mut self.columns[0][lanes.clone()];
            self.alone.puts(&self.log_strike[lanes.clone()], [out]);
            cost += self.cost_of_columns(lanes);
        }
        Some(cost)
    }

    /// The same of all expiries, leaving prices and slopes in the columns.
    fn cost_and_slopes(&mut self, heston: &Heston) -> Option<f64> {
        for block in &self.blocks {
            self.with_slopes.fill(heston, block.years, MOMENTS).ok()?;
            let lanes = block.from..block.to;
            let out = self.columns.each_mut().map(|column| &mut column[lanes.clone()]);
            self.with_slopes.puts(&self.log_strike[lanes.clone()], out);
        }
        Some(self.cost_of_columns(0..self.vol.len()))
    }

    fn cost_of_columns(&self, lanes: std::ops::Range<usize>) -> f64 {
        let model = self.columns[0][lanes.clone()].iter();
        let quoted = self.price[lanes.clone()].iter().zip(&self.weight[lanes]);
        let off = model.zip(quoted).map(|(model, (price, weight))| (model - price) * weight);
        off.map(|off| 0.5 * off * off).sum()
    }

    /// Gradient and curvature in the coordinates at a point, from the columns.
    fn build(&self, equations: &mut NormalEquations, point: &[f64; 5]) {
        equations.reset(5);
        let by = by_coordinate(&parameters(point));
        for (lane, weight) in self.weight.iter().enumerate() {
            let residual = (self.columns[0][lane] - self.price[lane]) * weight;
            let mut row = [0.0; 5];
            for ((own, by), column) in row.iter_mut().zip(by).zip(&self.columns[1..]) {
                *own = column[lane] * by * weight;
            }
            equations.add_outer(&row, &row);
            equations.gradient.iter_mut().zip(row).for_each(|(to, own)| *to += own * residual);
        }
        for (at, own) in point.iter().enumerate() {
            let (least, most) = (edge(at, BOX[at].0), edge(at, BOX[at].1));
            let gradient = equations.gradient[at];
            equations.held[at] =
                (*own <= least && gradient > 0.0) || (*own >= most && gradient < 0.0);
        }
    }

    fn descend(&mut self, start: Heston, max_steps: usize) -> Option<Calibrated> {
        let mut point = coordinates(&start);
        let mut cost = self.cost_and_slopes(&parameters(&point))?;
        let quotes = self.vol.len() as f64;
        let mut equations = NormalEquations::default();
        self.build(&mut equations, &point);
        let mut damping = DAMPING_FIRST;
        let mut steps = 0;
        let mut verdict = Verdict::StepLimit;
        while steps < max_steps {
            steps += 1;
            if damping > DAMPING_MOST {
                verdict = Verdict::Stalled;
                break;
            }
            if !equations.solve(damping) {
                damping *= 10.0;
                continue;
            }
            let mut trial = point;
            for (at, own) in trial.iter_mut().enumerate() {
                let (least, most) = (edge(at, BOX[at].0), edge(at, BOX[at].1));
                *own = (*own + equations.step[at]).clamp(least, most);
            }
            let slope = equations.gradient.iter().zip(&equations.step);
            let promised: f64 = slope.map(|(gradient, step)| -0.5 * gradient * step).sum();
            let is_last = promised <= FALL_SETTLED * cost + COST_SETTLED * quotes;
            match self.cost_and_slopes(&parameters(&trial)) {
                Some(reached) if reached < cost => {
                    point = trial;
                    cost = reached;
                    damping = (damping * 0.1).max(DAMPING_LEAST);
                    self.build(&mut equations, &point);
                }
                _ => damping *= 8.0,
            }
            // Damping makes steps small as well: only a step that it does not shape says anything.
            if is_last && damping <= 1.0 {
                verdict = Verdict::Converged;
                break;
            }
        }
        let heston = parameters(&point);
        // The columns hold the last trial, which may not have been taken.
        self.cost(&heston, 1)?;
        Some(self.report(&mut equations, heston, cost, steps, verdict))
    }

    fn report(
        &mut self,
        equations: &mut NormalEquations,
        heston: Heston,
        cost: f64,
        steps: usize,
        verdict: Verdict,
    ) -> Calibrated {
        let quotes = self.vol.len();
        let point = coordinates(&heston);
        let is_at_edge = (0..5).any(|at| {
            let (least, most) = (edge(at, BOX[at].0), edge(at, BOX[at].1));
            // A logarithm and back may have rounded it off the edge.
            point[at] <= least + 1e-9 || point[at] >= most - 1e-9
        });
        let lanes = self.columns[0].iter().zip(&self.price).zip(&self.weight);
        let off = lanes.zip(&self.half_width).map(|(((model, price), weight), half_width)| {
            ((model - price) * weight * half_width).powi(2)
        });
        let rms_vol = (off.sum::<f64>() / quotes as f64).sqrt();
        let standard_errors =
            if is_at_edge { None } else { errors(equations, &heston, cost, quotes) };
        Calibrated {
            heston,
            verdict,
            steps,
            quotes,
            refused: std::mem::take(&mut self.refused),
            rms_half_widths: (2.0 * cost / quotes as f64).sqrt(),
            rms_vol,
            satisfies_feller: heston.satisfies_feller(),
            is_at_edge,
            standard_errors,
        }
    }
}

/// Why a quote can't be used, if it can't.
fn verdict_of(
    is_sound: bool,
    strike: f64,
    ratio: f64,
    vol: f64,
    half_width: f64,
    worth: f64,
) -> Option<QuoteRefusal> {
    if !is_sound {
        return Some(QuoteRefusal::Expiry);
    }
    if !(strike.is_finite() && vol.is_finite() && half_width.is_finite()) {
        return Some(QuoteRefusal::NotFinite);
    }
    if !(strike > 0.0 && vol > 0.0 && half_width > 0.0) {
        return Some(QuoteRefusal::NotPositive);
    }
    if vol > 4.0 || half_width > 4.0 || !(1e-6..=1e6).contains(&ratio) {
        return Some(QuoteRefusal::TooExtreme);
    }
    // A refused option's vega is not a number.
    if worth >= WORTH_LEAST { None } else { Some(QuoteRefusal::WorthTooLittle) }
}

/// Roots of the diagonal of the inverse curvature, times the size of a residual.
fn errors(
    equations: &mut NormalEquations,
    heston: &Heston,
    cost: f64,
    quotes: usize,
) -> Option<StandardErrors> {
    let scale = (2.0 * cost / (quotes - 5) as f64).sqrt();
    let by = by_coordinate(heston);
    let mut found = [0.0; 5];
    equations.held.fill(false);
    for (at, (found, by)) in found.iter_mut().zip(by).enumerate() {
        // A coordinate without weight would keep a step of zero.
        if equations.matrix[at * 5 + at] <= 0.0 {
            return None;
        }
        equations.gradient.fill(0.0);
        equations.gradient[at] = -1.0;
        if !equations.solve(0.0) {
            return None;
        }
        let square = equations.step[at];
        if !(square > 0.0 && square.is_finite()) {
            return None;
        }
        *found = scale * by * square.sqrt();
    }
    let [variance, reversion, mean, vol_of_variance, correlation] = found;
    Some(StandardErrors { variance, reversion, mean, vol_of_variance, correlation })
}
