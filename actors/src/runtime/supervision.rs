//! The decisions of a supervisor, as a machine that touches nothing.
//!
//! Events come in with the time, actions go out; the shell in `supervisor.rs` carries them out.
//! Correlated failures count once: an exit is only noted, and judged at the `Settle` that the
//! shell delivers behind everything that was pending. Children are started in order and stopped
//! in reverse order. An exit that names an older generation than the present one is stale.

use super::policy::{Beyond, ChildPolicy, Intensity, Shutdown, Strategy, Window};
use super::random::SplitMix;
use events::{Action, Event, Exit};
use market::time::ProcessTime;
use std::collections::BTreeSet;
use std::time::Duration;

pub mod events;
mod judging;

/// Where a child is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started yet, or stopped with the whole supervisor.
    Idle,
    /// To be started, not before this.
    Waiting { not_before: ProcessTime },
    /// Recovering.
    Starting { deadline: ProcessTime },
    /// Handling messages.
    Running { since: ProcessTime, ready: bool, ready_by: Option<ProcessTime> },
    /// Asked to end, or killed.
    Stopping { deadline: ProcessTime, killed: bool, then: Then },
    /// Ended, not yet judged.
    Gone { exit: Exit, ran: Duration },
    /// Down until the others of its group are.
    Held,
    /// Ended for good, as its policy allows.
    Finished,
    /// Down until revived, see [`Beyond`].
    Benched(Beyond),
}

/// What a stop is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// The group is restarted, or everything stops.
    Hold,
    /// It missed this deadline: a failure.
    Fail { reason: &'static str, ran: Duration },
}

impl State {
    fn is_alive(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running { .. } | Self::Stopping { .. })
    }
    fn is_member(&self) -> bool {
        !matches!(self, Self::Finished | Self::Benched(_))
    }
}

/// What a supervisor is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who follows a failed child.
    pub strategy: Strategy,
    /// Bound over all children; `None` leaves it to the children's own.
    pub intensity: Option<Intensity>,
    /// What happens beyond it.
    pub beyond: Beyond,
    /// Whether nobody supervises this one.
    pub is_root: bool,
    /// From a kill until the child counts as unkillable.
    pub kill_grace: Duration,
    /// Of the backoff's jitter.
    pub seed: u64,
    /// Policy, generation so far, and the bench where an earlier life of the supervisor put it.
    pub children: Vec<(ChildPolicy, u64, Option<Beyond>)>,
}

#[derive(Clone, Debug)]
struct Child {
    policy: ChildPolicy,
    generation: u64,
    state: State,
    streak: u32,
    failures: Window,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Up,
    Stopping(End),
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Shutdown,
    Escalate(usize, String),
    Bench(Beyond, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    members: BTreeSet<usize>,
    after: Duration,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Supervision {
    strategy: Strategy,
    intensity: Option<Intensity>,
    beyond: Beyond,
    is_root: bool,
    kill_grace: Duration,
    random: SplitMix,
    children: Vec<Child>,
    failures: Window,
    mode: Mode,
    exhausted: bool,
    group: Option<Group>,
    settling: bool,
}

impl Supervision {
    /// A supervisor that has started nothing yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let child = |(policy, generation, bench): (ChildPolicy, u64, Option<Beyond>)| Child {
            policy,
            generation,
            state: bench.map_or(State::Idle, State::Benched),
            streak: 0,
            failures: Window::default(),
        };
        Self {
            strategy: plan.strategy,
            intensity: plan.intensity,
            beyond: plan.beyond,
            is_root: plan.is_root,
            kill_grace: plan.kill_grace,
            random: SplitMix::new(plan.seed),
            children: plan.children.into_iter().map(child).collect(),
            failures: Window::default(),
            mode: Mode::Up,
            exhausted: false,
            group: None,
            settling: false,
        }
    }

