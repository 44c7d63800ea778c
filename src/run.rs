//! `run`: the node on this machine's clock, until it is told to end.
//!
//! It prepares the state folder, finds or starts the gateway, launches the tree on its runtimes,
//! watches it from a thread, serves the API, and ends in order: SIGTERM and Ctrl-C drain, snapshot
//! and exit 0; a root that exhausted its restarts halts, cancels and exits 70. What it assembles is
//! public, so that a benchmark measures the same node.

mod api_role;
mod gateway_process;
pub mod halt_file;
mod hooks;
mod ownership;
mod plane;
pub mod runtimes;
pub mod state;
mod traps;
pub mod venue;
pub mod wiring;

use crate::cli::{Environment, Output, RunArgs};
use crate::configuration::{Configuration, Source};
use crate::control::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::telemetry;
use crate::terminal::StatusLine;
use actors::auditor::Audit;
use actors::journal::JournalPort;
use actors::messages::KillSwitchMessage;
use actors::node::{Listing, Node, NodeParts};
use actors::runtime::fault::{FaultBoard, Permission};
use actors::runtime::panic_hook;
use actors::runtime::tree::Setup;
use actors::runtime::watchdog::{Pulse, Watchdog, WatchdogSpec};
use api_role::ApiRole;
use audit::AuditSettings;
use broker::wire_fence::WireFence;
use halt_file::RealHaltFile;
use hooks::{hooks, record_faults};
use plane::NodeControl;
use runtimes::NodeRuntimes;
use state::StateFolder;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::JournalState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use trading::trading_state::HaltEpoch;
use traps::Trap;
use venue::Venue;
use wiring::wiring;

/// An exhausted root has so long for its cancels.
const CANCELS: Duration = Duration::from_secs(2);
/// The status line is written anew this often.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// The runtimes show a pulse this often.
const BEAT: Duration = Duration::from_millis(100);

