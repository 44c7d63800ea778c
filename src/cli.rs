//! The command line: every command with its flags, as one table of types.
//!
//! Parsing only: what a flag means in the world (addresses, folders, dates of recorded data) is
//! checked by the command that uses it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use market::money::Money;
use market::time::Date;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where a node listens unless told otherwise.
pub const DEFAULT_API: &str = "127.0.0.1:7400";
/// Where a node keeps its state unless told otherwise.
pub const DEFAULT_STATE: &str = "./state";

/// A self-healing trading node for listed options.
///
/// `optionsib run` starts the node on a simulated market, no account and no data needed. Then, in a
/// second terminal: `optionsib status`, `optionsib tree`, `optionsib chaos kill desk`.
///
/// Exit codes: 0 done, 2 wrong usage, 69 node not reachable, 70 internal error or halted on error,
/// 78 wrong configuration.
#[derive(Parser, Debug, PartialEq)]
#[command(name = "optionsib", version, propagate_version = true)]
pub struct Cli {
    /// How results are shown.
    #[command(flatten)]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are shown.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Print results (and errors) as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print no progress and no remarks, only results and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Subcommand, Debug, PartialEq)]
pub enum Command {
    /// Start the node and trade until Ctrl-C
    ///
    /// By default on the built-in simulated market. On Ctrl-C or SIGTERM it stops taking new
    /// orders, waits for those under way, writes a snapshot and exits 0.
    Run(RunArgs),
    /// Trade a recorded day in virtual time and print the day report
    ///
    /// The same tree of roles as `run`, deterministic: the same data, seed and strategies give the
    /// same state hash.
    Replay(ReplayArgs),
    /// Start a simulated IB Gateway that any client of Interactive Brokers can connect to
    ///
    /// A protocol-conformant simulation on this machine only, with its own market, books and
    /// account: limit, market and stop orders, combos, brackets, fills, Greeks, history. It keeps
    /// its books through a kill; SIGTERM ends it.
    Gateway(GatewayArgs),
    /// Show whether the running node is ready, trading and in agreement with its broker
    Status(ClientArgs),
    /// Show every role of the running node: status, restarts, queue
    Tree(ClientArgs),
    /// Show the positions of the running node, per strategy
    Positions(ClientArgs),
    /// Show the orders of the running node
    Orders(ClientArgs),
    /// Show the volatility surfaces of the running node: a line per product and expiry
    Surfaces(ClientArgs),
    /// Compare positions, cash and orders with the broker's now, and show what it said
    ///
    /// Exit code 70 if the broker did not answer everything or a difference has no explanation.
    Reconcile(ReconcileArgs),
    /// Stop all new orders now and cancel the working ones; holds until `resume`
    ///
    /// Never asks. Tries the node's API, then its Unix socket, then writes the file `HALT` into the
    /// state folder, which halts the node within a second, or at its next start.
    Halt(HaltArgs),
    /// Release a halt
    Resume(ResumeArgs),
    /// Cancel this installation's working orders at the broker, without the node
    ///
    /// For when the node is gone: needs neither its journal nor its snapshots, and with --address,
    /// --client-id and --account no configuration. Asks until nothing of ours works by two answers
    /// in a row, also over a link that breaks. Exit code 70 if an own order still works or nobody
    /// could tell. A node that runs is halted instead (`halt`), which cancels as well.
    Panic(PanicArgs),
    /// Inject faults into the running node (paper trading only)
    #[command(subcommand)]
    Chaos(ChaosCommand),
    /// Read the journal on disk
    #[command(subcommand)]
    Journal(JournalCommand),
    /// List or make snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Check the invariants on the journal of a state folder
    Audit(AuditArgs),
    /// Fit the volatility surface of one recorded moment: fit, residuals, arbitrage tests, plot
    Surface(SurfaceArgs),
    /// Price a table of options: rows come back with price and Greeks
    ///
    /// Columns style (european or american), type (call or put), S, K, r, q, T, vol, by name and in
    /// any order; optionally dividends as `t:cash;t:cash`. T is in years, rates are continuous.
    /// Added are price, delta, gamma, vega, theta (per year), rho and error_class; a row that can't
    /// be priced says there why. Output is CSV on standard output, also with --json.
    Price(TableArgs),
    /// Invert a table of option prices: rows come back with their implied volatility
    ///
    /// As `price`, with a column price in place of vol. Added are vol and reason.
    Iv(TableArgs),
}

/// The environments that are configured in `config/environment/`.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Environment {
    /// The built-in market, this machine only.
    Dev,
    /// A paper account.
    Paper,
    /// Real money.
    Live,
}

