//! `replay`: the whole node on a recorded day, in virtual time, as fast as it goes.

mod evidence;
mod summary;

use crate::cli::{Environment, Output, ReplayArgs};
use crate::configuration::{Configuration, Source, tomes_in};
use crate::failure::{Exit, Failure};
use crate::terminal;
use actors::node::Product;
use broker::downtime::DowntimeSchedule;
use chaos::medium::Medium;
use chaos::simulation::{ChaosSpec, NodeSettings, SimulationSpec, run};
use exchange::day::Days;
use exchange::recorded::RecordedMarket;
use exchange::{AssignmentRule, ExchangeConfig, MarketSource};
use market::calendar::Calendar;
use market::instrument::ConId;
use market::lean::{BadRows, Day, RecordedDay};
use market::quality::Gates;
use market::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use strategy::tome::Tome;

/// A replay without faults runs market time this much faster than process time: recorded bars are a
/// minute apart, and nothing of the node's own timing has to be waited for between them.
const REPLAY_SPEED_PERMILLE: u64 = 60_000;
/// With faults, both times run alike: restart intensities and settling are in process time.
const CHAOS_SPEED_PERMILLE: u64 = 1_000;
/// The node is up and reconciled before the first quotes.
const LEAD: Duration = Duration::from_secs(600);
/// After the last quotes: settlement of what expires, the end of day orders.
const TRAIL: Duration = Duration::from_secs(900);
/// Loops are two days apart in a market that is always open: a Globex day spans 26 hours.
const LOOP_SHIFT: Duration = Duration::from_secs(2 * 86_400);

/// Runs the command.
///
/// # Errors
/// A configuration, a recording or a simulation that fails; exit 70 when a promise was broken.
pub fn replay(args: &ReplayArgs, output: Output) -> Result<(), Failure> {
    let configuration = Configuration::load(&Source {
        folder: &args.config,
        environment: Environment::Dev,
        strategies: args.strategies.as_deref(),
    })?;
    let bad_rows = if args.skip_bad_rows { BadRows::SkipAndCount } else { BadRows::Fail };
    let day = Day::load(&args.data, args.date, args.underlying.as_deref(), bad_rows).map_err(
        |error| {
            Failure::new(Exit::Internal, format!("the day {} can't be read", args.date))
                .because(error)
                .next("check the folder, or pass --skip-bad-rows to leave broken rows out")
        },
    )?;
    let tomes = tomes(args, &configuration, &day)?;
    let progress = terminal::replay_progress(day.steps.len() as u64, output.quiet || output.json);
    let spec = spec(args, &configuration, day, tomes, &progress)?;
    let starting_cash = spec.exchange.starting_cash;
    crate::telemetry::start_logs("warn", None, false)?;
    let simulated = run(spec).map_err(|error| {
        Failure::internal("the replay could not be run to its end").because(error)
    })?;
    progress.finish_and_clear();
    if let Some(path) = &args.fills {
        evidence::write(path, &simulated, starting_cash)?;
    }
    if output.json {
        terminal::print_json(&simulated.report)?;
    } else {
        terminal::print(&summary::text(&simulated.report))?;
    }
    if simulated.report.violations > 0 {
        return Err(Failure::internal("the auditor found broken promises")
            .because(format!("{} violations", simulated.report.violations))
            .next("the report names them; keep the state folder and file a bug"));
    }
    Ok(())
}

/// The named strategies, or all shipped ones of the underlying.
fn tomes(
    args: &ReplayArgs,
    configuration: &Configuration,
    day: &RecordedDay,
) -> Result<Vec<Tome>, Failure> {
    if args.strategies.is_some() {
        return Ok(configuration.tomes.clone());
    }
    let mut tomes = tomes_in(&args.config)?;
    tomes.retain(|tome| tome.symbol == day.symbol);
    if tomes.is_empty() {
        return Err(Failure::new(
            Exit::Configuration,
            format!("no strategy is configured for {}", day.symbol),
        )
        .next("add a tome to config/strategies, or name some with --strategies"));
    }
    Ok(tomes)
}

