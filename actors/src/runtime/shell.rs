//! The one ractor actor that hosts every role: mailbox, fault gate, timer, metrics, span.
//!
//! Panics are caught here, where the handler is synchronous, so that the reason is known when the
//! ward reports the exit. The role's recovery runs in `post_start`: a panic in it is a normal
//! failure, and `pre_start`, which would block the spawner, does nothing.

use super::alarm::Alarm;
use super::board::Row;
use super::fault::{Fault, FaultBoard, Gate};
use super::life::{Life, Target};
use super::metrics;
use super::role::{Context, Role, RoleError, RoleMessage};
use super::role_ref::{Incumbent, RoleRef};
use super::supervision::events::Exit;
use super::supervisor::{Launch, Shared};
use ::metrics::{Counter, Gauge, Histogram};
use market::time::ProcessTime;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tracing::Span;

/// Makes a role in its seat: recovers it from the journal or wherever its state is kept.
pub(super) type Factory<R> =
    Arc<dyn Fn(&mut Context<<R as Role>::Message>) -> Result<R, RoleError> + Send + Sync + 'static>;

/// What an actor's mailbox carries.
pub(super) enum Envelope<M> {
    Deliver(M),
    Alarm,
}

struct Shell<R>(PhantomData<fn(R)>);

struct Start<R: Role> {
    launch: Launch,
    own: RoleRef<R::Message>,
    factory: Factory<R>,
}

/// Dropped in this order: first the role, then what others see of it, last the seat.
struct Seated<R: Role> {
    role: Option<R>,
    cx: Context<R::Message>,
    alarm: Alarm,
    factory: Factory<R>,
    meters: Meters,
    span: Span,
    gate: Arc<Gate>,
    vacate: Vacate<R::Message>,
    _seat: Option<OwnedSemaphorePermit>,
}

/// Takes the incarnation off address and board when its state goes, however that happens.
struct Vacate<M: RoleMessage> {
    own: RoleRef<M>,
    incumbent: Arc<Incumbent<M>>,
    row: Arc<Row>,
    generation: u64,
    up: Gauge,
    depth: Gauge,
}

impl<M: RoleMessage> Drop for Vacate<M> {
    fn drop(&mut self) {
        self.own.clear(self.generation);
        if self.row.generation() == self.generation {
            self.row.idle();
            self.row.set_depth(self.own.depth() as u64);
            self.up.set(0.0);
            self.depth.set(0.0);
        }
    }
}

struct Meters {
    handled: Counter,
    seconds: Histogram,
    depth: Gauge,
}

enum Outcome {
    Continue,
    Kill,
    Fail(String),
    GiveUp(String),
}

/// Spawns the role on the present runtime.
pub(super) async fn spawn<R: Role>(
    launch: Launch,
    own: RoleRef<R::Message>,
    factory: Factory<R>,
) -> Result<JoinHandle<()>, SpawnErr> {
    let start = Start { launch, own, factory };
    let (_, handle) = Actor::spawn(None, Shell::<R>(PhantomData), start).await?;
    Ok(handle)
}

impl<R: Role> Actor for Shell<R> {
    type Msg = Envelope<R::Message>;
    type State = Seated<R>;
    type Arguments = Start<R>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        start: Start<R>,
    ) -> Result<Seated<R>, ActorProcessingErr> {
        // A life that was killed before this kills the actor at its next await.
        start.launch.life.attach(Target::Role(myself.get_cell()));
        start.launch.gate.attach(start.launch.life.generation(), myself.get_cell());
        Ok(Seated::new(start, &myself))
    }

    async fn post_start(
        &self,
        myself: ActorRef<Self::Msg>,
        seated: &mut Seated<R>,
    ) -> Result<(), ActorProcessingErr> {
        if seated.cx.life.is_killed() {
            return die(&myself).await;
        }
        let outcome = seated.start();
        conclude(outcome, &myself, &seated.cx.life).await
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        envelope: Self::Msg,
        seated: &mut Seated<R>,
    ) -> Result<(), ActorProcessingErr> {
        let outcome = if seated.gate.is_armed() {
            Box::pin(seated.handle_faulty(envelope)).await
        } else {
            seated.handle(envelope)
        };
        match outcome {
            Outcome::Continue => Ok(()),
            other => conclude(other, &myself, &seated.cx.life).await,
        }
    }

    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        seated: &mut Seated<R>,
    ) -> Result<(), ActorProcessingErr> {
        seated.cx.now = seated.cx.clock.now();
        if let Some(role) = &mut seated.role {
            let cx = &mut seated.cx;
            let stopping = catch_unwind(AssertUnwindSafe(|| role.stopping(cx)));
            if let Err(payload) = stopping {
                seated.cx.life.note_exit(Exit::Abnormal(panic_reason(payload.as_ref())));
            }
        }
        seated.cx.life.note_exit(Exit::Normal);
        Ok(())
    }
}