impl Environment {
    /// Its name in files, records and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Paper => "paper",
            Self::Live => "live",
        }
    }
}

/// The state folder.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct StateArgs {
    /// The folder with the node's journal and snapshots
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE)]
    pub state: PathBuf,
}

/// How to reach a running node.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ClientArgs {
    /// Address of the running node
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_API)]
    pub api: String,
    /// State folder of the running node: its token is read there
    #[command(flatten)]
    pub state: StateArgs,
}

/// Flags of `run`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct RunArgs {
    /// Which file of config/environment/ applies on top of main.yaml
    #[arg(long, value_enum, default_value = "dev")]
    pub environment: Environment,
    /// Yes, real money: the last four characters of the account of environment live
    #[arg(long, value_name = "LAST4")]
    pub live: Option<String>,
    /// The state folder.
    #[command(flatten)]
    pub state: StateArgs,
    /// Where to listen for commands and metrics (this machine only) [default: as configured]
    #[arg(long, value_name = "ADDR")]
    pub api: Option<SocketAddr>,
    /// How many seconds of market time pass per second
    #[arg(long, value_name = "X", value_parser = speed)]
    pub speed: Option<f64>,
    /// Seed of the built-in market, when its state folder is new
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The folder with main.yaml, environment/ and strategies/
    #[arg(long, value_name = "DIR", default_value = "config")]
    pub config: PathBuf,
}

/// Flags of `replay`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct ReplayArgs {
    /// Folder with recorded data in LEAN's format
    pub data: PathBuf,
    /// The trading day, such as 2020-01-06
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Date::parse)]
    pub date: Date,
    /// Root symbol, where the folder has several
    #[arg(long, value_name = "SYM")]
    pub underlying: Option<String>,
    /// Seed of everything random (latencies, assignment)
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Inject faults and whole-node crashes, drawn from this seed
    #[arg(long, value_name = "SEED")]
    pub chaos: Option<u64>,
    /// Play the day so many times in a row
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub loops: u32,
    /// Write the journal to this folder [default: in memory]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Write every fill, fee and lifecycle event to this JSON file
    #[arg(long, value_name = "FILE")]
    pub fills: Option<PathBuf>,
    /// The strategies to run, by file name without .json [default: those of the underlying]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub strategies: Option<Vec<String>>,
    /// Skip and count broken rows instead of stopping at the first
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// The folder with main.yaml, environment/ and strategies/
    #[arg(long, value_name = "DIR", default_value = "config")]
    pub config: PathBuf,
}

/// Flags of `gateway`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct GatewayArgs {
    /// Where clients connect (this machine only); 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 4002)]
    pub port: u16,
    /// Where faults and manual orders are asked for, one JSON object a line
    #[arg(long, value_name = "PORT")]
    pub control_port: Option<u16>,
    /// Where quotes come from
    #[arg(long, value_enum, default_value = "builtin", conflicts_with = "replay")]
    pub market: GatewayMarket,
    /// Play a recorded day of this folder in LEAN's format instead
    #[arg(long, value_name = "DIR", requires = "date")]
    pub replay: Option<PathBuf>,
    /// The day to play
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Date::parse, requires = "replay")]
    pub date: Option<Date>,
    /// Root symbol, where the folder has several
    #[arg(long, value_name = "SYM", requires = "replay")]
    pub underlying: Option<String>,
    /// How many seconds of market time pass per second; 0: only as the control port says
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = gateway_speed)]
    pub speed: f64,
    /// Seed of the built-in market, when its folder is new
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The account's name
    #[arg(long, value_name = "NAME", default_value = "DU1234567")]
    pub account: String,
    /// The folder with the gateway's books [default: ./state/gateway; a replay keeps none]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Lines of market data that a client may have open; IB lets it send half as many messages a
    /// second
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(2..))]
    pub lines: u16,
    /// Cash of a new account, US dollars
    #[arg(long, value_name = "AMOUNT", value_parser = cash)]
    pub cash: Option<Money>,
    /// What executions cost: a JSON file as config/fees.json [default: IB's published schedule]
    #[arg(long, value_name = "FILE")]
    pub fees: Option<PathBuf>,
    /// Restart every day at this time of New York, as IB's gateway does: every client is closed
    #[arg(long, value_name = "HH:MM", value_parser = clock)]
    pub restart_at: Option<Clock>,
    /// How long nobody is let in at the daily restart, seconds of market time
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "restart_at")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub restart_takes: u32,
    /// End the gateway that keeps its books in this folder, instead of starting one
    #[arg(long)]
    pub stop: bool,
}

