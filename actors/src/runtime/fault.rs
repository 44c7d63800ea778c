//! The chaos gate of every role and supervisor, always compiled in: what is tested is what ships.
//!
//! Off, a gate costs one relaxed load per message. Armed, it draws from rules with a probability,
//! a budget and an end, seeded per role, so that a simulation repeats. Who may arm, and the record
//! of it, are left to the chaos controller; the board refuses everything unless it was made
//! permissive.

use super::metrics;
use super::protocol::{ProtocolStep, StepObserver, StepVerdict};
use super::random::SplitMix;
use super::role::{RoleError, RolePath};
use market::time::ProcessTime;
use ractor::ActorCell;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Parts in a million: a rule of this probability always fires.
pub const CERTAIN_PPM: u32 = 1_000_000;

/// What can be done to a role when it takes up a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is killed; the message is lost.
    Kill,
    /// It panics; the message is lost.
    Panic,
    /// Its handler returns an error; the message is lost.
    Error,
    /// The message is handled this much later; the runtime goes on, the mailbox stands.
    Delay(Duration),
    /// The message is lost, if it may be.
    Drop,
    /// The message is handled twice, if it can be.
    Duplicate,
    /// The handler blocks its thread this long (under a paused clock: as a delay).
    Stall(Duration),
}

impl Fault {
    /// The kind, as a metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Delay(_) => "delay",
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Stall(_) => "stall",
        }
    }
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What strikes.
    pub fault: Fault,
    /// Probability per message, in parts per million.
    pub ppm: u32,
    /// At most this many times.
    pub budget: u32,
    /// Not at or after this process time.
    pub until: ProcessTime,
}

/// A rule as armed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArmedRule {
    /// Unique in the process.
    pub id: u64,
    /// Where it is armed.
    pub role: RolePath,
    /// The rule; its budget is what is left.
    pub rule: Rule,
}

/// A fault that has struck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Injection {
    /// The rule that caused it; none for a direct kill or a protocol step.
    pub rule: Option<u64>,
    /// The role struck.
    pub role: RolePath,
    /// What was done.
    pub fault: Fault,
}

/// Who may arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nobody: a live node.
    Refused,
    /// The chaos controller, for rules that end within this time.
    Granted {
        /// The longest life of a rule.
        max_ttl: Duration,
    },
}

/// Why a fault wasn't armed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The board doesn't allow faults.
    #[error("fault injection is not permitted in this node")]
    Refused,
    /// There is no such role.
    #[error("there is no role `{0}` in the tree")]
    UnknownRole(RolePath),
    /// The role isn't running.
    #[error("role `{0}` is not running, nothing to kill")]
    Down(RolePath),
    /// The rule makes no sense.
    #[error("rule for `{role}`: {problem}")]
    BadRule {
        /// Where it was to be armed.
        role: RolePath,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The gate of one role or supervisor.
pub struct Gate {
    path: RolePath,
    carries_messages: bool,
    armed: AtomicBool,
    state: Mutex<GateState>,
    board: Arc<Common>,
}

struct GateState {
    random: SplitMix,
    rules: Vec<(u64, Rule)>,
    target: Option<(u64, ActorCell)>,
}

impl Gate {
    /// Whether the slow path has to be taken.
    #[inline]
    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// The fault that strikes now, of those that are eligible. Rules are asked in the order of
    /// arming; those that have ended or are spent go.
    #[cold]
    pub(super) fn draw(&self, now: ProcessTime, eligible: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut state = lock(&self.state);
        let GateState { random, rules, .. } = &mut *state;
        rules.retain(|(_, rule)| now < rule.until);
        let struck = rules.iter_mut().find(|(_, rule)| {
            eligible(rule.fault) && random.below(u64::from(CERTAIN_PPM)) < u64::from(rule.ppm)
        });
        let struck = struck.map(|(id, rule)| {
            rule.budget -= 1;
            (*id, rule.fault)
        });
        rules.retain(|(_, rule)| rule.budget > 0);
        self.settle(&state);
        drop(state);
        let (id, fault) = struck?;
        self.board.report(Some(id), &self.path, fault);
        Some(fault)
    }

    /// The incarnation that a direct kill strikes.
    pub(super) fn attach(&self, generation: u64, cell: ActorCell) {
        let mut state = lock(&self.state);
        if state.target.as_ref().is_none_or(|(attached, _)| *attached <= generation) {
            state.target = Some((generation, cell));
        }
    }

    fn settle(&self, state: &GateState) {
        let armed = !state.rules.is_empty() || self.board.crashed.load(Ordering::Relaxed);
        self.armed.store(armed, Ordering::Relaxed);
    }

    fn kill(&self) -> bool {
        let target = lock(&self.state).target.clone();
        target.is_some_and(|(_, cell)| {
            let alive = cell.get_status() < ractor::ActorStatus::Stopping;
            cell.kill();
            alive
        })
    }
}

type Sink = Arc<dyn Fn(&Injection) + Send + Sync>;
type Crash = Arc<dyn Fn() + Send + Sync>;

struct Common {
    permission: Permission,
    seed: u64,
    next_id: AtomicU64,
    crashed: AtomicBool,
    observes_steps: AtomicBool,
    observer: Mutex<Option<Arc<dyn StepObserver>>>,
    sink: Mutex<Option<Sink>>,
    on_crash: Mutex<Option<Crash>>,
    gates: Mutex<BTreeMap<RolePath, Arc<Gate>>>,
}

impl Common {
    fn report(&self, rule: Option<u64>, role: &RolePath, fault: Fault) {
        metrics::CHAOS_INJECTIONS.counter(&[role.as_str(), fault.label()]).increment(1);
        tracing::warn!(%role, fault = fault.label(), rule, "fault injected");
        let sink = lock(&self.sink).clone();
        if let Some(sink) = sink {
            sink(&Injection { rule, role: role.clone(), fault });
        }
    }
}

/// All gates of a node. Cheap to clone.
#[derive(Clone)]
pub struct FaultBoard(Arc<Common>);

impl fmt::Debug for FaultBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultBoard({:?})", self.0.permission)
    }
}

