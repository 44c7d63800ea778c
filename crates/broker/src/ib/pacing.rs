//! Under the broker's limit of messages a second (50 for most accounts; half of the account's lines
//! of market data): a bucket of tokens with three lanes.
//!
//! Cancels may take the last token, orders leave some for cancels, and data leaves some for both.
//! Beyond the limit the broker answers 100 and in the end drops the socket, with orders working.

use market::time::ProcessTime;
use std::time::Duration;

/// Who wants to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Cancels.
    Cancel,
    /// New and modified orders.
    Order,
    /// Questions, subscriptions, heartbeats.
    Data,
}

/// Of fifty messages allowed, tokens that are there at most. With [`PER_SECOND_OF_50`] no window of
/// a second sees more than 48 of 50.
const BURST_OF_50: u64 = 16;
/// Of fifty messages allowed, tokens that come back in a second.
const PER_SECOND_OF_50: u64 = 32;
/// Tokens are counted in billionths: a nanosecond brings so many as come back in a second.
const TOKEN: u64 = 1_000_000_000;

impl Lane {
    /// What it must leave of a full bucket.
    const fn leaves(self, burst: u64) -> u64 {
        match self {
            Self::Cancel => 0,
            Self::Order => burst / 4,
            Self::Data => burst / 2,
        }
    }
}

/// The bucket.
#[derive(Clone, Debug)]
pub struct Pacing {
    burst: u64,
    per_second: u64,
    billionths: u64,
    refilled: ProcessTime,
}

impl Pacing {
    /// A full bucket, for a broker that takes `allowed` messages a second, of which it needs 4 to
    /// be of use.
    #[must_use]
    pub fn new(allowed: u32, now: ProcessTime) -> Self {
        let share = |of_50: u64| (u64::from(allowed) * of_50 / 50).max(1);
        let (burst, per_second) = (share(BURST_OF_50), share(PER_SECOND_OF_50));
        Self { burst, per_second, billionths: burst * TOKEN, refilled: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long to wait if there is none for this lane.
    pub fn take(&mut self, lane: Lane, now: ProcessTime) -> Result<(), Duration> {
        let passed = u64::try_from(now.since(self.refilled).as_nanos()).unwrap_or(u64::MAX);
        self.refilled = self.refilled.max(now);
        let grown = self.billionths.saturating_add(passed.saturating_mul(self.per_second));
        self.billionths = grown.min(self.burst * TOKEN);
        let needed = (lane.leaves(self.burst) + 1) * TOKEN;
        if self.billionths < needed {
            let missing = needed - self.billionths;
            return Err(Duration::from_nanos(missing.div_ceil(self.per_second)));
        }
        self.billionths -= TOKEN;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> ProcessTime {
        ProcessTime::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn data_leaves_room_for_orders_and_orders_for_cancels() {
        let mut pacing = Pacing::new(50, at(0));
        let mut taken = |lane| (0..100).take_while(|_| pacing.take(lane, at(0)).is_ok()).count();
        assert_eq!((taken(Lane::Data), taken(Lane::Order), taken(Lane::Cancel)), (8, 4, 4));
    }

    fn lane() -> impl Strategy<Value = Lane> {
        prop_oneof![Just(Lane::Cancel), Just(Lane::Order), Just(Lane::Data)]
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_limit(
            allowed in 4_u32..1_000,
            asked in proptest::collection::vec((lane(), 0_u64..40), 1..400)
        ) {
            let mut pacing = Pacing::new(allowed, at(0));
            let (mut now, mut passed) = (0, Vec::new());
            for (lane, wait) in asked {
                now += wait;
                if pacing.take(lane, at(now)).is_ok() {
                    passed.push(now);
                }
            }
            for (first, start) in passed.iter().enumerate() {
                let within = passed[first..].iter().take_while(|each| **each < start + 1_000);
                prop_assert!(within.count() < allowed as usize);
            }
        }

        #[test]
        fn whoever_waits_as_long_as_told_gets_a_token(lane in lane(), used in 0_usize..30) {
            let mut pacing = Pacing::new(50, at(0));
            for _ in 0..used {
                let _ = pacing.take(Lane::Cancel, at(0));
            }
            if let Err(wait) = pacing.take(lane, at(0)) {
                prop_assert_eq!(pacing.take(lane, at(0) + wait), Ok(()));
            }
        }
    }
}
