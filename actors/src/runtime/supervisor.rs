//! The ractor actor around the supervision machine: carries out its actions, keeps the board.
//!
//! A supervisor never waits: each start is a ward task on the child's runtime, which takes the
//! seat (so the old state is dropped before the new one is made), spawns the child, awaits its
//! join handle and reports. If the supervisor ends in any way, its state kills the children in
//! reverse order. Decisions are in `supervision.rs`.

use super::alarm::Alarm;
use super::board::{Row, Status};
use super::clock::Clock;
use super::fault::{Fault, FaultBoard, Gate};
use super::life::{Life, Target};
use super::metrics;
use super::policy::{Beyond, ChildPolicy, Intensity, Strategy};
use super::random::SplitMix;
use super::shell;
use super::supervision::events::{Action, Event, Exit};
use super::supervision::{Plan, State, Supervision};
use super::tree::{Happening, Hooks, TreeEvent};
use ::metrics::Gauge;
use arc_swap::ArcSwapOption;
use market::time::ProcessTime;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

type Spawned = Pin<Box<dyn Future<Output = Result<JoinHandle<()>, SpawnErr>> + Send>>;

/// Spawns an incarnation of a role on the present runtime.
pub(super) type StartRole = Arc<dyn Fn(Launch) -> Spawned + Send + Sync>;

/// What all actors of a tree share.
pub(super) struct Shared {
    pub clock: Clock,
    pub faults: FaultBoard,
    pub hooks: Hooks,
    pub kill_grace: Duration,
    pub seat_patience: Duration,
    pub seed: u64,
}

/// What an incarnation is given at its start.
pub(super) struct Launch {
    pub life: Arc<Life>,
    pub permit: Option<OwnedSemaphorePermit>,
    pub row: Arc<Row>,
    pub gate: Arc<Gate>,
    pub shared: Arc<Shared>,
}

/// A supervisor as launched: it survives the incarnations of its actor.
pub(super) struct Family {
    pub row: Arc<Row>,
    pub strategy: Strategy,
    pub intensity: Option<Intensity>,
    pub beyond: Beyond,
    pub is_root: bool,
    pub children: Vec<Arc<Child>>,
    pub actor: ArcSwapOption<ActorRef<SupervisorMessage>>,
}

pub(super) struct Child {
    pub row: Arc<Row>,
    pub gate: Arc<Gate>,
    pub policy: ChildPolicy,
    pub runtime: Option<Handle>,
    pub body: ChildBody,
}

pub(super) enum ChildBody {
    Role(StartRole),
    Supervisor(Arc<Family>),
}

/// What a supervisor's mailbox carries.
#[derive(Debug)]
pub(super) enum SupervisorMessage {
    Event(Event),
    Alarm,
}

struct Overseer;

/// Dropped in this order: the brood is killed, then the seat is free.
struct Overseeing {
    brood: Brood,
    machine: Supervision,
    alarm: Alarm,
    life: Arc<Life>,
    gate: Arc<Gate>,
    shared: Arc<Shared>,
    was_ready: bool,
    _seat: Option<OwnedSemaphorePermit>,
}

struct Brood {
    family: Arc<Family>,
    lives: Vec<Option<Arc<Life>>>,
    meters: Vec<ChildMeters>,
}

struct ChildMeters {
    generation: Gauge,
    ready: Gauge,
    quarantined: Gauge,
    failed_at: Option<ProcessTime>,
}

impl Drop for Brood {
    fn drop(&mut self) {
        for (child, life) in self.family.children.iter().zip(&self.lives).rev() {
            if let Some(life) = life {
                life.kill();
            }
            if child.row.bench().is_none() {
                child.row.set_status(Status::Stopped);
            }
        }
        self.family.actor.store(None);
    }
}

/// Spawns a supervisor on the present runtime.
pub(super) async fn spawn(launch: Launch, family: Arc<Family>) -> Result<JoinHandle<()>, SpawnErr> {
    let (_, handle) = Actor::spawn(None, Overseer, (launch, family)).await?;
    Ok(handle)
}

