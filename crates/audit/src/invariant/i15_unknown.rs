//! I15: a send without an answer is Unknown; it is resolved by the rule of section 7, never by
//! guessing, never by sending again.
//!
//! Proof of absence is two reconciliations within one link generation, far enough apart, in which
//! every question was answered and that both lack the order, since it became Unknown; a
//! reconciliation that is recorded right behind the verdict counts as one of them. The end of a
//! time in force is taken from the record's word: the auditor has no exchange calendar.

use super::{Books, Check, Received};
use crate::fact::{Fact, Reconciliation, TimeInForce};
use crate::orders::{Phase, Tracked};
use crate::report::{Invariant, Place, Tally};
use crate::truth::VenueTruth;
use crate::wire::WireEvent;
use market::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The reconciliations that lacked an Unknown order, within one link generation.
#[derive(Clone, Copy, Debug)]
struct Absence {
    link_generation: u32,
    first: Timestamp,
    last: Timestamp,
    rounds: u32,
}

/// A verdict that may still get its second proof from the record right behind it.
#[derive(Clone, Debug)]
struct Verdict {
    reference: String,
    place: Place,
}

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct UnknownByTheRule {
    absent: BTreeMap<String, Absence>,
    verdicts: Vec<Verdict>,
    ever_unknown: BTreeSet<String>,
    placed: BTreeSet<String>,
    /// The present process life, and its first record.
    life: u32,
    began: (u64, Timestamp),
}

const I15: Invariant = Invariant::I15;

/// A reconciliation that finds an order absent is recorded behind the verdict, within one handling.
const BEHIND: Duration = Duration::from_millis(100);

impl UnknownByTheRule {
    fn reconciled(&mut self, books: &Books, place: Place, report: &Reconciliation) {
        if !report.complete && !report.stirred {
            return;
        }
        let open: BTreeSet<&str> =
            report.open_orders.iter().map(|order| order.0.as_str()).collect();
        let judged = self.verdicts.iter().map(|verdict| verdict.reference.as_str());
        let unknown = books.orders.live().filter(|order| order.phase == Phase::Unknown);
        let candidates: Vec<String> = unknown
            .map(|order| order.reference.as_str())
            .chain(judged)
            .map(str::to_owned)
            .collect();
        for reference in candidates {
            if open.contains(reference.as_str()) {
                self.absent.remove(&reference);
                continue;
            }
            let fresh = Absence {
                link_generation: report.link_generation,
                first: place.time,
                last: place.time,
                rounds: 0,
            };
            let absence = self.absent.entry(reference).or_insert(fresh);
            if absence.link_generation != report.link_generation {
                *absence = fresh;
            }
            absence.last = place.time;
            absence.rounds += 1;
        }
    }

    fn proven(&self, settle: Duration, reference: &str) -> bool {
        self.absent.get(reference).is_some_and(|absence| {
            absence.rounds >= 2 && absence.last.since(absence.first) >= settle
        })
    }

    fn abandoned(
        &mut self,
        books: &Books,
        place: Place,
        (order, proof): (&Tracked, &str),
        tally: &mut Tally,
    ) {
        let unknown = order.phase == Phase::Unknown;
        tally.check(I15, place, unknown, || {
            format!("order {} was abandoned while it was {:?}", order.reference, order.phase)
        });
        let ended = order.order.time_in_force != TimeInForce::GoodTillCanceled
            && proof.contains("time in force");
        if ended || self.proven(books.settings.unknown_settle, &order.reference) {
            tally.check(I15, place, true, String::new);
        } else {
            self.verdicts.push(Verdict { reference: order.reference.clone(), place });
        }
    }

