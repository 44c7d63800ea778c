//! Barrier options, watched continuously or at equal intervals: one barrier with a rebate (all
//! eight types, any payoff of `exotics`), or two without.
//!
//! Exists as the one place where a barrier becomes a price. One barrier is exact (Reiner and
//! Rubinstein, "Breaking down the barriers", Risk 4, 1991), a knock-in is summed on its own and not
//! as a difference. Two barriers are a series (`images`). A spot on or beyond the barrier has
//! touched it. Rebates: a knock-out pays at the hit, a knock-in at expiry if it was never hit.

use super::images::Walk;
use super::{
    ExoticInput, ExoticRefusal, PRICES, Payoff, Piece, Price, Sum, Underlying, european,
    exp_times_cdf, finish, within,
};
use crate::error_class::StatedError;
use crate::lanes::scalar::{exp, ln};
use serde::{Deserialize, Serialize};

/// -zeta(1/2) / sqrt(2 pi): what a watch at intervals misses, in deviations of one interval.
const WATCH_SHIFT: f64 = 0.582_597_157_939_010_7;

/// Where the barrier lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Below the spot.
    Down,
    /// Above the spot.
    Up,
}

/// What touching does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Knock {
    /// The option begins to exist.
    In,
    /// The option ends.
    Out,
}

/// One barrier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Barrier {
    /// Price at which it lies.
    pub level: f64,
    /// On which side.
    pub side: Side,
    /// What touching does.
    pub knock: Knock,
    /// Paid at the hit (out) or at expiry if never hit (in).
    pub rebate: f64,
}

/// Two barriers, no rebate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DoubleBarrier {
    /// The lower level.
    pub lower: f64,
    /// The upper level.
    pub upper: f64,
    /// What touching either does.
    pub knock: Knock,
}

/// Value with one barrier that is watched continuously.
pub fn single(
    underlying: &Underlying,
    payoff: &Payoff,
    barrier: &Barrier,
) -> Result<Price, ExoticRefusal> {
    underlying.check()?;
    payoff.check()?;
    within(ExoticInput::Barrier, barrier.level, PRICES)?;
    within(ExoticInput::Rebate, barrier.rebate, 0.0..=1e12)?;
    let spot = underlying.spot;
    let is_touched = match barrier.side {
        Side::Down => spot <= barrier.level,
        Side::Up => spot >= barrier.level,
    };
    if is_touched {
        return match barrier.knock {
            Knock::In => european(underlying, payoff),
            Knock::Out => finish(barrier.rebate, StatedError::Exact { rounding: 0.0 }, true),
        };
    }
    let walk = Walk::of(underlying);
    let at = ln(barrier.level / spot);
    let (alive, dead) = match barrier.side {
        Side::Down => ((at, f64::INFINITY), (f64::NEG_INFINITY, at)),
        Side::Up => ((f64::NEG_INFINITY, at), (at, f64::INFINITY)),
    };
    let mut sum = Sum::default();
    for piece in payoff.pieces(spot) {
        let image = piece.amount * walk.moment(2.0 * at, &piece, alive);
        match barrier.knock {
            Knock::In => {
                sum.add(piece.amount * walk.moment(0.0, &piece, dead));
                sum.add(image);
            }
            Knock::Out => {
                sum.add(piece.amount * walk.moment(0.0, &piece, alive));
                sum.add(-image);
            }
        }
    }
    let discount = underlying.discount();
    if barrier.rebate > 0.0 {
        match barrier.knock {
            Knock::In => {
                let one =
                    Piece { amount: 1.0, power: 0.0, low: -f64::INFINITY, high: f64::INFINITY };
                sum.add(barrier.rebate * walk.moment(0.0, &one, alive));
                sum.add(-barrier.rebate * walk.moment(2.0 * at, &one, alive));
            }
            Knock::Out => sum.add(barrier.rebate * hit_value(underlying, at)? / discount),
        }
    }
    sum.exact(discount, payoff.is_never_negative())
}

