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
use crate::black::OptionKind;
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

/// One unit, whatever the price.
const ONE: Piece = Piece { amount: 1.0, power: 0.0, low: f64::NEG_INFINITY, high: f64::INFINITY };

impl Barrier {
    fn check(&self) -> Result<(), ExoticRefusal> {
        within(ExoticInput::Barrier, self.level, PRICES)?;
        within(ExoticInput::Rebate, self.rebate, 0.0..=1e12)
    }

    fn is_touched(&self, spot: f64) -> bool {
        match self.side {
            Side::Down => spot <= self.level,
            Side::Up => spot >= self.level,
        }
    }

    /// ln(S / spot) on this side of the barrier at `at`, and beyond it.
    fn windows(&self, at: f64) -> [(f64, f64); 2] {
        let (below, above) = ((f64::NEG_INFINITY, at), (at, f64::INFINITY));
        match self.side {
            Side::Down => [above, below],
            Side::Up => [below, above],
        }
    }
}

fn check(underlying: &Underlying, payoff: &Payoff, barrier: &Barrier) -> Result<(), ExoticRefusal> {
    underlying.check()?;
    payoff.check()?;
    barrier.check()
}

/// Value with one barrier that is watched continuously.
pub fn single(
    underlying: &Underlying,
    payoff: &Payoff,
    barrier: &Barrier,
) -> Result<Price, ExoticRefusal> {
    check(underlying, payoff, barrier)?;
    let spot = underlying.spot;
    if barrier.is_touched(spot) {
        return match barrier.knock {
            Knock::In => european(underlying, payoff),
            Knock::Out => finish(barrier.rebate, StatedError::Exact { rounding: 0.0 }, true),
        };
    }
    let walk = Walk::of(underlying);
    let at = ln(barrier.level / spot);
    let [alive, dead] = barrier.windows(at);
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
                sum.add(barrier.rebate * walk.moment(0.0, &ONE, alive));
                sum.add(-barrier.rebate * walk.moment(2.0 * at, &ONE, alive));
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
/// the barrier is moved outward (Broadie, Glasserman, Kou, Mathematical Finance 7, 1997). A rebate
/// at the hit is paid at the watch that sees it. One watch is exact.
///
/// The stated error is a share of what the move changes, summed over vanilla, digital and rebate:
/// measured against the exact chain of watches (tests/approximations.rs).
pub fn watched(
    underlying: &Underlying,
    payoff: &Payoff,
    barrier: &Barrier,
    watches: usize,
) -> Result<Price, ExoticRefusal> {
    if watches == 0 || watches > 1_000_000 {
        return Err(ExoticRefusal::FixingCount { count: watches });
    }
    if watches == 1 && !barrier.is_touched(underlying.spot) {
        return watched_at_expiry(underlying, payoff, barrier);
    }
    let step = underlying.total_vol() / (watches as f64).sqrt();
    let sign = if barrier.side == Side::Down { -1.0 } else { 1.0 };
    let level = barrier.level * exp(sign * WATCH_SHIFT * step);
    let price = single(underlying, payoff, &Barrier { level, ..*barrier })?;
    // What the move changes of one part of the contract.
    let moved = |payoff: &Payoff, rebate: f64| -> Result<f64, ExoticRefusal> {
        let near = single(underlying, payoff, &Barrier { rebate, ..*barrier })?;
        let far = single(underlying, payoff, &Barrier { level, rebate, ..*barrier })?;
        Ok((far.value - near.value).abs() + near.error.reach() + far.error.reach())
    };
    let mut measured = price.error.reach();
    for part in payoff.vanilla_and_digital().into_iter().flatten() {
        measured += share_missed(&part, barrier, step) * moved(&part, 0.0)?;
    }
    if barrier.rebate > 0.0 {
        let nothing =
            Payoff::CashOrNothing { strike: barrier.level, cash: 0.0, kind: OptionKind::Call };
        measured += SHARE_MISSED_OF_REBATE * moved(&nothing, barrier.rebate)?;
    }
    finish(price.value, StatedError::Approximation { measured }, payoff.is_never_negative())
}

/// One watch, at expiry: a European payoff that is cut at the barrier. The spot has not touched it.
fn watched_at_expiry(
    underlying: &Underlying,
    payoff: &Payoff,
    barrier: &Barrier,
) -> Result<Price, ExoticRefusal> {
    check(underlying, payoff, barrier)?;
    let walk = Walk::of(underlying);
    let [alive, dead] = barrier.windows(ln(barrier.level / underlying.spot));
    let (paid, compensated) = match barrier.knock {
        Knock::In => (dead, alive),
        Knock::Out => (alive, dead),
    };
    let mut sum = Sum::default();
    for piece in payoff.pieces(underlying.spot) {
        sum.add(piece.amount * walk.moment(0.0, &piece, paid));
    }
    sum.add(barrier.rebate * walk.moment(0.0, &ONE, compensated));
    sum.exact(underlying.discount(), payoff.is_never_negative())
}

/// Of what moving the barrier changes, the moved barrier is wrong by no more than this share
/// (largest found: 0.19; 0.33 for rebates) ...
const SHARE_MISSED: f64 = 0.25;
const SHARE_MISSED_OF_REBATE: f64 = 0.5;

/// ... unless it is paid between strike and barrier only, and these are a few deviations of one
/// interval apart: the last watch is at expiry, where the barrier does not move.
fn share_missed(part: &Payoff, barrier: &Barrier, step: f64) -> f64 {
    let (strike, kind) = part.strike_and_kind();
    let is_up = barrier.side == Side::Up;
    if kind.is_call() != is_up {
        return SHARE_MISSED;
    }
    let corridor = ln(barrier.level / strike) / step;
    let corridor = if is_up { corridor } else { -corridor };
    (3.0 / (2.0 + corridor.max(1.0))).max(SHARE_MISSED)
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
