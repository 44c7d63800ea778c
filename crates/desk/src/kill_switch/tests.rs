//! The order of effects row by row, and random lives against a small model: what was acknowledged
//! holds until a resume, whatever dies between any two effects.

use super::*;
use proptest::prelude::*;

/// Everything outside the machine: what survives which death is said at each field.
struct World {
    machine: KillSwitch,
    /// The journal; what is not yet durable dies with the process.
    records: Vec<Record>,
    durable: usize,
    /// Survives everything.
    file: Option<String>,
    file_fails: bool,
    /// Die with the process.
    wire: WireSeen,
    states: TradingStates,
    desk_up: bool,
    /// What the desk was told.
    cancels: Vec<CancelScope>,
    ready: bool,
    now: ProcessTime,
    /// A halt was acknowledged and no resume has taken its file away since.
    promised: bool,
    /// All effects carried out, in order.
    trace: Vec<&'static str>,
}

const NOBODY: Asker = Asker(0);

fn unknown() -> TradingStates {
    TradingStates { account: TradingState::Halted, ..TradingStates::default() }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: KillSwitch::new(),
            records: Vec::new(),
            durable: 0,
            file: None,
            file_fails: false,
            wire: WireSeen { halt_epoch: HaltEpoch(0), halted: None },
            states: unknown(),
            desk_up: true,
            cancels: Vec::new(),
            ready: false,
            now: ProcessTime::ZERO,
            promised: false,
            trace: Vec::new(),
        };
        world.recover();
        world
    }

    fn fold(&self) -> Latches {
        let mut latches = Latches::default();
        self.records.iter().for_each(|record| latches.apply(record));
        latches
    }

    fn recover(&mut self) {
        // A starting role's fence settles what was appended before.
        self.durable = self.records.len();
        let file = if self.file_fails { Err("rotten".to_owned()) } else { Ok(self.file.clone()) };
        let witnesses = Witnesses { latches: self.fold(), file };
        self.tell(KillSwitchEvent::Recovered(Box::new(witnesses)), usize::MAX);
    }

    /// Hands an event in and carries out up to `most` effects; false if it died before the end.
    fn tell(&mut self, event: KillSwitchEvent, most: usize) -> bool {
        let mut left = most;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.machine.on(event, &self.wire.clone(), self.now) {
                if left == 0 {
                    return false;
                }
                left -= 1;
                events.extend(self.carry_out(effect));
            }
        }
        true
    }

    fn raise(&mut self) {
        self.wire.halt_epoch = HaltEpoch(self.wire.halt_epoch.0 + 1);
    }

    fn carry_out(&mut self, effect: KillSwitchEffect) -> Option<KillSwitchEvent> {
        let (name, answer) = match effect {
            KillSwitchEffect::HaltWire { reason } => {
                self.raise();
                self.wire.halted.get_or_insert(reason);
                ("halt_wire", Some(KillSwitchEvent::WireHalted))
            }
            KillSwitchEffect::OpenWire { seen } => {
                if seen == self.wire.halt_epoch {
                    self.raise();
                    self.wire.halted = None;
                }
                ("open_wire", Some(KillSwitchEvent::WireOpened))
            }
            KillSwitchEffect::WriteFile { reason } => {
                let written = if self.file_fails { Err("full".to_owned()) } else { Ok(()) };
                if written.is_ok() {
                    self.file = Some(reason);
                }
                ("write_file", Some(KillSwitchEvent::FileWritten(written)))
            }
            KillSwitchEffect::RemoveFile => {
                let removed = if self.file_fails { Err("read-only".to_owned()) } else { Ok(()) };
                if removed.is_ok() {
                    self.file = None;
                    self.promised = false;
                }
                ("remove_file", Some(KillSwitchEvent::FileRemoved(removed)))
            }
            KillSwitchEffect::Record(record) => {
                self.records.push(*record);
                ("record", None)
            }
            KillSwitchEffect::Publish(states) => {
                // Nothing is released before its record.
                for (latch, tripped) in self.fold().tripped {
                    assert!(state_of(&states, &latch) >= tripped.state, "{latch:?}");
                }
                self.states = states;
                ("publish", None)
            }
            KillSwitchEffect::Cancel { scope, .. } => {
                if self.desk_up {
                    self.cancels.push(scope.clone());
                }
                ("cancel", Some(KillSwitchEvent::DeskTold { scope, taken: self.desk_up }))
            }
            KillSwitchEffect::ReleaseBreaker { name, scope } => {
                assert!(!self.fold().tripped.contains_key(&Latch::Breaker { name, scope }));
                ("release_breaker", None)
            }
            KillSwitchEffect::AnswerHalt { answer, .. } => {
                if let Ok(epoch) = answer {
                    assert_eq!(epoch, self.wire.halt_epoch);
                    assert!(self.wire.halted.is_some() && self.file.is_some());
                    self.promised = true;
                }
                ("answer_halt", None)
            }
            KillSwitchEffect::AnswerResume { .. } => ("answer_resume", None),
            KillSwitchEffect::Ready => {
                self.ready = true;
                ("ready", None)
            }
            KillSwitchEffect::GiveUp(_) => ("give_up", None),
        };
        self.trace.push(name);
        answer
    }

    fn role_dies(&mut self) {
        self.machine = KillSwitch::new();
        self.ready = false;
        self.recover();
    }

    fn process_dies(&mut self, lost: usize) {
        let kept = self.durable.max(self.records.len().saturating_sub(lost));
        self.records.truncate(kept);
        self.wire = WireSeen { halt_epoch: self.fold().halt_epoch, halted: None };
        self.states = unknown();
        self.machine = KillSwitch::new();
        self.ready = false;
        self.recover();
    }

    /// What must hold whenever nothing is under way.
    fn check(&self) -> Result<(), TestCaseError> {
        let latches = self.machine.latches().expect("it has recovered");
        prop_assert_eq!(latches, &self.fold(), "the machine is the fold of its records");
        prop_assert!(self.ready);
        if self.promised {
            prop_assert_eq!(self.states.account, TradingState::Halted);
            prop_assert!(self.wire.halted.is_some());
        }
        // The strictest state of every scope, reckoned by hand.
        let mut account = Vec::from([TradingState::Active]);
        account.extend(self.wire.halted.iter().map(|_| TradingState::Halted));
        for (latch, tripped) in &self.fold().tripped {
            match latch {
                Latch::Halt => account.push(tripped.state),
                Latch::Breaker { scope, .. } if scope == "account" => account.push(tripped.state),
                Latch::Breaker { .. } | Latch::Quarantine(_) => {
                    prop_assert_eq!(state_of(&self.states, latch), tripped.state);
                }
            }
        }
        prop_assert_eq!(Some(self.states.account), account.into_iter().max());
        prop_assert_eq!(self.states.halt_epoch, self.wire.halt_epoch);
        Ok(())
    }
}

