//! Moments of a Brownian motion with drift that is absorbed at one or two levels, by the method of
//! images and, for two close levels, by the sine series of the same heat kernel.
//!
//! Exists because one density serves every barrier payoff: by Girsanov an image of the start at c
//! has the weight exp(drift c / variance) and moves like the original. (Images: Reiner, Rubinstein
//! 1991 in substance, Ikeda, Kunitomo 1992 for two levels; sine series: Pelsser 2000.)

use super::{ExoticRefusal, Piece, Underlying, exp_times_interval};
use crate::lanes::scalar::exp;
use std::f64::consts::PI;

/// Images are dropped this many standard deviations away: below 1e-17 of the nearest.
const DEVIATIONS: f64 = 12.0;
/// Terms of either series; neither needs this many where it is used.
const TERMS_MAX: usize = 64;

/// ln(S / spot) over the life of the option.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    drift: f64,
    deviation: f64,
}

/// A sum of a series with a bound of what is not in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded {
    pub value: f64,
    pub bound: f64,
}

impl Walk {
    pub fn of(underlying: &Underlying) -> Self {
        let drift = (underlying.carry() - 0.5 * underlying.vol * underlying.vol) * underlying.years;
        Self { drift, deviation: underlying.total_vol() }
    }

    /// E[e^(power x)] over a piece cut to `window`, for an image that starts at `start`.
    pub fn moment(&self, start: f64, piece: &Piece, window: (f64, f64)) -> f64 {
        let variance = self.deviation * self.deviation;
        let low = piece.low.max(window.0);
        let high = piece.high.min(window.1);
        let mean = start + self.drift + piece.power * variance;
        let exponent = self.drift / variance * start
            + piece.power * (start + self.drift)
            + 0.5 * piece.power * piece.power * variance;
        exp_times_interval(exponent, (low - mean) / self.deviation, (high - mean) / self.deviation)
    }

    /// The moment over walks that stay between `lower` < 0 and `upper` > 0.
    pub fn between(&self, piece: &Piece, lower: f64, upper: f64) -> Result<Bounded, ExoticRefusal> {
        if self.deviation < 0.6 * (upper - lower) {
            self.by_images(piece, lower, upper)
        } else {
            self.by_sines(piece, lower, upper)
        }
    }

    pub(super) fn by_images(
        &self,
        piece: &Piece,
        lower: f64,
        upper: f64,
    ) -> Result<Bounded, ExoticRefusal> {
        let width = upper - lower;
        let reach = (DEVIATIONS * self.deviation / (2.0 * width)).ceil() + 1.0;
        if reach > TERMS_MAX as f64 {
            return Err(ExoticRefusal::NotRepresentable);
        }
        let (mut value, mut sizes) = (0.0, 0.0);
        for index in -(reach as i32)..=reach as i32 {
            let shift = 2.0 * width * f64::from(index);
            let direct = self.moment(shift, piece, (lower, upper));
            let mirrored = self.moment(2.0 * upper + shift, piece, (lower, upper));
            value += direct - mirrored;
            sizes += direct.abs() + mirrored.abs();
        }
        Ok(Bounded { value, bound: super::ROUNDING * sizes })
    }

    pub(super) fn by_sines(
        &self,
        piece: &Piece,
        lower: f64,
        upper: f64,
    ) -> Result<Bounded, ExoticRefusal> {
        let (low, high) = (piece.low.max(lower), piece.high.min(upper));
        if low >= high {
            return Ok(Bounded { value: 0.0, bound: 0.0 });
        }
        let width = upper - lower;
        let variance = self.deviation * self.deviation;
        let slope = self.drift / variance + piece.power;
        let scale = 2.0 / width;
        let floor = -0.5 * self.drift * self.drift / variance;
        let largest = exp(slope * low + floor).max(exp(slope * high + floor));
        let (mut value, mut sizes) = (0.0, 0.0);
        for index in 1..=TERMS_MAX {
            let wave = PI * index as f64 / width;
            let decay = -0.5 * wave * wave * variance;
            // Terms fall faster than geometrically with ratio 1/4 from here on.
            let cap = scale * largest * exp(decay) * (high - low);
            if cap <= 1e-18 * sizes || cap == 0.0 {
                let bound = super::ROUNDING * sizes + 2.0 * cap;
                return Ok(Bounded { value, bound });
            }
            let at = |x: f64| {
                let angle = wave * (x - lower);
                let bracket = slope * libm::sin(angle) - wave * libm::cos(angle);
                exp(slope * x + floor + decay) * bracket / (slope * slope + wave * wave)
            };
            let start = scale * libm::sin(-wave * lower);
            let (upper_end, lower_end) = (start * at(high), start * at(low));
            value += upper_end - lower_end;
            sizes += upper_end.abs() + lower_end.abs();
        }
        Err(ExoticRefusal::NotRepresentable)
    }
}