impl FaultBoard {
    /// A board without gates; launching a tree adds one per role. Draws repeat with `seed`.
    #[must_use]
    pub fn new(permission: Permission, seed: u64) -> Self {
        Self(Arc::new(Common {
            permission,
            seed,
            next_id: AtomicU64::new(1),
            crashed: AtomicBool::new(false),
            observes_steps: AtomicBool::new(false),
            observer: Mutex::default(),
            sink: Mutex::default(),
            on_crash: Mutex::default(),
            gates: Mutex::default(),
        }))
    }

    pub(super) fn gate(&self, path: &RolePath, carries_messages: bool) -> Arc<Gate> {
        let make = || {
            let state = GateState {
                random: SplitMix::for_path(self.0.seed, path.as_str()),
                rules: Vec::new(),
                target: None,
            };
            Arc::new(Gate {
                path: path.clone(),
                carries_messages,
                armed: AtomicBool::new(false),
                state: Mutex::new(state),
                board: Arc::clone(&self.0),
            })
        };
        Arc::clone(lock(&self.0.gates).entry(path.clone()).or_insert_with(make))
    }

    /// Arms `rule` at `role`. Returns its id.
    ///
    /// # Errors
    /// [`FaultError`]: not permitted, no such role, or a rule without sense.
    pub fn arm(&self, role: &RolePath, rule: Rule, now: ProcessTime) -> Result<u64, FaultError> {
        let Permission::Granted { max_ttl } = self.0.permission else {
            return Err(FaultError::Refused);
        };
        let gate = self.find(role)?;
        let bad = |problem| Err(FaultError::BadRule { role: role.clone(), problem });
        if rule.ppm == 0 || rule.ppm > CERTAIN_PPM {
            return bad("the probability must lie in 1..=1000000 parts per million");
        }
        if rule.budget == 0 {
            return bad("the budget must be at least 1");
        }
        if rule.until <= now || rule.until.since(now) > max_ttl {
            return bad("it must end in the future, within the longest time permitted");
        }
        if !gate.carries_messages && matches!(rule.fault, Fault::Drop | Fault::Duplicate) {
            return bad("a supervisor's events can be neither dropped nor duplicated");
        }
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let mut state = lock(&gate.state);
        state.rules.push((id, rule));
        gate.settle(&state);
        Ok(id)
    }

