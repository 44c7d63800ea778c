//! I13: after the last fault is lifted the node is reconciled within its budget, and trades only
//! then.
//!
//! The node counts as not ready until the first word about it. Evidence in the journal must agree:
//! no order is approved on a link that was not reconciled.

use super::{Books, Check, Received};
use crate::fact::Fact;
use crate::report::{Invariant, Place, Tally};
use crate::settings::AuditSettings;
use crate::wire::WireEvent;
use market::time::Timestamp;

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct ReadyInTime {
    ready: bool,
    not_ready_since: Option<Timestamp>,
    fault_lifted: Option<Timestamp>,
}

const I13: Invariant = Invariant::I13;

impl ReadyInTime {
    /// A fault begins: the clock stops.
    pub fn on_fault_injected(&mut self) {
        self.fault_lifted = None;
    }

    /// The last fault so far is lifted: the clock starts.
    pub fn on_fault_lifted(&mut self, now: Timestamp) {
        self.fault_lifted = Some(now);
    }

    /// The node is reconciled.
    pub fn on_ready(&mut self, settings: &AuditSettings, place: Place, tally: &mut Tally) {
        self.ready = true;
        if let Some(lifted) = self.fault_lifted.take() {
            in_budget(settings, lifted, place, tally);
        }
    }

    /// The node is no longer reconciled.
    pub fn on_not_ready(&mut self, now: Timestamp) {
        if self.ready || self.not_ready_since.is_none() {
            self.not_ready_since = Some(now);
        }
        self.ready = false;
    }

    /// The run ends: a fault that was lifted must have been overcome, or still have time.
    pub fn on_finished(&mut self, settings: &AuditSettings, place: Place, tally: &mut Tally) {
        let Some(lifted) = self.fault_lifted.take() else {
            return;
        };
        if self.ready {
            // The fault never took its readiness away.
            tally.check(I13, place, true, String::new);
        } else {
            in_budget(settings, lifted, place, tally);
        }
    }
}

fn in_budget(settings: &AuditSettings, lifted: Timestamp, place: Place, tally: &mut Tally) {
    let took = place.time.since(lifted);
    tally.check(I13, place, took <= settings.ready_budget, || {
        format!(
            "not ready until {} ms after the last fault was lifted, the budget is {} ms",
            took.as_millis(),
            settings.ready_budget.as_millis()
        )
    });
}

impl Check for ReadyInTime {
    fn before(&mut self, _books: &Books, place: Place, fact: &Fact, tally: &mut Tally) {
        if let Fact::IntentApproved(approved) | Fact::ModifyApproved(approved) = fact {
            tally.check(I13, place, approved.evidence.link_ready, || {
                format!("order {} was approved on a link that is not ready", approved.order.key)
            });
        }
    }

    fn on_arrival(&mut self, books: &Books, wire: &Received, tally: &mut Tally) {
        let (WireEvent::Placed(order) | WireEvent::Modified(order)) = &wire.event else {
            return;
        };
        let grace = books.settings.wire_grace;
        let under_way =
            self.not_ready_since.is_some_and(|since| wire.place.time <= since.plus(grace));
        let in_grace = under_way && !grace.is_zero();
        tally.check(I13, wire.place, self.ready || in_grace, || {
            format!("order {} reached the venue while the node was not ready", order.reference)
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::fact::Fact;
    use crate::report::Invariant;
    use crate::scene::{Scene, approved};
    use market::quote::Side;
    use market::time::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn ready_within_the_budget_holds() {
        let mut scene = Scene::new();
        scene.auditor.on_fault_injected(at(0));
        scene.auditor.on_not_ready(at(1));
        scene.auditor.on_fault_lifted(at(10));
        scene.auditor.on_ready(at(70));
        scene.auditor.on_finished(at(1000));
        scene.expect_held(&[Invariant::I13]);
    }

    #[test]
    fn late_or_never_ready_is_red() {
        for comes in [true, false] {
            let mut scene = Scene::new();
            scene.auditor.on_not_ready(at(1));
            scene.auditor.on_fault_lifted(at(10));
            if comes {
                scene.auditor.on_ready(at(71));
            }
            scene.auditor.on_finished(at(72));
            scene.expect_red(&[Invariant::I13]);
        }
    }

    #[test]
    fn an_order_before_ready_is_red() {
        let mut scene = Scene::new();
        let order = scene.approve(1, Side::Buy, 2, 2);
        scene.auditor.on_not_ready(scene.now());
        scene.place(&order);
        scene.expect_red(&[Invariant::I13]);
    }

    #[test]
    fn an_approval_on_a_link_that_is_not_ready_is_red() {
        let mut scene = Scene::new();
        let mut order = approved(1, Side::Buy, 2, 2);
        order.evidence.link_ready = false;
        scene.record(&Fact::IntentApproved(Box::new(order)));
        scene.expect_red(&[Invariant::I13]);
    }
}
