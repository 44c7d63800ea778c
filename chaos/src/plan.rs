//! A seeded schedule of strikes: which role (or the whole node) dies at which step of which intent.
//!
//! A pure machine. It sees every protocol step that a role announces and answers when to strike, so
//! that kills land where they hurt rather than where a timer happens to fall. It keeps the matrix
//! of what it has hit. Schedules stay inside the restart intensities that ship: strikes keep a
//! distance. Not here: carrying a kill out (the fault board), judging what came of it (the
//! auditor).

use actors::runtime::protocol::ProtocolStep;
use market::time::ProcessTime;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
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
        ProtocolStep::Filled => "filled",
        ProtocolStep::Modifying => "modifying",
        ProtocolStep::Canceling => "canceling",
        ProtocolStep::Legged => "legged",
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
    /// So long after it could, a strike without an aim of its own no longer waits for an intent;
    /// one with an aim waits four times as long.
    pub patience: Duration,
}

/// An intent that has not moved for so long is no longer on its way: what carried it has died.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// A strike that was ordered and not yet seen to strike.
#[derive(Clone, Debug)]
struct Ordered {
    strike: Strike,
    hit: ProtocolStep,
    in_flight: bool,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Strikes at the roles on the way of an order, and at the node: each at its own step.
    aimed: Vec<Strike>,
    /// The others: their step is a wish.
    loose: VecDeque<Strike>,
    ordered: Option<Ordered>,
    spacing: Duration,
    patience: Duration,
    not_before: ProcessTime,
    /// Steps of intents that are on their way, by key, and since when.
    on_their_way: BTreeMap<u64, (ProtocolStep, ProcessTime)>,
    matrix: Matrix,
    kills: BTreeMap<String, u32>,
    hit_in_flight: u32,
    total: u32,
}

impl Plan {
    /// The schedule of a seed.
    #[must_use]
    pub fn new(spec: &PlanSpec) -> Self {
        let mut aimed: Vec<Strike> = Vec::new();
        for role in &spec.order_path {
            let target = || Target::Role(role.clone());
            aimed.extend(STEPS.map(|at| Strike { target: target(), step: step_name(at), at }));
        }
        let mut random = Random(spec.seed ^ 0x9e37_79b9_7f4a_7c15);
        let mut loose: Vec<Strike> = Vec::new();
        for role in &spec.roles {
            let planned = aimed.iter().filter(|strike| strike.target.name() == role).count();
            for _ in planned..spec.kills_min as usize {
                let at = STEPS[random.below(STEPS.len())];
                let target = Target::Role(role.clone());
                loose.push(Strike { target, step: step_name(at), at });
            }
        }
        for crash in 0..spec.crashes as usize {
            // Every step in turn, the idle one last.
            let at = STEPS[(crash + 1) % STEPS.len()];
            aimed.push(Strike { target: Target::Node, step: step_name(at), at });
        }
        random.shuffle(&mut aimed);
        random.shuffle(&mut loose);
        Self {
            aimed,
            loose: loose.into(),
            ordered: None,
            spacing: spec.spacing,
            patience: spec.patience,
            not_before: ProcessTime::ZERO + spec.spacing,
            on_their_way: BTreeMap::new(),
            matrix: Matrix::new(),
            kills: BTreeMap::new(),
            hit_in_flight: 0,
            total: 0,
        }
    }

    /// An intent has reached a step; the strike that is due for it, if any.
    pub fn on_step(&mut self, step: ProtocolStep, key: u64, now: ProcessTime) -> Option<Strike> {
        self.missed();
        if step == ProtocolStep::Acked {
            // Acknowledged intents work at the broker; the protocol of sending is over.
            self.on_their_way.remove(&key);
        } else {
            self.on_their_way.insert(key, (step, now));
        }
        // A strategy's announcement (idle) is the first sign of an intent; idle strikes want none.
        if step == ProtocolStep::Idle || now < self.not_before {
            return None;
        }
        let strike = self.aimed_at(step).or_else(|| self.loose_at(step))?;
        Some(self.order(strike, step, true, now))
    }

    /// An intent has ended without being sent (denied, satisfied).
    pub fn on_settled(&mut self, key: u64) {
        self.on_their_way.remove(&key);
    }

    /// Time passes; a strike that waits for idleness, or has waited too long for its step.
    pub fn on_time(&mut self, now: ProcessTime) -> Option<Strike> {
        self.missed();
        if now < self.not_before {
            return None;
        }
        self.on_their_way.retain(|_, (_, since)| now.since(*since) < FORGOTTEN_AFTER);
        let furthest = self.on_their_way.values().map(|(step, _)| *step).max();
        let in_flight = furthest.is_some();
        let idle = (!in_flight).then(|| self.aimed_at(ProtocolStep::Idle)).flatten();
        let strike = match idle {
            Some(strike) => strike,
            // One that wants no intent, then one that wanted some: waiting longer is dearer.
            None if self.is_overdue(1, now) && !self.loose.is_empty() => {
                let wanted = self.loose.iter().position(|strike| strike.at == ProtocolStep::Idle);
                self.loose.remove(wanted.unwrap_or(0))?
            }
            None if self.is_overdue(4, now) => self.aimed.pop()?,
            None => return None,
        };
        Some(self.order(strike, furthest.unwrap_or(ProtocolStep::Idle), in_flight, now))
    }

