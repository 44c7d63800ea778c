//! What a surface leaves over along one expiry, predicted at each quote by all the others.
//!
//! Exists because three numbers per expiry fit no smile to the tick, and because a quote must not
//! vouch for itself. Residuals are a Gaussian process over normalised moneyness with the Matern 3/2
//! kernel, which is a two-state Markov process (Hartikainen and Sarkka 2010): one filter from the
//! left and one from the right give each point's prediction without its own quote, exactly, in a
//! time that grows with the number of quotes, not its cube. Nothing of the model (amplitude,
//! length, noise) depends on the residual that is predicted.
//!
//! Columns are carried along together, so that a change of the surface under the residuals can be
//! propagated without a second run (`fair_value`).

/// Right-hand sides: the residual, and the surface's derivatives in its three parameters.
pub const COLUMNS: usize = 4;

/// The process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernel {
    /// Standard deviation of the residual where nothing is known.
    pub amplitude: f64,
    /// Distance over which residuals are alike, in the unit of the positions.
    pub length: f64,
}

/// One point of the process, by rising position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Where it is.
    pub position: f64,
    /// What was seen there, column by column.
    pub seen: [f64; COLUMNS],
    /// Variance of what was seen; infinite if nothing was: the point is only predicted.
    pub noise: f64,
}

/// What the other points say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Expected value of each column.
    pub mean: [f64; COLUMNS],
    /// Variance of the residual itself, without the noise of seeing it.
    pub variance: f64,
}

/// Mean (value and slope of each column) and covariance of the state.
#[derive(Debug, Clone, Copy)]
struct State {
    value: [f64; COLUMNS],
    slope: [f64; COLUMNS],
    vv: f64,
    vs: f64,
    ss: f64,
}

impl Kernel {
    fn decay(&self) -> f64 {
        3.0_f64.sqrt() / self.length
    }

    fn at_rest(&self) -> State {
        let variance = self.amplitude * self.amplitude;
        let decay = self.decay();
        State {
            value: [0.0; COLUMNS],
            slope: [0.0; COLUMNS],
            vv: variance,
            vs: 0.0,
            ss: variance * decay * decay,
        }
    }
}

impl State {
    fn moved(&self, distance: f64, decay: f64, rest: &Self) -> Self {
        if distance == 0.0 {
            return *self;
        }
        let far = decay * distance;
        let fade = libm::exp(-far);
        let [a, b] = [fade * (1.0 + far), fade * distance];
        let [c, d] = [-fade * decay * far, fade * (1.0 - far)];
        let mut next = *rest;
        for column in 0..COLUMNS {
            next.value[column] = a * self.value[column] + b * self.slope[column];
            next.slope[column] = c * self.value[column] + d * self.slope[column];
        }
        // The covariance relaxes to its rest: only the distance from it fades.
        let (vv, vs, ss) = (self.vv - rest.vv, self.vs, self.ss - rest.ss);
        next.vv += a * a * vv + 2.0 * a * b * vs + b * b * ss;
        next.vs += a * c * vv + (a * d + b * c) * vs + b * d * ss;
        next.ss += c * c * vv + 2.0 * c * d * vs + d * d * ss;
        next
    }

    fn seeing(&self, point: &Point) -> Self {
        if !point.noise.is_finite() {
            return *self;
        }
        let over = 1.0 / (self.vv + point.noise);
        let (by_value, by_slope) = (self.vv * over, self.vs * over);
        let mut next = *self;
        for column in 0..COLUMNS {
            let surprise = point.seen[column] - self.value[column];
            next.value[column] += by_value * surprise;
            next.slope[column] += by_slope * surprise;
        }
        next.vv = self.vv * point.noise * over;
        next.vs = self.vs * point.noise * over;
        next.ss = self.ss - by_slope * self.vs;
        next
    }

    /// Inverse of the covariance.
    fn information(&self) -> [f64; 3] {
        let determinant = self.vv * self.ss - self.vs * self.vs;
        [self.ss / determinant, -self.vs / determinant, self.vv / determinant]
    }
}

/// Room that one call leaves for the next.
#[derive(Debug, Default, Clone)]
pub struct FieldScratch {
    ahead: Vec<Option<State>>,
}

/// Predicts each point from all others into `predictions`. Positions must not fall; amplitude,
/// length and noises must be positive.
pub fn leave_one_out(
    kernel: Kernel,
    points: &[Point],
    scratch: &mut FieldScratch,
    predictions: &mut Vec<Prediction>,
) {
    let rest = kernel.at_rest();
    let decay = kernel.decay();
    // From the right, in a mirror: distances stay positive and the slope turns round.
    scratch.ahead.clear();
    scratch.ahead.resize(points.len(), None);
    let mut state = rest;
    for index in (0..points.len()).rev() {
        if let Some(next) = points.get(index + 1) {
            let distance = next.position - points[index].position;
            state = state.seeing(next).moved(distance, decay, &rest);
        }
        scratch.ahead[index] = Some(state);
    }
    predictions.clear();
    let mut state = rest;
    for (index, point) in points.iter().enumerate() {
        if let Some(before) = index.checked_sub(1).map(|before| &points[before]) {
            state = state.seeing(before).moved(point.position - before.position, decay, &rest);
        }
        let mirrored = scratch.ahead[index].unwrap_or(rest);
        predictions.push(joined(&state, &mirrored, &rest));
    }
}