impl Actor for Overseer {
    type Msg = SupervisorMessage;
    type State = Overseeing;
    type Arguments = (Launch, Arc<Family>);

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        (launch, family): (Launch, Arc<Family>),
    ) -> Result<Overseeing, ActorProcessingErr> {
        let Launch { life, permit, gate, shared, .. } = launch;
        life.attach(Target::Supervisor(myself.clone()));
        gate.attach(life.generation(), myself.get_cell());
        let path = family.row.path().as_str().to_owned();
        let known = |child: &Arc<Child>| (child.policy, child.row.generation(), child.row.bench());
        let machine = Supervision::new(Plan {
            strategy: family.strategy,
            intensity: family.intensity,
            beyond: family.beyond,
            is_root: family.is_root,
            kill_grace: shared.kill_grace,
            seed: SplitMix::for_path(shared.seed ^ life.generation(), &path).draw(),
            children: family.children.iter().map(known).collect(),
        });
        let actor = myself.clone();
        let alarm = Alarm::start(shared.clock.clone(), move || {
            // Refused only by an actor that has ended; the alarm ends with it.
            let _ = actor.cast(SupervisorMessage::Alarm);
        });
        family.actor.store(Some(Arc::new(myself)));
        let brood = Brood {
            lives: family.children.iter().map(|_| None).collect(),
            meters: family.children.iter().map(ChildMeters::new).collect(),
            family,
        };
        let was_ready = false;
        Ok(Overseeing { brood, machine, alarm, life, gate, shared, was_ready, _seat: permit })
    }

    async fn post_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        state: &mut Overseeing,
    ) -> Result<(), ActorProcessingErr> {
        if state.life.is_killed() {
            return shell::die(&myself).await;
        }
        state.life.report_started();
        state.take(Event::Begin, &myself)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut Overseeing,
    ) -> Result<(), ActorProcessingErr> {
        if state.gate.is_armed() {
            Box::pin(state.suffer(&myself)).await?;
        }
        let event = match message {
            SupervisorMessage::Event(event) => event,
            SupervisorMessage::Alarm => {
                state.alarm.fired();
                Event::Wake
            }
        };
        state.take(event, &myself)
    }

    async fn post_stop(
        &self,
        _: ActorRef<SupervisorMessage>,
        state: &mut Overseeing,
    ) -> Result<(), ActorProcessingErr> {
        state.life.note_exit(Exit::Normal);
        Ok(())
    }
}

impl ChildMeters {
    fn new(child: &Arc<Child>) -> Self {
        let role = [child.row.path().as_str()];
        // Known from zero on: what begins with its first event shows no increase of it.
        metrics::ACTOR_RESTARTS.counter(&role).increment(0);
        drop(metrics::ACTOR_RECOVERY.histogram(&role));
        Self {
            generation: metrics::ACTOR_GENERATION.gauge(&role),
            ready: metrics::ACTOR_READY.gauge(&role),
            quarantined: metrics::ACTOR_QUARANTINED.gauge(&role),
            failed_at: None,
        }
    }
}

impl Overseeing {
    #[cold]
    async fn suffer(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        if self.shared.faults.is_crashed() {
            // The node is dead; nothing of it may do anything any more.
            return std::future::pending().await;
        }
        let clock = &self.shared.clock;
        let eligible = |fault| !matches!(fault, Fault::Drop | Fault::Duplicate);
        let reason = match self.gate.draw(clock.process(), eligible) {
            None | Some(Fault::Drop | Fault::Duplicate) => return Ok(()),
            Some(Fault::Kill) => return shell::die(myself).await,
            Some(Fault::Delay(wait)) => {
                clock.sleep(wait).await;
                return Ok(());
            }
            Some(Fault::Stall(wait)) => {
                shell::stall(clock, wait).await;
                return Ok(());
            }
            Some(Fault::Panic) => shell::injected_panic(),
            Some(Fault::Error) => "injected error".to_owned(),
        };
        self.life.note_exit(Exit::Abnormal(reason.clone()));
        Err(reason.into())
    }

