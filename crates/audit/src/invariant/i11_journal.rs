//! I11: the journal has no gap and its chain verifies.
//!
//! The chain itself is verified by the store; its verdict is told here. A record of a known kind
//! that can't be read is a gap to every reader, so it counts as one.

use super::Check;
use crate::report::{Invariant, Place, Tally};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct JournalWhole {
    last: Option<(u64, u32)>,
}

const I11: Invariant = Invariant::I11;

impl JournalWhole {
    /// The next record in order; answers whether it is new (a repeated one is not folded again).
    pub fn on_record(&mut self, seq: u64, epoch: u32, place: Place, tally: &mut Tally) -> bool {
        let Some((last_seq, last_epoch)) = self.last else {
            self.last = Some((seq, epoch));
            tally.check(I11, place, true, String::new);
            return true;
        };
        let next = last_seq.checked_add(1) == Some(seq);
        tally.check(I11, place, next, || format!("record {seq} follows record {last_seq}"));
        tally.check(I11, place, epoch >= last_epoch, || {
            format!("record {seq} is of epoch {epoch}, behind one of epoch {last_epoch}")
        });
        self.last = Some((seq.max(last_seq), epoch.max(last_epoch)));
        seq > last_seq
    }

    /// A record that can't be read.
    pub fn on_unreadable(&self, place: Place, why: &str, tally: &mut Tally) {
        tally.check(I11, place, false, || format!("a record can't be read: {why}"));
    }

    /// The store's verdict on the chain.
    pub fn on_chain_verified(&self, verified: bool, tally: &mut Tally) {
        let place = Place { seq: self.last.map(|last| last.0), ..Place::default() };
        tally.check(I11, place, verified, || "the journal's chain does not verify".to_owned());
    }

    /// The last record's number.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last.map_or(0, |last| last.0)
    }
}

impl Check for JournalWhole {}

#[cfg(test)]
mod tests {
    use crate::fact::Fact;
    use crate::report::Invariant;
    use crate::scene::{Scene, record};

    #[test]
    fn gapless_records_and_a_verified_chain_hold() {
        let mut scene = Scene::new();
        scene.restart();
        scene.auditor.on_chain_verified(true);
        scene.expect_held(&[Invariant::I11]);
    }

    #[test]
    fn gaps_repeats_and_older_epochs_are_red() {
        for (seq, epoch) in [(3, 1), (1, 1), (2, 0)] {
            let mut scene = Scene::new();
            scene.auditor.on_record(&record(seq, epoch, &Fact::Started {}));
            scene.expect_red(&[Invariant::I11]);
        }
    }

    #[test]
    fn a_broken_chain_is_red() {
        let mut scene = Scene::new();
        scene.auditor.on_chain_verified(false);
        scene.expect_red(&[Invariant::I11]);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_red_and_an_unknown_kind_is_counted() {
        let mut scene = Scene::new();
        let mut unknown = record(2, 1, &Fact::Started {});
        unknown.kind = 999;
        scene.auditor.on_record(&unknown);
        scene.expect_held(&[Invariant::I11]);
        assert_eq!(scene.auditor.report().unknown_kinds[&999], 1);
        let mut garbage = record(3, 1, &Fact::Started {});
        garbage.payload = vec![0xc1];
        scene.auditor.on_record(&garbage);
        scene.expect_red(&[Invariant::I11]);
    }
}
