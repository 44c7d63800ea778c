//! How many lines a second the log takes of what strangers can cause; the rest is counted.
//!
//! Whoever connects, asks and vanishes in a loop writes lines into our log: without a bound the
//! disk is theirs. Not here: what is said, and to whom (server).

use market::time::ProcessTime;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(1);

/// Admits so many lines in each second.
#[derive(Clone, Debug)]
pub struct LogPace {
    most: u32,
    began: ProcessTime,
    said: u32,
    left_out: u64,
}

impl LogPace {
    /// For `most` lines a second.
    #[must_use]
    pub const fn new(most: u32) -> Self {
        Self { most, began: ProcessTime::ZERO, said: 0, left_out: 0 }
    }

    /// Whether a line may be said now: then how many were left out since the last one, which is to
    /// be said with it.
    pub fn admit(&mut self, now: ProcessTime) -> Option<u64> {
        if now.since(self.began) >= WINDOW {
            (self.began, self.said) = (now, 0);
        }
        if self.said >= self.most {
            self.left_out += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_beyond_the_pace_is_counted_and_told_with_the_next_line() {
        let mut pace = LogPace::new(2);
        let at = |milliseconds: u64| ProcessTime::from_nanos(milliseconds * 1_000_000);
        let said: Vec<_> = [0, 1, 2, 3, 999].map(|when| pace.admit(at(when))).into();
        assert_eq!(said, [Some(0), Some(0), None, None, None]);
        assert_eq!(pace.admit(at(1_000)), Some(3));
        assert_eq!(pace.admit(at(1_001)), Some(0));
    }

    proptest! {
        #[test]
        fn every_line_is_said_or_counted_and_no_second_has_too_many(
            gaps in prop::collection::vec(0..600_u64, 1..200),
            most in 1..5_u32,
        ) {
            let mut pace = LogPace::new(most);
            let (mut now, mut said, mut told) = (0, Vec::new(), 0);
            for gap in &gaps {
                now += gap;
                if let Some(left_out) = pace.admit(ProcessTime::from_nanos(now * 1_000_000)) {
                    said.push(now);
                    told += left_out;
                }
            }
            prop_assert_eq!(said.len() as u64 + told + pace.left_out, gaps.len() as u64);
            // Windows follow one another, so any one second touches two of them at most.
            for begin in &said {
                let within = said.iter().filter(|one| **one >= *begin && **one < begin + 1_000);
                prop_assert!(within.count() <= 2 * most as usize);
            }
        }
    }
}
