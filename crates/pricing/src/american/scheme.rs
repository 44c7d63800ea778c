//! The fixed numbers of a collocation scheme: nodes, quadrature weights, interpolation matrices.
//!
//! Exists because they depend on the sizes of the scheme only: they are made once per process.
//! What is integrated and why these nodes is left to `boundary`.

use std::f64::consts::{FRAC_PI_2, PI};
use std::sync::LazyLock;

/// Lanes of the last quadrature that are summed side by side.
pub(super) const LANES: usize = 8;

/// `N` boundary nodes, `L` quadrature points a node, `E = N * L`, `P` lanes of the last quadrature
/// (the last of which is the European option itself).
#[derive(Debug)]
pub(crate) struct Scheme<const N: usize, const L: usize, const E: usize, const P: usize> {
    /// Square root of time to expiry at node i over that of the option; node 0 is the option's.
    pub root_time: [f64; N],
    /// sin(theta) for element j * N + i, equal over i.
    pub sine: [f64; L],
    /// d(sin^2 theta) of each quadrature point.
    pub step: [f64; L],
    /// Interpolation from node k (the last is the expiry) to element j * N + i.
    pub interpolation: Box<[[f64; E]]>,
    /// sin(theta) of the last quadrature.
    pub last_sine: [f64; P],
    /// d(sin^2 theta) of the last quadrature; 0 in the European lane.
    pub last_step: [f64; P],
    /// Interpolation from node k to the lanes of the last quadrature.
    pub last_interpolation: Box<[[f64; P]]>,
    /// Wanted size of the last Newton correction of a logarithm of the boundary.
    pub tolerance: f64,
}

pub(super) type FastScheme = Scheme<8, 8, 64, 16>;
pub(super) type TightScheme = Scheme<16, 12, 192, 32>;
pub(super) type ReferenceScheme = Scheme<24, 32, 768, 64>;

pub(super) static FAST: LazyLock<FastScheme> = LazyLock::new(|| Scheme::new(2e-4));
pub(super) static TIGHT: LazyLock<TightScheme> = LazyLock::new(|| Scheme::new(2e-5));
pub(super) static REFERENCE: LazyLock<ReferenceScheme> = LazyLock::new(|| Scheme::new(1e-7));

impl<const N: usize, const L: usize, const E: usize, const P: usize> Scheme<N, L, E, P> {
    fn new(tolerance: f64) -> Self {
        Self::with_nodes((0..=N).map(|k| libm::cos(PI * k as f64 / N as f64)).collect(), tolerance)
    }

    /// On other nodes, descending from 1 in [-1, 1]; the first N carry the boundary.
    pub fn with_nodes(nodes: Vec<f64>, tolerance: f64) -> Self {
        const { assert!(E == N * L && P.is_multiple_of(LANES)) };
        let weights_of = barycentric(&nodes);
        let root_time = std::array::from_fn(|i| 0.5 * (1.0 + nodes[i]));
        let (points, weights) = gauss_legendre(L);
        let angle: Vec<f64> = points.iter().map(|v| FRAC_PI_2 * v).collect();
        let sine: [f64; L] = std::array::from_fn(|j| libm::sin(angle[j]));
        let step =
            std::array::from_fn(|j| 2.0 * sine[j] * libm::cos(angle[j]) * FRAC_PI_2 * weights[j]);
        let mut interpolation = vec![[0.0; E]; nodes.len()];
        for j in 0..L {
            for i in 0..N {
                let row =
                    lagrange(&nodes, &weights_of, 2.0 * root_time[i] * libm::cos(angle[j]) - 1.0);
                for (k, weight) in row.into_iter().enumerate() {
                    interpolation[k][j * N + i] = weight;
                }
            }
        }
        // theta = pi/2 v^2 puts points close to now, where a spot near the boundary needs them.
        let (points, weights) = gauss_legendre(P - 1);
        let mut last_sine = [1.0; P];
        let mut last_step = [0.0; P];
        let mut last_interpolation = vec![[0.0; P]; nodes.len()];
        for j in 0..P - 1 {
            let angle = FRAC_PI_2 * points[j] * points[j];
            last_sine[j] = libm::sin(angle);
            last_step[j] = 2.0 * last_sine[j] * libm::cos(angle) * PI * points[j] * weights[j];
            let row = lagrange(&nodes, &weights_of, 2.0 * libm::cos(angle) - 1.0);
            for (k, weight) in row.into_iter().enumerate() {
                last_interpolation[k][j] = weight;
            }
        }
        Self {
            root_time,
            sine,
            step,
            interpolation: interpolation.into_boxed_slice(),
            last_sine,
            last_step,
            last_interpolation: last_interpolation.into_boxed_slice(),
            tolerance,
        }
    }
}

/// Points and weights of Gauss and Legendre on [0, 1], by Newton's method on the recurrence.
pub(crate) fn gauss_legendre(count: usize) -> (Vec<f64>, Vec<f64>) {
    let size = count as f64;
    (0..count)
        .map(|index| {
            let mut x = -libm::cos(PI * (index as f64 + 0.75) / (size + 0.5));
            let mut slope = 1.0;
            for _ in 0..8 {
                let (mut value, mut before) = (1.0, 0.0);
                for j in 0..count {
                    let j = j as f64;
                    let next = ((2.0 * j + 1.0) * x * value - j * before) / (j + 1.0);
                    before = value;
                    value = next;
                }
                slope = size * (x * value - before) / (x * x - 1.0);
                x -= value / slope;
            }
            (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .unzip()
}

/// `count` Radau points of Chebyshev: 1 is one of them, -1 is not.
pub(crate) fn radau(count: usize) -> Vec<f64> {
    let whole = 2.0 * count as f64 - 1.0;
    (0..count).map(|k| libm::cos(2.0 * PI * k as f64 / whole)).collect()
}

/// Barycentric weights of any nodes.
fn barycentric(nodes: &[f64]) -> Vec<f64> {
    let weight = |k: usize| {
        let differences = nodes.iter().enumerate().filter(|(other, _)| *other != k);
        // in units of half the interval's capacity, so that the product stays of order one
        1.0 / differences.map(|(_, node)| 2.0 * (nodes[k] - node)).product::<f64>()
    };
    (0..nodes.len()).map(weight).collect()
}

/// Values at `x` of the Lagrange polynomials (barycentric form).
fn lagrange(nodes: &[f64], weights: &[f64], x: f64) -> Vec<f64> {
    if let Some(hit) = nodes.iter().position(|node| (x - node).abs() < 1e-15) {
        return (0..nodes.len()).map(|k| if k == hit { 1.0 } else { 0.0 }).collect();
    }
    let terms: Vec<f64> =
        nodes.iter().zip(weights).map(|(node, weight)| weight / (x - node)).collect();
    let total: f64 = terms.iter().sum();
    terms.into_iter().map(|term| term / total).collect()
}