/// Value of one unit paid when ln(S / spot) first is `at`, if before expiry.
fn hit_value(underlying: &Underlying, at: f64) -> Result<f64, ExoticRefusal> {
    let variance = underlying.vol * underlying.vol;
    let tilt = underlying.carry() / variance - 0.5;
    let square = tilt * tilt + 2.0 * underlying.rate / variance;
    if square < 0.0 {
        return Err(ExoticRefusal::RebateAtNegativeRate);
    }
    let root = square.sqrt();
    let deviation = underlying.total_vol();
    let eta = if at < 0.0 { 1.0 } else { -1.0 };
    let (near, far) = (at / deviation + root * deviation, at / deviation - root * deviation);
    Ok(exp_times_cdf((tilt + root) * at, eta * near) + exp_times_cdf((tilt - root) * at, eta * far))
}

/// Value with one barrier that is watched `watches` times at equal intervals, the last at expiry:
/// the barrier is moved outward (Broadie, Glasserman, Kou, Mathematical Finance 7, 1997).
///
/// The stated error is a quarter of what the move changes, and all of it where the spot is within
/// two deviations of one interval of the barrier.
pub fn watched(
    underlying: &Underlying,
    payoff: &Payoff,
    barrier: &Barrier,
    watches: usize,
) -> Result<Price, ExoticRefusal> {
    if watches == 0 || watches > 1_000_000 {
        return Err(ExoticRefusal::FixingCount { count: watches });
    }
    let continuous = single(underlying, payoff, barrier)?;
    let step = underlying.total_vol() / (watches as f64).sqrt();
    let sign = if barrier.side == Side::Down { -1.0 } else { 1.0 };
    let level = barrier.level * exp(sign * WATCH_SHIFT * step);
    let moved = single(underlying, payoff, &Barrier { level, ..*barrier })?;
    let is_near = ln(barrier.level / underlying.spot).abs() < 2.0 * step;
    let share = if is_near { 1.0 } else { 0.25 };
    let measured = share * (moved.value - continuous.value).abs() + moved.error.reach();
    finish(moved.value, StatedError::Approximation { measured }, payoff.is_never_negative())
}

/// Value with two barriers that are watched continuously.
pub fn double(
    underlying: &Underlying,
    payoff: &Payoff,
    barriers: &DoubleBarrier,
) -> Result<Price, ExoticRefusal> {
    underlying.check()?;
    payoff.check()?;
    within(ExoticInput::Barrier, barriers.lower, PRICES)?;
    within(ExoticInput::Barrier, barriers.upper, PRICES)?;
    if barriers.lower >= barriers.upper {
        return Err(ExoticRefusal::BarriersCrossed);
    }
    let spot = underlying.spot;
    let is_touched = spot <= barriers.lower || spot >= barriers.upper;
    if is_touched {
        return match barriers.knock {
            Knock::In => european(underlying, payoff),
            Knock::Out => finish(0.0, StatedError::Exact { rounding: 0.0 }, true),
        };
    }
    let walk = Walk::of(underlying);
    let (lower, upper) = (ln(barriers.lower / spot), ln(barriers.upper / spot));
    let discount = underlying.discount();
    let (mut out, mut bound) = (0.0, 0.0);
    for piece in payoff.pieces(spot) {
        let moment = walk.between(&piece, lower, upper)?;
        out += discount * piece.amount * moment.value;
        bound += discount * piece.amount.abs() * moment.bound;
    }
    let floored = payoff.is_never_negative();
    if barriers.knock == Knock::Out {
        return finish(out, StatedError::Series { bound }, floored);
    }
    let all = european(underlying, payoff)?;
    finish(all.value - out, StatedError::Series { bound: bound + all.error.reach() }, floored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_sines_are_the_same_heat_kernel() {
        for (vol, years) in [(0.3, 0.5), (0.5, 1.0), (0.25, 2.0)] {
            let underlying =
                Underlying { spot: 100.0, years, vol, rate: 0.04, dividend_yield: 0.01 };
            let walk = Walk::of(&underlying);
            for power in [0.0, 1.0] {
                let piece = Piece { amount: 1.0, power, low: -0.1, high: f64::INFINITY };
                let images = walk.by_images(&piece, -0.25, 0.3).unwrap();
                let sines = walk.by_sines(&piece, -0.25, 0.3).unwrap();
                let difference = (images.value - sines.value).abs();
                assert!(difference <= images.bound + sines.bound, "{images:?} {sines:?}");
                assert!(images.value > 1e-6);
            }
        }
    }
}