    /// Takes an event, says what to do.
    #[must_use]
    pub fn on(&mut self, event: Event, now: ProcessTime) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Begin => {
                for child in &mut self.children {
                    if child.state == State::Idle {
                        child.state = State::Waiting { not_before: now };
                    }
                }
            }
            Event::Started { child, generation } => self.started(child, generation, now),
            Event::Readiness { child, generation, ready } => {
                self.readiness(child, generation, ready);
            }
            Event::Exited { child, generation, exit } => {
                if self.current(child, generation) {
                    self.exited(child, exit, now, &mut actions);
                }
            }
            Event::Settle => {
                self.settling = false;
                self.settle(now, &mut actions);
            }
            Event::Wake => self.deadlines(now, &mut actions),
            Event::Revive { child } => self.revive(child, now),
            Event::Shutdown => {
                if self.mode != Mode::Ended {
                    self.mode = Mode::Stopping(End::Shutdown);
                }
            }
        }
        self.advance(now, &mut actions);
        actions
    }

    /// When [`Event::Wake`] is due, and why.
    #[must_use]
    pub fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        let startable = self.startable();
        let due = |(index, child): (usize, &Child)| match &child.state {
            State::Waiting { not_before } if startable.contains(&index) => {
                Some((*not_before, "backoff"))
            }
            State::Starting { deadline } => Some((*deadline, "start deadline")),
            State::Running { ready: false, ready_by: Some(by), .. } => {
                Some((*by, "ready deadline"))
            }
            State::Stopping { deadline, .. } => Some((*deadline, "stop deadline")),
            State::Waiting { .. }
            | State::Running { .. }
            | State::Idle
            | State::Gone { .. }
            | State::Held
            | State::Finished
            | State::Benched(_) => None,
        };
        self.children.iter().enumerate().filter_map(due).min_by_key(|(at, _)| *at)
    }

    /// Where the child is.
    #[must_use]
    pub fn state(&self, child: usize) -> Option<&State> {
        self.children.get(child).map(|child| &child.state)
    }

    /// The generation of the child that lives, or lived last.
    #[must_use]
    pub fn generation(&self, child: usize) -> u64 {
        self.children.get(child).map_or(0, |child| child.generation)
    }

    /// Whether every child that is meant to be up is up and ready.
    #[must_use]
    pub fn all_ready(&self) -> bool {
        let ready = |state: &State| matches!(state, State::Running { ready: true, .. });
        self.mode == Mode::Up
            && self.children.iter().all(|child| !child.state.is_member() || ready(&child.state))
    }

    fn current(&self, child: usize, generation: u64) -> bool {
        self.children.get(child).is_some_and(|child| child.generation == generation)
    }

    /// The waiting children that may be started as soon as their wait is over. Where later
    /// children depend on earlier ones, that is the first that isn't up yet.
    fn startable(&self) -> Vec<usize> {
        if self.mode != Mode::Up || self.exhausted || self.group.is_some() {
            return Vec::new();
        }
        let waiting = |index: &usize| matches!(self.children[*index].state, State::Waiting { .. });
        let mut indices = 0..self.children.len();
        match self.strategy {
            Strategy::OneForOne => indices.filter(waiting).collect(),
            Strategy::OneForAll | Strategy::RestForOne => indices
                .find(|index| {
                    let state = &self.children[*index].state;
                    state.is_member() && !matches!(state, State::Running { .. })
                })
                .filter(waiting)
                .into_iter()
                .collect(),
        }
    }

    fn started(&mut self, child: usize, generation: u64, now: ProcessTime) {
        if !self.current(child, generation) {
            return;
        }
        let child = &mut self.children[child];
        if let State::Starting { .. } = child.state {
            let ready_by = child.policy.ready_deadline.map(|within| now + within);
            child.state = State::Running { since: now, ready: false, ready_by };
        }
    }

    fn readiness(&mut self, child: usize, generation: u64, now_ready: bool) {
        if self.current(child, generation)
            && let State::Running { ready, ready_by, .. } = &mut self.children[child].state
        {
            *ready = now_ready;
            // Whoever was ready once may lose the world outside; that is no failure of its own.
            *ready_by = None;
        }
    }

    fn exited(&mut self, index: usize, exit: Exit, now: ProcessTime, actions: &mut Vec<Action>) {
        let child = &mut self.children[index];
        let ran = match &child.state {
            State::Starting { .. } => Duration::ZERO,
            State::Running { since, .. } => now.since(*since),
            State::Stopping { then: Then::Hold, .. } => {
                child.state = State::Held;
                return;
            }
            State::Stopping { then: Then::Fail { reason, ran }, .. } => {
                let (exit, ran) = (Exit::Abnormal((*reason).to_owned()), *ran);
                child.state = State::Gone { exit, ran };
                self.ask_to_settle(actions);
                return;
            }
            State::Idle
            | State::Waiting { .. }
            | State::Gone { .. }
            | State::Held
            | State::Finished
            | State::Benched(_) => return,
        };
        child.state = State::Gone { exit, ran };
        self.ask_to_settle(actions);
    }

    fn ask_to_settle(&mut self, actions: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.settling, true) {
            actions.push(Action::Settle);
        }
    }

    fn deadlines(&mut self, now: ProcessTime, actions: &mut Vec<Action>) {
        for index in 0..self.children.len() {
            let grace = now + self.kill_grace;
            let child = &mut self.children[index];
            let missed = match &mut child.state {
                State::Starting { deadline } if *deadline <= now => {
                    Then::Fail { reason: "start deadline missed", ran: Duration::ZERO }
                }
                State::Running { since, ready: false, ready_by: Some(by) } if *by <= now => {
                    let ran = now.since(*since);
                    Then::Fail { reason: "ready deadline missed", ran }
                }
                State::Stopping { deadline, killed: false, then } if *deadline <= now => {
                    then.clone()
                }
                State::Stopping { deadline, killed: true, .. } if *deadline <= now => {
                    actions.push(Action::Unkillable { child: index });
                    self.exited(index, Exit::Abnormal("unkillable".to_owned()), now, actions);
                    continue;
                }
                _ => continue,
            };
            child.state = State::Stopping { deadline: grace, killed: true, then: missed };
            actions.push(Action::Kill { child: index });
        }
    }

    /// Does what the present states allow: stops in reverse order, starts in order.
    fn advance(&mut self, now: ProcessTime, actions: &mut Vec<Action>) {
        match &self.mode {
            Mode::Ended => {}
            Mode::Stopping(_) => {
                let everyone = (0..self.children.len()).collect();
                if self.stop_next(&everyone, now, actions) {
                    return;
                }
                if let Mode::Stopping(end) = std::mem::replace(&mut self.mode, Mode::Ended) {
                    self.ended(end, actions);
                }
            }
            Mode::Up => {
                if let Some(group) = self.group.take() {
                    if self.stop_next(&group.members, now, actions) {
                        self.group = Some(group);
                        return;
                    }
                    for index in group.members {
                        let not_before = now + group.after;
                        self.children[index].state = State::Waiting { not_before };
                    }
                }
                self.start_due(now, actions);
            }
        }
    }

    fn start_due(&mut self, now: ProcessTime, actions: &mut Vec<Action>) {
        for index in self.startable() {
            let child = &mut self.children[index];
            if matches!(child.state, State::Waiting { not_before } if not_before <= now) {
                child.generation += 1;
                child.state = State::Starting { deadline: now + child.policy.start_deadline };
                actions.push(Action::Start { child: index, generation: child.generation });
            }
        }
    }

    /// Stops the last living member; false when none lives.
    fn stop_next(
        &mut self,
        members: &BTreeSet<usize>,
        now: ProcessTime,
        actions: &mut Vec<Action>,
    ) -> bool {
        let living = |index: &&usize| self.children[**index].state.is_alive();
        let Some(&index) = members.iter().rev().find(living) else {
            return false;
        };
        let grace = now + self.kill_grace;
        let child = &mut self.children[index];
        match (&mut child.state, child.policy.shutdown) {
            (State::Stopping { then, .. }, _) => *then = Then::Hold,
            (State::Running { .. }, Shutdown::Graceful(within) | Shutdown::Drain(within)) => {
                let how = child.policy.shutdown;
                let deadline = now + within;
                child.state = State::Stopping { deadline, killed: false, then: Then::Hold };
                actions.push(Action::Stop { child: index, how });
            }
            // Whoever still recovers has nothing to hand over.
            _ => {
                child.state = State::Stopping { deadline: grace, killed: true, then: Then::Hold };
                actions.push(Action::Kill { child: index });
            }
        }
        true
    }

    fn ended(&mut self, end: End, actions: &mut Vec<Action>) {
        self.group = None;
        let bench = match end {
            End::Shutdown => {
                actions.push(Action::Finished);
                None
            }
            End::Escalate(child, reason) => {
                actions.push(Action::Escalate { child, reason });
                None
            }
            End::Bench(beyond, reason) => {
                self.mode = Mode::Up;
                self.failures.clear();
                Some((beyond, reason))
            }
        };
        for (index, child) in self.children.iter_mut().enumerate() {
            if !child.state.is_member() {
                continue;
            }
            child.state = State::Idle;
            if let Some((beyond, reason)) = &bench {
                child.state = State::Benched(*beyond);
                let (beyond, reason) = (*beyond, reason.clone());
                actions.push(Action::Benched { child: index, beyond, reason });
            }
        }
    }
}

#[cfg(test)]
mod tests;
