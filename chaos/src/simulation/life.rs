//! One life of a simulated node: from its launch to its crash or to the end of the day.

use super::director::{Director, Stage};
use super::wiring::wire;
use super::{Finished, SimulationError, SimulationSpec};
use crate::disturbances::{Disturbance, Disturbances};
use crate::medium::MemoryHaltFile;
use crate::plan::{Plan, Target};
use actors::aftermath;
use actors::auditor::Audit;
use actors::kill_switch::HaltFile;
use actors::messages::KillSwitchMessage;
use actors::node::{Listing, Node, NodeParts};
use actors::runtime::clock::Clock;
use actors::runtime::fault::{Fault, FaultBoard, Permission, Rule};
use actors::runtime::protocol::{ProtocolStep, StepObserver, StepVerdict};
use actors::runtime::role::RolePath;
use actors::runtime::tree::{Happening, Hooks, Setup, TreeEvent};
use actors::venue;
use broker::link::LinkState;
use broker::simulated::SimulatedVenue;
use broker::wire_fence::WireFence;
use market::quality::{Flaw, FlawCounts};
use market::time::{Now, ProcessTime, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use valuation::book::BookCounts;

/// The node's parts, once it is launched.
type PartsCell = Arc<Mutex<Option<NodeParts>>>;

/// Idle strikes and readiness are looked at this often, in process time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After the market's end the node has so long to settle, in process time.
const SETTLE: Duration = Duration::from_secs(130);
/// So long after a kill whoever depends on its target has noticed.
const SHOWS_AFTER: Duration = Duration::from_secs(3);
/// A halt must be acknowledged within this process time.
const HALT_WITHIN: Duration = Duration::from_secs(5);

/// How a life ended.
pub enum End {
    /// The whole node died.
    Crashed {
        /// At this market time.
        at: Timestamp,
    },
    /// The day is over.
    Finished(Finished),
}

/// What is counted over all lives.
#[derive(Clone, Default)]
pub struct Tallies(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    book: BookCounts,
    flaws: BTreeMap<String, u64>,
    restarts: u64,
    alarms: Vec<String>,
    faults: BTreeMap<String, u64>,
}

/// Alarms are kept up to here; a day that has more has failed anyway.
const ALARMS_MAX: usize = 200;

impl Tallies {
    pub fn book(&self) -> BookCounts {
        self.with(|counts| counts.book)
    }

    pub fn flaws(&self) -> BTreeMap<String, u64> {
        self.with(|counts| counts.flaws.clone())
    }

    pub fn restarts(&self) -> u64 {
        self.with(|counts| counts.restarts)
    }

    pub fn alarms(&self) -> Vec<String> {
        self.with(|counts| counts.alarms.clone())
    }

    /// Faults that struck, by kind.
    pub fn faults(&self) -> BTreeMap<String, u64> {
        self.with(|counts| counts.faults.clone())
    }

    fn struck(&self, fault: &str) {
        self.with(|counts| *counts.faults.entry(fault.to_owned()).or_default() += 1);
    }

    pub fn alarm(&self, text: &str) {
        self.with(|counts| {
            if counts.alarms.len() < ALARMS_MAX {
                counts.alarms.push(text.to_owned());
            }
        });
    }

    fn restarted(&self) {
        self.with(|counts| counts.restarts += 1);
    }

    fn take(&self, parts: &NodeParts) {
        self.with(|counts| {
            for seat in parts.products.values() {
                let book = *seat.book.lock().unwrap_or_else(PoisonError::into_inner);
                counts.book = counts.book.plus(&book);
                let flaws: FlawCounts = *seat.flaws.lock().unwrap_or_else(PoisonError::into_inner);
                *counts.flaws.entry("sound".to_owned()).or_default() += flaws.sound();
                for flaw in Flaw::ALL {
                    *counts.flaws.entry(flaw.name().to_owned()).or_default() += flaws.of(flaw);
                }
            }
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut Counts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One life.
pub struct Life<'a> {
    pub spec: &'a SimulationSpec,
    pub venue: &'a Arc<SimulatedVenue>,
    pub audit: &'a Audit,
    pub plan: Option<&'a Arc<Mutex<Plan>>>,
    pub disturbances: Option<&'a Mutex<Disturbances>>,
    pub tallies: &'a Tallies,
    pub halt_file: &'a MemoryHaltFile,
    pub director: &'a dyn Director,
    pub start: Timestamp,
    pub number: u32,
}

/// Lets the plan see each step, and strike there.
struct Watcher {
    plan: Arc<Mutex<Plan>>,
    clock: Clock,
    audit: Audit,
}

impl StepObserver for Watcher {
    fn on_step(&self, _: &RolePath, step: ProtocolStep, key: u64) -> StepVerdict {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            ProtocolStep::Settled => {
                plan.on_settled(key);
                return StepVerdict::Pass;
            }
            ProtocolStep::Filled
            | ProtocolStep::Modifying
            | ProtocolStep::Canceling
            | ProtocolStep::Legged => return StepVerdict::Pass,
            ProtocolStep::Idle
            | ProtocolStep::Recorded
            | ProtocolStep::Durable
            | ProtocolStep::Sent
            | ProtocolStep::Acked => {}
        }
        let now = self.clock.now();
        let Some(strike) = plan.on_step(step, key, now.process) else { return StepVerdict::Pass };
        self.audit.tell(move |auditor| auditor.on_fault_injected(now.market));
        match strike.target {
            Target::Role(role) => StepVerdict::KillRole(RolePath::new(role)),
            Target::Node => StepVerdict::CrashNode,
        }
    }
}

impl Life<'_> {
    /// Lives it on a runtime of its own, which is dropped with everything in it.
    pub fn live(&self) -> Result<End, SimulationError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(SimulationError::Runtime)?;
        runtime.block_on(self.run())
    }

    async fn run(&self) -> Result<End, SimulationError> {
        let clock = Clock::simulated(self.start, self.spec.speed_permille);
        let permission = Permission::Granted { max_ttl: Duration::from_secs(3_600) };
        let faults = FaultBoard::new(permission, self.spec.seed);
        let crashed = Arc::new(Notify::new());
        let crash = Arc::clone(&crashed);
        faults.on_crash(move || crash.notify_one());
        if let Some(plan) = self.plan {
            faults.observe_steps(Some(Arc::new(Watcher {
                plan: Arc::clone(plan),
                clock: clock.clone(),
                audit: self.audit.clone(),
            })));
        }
        if let Some(plan) = self.plan {
            let (plan, tallies) = (Arc::clone(plan), self.tallies.clone());
            faults.report_to(move |injection| {
                tallies.struck(injection.fault.label());
                if injection.fault == Fault::Kill {
                    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                    plan.on_struck(injection.role.as_str());
                }
            });
        }
        let exhausted = Arc::new(Mutex::new(None));
        let wiring = wire(self, &clock)?;
        self.audit.tap(self.venue, wiring.port.clone());
        let (alarm, fence) = (Arc::clone(&wiring.alarm), Arc::clone(&wiring.fence));
        let mut setup = Setup::new(clock.clone(), faults.clone());
        setup.seed = self.spec.seed;
        let parts: PartsCell = Arc::default();
        setup.hooks = self.hooks(&clock, &exhausted, &parts, fence);
        let node = Arc::new(Node::launch(wiring, setup).await?);
        *parts.lock().unwrap_or_else(PoisonError::into_inner) = Some(node.parts.clone());
        let listing = Listing::new(node.parts.clone(), alarm);
        self.venue.on_listed(Arc::new(move |instruments| listing.take(instruments)));
        let driven = venue::drive(Arc::clone(self.venue), clock.clone(), self.spec.end);
        let stage = Stage {
            life: self.number,
            node: Arc::clone(&node),
            parts: node.parts.clone(),
            faults: faults.clone(),
            clock: clock.clone(),
            venue: Arc::clone(self.venue),
            audit: self.audit.clone(),
        };
        // Whoever has done what it came for leaves the day to itself.
        let mut directed = std::pin::pin!(async {
            self.director.direct(stage).await;
            std::future::pending::<()>().await;
        });
        let outcome = tokio::select! {
            biased;
            () = crashed.notified() => None,
            () = self.watch(&node, &clock, &faults) => None,
            () = &mut directed => None,
            driven = driven => Some(driven),
        };
        if let Some(driven) = outcome {
            driven?;
            let settled = tokio::select! {
                biased;
                () = crashed.notified() => false,
                () = &mut directed => false,
                () = self.settle(&clock) => true,
            };
            if settled {
                return self.finish(&node, &clock, &exhausted).await;
            }
        }
        self.tallies.take(&node.parts);
        Ok(End::Crashed { at: clock.now().market })
    }

    /// Strikes when nothing is on its way, and tells the auditor of readiness.
    async fn watch(&self, node: &Node, clock: &Clock, faults: &FaultBoard) {
        let mut ready = false;
        // The launch itself is the last fault that was lifted.
        let mut lifted = Some(clock.now());
        let mut strikes = 0;
        let mut disturbed_until: Option<ProcessTime> = None;
        loop {
            clock.sleep(LOOK_EVERY).await;
            let now = clock.now();
            // A kill is over when it has struck; it shows a moment later.
            if let Some(plan) = self.plan {
                let plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::replace(&mut strikes, plan.total()) != plan.total() {
                    lifted = Some(now);
                }
            }
            if disturbed_until.take_if(|until| now.process >= *until).is_some() {
                lifted = Some(now);
            }
            if let Some(progress) = &self.spec.progress {
                progress(now.market);
            }
            let link = node.parts.link.load().state;
            let is_ready = link == LinkState::Ready && node.parts.desk_view.load().ready;
            let was_ready = std::mem::replace(&mut ready, is_ready);
            let shown = lifted.take_if(|at| now.process.since(at.process) >= SHOWS_AFTER);
            self.audit.tell(move |auditor| {
                if let Some(at) = shown {
                    auditor.on_fault_lifted(at.market);
                }
                match (was_ready, is_ready) {
                    (true, false) => auditor.on_not_ready(now.market),
                    (false, false) => {}
                    (_, true) => auditor.on_ready(now.market),
                }
            });
            disturbed_until = self.disturb(faults, now).or(disturbed_until);
            let Some(plan) = self.plan else { continue };
            let strike = plan.lock().unwrap_or_else(PoisonError::into_inner).on_time(now.process);
            let Some(strike) = strike else { continue };
            self.audit.tell(move |auditor| auditor.on_fault_injected(now.market));
            match strike.target {
                // A role that is down at this very moment can't be killed: it is being restarted.
                Target::Role(role) => drop(faults.kill(&RolePath::new(role))),
                Target::Node => faults.crash(),
            }
        }
    }

    /// Arms what the schedule asks for; answers when that is lifted.
    fn disturb(&self, faults: &FaultBoard, now: Now) -> Option<ProcessTime> {
        let disturbances = self.disturbances?;
        let mut disturbances = disturbances.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = disturbances.on_time(now.process)?;
        let Disturbance { role, fault, ppm, budget, lasting } = wanted;
        let until = now.process + lasting;
        let rule = Rule { fault, ppm, budget, until };
        let armed = faults.arm(&RolePath::new(role), rule, now.process);
        armed.expect("the schedule knows the tree's roles and what a board takes");
        self.audit.tell(move |auditor| auditor.on_fault_injected(now.market));
        Some(until)
    }

    fn hooks(
        &self,
        clock: &Clock,
        exhausted: &Arc<Mutex<Option<String>>>,
        parts: &PartsCell,
        fence: Arc<WireFence>,
    ) -> Hooks {
        let (tallies, clock, parts) = (self.tallies.clone(), clock.clone(), Arc::clone(parts));
        let exhausted = Arc::clone(exhausted);
        let give_up = self.tallies.clone();
        let halt_file = self.halt_file.clone();
        Hooks::default()
            .on_event(move |event: &TreeEvent| {
                match &event.what {
                    Happening::Restarting { .. } => tallies.restarted(),
                    Happening::Benched { reason, .. } => {
                        tallies.alarm(&format!("{} is down: {reason}", event.role));
                    }
                    Happening::Unkillable | Happening::SeatTaken { .. } => {
                        tallies.alarm(&format!("{}: {:?}", event.role, event.what));
                    }
                    _ => {}
                }
                let parts = parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(parts) = parts {
                    aftermath::follow(&parts, event, clock.now().market);
                }
            })
            .on_exhausted(move |reason: &str| {
                give_up.alarm(&format!("root: {reason}"));
                // As the process does before it ends: the wire first, then for the next life.
                fence.halt(reason);
                let _ = halt_file.write(reason);
                *exhausted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
            })
    }

    /// The market is over: what is on its way arrives, day orders end, rounds agree.
    async fn settle(&self, clock: &Clock) {
        let until = clock.now().process + SETTLE;
        while clock.now().process < until {
            clock.sleep(LOOK_EVERY).await;
            if self.venue.advance(clock.now().market).is_err() {
                return;
            }
        }
    }

    async fn finish(
        &self,
        node: &Node,
        clock: &Clock,
        exhausted: &Arc<Mutex<Option<String>>>,
    ) -> Result<End, SimulationError> {
        if let Some(reason) = exhausted.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            // Perhaps it gave up because of what it found on its disk.
            let verified = store::verify(&*self.spec.medium.disk()).is_ok();
            self.audit.tell(move |auditor| auditor.on_chain_verified(verified));
            return Err(SimulationError::Exhausted(reason));
        }
        self.drill_halt(node, clock).await;
        clock.sleep(Duration::from_secs(70)).await;
        let parts = &node.parts;
        let now = clock.now().market;
        let disk = self.spec.medium.disk();
        let durable = parts.journal.durable();
        self.audit
            .catch_up(&disk, durable, usize::MAX)
            .map_err(|error| SimulationError::State(error.to_string()))?;
        self.venue.with_exchange(|exchange| self.audit.compare(exchange, now));
        let rows: Vec<(String, String)> = node
            .tree
            .board()
            .view()
            .into_iter()
            .map(|row| {
                let status = serde_json::to_value(row.status).unwrap_or_default();
                let status = status.as_str().unwrap_or_default().to_owned();
                (row.role.as_str().to_owned(), status)
            })
            .collect();
        tracing::debug!(?rows, "the tree at the end");
        self.audit.tell(move |auditor| auditor.on_tree(&rows, now));
        self.tallies.take(parts);
        let (view, catalog) = (parts.desk_view.load_full(), parts.catalog.load_full());
        let port = parts.journal.clone();
        let _ = node.tree.shutdown().await;
        let durable = port.recovery().map_or(durable, |_| durable.max(port.durable()));
        let verified = store::verify(&*disk).is_ok();
        self.audit.tell(move |auditor| auditor.on_chain_verified(verified));
        let catalog = (*catalog).clone();
        Ok(End::Finished(Finished { at: now, durable, view, catalog }))
    }

    /// Every day ends with a halt: nothing may reach the wire after its acknowledgement.
    async fn drill_halt(&self, node: &Node, clock: &Clock) {
        let (reply, answer) = oneshot::channel();
        let reason = "drill at the end of the day".to_owned();
        let halt = KillSwitchMessage::Halt { reason, reply: Some(reply) };
        if node.parts.kill_switch.send(halt).is_err() {
            self.tallies.alarm("the halt drill found no kill switch");
            return;
        }
        match tokio::time::timeout(HALT_WITHIN, answer).await {
            Ok(Ok(Ok(halted))) => {
                let now = clock.now().market;
                let epoch = halted.halt_epoch.0;
                self.audit.tell(move |auditor| auditor.on_halt_acknowledged(epoch, now));
            }
            _ => self.tallies.alarm("the halt drill was not acknowledged"),
        }
    }
}
