//! The exercise boundary of a put with strike 1 and expiry 1, solved by spectral collocation.
//!
//! Follows L. Andersen, M. Lake and D. Offengenden, "High performance American option pricing",
//! Journal of Computational Finance 20 (2016): the boundary B is a polynomial of sqrt(time to
//! expiry) in ln(B)^2, and satisfies K. Kim's integral equation at Chebyshev nodes. Three things
//! differ, each because it was measured to be better (`docs/pricing.md`):
//!
//! - the time integral runs over theta in time = tau sin^2(theta), in which both square-root ends
//!   are smooth: 8 points do what 24 do in the paper's variable;
//! - ln(B)^2 is not taken relative to the limit at expiry, which spoils the square root when the
//!   yield exceeds the rate;
//! - the equation (value matching, the paper's FP-B) is solved by Newton's method with the exact
//!   Jacobian. Its fixed point does not depend on whether FP-A or FP-B would have converged, two
//!   steps from QD+ suffice, and the factors of the Jacobian give the boundary's own derivatives
//!   in vol, rate and yield, from which all Greeks follow without bumping.
//!
//! Valid for one boundary: rate > 0, or rate = 0 > yield. Other regimes are sorted in `regime`.

use super::lane::{DENSITY_AT_ZERO, cdf, exp, gauss, ln};
use super::normalised::{Normalised, PARAMETERS};
use super::premium::Flows;
use super::scheme::Scheme;
use super::seed;

/// Newton steps before a boundary is declared not to converge.
const STEPS: usize = 24;
/// The largest change of ln(boundary) that one step may make, as a share of it.
const LONGEST_STEP: f64 = 0.3;

/// The collocation did not converge: the caller must choose another method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotConverged;

/// One boundary in the making. Element j * N + i is quadrature point j of node i.
struct Collocation<'a, const N: usize, const L: usize, const E: usize, const P: usize> {
    option: Normalised,
    scheme: &'a Scheme<N, L, E, P>,
    log_limit: f64,
    /// Bounds of ln(boundary), a little wider than the perpetual boundary and the limit.
    lowest: f64,
    highest: f64,
    /// Time integrated over, its share of vol, and the weights of interest and dividends.
    time: [f64; E],
    total_vol: [f64; E],
    inverse_vol: [f64; E],
    income: [f64; E],
    cost: [f64; E],
    log_boundary: [f64; N],
}

/// What one evaluation of the equations leaves behind.
struct Evaluation<const N: usize, const E: usize> {
    /// ln(numerator) - ln(denominator) - ln(boundary) per node.
    residual: [f64; N],
    /// Column k: derivative of every residual by ln(boundary) at node k.
    jacobian: [[f64; N]; N],
    /// Derivative of every residual by each parameter with the boundary held.
    partial: [[f64; N]; PARAMETERS],
}

/// Solves for the boundary and prepares the last quadrature. With `sensitivities` the flows also
/// carry the boundary's derivatives; without, those lanes are zero.
#[inline(always)]
pub(super) fn solve<const N: usize, const L: usize, const E: usize, const P: usize>(
    option: &Normalised,
    scheme: &Scheme<N, L, E, P>,
    sensitivities: bool,
) -> Result<Flows<P>, NotConverged> {
    let log_limit = option.log_limit();
    let log_floor = option.log_floor();
    if !(log_floor < log_limit) {
        return Err(NotConverged);
    }
    let mut collocation = Collocation::new(option, scheme, log_limit, log_floor);
    collocation.log_boundary = seed::boundary(option, &scheme.root_time, log_limit, log_floor);
    let mut converged = false;
    for _ in 0..STEPS {
        let with_partials = sensitivities && converged;
        let mut evaluation = collocation.evaluate(with_partials);
        let worst = evaluation.residual.iter().fold(0.0_f64, |worst, x| worst.max(x.abs()));
        if !(worst < f64::INFINITY) {
            return Err(NotConverged);
        }
        if with_partials {
            let mut sides = [[0.0; N]; PARAMETERS + 1];
            sides[0] = evaluation.residual;
            sides[1..].copy_from_slice(&evaluation.partial);
            eliminate(&mut evaluation.jacobian, &mut sides)?;
            collocation.step(&sides[0]);
            let [_, by_vol, by_rate, by_yield] = sides;
            let tangents = [by_vol, by_rate, by_yield].map(|side| side.map(|x| -x));
            return collocation.flows(Some(&tangents));
        }
        let mut sides = [evaluation.residual];
        eliminate(&mut evaluation.jacobian, &mut sides)?;
        collocation.step(&sides[0]);
        if worst < scheme.tolerance {
            if !sensitivities {
                return collocation.flows(None);
            }
            converged = true;
        }
    }
    Err(NotConverged)
}

