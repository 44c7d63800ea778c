//! What a contract's next quote will be, by its own past and the others': for predictions.
//!
//! The last vol of a contract is a strong guess: a maker's skew outlasts the minute. What it misses
//! is learned from the quotes themselves, by regression (ridge, fading past) of the next change on
//! three things known before it: how far the last quote surprised the contract's fast memory of its
//! deviation from the others, how far it is off its slow one, and how the smile says that vol at
//! this strike moves with the forward (Bergomi 2016, chapter 2, on how sticky skews are). With
//! nothing learned the last vol stands.
//!
//! It is not for the collar: a quote that is wrong for long would come to vouch for itself.

use serde::{Deserialize, Serialize};

const FEATURES: usize = 3;
/// Features and changes count at most this often the quote's own error.
const CLIP: f64 = 4.0;
/// Squares that the first guess, no correction, is worth.
const RIDGE: f64 = 100.0;
/// Weight that is kept from one moment to the next.
const KEPT: f64 = 0.995;
/// What the two memories take in of a new deviation.
const FAST: f64 = 0.5;
const SLOW: f64 = 0.1;

/// What contracts that share it have taught: sums of products of features and changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reversion {
    squares: [[f64; FEATURES]; FEATURES],
    products: [f64; FEATURES],
    coefficients: [f64; FEATURES],
}

impl Reversion {
    /// Change of vol per unit of each feature: surprise, slow deviation, sticky move.
    #[must_use]
    pub const fn coefficients(&self) -> [f64; FEATURES] {
        self.coefficients
    }

    /// Solves for the coefficients and lets the past fade; once per moment.
    pub fn settle(&mut self) {
        let mut rows = [[0.0; FEATURES + 1]; FEATURES];
        for (row, line) in rows.iter_mut().enumerate() {
            line[..FEATURES].copy_from_slice(&self.squares[row]);
            line[row] += RIDGE;
            line[FEATURES] = self.products[row];
        }
        // Positive definite by the ridge: no pivot can vanish.
        for pivot in 0..FEATURES {
            let lead = rows[pivot];
            for (row, line) in rows.iter_mut().enumerate() {
                if row != pivot {
                    let factor = line[pivot] / lead[pivot];
                    line.iter_mut().zip(lead).for_each(|(to, from)| *to -= factor * from);
                }
            }
        }
        self.coefficients = std::array::from_fn(|row| rows[row][FEATURES] / rows[row][row]);
        self.squares.iter_mut().flatten().for_each(|own| *own *= KEPT);
        self.products.iter_mut().for_each(|own| *own *= KEPT);
    }

    fn learn(&mut self, features: [f64; FEATURES], change: f64) {
        let clipped = |value: f64| value.clamp(-CLIP, CLIP);
        let features = features.map(clipped);
        for row in 0..FEATURES {
            for column in 0..FEATURES {
                self.squares[row][column] += features[row] * features[column];
            }
            self.products[row] += features[row] * clipped(change);
        }
    }
}

/// The memory of one contract; in vol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Persistence {
    fast: f64,
    slow: f64,
    surprise: f64,
    off: f64,
    vol: f64,
    noise: f64,
    seen: bool,
}

impl Persistence {
    /// The vol to expect of the next quote when the smile, held in moneyness, would move vol at
    /// this strike by `sticky` (zero if the forward rests). `None` before the first quote.
    #[must_use]
    pub fn foretold(&self, reversion: &Reversion, sticky: f64) -> Option<f64> {
        if !self.seen {
            return None;
        }
        let [of_surprise, of_slow, of_sticky] = reversion.coefficients;
        let clipped = |value: f64| value.clamp(-CLIP * self.noise, CLIP * self.noise);
        let correction = of_surprise * clipped(self.surprise) + of_slow * clipped(self.off);
        let vol = self.vol + correction + of_sticky * clipped(sticky);
        (vol.is_finite() && vol > 0.0).then_some(vol)
    }

