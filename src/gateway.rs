//! `gateway`: the simulated IB Gateway as a process of its own.
//!
//! Opens or makes its books and its market, brings the market up to the books, gives it a past to
//! show, and serves until SIGTERM or Ctrl-C. What it serves is in the crate `gateway`. One that was
//! down for a short while goes on as if it had not been; after a longer time its market goes on
//! where it stood.

pub mod notice;

use crate::cli::{Clock, GatewayArgs, Output};
use crate::failure::Failure;
use crate::terminal;
use exchange::book_file::VenueFiles;
use exchange::builtin::BuiltinMarket;
use exchange::day::Days;
use exchange::fees::FeeSchedule;
use exchange::margin::{MarginRule, ScanRule};
use exchange::recorded::RecordedMarket;
use exchange::{Exchange, ExchangeConfig, MarketSource, MarketStep};
use gateway::control::Status;
use gateway::server::{Bounds, Host, MarketClock, serve};
use gateway::world::{DailyRestart, Settings, World};
use market::instrument::{ConId, InstrumentKind};
use market::lean::{BadRows, Day, RecordedDay};
use market::money::Price;
use market::time::{Date, Timestamp};
use notice::Notice;
use serde::Serialize;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::StateLock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Where the books are kept unless told otherwise.
const DEFAULT_BOOKS: &str = "./state/gateway";
/// A new market has this much past to show, in steps of a minute.
const PAST_MINUTES: u32 = 2 * 1440;
const MINUTE: Duration = Duration::from_secs(60);
/// Between two steps of the built-in market.
const STEP: Duration = Duration::from_millis(250);
/// A recorded day is waited for this long before its first quotes.
const LEAD: Duration = Duration::from_secs(1);
/// So much market time is made up for after a stop; beyond it the market goes on where it stood.
const CATCH_UP_MAX: Duration = Duration::from_secs(3_600);
/// IB's rule: the messages that a client may send in a second are half of its lines.
const LINES_PER_MESSAGE: usize = 2;

/// What is said once it listens.
#[derive(Serialize)]
struct Started<'a> {
    listening: String,
    control: Option<String>,
    account: &'a str,
    market: String,
}

/// A gateway before it listens.
struct Prepared {
    world: World,
    files: Option<VenueFiles>,
    clock: Timestamp,
    market: String,
    /// The folder of its books, which is locked.
    folder: Option<(PathBuf, StateLock)>,
}

/// Runs the command.
///
/// # Errors
/// Books, data or ports that can't be used, and books that can't be written any more.
pub fn gateway(args: &GatewayArgs, output: Output) -> Result<(), Failure> {
    if args.stop {
        let folder = args.state.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_BOOKS));
        let stopped = notice::stop(&folder)
            .map_err(|reason| Failure::internal("the gateway can't be stopped").because(reason))?;
        let what = if stopped { "it has ended" } else { "none runs there" };
        return terminal::print(&format!("gateway in {}: {what}", folder.display()));
    }
    crate::telemetry::start_logs("info", None, false)?;
    let prepared = match (&args.replay, args.date) {
        (Some(folder), Some(date)) => recorded(args, folder, date)?,
        _ => builtin(args)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal("no runtime can be made").because(error))?;
    runtime.block_on(run(args, output, prepared))
}

