//! Which contracts have a line of market data: the account has a hundred or so, a chain has more.
//!
//! Pinned contracts (underlyings, positions, working orders) always have one, as far as there are
//! any; the rest take turns. A contract without a line isn't tradable, so turns cost only time.

use market::instrument::ConId;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The longest silence of a line that is waited for.
const SILENCE_MAX: Duration = Duration::from_secs(30 * 60);

/// How long a line may give no sign before it is opened anew: the deadline of an answer, then twice
/// as long each time it was silent before.
#[must_use]
pub fn patience(deadline: Duration, silent_before: u32) -> Duration {
    deadline.saturating_mul(1 << silent_before.min(16)).min(SILENCE_MAX)
}

/// What changes at a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Lines to close, before any is opened.
    pub close: Vec<ConId>,
    /// Lines to open.
    pub open: Vec<ConId>,
}

/// The budget.
#[derive(Clone, Debug)]
pub struct LineBudget {
    max: usize,
    pinned: BTreeSet<ConId>,
    /// Those that take turns, the next one first.
    waiting: VecDeque<ConId>,
    open: BTreeSet<ConId>,
}

impl LineBudget {
    /// A budget of `max` lines.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { max, pinned: BTreeSet::new(), waiting: VecDeque::new(), open: BTreeSet::new() }
    }

    /// Wants lines for exactly these, the pinned ones always; answers what to close and to open.
    pub fn want(&mut self, pinned: &BTreeSet<ConId>, others: &[ConId]) -> Turn {
        self.pinned.clone_from(pinned);
        let wanted: BTreeSet<ConId> =
            others.iter().copied().filter(|con_id| !pinned.contains(con_id)).collect();
        self.waiting.retain(|con_id| wanted.contains(con_id));
        let known: BTreeSet<ConId> = self.waiting.iter().copied().collect();
        let mut seen = BTreeSet::new();
        for con_id in others {
            if wanted.contains(con_id) && !known.contains(con_id) && seen.insert(*con_id) {
                self.waiting.push_back(*con_id);
            }
        }
        self.settle()
    }

    /// The turn of the next `share` that have none.
    pub fn rotate(&mut self, share: usize) -> Turn {
        let room = self.max.saturating_sub(self.pinned.len());
        if self.waiting.len() > room {
            self.waiting.rotate_left(share.min(room).min(self.waiting.len()));
        }
        self.settle()
    }

    /// These have been closed without a turn: they may be opened again.
    pub fn forget(&mut self, closed: &BTreeSet<ConId>) {
        self.open.retain(|con_id| !closed.contains(con_id));
    }

    /// The lines that are open.
    #[must_use]
    pub const fn open(&self) -> &BTreeSet<ConId> {
        &self.open
    }

    fn settle(&mut self) -> Turn {
        let pinned = self.pinned.iter();
        let due: BTreeSet<ConId> = pinned.chain(&self.waiting).copied().take(self.max).collect();
        let turn = Turn {
            close: self.open.difference(&due).copied().collect(),
            open: due.difference(&self.open).copied().collect(),
        };
        self.open = due;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(range: std::ops::Range<u32>) -> Vec<ConId> {
        range.map(ConId).collect()
    }

    #[test]
    fn everyone_gets_a_turn_and_the_pinned_keep_theirs() {
        let mut budget = LineBudget::new(10);
        let pinned: BTreeSet<ConId> = ids(0..3).into_iter().collect();
        let mut seen: BTreeSet<ConId> =
            budget.want(&pinned, &ids(0..40)).open.into_iter().collect();
        for _ in 0..10 {
            let turn = budget.rotate(5);
            assert_eq!((turn.close.len(), turn.open.len()), (5, 5));
            assert!(pinned.is_subset(budget.open()));
            seen.extend(turn.open);
        }
        assert_eq!(seen.len(), 40);
    }

    #[test]
    fn a_silent_line_is_waited_for_twice_as_long_each_time_half_an_hour_at_most() {
        let waits =
            [0, 1, 2, 7, 8, u32::MAX].map(|before| patience(Duration::from_secs(8), before));
        assert_eq!(waits.map(|wait| wait.as_secs()), [8, 16, 32, 1_024, 1_800, 1_800]);
    }

    #[test]
    fn what_fits_never_rotates() {
        let mut budget = LineBudget::new(10);
        let _ = budget.want(&BTreeSet::new(), &ids(0..10));
        assert_eq!(budget.rotate(5), Turn::default());
    }

    proptest! {
        #[test]
        fn never_more_lines_than_the_account_has(
            max in 0_usize..20,
            steps in proptest::collection::vec((0_u32..10, 0_u32..40, 0_usize..12), 1..30),
        ) {
            let mut budget = LineBudget::new(max);
            let mut open = BTreeSet::new();
            for (pins, others, share) in steps {
                let pinned: BTreeSet<ConId> = ids(0..pins).into_iter().collect();
                for turns in [false, true] {
                    let turn = if turns {
                        budget.rotate(share)
                    } else {
                        budget.want(&pinned, &ids(0..others))
                    };
                    for con_id in turn.close {
                        prop_assert!(open.remove(&con_id));
                    }
                    for con_id in turn.open {
                        prop_assert!(open.insert(con_id));
                    }
                    prop_assert!(open.len() <= max);
                    prop_assert_eq!(&open, budget.open());
                }
            }
        }
    }
}