    /// Takes a mid's vol, the model's vol without it, the mid's own error, and what a smile held in
    /// moneyness would have moved since the last one. `fresh` says that the quote is a new one:
    /// only then is something learned. What is not finite is ignored.
    pub fn observe(&mut self, seen: Seen, reversion: &mut Reversion) {
        let Seen { vol, model, noise, sticky, fresh } = seen;
        let finite = [vol, model, noise, sticky].iter().all(|own| own.is_finite());
        if !(finite && noise > 0.0) {
            return;
        }
        let off = vol - model;
        if !self.seen {
            *self = Self { fast: off, slow: off, surprise: 0.0, off: 0.0, vol, noise, seen: true };
            return;
        }
        if fresh {
            let features = [self.surprise, self.off, sticky].map(|own| own / self.noise);
            reversion.learn(features, (vol - self.vol) / self.noise);
        }
        let surprise = off - self.fast;
        let far = off - self.slow;
        // A wild surprise may be a bad quote: it is taken in as far as errors reach.
        let believed = |value: f64| value.clamp(-CLIP * noise, CLIP * noise);
        *self = Self {
            fast: self.fast + FAST * believed(surprise),
            slow: self.slow + SLOW * believed(far),
            surprise,
            off: far,
            vol,
            noise,
            seen: true,
        };
    }
}

/// One look at a contract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Vol of the mid.
    pub vol: f64,
    /// Vol by the others.
    pub model: f64,
    /// Standard error of the mid's vol.
    pub noise: f64,
    /// Move of vol at this strike since the last look, had the smile kept its place in moneyness.
    pub sticky: f64,
    /// The quote is a new one.
    pub fresh: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: f64 = 0.001;

    /// Quotes of a contract that is 0.01 above the model, `wobble` added, forward moving the smile.
    fn quoted(
        count: usize,
        wobble: impl Fn(usize) -> f64,
        sticky: impl Fn(usize) -> f64,
    ) -> (Persistence, Reversion) {
        let (mut memory, mut reversion) = (Persistence::default(), Reversion::default());
        for minute in 0..count {
            reversion.settle();
            let vol = 0.21 + wobble(minute);
            let sticky = sticky(minute);
            let seen = Seen { vol, model: 0.20, noise: NOISE, sticky, fresh: true };
            memory.observe(seen, &mut reversion);
        }
        reversion.settle();
        (memory, reversion)
    }

    #[test]
    fn bouncing_mids_are_foretold_to_come_back_and_resting_ones_to_rest() {
        let bounce = |at: usize| if at.is_multiple_of(2) { NOISE } else { -NOISE };
        let (memory, reversion) = quoted(900, bounce, |_| 0.0);
        // The last one, 899, was low.
        let foretold = memory.foretold(&reversion, 0.0).unwrap();
        assert!((foretold - (0.21 + NOISE)).abs() < 0.6 * NOISE, "{foretold} {reversion:?}");
        let (memory, reversion) = quoted(900, |_| 0.0, |_| 0.0);
        assert_eq!(memory.foretold(&reversion, 0.0), Some(0.21));
    }

    #[test]
    fn how_vol_follows_the_forward_is_learned() {
        // Moves that no memory of the past foretells, of two errors' size; 0.8 of them arrive.
        let moves: Vec<f64> = (0..900_u64)
            .map(|at| if at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 0 { 2.0 } else { -2.0 })
            .map(|own| own * NOISE)
            .collect();
        let place = |at: usize| 0.8 * moves[..=at].iter().sum::<f64>();
        let (_, reversion) = quoted(900, place, |at| moves[at]);
        assert!((reversion.coefficients()[2] - 0.8).abs() < 0.15, "{reversion:?}");
    }

    #[test]
    fn nothing_is_foretold_of_what_was_never_quoted_and_nonsense_is_ignored() {
        assert_eq!(Persistence::default().foretold(&Reversion::default(), 0.0), None);
        let (memory, mut reversion) = quoted(30, |_| 0.0, |_| 0.0);
        let mut same = memory;
        let nonsense = Seen { vol: f64::NAN, model: 0.2, noise: NOISE, sticky: 0.0, fresh: true };
        same.observe(nonsense, &mut reversion);
        assert_eq!(same, memory);
    }
}
