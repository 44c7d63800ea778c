//! A launched tree: checks a specification, starts its root, stops it, and says what happens.
//!
//! What a halt or an exhausted root leads to (fsync of the latch, cancels, exit 70) is the node's
//! business: it hands in [`Hooks`].

use super::board::{Row, TreeBoard};
use super::clock::Clock;
use super::fault::FaultBoard;
use super::life::Life;
use super::policy::Beyond;
use super::role::RolePath;
use super::specification::{Body, ChildSpec, SupervisorSpec};
use super::supervision::events::{Event, Exit};
use super::supervisor::{self, Child, ChildBody, Family, Launch, Shared, SupervisorMessage};
use arc_swap::ArcSwapOption;
use market::time::ProcessTime;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Something that happened to a role, in the order in which its supervisor saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEvent {
    /// Process time at the supervisor.
    pub at: ProcessTime,
    /// To whom.
    pub role: RolePath,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Its start was ordered.
    Starting { generation: u64 },
    /// Its recovery is done; it takes messages.
    Started { generation: u64 },
    /// It is ready, or not any more.
    Readiness { ready: bool },
    /// It has ended and its state is dropped.
    Exited { generation: u64, exit: Exit },
    /// A failure; it starts again after the wait.
    Restarting { after: Duration, reason: String },
    /// It ended for good, as its policy allows.
    Rests,
    /// Down until revived.
    Benched { beyond: Beyond, reason: String },
    /// Alarm: killed, but it hasn't ended in time (a handler that never returns).
    Unkillable,
    /// Alarm: this generation starts though its predecessor still holds its state.
    SeatTaken { generation: u64 },
    /// It failed too often: trading halts.
    Halting { reason: String },
    /// It failed too often: its supervisor fails.
    Escalating { reason: String },
    /// It failed too often, below the root: see [`Hooks::on_exhausted`].
    Exhausted { reason: String },
}

type Sink<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// What the node hears from the tree. Called in the supervisor's handler: return at once.
#[derive(Clone)]
pub struct Hooks {
    pub(super) on_event: Sink<TreeEvent>,
    pub(super) on_halt: Sink<str>,
    pub(super) on_exhausted: Sink<str>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            on_event: Arc::new(|_| ()),
            on_halt: Arc::new(|_| ()),
            on_exhausted: Arc::new(|_| ()),
        }
    }
}

impl Hooks {
    /// Hears every event of the tree.
    #[must_use]
    pub fn on_event(mut self, hear: impl Fn(&TreeEvent) + Send + Sync + 'static) -> Self {
        self.on_event = Arc::new(hear);
        self
    }

    /// Trips the halt latch, with the reason: a child beyond its intensity is marked `Halt`.
    #[must_use]
    pub fn on_halt(mut self, halt: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_halt = Arc::new(halt);
        self
    }

    /// The root has failed too often, or has died. Where it lives, its children do too, but
    /// nothing is restarted any more: halt, cancel, [`Tree::shutdown`], exit.
    #[must_use]
    pub fn on_exhausted(mut self, exhausted: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_exhausted = Arc::new(exhausted);
        self
    }
}

/// What a tree needs besides its specification.
#[derive(Clone)]
pub struct Setup {
    /// The clock of all roles.
    pub clock: Clock,
    /// The fault gates; permissive in simulation and paper only.
    pub faults: FaultBoard,
    /// What the node hears.
    pub hooks: Hooks,
    /// From a kill until a child counts as unkillable.
    pub kill_grace: Duration,
    /// How long a start waits for its predecessor's state to be dropped.
    pub seat_patience: Duration,
    /// Of the backoffs' jitter.
    pub seed: u64,
}

impl Setup {
    /// A kill has 1 s, a predecessor 2 s, the seed is 0, nobody hears anything.
    #[must_use]
    pub fn new(clock: Clock, faults: FaultBoard) -> Self {
        Self {
            clock,
            faults,
            hooks: Hooks::default(),
            kill_grace: Duration::from_secs(1),
            seat_patience: Duration::from_secs(2),
            seed: 0,
        }
    }
}

/// Why a tree wasn't launched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// Two children have one path.
    #[error("the path `{0}` occurs twice in the tree")]
    DuplicatePath(RolePath),
    /// The root actor didn't start.
    #[error("the root supervisor did not start: {0}")]
    Root(String),
}

/// No such role, or its supervisor is down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviveError {
    /// There is no such child.
    #[error("there is no role `{0}` below a supervisor")]
    UnknownRole(RolePath),
    /// Try again in a moment.
    #[error("the supervisor of `{0}` is down")]
    SupervisorDown(RolePath),
}

/// How the root ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeEnd {
    /// All children were stopped in reverse order.
    Stopped,
    /// It died: the reason.
    Died(String),
}

/// A running tree. Dropping it leaves the tree running.
pub struct Tree {
    board: TreeBoard,
    root: Arc<Family>,
    supervisors: BTreeMap<RolePath, (Arc<Family>, usize)>,
    ended: watch::Receiver<Option<TreeEnd>>,
}

