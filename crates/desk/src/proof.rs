//! When the live state is compared with the fold of the journal again.
//!
//! A comparison walks through every order and execution. It waits until the records since the last
//! one are a share of those, or an hour has passed: so its cost per record stays the same however
//! long the history is.

use market::time::ProcessTime;
use std::time::Duration;

/// One new record for so many orders and executions.
const SHARE: u64 = 16;
/// However few the new records are.
const AT_LEAST_EVERY: Duration = Duration::from_secs(3_600);

/// When the last comparison was, and up to which record.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProofSchedule {
    last: Option<(u64, ProcessTime)>,
}

impl ProofSchedule {
    /// Whether to compare now, with `newest` the last record and `size` orders and executions. It
    /// then counts as done.
    pub fn take_if_due(&mut self, newest: u64, size: u64, now: ProcessTime) -> bool {
        let due = self.last.is_none_or(|(record, at)| {
            let fresh = newest.saturating_sub(record);
            fresh > 0 && (fresh >= size / SHARE || now.since(at) >= AT_LEAST_EVERY)
        });
        if due {
            self.last = Some((newest, now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_after_a_share_of_the_history_or_an_hour_and_never_without_news() {
        let mut schedule = ProofSchedule::default();
        let start = ProcessTime::ZERO;
        assert!(schedule.take_if_due(7, 1_600, start), "the first");
        assert!(!schedule.take_if_due(106, 1_600, start), "99 of 100");
        assert!(schedule.take_if_due(107, 1_600, start));
        let hour = start + AT_LEAST_EVERY;
        assert!(!schedule.take_if_due(107, 1_600, hour), "nothing is new");
        assert!(schedule.take_if_due(108, 1_600, hour));
        assert!(schedule.take_if_due(109, 15, hour), "a young history: at every look");
    }
}
