//! Paths of one lognormal price at equal intervals: a Brownian bridge over Sobol points, a block of
//! lanes at a time, and what a payoff needs to know of each path.
//!
//! Exists as the hot loop of `monte_carlo`. The block is a kernel under the rules of `lanes`; its
//! lanes are summed in order, so the sums have the same bits at every level. What is paid is left
//! to the caller.

use super::quantile::quantile;
use super::sobol::{DIGITS, mixed, reversed_directions, scrambled, unit};
use crate::exotics::Underlying;
use crate::lanes::Kernel;
use crate::lanes::elementary::exp;

/// Paths that go through the kernel together: their bridge stays in the first cache.
pub(super) const BLOCK: usize = 64;
/// Digits of an index within a block.
const BLOCK_DIGITS: usize = 6;

/// One point of the bridge: `step` from the points around it.
#[derive(Debug, Clone, Copy)]
struct Node {
    step: usize,
    /// Steps on both sides that are known already; none is the start.
    left: Option<usize>,
    right: Option<usize>,
    left_weight: f64,
    right_weight: f64,
    deviation: f64,
}

/// Everything that paths of one contract share.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    nodes: Vec<Node>,
    /// By dimension: the xor of direction numbers for every index within a block.
    within: Vec<[u32; BLOCK]>,
    directions: Vec<[u32; DIGITS]>,
    /// By step: the log of the price less vol times the bridge.
    means: Vec<f64>,
    vol: f64,
}

impl Plan {
    pub fn of(underlying: &Underlying, steps: usize) -> Self {
        let interval = underlying.years / steps as f64;
        let square = underlying.vol * underlying.vol;
        let drift = underlying.carry() - 0.5 * square;
        let start = crate::lanes::scalar::ln(underlying.spot);
        let directions: Vec<_> = (0..steps).map(reversed_directions).collect();
        let within = directions.iter().map(|numbers| {
            let mut table = [0u32; BLOCK];
            for (index, entry) in table.iter_mut().enumerate() {
                *entry = xor_of(&numbers[..BLOCK_DIGITS], index as u64);
            }
            table
        });
        let within = within.collect();
        Self {
            nodes: bridge(steps, interval),
            within,
            directions,
            means: (1..=steps).map(|at| start + drift * interval * at as f64).collect(),
            vol: underlying.vol,
        }
    }

    pub fn steps(&self) -> usize {
        self.nodes.len()
    }

    /// One seed per dimension.
    pub fn seeds(&self, seed: u64) -> Vec<u32> {
        (0..self.steps()).map(|dimension| mixed(seed, dimension as u64) as u32).collect()
    }
}

fn xor_of(numbers: &[u32], index: u64) -> u32 {
    let picked = numbers.iter().enumerate().filter(|(digit, _)| (index >> digit) & 1 == 1);
    picked.fold(0, |sum, (_, number)| sum ^ number)
}

/// The last step first, then the middle of each gap, gap by gap: the first dimensions of Sobol's
/// sequence, which are the best, decide most of a path (Moskowitz, Caflisch 1996).
fn bridge(steps: usize, interval: f64) -> Vec<Node> {
    let time = |step: Option<usize>| step.map_or(0.0, |step| (step + 1) as f64 * interval);
    let last = steps - 1;
    let mut nodes = vec![Node {
        step: last,
        left: None,
        right: None,
        left_weight: 0.0,
        right_weight: 0.0,
        deviation: time(Some(last)).sqrt(),
    }];
    let mut gaps = std::collections::VecDeque::from([(None, last)]);
    while let Some((left, right)) = gaps.pop_front() {
        let from = left.map_or(0, |left: usize| left + 1);
        if from >= right {
            continue;
        }
        let step = from + (right - from - 1) / 2;
        let (start, at, end) = (time(left), time(Some(step)), time(Some(right)));
        nodes.push(Node {
            step,
            left,
            right: Some(right),
            left_weight: (end - at) / (end - start),
            right_weight: (at - start) / (end - start),
            deviation: ((at - start) * (end - at) / (end - start)).sqrt(),
        });
        gaps.push_back((left, step));
        gaps.push_back((Some(step), right));
    }
    nodes
}

/// What is known of each path of a block. Prices are in the currency of the spot.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Sum of the prices.
    pub sum: [f64; BLOCK],
    /// Sum of the logs of the prices.
    pub log_sum: [f64; BLOCK],
    /// Least price.
    pub low: [f64; BLOCK],
    /// Greatest price.
    pub high: [f64; BLOCK],
    /// Price at expiry.
    pub last: [f64; BLOCK],
    /// exp(log_sum / steps).
    pub geometric: [f64; BLOCK],
}

impl Facts {
    pub const fn of_nothing() -> Self {
        const ZEROS: [f64; BLOCK] = [0.0; BLOCK];
        Self { sum: ZEROS, log_sum: ZEROS, low: ZEROS, high: ZEROS, last: ZEROS, geometric: ZEROS }
    }
}

/// Fills `facts` for the paths `block * BLOCK` and on. `bridge` has a row of `BLOCK` per step.
pub(super) struct Walk<'a> {
    pub plan: &'a Plan,
    pub seeds: &'a [u32],
    pub block: u64,
    pub bridge: &'a mut [[f64; BLOCK]],
    pub facts: &'a mut Facts,
}

impl Kernel for Walk<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { plan, seeds, block, bridge, facts } = self;
        const ZEROS: [f64; BLOCK] = [0.0; BLOCK];
        for (dimension, node) in plan.nodes.iter().enumerate() {
            let above = xor_of(&plan.directions[dimension][BLOCK_DIGITS..], block);
            let seed = seeds[dimension];
            let left = node.left.map_or(ZEROS, |step| bridge[step]);
            let right = node.right.map_or(ZEROS, |step| bridge[step]);
            let row = &mut bridge[node.step][..];
            let inputs = plan.within[dimension][..].iter().zip(&left[..]).zip(&right[..]);
            for (out, ((within, left), right)) in row.iter_mut().zip(inputs) {
                let z = quantile(unit(scrambled(within ^ above, seed)));
                let between = node.left_weight.mul_add(*left, node.right_weight * right);
                *out = node.deviation.mul_add(z, between);
            }
        }
        *facts = Facts::of_nothing();
        facts.low = [f64::MAX; BLOCK];
        for (row, mean) in bridge.iter().zip(&plan.means) {
            for (lane, bridge) in row.iter().enumerate() {
                let log = plan.vol.mul_add(*bridge, *mean);
                let price = exp(log);
                facts.sum[lane] += price;
                facts.log_sum[lane] += log;
                let (low, high) = (facts.low[lane], facts.high[lane]);
                facts.low[lane] = if price < low { price } else { low };
                facts.high[lane] = if price > high { price } else { high };
                facts.last[lane] = price;
            }
        }
        let share = 1.0 / plan.nodes.len() as f64;
        for (geometric, log_sum) in facts.geometric[..].iter_mut().zip(&facts.log_sum[..]) {
            *geometric = exp(share * log_sum);
        }
    }
}