impl<'a, const N: usize, const L: usize, const E: usize, const P: usize>
    Collocation<'a, N, L, E, P>
{
    #[inline(always)]
    fn new(
        option: &Normalised,
        scheme: &'a Scheme<N, L, E, P>,
        log_limit: f64,
        log_floor: f64,
    ) -> Self {
        let mut this = Self {
            option: *option,
            scheme,
            log_limit,
            lowest: log_floor - 0.2 * (log_limit - log_floor),
            highest: 0.5 * log_limit,
            time: [0.0; E],
            total_vol: [0.0; E],
            inverse_vol: [0.0; E],
            income: [0.0; E],
            cost: [0.0; E],
            log_boundary: [0.0; N],
        };
        let mut step = [0.0; E];
        let mut root = [0.0; E];
        for j in 0..L {
            for i in 0..N {
                root[j * N + i] = scheme.root_time[i] * scheme.sine[j];
                step[j * N + i] = scheme.root_time[i] * scheme.root_time[i] * scheme.step[j];
            }
        }
        for e in 0..E {
            let time = root[e] * root[e];
            this.time[e] = time;
            this.total_vol[e] = option.vol * root[e];
            this.inverse_vol[e] = 1.0 / this.total_vol[e];
            this.income[e] = step[e] * exp(-option.rate * time);
            this.cost[e] = step[e] * exp(-option.dividend_yield * time);
        }
        this
    }

    /// Moves the boundary by Newton's correction, kept near what a boundary can be: polynomials
    /// that have reached the perpetual boundary or the limit swing about them.
    #[inline(always)]
    fn step(&mut self, correction: &[f64; N]) {
        let (lowest, highest) = (self.lowest, self.highest);
        for i in 0..N {
            let level = self.log_boundary[i];
            let longest = LONGEST_STEP * level.abs();
            let change = correction[i].clamp(-longest, longest);
            let next = level - change;
            let next = if next > lowest { next } else { 0.5 * (level + lowest) };
            self.log_boundary[i] = if next < highest { next } else { 0.5 * (level + highest) };
        }
    }

    #[inline(always)]
    fn evaluate(&self, with_partials: bool) -> Evaluation<N, E> {
        let Normalised { rate, dividend_yield, vol } = self.option;
        let carry = rate - dividend_yield;
        let interpolation = &self.scheme.interpolation;
        let limit_square = self.log_limit * self.log_limit;
        let least = self.highest * self.highest;
        let mut level = [0.0; E];
        for row in level.chunks_exact_mut(N) {
            row.copy_from_slice(&self.log_boundary);
        }
        let mut square = [0.0; E];
        for e in 0..E {
            square[e] = interpolation[N][e] * limit_square;
        }
        for k in 0..N {
            let node = self.log_boundary[k] * self.log_boundary[k];
            for e in 0..E {
                square[e] = interpolation[k][e].mul_add(node, square[e]);
            }
        }
        // Per element: the probabilities of ending below, and densities over total vol.
        let (mut down_cdf, mut up_cdf) = ([0.0; E], [0.0; E]);
        let (mut down_density, mut up_density) = ([0.0; E], [0.0; E]);
        let (mut down, mut slope) = ([0.0; E], [0.0; E]);
        for e in 0..E {
            let inside = square[e] > least;
            let earlier = -if inside { square[e] } else { least }.sqrt();
            slope[e] = if inside { -1.0 / earlier } else { 0.0 };
            let drift = carry.mul_add(self.time[e], level[e] - earlier);
            let total_vol = self.total_vol[e];
            let d = drift.mul_add(self.inverse_vol[e], -0.5 * total_vol);
            let u = d + total_vol;
            let (gauss_d, gauss_u) = (gauss(d), gauss(u));
            down[e] = d;
            down_cdf[e] = cdf(d, gauss_d) * self.income[e];
            up_cdf[e] = cdf(u, gauss_u) * self.cost[e];
            let scale = DENSITY_AT_ZERO * self.inverse_vol[e];
            down_density[e] = gauss_d * self.income[e] * scale;
            up_density[e] = gauss_u * self.cost[e] * scale;
        }
        let (down_sum, up_sum) = (over_points::<N, E>(&down_cdf), over_points::<N, E>(&up_cdf));
        let down_slope = over_points::<N, E>(&down_density);
        let up_slope = over_points::<N, E>(&up_density);
        let mut residual = [0.0; N];
        let (mut by_numerator, mut by_denominator) = ([0.0; N], [0.0; N]);
        let mut diagonal = [0.0; N];
        let mut partial = [[0.0; N]; PARAMETERS];
        for i in 0..N {
            let time = self.scheme.root_time[i] * self.scheme.root_time[i];
            let total_vol = vol * self.scheme.root_time[i];
            let discount = exp(-rate * time);
            let fade = exp(-dividend_yield * time);
            let d = carry.mul_add(time, self.log_boundary[i]) / total_vol - 0.5 * total_vol;
            let u = d + total_vol;
            let (gauss_d, gauss_u) = (gauss(d), gauss(u));
            let (cdf_d, cdf_u) = (cdf(d, gauss_d), cdf(u, gauss_u));
            let density_d = DENSITY_AT_ZERO * discount * gauss_d;
            let density_u = DENSITY_AT_ZERO * fade * gauss_u;
            let numerator = discount.mul_add(cdf_d, rate * down_sum[i]);
            let denominator = fade.mul_add(cdf_u, dividend_yield * up_sum[i]);
            by_numerator[i] = 1.0 / numerator;
            by_denominator[i] = 1.0 / denominator;
            residual[i] = ln(numerator) - ln(denominator) - self.log_boundary[i];
            diagonal[i] = (density_d / total_vol + rate * down_slope[i]) * by_numerator[i]
                - (density_u / total_vol + dividend_yield * up_slope[i]) * by_denominator[i]
                - 1.0;
            if with_partials {
                let reach = time / total_vol;
                partial[0][i] = -density_d * u / vol * by_numerator[i]
                    + density_u * d / vol * by_denominator[i];
                partial[1][i] = (density_d * reach - time * discount * cdf_d) * by_numerator[i]
                    - density_u * reach * by_denominator[i];
                partial[2][i] = -density_d * reach * by_numerator[i]
                    + (density_u * reach + time * fade * cdf_u) * by_denominator[i];
            }
        }
        // Derivative of each residual by the earlier boundary at each element.
        let mut earlier = [0.0; E];
        for j in 0..L {
            for i in 0..N {
                let e = j * N + i;
                let change = dividend_yield * up_density[e] * by_denominator[i]
                    - rate * down_density[e] * by_numerator[i];
                // d(earlier boundary) / d(square) = 1 / (2 earlier) = -slope / 2
                earlier[e] = -change * slope[e];
            }
        }
        let mut jacobian = [[0.0; N]; N];
        for k in 0..N {
            let mut sum = [0.0; N];
            let rows = earlier.chunks_exact(N).zip(interpolation[k].chunks_exact(N));
            for (change, weight) in rows {
                for i in 0..N {
                    sum[i] = change[i].mul_add(weight[i], sum[i]);
                }
            }
            for i in 0..N {
                jacobian[k][i] = sum[i] * self.log_boundary[k];
            }
            jacobian[k][k] += diagonal[k];
        }
        if with_partials {
            for j in 0..L {
                for i in 0..N {
                    let e = j * N + i;
                    let (d, u) = (down[e], down[e] + self.total_vol[e]);
                    let (top, bottom) = (by_numerator[i], by_denominator[i]);
                    // densities here are over total vol already
                    let (at_d, at_u) =
                        (down_density[e] * self.total_vol[e], up_density[e] * self.total_vol[e]);
                    partial[0][i] +=
                        (dividend_yield * at_u * d * bottom - rate * at_d * u * top) / vol;
                    let time = self.time[e];
                    let moved = rate * down_density[e] * time * top
                        - dividend_yield * up_density[e] * time * bottom;
                    partial[1][i] += moved + down_cdf[e] * (1.0 - rate * time) * top;
                    partial[2][i] -= moved + up_cdf[e] * (1.0 - dividend_yield * time) * bottom;
                    // the limit at expiry moves with rate and yield
                    let limit = earlier[e] * interpolation[N][e] * self.log_limit;
                    if self.log_limit < 0.0 {
                        partial[1][i] += limit / rate;
                        partial[2][i] -= limit / dividend_yield;
                    }
                }
            }
        }
        Evaluation { residual, jacobian, partial }
    }

    /// The last two Chebyshev coefficients of ln(boundary)^2 as a change of ln(boundary): how much
    /// of the boundary the polynomial has not caught.
    #[inline(always)]
    fn roughness(&self) -> f64 {
        let limit = self.log_limit * self.log_limit;
        let alternate = if N.is_multiple_of(2) { 0.5 } else { -0.5 };
        let (mut last, mut previous) = (alternate * limit, -alternate * limit);
        for k in 0..N {
            let square = self.log_boundary[k] * self.log_boundary[k];
            let half = if k == 0 { 0.5 } else { 1.0 };
            let sign = if k % 2 == 0 { half } else { -half };
            last += sign * square;
            previous += sign * (2.0 * self.scheme.root_time[k] - 1.0) * square;
        }
        (last.abs() + 2.0 * previous.abs()) / (2.0 * N as f64 * self.log_boundary[0].abs())
    }

    /// The last quadrature, from now to expiry, at the boundary found.
    #[inline(always)]
    fn flows(&self, tangents: Option<&[[f64; N]; PARAMETERS]>) -> Result<Flows<P>, NotConverged> {
        let Normalised { rate, dividend_yield, vol } = self.option;
        let limit_square = self.log_limit * self.log_limit;
        let least = self.highest * self.highest;
        let weights = &self.scheme.last_interpolation;
        let mut square = weights[N].map(|weight| weight * limit_square);
        for k in 0..N {
            let node = self.log_boundary[k] * self.log_boundary[k];
            for p in 0..P {
                square[p] = weights[k][p].mul_add(node, square[p]);
            }
        }
        let mut log_boundary = [0.0; P];
        let mut slope = [0.0; P];
        for p in 0..P {
            let inside = square[p] > least;
            log_boundary[p] = -if inside { square[p] } else { least }.sqrt();
            slope[p] = if inside { 1.0 / log_boundary[p] } else { 0.0 };
        }
        // The European lane pays the strike if the spot ends below it.
        log_boundary[P - 1] = 0.0;
        let mut flows = Flows::new(
            &self.option,
            &self.scheme.last_sine,
            &self.scheme.last_step,
            &log_boundary,
            self.log_boundary[0],
        );
        if let Some(tangents) = tangents {
            let limit = [0.0, 1.0 / rate, -1.0 / dividend_yield];
            for (parameter, tangent) in tangents.iter().enumerate() {
                let mut sum = [0.0; P];
                if self.log_limit < 0.0 {
                    let node = self.log_limit * limit[parameter];
                    for p in 0..P {
                        sum[p] = weights[N][p] * node;
                    }
                }
                for k in 0..N {
                    let node = self.log_boundary[k] * tangent[k];
                    for p in 0..P {
                        sum[p] = weights[k][p].mul_add(node, sum[p]);
                    }
                }
                for p in 0..P - 1 {
                    flows.tangent[parameter][p] = sum[p] * slope[p];
                }
            }
        }
        flows.roughness = self.roughness();
        let finite = flows.is_finite() && vol > 0.0;
        if finite { Ok(flows) } else { Err(NotConverged) }
    }
}