fn spec(
    args: &ReplayArgs,
    configuration: &Configuration,
    day: RecordedDay,
    tomes: Vec<Tome>,
    progress: &indicatif::ProgressBar,
) -> Result<SimulationSpec, Failure> {
    let medium = match &args.state {
        None => Medium::memory(),
        Some(path) => {
            if path.join("journal").exists() {
                return Err(Failure::usage(format!("{} has a journal already", path.display()))
                    .because("a replay begins with an empty account")
                    .next("name another --state folder"));
            }
            Medium::folder(path).map_err(|error| {
                Failure::internal(format!("{} can't be used", path.display())).because(error)
            })?
        }
    };
    let looped = args.loops > 1;
    let calendar = if looped { Calendar::round_the_clock() } else { day.calendar.clone() };
    let (Some(first), Some(last)) = (day.steps.first(), day.steps.last()) else {
        return Err(Failure::internal("the recorded day has no quotes"));
    };
    let start = first.time.minus(LEAD);
    let last = last.time.plus(LOOP_SHIFT * (args.loops - 1));
    let close = calendar.close_of(day.day).unwrap_or(last);
    let end = if looped { last } else { last.max(close) }.plus(TRAIL);
    let days = if looped { Days::RoundTheClock } else { Days::of_calendar(&calendar, day.day, 5) };
    let venue = &configuration.venue;
    let exchange = ExchangeConfig {
        starting_cash: venue.starting_cash,
        request_latency: venue.request_latency,
        report_latency: venue.report_latency,
        fees: venue.fees.clone(),
        days,
        assignment: AssignmentRule { seed: args.seed, ..ExchangeConfig::default().assignment },
        ..ExchangeConfig::default()
    };
    let instruments: Vec<_> = day.catalog.iter().cloned().collect();
    let product = Product {
        symbol: day.symbol.clone(),
        instruments: instruments.clone(),
        calendar: Arc::new(calendar),
        gates: Gates::default(),
        settings: configuration.pricing.clone(),
        dividends: day.dividends.clone(),
    };
    let dividends = dividends(&day);
    let market = RecordedMarket::new(instruments, day.steps, args.loops, LOOP_SHIFT)
        .map_err(|error| Failure::internal("the day can't be played").because(error))?;
    let mut breakers = configuration.breakers.clone();
    if looped {
        // A market that never closes shows its nights as old quotes, which is no failure of data.
        breakers.fresh_share_min = 0.0;
    }
    let (bar, length) = (progress.clone(), progress.length().unwrap_or(0));
    let span = end.since(start).as_secs_f64();
    Ok(SimulationSpec {
        source: day.source,
        day: day.day.to_string(),
        market: MarketSource::Recorded(market),
        products: vec![product],
        exchange,
        dividends,
        start,
        end,
        speed_permille: if args.chaos.is_some() {
            CHAOS_SPEED_PERMILLE
        } else {
            REPLAY_SPEED_PERMILLE
        },
        settings: NodeSettings {
            account: configuration.account.clone(),
            configuration: configuration.fingerprint.clone(),
            limits: configuration.limits.clone(),
            breakers,
            link: configuration.link,
            // The exchange in process is never away.
            downtime: DowntimeSchedule::none(),
            reconcile: desk::reconcile::ReconcilePolicy::default(),
            tomes,
        },
        seed: args.seed,
        chaos: args.chaos.map(ChaosSpec::new),
        medium,
        progress: Some(Box::new(move |at: Timestamp| {
            let share = at.since(start).as_secs_f64() / span;
            bar.set_position((share * length as f64) as u64);
        })),
    })
}

fn dividends(day: &RecordedDay) -> Vec<(ConId, market::time::Date, market::money::Price)> {
    let stocks = day.underlyings.iter().filter(|con_id| {
        day.catalog
            .get(**con_id)
            .is_ok_and(|one| matches!(one.kind, market::instrument::InstrumentKind::Stock))
    });
    stocks
        .flat_map(|con_id| day.dividends.iter().map(|(ex_date, amount)| (*con_id, ex_date, amount)))
        .collect()
}
