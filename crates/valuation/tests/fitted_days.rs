//! Surfaces over recorded days: no arbitrage on a finer grid than the fit's own, fair values that
//! their own quotes hold though they had no say in them.
//!
//! Reads the data that `OPTIONSIB_DATA` names; skipped aloud without it. The full tables come from
//! the example `judge`.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use market::lean::{BadRows, Day};
use market::quality::Gates;
use market::time::Date;
use pricing::arbitrage::{Grid, prove};
use std::collections::BTreeMap;
use std::path::Path;
use valuation::fit::{FitSettings, ProductFit, Terms, expiries_of};

/// Minutes of the recording that are fitted: every so many.
const STRIDE: usize = 10;

/// Share of changed quotes that hold their leave-one-out fair value.
#[track_caller]
fn check(folder: &str, day: &str, share_least: f64) {
    let Some(root) = std::env::var_os("OPTIONSIB_DATA") else {
        eprintln!("skipped: OPTIONSIB_DATA does not name the recorded data");
        return;
    };
    let date = Date::parse(day).unwrap();
    let day = Day::load(&Path::new(&root).join(folder), date, None, BadRows::SkipAndCount).unwrap();
    let gates = Gates::default();
    let terms =
        Terms { catalog: &day.catalog, gates: &gates, dividends: &day.dividends, today: date };
    let mut product = ProductFit::new(FitSettings::default());
    let mut quotes = BTreeMap::new();
    let (mut judged, mut inside, mut published) = (0_usize, 0_usize, 0_usize);
    for (at, step) in day.steps.iter().enumerate() {
        quotes.extend(step.quotes.iter().copied());
        if !day.calendar.is_open(step.time) || at % STRIDE != 0 {
            continue;
        }
        let expiries = expiries_of(&terms, &quotes, step.time);
        let Ok(fit) = product.fit(&expiries) else { continue };
        published += 1;
        prove(&fit.fitted.surface, Grid { points: 401, reach: 12.0 }).unwrap();
        for (own, of_now) in expiries.iter().zip(&fit.expiries) {
            for (line, of_line) in own.lines.iter().zip(&of_now.lines) {
                if let Some(fair) = of_line.fair
                    && line.quoted == step.time
                {
                    judged += 1;
                    inside += usize::from((line.bid..=line.ask).contains(&fair.price));
                }
            }
        }
    }
    let share = inside as f64 / judged as f64;
    eprintln!("{} {date}: {published} surfaces, {inside} of {judged} inside", day.symbol);
    assert!(published > 15 && share > share_least, "{share}");
}

#[test]
fn es_quotes_hold_what_the_others_say() {
    check("lean_es_futopt_20200106", "2020-01-06", 0.98);
}

#[test]
fn goog_quotes_hold_what_the_others_say_on_the_half_day() {
    check("lean_goog_opt_20151224", "2015-12-24", 0.98);
}

#[test]
fn twx_quotes_hold_what_the_others_say_across_dividends() {
    check("lean_twx_opt_20140605", "2014-06-05", 0.88);
}