    /// Kills the running incarnation of `role` now (at its next await).
    ///
    /// # Errors
    /// [`FaultError`]: not permitted, no such role, or not running.
    pub fn kill(&self, role: &RolePath) -> Result<(), FaultError> {
        if self.0.permission == Permission::Refused {
            return Err(FaultError::Refused);
        }
        if !self.find(role)?.kill() {
            return Err(FaultError::Down(role.clone()));
        }
        self.0.report(None, role, Fault::Kill);
        Ok(())
    }

    /// The rules that are armed at `now`, by role and order of arming.
    #[must_use]
    pub fn list(&self, now: ProcessTime) -> Vec<ArmedRule> {
        let gates = lock(&self.0.gates);
        let rules = |(path, gate): (&RolePath, &Arc<Gate>)| {
            let rules = lock(&gate.state).rules.clone();
            let path = path.clone();
            rules
                .into_iter()
                .filter(move |(_, rule)| now < rule.until)
                .map(move |(id, rule)| ArmedRule { id, role: path.clone(), rule })
        };
        gates.iter().flat_map(rules).collect()
    }

    /// Disarms one rule; false if it wasn't armed (any more).
    #[must_use]
    pub fn clear(&self, id: u64) -> bool {
        self.disarm(|armed| armed == id) > 0
    }

    /// Disarms every rule and stops observing steps. Returns how many rules there were.
    pub fn clear_all(&self) -> usize {
        self.observe_steps(None);
        self.disarm(|_| true)
    }

    /// Every injection is reported to `sink`, in the handler that suffers it.
    pub fn report_to(&self, sink: impl Fn(&Injection) + Send + Sync + 'static) {
        *lock(&self.0.sink) = Some(Arc::new(sink));
    }

    /// `observer` sees every protocol step from now on; none ends that. Ignored where faults
    /// aren't permitted.
    pub fn observe_steps(&self, observer: Option<Arc<dyn StepObserver>>) {
        let observes = observer.is_some() && self.0.permission != Permission::Refused;
        *lock(&self.0.observer) = observer;
        self.0.observes_steps.store(observes, Ordering::Relaxed);
    }

    /// What [`FaultBoard::crash`] does to the process: the node aborts, a simulation drops it.
    pub fn on_crash(&self, crash: impl Fn() + Send + Sync + 'static) {
        *lock(&self.0.on_crash) = Some(Arc::new(crash));
    }

    /// The node dies: from now on no role handles anything. Ignored where faults aren't permitted.
    pub fn crash(&self) {
        if self.0.permission == Permission::Refused {
            return;
        }
        self.0.crashed.store(true, Ordering::Relaxed);
        for gate in lock(&self.0.gates).values() {
            gate.armed.store(true, Ordering::Relaxed);
        }
        let crash = lock(&self.0.on_crash).clone();
        if let Some(crash) = crash {
            crash();
        }
    }

    /// Whether [`FaultBoard::crash`] has been called.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.0.crashed.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn observes_steps(&self) -> bool {
        self.0.observes_steps.load(Ordering::Relaxed)
    }

    #[cold]
    pub(super) fn step(
        &self,
        role: &RolePath,
        step: ProtocolStep,
        intent_key_hash: u64,
    ) -> Result<(), RoleError> {
        let observer = lock(&self.0.observer).clone();
        let verdict = observer
            .map_or(StepVerdict::Pass, |observer| observer.on_step(role, step, intent_key_hash));
        match verdict {
            StepVerdict::Pass => Ok(()),
            StepVerdict::KillRole(target) if target == *role => {
                self.0.report(None, role, Fault::Kill);
                Err(RoleError::Killed)
            }
            StepVerdict::KillRole(target) => {
                if let Err(error) = self.kill(&target) {
                    tracing::warn!(%target, %error, "the kill at a protocol step found no target");
                }
                Ok(())
            }
            StepVerdict::CrashNode => {
                self.crash();
                Err(RoleError::Killed)
            }
        }
    }

    fn find(&self, role: &RolePath) -> Result<Arc<Gate>, FaultError> {
        let gate = lock(&self.0.gates).get(role).map(Arc::clone);
        gate.ok_or_else(|| FaultError::UnknownRole(role.clone()))
    }

    fn disarm(&self, which: impl Fn(u64) -> bool) -> usize {
        let mut disarmed = 0;
        for gate in lock(&self.0.gates).values() {
            let mut state = lock(&gate.state);
            let before = state.rules.len();
            state.rules.retain(|(id, _)| !which(*id));
            disarmed += before - state.rules.len();
            gate.settle(&state);
        }
        disarmed
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
