//! Any option on one stock by finite differences: the method of last resort, with a stated error.
//!
//! Exists for regimes that the collocations leave out: exercise between two boundaries (yield <
//! rate < 0), and cash dividends together with a yield, a borrow fee or a negative rate. Second-
//! order differences of ln(spot), BDF2 in time after two implicit steps per period, exercise by
//! operator splitting (S. Ikonen and J. Toivanen, Applied Mathematics Letters 17 (2004)), four-
//! point interpolation at ex-dates, Richardson extrapolation of two grids. Strike 1; hundreds of
//! times slower than the rest.

use crate::american::lane::{exp, ln};
use crate::american::premium::Tick;

/// Intervals of ln(spot) and steps of time of the coarser grid.
const INTERVALS: usize = 400;
const STEPS: usize = 160;
/// Half width of the grid in standard deviations, and added to it.
const REACH: f64 = 6.0;
const MARGIN: f64 = 0.1;

/// An option with strike 1 and dividends as (years, cash), ascending.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub is_call: bool,
    pub american: bool,
    pub rate: f64,
    pub dividend_yield: f64,
    pub vol: f64,
    pub years: f64,
    pub drops: &'a [(f64, f64)],
}

/// Value, delta and gamma at a spot; None if they are not finite (no vol, no time).
pub(crate) fn value(problem: &Problem<'_>, spot: f64) -> Option<Tick> {
    let coarse = Grid::new(problem, spot, INTERVALS)?.solve(STEPS);
    let fine = Grid::new(problem, spot, 2 * INTERVALS)?.solve(2 * STEPS);
    let better = |fine: f64, coarse: f64| fine + (fine - coarse) / 3.0;
    let intrinsic = if problem.is_call { spot - 1.0 } else { 1.0 - spot };
    let exercised = problem.american && fine.value <= intrinsic;
    let tick = if exercised {
        Tick { value: intrinsic, delta: if problem.is_call { 1.0 } else { -1.0 }, gamma: 0.0 }
    } else {
        let value = better(fine.value, coarse.value);
        Tick {
            value: if problem.american { value.max(intrinsic) } else { value }.max(0.0),
            delta: better(fine.delta, coarse.delta),
            gamma: better(fine.gamma, coarse.gamma),
        }
    };
    [tick.value, tick.delta, tick.gamma].iter().all(|x| x.is_finite()).then_some(tick)
}

struct Grid<'a> {
    problem: &'a Problem<'a>,
    width: f64,
    spots: Vec<f64>,
    payoff: Vec<f64>,
    /// Index of the spot asked for.
    centre: usize,
}

impl<'a> Grid<'a> {
    fn new(problem: &'a Problem<'a>, spot: f64, intervals: usize) -> Option<Self> {
        let paid: f64 = problem.drops.iter().map(|drop| drop.1).sum();
        let drift = (problem.rate - problem.dividend_yield).abs() * problem.years;
        let half = REACH * problem.vol * problem.years.sqrt() + drift + MARGIN;
        let lowest = ln((spot - paid).max(0.2 * spot)) - half;
        let width = (ln(spot) + half - lowest) / intervals as f64;
        let centre = ((ln(spot) - lowest) / width).round() as usize;
        if width.is_nan()
            || width <= 0.0
            || width.is_infinite()
            || centre == 0
            || centre >= intervals
        {
            return None;
        }
        let spots: Vec<f64> =
            (0..=intervals).map(|n| spot * exp((n as f64 - centre as f64) * width)).collect();
        let sign = if problem.is_call { 1.0 } else { -1.0 };
        let payoff = spots.iter().map(|spot| (sign * (spot - 1.0)).max(0.0)).collect();
        Some(Self { problem, width, spots, payoff, centre })
    }

    fn solve(&self, steps: usize) -> Tick {
        let problem = self.problem;
        let mut value = self.smoothed_payoff();
        let mut from = 0.0;
        let ex_dates = problem.drops.iter().rev().map(|drop| (problem.years - drop.0, drop.1));
        for (to, cash) in ex_dates.chain([(problem.years, 0.0)]) {
            let share = steps as f64 * (to - from) / problem.years;
            self.march(&mut value, from, to, (share.ceil() as usize).max(8));
            if cash > 0.0 {
                value = self.before_drop(&value, to, cash);
            }
            from = to;
        }
        let (low, middle, high) =
            (value[self.centre - 1], value[self.centre], value[self.centre + 1]);
        let spot = self.spots[self.centre];
        let slope = (high - low) / (2.0 * self.width);
        let bend = (high - 2.0 * middle + low) / (self.width * self.width);
        Tick { value: middle, delta: slope / spot, gamma: (bend - slope) / (spot * spot) }
    }

    /// The payoff with its kink averaged over the cell that contains it.
    fn smoothed_payoff(&self) -> Vec<f64> {
        let half = 0.5 * self.width;
        self.spots
            .iter()
            .zip(&self.payoff)
            .map(|(spot, payoff)| {
                let x = ln(*spot);
                if x.abs() > half {
                    return *payoff;
                }
                let (low, high) =
                    if self.problem.is_call { (0.0, x + half) } else { (x - half, 0.0) };
                ((exp(high) - exp(low)) - (high - low)).abs() / self.width
            })
            .collect()
    }