impl<R: Role> Seated<R> {
    fn new(start: Start<R>, myself: &ActorRef<Envelope<R::Message>>) -> Self {
        let Start { launch: Launch { life, permit, row, gate, shared }, own, factory } = start;
        let Shared { clock, faults, .. } = &*shared;
        let (clock, faults): (_, FaultBoard) = (clock.clone(), faults.clone());
        let generation = life.generation();
        let incumbent = own.incumbent(generation, myself.clone());
        let path = own.path().as_str();
        let actor = myself.clone();
        let alarm = Alarm::start(clock.clone(), move || {
            // Refused only by an actor that has ended; the alarm ends with it.
            let _ = actor.send_message(Envelope::Alarm);
        });
        let (up, depth) = (metrics::ACTOR_UP.gauge(&[path]), metrics::ACTOR_QUEUE.gauge(&[path]));
        let meters = Meters {
            handled: metrics::ACTOR_HANDLED.counter(&[path]),
            seconds: metrics::ACTOR_SECONDS.histogram(&[path]),
            depth: depth.clone(),
        };
        let cx = Context {
            now: clock.now(),
            pinned: own.pinned(&incumbent),
            own: own.clone(),
            life,
            faults,
            clock,
            started: false,
            ready: false,
            tasks: Vec::new(),
        };
        Self {
            role: None,
            alarm,
            factory,
            meters,
            span: tracing::info_span!("role", path, generation),
            gate,
            vacate: Vacate { own, incumbent, row, generation, up, depth },
            cx,
            _seat: permit,
        }
    }

    fn start(&mut self) -> Outcome {
        let _entered = self.span.enter();
        self.cx.now = self.cx.clock.now();
        let (factory, cx) = (&self.factory, &mut self.cx);
        let made = match catch_unwind(AssertUnwindSafe(|| factory(cx))) {
            Ok(Ok(role)) => role,
            Ok(Err(RoleError::Killed)) => return Outcome::Kill,
            Ok(Err(RoleError::GaveUp(reason))) => return Outcome::GiveUp(reason),
            Ok(Err(RoleError::Failed(reason))) => {
                return Outcome::Fail(format!("start: {reason}"));
            }
            Err(payload) => {
                return Outcome::Fail(format!("start: {}", panic_reason(payload.as_ref())));
            }
        };
        self.alarm.want(made.next_wake().map(|(at, _)| at), self.cx.now.process);
        self.role = Some(made);
        self.vacate.own.install(&self.vacate.incumbent);
        self.vacate.up.set(1.0);
        self.cx.life.report_started();
        self.cx.started = true;
        if self.cx.ready {
            self.cx.life.report_readiness(true);
        }
        Outcome::Continue
    }

