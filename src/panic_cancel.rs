//! `optionsib panic`: cancels the node's own working orders at the broker, with nothing of the node
//! needed but its number: no journal, no snapshot, no running process, and no configuration if
//! three flags say where and who.
//!
//! It connects under the order client's id, asks what works, cancels what carries a reference of
//! this installation (or of any, if `--all` asks for it), and asks again; the decisions are those
//! of `broker::sweep`. A node that runs holds that id: it is to be halted instead, which cancels as
//! well. Orders of others and of the broker's screen are never touched.

mod report;

use crate::cli::{Output, PanicArgs};
use crate::configuration::{BrokerAccess, BrokerKind, ConfigurationError};
use crate::failure::{Exit, Failure};
use crate::gateway::notice::{self, Notice};
use crate::terminal;
use broker::ib::{Environment, IbSettings, Open, SweepClient};
use broker::sweep::{Sweep, SweepDeadlines, SweepEvent, SweepStep};
use market::time::{ProcessTime, Timestamp};
use report::PanicReport;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trading::id::{AccountId, InstallId, IntentKey};

/// Without a first connection by then there is none.
const CONNECTED_WITHIN: Duration = Duration::from_secs(15);
/// All of it, broken links included.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// Runs the command.
///
/// # Errors
/// No broker, a node that holds the client id, orders that still work, or no certainty about it.
pub fn panic(args: &PanicArgs, output: Output) -> Result<(), Failure> {
    let access = access(args)?;
    let install = if args.all { None } else { Some(install(&args.state.state)?) };
    let now = Arc::new(|| Timestamp::from_nanos(notice::wall_nanos()));
    let mut settings = IbSettings::paper(&access.address, access.account, now);
    settings.order_client = access.client;
    if !settings.account.is_paper() {
        // Cancels are for either kind of account.
        settings.environment = Environment::Live;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("no runtime can be made").because(error))?;
    let sweep = runtime.block_on(sweep(&settings, install));
    runtime.shutdown_timeout(Duration::from_millis(100));
    if sweep.connections() == 0 {
        return Err(unreachable(sweep.trouble().unwrap_or("the broker can't be reached")));
    }
    let report = PanicReport::of(&sweep, settings.order_client);
    if output.json {
        terminal::print_json(&report)?;
    } else {
        terminal::print(&report.text())?;
    }
    report.verdict()
}

async fn sweep(settings: &IbSettings, install: Option<InstallId>) -> Sweep {
    let started = Instant::now();
    let now = || {
        let passed = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        ProcessTime::from_nanos(passed)
    };
    let (connected, done) = (now() + CONNECTED_WITHIN, now() + DONE_WITHIN);
    let deadlines = SweepDeadlines { connected, done };
    let mut sweep = Sweep::new(settings.order_client, deadlines);
    let mut client: Option<SweepClient> = None;
    let mut step = SweepStep::Connect(now());
    while step != SweepStep::Done {
        if let SweepStep::Connect(at) | SweepStep::AskOpen(at) = &step {
            tokio::time::sleep(at.since(now())).await;
        }
        let event = carry_out(&step, &mut client, settings).await;
        let event = event.unwrap_or_else(|reason| SweepEvent::Lost { reason });
        step = sweep.on(event, |reference| is_ours(reference, install), now());
    }
    if let Some(client) = client {
        client.end().await;
    }
    sweep
}

async fn carry_out(
    step: &SweepStep,
    connection: &mut Option<SweepClient>,
    settings: &IbSettings,
) -> Result<SweepEvent, String> {
    if let SweepStep::Connect(_) = step {
        if let Some(before) = connection.take() {
            before.end().await;
        }
        *connection = Some(SweepClient::connect(settings).await?);
        return Ok(SweepEvent::Connected);
    }
    let client = connection.as_ref().ok_or("there is no connection")?;
    match step {
        SweepStep::Cancel(numbers) => {
            for number in numbers {
                client.cancel(*number).await?;
            }
            Ok(SweepEvent::Written)
        }
        SweepStep::AskEnded => Ok(SweepEvent::Ended(client.ended_orders().await?)),
        SweepStep::AskOpen(_) | SweepStep::Connect(_) | SweepStep::Done => {
            let Open { orders, missing } = client.open_orders().await?;
            Ok(SweepEvent::Open { orders, missing })
        }
    }
}

