//! Raw SVI fits of single expiries: the check beside the eSSVI surface.
//!
//! w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)) (Gatheral 2004). Quasi-explicit as in De
//! Marco and Martini (Zeliade 2009): with y = (k - m) / sigma it is a + d y + c sqrt(y^2 + 1), so
//! that for each (m, sigma) the best (a, d, c) with |d| <= c and |d| <= 4 sigma - c is a small
//! convex problem; the outer search over (m, ln sigma) is Levenberg and Marquardt's on the
//! projected residuals (variable projection: Golub and Pereyra 1973, Kaufman 1975).
//!
//! A raw SVI fit may hold butterfly arbitrage; [`SviSlice::durrleman_least`] says so. It is never
//! published: five free numbers per expiry tell how much three leave on the table.

use crate::arbitrage::density_test;
use crate::essvi::Curve;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Fewest quotes: as many as parameters.
const MIN_QUOTES: usize = 5;
/// The outer search.
const STEPS: usize = 40;
const DAMPING_FIRST: f64 = 1e-2;
const DAMPING_MOST: f64 = 1e8;
const SETTLED: f64 = 1e-8;
/// Range of sigma in log-moneyness.
const SIGMA_LEAST: f64 = 1e-4;
const SIGMA_MOST: f64 = 10.0;

/// A raw SVI slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SviSlice {
    /// Level of total variance.
    pub a: f64,
    /// Mean slope of the wings.
    pub b: f64,
    /// Tilt, in [-1, 1].
    pub rho: f64,
    /// Log-moneyness of the centre.
    pub m: f64,
    /// Width of the bend; positive.
    pub sigma: f64,
}

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum NoSvi {
    /// Columns of different length.
    #[error("columns differ in length; pass one lane per quote")]
    LengthMismatch,
    /// Too few quotes.
    #[error("{found} quotes are too few for five parameters, {needed} are needed")]
    TooFewQuotes {
        /// Quotes asked for.
        needed: usize,
        /// Quotes given.
        found: usize,
    },
    /// A value is not finite, or a variance or precision is not positive.
    #[error("quote {index} is not finite and positive; leave it out")]
    BadQuote {
        /// Position of the first bad quote.
        index: usize,
    },
    /// The quotes do not determine a slice.
    #[error("the quotes do not determine a slice; they need at least three strikes")]
    NotDetermined,
}

/// A fit and how good it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SviFit {
    /// The slice.
    pub slice: SviSlice,
    /// Half the weighted sum of squared residuals of total variance.
    pub cost: f64,
    /// Steps of the outer search.
    pub steps: usize,
}

impl SviSlice {
    /// Total variance at log-moneyness `k`.
    #[must_use]
    pub fn total_variance(&self, k: f64) -> f64 {
        let off = k - self.m;
        self.a + self.b * (self.rho * off + (off * off + self.sigma * self.sigma).sqrt())
    }

    /// Total variance with derivatives.
    #[must_use]
    pub fn curve(&self, k: f64) -> Curve {
        let off = k - self.m;
        let root = (off * off + self.sigma * self.sigma).sqrt();
        Curve {
            value: self.a + self.b * (self.rho * off + root),
            slope: self.b * (self.rho + off / root),
            curvature: self.b * self.sigma * self.sigma / (root * root * root),
        }
    }

    /// Least value of Durrleman's function on a grid of `points` over [low, high]: negative means
    /// butterfly arbitrage.
    #[must_use]
    pub fn durrleman_least(&self, low: f64, high: f64, points: usize) -> f64 {
        let step = (high - low) / (points.max(2) - 1) as f64;
        let values = (0..points.max(2)).map(|at| low + step * at as f64);
        values.map(|k| density_test(&self.curve(k), k)).fold(f64::INFINITY, f64::min)
    }
}

/// The linear part at one (m, sigma).
#[derive(Debug, Clone, Copy)]
struct Linear {
    a: f64,
    d: f64,
    c: f64,
    cost: f64,
}

/// Columns of one problem.
struct Problem<'a> {
    log_moneyness: &'a [f64],
    variance: &'a [f64],
    precision: &'a [f64],
}