    /// Judges the verdicts that are too old at `now` for a reconciliation to belong to them;
    /// without a time, all.
    pub fn settle(&mut self, books: &Books, now: Option<Timestamp>, tally: &mut Tally) {
        let settle = books.settings.unknown_settle;
        let (waiting, due): (Vec<_>, Vec<_>) = std::mem::take(&mut self.verdicts)
            .into_iter()
            .partition(|verdict| now.is_some_and(|now| now.since(verdict.place.time) <= BEHIND));
        self.verdicts = waiting;
        for Verdict { reference, place } in due {
            let rounds = self.absent.get(&reference).map_or(0, |absence| absence.rounds);
            tally.check(I15, place, self.proven(settle, &reference), || {
                format!(
                    "order {reference} was abandoned after {rounds} answered reconciliations \
                     without it in one link generation; it takes two, {} ms apart",
                    settle.as_millis()
                )
            });
            self.absent.remove(&reference);
        }
    }
}

impl Check for UnknownByTheRule {
    fn after(&mut self, books: &Books, _place: Place, fact: &Fact, tally: &mut Tally) {
        if let Fact::Reconciled { .. } = fact {
            self.settle(books, None, tally);
        }
    }

    fn before(&mut self, books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        self.settle(books, Some(place.time), tally);
        if books.epoch > self.life {
            self.life = books.epoch;
            self.began = (place.seq.unwrap_or_default(), place.time);
        }
        match fact {
            Fact::Unknown { order_id } => {
                if let Some(order) = books.orders.numbered(*order_id) {
                    let live = order.phase.is_live();
                    tally.check(I15, place, live, || {
                        format!("order {} became Unknown when it had ended", order.reference)
                    });
                    if order.phase != Phase::Unknown {
                        self.absent.remove(&order.reference);
                    }
                    self.ever_unknown.insert(order.reference.clone());
                }
            }
            Fact::Reconciled { report } => self.reconciled(books, place, report),
            Fact::Abandoned { order_id, proof } => {
                if let Some(order) = books.orders.numbered(*order_id) {
                    self.abandoned(books, place, (order, proof), tally);
                }
            }
            Fact::Sent { order_id, .. } => {
                if let Some(order) = books.orders.numbered(*order_id) {
                    let approved = order.versions.last().map_or(order.epoch, |last| last.epoch);
                    let same_life = approved == books.epoch;
                    tally.check(I15, place, same_life, || {
                        format!(
                            "order {} of process life {} was sent in life {}",
                            order.reference, approved, books.epoch
                        )
                    });
                }
            }
            _ => {}
        }
    }

    fn on_wire(&mut self, books: &Books, wire: &Received, tally: &mut Tally) {
        let WireEvent::Placed(placed) = &wire.event else {
            return;
        };
        let again = !self.placed.insert(placed.reference.clone());
        let Some(order) = books.orders.get(&placed.reference) else {
            return;
        };
        let doubtful = order.unknown_at.is_some();
        // The bytes of a life that ended are at the venue before the next one has its first record
        // durable, but for the way there.
        let after_restart = order.epoch < self.life
            && wire.durable_seq >= self.began.0
            && wire.place.time > self.began.1.plus(books.settings.wire_grace);
        let resent = doubtful && (again || after_restart);
        let never_left = order.phase == Phase::Refused;
        tally.check(I15, wire.place, !(never_left || resent), || {
            if never_left {
                format!("order {} is at the venue and was given up as unsent", order.reference)
            } else {
                format!("order {} was Unknown and was sent again", order.reference)
            }
        });
    }