    fn take(
        &mut self,
        event: Event,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let now = self.shared.clock.process();
        self.tell_event(&event, now);
        let actions = self.machine.on(event, now);
        let outcome =
            actions.into_iter().try_for_each(|action| self.carry_out(action, now, myself));
        self.refresh();
        self.alarm.want(self.machine.next_wake().map(|(at, _)| at), now);
        outcome
    }

    fn carry_out(
        &mut self,
        action: Action,
        now: ProcessTime,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        match action {
            Action::Start { child, generation } => self.start(child, generation, now, myself),
            Action::Stop { child, how } => {
                if let Some(life) = &self.brood.lives[child] {
                    life.stop(how);
                }
            }
            Action::Kill { child } => {
                if let Some(life) = &self.brood.lives[child] {
                    life.kill();
                }
            }
            Action::Settle => {
                // Refused only when this supervisor is being stopped: nothing to judge then.
                let _ = myself.cast(SupervisorMessage::Event(Event::Settle));
            }
            Action::Restarting { child, after, reason } => {
                let row = &self.brood.family.children[child].row;
                row.count_restart();
                row.set_reason(&reason);
                metrics::ACTOR_RESTARTS.counter(&[row.path().as_str()]).increment(1);
                self.brood.meters[child].failed_at = Some(now);
                self.tell(child, now, Happening::Restarting { after, reason });
            }
            Action::Rests { child } => self.tell(child, now, Happening::Rests),
            Action::Benched { child, beyond, reason } => {
                self.brood.family.children[child].row.set_reason(&reason);
                self.tell(child, now, Happening::Benched { beyond, reason });
            }
            Action::Unkillable { child } => {
                let row = &self.brood.family.children[child].row;
                metrics::ACTOR_UNKILLABLE.counter(&[row.path().as_str()]).increment(1);
                self.tell(child, now, Happening::Unkillable);
            }
            Action::Halt { child, reason } => {
                (self.shared.hooks.on_halt)(&self.blame(child, &reason));
                self.tell(child, now, Happening::Halting { reason });
            }
            Action::Exhausted { child, reason } => {
                let blame = self.blame(child, &reason);
                self.tell(child, now, Happening::Exhausted { reason });
                (self.shared.hooks.on_exhausted)(&blame);
            }
            Action::Escalate { child, reason } => {
                let blame = self.blame(child, &reason);
                self.tell(child, now, Happening::Escalating { reason });
                self.life.note_exit(Exit::Abnormal(blame.clone()));
                return Err(blame.into());
            }
            Action::Finished => myself.stop(None),
        }
        Ok(())
    }

    fn blame(&self, child: usize, reason: &str) -> String {
        format!(
            "{} fails too often, at last: {reason}",
            self.brood.family.children[child].row.path()
        )
    }

    fn start(
        &mut self,
        index: usize,
        generation: u64,
        now: ProcessTime,
        myself: &ActorRef<SupervisorMessage>,
    ) {
        let child = Arc::clone(&self.brood.family.children[index]);
        let life = Arc::new(Life::new(Some(myself.clone()), index, generation));
        self.brood.lives[index] = Some(Arc::clone(&life));
        child.row.set_generation(generation);
        self.brood.meters[index].generation.set(generation as f64);
        let runtime = child.runtime.clone().unwrap_or_else(Handle::current);
        self.tell(index, now, Happening::Starting { generation });
        runtime.spawn(ward(child, life, Arc::clone(&self.shared)));
    }

    /// Brings the board into line with the machine.
    fn refresh(&mut self) {
        for (index, child) in self.brood.family.children.iter().enumerate() {
            let Some(state) = self.machine.state(index) else {
                continue;
            };
            let (status, bench) = match state {
                State::Idle | State::Held => (Status::Stopped, None),
                State::Waiting { .. } => (Status::Backoff, None),
                State::Starting { .. } => (Status::Starting, None),
                State::Running { ready: false, .. } => (Status::Running, None),
                State::Running { ready: true, .. } => (Status::Ready, None),
                State::Stopping { .. } => (Status::Stopping, None),
                State::Gone { .. } => (Status::Failed, None),
                State::Finished => (Status::Finished, None),
                State::Benched(beyond) => (Status::Quarantined, Some(*beyond)),
            };
            if child.row.status() != status {
                child.row.set_status(status);
                child.row.set_bench(bench);
                let meters = &self.brood.meters[index];
                meters.ready.set(f64::from(u8::from(status == Status::Ready)));
                meters.quarantined.set(f64::from(u8::from(bench.is_some())));
            }
        }
        let ready = self.machine.all_ready();
        if self.was_ready != ready {
            self.was_ready = ready;
            self.life.report_readiness(ready);
        }
        if self.brood.family.is_root {
            let status = if ready { Status::Ready } else { Status::Running };
            self.brood.family.row.set_status(status);
        }
    }