/// Fits a slice. `precision` is one over each quote's error in total variance; all columns are of
/// one length, in any order.
pub fn fit_svi(
    log_moneyness: &[f64],
    variance: &[f64],
    precision: &[f64],
    start: Option<&SviSlice>,
) -> Result<SviFit, NoSvi> {
    let found = variance.len();
    if log_moneyness.len() != found || precision.len() != found {
        return Err(NoSvi::LengthMismatch);
    }
    if found < MIN_QUOTES {
        return Err(NoSvi::TooFewQuotes { needed: MIN_QUOTES, found });
    }
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut least, mut at_least) = (f64::INFINITY, 0.0);
    for index in 0..found {
        let (k, w, p) = (log_moneyness[index], variance[index], precision[index]);
        let good = k.is_finite() && w.is_normal() && w > 0.0 && p.is_normal() && p > 0.0;
        if !(good && (p * w).is_normal() && (p * p * w).is_normal()) {
            return Err(NoSvi::BadQuote { index });
        }
        low = low.min(k);
        high = high.max(k);
        if w < least {
            (least, at_least) = (w, k);
        }
    }
    let range = high - low;
    if !(range.is_finite() && range > 0.0) {
        return Err(NoSvi::NotDetermined);
    }
    let problem = Problem { log_moneyness, variance, precision };
    let starts = match start {
        Some(slice) => [(slice.m, slice.sigma); 2],
        None => [(at_least, 0.15 * range), (0.5 * (low + high), 0.5 * range)],
    };
    let mut best: Option<SviFit> = None;
    for (m, sigma) in starts.into_iter().take(if start.is_some() { 1 } else { 2 }) {
        let sigma = sigma.clamp(SIGMA_LEAST, SIGMA_MOST);
        if let Some(fit) = problem.search(m, sigma, low - range, high + range)
            && best.is_none_or(|known| fit.cost < known.cost)
        {
            best = Some(fit);
        }
    }
    best.ok_or(NoSvi::NotDetermined)
}

impl Problem<'_> {
    fn search(&self, mut m: f64, mut sigma: f64, low: f64, high: f64) -> Option<SviFit> {
        let mut linear = self.linear(m, sigma)?;
        let mut damping = DAMPING_FIRST;
        let mut steps = 0;
        let Some(mut outer) = self.outer(m, sigma, &linear) else {
            return Some(finished(m, sigma, &linear, steps));
        };
        while steps < STEPS && damping < DAMPING_MOST {
            steps += 1;
            let ([mm, ms, ss], [gm, gs]) = outer;
            let (mm, ss) = (mm * (1.0 + damping), ss * (1.0 + damping));
            let determinant = mm * ss - ms * ms;
            if determinant.is_nan() || determinant <= 0.0 {
                damping *= 10.0;
                continue;
            }
            let by_m = -(gm * ss - gs * ms) / determinant;
            let by_sigma = (-(gs * mm - gm * ms) / determinant).clamp(-1.0, 1.0);
            let to_m = (m + by_m).clamp(low, high);
            // exp by its Pade form: a step needs no last digit.
            let grown = (2.0 + by_sigma) / (2.0 - by_sigma);
            let to_sigma = (sigma * grown).clamp(SIGMA_LEAST, SIGMA_MOST);
            let reached = self.linear(to_m, to_sigma);
            if let Some(found) = reached.filter(|found| found.cost < linear.cost) {
                let settled = linear.cost - found.cost <= SETTLED * linear.cost;
                (m, sigma, linear) = (to_m, to_sigma, found);
                damping = (damping * 0.1).max(1e-12);
                if settled {
                    break;
                }
                match self.outer(m, sigma, &linear) {
                    Some(next) => outer = next,
                    None => break,
                }
            } else {
                damping *= 8.0;
            }
        }
        Some(finished(m, sigma, &linear, steps))
    }

    /// Moments of the basis (1, y, sqrt(y^2 + 1)): the Gram matrix and the products with variance.
    fn linear(&self, m: f64, sigma: f64) -> Option<Linear> {
        let over = 1.0 / sigma;
        let mut sums = [0.0; 10];
        for ((k, w), p) in self.log_moneyness.iter().zip(self.variance).zip(self.precision) {
            let y = (k - m) * over;
            let z = (y * y + 1.0).sqrt();
            let weight = p * p;
            let (wy, wz, wv) = (weight * y, weight * z, weight * w);
            sums[0] += weight;
            sums[1] += wy;
            sums[2] += wz;
            sums[3] += wy * y;
            sums[4] += wy * z;
            sums[5] += wz * z;
            sums[6] += wv;
            sums[7] += wv * y;
            sums[8] += wv * z;
            sums[9] += wv * w;
        }
        best_linear(&sums, 4.0 * sigma)
    }

    /// Normal equations of (m, ln sigma) after the linear part has been projected out.
    fn outer(&self, m: f64, sigma: f64, linear: &Linear) -> Option<([f64; 3], [f64; 2])> {
        let over = 1.0 / sigma;
        // Columns: 1, y, z, by m, by ln sigma; last the residual.
        let mut gram = [[0.0; 6]; 5];
        for ((k, w), p) in self.log_moneyness.iter().zip(self.variance).zip(self.precision) {
            let y = (k - m) * over;
            let z = (y * y + 1.0).sqrt();
            let bend = linear.d + linear.c * y / z;
            let off = linear.a + linear.d * y + linear.c * z - w;
            let row = [p * 1.0, p * y, p * z, -p * bend * over, -p * bend * y, p * off];
            for (to, &left) in gram.iter_mut().zip(&row) {
                to.iter_mut().zip(&row).for_each(|(to, right)| *to += left * right);
            }
        }
        for pivot in 0..3 {
            let lead = gram[pivot][pivot];
            if lead.is_nan() || lead <= 1e-14 * (1.0 + gram[0][0]) {
                continue;
            }
            let (done, rest) = gram.split_at_mut(pivot + 1);
            let own = &done[pivot];
            for row in rest {
                let factor = row[pivot] / lead;
                row.iter_mut().zip(own).for_each(|(to, from)| *to -= factor * from);
            }
        }
        let found = ([gram[3][3], gram[3][4], gram[4][4]], [gram[3][5], gram[4][5]]);
        let all = found.0.iter().chain(&found.1);
        (found.0[0] >= 0.0 && found.0[2] >= 0.0 && all.into_iter().all(|own| own.is_finite()))
            .then_some(found)
    }
}

