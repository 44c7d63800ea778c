//! The last quadrature: from a solved boundary and a spot to value and Greeks.
//!
//! Exists as the part that runs on every tick: the boundary does not depend on the spot, so a spot
//! tick costs one exponential and two rational functions a lane. The European option is one more
//! lane of the same form (boundary at the strike, all time passed), so nothing is computed apart.
//! Units are those of `Normalised`: strike 1, expiry 1.

use super::lane::{DENSITY_AT_ZERO, cdf, exp, gauss, ln};
use super::normalised::{Normalised, PARAMETERS};
use super::scheme::LANES;

/// Total vol from which the densities at d- and d+ are computed apart.
const WIDE: f64 = 25.0;

/// What flows to the holder below the boundary, lane by lane of the quadrature in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Flows<const P: usize> {
    /// ln(boundary) now: at or below it the put is exercised.
    pub log_boundary: f64,
    /// How much of ln(boundary) the polynomial misses, see `boundary`.
    pub roughness: f64,
    vol: f64,
    carry: f64,
    /// d- of a lane is ln(spot) * inverse_vol + offset; d+ is that plus total_vol.
    inverse_vol: [f64; P],
    offset: [f64; P],
    total_vol: [f64; P],
    /// Present weights of interest on the strike and of dividends on the spot.
    income: [f64; P],
    cost: [f64; P],
    /// spot * density(d+) = growth * density(d-).
    growth: [f64; P],
    /// d(income) / d(rate) and d(cost) / d(yield).
    income_slope: [f64; P],
    cost_slope: [f64; P],
    time: [f64; P],
    /// d ln(boundary) by vol, rate and yield.
    pub tangent: [[f64; P]; PARAMETERS],
}

/// Value of the normalised put with its first two derivatives by spot.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Tick {
    pub value: f64,
    pub delta: f64,
    pub gamma: f64,
}

/// Derivatives by vol, rate and yield.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Slopes {
    pub vol: f64,
    pub rate: f64,
    pub dividend_yield: f64,
}

impl<const P: usize> Flows<P> {
    #[inline(always)]
    pub fn new(
        option: &Normalised,
        sine: &[f64; P],
        step: &[f64; P],
        log_boundary: &[f64; P],
        log_boundary_now: f64,
    ) -> Self {
        let Normalised { rate, dividend_yield, vol } = *option;
        let carry = rate - dividend_yield;
        let mut flows = Self {
            log_boundary: log_boundary_now,
            roughness: 0.0,
            vol,
            carry,
            inverse_vol: [0.0; P],
            offset: [0.0; P],
            total_vol: [0.0; P],
            income: [0.0; P],
            cost: [0.0; P],
            growth: [0.0; P],
            income_slope: [0.0; P],
            cost_slope: [0.0; P],
            time: [0.0; P],
            tangent: [[0.0; P]; PARAMETERS],
        };
        for p in 0..P {
            let time = sine[p] * sine[p];
            let total_vol = vol * sine[p];
            let inverse = 1.0 / total_vol;
            let drift = carry.mul_add(time, -log_boundary[p]);
            flows.time[p] = time;
            flows.total_vol[p] = total_vol;
            flows.inverse_vol[p] = inverse;
            flows.offset[p] = drift.mul_add(inverse, -0.5 * total_vol);
            flows.growth[p] = exp(-drift);
            let (paid, yielded) = (exp(-rate * time), exp(-dividend_yield * time));
            flows.income[p] = rate * step[p] * paid;
            flows.cost[p] = dividend_yield * step[p] * yielded;
            flows.income_slope[p] = (1.0 - rate * time) * step[p] * paid;
            flows.cost_slope[p] = (1.0 - dividend_yield * time) * step[p] * yielded;
        }
        let (paid, yielded) = (exp(-rate), exp(-dividend_yield));
        flows.income[P - 1] = paid;
        flows.cost[P - 1] = yielded;
        flows.income_slope[P - 1] = -paid;
        flows.cost_slope[P - 1] = -yielded;
        flows
    }

