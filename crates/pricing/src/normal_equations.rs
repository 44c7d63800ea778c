//! Damped normal equations of a least-squares search inside a box: symmetric, dense, small.
//!
//! Coordinates at an edge of the box whose gradient points outward are held, so that the step
//! solves for the others (Bertsekas 1982). Own code, for the sizes (3 to 100) leave no time for a
//! library's allocations.

/// A symmetric system with its right side and the room to solve it.
#[derive(Debug, Default, Clone)]
pub(super) struct NormalEquations {
    pub(super) width: usize,
    /// Row by row; the lower triangle counts.
    pub(super) matrix: Vec<f64>,
    pub(super) gradient: Vec<f64>,
    pub(super) held: Vec<bool>,
    factor: Vec<f64>,
    pub(super) step: Vec<f64>,
}

impl NormalEquations {
    /// Clears it for `width` coordinates.
    pub(super) fn reset(&mut self, width: usize) {
        self.width = width;
        self.matrix.clear();
        self.matrix.resize(width * width, 0.0);
        self.gradient.clear();
        self.gradient.resize(width, 0.0);
        self.held.clear();
        self.held.resize(width, false);
    }

    /// Adds left * right' to the matrix, of which only the lower triangle is kept.
    pub(super) fn add_outer(&mut self, left: &[f64], right: &[f64]) {
        for (row, &factor) in left.iter().enumerate() {
            if factor != 0.0 {
                let to = &mut self.matrix[row * self.width..row * self.width + row + 1];
                to.iter_mut().zip(right).for_each(|(to, from)| *to += factor * from);
            }
        }
    }

    /// Solves (matrix + damping * diagonal) step = -gradient over the coordinates that are not
    /// held; false if the system is not positive definite.
    pub(super) fn solve(&mut self, damping: f64) -> bool {
        let width = self.width;
        self.factor.clear();
        self.factor.extend_from_slice(&self.matrix);
        self.step.clear();
        self.step.extend(self.gradient.iter().map(|own| -own));
        for row in 0..width {
            if self.held[row] {
                self.step[row] = 0.0;
                self.factor[row * width..row * width + row].fill(0.0);
                self.factor[row * width + row] = 1.0;
                for below in row + 1..width {
                    self.factor[below * width + row] = 0.0;
                }
            } else {
                self.factor[row * width + row] *= 1.0 + damping;
            }
        }
        for row in 0..width {
            let (done, rest) = self.factor.split_at_mut(row * width);
            let own = &mut rest[..=row];
            for column in 0..row {
                let above = &done[column * width..=column * width + column];
                let sum: f64 = own[..column].iter().zip(above).map(|(a, b)| a * b).sum();
                own[column] = (own[column] - sum) / above[column];
            }
            let sum: f64 = own[..row].iter().map(|a| a * a).sum();
            let rest = own[row] - sum;
            // A coordinate without any weight has nothing to say and stays.
            if !(rest.is_finite() && rest > 0.0) {
                if own[row] == 0.0 {
                    self.factor[row * width + row] = 1.0;
                    self.step[row] = 0.0;
                    continue;
                }
                return false;
            }
            own[row] = rest.sqrt();
        }
        for row in 0..width {
            let own = &self.factor[row * width..=row * width + row];
            let done: f64 = own[..row].iter().zip(&self.step).map(|(a, b)| a * b).sum();
            self.step[row] = (self.step[row] - done) / own[row];
        }
        for row in (0..width).rev() {
            let mut rest = self.step[row];
            for below in row + 1..width {
                rest -= self.factor[below * width + row] * self.step[below];
            }
            self.step[row] = rest / self.factor[row * width + row];
        }
        self.step.iter().all(|own| own.is_finite())
    }
}