fn finished(m: f64, sigma: f64, linear: &Linear, steps: usize) -> SviFit {
    let b = linear.c / sigma;
    let rho = if linear.c > 0.0 { (linear.d / linear.c).clamp(-1.0, 1.0) } else { 0.0 };
    SviFit { slice: SviSlice { a: linear.a, b, rho, m, sigma }, cost: linear.cost, steps }
}

/// The best (a, d, c) under |d| <= c and |d| <= most - c: free, else on one of the four edges.
fn best_linear(sums: &[f64; 10], most: f64) -> Option<Linear> {
    let [n, y, z, yy, yz, zz, v, vy, vz, vv] = *sums;
    let cost = |a: f64, d: f64, c: f64| {
        let linear = a * v + d * vy + c * vz;
        let square = a * (a * n + 2.0 * (d * y + c * z)) + d * (d * yy + 2.0 * c * yz) + c * c * zz;
        0.5 * (vv - 2.0 * linear + square)
    };
    // a leaves with the means: what is left is two by two.
    let (dd, dc, cc) = (yy - y * y / n, yz - y * z / n, zz - z * z / n);
    let (bd, bc) = (vy - v * y / n, vz - v * z / n);
    let mean = |d: f64, c: f64| (v - d * y - c * z) / n;
    let determinant = dd * cc - dc * dc;
    if determinant > 1e-13 * dd * cc {
        let (d, c) = ((bd * cc - bc * dc) / determinant, (bc * dd - bd * dc) / determinant);
        if d.abs() <= c && d.abs() <= most - c {
            let a = mean(d, c);
            return Some(Linear { a, d, c, cost: cost(a, d, c) });
        }
    }
    let half = 0.5 * most;
    let mut best: Option<Linear> = None;
    for (from, along) in [
        ([0.0, 0.0], [1.0, 1.0]),
        ([0.0, 0.0], [-1.0, 1.0]),
        ([half, half], [-1.0, 1.0]),
        ([-half, half], [1.0, 1.0]),
    ] {
        let curvature =
            dd * along[0] * along[0] + 2.0 * dc * along[0] * along[1] + cc * along[1] * along[1];
        let pull = along[0] * (bd - dd * from[0] - dc * from[1])
            + along[1] * (bc - dc * from[0] - cc * from[1]);
        let length = if curvature > 0.0 { (pull / curvature).clamp(0.0, half) } else { 0.0 };
        let (d, c) = (from[0] + length * along[0], from[1] + length * along[1]);
        let a = mean(d, c);
        let reached = cost(a, d, c);
        if reached.is_finite() && best.is_none_or(|known| reached < known.cost) {
            best = Some(Linear { a, d, c, cost: reached });
        }
    }
    best
}

#[cfg(test)]
mod tests;
