//! The supervision machine against a world that starts, stops and crashes children, with its own
//! small account of what must hold.

use super::super::policy::{Backoff, Restart};
use super::*;
use proptest::prelude::{
    Just, ProptestConfig, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::strategy::Strategy as _;
use std::collections::{BTreeMap, VecDeque};

const GRACE: Duration = Duration::from_secs(1);

struct World {
    machine: Supervision,
    now: ProcessTime,
    strategy: Strategy,
    /// Started and not yet heard to have ended: child to generation.
    living: BTreeMap<usize, u64>,
    running: BTreeSet<usize>,
    /// Ignores kills.
    stuck: BTreeSet<usize>,
    last_generation: BTreeMap<usize, u64>,
    pending: VecDeque<Event>,
    seen: Vec<Action>,
}

fn plan(strategy: Strategy, restarts: u32, policies: Vec<ChildPolicy>) -> Plan {
    Plan {
        strategy,
        intensity: Some(Intensity::new(restarts, Duration::from_secs(10))),
        beyond: Beyond::Escalate,
        is_root: false,
        kill_grace: GRACE,
        seed: 1,
        children: policies.into_iter().map(|policy| (policy, 0, None)).collect(),
    }
}

impl World {
    fn new(plan: Plan) -> Self {
        let strategy = plan.strategy;
        let mut world = Self {
            machine: Supervision::new(plan),
            now: ProcessTime::ZERO,
            strategy,
            living: BTreeMap::new(),
            running: BTreeSet::new(),
            stuck: BTreeSet::new(),
            last_generation: BTreeMap::new(),
            pending: VecDeque::new(),
            seen: Vec::new(),
        };
        world.tell(Event::Begin);
        world
    }

    fn up(strategy: Strategy, restarts: u32, children: usize) -> Self {
        let mut world = Self::new(plan(strategy, restarts, vec![ChildPolicy::PERMANENT; children]));
        world.deliver_all();
        assert_eq!(world.running.len(), children);
        world.seen.clear();
        world
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Started { child, generation } if self.lives(*child, *generation) => {
                self.running.insert(*child);
            }
            Event::Exited { child, generation, .. } if self.lives(*child, *generation) => {
                self.living.remove(child);
                self.running.remove(child);
            }
            _ => {}
        }
        for action in self.machine.on(event, self.now) {
            self.obey(action);
        }
    }

    fn lives(&self, child: usize, generation: u64) -> bool {
        self.living.get(&child) == Some(&generation)
    }

    fn obey(&mut self, action: Action) {
        let exited = |world: &Self, child: usize, exit| {
            let generation = world.living.get(&child).copied();
            generation.map(|generation| Event::Exited { child, generation, exit })
        };
        match &action {
            Action::Start { child, generation } => {
                let before = self.last_generation.insert(*child, *generation).unwrap_or(0);
                assert!(*generation > before, "generations only grow");
                assert!(!self.living.contains_key(child), "{child} started beside itself");
                if self.strategy != Strategy::OneForOne {
                    let awaited = (0..*child).find(|before| {
                        !self.running.contains(before)
                            && self.machine.state(*before).is_some_and(State::is_member)
                    });
                    assert_eq!(awaited, None, "{child} started before what it depends on");
                }
                self.living.insert(*child, *generation);
                self.pending.push_back(Event::Started { child: *child, generation: *generation });
            }
            Action::Stop { child, .. } => {
                self.check_order(*child);
                if !self.stuck.contains(child) {
                    self.pending.extend(exited(self, *child, Exit::Normal));
                }
            }
            Action::Kill { child } => {
                if !self.stuck.contains(child) {
                    let killed = Exit::Abnormal("killed".to_owned());
                    self.pending.extend(exited(self, *child, killed));
                }
            }
            Action::Unkillable { child } => {
                assert!(self.stuck.remove(child), "only a stuck child is unkillable");
                self.living.remove(child);
                self.running.remove(child);
            }
            Action::Settle => self.pending.push_back(Event::Settle),
            Action::Escalate { .. } | Action::Finished => {
                assert_eq!(self.living, BTreeMap::new(), "a supervisor ends after its children");
            }
            Action::Restarting { .. }
            | Action::Rests { .. }
            | Action::Benched { .. }
            | Action::Halt { .. }
            | Action::Exhausted { .. } => {}
        }
        self.seen.push(action);
    }

    fn check_order(&self, child: usize) {
        if self.strategy != Strategy::OneForOne {
            // A crash that the machine hasn't heard of yet can't be held against it.
            let later = self.running.range(child + 1..).next();
            let told = later.is_none_or(|later| {
                !self.machine.state(*later).is_some_and(|state| {
                    matches!(state, State::Running { .. } | State::Starting { .. })
                })
            });
            assert!(told, "{child} is stopped before those after it");
        }
    }

    fn crash(&mut self, child: usize, exit: Exit) {
        if let Some(generation) = self.living.get(&child) {
            let generation = *generation;
            self.pending.push_back(Event::Exited { child, generation, exit });
        }
    }

    fn deliver_all(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            self.tell(event);
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.deliver_all();
        let mut wakes = 0;
        while let Some((at, _)) = self.machine.next_wake().filter(|(at, _)| *at <= until) {
            wakes += 1;
            assert!(wakes < 1000, "the machine wakes without end");
            self.now = self.now.max(at);
            self.tell(Event::Wake);
            self.deliver_all();
        }
        self.now = until;
    }

    fn count(&self, which: impl Fn(&Action) -> bool) -> usize {
        self.seen.iter().filter(|action| which(action)).count()
    }
}