/// Why the node ends.
enum Ending {
    Asked(&'static str),
    Exhausted(String),
}

/// Runs the command.
///
/// # Errors
/// A configuration or a state folder that can't be used (78, 70), or a node that ended on an error
/// (70).
pub fn run(args: &RunArgs, output: Output) -> Result<(), Failure> {
    let configuration = Configuration::load(&Source {
        folder: &args.config,
        environment: args.environment,
        strategies: None,
    })?;
    live_is_meant(args, &configuration)?;
    panic_hook::install();
    let folder = StateFolder::open(&args.state.state, &configuration)?;
    let logs = configuration.log.file.then_some(args.state.state.as_path());
    let status_line = StatusLine::new(output.quiet || output.json);
    // A status line that is rewritten and logs between them would tear each other.
    let filter = if status_line.is_shown() { "warn" } else { configuration.log.filter.as_str() };
    telemetry::start_logs(filter, logs, status_line.is_shown())?;
    let control = runtimes::builder()
        .build()
        .map_err(|error| Failure::internal("the control runtime can't be made").because(error))?;
    control.block_on(live(args, &configuration, folder, &status_line))
}

/// Real money is traded only by whoever types the account's last four characters.
fn live_is_meant(args: &RunArgs, configuration: &Configuration) -> Result<(), Failure> {
    let account = configuration.account.0.as_str();
    let ending = account.get(account.len().saturating_sub(4)..).unwrap_or(account);
    match (configuration.environment, args.live.as_deref()) {
        (Environment::Live, Some(typed)) if typed == ending => Ok(()),
        (Environment::Live, _) => Err(Failure::new(Exit::Configuration, "live trades real money")
            .because("--live does not name the account of config/environment/live.yaml")
            .next("add --live with its last four characters")),
        (Environment::Dev | Environment::Paper, None) => Ok(()),
        (Environment::Dev | Environment::Paper, Some(_)) => {
            Err(Failure::usage("--live is for --environment live"))
        }
    }
}

async fn live(
    args: &RunArgs,
    configuration: &Configuration,
    folder: StateFolder,
    status_line: &StatusLine,
) -> Result<(), Failure> {
    let recorder = telemetry::start_metrics(configuration.environment.name())?;
    let audit = Audit::new(AuditSettings::default());
    let port = JournalPort::new();
    let tap = audit.wire_tap(port.clone());
    let venue = Venue::open(args, configuration, tap)?;
    let clock = venue.clock.clone();
    let broker = venue.gateway.settings.address.clone();
    let (endings_tell, mut endings) = mpsc::unbounded_channel();
    let runtimes = NodeRuntimes::start(&clock)
        .map_err(|error| Failure::internal("a runtime can't be started").because(error))?;
    let permission = configuration
        .faults_max
        .map_or(Permission::Refused, |max_ttl| Permission::Granted { max_ttl });
    let faults = FaultBoard::new(permission, configuration.market.seed);
    if configuration.faults_max.is_some()
        && let Some(trap) = Trap::from_environment()?
    {
        trap.arm(&faults);
    }
    let fence = Arc::new(WireFence::new(folder.halt_epoch(), None));
    let halt_file = Arc::new(RealHaltFile::new(&args.state.state));
    let wiring =
        wiring(configuration, &folder, &venue, &runtimes, &fence, &audit, &port, &halt_file);
    let alarm = Arc::clone(&wiring.alarm);
    let seat: ApiSeat = ApiSeat::default();
    let mut wiring = wiring;
    wiring.extra = vec![api_child(args, configuration, &seat, &recorder)?];
    let parts_cell: PartsCell = Arc::default();
    let mut setup = Setup::new(clock.clone(), faults.clone());
    setup.seed = configuration.market.seed;
    setup.hooks = hooks(&parts_cell, &clock, &fence, endings_tell.clone());
    let node = Node::launch(wiring, setup)
        .await
        .map_err(|error| Failure::internal("the tree can't be launched").because(error))?;
    *parts_cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(node.parts.clone());
    let listing = Listing::new(node.parts.clone(), alarm);
    venue
        .follow(&node.parts, listing)
        .map_err(|error| Failure::internal("the market can't be followed").because(error))?;
    record_faults(&faults, &node.parts, &clock);
    let node = Arc::new(node);
    let plane = Arc::new(NodeControl::new(
        Arc::clone(&node),
        faults,
        clock.clone(),
        folder.disk.clone(),
        broker,
        configuration,
    ));
    seat.fill(plane.clone());
    let watchdog = watchdog(args, configuration, &runtimes, &node.parts, &fence, &halt_file)?;
    listen_for_signals(&endings_tell)?;
    tokio::spawn(telemetry::keep_up(recorder));
    let ending = tokio::select! {
        biased;
        ending = endings.recv() => ending.unwrap_or(Ending::Asked("the channel closed")),
        () = show_status(&plane, status_line) => Ending::Asked("the status line ended"),
    };
    let result = end(ending, &node, &fence, &halt_file).await;
    drop(watchdog);
    runtimes.stop();
    status_line.finish();
    result
}

/// Where the API finds the node once that is launched.
type PartsCell = Arc<Mutex<Option<NodeParts>>>;

/// The control plane, once there is one.
#[derive(Clone, Default)]
pub(crate) struct ApiSeat(Arc<Mutex<Option<Arc<NodeControl>>>>);

impl ApiSeat {
    fn fill(&self, plane: Arc<NodeControl>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(plane);
    }