/// The state that holds where a latch applies.
fn state_of(states: &TradingStates, latch: &Latch) -> TradingState {
    match latch {
        Latch::Halt => states.account,
        Latch::Breaker { scope, .. } if scope == "account" => states.account,
        Latch::Breaker { scope, .. } => states.underlyings.get(scope).copied().unwrap_or_default(),
        Latch::Quarantine(strategy) => states.strategies.get(strategy).copied().unwrap_or_default(),
    }
}

fn quarantine() -> Latch {
    Latch::Quarantine(StrategyId::new("alpha").unwrap())
}

fn breaker(name: &str, scope: &str) -> Latch {
    Latch::Breaker { name: name.to_owned(), scope: scope.to_owned() }
}

fn halt(asker: Option<Asker>) -> KillSwitchEvent {
    KillSwitchEvent::Halt { reason: "a test".to_owned(), asker }
}

fn trip(latch: Latch, state: TradingState) -> KillSwitchEvent {
    KillSwitchEvent::Trip { latch, state, reason: "a test".to_owned() }
}

fn resume() -> KillSwitchEvent {
    KillSwitchEvent::Resume { by: "a test".to_owned(), asker: NOBODY }
}

#[track_caller]
fn check_trace(world: &mut World, event: KillSwitchEvent, expected: &str) {
    world.trace.clear();
    world.tell(event, usize::MAX);
    assert_eq!(world.trace.join(" "), expected);
}

#[test]
fn a_halt_raises_the_fence_then_writes_the_file_then_is_acknowledged() {
    let mut world = World::new();
    let expected = "halt_wire write_file answer_halt cancel publish record";
    check_trace(&mut world, halt(Some(NOBODY)), expected);
    assert_eq!(world.states.account, TradingState::Halted);
    assert_eq!(world.states.halt_epoch, HaltEpoch(1));
    let expected = "remove_file record open_wire publish answer_resume";
    check_trace(&mut world, resume(), expected);
    assert_eq!(world.states.account, TradingState::Active);
    assert_eq!(world.states.halt_epoch, HaltEpoch(2));
    assert_eq!(world.fold().halt_epoch, HaltEpoch(2));
}

