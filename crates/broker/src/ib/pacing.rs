//! Under the broker's limit of 50 messages a second: a bucket of tokens with three lanes.
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

/// Tokens that are there at most. With [`PER_SECOND`] no window of a second sees more than 48.
const BURST: u64 = 16;
/// Tokens that come back in a second.
const PER_SECOND: u64 = 32;
/// Tokens are counted in billionths: a nanosecond brings [`PER_SECOND`] of them.
const TOKEN: u64 = 1_000_000_000;

impl Lane {
    /// What it must leave in the bucket.
    const fn leaves(self) -> u64 {
        match self {
            Self::Cancel => 0,
            Self::Order => 4,
            Self::Data => 8,
        }
    }
}

/// The bucket.
#[derive(Clone, Debug)]
pub struct Pacing {
    billionths: u64,
    refilled: ProcessTime,
}

impl Pacing {
    /// A full bucket.
    #[must_use]
    pub const fn new(now: ProcessTime) -> Self {
        Self { billionths: BURST * TOKEN, refilled: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long to wait if there is none for this lane.
    pub fn take(&mut self, lane: Lane, now: ProcessTime) -> Result<(), Duration> {
        let passed = u64::try_from(now.since(self.refilled).as_nanos()).unwrap_or(u64::MAX);
        self.refilled = self.refilled.max(now);
        let grown = self.billionths.saturating_add(passed.saturating_mul(PER_SECOND));
        self.billionths = grown.min(BURST * TOKEN);
        let needed = (lane.leaves() + 1) * TOKEN;
        if self.billionths < needed {
            let missing = needed - self.billionths;
            return Err(Duration::from_nanos(missing.div_ceil(PER_SECOND)));
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
        let mut pacing = Pacing::new(at(0));
        let mut taken = |lane| (0..100).take_while(|_| pacing.take(lane, at(0)).is_ok()).count();
        assert_eq!((taken(Lane::Data), taken(Lane::Order), taken(Lane::Cancel)), (8, 4, 4));
    }

    fn lane() -> impl Strategy<Value = Lane> {
        prop_oneof![Just(Lane::Cancel), Just(Lane::Order), Just(Lane::Data)]
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_limit(
            asked in proptest::collection::vec((lane(), 0_u64..40), 1..400)
        ) {
            let mut pacing = Pacing::new(at(0));
            let (mut now, mut passed) = (0, Vec::new());
            for (lane, wait) in asked {
                now += wait;
                if pacing.take(lane, at(now)).is_ok() {
                    passed.push(now);
                }
            }
            for (first, start) in passed.iter().enumerate() {
                let within = passed[first..].iter().take_while(|each| **each < start + 1_000);
                prop_assert!(within.count() < 50);
            }
        }

        #[test]
        fn whoever_waits_as_long_as_told_gets_a_token(lane in lane(), used in 0_usize..30) {
            let mut pacing = Pacing::new(at(0));
            for _ in 0..used {
                let _ = pacing.take(Lane::Cancel, at(0));
            }
            if let Err(wait) = pacing.take(lane, at(0)) {
                prop_assert_eq!(pacing.take(lane, at(0) + wait), Ok(()));
            }
        }
    }
}