    fn on_truth(&mut self, books: &Books, truth: &VenueTruth, place: Place, tally: &mut Tally) {
        self.settle(books, None, tally);
        let open: BTreeSet<&str> = truth.open_orders.iter().map(|order| order.0.as_str()).collect();
        for reference in &self.ever_unknown {
            let Some(order) = books.orders.get(reference) else {
                continue;
            };
            let handed_over =
                order.legs.iter().all(|(con_id, _)| books.restricted.contains(con_id));
            let resolved = order.phase != Phase::Unknown || handed_over;
            tally.check(I15, place, resolved, || {
                format!("order {reference} is still Unknown at a quiet point")
            });
            let guessed = order.phase == Phase::Abandoned && open.contains(reference.as_str());
            tally.check(I15, place, !guessed, || {
                format!("order {reference} was abandoned and works at the venue")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::Fact;
    use crate::report::Invariant;
    use crate::scene::{Scene, reference};
    use crate::settings::AuditSettings;
    use market::quote::Side;
    use std::time::Duration;

    fn abandoned(order_id: i64, proof: &str) -> Fact {
        Fact::Abandoned { order_id, proof: proof.to_owned() }
    }

    /// An order that was placed (or not) and whose fate is not known.
    fn unknown(settings: AuditSettings) -> (Scene, i64) {
        let mut scene = Scene::with(settings);
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.place(&order);
        scene.record(&Fact::Unknown { order_id: order.order_id });
        (scene, order.order_id)
    }

    #[test]
    fn absent_in_two_rounds_proves_it() {
        for behind in [false, true] {
            let (mut scene, order_id) = unknown(AuditSettings::default());
            scene.reconcile(&[], 1);
            if behind {
                scene.record(&abandoned(order_id, "absent twice"));
                scene.reconcile_at_once(&[], 1);
            } else {
                scene.reconcile(&[], 1);
                scene.record(&abandoned(order_id, "absent twice"));
            }
            scene.auditor.on_truth(&scene.venue.clone(), scene.now());
            scene.expect_held(&[Invariant::I15]);
        }
    }

    #[test]
    fn too_little_proof_is_red() {
        let present = reference(1);
        let rounds: [&[(&[&str], u32)]; 4] =
            [&[], &[(&[], 1)], &[(&[], 1), (&[], 2)], &[(&[], 1), (&[&present], 1), (&[], 1)]];
        for given in rounds {
            let (mut scene, order_id) = unknown(AuditSettings::default());
            for (open, generation) in given {
                scene.reconcile(open, *generation);
            }
            scene.record(&abandoned(order_id, "absent twice"));
            scene.auditor.on_truth(&scene.venue.clone(), scene.now());
            scene.expect_red(&[Invariant::I15]);
        }
    }

    #[test]
    fn rounds_too_close_together_are_red() {
        let unknown_settle = Duration::from_secs(3600);
        let settings = AuditSettings { unknown_settle, ..AuditSettings::default() };
        let (mut scene, order_id) = unknown(settings);
        scene.reconcile(&[], 1);
        scene.reconcile(&[], 1);
        scene.record(&abandoned(order_id, "absent twice"));
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_red(&[Invariant::I15]);
    }

    #[test]
    fn the_end_of_its_time_in_force_proves_it() {
        let (mut scene, order_id) = unknown(AuditSettings::default());
        scene.record(&abandoned(order_id, "its time in force ended"));
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_held(&[Invariant::I15]);
    }

    #[test]
    fn sending_again_is_red() {
        let (mut scene, order_id) = unknown(AuditSettings::default());
        scene.restart();
        scene.record(&Fact::Sent { order_id, hash: "hash 1".to_owned() });
        scene.expect_red(&[Invariant::I15]);
        let (mut scene, _) = unknown(AuditSettings::default());
        let again = scene.wire_of(1);
        scene.place(&again);
        scene.expect_red(&[Invariant::I1, Invariant::I15]);
    }

    #[test]
    fn sending_what_an_earlier_life_left_unknown_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.restart();
        scene.record(&Fact::Unknown { order_id: order.order_id });
        scene.tick();
        scene.place(&order);
        scene.expect_red(&[Invariant::I15]);
    }

    #[test]
    fn an_order_that_stays_unknown_is_red() {
        let (scene, _) = unknown(AuditSettings::default());
        let mut auditor = scene.auditor.clone();
        auditor.on_truth(&scene.venue, scene.now());
        assert!(!auditor.report().held(Invariant::I15));
    }

    #[test]
    fn an_abandoned_order_that_works_is_red() {
        let (mut scene, order_id) = unknown(AuditSettings::default());
        scene.reconcile(&[], 1);
        scene.reconcile(&[], 1);
        scene.record(&abandoned(order_id, "absent twice"));
        scene.venue.open_orders = vec![(reference(1), 7)];
        scene.auditor.on_truth(&scene.venue.clone(), scene.now());
        scene.expect_red(&[Invariant::I15]);
    }
}
