//! Whether a market data line counts as live: confirmed so in its present generation, and quoted
//! within it.
//!
//! A line that loses its subscription, its connection or its farm says nothing any more, so its
//! loss has to be heard of by itself ([`Standings::take_changed`]): its last quote would look as
//! good as ever. Each loss begins a new generation, in which the quotes from before count no more,
//! though the line be confirmed again.
//!
//! Not here: whether a quote is sound (quality), whether it is still true (valuation).

use crate::quote::DataType;

/// One line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    confirmed: Option<DataType>,
    generation: u32,
}

impl Standing {
    /// Whether the line is live, given the generation that its last quote came in.
    #[must_use]
    pub fn is_live(self, quoted_in: u32) -> bool {
        self.confirmed == Some(DataType::Live) && quoted_in == self.generation
    }

    /// Rises whenever the line ceases to be live: the quotes from before say nothing any more.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// All lines of one subscription, numbered from 0.
#[derive(Clone, Debug)]
pub struct Standings {
    lines: Vec<Standing>,
    changed: Vec<usize>,
    is_changed: Vec<bool>,
}

impl Standings {
    /// So many lines, none of them confirmed.
    #[must_use]
    pub fn new(lines: usize) -> Self {
        Self {
            lines: vec![Standing::default(); lines],
            changed: Vec::new(),
            is_changed: vec![false; lines],
        }
    }

    /// A line delivers this type of data from now on; a line that doesn't exist is left alone.
    pub fn told(&mut self, line: usize, data: DataType) {
        let Some(standing) = self.lines.get_mut(line) else { return };
        standing.confirmed = Some(data);
        if data != DataType::Live {
            standing.generation = standing.generation.wrapping_add(1);
        }
        if !std::mem::replace(&mut self.is_changed[line], true) {
            self.changed.push(line);
        }
    }

    /// Where a line stands.
    #[must_use]
    pub fn get(&self, line: usize) -> Standing {
        self.lines.get(line).copied().unwrap_or_default()
    }

    /// Puts the lines that were told something since the last call into `into`, each with where it
    /// stands.
    pub fn take_changed(&mut self, into: &mut Vec<(usize, Standing)>) {
        into.clear();
        for line in self.changed.drain(..) {
            self.is_changed[line] = false;
            into.push((line, self.lines[line]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_live_once_confirmed_and_quoted_in_either_order() {
        let mut standings = Standings::new(1);
        let quoted_in = standings.get(0).generation();
        assert!(!standings.get(0).is_live(quoted_in), "it isn't confirmed");
        standings.told(0, DataType::Live);
        assert!(standings.get(0).is_live(quoted_in));
    }

    #[test]
    fn what_was_quoted_before_a_loss_is_not_live_after_it() {
        let mut standings = Standings::new(1);
        standings.told(0, DataType::Live);
        let quoted_in = standings.get(0).generation();
        standings.told(0, DataType::Frozen);
        assert!(!standings.get(0).is_live(quoted_in));
        standings.told(0, DataType::Live);
        assert!(!standings.get(0).is_live(quoted_in), "nothing was quoted since");
        assert!(standings.get(0).is_live(standings.get(0).generation()));
    }

    fn data() -> impl Strategy<Value = DataType> {
        prop_oneof![
            Just(DataType::Live),
            Just(DataType::Live),
            Just(DataType::Frozen),
            Just(DataType::Delayed),
            Just(DataType::DelayedFrozen)
        ]
    }

    proptest! {
        /// Against the plain rule: since the line's last word that wasn't "live" it was confirmed,
        /// and quoted.
        #[test]
        fn live_means_confirmed_and_quoted_since_the_last_loss(
            steps in proptest::collection::vec((0_usize..3, proptest::option::of(data())), 0..60)
        ) {
            let mut standings = Standings::new(3);
            let mut quoted_in = [None; 3];
            let (mut confirmed, mut quoted) = ([false; 3], [false; 3]);
            let mut told = Vec::new();
            for (line, step) in steps {
                match step {
                    None => {
                        quoted_in[line] = Some(standings.get(line).generation());
                        quoted[line] = true;
                    }
                    Some(data) => {
                        standings.told(line, data);
                        told.push(line);
                        confirmed[line] = data == DataType::Live;
                        quoted[line] &= data == DataType::Live;
                    }
                }
                for line in 0..3 {
                    let live = quoted_in[line].is_some_and(|at| standings.get(line).is_live(at));
                    prop_assert_eq!(live, confirmed[line] && quoted[line]);
                }
            }
            let mut changed = Vec::new();
            standings.take_changed(&mut changed);
            let mut lines: Vec<usize> = changed.iter().map(|(line, _)| *line).collect();
            lines.sort_unstable();
            told.sort_unstable();
            told.dedup();
            prop_assert_eq!(lines, told);
            standings.take_changed(&mut changed);
            prop_assert!(changed.is_empty());
        }
    }
}