    /// ln(boundary) of every lane, as it was given.
    pub fn log_boundaries(&self) -> [f64; P] {
        std::array::from_fn(|p| {
            let total_vol = self.total_vol[p];
            self.carry * self.time[p] - (self.offset[p] + 0.5 * total_vol) * total_vol
        })
    }

    /// Leaves the premium of early exercise only.
    pub fn without_european(&mut self) {
        self.income[P - 1] = 0.0;
        self.cost[P - 1] = 0.0;
        self.income_slope[P - 1] = 0.0;
        self.cost_slope[P - 1] = 0.0;
    }

    #[inline(always)]
    pub fn is_finite(&self) -> bool {
        self.offset.iter().chain(&self.growth).chain(&self.income).all(|x| x.is_finite())
            && self.tangent.iter().flatten().all(|x| x.is_finite())
    }

    /// Whether the density at d+ can't be had from the one at d-, which may have vanished.
    pub fn is_wide(&self) -> bool {
        self.vol > WIDE
    }

    /// Value, delta and gamma above the boundary; `WIDE` as `is_wide` says.
    #[inline(always)]
    pub fn tick<const WIDE: bool>(&self, spot: f64) -> Tick {
        let log_spot = ln(spot);
        let inverse_spot = 1.0 / spot;
        let (mut value, mut delta, mut gamma) = ([0.0; P], [0.0; P], [0.0; P]);
        for p in 0..P {
            let inverse = self.inverse_vol[p];
            let down = log_spot.mul_add(inverse, self.offset[p]);
            let up = down + self.total_vol[p];
            let gauss_down = gauss(down);
            let gauss_up =
                if WIDE { gauss(up) } else { gauss_down * self.growth[p] * inverse_spot };
            let below_down = cdf(-down, gauss_down);
            let below_up = cdf(-up, gauss_up);
            let density = DENSITY_AT_ZERO * gauss_down;
            let cost = self.cost[p] * self.growth[p];
            let push = inverse * (cost - self.income[p]);
            value[p] = self.income[p] * below_down - self.cost[p] * spot * below_up;
            delta[p] = density * push * inverse_spot - self.cost[p] * below_up;
            gamma[p] = density * (cost * inverse - push * down.mul_add(inverse, 1.0));
        }
        Tick {
            value: sum(&value),
            delta: sum(&delta),
            gamma: sum(&gamma) * inverse_spot * inverse_spot,
        }
    }

    /// Derivatives by the parameters above the boundary, the boundary's own movement included.
    #[inline(always)]
    pub fn slopes<const WIDE: bool>(&self, spot: f64) -> Slopes {
        let log_spot = ln(spot);
        let inverse_spot = 1.0 / spot;
        let (mut by_vol, mut by_rate, mut by_yield) = ([0.0; P], [0.0; P], [0.0; P]);
        let inverse_total = 1.0 / self.vol;
        for p in 0..P {
            let inverse = self.inverse_vol[p];
            let down = log_spot.mul_add(inverse, self.offset[p]);
            let up = down + self.total_vol[p];
            let gauss_down = gauss(down);
            let gauss_up =
                if WIDE { gauss(up) } else { gauss_down * self.growth[p] * inverse_spot };
            let density = DENSITY_AT_ZERO * gauss_down;
            let cost = self.cost[p] * self.growth[p];
            let push = density * inverse * (cost - self.income[p]);
            let time = self.time[p];
            by_vol[p] = density * (self.income[p] * up - cost * down) * inverse_total
                - push * self.tangent[0][p];
            by_rate[p] =
                self.income_slope[p] * cdf(-down, gauss_down) + push * (time - self.tangent[1][p]);
            by_yield[p] = -self.cost_slope[p] * spot * cdf(-up, gauss_up)
                - push * (time + self.tangent[2][p]);
        }
        Slopes { vol: sum(&by_vol), rate: sum(&by_rate), dividend_yield: sum(&by_yield) }
    }
}

/// Adds `LANES` partial sums in a fixed order.
#[inline(always)]
fn sum<const P: usize>(terms: &[f64; P]) -> f64 {
    let mut lanes = [0.0; LANES];
    for row in terms.chunks_exact(LANES) {
        for lane in 0..LANES {
            lanes[lane] += row[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}