    fn handle(&mut self, envelope: Envelope<R::Message>) -> Outcome {
        let Some(role) = &mut self.role else {
            return Outcome::Continue;
        };
        let cx = &mut self.cx;
        cx.now = cx.clock.now();
        let begun = cx.now.process;
        let delivered = matches!(envelope, Envelope::Deliver(_));
        self.vacate.row.begin(begun);
        let handled = {
            let _entered = self.span.enter();
            catch_unwind(AssertUnwindSafe(|| match envelope {
                Envelope::Deliver(message) => role.handle(message, cx),
                Envelope::Alarm => match role.next_wake() {
                    Some((at, _)) if at <= begun => role.on_wake(cx),
                    Some(_) | None => Ok(()),
                },
            }))
        };
        let done = cx.clock.process();
        self.vacate.row.end(done, done.since(begun));
        self.meters.handled.increment(1);
        self.meters.seconds.record(done.since(begun).as_secs_f64());
        let depth = if delivered {
            self.vacate.incumbent.handled()
        } else {
            self.alarm.fired();
            self.vacate.incumbent.depth()
        };
        self.vacate.row.set_depth(depth as u64);
        self.meters.depth.set(depth as f64);
        match handled {
            Ok(Ok(())) => {}
            Ok(Err(RoleError::Killed)) => return Outcome::Kill,
            Ok(Err(RoleError::GaveUp(reason))) => return Outcome::GiveUp(reason),
            Ok(Err(RoleError::Failed(reason))) => return Outcome::Fail(reason),
            Err(payload) => return Outcome::Fail(panic_reason(payload.as_ref())),
        }
        let wake = role.next_wake().map(|(at, _)| at);
        // A role whose wake leaves it due again would spin without letting time pass.
        let pause = Duration::from_millis(1);
        let earliest = if delivered { ProcessTime::ZERO } else { begun + pause };
        self.alarm.want(wake.map(|at| at.max(earliest)), done);
        Outcome::Continue
    }

    #[cold]
    async fn handle_faulty(&mut self, envelope: Envelope<R::Message>) -> Outcome {
        let clock = self.cx.clock.clone();
        let (may_drop, duplicate) = match &envelope {
            Envelope::Deliver(message) => (message.may_drop(), message.duplicate()),
            Envelope::Alarm => (false, None),
        };
        let eligible = |fault: Fault| match fault {
            Fault::Drop => may_drop,
            Fault::Duplicate => duplicate.is_some(),
            Fault::Kill | Fault::Panic | Fault::Error | Fault::Delay(_) | Fault::Stall(_) => true,
        };
        if self.cx.faults.is_crashed() {
            // The node is dead; nothing of it may do anything any more.
            return std::future::pending().await;
        }
        match self.gate.draw(clock.process(), eligible) {
            None => self.handle(envelope),
            Some(Fault::Kill) => Outcome::Kill,
            Some(Fault::Panic) => Outcome::Fail(injected_panic()),
            Some(Fault::Error) => Outcome::Fail("injected error".to_owned()),
            Some(Fault::Delay(wait)) => {
                clock.sleep(wait).await;
                self.handle(envelope)
            }
            Some(Fault::Stall(wait)) => {
                stall(&clock, wait).await;
                self.handle(envelope)
            }
            Some(Fault::Drop) => {
                self.vacate.incumbent.handled();
                Outcome::Continue
            }
            Some(Fault::Duplicate) => {
                if let (Some(copy), Outcome::Continue) = (duplicate, self.handle(envelope)) {
                    // The copy was never queued: one handled message is counted twice.
                    self.vacate.incumbent.uncounted();
                    return self.handle(Envelope::Deliver(copy));
                }
                Outcome::Continue
            }
        }
    }
}

/// Blocks the thread as a busy handler does; under a paused clock only the mailbox stands still.
pub(super) async fn stall(clock: &super::clock::Clock, wait: Duration) {
    if clock.is_paused() {
        clock.sleep(wait).await;
        return;
    }
    let until = clock.process() + wait;
    while clock.process() < until {
        std::hint::spin_loop();
    }
}

/// A real panic, unwound and caught like any other.
pub(super) fn injected_panic() -> String {
    let caught = catch_unwind(|| -> () { std::panic::panic_any("injected") });
    caught.map_or_else(|payload| panic_reason(payload.as_ref()), |()| String::new())
}

async fn conclude<M: ractor::Message>(
    outcome: Outcome,
    myself: &ActorRef<M>,
    life: &Life,
) -> Result<(), ActorProcessingErr> {
    match outcome {
        Outcome::Continue => Ok(()),
        Outcome::Kill => die(myself).await,
        Outcome::Fail(reason) => {
            life.note_exit(Exit::Abnormal(reason.clone()));
            Err(reason.into())
        }
        Outcome::GiveUp(reason) => {
            life.note_exit(Exit::GaveUp(reason.clone()));
            Err(reason.into())
        }
    }
}

/// Kills the actor and never goes on.
pub(super) async fn die<M: ractor::Message>(
    myself: &ActorRef<M>,
) -> Result<(), ActorProcessingErr> {
    myself.kill();
    std::future::pending().await
}

/// What a panic said.
pub(super) fn panic_reason(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("without a message"))
}
