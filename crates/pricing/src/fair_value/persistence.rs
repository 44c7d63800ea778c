//! How far a contract's own quotes keep away from what the others say, remembered.
//!
//! Exists for predictions: a market maker's skew in one contract outlasts the minute, so the next
//! quote is better foretold with it. A local-level filter (Harvey 1989, chapter 2): the deviation
//! walks at random, each mid shows it with noise. It is not for the collar: a quote that is wrong
//! for long would come to vouch for itself.

use serde::{Deserialize, Serialize};

/// What shapes the memory; in vol.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PersistenceSettings {
    /// Deviation of the walk over a minute, as a share of the quote's own error.
    pub walk_share: f64,
    /// Deviations of a surprise from the memory beyond which it is believed less.
    pub cutoff: f64,
}

impl Default for PersistenceSettings {
    fn default() -> Self {
        Self { walk_share: 0.5, cutoff: 3.0 }
    }
}

/// The memory of one contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Persistence {
    /// Expected deviation of the contract's mid from the model without it, in vol.
    level: f64,
    /// Variance of that; zero before the first quote.
    variance: f64,
    seen: u32,
}

impl Persistence {
    /// What to add to the model's vol.
    #[must_use]
    pub const fn level(&self) -> f64 {
        self.level
    }

    /// Takes a mid's deviation from the model without it, `minutes` after the last one, seen with
    /// `noise` (standard deviation). What is not finite is ignored.
    pub fn observe(
        &mut self,
        deviation: f64,
        noise: f64,
        minutes: f64,
        settings: &PersistenceSettings,
    ) {
        let usable = deviation.is_finite() && noise.is_finite() && noise > 0.0 && minutes >= 0.0;
        if !usable {
            return;
        }
        if self.seen == 0 {
            *self = Self { level: deviation, variance: noise * noise, seen: 1 };
            return;
        }
        let walk = settings.walk_share * noise;
        let before = self.variance + walk * walk * minutes.min(60.0);
        let surprise = deviation - self.level;
        let size = surprise.abs() / (before + noise * noise).sqrt();
        let doubt = (size / settings.cutoff).max(1.0);
        let noise = noise * doubt;
        let gain = before / (before + noise * noise);
        self.level += gain * surprise;
        self.variance = before * (1.0 - gain);
        self.seen = self.seen.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_deviation_is_learned_and_one_wild_quote_is_not() {
        let settings = PersistenceSettings::default();
        let mut memory = Persistence::default();
        assert_eq!(memory.level(), 0.0);
        for minute in 0..30 {
            let wobble = if minute % 2 == 0 { 0.001 } else { -0.001 };
            memory.observe(0.01 + wobble, 0.001, 1.0, &settings);
        }
        assert!((memory.level() - 0.01).abs() < 0.0006, "{memory:?}");
        let before = memory.level();
        memory.observe(5.0, 0.001, 1.0, &settings);
        assert!((memory.level() - before).abs() < 0.001, "{memory:?}");
        memory.observe(f64::NAN, 0.001, 1.0, &settings);
        assert!(memory.level().is_finite());
    }
}