async fn run(args: &GatewayArgs, output: Output, prepared: Prepared) -> Result<(), Failure> {
    let listener = listen(args.port).await?;
    let control = match args.control_port {
        Some(port) => Some(listen(port).await?),
        None => None,
    };
    let address = |listener: &TcpListener| {
        listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
    };
    let started = Started {
        listening: address(&listener),
        control: control.as_ref().map(address),
        account: &args.account,
        market: prepared.market,
    };
    if output.json {
        terminal::print_json(&started)?;
    } else {
        terminal::print(&format!(
            "gateway: {} on {}, account {}{}",
            started.market,
            started.listening,
            started.account,
            started.control.as_ref().map(|at| format!(", commands on {at}")).unwrap_or_default()
        ))?;
    }
    if let Some((folder, _)) = &prepared.folder {
        let notice = Notice {
            pid: std::process::id(),
            listening: address(&listener),
            control: control.as_ref().map(address),
            account: args.account.clone(),
            speed: args.speed,
            market_nanos: prepared.clock.nanos(),
            wall_nanos: notice::wall_nanos(),
        };
        notice.write(folder).map_err(|error| {
            Failure::internal("the gateway can't say where it listens").because(error)
        })?;
    }
    let silent = output.quiet || output.json;
    let mut last = Status::default();
    let host = Host {
        world: prepared.world,
        files: prepared.files,
        clock: MarketClock::new(prepared.clock, args.speed),
        listener,
        control,
        bounds: Bounds::default(),
        on_status: Box::new(move |status| {
            let comparable = Status { market_nanos: 0, ..status.clone() };
            if !silent && comparable != last {
                let line = status_line(status);
                last = comparable;
                // A reader that has gone away stops the lines, not the gateway.
                let _ = terminal::print(&line);
            }
        }),
    };
    let mut term = signal(SignalKind::terminate())
        .map_err(|error| Failure::internal("can't listen for SIGTERM").because(error))?;
    let stop = async {
        tokio::select! {
            biased;
            _ = term.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    serve(host, stop).await.map_err(|error| {
        Failure::internal("the gateway has stopped").because(error).next("start it again")
    })
}

fn status_line(status: &Status) -> String {
    format!(
        "gateway: {} clients, {} working orders, {} executions, {} lines{}",
        status.clients.len(),
        status.working_orders,
        status.executions,
        status.lines,
        if status.outage { ", broker unreachable" } else { "" }
    )
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        Failure::internal(format!("port {port} can't be listened on"))
            .because(error)
            .next("stop what listens there, or choose another --port")
    })
}

fn exchange_config(args: &GatewayArgs, days: Days) -> Result<ExchangeConfig, Failure> {
    let default = ExchangeConfig::default();
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::internal(format!("the fees in {} can't be used", path.display())).because(error)
    };
    let fees = match &args.fees {
        None => default.fees,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            FeeSchedule::parse(&text).map_err(|error| unreadable(path, &error))?
        }
    };
    Ok(ExchangeConfig {
        starting_cash: args.cash.unwrap_or(default.starting_cash),
        fees,
        request_latency: Duration::ZERO,
        report_latency: Duration::ZERO,
        margin: MarginRule { scan: Some(ScanRule::default()), ..MarginRule::default() },
        days,
        assignment: exchange::AssignmentRule { seed: args.seed, ..default.assignment },
        ..ExchangeConfig::default()
    })
}

fn settings(args: &GatewayArgs) -> Settings {
    let lines_max = usize::from(args.lines);
    let messages_per_second = lines_max / LINES_PER_MESSAGE;
    let lasts = Duration::from_secs(args.restart_takes.into());
    let at = |clock: Clock| Duration::from_secs(clock.0.into());
    let daily_restart = args.restart_at.map(|clock| DailyRestart { at: at(clock), lasts });
    Settings { lines_max, messages_per_second, daily_restart, ..Settings::new(&args.account) }
}

fn locked(folder: &Path) -> Result<StateLock, Failure> {
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::internal(format!("{} can't be used by this gateway", folder.display()))
            .because(error)
            .next("name another --state, or end the other with --stop")
    };
    std::fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
    StateLock::take(folder).map_err(|error| unusable(&error))
}

