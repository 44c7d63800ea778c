//! `optionsib surface DIR --date D --at T`: the fit of one recorded moment, on screen or as a plot.
//!
//! Reads a recorded day up to the moment, fits forwards, surface and fair values
//! (`valuation::fit`), and prints what came out, what it left over and what the arbitrage tests
//! found. What is asked for and can't be had (no quotes at that time, a refused surface) is a
//! failure with its reason.

mod plot;
mod report;

use crate::cli::{Output, SurfaceArgs};
use crate::failure::{Exit, Failure};
use crate::terminal;
use market::lean::{BadRows, Day, RecordedDay};
use market::quality::Gates;
use market::time::Timestamp;
use std::collections::BTreeMap;
use valuation::fit::{FitSettings, ProductFit, Terms, expiries_of};

/// Moments before the wanted one that are fitted too, so that carries have settled.
const LEAD_MINUTES: i64 = 15;
const NANOS_PER_MINUTE: i64 = 60_000_000_000;

/// Runs the command.
///
/// # Errors
/// A day that can't be read, a moment without a market, a surface that is refused, a plot that
/// can't be written.
pub fn surface(args: &SurfaceArgs, output: Output) -> Result<(), Failure> {
    let bad_rows = if args.skip_bad_rows { BadRows::SkipAndCount } else { BadRows::Fail };
    let day = Day::load(&args.data, args.date, args.underlying.as_deref(), bad_rows).map_err(
        |error| {
            Failure::new(Exit::Internal, format!("the day {} can't be read", args.date))
                .because(error)
                .next("check the folder, or pass --skip-bad-rows to leave broken rows out")
        },
    )?;
    let at = moment(args, &day)?;
    let (expiries, fit) = fit_at(&day, at, args.rate)?;
    if let Some(path) = &args.svg {
        let title = format!("{} {} {}", day.symbol, day.day, args.at);
        plot::write(path, &title, &expiries, &fit)?;
    }
    let report = report::report(&day, at, &expiries, &fit);
    if output.json { terminal::print_json(&report) } else { terminal::print(&report.text()) }
}

/// The wanted instant, which must lie in the session.
fn moment(args: &SurfaceArgs, day: &RecordedDay) -> Result<Timestamp, Failure> {
    let at = day.calendar.clock(day.day, args.at.0);
    if day.calendar.is_open(at) {
        return Ok(at);
    }
    let session = match day.calendar.session_on(day.day) {
        Some(session) => format!("it trades from {} to {}", session.open, session.close),
        None => "it does not trade on that day".to_owned(),
    };
    Err(Failure::usage(format!("{} does not trade at {} ({at})", day.symbol, args.at))
        .because(session)
        .next("pass a time of the session, in the exchange's time zone"))
}

type Moment = (Vec<valuation::fit::ExpiryNow>, valuation::fit::MomentFit);

fn fit_at(day: &RecordedDay, at: Timestamp, rate: Option<f64>) -> Result<Moment, Failure> {
    let (gates, dividends) = (Gates::default(), &day.dividends);
    let terms = Terms { catalog: &day.catalog, gates: &gates, dividends, today: day.day };
    let usual = FitSettings::default();
    let rate_guess = rate.unwrap_or(usual.rate_guess);
    let mut product = ProductFit::new(FitSettings { rate_guess, ..usual });
    let mut quotes = BTreeMap::new();
    let mut last = None;
    for step in day.steps.iter().take_while(|step| step.time <= at) {
        quotes.extend(step.quotes.iter().copied());
        let lead = (at.nanos() - step.time.nanos()) / NANOS_PER_MINUTE;
        if lead > LEAD_MINUTES || !day.calendar.is_open(step.time) {
            continue;
        }
        let expiries = expiries_of(&terms, &quotes, step.time);
        last = Some(product.fit(&expiries).map(|fit| (expiries, fit)));
    }
    match last {
        None => {
            Err(Failure::usage(format!("nothing was quoted in the quarter of an hour before {at}"))
                .next("pass a time at which the options traded"))
        }
        Some(Err(refusal)) => Err(Failure::internal("no surface can be published")
            .because(refusal)
            .next("look at another minute, or at the quotes of this one")),
        Some(Ok(moment)) => Ok(moment),
    }
}