impl Tree {
    /// Launches the tree with its root on the present runtime. Children start in the background.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub async fn launch(spec: SupervisorSpec, setup: Setup) -> Result<Self, LaunchError> {
        let Setup { clock, faults, hooks, kill_grace, seat_patience, seed } = setup;
        let mut plot = Plot { faults: &faults, rows: Vec::new(), supervisors: BTreeMap::new() };
        let (root, root_gate) = plot.root(spec)?;
        let Plot { rows, supervisors, .. } = plot;
        let board = TreeBoard::new(rows);
        let life = Arc::new(Life::new(None, 0, 1));
        let exhausted = Arc::clone(&hooks.on_exhausted);
        let shared = Shared { clock, faults, hooks, kill_grace, seat_patience, seed };
        root.row.set_generation(1);
        let launch = Launch {
            life: Arc::clone(&life),
            permit: None,
            row: Arc::clone(&root.row),
            gate: root_gate,
            shared: Arc::new(shared),
        };
        let handle = supervisor::spawn(launch, Arc::clone(&root))
            .await
            .map_err(|error| LaunchError::Root(error.to_string()))?;
        let (end, ended) = watch::channel(None);
        let row = Arc::clone(&root.row);
        tokio::spawn(async move {
            // An error means that the runtime is going down, which `take_exit` calls killed.
            let _ = handle.await;
            row.set_status(super::board::Status::Stopped);
            let how = match life.take_exit() {
                Exit::Normal => TreeEnd::Stopped,
                Exit::Abnormal(reason) | Exit::GaveUp(reason) => {
                    exhausted(&format!("the root supervisor died: {reason}"));
                    TreeEnd::Died(reason)
                }
            };
            end.send_replace(Some(how));
        });
        Ok(Self { board, root, supervisors, ended })
    }

    /// The table of the tree.
    #[must_use]
    pub fn board(&self) -> &TreeBoard {
        &self.board
    }

    /// Restarts a role (with those that depend on it), or takes it out of quarantine. Counts as
    /// no failure.
    ///
    /// # Errors
    /// [`ReviveError`].
    pub fn revive(&self, role: &RolePath) -> Result<(), ReviveError> {
        let unknown = || ReviveError::UnknownRole(role.clone());
        let (family, child) = self.supervisors.get(role).ok_or_else(unknown)?;
        let down = || ReviveError::SupervisorDown(role.clone());
        let actor = family.actor.load_full().ok_or_else(down)?;
        actor
            .cast(SupervisorMessage::Event(Event::Revive { child: *child }))
            .map_err(|_| ReviveError::SupervisorDown(role.clone()))
    }

    /// Stops all roles in reverse order and waits for it.
    pub async fn shutdown(&self) -> TreeEnd {
        if let Some(actor) = self.root.actor.load_full() {
            // Refused only by a root that has ended, for which we wait below.
            let _ = actor.cast(SupervisorMessage::Event(Event::Shutdown));
        }
        self.ended().await
    }

    /// Waits until the root has ended.
    pub async fn ended(&self) -> TreeEnd {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(TreeEnd::Stopped),
            Err(_) => TreeEnd::Died("its runtime has shut down".to_owned()),
        }
    }
}

/// Lays out the rows, gates and families of a specification.
struct Plot<'a> {
    faults: &'a FaultBoard,
    rows: Vec<Arc<Row>>,
    supervisors: BTreeMap<RolePath, (Arc<Family>, usize)>,
}

impl Plot<'_> {
    fn root(
        &mut self,
        spec: SupervisorSpec,
    ) -> Result<(Arc<Family>, Arc<super::fault::Gate>), LaunchError> {
        let row = self.row(&spec.path, None)?;
        let gate = self.faults.gate(&spec.path, false);
        Ok((self.family(spec, row, true)?, gate))
    }

    fn row(&mut self, path: &RolePath, parent: Option<&RolePath>) -> Result<Arc<Row>, LaunchError> {
        if self.rows.iter().any(|row| row.path() == path) {
            return Err(LaunchError::DuplicatePath(path.clone()));
        }
        let row = Arc::new(Row::new(path.clone(), parent.cloned()));
        self.rows.push(Arc::clone(&row));
        Ok(row)
    }

    fn family(
        &mut self,
        spec: SupervisorSpec,
        row: Arc<Row>,
        is_root: bool,
    ) -> Result<Arc<Family>, LaunchError> {
        let SupervisorSpec { path, strategy, intensity, beyond, children } = spec;
        let children = children
            .into_iter()
            .map(|child| self.child(child, &path))
            .collect::<Result<Vec<_>, _>>()?;
        let actor = ArcSwapOption::empty();
        let family =
            Arc::new(Family { row, strategy, intensity, beyond, is_root, children, actor });
        for (index, child) in family.children.iter().enumerate() {
            self.supervisors.insert(child.row.path().clone(), (Arc::clone(&family), index));
        }
        Ok(family)
    }

    fn child(&mut self, spec: ChildSpec, parent: &RolePath) -> Result<Arc<Child>, LaunchError> {
        let ChildSpec { path, policy, runtime, body } = spec;
        let row = self.row(&path, Some(parent))?;
        let gate = self.faults.gate(&path, matches!(body, Body::Role(_)));
        let body = match body {
            Body::Role(start) => ChildBody::Role(start),
            Body::Supervisor(spec) => {
                ChildBody::Supervisor(self.family(spec, Arc::clone(&row), false)?)
            }
        };
        Ok(Arc::new(Child { row, gate, policy, runtime, body }))
    }
}
