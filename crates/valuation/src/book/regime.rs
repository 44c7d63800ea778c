//! The regime: how fast the first underlying moves, what its options imply, how fresh the data is.
//!
//! Realised volatility is exponentially weighted over returns of the mid, sampled once per minute
//! of market time (RiskMetrics 1996, about a mean of zero). Verdicts on it are left to cognition.

use market::time::Timestamp;

const NANOS_PER_MINUTE: i64 = 60_000_000_000;
/// A longer silence is a break in trading: its return says nothing about the pace of trading.
const LONGEST_GAP_MINUTES: i64 = 5;
/// Below so many minutes of returns the estimate is noise.
const FEWEST_RETURNS: u32 = 5;

/// The realised volatility of one series of mids.
#[derive(Clone, Debug)]
pub(super) struct RealisedVol {
    decay: f64,
    minutes_per_year: f64,
    last: Option<(i64, f64)>,
    squares: f64,
    weights: f64,
    returns: u32,
}

impl RealisedVol {
    pub(super) const fn new(decay: f64, minutes_per_year: f64) -> Self {
        Self { decay, minutes_per_year, last: None, squares: 0.0, weights: 0.0, returns: 0 }
    }

    /// Takes the mid of the moment; the first one of each minute counts.
    pub(super) fn sample(&mut self, now: Timestamp, mid: f64) {
        let minute = now.nanos().div_euclid(NANOS_PER_MINUTE);
        let Some((last_minute, last_mid)) = self.last else {
            self.last = Some((minute, mid));
            return;
        };
        let gap = minute - last_minute;
        if gap <= 0 {
            return;
        }
        self.last = Some((minute, mid));
        if gap > LONGEST_GAP_MINUTES {
            return;
        }
        let move_of_log = libm::log(mid / last_mid);
        for _ in 0..gap {
            self.squares = self.decay * self.squares + move_of_log * move_of_log / gap as f64;
            self.weights = self.decay * self.weights + 1.0;
            self.returns = self.returns.saturating_add(1);
        }
    }

    /// Goes on from an annual volatility that an earlier life of the book had published.
    pub(super) fn resume(&mut self, annual: f64) {
        if self.returns == 0 && annual.is_finite() {
            self.squares = annual * annual / self.minutes_per_year;
            self.weights = 1.0;
            self.returns = FEWEST_RETURNS;
        }
    }

    /// Annual volatility, once there are enough minutes.
    pub(super) fn annual(&self) -> Option<f64> {
        let vol = (self.squares / self.weights * self.minutes_per_year).sqrt();
        (self.returns >= FEWEST_RETURNS && vol.is_finite()).then_some(vol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn alternating_minutes_have_the_vol_written_on_paper_and_a_night_counts_for_nothing() {
        let mut vol = RealisedVol::new(0.97, 98_280.0);
        let mut now = Timestamp::from_seconds(0);
        for minute in 0..20 {
            vol.sample(now, if minute % 2 == 0 { 100.0 } else { 100.1 });
            now = now.plus(Duration::from_secs(60));
        }
        let expected = libm::log(1.001) * 98_280.0_f64.sqrt();
        assert!((vol.annual().unwrap() - expected).abs() < 1e-9);
        vol.sample(now.plus(Duration::from_secs(50_000)), 150.0);
        assert!((vol.annual().unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn a_restarted_book_goes_on_from_what_it_had_published() {
        let mut vol = RealisedVol::new(0.97, 98_280.0);
        vol.resume(0.25);
        assert!((vol.annual().unwrap() - 0.25).abs() < 1e-12);
        vol.resume(f64::NAN);
        assert!((vol.annual().unwrap() - 0.25).abs() < 1e-12);
    }

    #[test]
    fn a_few_minutes_are_no_estimate() {
        let mut vol = RealisedVol::new(0.97, 98_280.0);
        vol.sample(Timestamp::from_seconds(0), 100.0);
        vol.sample(Timestamp::from_seconds(60), 101.0);
        assert_eq!(vol.annual(), None);
    }
}