fn cash(text: &str) -> Result<Money, String> {
    let amount = Money::parse(text).map_err(|error| error.to_string())?;
    if amount < Money::ZERO {
        return Err("an account begins with zero or more".to_owned());
    }
    Ok(amount)
}

/// The markets of the gateway that need no recorded data.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayMarket {
    /// The seeded one: SIM, SIMX and their options.
    Builtin,
}

/// Flags of `reconcile`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ReconcileArgs {
    /// Show the last one instead; the node does it by itself all day
    #[arg(long)]
    pub last: bool,
    /// The node.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Flags of `halt`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct HaltArgs {
    /// Why, for the journal and for whoever resumes
    #[arg(long, value_parser = reason)]
    pub reason: String,
    /// The node.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Flags of `panic`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct PanicArgs {
    /// Which file of config/environment/ applies on top of main.yaml
    #[arg(long, value_enum, default_value = "dev")]
    pub environment: Environment,
    /// The folder with main.yaml, environment/ and strategies/
    #[arg(long, value_name = "DIR", default_value = "config")]
    pub config: PathBuf,
    /// The state folder.
    #[command(flatten)]
    pub state: StateArgs,
    /// Where the broker listens [default: as configured, or the gateway of the state folder]
    #[arg(long, value_name = "ADDR")]
    pub address: Option<SocketAddr>,
    /// The client id that placed the orders [default: as configured]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<i32>,
    /// The account [default: as configured]
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// Orders of every installation of OptionsIB on the account
    #[arg(long)]
    pub all: bool,
}

/// Flags of `resume`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ResumeArgs {
    /// Yes, trade again
    #[arg(long)]
    pub yes: bool,
    /// The node.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// The faults.
