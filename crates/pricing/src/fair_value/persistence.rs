//! How far a contract's own quotes keep away from what the others say, remembered.
//!
//! Exists for predictions: a maker's skew in one contract outlasts the minute, so the next quote is
//! better foretold with it. A contract's memory is a level that takes in each surprise by a gain; how
//! much of a surprise stays and how much is gone at the next quote is learned from the quotes
//! themselves ([`Reversion`]), by regression of the next change on the last surprise, for all
//! contracts that share it. A gain of one believes the last quote, a small one the others.
//!
//! It is not for the collar: a quote that is wrong for long would come to vouch for itself.

use serde::{Deserialize, Serialize};

/// Surprises and changes count at most this often the quote's own error.
const CLIP: f64 = 4.0;
/// Standardised surprises that the first guess, a gain of one, is worth.
const PRIOR_SQUARES: f64 = 50.0;
/// Weight that is kept from one moment to the next.
const KEPT: f64 = 0.99;
const GAIN_LEAST: f64 = 0.05;

/// How much of a surprise is gone at the next quote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reversion {
    products: f64,
    squares: f64,
}

impl Reversion {
    /// The share of a surprise that stays.
    #[must_use]
    pub fn gain(&self) -> f64 {
        (1.0 + self.products / (self.squares + PRIOR_SQUARES)).clamp(GAIN_LEAST, 1.0)
    }

    /// Lets the past fade, once per moment.
    pub fn fade(&mut self) {
        self.products *= KEPT;
        self.squares *= KEPT;
    }

    fn learn(&mut self, surprise: f64, change: f64) {
        let (surprise, change) = (surprise.clamp(-CLIP, CLIP), change.clamp(-CLIP, CLIP));
        self.products += surprise * change;
        self.squares += surprise * surprise;
    }
}

/// The memory of one contract; in vol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Persistence {
    level: f64,
    surprise: f64,
    vol: f64,
    noise: f64,
    seen: bool,
}

impl Persistence {
    /// What to add to the model's vol.
    #[must_use]
    pub const fn level(&self) -> f64 {
        self.level
    }

    /// Takes a mid's vol, the model's vol without it, and the mid's own error. `fresh` says that the
    /// quote is a new one: only then is something learned about reversion. What is not finite is
    /// ignored.
    pub fn observe(
        &mut self,
        vol: f64,
        model: f64,
        noise: f64,
        fresh: bool,
        reversion: &mut Reversion,
    ) {
        if !(vol.is_finite() && model.is_finite() && noise.is_finite() && noise > 0.0) {
            return;
        }
        if !self.seen {
            *self = Self { level: vol - model, surprise: 0.0, vol, noise, seen: true };
            return;
        }
        if fresh {
            reversion.learn(self.surprise / self.noise, (vol - self.vol) / self.noise);
        }
        let surprise = vol - model - self.level;
        // A wild surprise may be a bad quote: it is taken in as far as errors reach.
        let believed = surprise.clamp(-CLIP * noise, CLIP * noise);
        let kept = if fresh { reversion.gain() } else { 1.0 };
        *self = Self { level: self.level + kept * believed, surprise, vol, noise, seen: true };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: f64 = 0.001;

    /// Quotes of a contract that is 0.01 above the model, `wobble` added.
    fn quoted(count: usize, wobble: impl Fn(usize) -> f64) -> (Persistence, Reversion) {
        let (mut memory, mut reversion) = (Persistence::default(), Reversion::default());
        for minute in 0..count {
            reversion.fade();
            memory.observe(0.21 + wobble(minute), 0.20, NOISE, true, &mut reversion);
        }
        (memory, reversion)
    }

    #[test]
    fn bouncing_mids_are_averaged_and_walking_ones_followed() {
        let (memory, reversion) = quoted(900, |at| if at % 2 == 0 { NOISE } else { -NOISE });
        assert!(reversion.gain() < 0.5, "{reversion:?}");
        assert!((memory.level() - 0.01).abs() < 0.6 * NOISE, "{memory:?}");
        let (memory, reversion) = quoted(900, |at| 0.2 * NOISE * at as f64);
        assert_eq!(reversion.gain(), 1.0);
        assert!((memory.level() - (0.01 + 0.2 * NOISE * 899.0)).abs() < 1e-9);
    }

    #[test]
    fn one_wild_quote_moves_a_memory_by_its_errors_at_most() {
        let (mut memory, mut reversion) = quoted(30, |_| 0.0);
        let before = memory.level();
        memory.observe(9.0, 0.2, NOISE, true, &mut reversion);
        assert!((memory.level() - before).abs() <= CLIP * NOISE + 1e-12);
        let before = memory;
        memory.observe(f64::NAN, 0.2, NOISE, true, &mut reversion);
        assert_eq!(memory, before);
    }
}
