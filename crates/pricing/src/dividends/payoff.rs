//! What an option is worth at one date as a function of the spot there, and its expectation before.
//!
//! Exists as the common part of calls and puts with cash dividends. A payoff is a hinge (the part
//! that is a call or put, integrated in closed form) and a remainder sampled at Gauss-Legendre
//! nodes of ln(spot), placed so that kinks fall between panels. Expectations under geometric
//! Brownian motion are exact but for the quadrature, which converges exponentially. Derivatives by
//! spot come from the kernel; those by vol, rate and yield are carried along the nodes.
//! When to exercise is left to `backward` and `put`.

use crate::american::lane::{DENSITY_AT_ZERO, cdf, exp, gauss, ln};
use crate::american::scheme::gauss_legendre;
use crate::black::SpotContract;
use crate::lanes::{Kernel, dispatch};
use std::sync::OnceLock;

/// Nodes are summed side by side in rows of this length.
const LANES: usize = 8;
/// Largest panel, in rows.
const ROWS: usize = 64;
/// Nodes per standard deviation of the narrowest kernel that looks at them.
const NODES_PER_DEVIATION: f64 = 2.5;
/// Standard deviations at which normal tails are cut: a probability of 1e-12.
pub(super) const REACH: f64 = 7.0;

/// Rates of one contract; the strike is 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Market {
    pub rate: f64,
    pub dividend_yield: f64,
    pub vol: f64,
}

impl Market {
    pub fn of(contract: &SpotContract) -> Self {
        Self { rate: contract.rate, dividend_yield: contract.dividend_yield, vol: contract.vol }
    }
}

/// A value with its derivatives by spot (twice), vol, rate and yield.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Jet {
    pub value: f64,
    pub delta: f64,
    pub gamma: f64,
    pub vol: f64,
    pub rate: f64,
    pub dividend_yield: f64,
}

impl Jet {
    pub fn plus(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            delta: self.delta + other.delta,
            gamma: self.gamma + other.gamma,
            vol: self.vol + other.vol,
            rate: self.rate + other.rate,
            dividend_yield: self.dividend_yield + other.dividend_yield,
        }
    }
}

/// slope * spot - level, and how both change with rate and yield: (rate, yield).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub slope: f64,
    pub level: f64,
    pub slope_change: [f64; 2],
    pub level_change: [f64; 2],
}

impl Line {
    /// spot - strike with the strike at `level`.
    pub fn strike(level: f64) -> Self {
        Self { slope: 1.0, level, slope_change: [0.0; 2], level_change: [0.0; 2] }
    }

    /// The line's present value `years` earlier.
    pub fn discounted(&self, market: &Market, years: f64) -> Self {
        let (fade, discount) = (exp(-market.dividend_yield * years), exp(-market.rate * years));
        let [slope_rate, slope_yield] = self.slope_change;
        let [level_rate, level_yield] = self.level_change;
        Self {
            slope: self.slope * fade,
            level: self.level * discount,
            slope_change: [slope_rate * fade, (slope_yield - years * self.slope) * fade],
            level_change: [(level_rate - years * self.level) * discount, level_yield * discount],
        }
    }

    /// As a function of the spot before it drops by `cash`.
    pub fn before_drop(&self, cash: f64) -> Self {
        let mut line = *self;
        line.level += self.slope * cash;
        for (level, slope) in line.level_change.iter_mut().zip(self.slope_change) {
            *level += slope * cash;
        }
        line
    }

    /// Value and derivatives at a spot.
    pub fn at(&self, spot: f64) -> Jet {
        Jet {
            value: self.slope * spot - self.level,
            delta: self.slope,
            gamma: 0.0,
            vol: 0.0,
            rate: self.slope_change[0] * spot - self.level_change[0],
            dividend_yield: self.slope_change[1] * spot - self.level_change[1],
        }
    }
}

/// A payoff: max(line, 0) for calls or max(-line, 0) for puts, plus the sampled remainder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Payoff {
    pub is_call: bool,
    pub line: Line,
    log_spot: Vec<f64>,
    /// Remainder times quadrature weight, and its derivatives by vol, rate, yield.
    weight: Vec<f64>,
    weight_change: [Vec<f64>; 3],
}

/// Values and their changes by vol, rate and yield at many spots.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    pub value: Vec<f64>,
    pub change: [Vec<f64>; 3],
}

impl Columns {
    pub fn zeros(count: usize) -> Self {
        Self { value: vec![0.0; count], change: std::array::from_fn(|_| vec![0.0; count]) }
    }

