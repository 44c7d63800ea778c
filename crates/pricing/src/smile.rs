//! Fair vol of each quote of one expiry, judged by the other quotes.
//!
//! Exists for the collar: a quote must not vouch for itself. Vols are smoothed over log-moneyness
//! by weighted ridge regression on a quadratic plus truncated cubics at four knots; leaving one
//! quote out follows exactly from the hat matrix (Allen 1974; Golub, Heath and Wahba 1979), so a
//! whole expiry costs one fit. Everything that shapes the model (knots, weights, penalty) depends
//! on strikes and stated errors only, never on vols: changing a quote can't change its own fair
//! value.
//!
//! It is a smoother, not a surface: no-arbitrage and other expiries are left to the surface to
//! come, dropping quotes that are known to be bad to the caller.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// 1, z, z^2 and one truncated cubic per knot.
const TERMS: usize = 7;
const KNOTS: usize = TERMS - 3;
/// Fewest quotes that make a smile: the quadratic, one left out, one for its error.
const MIN_QUOTES: usize = 5;
/// A quote that holds more than this share of its own fit can't be judged by the others.
const MAX_LEVERAGE: f64 = 1.0 - 1e-6;
/// Precision on the quadratic's coefficients: a prior deviation of 1000 vols, for solvability only.
const WEAK_PRECISION: f64 = 1e-6;

type Vector = [f64; TERMS];
type Matrix = [Vector; TERMS];

/// One column per input, one lane per quote; all of one length.
#[derive(Debug, Clone, Copy)]
pub struct SmileInputs<'a> {
    /// ln(strike / forward).
    pub log_moneyness: &'a [f64],
    /// Annual implied vols.
    pub vol: &'a [f64],
    /// Standard errors of the vols, e.g. half the bid-ask spread in vol.
    pub vol_error: &'a [f64],
}

/// A vol with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FairVol {
    /// Annual vol.
    pub vol: f64,
    /// Standard error of the model value; it does not include the error of the judged quote.
    pub standard_error: f64,
}

/// Why there is no smile, or no fair vol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum NoSmile {
    /// Columns of different length.
    #[error("smile columns differ in length; pass one lane per quote")]
    LengthMismatch,
    /// Too few quotes.
    #[error("{found} quotes are too few for a smile, {needed} are needed")]
    TooFewQuotes {
        /// Quotes asked for.
        needed: usize,
        /// Quotes given.
        found: usize,
    },
    /// A value is not finite, or a vol or error is not positive.
    #[error("quote {index} is not a finite vol with a positive error; leave it out")]
    BadQuote {
        /// Position of the first bad quote.
        index: usize,
    },
    /// The roughness is not a positive number.
    #[error("roughness must be a positive number")]
    BadRoughness,
    /// The quotes (or those other than the judged one) do not determine a vol there, or it came out
    /// at or below zero.
    #[error("the other quotes do not determine a vol here; judge it by other means")]
    NotDetermined,
    /// No such quote.
    #[error("there is no quote {index} in this smile")]
    NoSuchQuote {
        /// The position asked for.
        index: usize,
    },
}

/// A fitted smile of one expiry.
#[derive(Debug, Clone)]
pub struct Smile {
    centre: f64,
    half_range: f64,
    knots: [f64; KNOTS],
    coefficients: Vector,
    /// Lower Cholesky factor of the penalised normal matrix.
    factor: Matrix,
    /// Penalised sum of squares of all quotes, and degrees of freedom spent.
    squares: f64,
    spent: f64,
    quotes: Vec<Judged>,
}

/// What leave-one-out algebra needs of a quote.
#[derive(Debug, Clone, Copy)]
struct Judged {
    vol: f64,
    weight: f64,
    residual: f64,
    /// Share of the quote in its own fitted value.
    leverage: f64,
}