fn failed() -> Exit {
    Exit::Abnormal("boom".to_owned())
}

#[test]
fn three_correlated_failures_of_a_group_are_one_restart() {
    let mut world = World::up(Strategy::OneForAll, 1, 3);
    for child in [2, 0, 1] {
        world.crash(child, failed());
    }
    world.pass(Duration::from_secs(5));
    assert_eq!(world.count(|action| matches!(action, Action::Start { .. })), 3);
    assert_eq!(world.running.len(), 3);
    world.crash(1, failed());
    world.deliver_all();
    assert_eq!(world.seen.last(), Some(&Action::Escalate { child: 1, reason: "boom".to_owned() }));
}

#[test]
fn rest_for_one_stops_those_after_in_reverse_and_starts_them_in_order() {
    let mut world = World::up(Strategy::RestForOne, 5, 4);
    world.crash(1, failed());
    world.pass(Duration::from_secs(1));
    let steps: Vec<String> = world
        .seen
        .iter()
        .filter_map(|action| match action {
            Action::Stop { child, .. } => Some(format!("stop {child}")),
            Action::Start { child, .. } => Some(format!("start {child}")),
            _ => None,
        })
        .collect();
    assert_eq!(steps, ["stop 3", "stop 2", "start 1", "start 2", "start 3"]);
}

#[test]
fn a_missed_start_deadline_is_a_failure_and_an_unkillable_child_is_passed_over() {
    let mut world = World::new(plan(Strategy::OneForOne, 5, vec![ChildPolicy::PERMANENT]));
    world.pending.clear();
    world.stuck.insert(0);
    world.pass(ChildPolicy::PERMANENT.start_deadline + GRACE);
    assert_eq!(world.count(|action| matches!(action, Action::Unkillable { .. })), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.running.len(), 1);
    assert_eq!(world.machine.generation(0), 2);
}

#[test]
fn who_does_not_get_ready_in_time_is_restarted() {
    let policy =
        ChildPolicy { ready_deadline: Some(Duration::from_secs(3)), ..ChildPolicy::PERMANENT };
    let mut world = World::new(plan(Strategy::OneForOne, 9, vec![policy]));
    world.pass(Duration::from_secs(3));
    assert_eq!(world.machine.generation(0), 2);
    world.tell(Event::Readiness { child: 0, generation: 2, ready: true });
    world.tell(Event::Readiness { child: 0, generation: 2, ready: false });
    world.pass(Duration::from_secs(60));
    assert_eq!(world.machine.generation(0), 2, "losing the world later is no failure");
}