#[test]
fn a_trip_holds_at_once_and_its_record_follows() {
    let mut world = World::new();
    let regime = breaker("regime", "SIM");
    check_trace(&mut world, trip(regime.clone(), TradingState::ReduceOnly), "publish record");
    check_trace(&mut world, trip(regime, TradingState::ReduceOnly), "publish");
    let expected = "cancel publish record";
    check_trace(&mut world, trip(quarantine(), TradingState::ReduceOnly), expected);
    let technical = breaker("technical", "account");
    let expected = "halt_wire cancel publish record";
    check_trace(&mut world, trip(technical, TradingState::Halted), expected);
    let expected = "remove_file record record record open_wire publish release_breaker \
                    release_breaker answer_resume";
    check_trace(&mut world, resume(), expected);
}

#[test]
fn a_latch_that_trips_more_strictly_is_latched_more_strictly() {
    let mut world = World::new();
    let regime = breaker("regime", "SIM");
    world.tell(trip(regime.clone(), TradingState::ReduceOnly), usize::MAX);
    world.tell(trip(regime.clone(), TradingState::Halted), usize::MAX);
    world.tell(trip(regime, TradingState::ReduceOnly), usize::MAX);
    assert_eq!(world.states.underlyings["SIM"], TradingState::Halted);
    assert_eq!(world.records.len(), 2);
}

#[test]
fn a_halt_does_not_wait_for_the_recovery_and_is_latched_by_it() {
    let mut world = World::new();
    world.machine = KillSwitch::new();
    check_trace(&mut world, trip(quarantine(), TradingState::ReduceOnly), "");
    check_trace(&mut world, halt(Some(NOBODY)), "halt_wire write_file answer_halt");
    assert!(world.records.is_empty());
    world.recover();
    let tripped = world.fold().tripped;
    assert_eq!(tripped.keys().collect::<Vec<_>>(), [&Latch::Halt, &quarantine()]);
}

#[test]
fn a_halt_file_that_cannot_be_read_counts_as_a_halt() {
    let mut world = World::new();
    world.file_fails = true;
    world.process_dies(0);
    assert_eq!(world.states.account, TradingState::Halted);
    assert!(world.wire.halted.is_some());
    // And one that can't be removed is no resume.
    check_trace(&mut world, resume(), "remove_file answer_resume");
    assert_eq!(world.states.account, TradingState::Halted);
}

#[test]
fn a_halt_whose_file_cannot_be_written_holds_all_the_same_and_says_so() {
    let mut world = World::new();
    world.file_fails = true;
    world.tell(halt(Some(NOBODY)), usize::MAX);
    assert!(!world.promised, "it is not acknowledged");
    assert_eq!(world.states.account, TradingState::Halted);
}

#[test]
fn an_account_breaker_that_halted_halts_the_wire_of_the_next_process() {
    let mut world = World::new();
    world.tell(trip(breaker("technical", "account"), TradingState::Halted), usize::MAX);
    world.process_dies(0);
    assert!(world.wire.halted.is_some());
    assert!(!world.fold().tripped.contains_key(&Latch::Halt), "its latch is enough");
}

#[test]
fn cancels_that_the_desk_could_not_take_are_told_again_until_it_has_them() {
    let mut world = World::new();
    world.desk_up = false;
    world.tell(halt(None), usize::MAX);
    let (at, _) = world.machine.next_wake().expect("it retells");
    assert_eq!(at, ProcessTime::ZERO + RETELL);
    world.tell(KillSwitchEvent::Wake, usize::MAX);
    assert!(world.cancels.is_empty(), "it is not due");
    world.now = at;
    world.desk_up = true;
    world.tell(KillSwitchEvent::Wake, usize::MAX);
    assert_eq!(world.cancels, [CancelScope::All]);
    assert_eq!(world.machine.next_wake(), None);
}

