//! A seeded schedule of strikes: which role (or the whole node) dies at which step of which intent.
//!
//! A pure machine. It sees every protocol step that a role announces and answers when to strike, so
//! that kills land where they hurt rather than where a timer happens to fall. It keeps the matrix of
//! what it has hit. Schedules stay inside the restart intensities that ship: strikes keep a distance.
//! Not here: carrying a kill out (the fault board), judging what came of it (the auditor).

use actors::runtime::protocol::ProtocolStep;
use market::time::ProcessTime;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Steps in the order in which an intent takes them.
pub const STEPS: [ProtocolStep; 5] = [
    ProtocolStep::Idle,
    ProtocolStep::Recorded,
    ProtocolStep::Durable,
    ProtocolStep::Sent,
    ProtocolStep::Acked,
];

/// The name of a step in reports.
#[must_use]
pub const fn step_name(step: ProtocolStep) -> &'static str {
    match step {
        ProtocolStep::Idle => "idle",
        ProtocolStep::Recorded => "recorded",
        ProtocolStep::Durable => "durable",
        ProtocolStep::Sent => "sent",
        ProtocolStep::Acked => "acked",
        ProtocolStep::Settled => "settled",
    }
}

/// Who dies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One role or supervisor, by path.
    Role(String),
    /// The whole process.
    Node,
}

impl Target {
    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Role(path) => path,
            Self::Node => "node",
        }
    }
}

/// One planned kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Strike {
    /// Who.
    pub target: Target,
    /// At which step of an intent; idle strikes when no intent is on its way.
    pub step: &'static str,
    #[serde(skip)]
    at: ProtocolStep,
}

/// How many kills landed where.
pub type Matrix = BTreeMap<String, BTreeMap<&'static str, u32>>;

/// What a plan aims at.
#[derive(Clone, Debug)]
pub struct PlanSpec {
    /// The seed: same seed, same plan.
    pub seed: u64,
    /// Roles and supervisors to kill, each at least `kills_min` times.
    pub roles: Vec<String>,
    /// Roles whose every step must be hit: those on the way of an order.
    pub order_path: Vec<String>,
    /// Kills per role.
    pub kills_min: u32,
    /// Whole-node crashes.
    pub crashes: u32,
    /// Between two strikes at least this long.
    pub spacing: Duration,
    /// A strike whose step does not come within this time is made when nothing is on its way.
    pub patience: Duration,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Plan {
    strikes: VecDeque<Strike>,
    spacing: Duration,
    patience: Duration,
    not_before: ProcessTime,
    /// Steps of intents that are on their way, by key.
    on_their_way: BTreeMap<u64, ProtocolStep>,
    matrix: Matrix,
    kills: BTreeMap<String, u32>,
    hit_in_flight: u32,
    total: u32,
    seen_steps: BTreeSet<&'static str>,
}

impl Plan {
    /// The schedule of a seed.
    #[must_use]
    pub fn new(spec: &PlanSpec) -> Self {
        let mut strikes: Vec<Strike> = Vec::new();
        for role in &spec.order_path {
            let target = || Target::Role(role.clone());
            strikes.extend(STEPS.map(|at| Strike { target: target(), step: step_name(at), at }));
        }
        let mut random = Random(spec.seed ^ 0x9e37_79b9_7f4a_7c15);
        for role in &spec.roles {
            let planned = strikes.iter().filter(|strike| strike.target.name() == role).count();
            for _ in planned..spec.kills_min as usize {
                let at = STEPS[random.below(STEPS.len())];
                let target = Target::Role(role.clone());
                strikes.push(Strike { target, step: step_name(at), at });
            }
        }
        for crash in 0..spec.crashes as usize {
            // Every step in turn, the idle one last.
            let at = STEPS[(crash + 1) % STEPS.len()];
            strikes.push(Strike { target: Target::Node, step: step_name(at), at });
        }
        for last in (1..strikes.len()).rev() {
            strikes.swap(last, random.below(last + 1));
        }
        Self {
            strikes: strikes.into(),
            spacing: spec.spacing,
            patience: spec.patience,
            not_before: ProcessTime::ZERO + spec.spacing,
            on_their_way: BTreeMap::new(),
            matrix: Matrix::new(),
            kills: BTreeMap::new(),
            hit_in_flight: 0,
            total: 0,
            seen_steps: BTreeSet::new(),
        }
    }