#[test]
fn a_child_beyond_its_own_intensity_is_benched_until_revived() {
    let own = Intensity::new(1, Duration::from_secs(600));
    let policy = ChildPolicy::PERMANENT.within(own, Beyond::Quarantine);
    let mut world = World::new(plan(Strategy::OneForOne, 99, vec![policy; 2]));
    for _ in 0..2 {
        world.pass(Duration::from_secs(1));
        world.crash(0, failed());
    }
    world.pass(Duration::from_secs(100));
    assert_eq!(world.machine.state(0), Some(&State::Benched(Beyond::Quarantine)));
    assert!(world.running.contains(&1));
    world.tell(Event::Revive { child: 0 });
    world.deliver_all();
    assert_eq!(world.running.len(), 2);
}

/// Three kills of `ops`, on which nobody depends, ended the whole node.
#[test]
fn a_child_that_contains_its_failures_never_exhausts_its_supervisor() {
    let own = Intensity::new(20, Duration::from_secs(600));
    let droppable = ChildPolicy::PERMANENT.within(own, Beyond::Drop);
    let mut plan = plan(Strategy::RestForOne, 2, vec![ChildPolicy::PERMANENT, droppable]);
    plan.is_root = true;
    let mut world = World::new(plan);
    for _ in 0..21 {
        world.pass(Duration::from_secs(1));
        world.crash(1, failed());
    }
    world.pass(Duration::from_secs(100));
    assert_eq!(world.count(|action| matches!(action, Action::Exhausted { .. })), 0);
    assert_eq!(world.machine.state(1), Some(&State::Benched(Beyond::Drop)));
    assert_eq!(world.running, BTreeSet::from([0]));
}

#[test]
fn a_child_that_gave_up_is_benched_at_once_and_runs_again_when_revived() {
    let own = Intensity::new(5, Duration::from_secs(600));
    let policy = ChildPolicy::PERMANENT.within(own, Beyond::Quarantine);
    let mut world = World::new(plan(Strategy::OneForOne, 99, vec![policy; 2]));
    world.deliver_all();
    world.crash(0, Exit::GaveUp("it holds what it does not know".to_owned()));
    world.pass(Duration::from_secs(100));
    assert_eq!(world.machine.state(0), Some(&State::Benched(Beyond::Quarantine)));
    assert_eq!(world.machine.generation(0), 1);
    assert_eq!(world.count(|action| matches!(action, Action::Restarting { .. })), 0);
    world.tell(Event::Revive { child: 0 });
    world.deliver_all();
    assert_eq!(world.running.len(), 2);
}

#[test]
fn the_root_keeps_what_runs_when_it_is_exhausted() {
    let mut plan = plan(Strategy::RestForOne, 0, vec![ChildPolicy::PERMANENT; 2]);
    plan.is_root = true;
    let mut world = World::new(plan);
    world.deliver_all();
    world.crash(1, failed());
    world.pass(Duration::from_secs(100));
    assert_eq!(world.count(|action| matches!(action, Action::Exhausted { .. })), 1);
    assert_eq!(world.running, BTreeSet::from([0]));
    world.tell(Event::Shutdown);
    world.deliver_all();
    assert_eq!(world.seen.last(), Some(&Action::Finished));
}