#[test]
fn who_halts_while_a_resume_is_under_way_wins() {
    let mut world = World::new();
    world.tell(halt(None), usize::MAX);
    // The watchdog halts after the records and before the wire opens.
    assert!(!world.tell(resume(), 2));
    let seen = world.wire.clone();
    world.raise();
    world.carry_out(KillSwitchEffect::OpenWire { seen: seen.halt_epoch });
    world.tell(KillSwitchEvent::WireOpened, usize::MAX);
    assert_eq!(world.states.account, TradingState::Halted);
    world.tell(KillSwitchEvent::Fenced { reason: "watchdog".to_owned() }, usize::MAX);
    assert!(world.fold().tripped.contains_key(&Latch::Halt));
    // One that is heard of only after the wire was opened halts it anew.
    world.tell(resume(), usize::MAX);
    world.tell(KillSwitchEvent::Fenced { reason: "watchdog".to_owned() }, usize::MAX);
    assert!(world.wire.halted.is_some());
    assert_eq!(world.states.account, TradingState::Halted);
}

#[test]
fn too_much_that_waits_ends_the_life() {
    let mut machine = KillSwitch::new();
    let wire = WireSeen { halt_epoch: HaltEpoch(0), halted: None };
    let wait = |machine: &mut KillSwitch| {
        machine.on(trip(quarantine(), TradingState::ReduceOnly), &wire, ProcessTime::ZERO)
    };
    for _ in 0..WAITING_MAX {
        assert!(wait(&mut machine).is_empty());
    }
    assert!(matches!(wait(&mut machine)[..], [KillSwitchEffect::GiveUp(_)]));
}

#[derive(Clone, Debug)]
enum Act {
    Halt,
    Watchdog,
    Resume,
    Trip(usize, TradingState),
    FileFails(bool),
    DeskUp(bool),
    Wake(u64),
    Durable,
}

#[derive(Clone, Debug)]
enum Death {
    Role,
    Process { lost: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let state = prop_oneof![3 => Just(TradingState::ReduceOnly), 1 => Just(TradingState::Halted)];
    prop_oneof![
        2 => Just(Act::Halt),
        1 => Just(Act::Watchdog),
        2 => Just(Act::Resume),
        4 => (0_usize..4, state).prop_map(|(latch, state)| Act::Trip(latch, state)),
        1 => any::<bool>().prop_map(Act::FileFails),
        1 => any::<bool>().prop_map(Act::DeskUp),
        1 => (0_u64..300).prop_map(Act::Wake),
        1 => Just(Act::Durable),
    ]
}

fn death() -> impl Strategy<Value = Option<(usize, Death)>> {
    let process = (0_usize..4).prop_map(|lost| Death::Process { lost });
    let how = prop_oneof![Just(Death::Role), process];
    prop_oneof![3 => Just(None), 1 => (0_usize..8, how).prop_map(Some)]
}

fn latch(index: usize) -> Latch {
    match index {
        0 => quarantine(),
        1 => breaker("regime", "SIM"),
        2 => breaker("loss", "account"),
        _ => breaker("technical", "account"),
    }
}

impl World {
    fn act(&mut self, act: Act, most: usize) -> bool {
        match act {
            Act::Halt => self.tell(halt(Some(NOBODY)), most),
            Act::Watchdog => {
                self.raise();
                self.wire.halted.get_or_insert_with(|| "watchdog".to_owned());
                self.tell(KillSwitchEvent::Fenced { reason: "watchdog".to_owned() }, most)
            }
            Act::Resume => self.tell(resume(), most),
            Act::Trip(index, state) => self.tell(trip(latch(index), state), most),
            Act::FileFails(fails) => {
                self.file_fails = fails;
                true
            }
            Act::DeskUp(up) => {
                self.desk_up = up;
                true
            }
            Act::Wake(millis) => {
                self.now = self.now + Duration::from_millis(millis);
                self.tell(KillSwitchEvent::Wake, most)
            }
            Act::Durable => {
                self.durable = self.records.len();
                true
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_dies_between_two_effects_the_latches_are_the_records_and_a_halt_holds(
        script in prop::collection::vec((act(), death()), 1..40),
    ) {
        let mut world = World::new();
        for (act, death) in script {
            let most = death.as_ref().map_or(usize::MAX, |(after, _)| *after);
            let whole = world.act(act, most);
            match death {
                Some((_, Death::Role)) => world.role_dies(),
                Some((_, Death::Process { lost })) => world.process_dies(lost),
                None => prop_assert!(whole),
            }
            world.check()?;
        }
    }
}