    /// Adds `by` times a line.
    pub fn add_line(&mut self, line: &Line, by: f64, spots: &[f64]) {
        for (value, spot) in self.value.iter_mut().zip(spots) {
            *value += by * (line.slope * spot - line.level);
        }
        for parameter in 0..2 {
            let (slope, level) = (line.slope_change[parameter], line.level_change[parameter]);
            for (change, spot) in self.change[parameter + 1].iter_mut().zip(spots) {
                *change += by * (slope * spot - level);
            }
        }
    }
}

struct One<'a> {
    payoff: &'a Payoff,
    market: Market,
    years: f64,
    spot: f64,
}

impl Kernel for One<'_> {
    type Output = Jet;

    #[inline(always)]
    fn run(self) -> Jet {
        let Self { payoff, market, years, spot } = self;
        let hinge = payoff.hinge_expectation(&market, years, spot);
        if payoff.log_spot.is_empty() {
            hinge
        } else {
            payoff.remainder_expectation(&market, years, spot).plus(hinge)
        }
    }
}

struct Many<'a> {
    payoff: &'a Payoff,
    market: Market,
    years: f64,
    spots: &'a [f64],
}

impl Kernel for Many<'_> {
    type Output = Columns;

    #[inline(always)]
    fn run(self) -> Columns {
        let Self { payoff, market, years, spots } = self;
        let count = spots.len();
        let mut columns = Columns::zeros(count);
        let Columns { value, change: [by_vol, by_rate, by_yield] } = &mut columns;
        let (value, by_vol) = (&mut value[..count], &mut by_vol[..count]);
        let (by_rate, by_yield) = (&mut by_rate[..count], &mut by_yield[..count]);
        for n in 0..count {
            let jet = payoff.hinge_expectation(&market, years, spots[n]);
            value[n] = jet.value;
            by_vol[n] = jet.vol;
            by_rate[n] = jet.rate;
            by_yield[n] = jet.dividend_yield;
        }
        if !payoff.log_spot.is_empty() {
            for n in 0..count {
                let jet = payoff.remainder_expectation(&market, years, spots[n]);
                value[n] += jet.value;
                by_vol[n] += jet.vol;
                by_rate[n] += jet.rate;
                by_yield[n] += jet.dividend_yield;
            }
        }
        columns
    }
}

impl Payoff {
    /// A hinge without remainder.
    pub fn hinge(is_call: bool, line: Line) -> Self {
        Self {
            is_call,
            line,
            log_spot: Vec::new(),
            weight: Vec::new(),
            weight_change: [Vec::new(), Vec::new(), Vec::new()],
        }
    }

    /// Adds a panel of the remainder between two values of ln(spot). `deviation` is the standard
    /// deviation of the narrowest kernel; nothing is added to an empty range. `remainder` is asked
    /// for all spots of the panel at once.
    pub fn add_panel(
        &mut self,
        from: f64,
        to: f64,
        deviation: f64,
        remainder: impl FnOnce(&[f64]) -> Columns,
    ) {
        if !(to > from) {
            return;
        }
        let wanted = NODES_PER_DEVIATION * (to - from) / deviation / LANES as f64;
        let rows = (wanted.ceil() as usize).clamp(2, ROWS);
        let (points, weights) = rule(rows);
        let first = self.log_spot.len();
        self.log_spot.extend(points.iter().map(|point| from + (to - from) * point));
        let spots: Vec<f64> = self.log_spot[first..].iter().map(|x| exp(*x)).collect();
        let columns = remainder(&spots);
        let scale = to - from;
        let weighted = |list: &mut Vec<f64>, column: &[f64]| {
            list.extend(weights.iter().zip(column).map(|(weight, value)| weight * scale * value));
        };
        weighted(&mut self.weight, &columns.value);
        for (list, column) in self.weight_change.iter_mut().zip(&columns.change) {
            weighted(list, column);
        }
    }

    /// Present values `years` before the payoff at many spots then.
    pub fn expectations(&self, market: &Market, years: f64, spots: &[f64]) -> Columns {
        dispatch(Many { payoff: self, market: *market, years, spots })
    }

    /// Present value `years` before the payoff at a spot then.
    pub fn expectation(&self, market: &Market, years: f64, spot: f64) -> Jet {
        dispatch(One { payoff: self, market: *market, years, spot })
    }

