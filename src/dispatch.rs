//! From a parsed command line to an exit code: each command in a few lines, its result printed as
//! people or programs want it.

use crate::api::{Cleared, KillRequest, Killed, ResumeRequest};
use crate::cli::{
    ChaosCommand, Cli, ClientArgs, Command, JournalCommand, OnceArgs, Output, ReconcileArgs,
    SnapshotCommand,
};
use crate::client::Client;
use crate::control::{
    FaultKind, FaultRequest, FaultView, ReconciliationView, Resumed, SnapshotView,
};
use crate::failure::Failure;
use crate::gateway;
use crate::halting::{self, Way};
use crate::option_tables;
use crate::panic_cancel;
use crate::replay;
use crate::run;
use crate::state_audit;
use crate::state_tools;
use crate::surface;
use crate::terminal::{self, Paint};
use clap::Parser;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows which stream each belongs to. A reader
            // that has gone away changes nothing about the code.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    #[cfg(mutations)]
    switch_fault_on();
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(cli.output.json),
    }
}

/// A fault of our own, by name, so that end-to-end tests can show that they would see it.
#[cfg(mutations)]
fn switch_fault_on() {
    if let Ok(name) = std::env::var("OPTIONSIB_MUTATION") {
        mutation::set(&name);
    }
}

fn dispatch(cli: &Cli) -> Result<(), Failure> {
    let output = cli.output;
    match &cli.command {
        Command::Run(args) => run::run(args, output),
        Command::Replay(args) => replay::replay(args, output),
        Command::Gateway(args) => gateway::gateway(args, output),
        Command::Status(client) => view(client, output, "/status", terminal::status),
        Command::Tree(client) => {
            view(client, output, "/tree", |rows: &Vec<_>, paint| terminal::tree(rows, paint))
        }
        Command::Positions(client) => view(client, output, "/positions", |rows: &Vec<_>, paint| {
            terminal::positions(rows, paint)
        }),
        Command::Orders(client) => {
            view(client, output, "/orders", |rows: &Vec<_>, paint| terminal::orders(rows, paint))
        }
        Command::Surfaces(client) => view(client, output, "/surfaces", |rows: &Vec<_>, paint| {
            terminal::surfaces(rows, paint)
        }),
        Command::Reconcile(args) => reconcile(args, output),
        Command::Halt(args) => {
            let report = halting::halt(args)?;
            if output.json {
                return terminal::print_json(&report);
            }
            if !output.quiet {
                report.remarks.iter().for_each(|remark| eprintln!("{remark}"));
            }
            terminal::print(match report.way {
                Way::Api => "halted: nothing new reaches the wire",
                Way::Socket => "halted: the watchdog has tripped the latch",
                Way::File => {
                    "nobody acknowledged: the file HALT is written, it halts a running node within \
                     a second and a stopped one at its next start"
                }
            })
        }
        Command::Panic(args) => panic_cancel::panic(args, output),
        Command::Resume(args) => {
            if !args.yes {
                return Err(Failure::usage("resume needs --yes")
                    .because("the node trades again at once")
                    .next("look at `optionsib status`, then `optionsib resume --yes`"));
            }
            let by = std::env::var("USER").unwrap_or_else(|_| "operator".to_owned());
            let resumed: Resumed =
                Client::new(&args.client).post("/resume", &ResumeRequest { by })?;
            say(output, &resumed, "resumed")
        }
        Command::Chaos(command) => chaos(command, output),
        Command::Journal(JournalCommand::Verify { state }) => {
            state_tools::verify(&state.state, output)
        }
        Command::Journal(JournalCommand::Show { from, state }) => {
            state_tools::show(&state.state, *from, output)
        }
        Command::Snapshot(SnapshotCommand::List { client }) => {
            state_tools::snapshots(client, output)
        }
        Command::Snapshot(SnapshotCommand::Create { client }) => {
            let made: SnapshotView = Client::new(client).post("/snapshots", &())?;
            let text = format!("snapshot at seq {}, {} bytes", made.seq, made.bytes);
            say(output, &made, &text)
        }
        Command::Audit(args) => state_audit::audit(&args.state, output),
        Command::Surface(args) => surface::surface(args, output),
        Command::Price(table) => option_tables::price(&table.csv),
        Command::Iv(table) => option_tables::implied_vol(&table.csv),
    }
}