    /// Value at the ends of the grid, `time` before expiry.
    fn ends(&self, time: f64) -> (f64, f64) {
        let Problem { is_call, american, rate, dividend_yield, years, drops, .. } = *self.problem;
        let now = years - time;
        let paid: f64 = drops
            .iter()
            .filter(|drop| drop.0 > now)
            .map(|drop| drop.1 * exp(-rate * (drop.0 - now)))
            .sum();
        let held =
            |spot: f64| exp(-rate * time) - (spot * exp(-dividend_yield * time) - paid).max(0.0);
        let (low, high) = (self.spots[0], self.spots[self.spots.len() - 1]);
        if is_call {
            let waits = -held(high);
            (0.0, if american { waits.max(high - 1.0) } else { waits.max(0.0) })
        } else {
            let waits = held(low);
            (if american { waits.max(1.0 - low) } else { waits.max(0.0) }, 0.0)
        }
    }

    fn march(&self, value: &mut Vec<f64>, from: f64, to: f64, steps: usize) {
        let Problem { american, rate, dividend_yield, vol, .. } = *self.problem;
        let count = value.len();
        let diffusion = 0.5 * vol * vol / (self.width * self.width);
        let drift = (rate - dividend_yield - 0.5 * vol * vol) / (2.0 * self.width);
        let (below, above) = (diffusion - drift, diffusion + drift);
        let middle = -2.0 * diffusion - rate;
        let time = |step: usize| {
            let share = step as f64 / steps as f64;
            from + (to - from) * share * share
        };
        let mut multiplier = vec![0.0; count];
        let mut previous = value.clone();
        let (mut right, mut upper) = (vec![0.0; count], vec![0.0; count]);
        for step in 0..steps {
            let length = time(step + 1) - time(step);
            // BDF2 with steps of changing length, two implicit ones first
            let (scale, now, before) = if step < 2 {
                (1.0 / length, 1.0 / length, 0.0)
            } else {
                let growth = length / (time(step) - time(step - 1));
                (
                    (1.0 + 2.0 * growth) / ((1.0 + growth) * length),
                    (1.0 + growth) / length,
                    growth * growth / ((1.0 + growth) * length),
                )
            };
            let (low, high) = self.ends(time(step + 1));
            // forward elimination of the tridiagonal system, then backward
            right[0] = low;
            upper[0] = 0.0;
            for n in 1..count - 1 {
                let pivot = 1.0 / (scale - middle + below * upper[n - 1]);
                upper[n] = -above * pivot;
                let known = now * value[n] - before * previous[n] + multiplier[n];
                right[n] = (known + below * right[n - 1]) * pivot;
            }
            right[count - 1] = high;
            for n in (1..count - 1).rev() {
                right[n] -= upper[n] * right[n + 1];
            }
            std::mem::swap(&mut previous, value);
            for n in 0..count {
                let free = right[n] - multiplier[n] / scale;
                value[n] = if american { free.max(self.payoff[n]) } else { right[n] };
                if american {
                    multiplier[n] = (multiplier[n] + scale * (value[n] - right[n])).max(0.0);
                }
            }
            multiplier[0] = 0.0;
            multiplier[count - 1] = 0.0;
        }
    }

    /// The value just before a drop, `time` before expiry.
    fn before_drop(&self, value: &[f64], time: f64, cash: f64) -> Vec<f64> {
        let Problem { is_call, american, rate, .. } = *self.problem;
        let first = ln(self.spots[0]);
        let worthless = match (is_call, american) {
            (true, _) => 0.0,
            (false, true) => 1.0_f64.max(exp(-rate * time)),
            (false, false) => exp(-rate * time),
        };
        self.spots
            .iter()
            .zip(&self.payoff)
            .map(|(spot, payoff)| {
                let after = spot - cash;
                let held = if after <= self.spots[0] {
                    // below the grid: from the worthless stock to its first point
                    let share = after.max(0.0) / self.spots[0];
                    worthless + share * (value[0] - worthless)
                } else {
                    four_points(value, (ln(after) - first) / self.width)
                };
                if american { held.max(*payoff) } else { held }
            })
            .collect()
    }
}

/// Cubic interpolation at a fractional index.
fn four_points(value: &[f64], position: f64) -> f64 {
    let start = (position.floor() as usize).clamp(1, value.len() - 3) - 1;
    let t = position - start as f64 - 1.0;
    let [a, b, c, d] = [value[start], value[start + 1], value[start + 2], value[start + 3]];
    let slope = c - (2.0 * a + 3.0 * b + d) / 6.0;
    let bend = 0.5 * (a + c) - b;
    let twist = (d - a) / 6.0 + 0.5 * (b - c);
    b + t * (slope + t * (bend + t * twist))
}