    #[inline(always)]
    fn remainder_expectation(&self, market: &Market, years: f64, spot: f64) -> Jet {
        let Market { rate, dividend_yield, vol } = *market;
        let root = years.sqrt();
        let total_vol = vol * root;
        let inverse_vol = 1.0 / total_vol;
        let centre = ln(spot) + (rate - dividend_yield) * years - 0.5 * total_vol * total_vol;
        // sums of the density times: weight, weight z, weight z^2, and the weight's changes
        let mut lanes = [[0.0; LANES]; 6];
        let rows = self.log_spot.chunks_exact(LANES).zip(self.weight.chunks_exact(LANES));
        let [by_vol, by_rate, by_yield] = &self.weight_change;
        let changes = by_vol
            .chunks_exact(LANES)
            .zip(by_rate.chunks_exact(LANES).zip(by_yield.chunks_exact(LANES)));
        for ((log_spot, weight), (by_vol, (by_rate, by_yield))) in rows.zip(changes) {
            let mut density = [0.0; LANES];
            let mut z = [0.0; LANES];
            for lane in 0..LANES {
                z[lane] = (log_spot[lane] - centre) * inverse_vol;
                density[lane] = gauss(z[lane]);
            }
            for lane in 0..LANES {
                let mass = density[lane] * weight[lane];
                let first = mass * z[lane];
                lanes[0][lane] += mass;
                lanes[1][lane] += first;
                lanes[2][lane] = first.mul_add(z[lane], lanes[2][lane]);
                lanes[3][lane] = density[lane].mul_add(by_vol[lane], lanes[3][lane]);
                lanes[4][lane] = density[lane].mul_add(by_rate[lane], lanes[4][lane]);
                lanes[5][lane] = density[lane].mul_add(by_yield[lane], lanes[5][lane]);
            }
        }
        let [mass, first, second, by_vol, by_rate, by_yield] =
            lanes.map(|[a, b, c, d, e, f, g, h]| ((a + e) + (b + f)) + ((c + g) + (d + h)));
        let scale = exp(-rate * years) * DENSITY_AT_ZERO * inverse_vol;
        let curvature = second - mass;
        Jet {
            value: scale * mass,
            delta: scale * first * inverse_vol / spot,
            gamma: scale * (curvature * inverse_vol - first) * inverse_vol / (spot * spot),
            vol: scale * (curvature / vol - first * root + by_vol),
            rate: scale * (first * root / vol - years * mass + by_rate),
            dividend_yield: scale * (by_yield - first * root / vol),
        }
    }

    /// The line's level is positive: strikes and dividends are.
    #[inline(always)]
    fn hinge_expectation(&self, market: &Market, years: f64, spot: f64) -> Jet {
        let Market { rate, dividend_yield, vol } = *market;
        let Line { slope, level, slope_change, level_change } = self.line;
        let root = years.sqrt();
        let total_vol = vol * root;
        let carry = (rate - dividend_yield) * years - 0.5 * total_vol * total_vol;
        let sign = if self.is_call { 1.0 } else { -1.0 };
        let down = (ln(spot) + (carry - ln(level / slope))) / total_vol;
        let up = down + total_vol;
        let (gauss_down, gauss_up) = (gauss(down), gauss(up));
        let above_down = cdf(sign * down, gauss_down);
        let above_up = cdf(sign * up, gauss_up);
        let (fade, discount) = (exp(-dividend_yield * years), exp(-rate * years));
        let (asset, cash) = (fade * above_up, discount * above_down);
        let density = slope * fade * DENSITY_AT_ZERO * gauss_up;
        let by_rate = slope_change[0] * spot * asset - level_change[0] * cash;
        let by_yield = slope_change[1] * spot * asset - level_change[1] * cash;
        Jet {
            value: sign * (slope * spot * asset - level * cash),
            delta: sign * slope * asset,
            gamma: density / (spot * total_vol),
            vol: spot * density * root,
            rate: sign * (years * level * cash + by_rate),
            dividend_yield: sign * (by_yield - years * slope * spot * asset),
        }
    }
}

/// Gauss-Legendre points and weights on [0, 1] with `rows * LANES` points, made once.
fn rule(rows: usize) -> &'static (Vec<f64>, Vec<f64>) {
    static RULES: [OnceLock<(Vec<f64>, Vec<f64>)>; ROWS + 1] =
        [const { OnceLock::new() }; ROWS + 1];
    RULES[rows].get_or_init(|| gauss_legendre(rows * LANES))
}