fn reconcile(args: &ReconcileArgs, output: Output) -> Result<(), Failure> {
    let client = Client::new(&args.client);
    let found: ReconciliationView = if args.last {
        let last: Option<_> = client.get("/reconciliation")?;
        last.ok_or_else(|| {
            Failure::internal("the node has not reconciled since it started")
                .next("`optionsib status` shows its link to the broker")
        })?
    } else {
        client.post("/reconciliation", &())?
    };
    if output.json {
        terminal::print_json(&found)?;
    } else {
        terminal::print(&terminal::reconciliation(&found, Paint::for_stdout()))?;
    }
    match (found.complete, found.unresolved.len()) {
        (true, 0) => Ok(()),
        (false, _) if found.stirred => {
            Err(Failure::internal("reports kept coming between the broker's answers")
                .next("ask again when less is traded; the next comes by itself"))
        }
        (false, _) => Err(Failure::internal("the broker did not answer everything")
            .next("it is asked again by itself; `optionsib status` shows the link")),
        (true, count) => Err(Failure::internal(format!("{count} differences without a reason"))
            .next("what they touch may only be reduced until a reconciliation agrees")),
    }
}

fn chaos(command: &ChaosCommand, output: Output) -> Result<(), Failure> {
    match command {
        ChaosCommand::Kill { role, client } => {
            let request = KillRequest { role: role.clone() };
            let killed: Killed = Client::new(client).post("/chaos/kill", &request)?;
            let text = format!("killed {}; `optionsib tree` shows it come back", killed.killed);
            say(output, &killed, &text)
        }
        ChaosCommand::Panic(once) => strike_once(once, FaultKind::Panic, output),
        ChaosCommand::Error(once) => strike_once(once, FaultKind::Error, output),
        ChaosCommand::Delay(held) => {
            let hold_ms = milliseconds(held.hold);
            arm(&held.client, &held.role, FaultKind::Delay { hold_ms }, held.lasting, output)
        }
        ChaosCommand::Stall(held) => {
            let hold_ms = milliseconds(held.hold);
            arm(&held.client, &held.role, FaultKind::Stall { hold_ms }, held.lasting, output)
        }
        ChaosCommand::Drop(shared) => {
            let fault = FaultKind::Drop { percent: shared.share };
            arm(&shared.client, &shared.role, fault, shared.lasting, output)
        }
        ChaosCommand::Duplicate(shared) => {
            let fault = FaultKind::Duplicate { percent: shared.share };
            arm(&shared.client, &shared.role, fault, shared.lasting, output)
        }
        ChaosCommand::List { client } => {
            view(client, output, "/faults", |rows: &Vec<_>, paint| terminal::faults(rows, paint))
        }
        ChaosCommand::Clear { client } => {
            let cleared: Cleared = Client::new(client).post("/chaos/clear", &())?;
            let text = format!("{} faults cleared", cleared.cleared);
            say(output, &cleared, &text)
        }
    }
}

/// A role that hears nothing in this time was not struck.
const ONCE_WITHIN: Duration = Duration::from_secs(10);

fn strike_once(once: &OnceArgs, fault: FaultKind, output: Output) -> Result<(), Failure> {
    arm(&once.client, &once.role, fault, ONCE_WITHIN, output)
}

fn arm(
    client: &ClientArgs,
    role: &str,
    fault: FaultKind,
    lasting: Duration,
    output: Output,
) -> Result<(), Failure> {
    let for_ms = milliseconds(lasting);
    let request = FaultRequest { role: role.to_owned(), fault, for_ms };
    let armed: FaultView = Client::new(client).post("/chaos/arm", &request)?;
    say(output, &armed, &format!("{} of {} within {for_ms} ms", armed.fault, armed.role))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Asks the node for a view and shows it.
fn view<T: DeserializeOwned + Serialize>(
    client: &ClientArgs,
    output: Output,
    path: &str,
    table: impl Fn(&T, Paint) -> String,
) -> Result<(), Failure> {
    let view: T = Client::new(client).get(path)?;
    if output.json {
        terminal::print_json(&view)
    } else {
        terminal::print(&table(&view, Paint::for_stdout()))
    }
}

fn say(output: Output, result: &impl Serialize, text: &str) -> Result<(), Failure> {
    if output.json { terminal::print_json(result) } else { terminal::print(text) }
}
