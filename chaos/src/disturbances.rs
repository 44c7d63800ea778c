//! A seeded schedule of faults that leave a role where it is, or fail it in its own way: delays,
//! stalls, messages dropped and doubled, errors, panics. Kills and crashes are the plan's.
//!
//! A pure machine: it is asked once a second and answers what to arm. Failures keep a distance of
//! their own, so that together with the plan's strikes no scope goes beyond its shipped intensity.

use actors::runtime::fault::{CERTAIN_PPM, Fault};
use market::time::ProcessTime;
use std::time::Duration;

/// Between two disturbances.
const SPACING: Duration = Duration::from_secs(97);
/// Between two failures: with two strikes of the plan in ten minutes a strategy has had its three.
const FAILURES_SPACING: Duration = Duration::from_secs(605);
/// How long one lasts.
const LASTING: Duration = Duration::from_secs(5);
/// The longest delay and stall: shorter than what a watch on a role would call stuck.
const HOLD_MS_MAX: u64 = 400;
/// So many of a million messages are lost while messages are dropped.
const DROPPED_PPM: u32 = 300_000;

/// What to arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disturbance {
    /// At which role.
    pub role: String,
    /// What.
    pub fault: Fault,
    /// Probability per message, in parts per million.
    pub ppm: u32,
    /// At most so many times.
    pub budget: u32,
    /// How long, from now.
    pub lasting: Duration,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Disturbances {
    random: u64,
    /// Roles that handle messages.
    roles: Vec<String>,
    /// Roles whose failure takes more with it than their own seat.
    never_failed: Vec<String>,
    next: ProcessTime,
    failures_from: ProcessTime,
}

impl Disturbances {
    /// Of these roles; `never_failed` are delayed and disturbed but neither panic nor err.
    #[must_use]
    pub fn new(seed: u64, roles: Vec<String>, never_failed: Vec<String>) -> Self {
        let (next, failures_from) = (ProcessTime::ZERO + SPACING, ProcessTime::ZERO);
        let random = (seed ^ 0x9e37_79b9_7f4a_7c15).max(1);
        Self { random, roles, never_failed, next, failures_from }
    }

    /// A new process begins: its time starts anew.
    pub fn on_new_life(&mut self) {
        self.next = ProcessTime::ZERO + SPACING;
        self.failures_from = ProcessTime::ZERO + FAILURES_SPACING;
    }

    /// What to arm now, if anything.
    pub fn on_time(&mut self, now: ProcessTime) -> Option<Disturbance> {
        if now < self.next || self.roles.is_empty() {
            return None;
        }
        self.next = now + SPACING;
        let drawn = self.draw(self.roles.len() as u64) as usize;
        let role = self.roles[drawn].clone();
        let hold = Duration::from_millis(1 + self.draw(HOLD_MS_MAX));
        let may_fail = now >= self.failures_from && !self.never_failed.contains(&role);
        let (fault, ppm, budget) = match self.draw(if may_fail { 6 } else { 4 }) {
            0 => (Fault::Delay(hold), CERTAIN_PPM, u32::MAX),
            1 => (Fault::Stall(hold), CERTAIN_PPM, u32::MAX),
            2 => (Fault::Drop, DROPPED_PPM, u32::MAX),
            3 => (Fault::Duplicate, CERTAIN_PPM, u32::MAX),
            4 => (Fault::Error, CERTAIN_PPM, 1),
            _ => (Fault::Panic, CERTAIN_PPM, 1),
        };
        if matches!(fault, Fault::Error | Fault::Panic) {
            self.failures_from = now + FAILURES_SPACING;
        }
        Some(Disturbance { role, fault, ppm, budget, lasting: LASTING })
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn schedule(seed: u64) -> Vec<(ProcessTime, Disturbance)> {
        let roles = ["journal", "desk", "strategy/a"].map(str::to_owned).to_vec();
        let mut machine = Disturbances::new(seed, roles, vec!["journal".to_owned()]);
        let seconds = (0..40_000).map(|second| ProcessTime::ZERO + Duration::from_secs(second));
        seconds.filter_map(|now| Some((now, machine.on_time(now)?))).collect()
    }

    #[test]
    fn a_long_day_has_every_kind() {
        let kinds: BTreeSet<&str> =
            schedule(7).iter().map(|(_, disturbance)| disturbance.fault.label()).collect();
        assert_eq!(kinds.len(), 6, "{kinds:?}");
    }

    proptest! {
        #[test]
        fn one_seed_is_one_schedule_and_failures_keep_their_distance(seed in any::<u64>()) {
            let first = schedule(seed);
            prop_assert_eq!(&first, &schedule(seed));
            let mut last: Option<ProcessTime> = None;
            for (now, disturbance) in first {
                if matches!(disturbance.fault, Fault::Error | Fault::Panic) {
                    prop_assert!(disturbance.role != "journal");
                    prop_assert!(last.is_none_or(|last| now.since(last) >= FAILURES_SPACING));
                    last = Some(now);
                }
            }
        }
    }
}