    pub(crate) fn plane(&self) -> Option<Arc<NodeControl>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn api_child(
    args: &RunArgs,
    configuration: &Configuration,
    seat: &ApiSeat,
    recorder: &metrics_exporter_prometheus::PrometheusHandle,
) -> Result<actors::runtime::specification::ChildSpec, Failure> {
    let address = args.api.unwrap_or(configuration.api);
    let token = crate::api::Token::create(&args.state.state)
        .map_err(|error| Failure::internal("the API's token can't be made").because(error))?;
    let render = recorder.clone();
    ApiRole::child(address, token, Arc::new(move || render.render()), seat.clone())
}

async fn show_status(plane: &NodeControl, line: &StatusLine) {
    loop {
        tokio::time::sleep(STATUS_EVERY).await;
        if line.is_shown() {
            line.update(&plane.status());
        }
    }
}

fn listen_for_signals(endings: &mpsc::UnboundedSender<Ending>) -> Result<(), Failure> {
    for (kind, name) in [(SignalKind::interrupt(), "Ctrl-C"), (SignalKind::terminate(), "SIGTERM")]
    {
        let mut stream = signal(kind).map_err(|error| {
            Failure::internal(format!("{name} can't be listened for")).because(error)
        })?;
        let endings = endings.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let _ = endings.send(Ending::Asked(name));
            }
        });
    }
    Ok(())
}

async fn end(
    ending: Ending,
    node: &Node,
    fence: &WireFence,
    halt_file: &RealHaltFile,
) -> Result<(), Failure> {
    let failure = match ending {
        Ending::Asked(how) => {
            tracing::info!(how, "the node ends");
            None
        }
        Ending::Exhausted(reason) => {
            // The halt first, durably; then the cancels, for which the session gets two seconds.
            let why = format!("the tree exhausted its restarts: {reason}");
            fence.halt(&why);
            halt_file.persist(&why);
            let halt = actors::messages::DeskMessage::Halt { reason: why.clone() };
            // A desk that is down cancels when it is back; the halt holds until then.
            let _ = node.parts.desk.send(halt);
            tokio::time::sleep(CANCELS).await;
            Some(Failure::internal("the node halted").because(why).next(
                "look at the log; `optionsib run` starts it again, halted, and `optionsib resume \
                 --yes` lets it trade",
            ))
        }
    };
    let _ = node.tree.shutdown().await;
    failure.map_or(Ok(()), Err)
}

fn watchdog(
    args: &RunArgs,
    configuration: &Configuration,
    runtimes: &NodeRuntimes,
    parts: &NodeParts,
    fence: &Arc<WireFence>,
    halt_file: &Arc<RealHaltFile>,
) -> Result<Watchdog, Failure> {
    let control = Pulse::new("control");
    tokio::spawn(control.clone().keep_beating(runtimes.clock().clone(), BEAT));
    let mut pulses = runtimes.pulses();
    pulses.push(control);
    let (journal, clock) = (parts.journal.clone(), runtimes.clock().clone());
    let behind = Mutex::new(None);
    let (fence, file, kill_switch) =
        (Arc::clone(fence), Arc::clone(halt_file), parts.kill_switch.clone());
    let spec = WatchdogSpec {
        state_dir: args.state.state.clone(),
        poll: configuration.watchdog.poll,
        grace: configuration.watchdog.grace,
        pulses,
        journal_age: Box::new(move || {
            let mut behind = behind.lock().unwrap_or_else(PoisonError::into_inner);
            let now = clock.process();
            if journal.waiting() == 0 && journal.state() != JournalState::StorageFull {
                *behind = None;
                return Duration::ZERO;
            }
            now.since(*behind.get_or_insert(now))
        }),
        journal_age_max: configuration.watchdog.journal_age_max,
        trip: Box::new(move |reason| {
            fence.halt(reason);
            let written = actors::kill_switch::HaltFile::write(&*file, reason);
            // Latched in the journal when the kill switch can; fence and file hold it meanwhile.
            let _ = kill_switch.send(KillSwitchMessage::Fenced { reason: reason.to_owned() });
            written
        }),
        abort: Box::new(|reason| {
            eprintln!("optionsib: {reason}; the process ends at once");
            std::process::exit(70);
        }),
    };
    Watchdog::start(spec)
        .map_err(|error| Failure::internal("the watchdog can't be started").because(error))
}

/// The halt epoch only rises: far above any that the process before may have reached.
pub(crate) const fn epoch_after(last: HaltEpoch) -> HaltEpoch {
    HaltEpoch(last.0 + 1_000)
}