    /// What an event means for the observer; stale ones mean nothing.
    fn tell_event(&mut self, event: &Event, now: ProcessTime) {
        let current = |child: usize, generation: u64| self.machine.generation(child) == generation;
        match event {
            Event::Started { child, generation } if current(*child, *generation) => {
                if let Some(failed_at) = self.brood.meters[*child].failed_at.take() {
                    let role = [self.brood.family.children[*child].row.path().as_str()];
                    let took = now.since(failed_at).as_secs_f64();
                    metrics::ACTOR_RECOVERY.histogram(&role).record(took);
                }
                self.tell(*child, now, Happening::Started { generation: *generation });
            }
            Event::Readiness { child, generation, ready } if current(*child, *generation) => {
                self.tell(*child, now, Happening::Readiness { ready: *ready });
            }
            Event::Exited { child, generation, exit } if current(*child, *generation) => {
                let (generation, exit) = (*generation, exit.clone());
                if let Exit::Abnormal(reason) | Exit::GaveUp(reason) = &exit {
                    self.brood.family.children[*child].row.set_reason(reason);
                }
                self.tell(*child, now, Happening::Exited { generation, exit });
            }
            Event::Started { .. }
            | Event::Readiness { .. }
            | Event::Exited { .. }
            | Event::Begin
            | Event::Settle
            | Event::Wake
            | Event::Revive { .. }
            | Event::Shutdown => {}
        }
    }

    fn tell(&self, child: usize, at: ProcessTime, what: Happening) {
        let role = self.brood.family.children[child].row.path().clone();
        (self.shared.hooks.on_event)(&TreeEvent { at, role, what });
    }
}

/// Accompanies one incarnation from before its start until its state is dropped.
async fn ward(child: Arc<Child>, life: Arc<Life>, shared: Arc<Shared>) {
    let mut notice = Notice { life: Arc::clone(&life), exit: None };
    let seat = Arc::clone(&child.row.seat).acquire_owned();
    let permit = tokio::select! {
        biased;
        () = life.killed() => {
            notice.exit = Some(life.take_exit());
            return;
        }
        permit = tokio::time::timeout(shared.seat_patience, seat) => match permit {
            Ok(permit) => permit.ok(),
            Err(_) => {
                // The predecessor can't be ended; its generation is fenced wherever it counts.
                let (at, role) = (shared.clock.process(), child.row.path().clone());
                let what = Happening::SeatTaken { generation: life.generation() };
                (shared.hooks.on_event)(&TreeEvent { at, role, what });
                None
            }
        },
    };
    let launch = Launch {
        life: Arc::clone(&life),
        permit,
        row: Arc::clone(&child.row),
        gate: Arc::clone(&child.gate),
        shared,
    };
    let spawned = match &child.body {
        ChildBody::Role(start) => start(launch).await,
        ChildBody::Supervisor(family) => spawn(launch, Arc::clone(family)).await,
    };
    notice.exit = Some(match spawned {
        Ok(handle) => {
            // An error means that its runtime is going down; the exit says killed then.
            let _ = handle.await;
            life.take_exit()
        }
        Err(error) => Exit::Abnormal(format!("spawn: {error}")),
    });
}

/// Reports the exit when the ward ends, even where its runtime cancels it.
struct Notice {
    life: Arc<Life>,
    exit: Option<Exit>,
}

impl Drop for Notice {
    fn drop(&mut self) {
        let cancelled = || Exit::Abnormal("its runtime has shut down".to_owned());
        self.life.report_exit(self.exit.take().unwrap_or_else(cancelled));
    }
}