impl Smile {
    /// Fits one expiry. `roughness` is the prior standard deviation, in vol, of each knot's cubic
    /// over half the range of strikes: 1.0 follows any listed smile, 0.01 is a plain quadratic.
    pub fn fit(inputs: &SmileInputs<'_>, roughness: f64) -> Result<Self, NoSmile> {
        check(inputs, roughness)?;
        let (centre, half_range, knots) = frame(inputs.log_moneyness)?;
        let mut smile = Self {
            centre,
            half_range,
            knots,
            coefficients: [0.0; TERMS],
            factor: [[0.0; TERMS]; TERMS],
            squares: 0.0,
            spent: 0.0,
            quotes: Vec::with_capacity(inputs.vol.len()),
        };
        let mut precision = [roughness.powi(-2); TERMS];
        precision[..3].fill(WEAK_PRECISION);
        let mut normal = [[0.0; TERMS]; TERMS];
        for (term, row) in normal.iter_mut().enumerate() {
            row[term] = precision[term];
        }
        let mut right = [0.0; TERMS];
        // Basis vectors are kept: they are needed again for residuals and leverages.
        let bases: Vec<Vector> = inputs.log_moneyness.iter().map(|&k| smile.basis(k)).collect();
        for (lane, basis) in bases.iter().enumerate() {
            let weight = inputs.vol_error[lane].powi(-2);
            for row in 0..TERMS {
                right[row] += weight * basis[row] * inputs.vol[lane];
                for column in 0..=row {
                    normal[row][column] += weight * basis[row] * basis[column];
                }
            }
        }
        smile.factor = cholesky(&normal).ok_or(NoSmile::NotDetermined)?;
        smile.coefficients = backward(&smile.factor, &forward(&smile.factor, &right));
        smile.squares =
            smile.coefficients.iter().zip(precision).map(|(value, own)| own * value * value).sum();
        for (lane, basis) in bases.iter().enumerate() {
            let weight = inputs.vol_error[lane].powi(-2);
            let residual = inputs.vol[lane] - dot(&smile.coefficients, basis);
            let leverage = weight * smile.unit_variance(basis);
            smile.squares += weight * residual * residual;
            smile.spent += leverage;
            smile.quotes.push(Judged { vol: inputs.vol[lane], weight, residual, leverage });
        }
        Ok(smile)
    }

    /// Number of quotes fitted.
    pub fn quotes(&self) -> usize {
        self.quotes.len()
    }

    /// The vol that all quotes but `index` give at its strike, exactly as if fitted without it.
    pub fn fair_vol_without(&self, index: usize) -> Result<FairVol, NoSmile> {
        let quote = self.quotes.get(index).ok_or(NoSmile::NoSuchQuote { index })?;
        if quote.leverage > MAX_LEVERAGE {
            return Err(NoSmile::NotDetermined);
        }
        let kept = 1.0 - quote.leverage;
        let left_out = quote.residual / kept;
        let squares = self.squares - quote.weight * quote.residual * left_out;
        // Trace of the hat matrix without the quote is below the one with it; using the latter,
        // less the quote's own share, keeps the error on the careful side.
        let freedom = (self.quotes.len() - 1) as f64 - (self.spent - quote.leverage);
        let unit_variance = quote.leverage / (quote.weight * kept);
        fair_vol(quote.vol - left_out, unit_variance, squares, freedom)
    }

    /// The vol that all quotes give at ln(strike / forward). Outside the quoted strikes it is an
    /// extrapolation, and its standard error says so.
    pub fn fair_vol_at(&self, log_moneyness: f64) -> Result<FairVol, NoSmile> {
        if !log_moneyness.is_finite() {
            return Err(NoSmile::NotDetermined);
        }
        let basis = self.basis(log_moneyness);
        let freedom = self.quotes.len() as f64 - self.spent;
        let vol = dot(&self.coefficients, &basis);
        fair_vol(vol, self.unit_variance(&basis), self.squares, freedom)
    }

    fn basis(&self, log_moneyness: f64) -> Vector {
        let z = (log_moneyness - self.centre) / self.half_range;
        let mut basis = [0.0; TERMS];
        basis[..3].copy_from_slice(&[1.0, z, z * z]);
        for (term, knot) in basis[3..].iter_mut().zip(self.knots) {
            let above = (z - knot).max(0.0);
            *term = above * above * above;
        }
        basis
    }