/// Where and who.
struct Access {
    address: String,
    client: i32,
    account: AccountId,
}

/// By flags; what they don't say by the files; what those don't say by the gateway that runs in the
/// state folder. With all three flags no file is read.
fn access(args: &PanicArgs) -> Result<Access, Failure> {
    let account = || args.account.clone().map(AccountId);
    if let (Some(address), Some(client), Some(account)) = (args.address, args.client_id, account())
    {
        return Ok(Access { address: address.to_string(), client, account });
    }
    let files = BrokerAccess::load(&args.config, args.environment);
    let folder = args.state.state.join("venue");
    let running = notice::running(&folder).ok().flatten();
    let address = match (args.address, &files) {
        (Some(address), _) => Some(address.to_string()),
        (None, Ok(files)) if files.kind == BrokerKind::Ib => Some(files.address.to_string()),
        (None, _) => running.as_ref().map(|found| found.listening.clone()),
    };
    let client = args.client_id.or(files.as_ref().ok().map(|files| files.order_client));
    let account = account().or_else(|| match &files {
        Ok(files) => Some(files.account.clone()),
        Err(_) => own_account(args, running.as_ref()),
    });
    match (address, client, account) {
        (Some(address), Some(client), Some(account)) => Ok(Access { address, client, account }),
        (None, ..) if files.is_ok() => Err(Failure::new(Exit::Unreachable, "no gateway is known")
            .because(format!("none runs in {}", folder.display()))
            .next("say where it listens with --address IP:PORT")),
        (address, client, account) => {
            Err(not_said(files.err(), address.is_none(), client.is_none(), account.is_none()))
        }
    }
}

/// The account of the gateway that the node itself has started, if that is the one to be asked.
fn own_account(args: &PanicArgs, running: Option<&Notice>) -> Option<AccountId> {
    let is_asked =
        |found: &&Notice| args.address.is_none_or(|address| address.to_string() == found.listening);
    running.filter(is_asked).map(|found| AccountId(found.account.clone()))
}

fn not_said(
    error: Option<ConfigurationError>,
    address: bool,
    client: bool,
    account: bool,
) -> Failure {
    let flags =
        [(address, "--address IP:PORT"), (client, "--client-id N"), (account, "--account ID")];
    let missing: Vec<&str> =
        flags.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, flag)| flag).collect();
    let why = error.map(|error| error.to_string()).unwrap_or_default();
    Failure::new(
        Exit::Configuration,
        "the files don't say where the broker is and who we are there",
    )
    .because(why)
    .next(format!("say it with {}", missing.join(" ")))
}

/// The installation's number. Without it nobody knows which orders are this node's, and another's
/// are not canceled by mistake.
fn install(state: &Path) -> Result<InstallId, Failure> {
    let file = state.join("install");
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let number = text
        .and_then(|text| u32::from_str_radix(text.trim(), 16).map_err(|error| error.to_string()));
    number.map(InstallId).map_err(|reason| {
        Failure::usage(format!("{} does not name the installation", file.display()))
            .because(reason)
            .next("name its --state, or add --all for the orders of every installation")
    })
}

fn is_ours(reference: &str, install: Option<InstallId>) -> bool {
    let key = IntentKey::parse(reference);
    key.is_ok_and(|key| install.is_none_or(|install| key.install == install))
}

fn unreachable(reason: &str) -> Failure {
    Failure::new(Exit::Unreachable, "the orders could not be canceled").because(reason).next(
        "if the node runs it holds the client id: `optionsib halt` cancels too; otherwise use the \
         broker's own screen",
    )
}
