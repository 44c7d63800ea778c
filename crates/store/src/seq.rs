//! Sequence numbers: the one order of everything that is in the journal.
//!
//! A number is a type of its own so that it is never mixed up with a count or a generation.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of a record in the journal. Numbers are gapless; the first record is 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first record: nothing has been written.
    pub const ZERO: Seq = Seq(0);

    /// The number that follows this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }

    /// The number before this one; [`Seq::ZERO`] stays where it is.
    #[must_use]
    pub fn previous(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The numbers that one append received, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    /// The number of the first record of the append.
    pub first: Seq,
    /// The number of its last record: the append is durable once the watermark is here.
    pub last: Seq,
}