    /// Variance of the fitted value at `basis` for quotes of unit variance per unit of weight.
    fn unit_variance(&self, basis: &Vector) -> f64 {
        let half = forward(&self.factor, basis);
        dot(&half, &half)
    }
}

fn fair_vol(vol: f64, unit_variance: f64, squares: f64, freedom: f64) -> Result<FairVol, NoSmile> {
    // A fit closer than the quotes' own errors is luck, so the scale never falls below one.
    let scale = (squares / freedom.max(1.0)).max(1.0);
    let standard_error = (scale * unit_variance).sqrt();
    if vol > 0.0 && vol.is_finite() && standard_error.is_finite() {
        Ok(FairVol { vol, standard_error })
    } else {
        Err(NoSmile::NotDetermined)
    }
}

fn check(inputs: &SmileInputs<'_>, roughness: f64) -> Result<(), NoSmile> {
    let found = inputs.vol.len();
    if inputs.log_moneyness.len() != found || inputs.vol_error.len() != found {
        return Err(NoSmile::LengthMismatch);
    }
    if !(roughness.is_finite() && roughness > 0.0) {
        return Err(NoSmile::BadRoughness);
    }
    if found < MIN_QUOTES {
        return Err(NoSmile::TooFewQuotes { needed: MIN_QUOTES, found });
    }
    let positive = |value: f64| value.is_finite() && value > 0.0;
    let good = |lane: usize| {
        inputs.log_moneyness[lane].is_finite()
            && positive(inputs.vol[lane])
            && positive(inputs.vol_error[lane])
            && inputs.vol_error[lane].powi(-2).is_normal()
    };
    match (0..found).find(|&lane| !good(lane)) {
        Some(index) => Err(NoSmile::BadQuote { index }),
        None => Ok(()),
    }
}

/// Centre, half range and knots (in units of the half range) at equal shares of the quotes.
fn frame(log_moneyness: &[f64]) -> Result<(f64, f64, [f64; KNOTS]), NoSmile> {
    let mut sorted = log_moneyness.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let (centre, half_range) = (0.5 * (low + high), 0.5 * (high - low));
    if !(half_range.is_finite() && half_range > 0.0) {
        return Err(NoSmile::NotDetermined);
    }
    let mut knots = [0.0; KNOTS];
    for (index, knot) in knots.iter_mut().enumerate() {
        let position = (index + 1) * (sorted.len() - 1) / (KNOTS + 1);
        *knot = (sorted[position] - centre) / half_range;
    }
    Ok((centre, half_range, knots))
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Lower factor L of L L' = matrix (its lower triangle), or None if it is not positive definite.
fn cholesky(matrix: &Matrix) -> Option<Matrix> {
    let mut factor = [[0.0; TERMS]; TERMS];
    for row in 0..TERMS {
        for column in 0..=row {
            let done: f64 =
                (0..column).map(|inner| factor[row][inner] * factor[column][inner]).sum();
            let rest = matrix[row][column] - done;
            if row > column {
                factor[row][column] = rest / factor[column][column];
            } else if rest.is_finite() && rest > 0.0 {
                factor[row][row] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(factor)
}

/// Solves L y = right.
fn forward(factor: &Matrix, right: &Vector) -> Vector {
    let mut solution = [0.0; TERMS];
    for row in 0..TERMS {
        let done: f64 = (0..row).map(|inner| factor[row][inner] * solution[inner]).sum();
        solution[row] = (right[row] - done) / factor[row][row];
    }
    solution
}

/// Solves L' x = right.
fn backward(factor: &Matrix, right: &Vector) -> Vector {
    let mut solution = [0.0; TERMS];
    for row in (0..TERMS).rev() {
        let done: f64 = (row + 1..TERMS).map(|inner| factor[inner][row] * solution[inner]).sum();
        solution[row] = (right[row] - done) / factor[row][row];
    }
    solution
}

#[cfg(test)]
mod tests;