#[derive(Subcommand, Debug, PartialEq)]
pub enum ChaosCommand {
    /// Kill a role now; its supervisor brings it back
    Kill {
        /// The role as `optionsib tree` names it, such as desk or strategy/gamma_scalper_sim
        role: String,
        /// The node.
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Let a role panic at its next message
    Panic(OnceArgs),
    /// Let a role fail with an error at its next message
    Error(OnceArgs),
    /// Delay every message of a role for a while
    Delay(HoldArgs),
    /// Block a role's thread at every message for a while
    Stall(HoldArgs),
    /// Lose messages of a role that may be lost, for a while
    Drop(ShareArgs),
    /// Hand messages of a role over twice that can be, for a while
    Duplicate(ShareArgs),
    /// Show the faults that are armed
    List {
        /// The node.
        #[command(flatten)]
        client: ClientArgs,
    },
    /// End all faults
    Clear {
        /// The node.
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// A fault that strikes once.
#[derive(Args, Debug, PartialEq)]
pub struct OnceArgs {
    /// The role as `optionsib tree` names it
    pub role: String,
    /// The node.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A fault that holds messages up.
#[derive(Args, Debug, PartialEq)]
pub struct HoldArgs {
    /// The role as `optionsib tree` names it
    pub role: String,
    /// How long each message is held, such as 200ms
    #[arg(value_parser = duration)]
    pub hold: Duration,
    /// When the fault ends by itself, such as 10s
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub lasting: Duration,
    /// The node.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A fault that strikes a share of the messages.
#[derive(Args, Debug, PartialEq)]
pub struct ShareArgs {
    /// The role as `optionsib tree` names it
    pub role: String,
    /// Of a hundred messages so many
    #[arg(long, value_name = "PERCENT", default_value_t = 100,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub share: u8,
    /// When the fault ends by itself, such as 10s
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub lasting: Duration,
    /// The node.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Readers of the journal.
#[derive(Subcommand, Debug, PartialEq)]
pub enum JournalCommand {
    /// Check every byte: no gap, no damage, the chain of hashes whole
    Verify {
        /// The state folder.
        #[command(flatten)]
        state: StateArgs,
    },
    /// Print the records, one a line
    Show {
        /// The first record
        #[arg(long, value_name = "SEQ", default_value_t = 1)]
        from: u64,
        /// The state folder.
        #[command(flatten)]
        state: StateArgs,
    },
}

/// Snapshots.
#[derive(Subcommand, Debug, PartialEq)]
pub enum SnapshotCommand {
    /// List the snapshots that are kept
    List {
        /// The node, if it runs.
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Have the running node write one now
    Create {
        /// The node.
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// Flags of `audit`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct AuditArgs {
    /// The state folder
    #[arg(value_name = "STATE")]
    pub state: PathBuf,
}

/// Flags of `surface`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct SurfaceArgs {
    /// Folder with recorded data in LEAN's format
    pub data: PathBuf,
    /// The trading day, such as 2020-01-06
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = Date::parse)]
    pub date: Date,
    /// The time of day on the exchange's clocks, such as 10:30
    #[arg(long, value_name = "HH:MM", value_parser = clock)]
    pub at: Clock,
    /// Root symbol, where the folder has several
    #[arg(long, value_name = "SYM")]
    pub underlying: Option<String>,
    /// Continuous annual rate where the quotes do not name one [default: the node's]
    #[arg(long, value_name = "R", value_parser = rate, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// Draw quotes and surface into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Skip and count broken rows instead of stopping at the first
    #[arg(long)]
    pub skip_bad_rows: bool,
}

/// A time of day: seconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock(pub u32);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 3600, self.0 / 60 % 60)?;
        if self.0.is_multiple_of(60) { Ok(()) } else { write!(f, ":{:02}", self.0 % 60) }
    }
}

/// Reads `10:30` or `10:30:15`.
fn clock(text: &str) -> Result<Clock, String> {
    let fail = || format!("`{text}` is not a time of day, write such as 10:30 or 10:30:15");
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return Err(fail());
    }
    let mut seconds = 0;
    for (part, (limit, unit)) in parts.iter().zip([(24, 3600), (60, 60), (60, 1)]) {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let value: u32 = part.parse().ok().filter(|own| digits && *own < limit).ok_or_else(fail)?;
        seconds += value * unit;
    }
    Ok(Clock(seconds))
}

fn rate(text: &str) -> Result<f64, String> {
    let allowed = "write a number from -0.5 to 1, such as 0.0155";
    let rate: f64 = text.parse().map_err(|_| allowed.to_owned())?;
    if (-0.5..=1.0).contains(&rate) { Ok(rate) } else { Err(allowed.to_owned()) }
}

/// Flags of `price` and `iv`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TableArgs {
    /// The table; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
}

fn speed(text: &str) -> Result<f64, String> {
    let allowed = "write a number from 0.1 to 1000";
    let speed: f64 = text.parse().map_err(|_| allowed.to_owned())?;
    if (0.1..=1000.0).contains(&speed) { Ok(speed) } else { Err(allowed.to_owned()) }
}

fn gateway_speed(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { speed(text) }
}

fn reason(text: &str) -> Result<String, String> {
    let reason = text.trim();
    // The socket and the HALT file take one line of at most a kilobyte.
    if reason.is_empty() || reason.len() > 500 || reason.chars().any(char::is_control) {
        return Err("write one line of 1 to 500 bytes".to_owned());
    }
    Ok(reason.to_owned())
}

/// Reads `200ms`, `10s`, `2m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let fail = || format!("`{text}` is not a duration, write such as 200ms, 10s or 2m");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| fail())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(fail()),
    };
    number
        .checked_mul(unit_ms)
        .filter(|ms| (1..=86_400_000).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is out of range, write 1ms to 24h"))
}

#[cfg(test)]
mod tests;