/// Sums the quadrature points of every node.
#[inline(always)]
fn over_points<const N: usize, const E: usize>(elements: &[f64; E]) -> [f64; N] {
    let mut sum = [0.0; N];
    for row in elements.chunks_exact(N) {
        for i in 0..N {
            sum[i] += row[i];
        }
    }
    sum
}

/// Gauss-Jordan elimination of columns `matrix[k]` without pivoting (the matrix is minus the
/// identity plus a small, nearly triangular part). Right-hand sides become solutions.
#[inline(always)]
pub(crate) fn eliminate<const N: usize, const R: usize>(
    matrix: &mut [[f64; N]; N],
    sides: &mut [[f64; N]; R],
) -> Result<(), NotConverged> {
    let mut inverse_pivot = [0.0; N];
    for pivot in 0..N {
        let value = matrix[pivot][pivot];
        if !(value.abs() > 1e-9) {
            return Err(NotConverged);
        }
        inverse_pivot[pivot] = 1.0 / value;
        let mut factor = [0.0; N];
        for i in 0..N {
            factor[i] = matrix[pivot][i] * inverse_pivot[pivot];
        }
        factor[pivot] = 0.0;
        for column in &mut matrix[pivot + 1..] {
            let top = column[pivot];
            for i in 0..N {
                column[i] = factor[i].mul_add(-top, column[i]);
            }
        }
        for side in &mut *sides {
            let top = side[pivot];
            for i in 0..N {
                side[i] = factor[i].mul_add(-top, side[i]);
            }
        }
    }
    for side in sides {
        for i in 0..N {
            side[i] *= inverse_pivot[i];
        }
    }
    Ok(())
}