    /// An intent has reached a step; the strike that is due for it, if any.
    pub fn on_step(&mut self, step: ProtocolStep, key: u64, now: ProcessTime) -> Option<Strike> {
        self.seen_steps.insert(step_name(step));
        self.on_their_way.insert(key, step);
        if step == ProtocolStep::Acked {
            // Acknowledged intents work at the broker; the protocol of sending is over.
            let strike = self.take(step, now);
            self.on_their_way.remove(&key);
            return strike;
        }
        // A strategy's announcement (idle) is the first sign of an intent; idle strikes want none.
        if step == ProtocolStep::Idle { None } else { self.take(step, now) }
    }

    /// An intent has ended without being sent (denied, satisfied).
    pub fn on_settled(&mut self, key: u64) {
        self.on_their_way.remove(&key);
    }

    /// Time passes; a strike that waits for idleness, or has waited too long for its step.
    pub fn on_time(&mut self, now: ProcessTime) -> Option<Strike> {
        let next = self.strikes.front()?;
        if now < self.not_before {
            return None;
        }
        let overdue = now >= self.not_before + self.patience;
        let idle = self.on_their_way.is_empty();
        let wants_idle = next.at == ProtocolStep::Idle;
        if (wants_idle && idle) || overdue {
            return self.strike(now);
        }
        None
    }

    /// A new life of the node begins: what was on its way is settled by recovery, and its process
    /// time begins at zero again.
    pub fn on_new_life(&mut self) {
        self.on_their_way.clear();
        self.not_before = ProcessTime::ZERO + self.spacing;
    }

    /// Kills by role and step.
    #[must_use]
    pub const fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// Kills by role.
    #[must_use]
    pub const fn kills(&self) -> &BTreeMap<String, u32> {
        &self.kills
    }

    /// Share of kills that hit with an intent on its way, in thousandths.
    #[must_use]
    pub fn in_flight_permille(&self) -> u32 {
        if self.total == 0 { 0 } else { self.hit_in_flight * 1000 / self.total }
    }

    /// Strikes that are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.strikes.len()
    }

    fn take(&mut self, step: ProtocolStep, now: ProcessTime) -> Option<Strike> {
        if now < self.not_before {
            return None;
        }
        let due = self.strikes.front().is_some_and(|strike| strike.at == step);
        if due {
            return self.strike(now);
        }
        // Not the one that is due, but the first that fits: steps come as they come.
        let first = self.strikes.iter().position(|strike| strike.at == step)?;
        self.strikes.swap(0, first);
        self.strike(now)
    }

    fn strike(&mut self, now: ProcessTime) -> Option<Strike> {
        let strike = self.strikes.pop_front()?;
        self.not_before = now + self.spacing;
        let furthest = self.on_their_way.values().copied().max();
        let hit = furthest.unwrap_or(ProtocolStep::Idle);
        let row = self.matrix.entry(strike.target.name().to_owned()).or_default();
        *row.entry(step_name(hit)).or_default() += 1;
        *self.kills.entry(strike.target.name().to_owned()).or_default() += 1;
        self.total += 1;
        self.hit_in_flight += u32::from(furthest.is_some());
        Some(strike)
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): enough for shuffling a plan, the same on every CPU.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(seed: u64) -> PlanSpec {
        PlanSpec {
            seed,
            roles: vec!["desk".into(), "feed/ES".into()],
            order_path: vec!["desk".into()],
            kills_min: 3,
            crashes: 5,
            spacing: Duration::from_secs(60),
            patience: Duration::from_secs(600),
        }
    }

    fn at(seconds: u64) -> ProcessTime {
        ProcessTime::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn one_seed_is_one_plan() {
        assert_eq!(Plan::new(&spec(7)).strikes, Plan::new(&spec(7)).strikes);
        assert_ne!(Plan::new(&spec(7)).strikes, Plan::new(&spec(8)).strikes);
    }

    #[test]
    fn every_role_has_its_kills_and_every_step_of_the_order_path_its_strike() {
        let mut plan = Plan::new(&spec(7));
        let mut now = 0;
        let mut key = 0;
        while plan.remaining() > 0 {
            now += 61;
            key += 1;
            if plan.on_time(at(now)).is_some() {
                continue;
            }
            for step in STEPS {
                let _ = plan.on_step(step, key, at(now));
            }
        }
        assert!(plan.kills()["desk"] >= 5 && plan.kills()["feed/ES"] >= 3);
        assert_eq!(plan.kills()["node"], 5);
        assert_eq!(plan.matrix()["desk"].len(), STEPS.len(), "{:?}", plan.matrix());
        assert!(plan.in_flight_permille() > 300);
    }

    #[test]
    fn strikes_keep_their_distance() {
        let mut plan = Plan::new(&spec(3));
        let first = plan.on_time(at(700)).expect("overdue");
        assert!(plan.on_time(at(701)).is_none(), "right after {first:?}");
        assert!(plan.on_step(ProtocolStep::Sent, 1, at(702)).is_none());
    }
}
