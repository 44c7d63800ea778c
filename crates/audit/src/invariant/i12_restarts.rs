//! I12: restarts are bounded; a scope that exhausts them reaches its safe state; no actor is
//! orphaned.
//!
//! Restarts are told one by one and counted in a sliding window. An orphan shows in the tree as a
//! role that is listed twice, that vanished, or that is up although its restarts are exhausted.

use super::Check;
use crate::report::{Invariant, Place, Tally};
use crate::settings::{AuditSettings, RestartBound};
use market::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// See the file's header.
#[derive(Clone, Debug, Default)]
pub struct RestartsBounded {
    restarts: BTreeMap<String, VecDeque<Timestamp>>,
    exhausted: BTreeSet<String>,
    listed: BTreeSet<String>,
}

const I12: Invariant = Invariant::I12;

fn bound_of(settings: &AuditSettings, role: &str) -> RestartBound {
    let fitting = settings.restart_bounds.iter().filter(|(start, _)| role.starts_with(*start));
    let longest = fitting.max_by_key(|(start, _)| start.len());
    longest.map_or(settings.restart_bound, |(_, bound)| *bound)
}

/// Whether a status in the tree says that the role handles messages.
fn is_up(status: &str) -> bool {
    matches!(status, "running" | "ready" | "starting")
}

impl RestartsBounded {
    /// A role was started again.
    pub fn on_restart(
        &mut self,
        settings: &AuditSettings,
        role: &str,
        place: Place,
        tally: &mut Tally,
    ) {
        let bound = bound_of(settings, role);
        let recent = self.restarts.entry(role.to_owned()).or_default();
        recent.push_back(place.time);
        while recent.front().is_some_and(|first| place.time.since(*first) > bound.window) {
            recent.pop_front();
        }
        let count = recent.len();
        tally.check(I12, place, count <= bound.restarts_max as usize, || {
            format!(
                "{role} was restarted {count} times within {} s, at most {} are allowed",
                bound.window.as_secs(),
                bound.restarts_max
            )
        });
        // Beyond the bound only the count matters, and it is in the sentence.
        if count > bound.restarts_max as usize {
            recent.pop_front();
        }
        let down = self.exhausted.contains(role);
        tally.check(I12, place, !down, || {
            format!("{role} was restarted although its restarts are exhausted")
        });
    }

    /// A role exhausted its restarts; `safe_state` says whether what is promised then was seen.
    pub fn on_exhausted(&mut self, role: &str, safe_state: bool, place: Place, tally: &mut Tally) {
        self.exhausted.insert(role.to_owned());
        tally.check(I12, place, safe_state, || {
            format!("{role} exhausted its restarts and its scope is not in its safe state")
        });
    }

    /// An operator revived a role whose restarts were exhausted.
    pub fn on_revived(&mut self, role: &str) {
        self.exhausted.remove(role);
        self.restarts.remove(role);
    }

    /// The supervision tree at a quiet point: each role with its status.
    pub fn on_tree(&mut self, roles: &[(String, String)], place: Place, tally: &mut Tally) {
        let mut seen = BTreeSet::new();
        for (role, status) in roles {
            let once = seen.insert(role.clone());
            tally.check(I12, place, once, || format!("{role} is in the tree twice"));
            let zombie = self.exhausted.contains(role) && is_up(status);
            tally.check(I12, place, !zombie && status != "failed", || {
                format!("{role} is {status} at a quiet point")
            });
        }
        let vanished = self.listed.difference(&seen).next();
        tally.check(I12, place, vanished.is_none(), || {
            let role = vanished.map_or("", String::as_str);
            format!("{role} was in the tree and is no more: whatever ran is orphaned")
        });
        self.listed = seen;
    }
}

impl Check for RestartsBounded {}

#[cfg(test)]
mod tests {
    use crate::report::Invariant;
    use crate::scene::Scene;
    use market::time::Timestamp;

    fn restart(scene: &mut Scene, role: &str, seconds: &[i64]) {
        for second in seconds {
            scene.auditor.on_restart(role, Timestamp::from_seconds(*second));
        }
    }

    fn tree(roles: &[(&str, &str)]) -> Vec<(String, String)> {
        roles.iter().map(|(role, status)| ((*role).to_owned(), (*status).to_owned())).collect()
    }

    #[test]
    fn restarts_within_the_window_are_bounded() {
        let mut scene = Scene::new();
        restart(&mut scene, "strategy/alpha", &[0, 10, 20, 700, 710, 720]);
        scene.expect_held(&[Invariant::I12]);
        restart(&mut scene, "strategy/alpha", &[730]);
        scene.expect_red(&[Invariant::I12]);
    }

    #[test]
    fn an_exhausted_scope_must_be_safe_and_stay_down() {
        let mut scene = Scene::new();
        scene.auditor.on_exhausted("strategy/alpha", true, scene.now());
        scene.auditor.on_tree(&tree(&[("strategy/alpha", "quarantined")]), scene.now());
        scene.expect_held(&[Invariant::I12]);
        scene.auditor.on_tree(&tree(&[("strategy/alpha", "ready")]), scene.now());
        scene.expect_red(&[Invariant::I12]);
        let mut scene = Scene::new();
        scene.auditor.on_exhausted("strategy/alpha", false, scene.now());
        scene.expect_red(&[Invariant::I12]);
    }

    #[test]
    fn orphans_are_red() {
        for later in [tree(&[]), tree(&[("desk", "ready"), ("desk", "ready")])] {
            let mut scene = Scene::new();
            scene.auditor.on_tree(&tree(&[("desk", "ready")]), scene.now());
            scene.expect_held(&[Invariant::I12]);
            scene.auditor.on_tree(&later, scene.now());
            scene.expect_red(&[Invariant::I12]);
        }
    }
}