/// Both sides together; each has counted the state at rest, so it is taken out once.
fn joined(left: &State, mirrored: &State, rest: &State) -> Prediction {
    let right = State { vs: -mirrored.vs, slope: mirrored.slope.map(|own| -own), ..*mirrored };
    let (of_left, of_right) = (left.information(), right.information());
    let vv = of_left[0] + of_right[0] - 1.0 / rest.vv;
    let vs = of_left[1] + of_right[1];
    let ss = of_left[2] + of_right[2] - 1.0 / rest.ss;
    let determinant = vv * ss - vs * vs;
    let mean = std::array::from_fn(|column| {
        let pull = |[vv, vs, ss]: [f64; 3], state: &State| {
            let (value, slope) = (state.value[column], state.slope[column]);
            [vv * value + vs * slope, vs * value + ss * slope]
        };
        let (a, b) = (pull(of_left, left), pull(of_right, &right));
        (ss * (a[0] + b[0]) - vs * (a[1] + b[1])) / determinant
    });
    Prediction { mean, variance: ss / determinant }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covariance(kernel: Kernel, distance: f64) -> f64 {
        let far = 3.0_f64.sqrt() * distance.abs() / kernel.length;
        kernel.amplitude * kernel.amplitude * (1.0 + far) * libm::exp(-far)
    }

    /// Kriging of `seen` at `at` by Gaussian elimination on the full covariance.
    fn slowly(kernel: Kernel, seen: &[Point], at: f64) -> ([f64; COLUMNS], f64) {
        let count = seen.len();
        let mut rows: Vec<Vec<f64>> = (0..count)
            .map(|row| {
                let of = |other: &Point| covariance(kernel, seen[row].position - other.position);
                let mut line: Vec<f64> = seen.iter().map(of).collect();
                line[row] += seen[row].noise;
                line.push(covariance(kernel, seen[row].position - at));
                line
            })
            .collect();
        for pivot in 0..count {
            for row in 0..count {
                if row != pivot {
                    let factor = rows[row][pivot] / rows[pivot][pivot];
                    let lead = rows[pivot].clone();
                    rows[row].iter_mut().zip(&lead).for_each(|(to, from)| *to -= factor * from);
                }
            }
        }
        let weight: Vec<f64> = (0..count).map(|row| rows[row][count] / rows[row][row]).collect();
        let mean = std::array::from_fn(|column| {
            weight.iter().zip(seen).map(|(own, point)| own * point.seen[column]).sum()
        });
        let told: f64 =
            (0..count).map(|row| weight[row] * covariance(kernel, seen[row].position - at)).sum();
        (mean, covariance(kernel, 0.0) - told)
    }

    #[test]
    fn two_filters_give_what_kriging_on_the_other_points_gives() {
        let kernel = Kernel { amplitude: 0.02, length: 0.7 };
        let points: Vec<Point> = (0..30)
            .map(|index| {
                let x = index as f64;
                Point {
                    // Some positions twice, as calls and puts of one strike.
                    position: 0.21 * (index - index % 3 / 2) as f64 - 3.0,
                    seen: [libm::sin(x), libm::cos(1.7 * x), 0.1 * x, 1.0].map(|own| 0.02 * own),
                    noise: if index == 11 { f64::INFINITY } else { 1e-6 * (1.0 + x) },
                }
            })
            .collect();
        let mut found = Vec::new();
        leave_one_out(kernel, &points, &mut FieldScratch::default(), &mut found);
        for (index, point) in points.iter().enumerate() {
            let mut others = points.clone();
            others.remove(index);
            others.retain(|other| other.noise.is_finite());
            let (mean, variance) = slowly(kernel, &others, point.position);
            for (told, slow) in found[index].mean.iter().zip(mean) {
                assert!((told - slow).abs() < 1e-10, "{index}: {told} {slow}");
            }
            assert!((found[index].variance - variance).abs() < 1e-12, "{index}");
        }
    }

    #[test]
    fn far_from_all_quotes_nothing_is_known() {
        let kernel = Kernel { amplitude: 0.02, length: 0.5 };
        let point = |position, noise| Point { position, seen: [0.01; COLUMNS], noise };
        let points = [point(0.0, 1e-8), point(100.0, f64::INFINITY)];
        let mut found = Vec::new();
        leave_one_out(kernel, &points, &mut FieldScratch::default(), &mut found);
        assert!(found[1].mean[0].abs() < 1e-12);
        assert!((found[1].variance - 4e-4).abs() < 1e-12);
    }
}