    /// The kill of a role was carried out.
    pub fn on_struck(&mut self, role: &str) {
        let Some(ordered) = self.ordered.take_if(|ordered| ordered.strike.target.name() == role)
        else {
            return;
        };
        let row = self.matrix.entry(role.to_owned()).or_default();
        *row.entry(step_name(ordered.hit)).or_default() += 1;
        *self.kills.entry(role.to_owned()).or_default() += 1;
        self.total += 1;
        self.hit_in_flight += u32::from(ordered.in_flight);
    }

    /// A new life of the node begins: what was on its way is settled by recovery, and its process
    /// time begins at zero again.
    pub fn on_new_life(&mut self) {
        self.on_struck(Target::Node.name());
        self.missed();
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
        (self.hit_in_flight * 1000).checked_div(self.total).unwrap_or(0)
    }

    /// Kills so far.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// Strikes that are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.aimed.len() + self.loose.len() + usize::from(self.ordered.is_some())
    }

    /// An aimed strike for this step, unless a later one, which fewer intents reach, is scarcer.
    fn aimed_at(&mut self, step: ProtocolStep) -> Option<Strike> {
        let left = |at: ProtocolStep| self.aimed.iter().filter(|strike| strike.at == at).count();
        let later = STEPS.into_iter().filter(|later| *later > step).map(left).max();
        let waits = step != ProtocolStep::Idle && later.is_some_and(|later| later > left(step));
        let first = self.aimed.iter().position(|strike| strike.at == step)?;
        (!waits).then(|| self.aimed.remove(first))
    }

    /// A loose strike that wants this step, once no aimed one wants this or a later one.
    fn loose_at(&mut self, step: ProtocolStep) -> Option<Strike> {
        if self.aimed.iter().any(|strike| strike.at >= step) {
            return None;
        }
        let first = self.loose.iter().position(|strike| strike.at == step)?;
        self.loose.remove(first)
    }

    fn is_overdue(&self, times: u32, now: ProcessTime) -> bool {
        now >= self.not_before + self.patience * times
    }

    fn order(
        &mut self,
        strike: Strike,
        hit: ProtocolStep,
        in_flight: bool,
        now: ProcessTime,
    ) -> Strike {
        self.not_before = now + self.spacing;
        self.ordered = Some(Ordered { strike: strike.clone(), hit, in_flight });
        strike
    }

    /// A strike that found its target down was none: it comes again.
    fn missed(&mut self) {
        if let Some(Ordered { strike, .. }) = self.ordered.take() {
            self.loose.push_back(strike);
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): enough for shuffling a plan, the same on every CPU.
struct Random(u64);

impl Random {
    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }

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

    /// Carries a strike out, as the fault board does.
    fn carry_out(plan: &mut Plan, strike: Option<Strike>) -> Option<Strike> {
        let strike = strike?;
        plan.on_struck(strike.target.name());
        Some(strike)
    }

    #[test]
    fn one_seed_is_one_plan() {
        let strikes = |seed| {
            let plan = Plan::new(&spec(seed));
            (plan.aimed, plan.loose)
        };
        assert_eq!(strikes(7), strikes(7));
        assert_ne!(strikes(7), strikes(8));
    }

    #[test]
    fn every_role_has_its_kills_and_every_step_of_the_order_path_its_strike() {
        let mut plan = Plan::new(&spec(7));
        let mut now = 0;
        let mut key = 0;
        while plan.remaining() > 0 {
            now += 61;
            key += 1;
            let strike = plan.on_time(at(now));
            if carry_out(&mut plan, strike).is_some() {
                continue;
            }
            for step in STEPS {
                let strike = plan.on_step(step, key, at(now));
                carry_out(&mut plan, strike);
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
        let first = plan.on_time(at(700)).expect("an idle one");
        assert!(plan.on_time(at(701)).is_none(), "right after {first:?}");
        assert!(plan.on_step(ProtocolStep::Sent, 1, at(702)).is_none());
    }

    #[test]
    fn a_strike_that_found_nobody_is_not_counted_and_comes_again() {
        let mut plan = Plan::new(&spec(3));
        let planned = plan.remaining();
        plan.on_time(at(700)).expect("an idle one");
        assert_eq!(plan.remaining(), planned);
        // Nobody said that it struck.
        plan.on_time(at(701));
        assert_eq!(plan.remaining(), planned);
        assert!(plan.kills().is_empty() && plan.matrix().is_empty());
    }
}
