//! I3: position = fills + lifecycle events (expiry, exercise, assignment, deliverable change); a
//! break against the broker is explained by a named event or keeps the contract ReduceOnly.
//!
//! A break that a reconciliation shows may be explained by what is recorded right behind it, so it
//! is judged at the next complete reconciliation; a break at a quiet point is judged at once.

use super::{Books, Check};
use crate::fact::{Fact, Reconciliation};
use crate::report::{Invariant, Place, Tally};
use crate::truth::VenueTruth;
use market::instrument::ConId;
use std::collections::{BTreeMap, BTreeSet};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct PositionsFollow {
    breaks: BTreeSet<ConId>,
}

const I3: Invariant = Invariant::I3;

/// Instruments whose position differs from the broker's, with both figures.
fn differences(books: &Books, theirs: &BTreeMap<ConId, i64>) -> Vec<(ConId, i128, i128)> {
    let known: BTreeSet<ConId> =
        books.executions.instruments().chain(theirs.keys().copied()).collect();
    let figures = known.into_iter().map(|con_id| {
        let broker = i128::from(theirs.get(&con_id).copied().unwrap_or(0));
        (con_id, books.executions.position(con_id), broker)
    });
    figures.filter(|(_, ours, broker)| ours != broker).collect()
}

impl PositionsFollow {
    fn reconciled(
        &mut self,
        books: &Books,
        place: Place,
        report: &Reconciliation,
        tally: &mut Tally,
    ) {
        if !report.complete || !books.from_the_start {
            return;
        }
        let theirs = report.positions.iter().copied().collect();
        let differing = differences(books, &theirs);
        let unexplained: Vec<_> =
            differing.iter().filter(|(con_id, ..)| !books.restricted.contains(con_id)).collect();
        let standing =
            unexplained.iter().find(|(con_id, ..)| self.breaks.contains(con_id)).copied();
        tally.check(I3, place, standing.is_none(), || break_sentence(standing));
        self.breaks = unexplained.iter().map(|(con_id, ..)| *con_id).collect();
    }
}

fn break_sentence(found: Option<&(ConId, i128, i128)>) -> String {
    found.map_or_else(String::new, |(con_id, ours, theirs)| {
        format!(
            "position of {con_id} is {ours} by fills and events, {theirs} by the broker, and the \
             contract is not restricted"
        )
    })
}

impl Check for PositionsFollow {
    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        match fact {
            Fact::Lifecycle { event, .. } => {
                let new = !books.executions.has_lifecycle(&event.id);
                tally.check(I3, place, new, || format!("event {} is recorded twice", event.id));
            }
            Fact::Reconciled { report } => self.reconciled(books, place, report, tally),
            _ => {}
        }
    }

    fn on_truth(&mut self, books: &Books, truth: &VenueTruth, place: Place, tally: &mut Tally) {
        if !books.from_the_start {
            return;
        }
        let differing = differences(books, &truth.positions);
        let found = differing.iter().find(|(con_id, ..)| !books.restricted.contains(con_id));
        tally.check(I3, place, found.is_none(), || break_sentence(found));
        // A restriction excuses a difference, not a named event that was never booked.
        let mut events = truth.position_events.iter();
        let missed = events.find(|id| !books.executions.has_lifecycle(id));
        tally.check(I3, place, missed.is_none(), || {
            let id = missed.map_or("", String::as_str);
            format!("event {id} of the venue moved a position and is not booked")
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::{Fact, LifecycleKind};
    use crate::report::Invariant;
    use crate::scene::{CALL, Scene};

    #[test]
    fn an_expiry_ends_a_position_once() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        scene.lifecycle("x1", LifecycleKind::Expired { con_id: CALL, quantity: 2 }, -2);
        scene.venue.positions.clear();
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_held(&[Invariant::I3]);
        scene.lifecycle("x1", LifecycleKind::Expired { con_id: CALL, quantity: 2 }, -2);
        scene.expect_red(&[Invariant::I3]);
    }

    #[test]
    fn a_dropped_lifecycle_event_is_red_unless_the_contract_is_restricted() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        scene.venue.positions.clear();
        scene.record(&Fact::ContractRestricted { con_id: CALL, restricted: true });
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_held(&[Invariant::I3]);
        scene.record(&Fact::ContractRestricted { con_id: CALL, restricted: false });
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_red(&[Invariant::I3]);
    }

    #[test]
    fn a_break_that_stands_over_two_reconciliations_is_red() {
        let mut scene = Scene::new();
        scene.trade_whole(1, 2);
        scene.reconcile(&[], 1);
        scene.expect_held(&[Invariant::I3]);
        scene.venue.positions.clear();
        scene.reconcile(&[], 1);
        scene.expect_held(&[Invariant::I3]);
        scene.reconcile(&[], 1);
        scene.expect_red(&[Invariant::I3]);
    }
}