fn builtin(args: &GatewayArgs) -> Result<Prepared, Failure> {
    let folder = args.state.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_BOOKS));
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::internal("the gateway's books can't be used")
            .because(error)
            .next(format!("restore {} from a copy, or name another --state", folder.display()))
    };
    let lock = locked(&folder)?;
    let (files, found) = VenueFiles::open(&folder).map_err(|error| unusable(&error))?;
    if found.torn_bytes > 0 {
        tracing::warn!(bytes = found.torn_bytes, "the last line of the books was torn and is cut");
    }
    let config = exchange_config(args, Days::RoundTheClock)?;
    let saved = found.market.as_deref().map(BuiltinMarket::from_json).transpose();
    let saved = saved.map_err(|error| unusable(&error))?;
    let mut past: Vec<MarketStep> = Vec::new();
    let mut market = match saved {
        Some(market) => market,
        None => {
            let now = Timestamp::from_nanos(notice::wall_nanos());
            let start = now.minus(MINUTE * PAST_MINUTES);
            let mut market = BuiltinMarket::new(args.seed, start).with_interval(MINUTE);
            past.extend((0..PAST_MINUTES).map(|_| market.next_step()));
            market.with_interval(STEP)
        }
    };
    let exchange = if found.changes.is_empty() {
        Exchange::new(config, market.next_time())
    } else {
        Exchange::restore(config, found.changes).map_err(|error| unusable(&error))?
    };
    // The market is saved now and then, the books always: its path goes on to where they are.
    while market.next_time() <= exchange.books_time() {
        past.push(market.next_step());
    }
    let stood = market.next_time();
    let meant = Notice::read(&folder).map(|before| before.market_now());
    let meant = meant.filter(|meant| stood <= *meant && *meant <= stood.plus(CATCH_UP_MAX));
    let clock = meant.unwrap_or(stood);
    let market = BuiltinMarket::from_json(&market.to_json()).map_err(|error| unusable(&error))?;
    let source = MarketSource::Builtin(Box::new(market));
    let mut world = World::new(settings(args), exchange, source);
    past.iter().for_each(|step| world.learn(step));
    let market = "the built-in market".to_owned();
    Ok(Prepared { world, files: Some(files), clock, market, folder: Some((folder, lock)) })
}

fn recorded(args: &GatewayArgs, folder: &Path, date: Date) -> Result<Prepared, Failure> {
    let day =
        Day::load(folder, date, args.underlying.as_deref(), BadRows::Fail).map_err(|error| {
            Failure::internal(format!("the day {date} can't be read"))
                .because(error)
                .next("check the folder and the date")
        })?;
    let Some(first) = day.steps.first().map(|step| step.time) else {
        return Err(Failure::internal("the recorded day has no quotes"));
    };
    let clock = first.minus(LEAD);
    let mut settings = settings(args);
    settings.calendar = day.calendar.clone();
    let days = Days::of_calendar(&day.calendar, day.day, 5);
    let config = exchange_config(args, days)?;
    let (files, exchange, locked_folder) = match &args.state {
        None => (None, Exchange::new(config, clock), None),
        Some(folder) => {
            let lock = locked(folder)?;
            let unusable = |error: &dyn std::fmt::Display| {
                Failure::internal("the gateway's books can't be used").because(error)
            };
            let (files, found) = VenueFiles::open(folder).map_err(|error| unusable(&error))?;
            let exchange = if found.changes.is_empty() {
                Exchange::new(config, clock)
            } else {
                Exchange::restore(config, found.changes).map_err(|error| unusable(&error))?
            };
            (Some(files), exchange, Some((folder.clone(), lock)))
        }
    };
    // What the books have seen of the day is over.
    let reached = exchange.books_time();
    let name = format!("{} on {}", day.symbol, day.day);
    let (exchange, source) = with_day(exchange, day)?;
    let mut world = World::new(settings, exchange, source);
    let clock = clock.max(reached);
    world.skip_to(clock);
    Ok(Prepared { world, files, clock, market: name, folder: locked_folder })
}

fn with_day(mut exchange: Exchange, day: RecordedDay) -> Result<(Exchange, MarketSource), Failure> {
    let instruments: Vec<_> = day.catalog.iter().cloned().collect();
    for (con_id, ex_date, amount) in dividends(&day) {
        exchange.announce_dividend(con_id, ex_date, amount);
    }
    let market = RecordedMarket::new(instruments, day.steps, 1, RecordedMarket::WEEK)
        .map_err(|error| Failure::internal("the day can't be played").because(error))?;
    Ok((exchange, MarketSource::Recorded(market)))
}

fn dividends(day: &RecordedDay) -> Vec<(ConId, Date, Price)> {
    let is_stock = |con_id: &&ConId| {
        day.catalog.get(**con_id).is_ok_and(|one| matches!(one.kind, InstrumentKind::Stock))
    };
    let stocks = day.underlyings.iter().filter(is_stock);
    stocks
        .flat_map(|con_id| day.dividends.iter().map(|(ex_date, amount)| (*con_id, ex_date, amount)))
        .collect()
}