#[test]
fn policies_decide_which_exits_restart() {
    for (restart, exit, restarts) in [
        (Restart::Permanent, Exit::Normal, true),
        (Restart::Permanent, failed(), true),
        (Restart::Transient, Exit::Normal, false),
        (Restart::Transient, failed(), true),
        (Restart::Temporary, Exit::Normal, false),
        (Restart::Temporary, failed(), false),
    ] {
        let policy = ChildPolicy { restart, ..ChildPolicy::PERMANENT };
        let mut world = World::new(plan(Strategy::OneForOne, 9, vec![policy]));
        world.deliver_all();
        world.crash(0, exit.clone());
        world.pass(Duration::from_secs(1));
        assert_eq!(world.running.len() == 1, restarts, "{restart:?} {exit:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Crash(usize),
    Leave(usize),
    GiveUp(usize),
    Stick(usize),
    Revive(usize),
    Deliver,
    Pass(u64),
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..5).prop_map(Step::Crash),
        1 => (0usize..5).prop_map(Step::Leave),
        1 => (0usize..5).prop_map(Step::GiveUp),
        1 => (0usize..5).prop_map(Step::Stick),
        1 => (0usize..5).prop_map(Step::Revive),
        4 => Just(Step::Deliver),
        3 => (0u64..4000).prop_map(Step::Pass),
    ]
}

fn policy() -> impl proptest::strategy::Strategy<Value = ChildPolicy> {
    let restart = prop_oneof![
        3 => Just(Restart::Permanent), 2 => Just(Restart::Transient), 1 => Just(Restart::Temporary)
    ];
    let shutdown = prop_oneof![
        Just(Shutdown::Graceful(Duration::from_secs(2))),
        Just(Shutdown::Drain(Duration::from_secs(3))),
        Just(Shutdown::Kill)
    ];
    let own = prop::option::of(Just(Intensity::new(2, Duration::from_secs(20))));
    let beyond = prop_oneof![Just(Beyond::Quarantine), Just(Beyond::Drop), Just(Beyond::Halt)];
    let backoff = prop_oneof![Just(Backoff::SWIFT), Just(Backoff::PATIENT)];
    (restart, shutdown, own, beyond, backoff).prop_map(
        |(restart, shutdown, intensity, beyond, backoff)| ChildPolicy {
            restart,
            shutdown,
            intensity,
            beyond,
            backoff,
            ..ChildPolicy::PERMANENT
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_order_and_bounds_hold_and_the_tree_settles_or_ends(
        which in prop_oneof![
            Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)
        ],
        restarts in 0u32..12,
        policies in prop::collection::vec(policy(), 1..5),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(plan(which, restarts, policies));
        for step in steps {
            match step {
                Step::Crash(child) => world.crash(child, failed()),
                Step::Leave(child) => world.crash(child, Exit::Normal),
                Step::GiveUp(child) => world.crash(child, Exit::GaveUp("no use".to_owned())),
                Step::Stick(child) => {
                    if world.living.contains_key(&child)
                        && matches!(
                            world.machine.state(child),
                            Some(State::Starting { .. } | State::Running { .. })
                        )
                    {
                        world.stuck.insert(child);
                        world.pending.retain(|event| !matches!(
                            event, Event::Exited { child: stuck, .. } if *stuck == child
                        ));
                    }
                }
                Step::Revive(child) => world.tell(Event::Revive { child }),
                Step::Deliver => {
                    if let Some(event) = world.pending.pop_front() {
                        world.tell(event);
                    }
                }
                Step::Pass(millis) => world.pass(Duration::from_millis(millis)),
            }
            // Per failure of a child at most one restart is announced, and never more than the
            // intensity allows within its window.
            prop_assert!(world.machine.failures.len() <= restarts as usize);
        }
        world.stuck.retain(|child| world.living.contains_key(child));
        world.pass(Duration::from_secs(120));
        let escalated = world.count(|action| matches!(action, Action::Escalate { .. }));
        prop_assert!(escalated <= 1);
        if escalated == 0 {
            for child in 0..world.machine.children.len() {
                let state = world.machine.state(child).cloned();
                let settled = matches!(
                    state,
                    Some(State::Running { .. } | State::Finished | State::Benched(_))
                );
                prop_assert!(settled, "{child} is {state:?}");
            }
            world.seen.clear();
            world.stuck.clear();
            world.tell(Event::Shutdown);
            world.pass(Duration::from_secs(60));
            prop_assert_eq!(world.seen.last(), Some(&Action::Finished));
        }
    }
}
