//! The book over recorded trading days: nearly all two-sided quotes get a volatility, and most of
//! them agree with their neighbours.
//!
//! Reads the data that `OPTIONSIB_DATA` names; skipped aloud without it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use market::lean::{BadRows, Day, RecordedDay};
use market::quality::Gates;
use market::time::Date;
use std::path::Path;
use valuation::book::{BookCounts, BookSettings, LineUpdate, PricingBook};

fn load(folder: &str, day: &str) -> Option<RecordedDay> {
    let Some(root) = std::env::var_os("OPTIONSIB_DATA") else {
        eprintln!("skipped: OPTIONSIB_DATA does not name the recorded data");
        return None;
    };
    let day = Date::parse(day).unwrap();
    Some(Day::load(&Path::new(&root).join(folder), day, None, BadRows::SkipAndCount).unwrap())
}

/// Fresh share and share of the views' fresh lines that have a volatility, averaged over views.
fn run(day: &RecordedDay) -> (BookCounts, f64) {
    let mut book = PricingBook::new(&day.symbol, &day.catalog, BookSettings::default());
    let gates = Gates::default();
    let (mut shares, mut views) = (0.0, 0.0);
    let mut updates = Vec::new();
    for step in &day.steps {
        updates.clear();
        let open = day.calendar.is_open(step.time);
        for (con_id, quote) in &step.quotes {
            let instrument = day.catalog.get(*con_id).unwrap();
            let reference = quote.mid().unwrap_or_default();
            let tick = instrument.tick.increment(reference);
            let update = LineUpdate {
                quote: *quote,
                two_sided_valid: gates.flaw_of(tick, quote, step.time, open).is_none(),
                live: true,
            };
            updates.push((book.line_index(*con_id).unwrap(), update));
        }
        book.on_quotes(&updates);
        if let Some(view) = book.recompute(step.time)
            && open
        {
            shares += view.regime.fresh_share.unwrap_or(0.0);
            views += 1.0;
        }
    }
    (*book.counts(), shares / views)
}

fn report(day: &RecordedDay, counts: &BookCounts, fresh: f64) {
    eprintln!("{} {}: fresh {fresh:.3}, {counts:?}", day.symbol, day.day);
}

#[test]
fn es_options_agree_with_each_other_all_day() {
    let Some(day) = load("lean_es_futopt_20200106", "2020-01-06") else { return };
    let (counts, fresh) = run(&day);
    report(&day, &counts, fresh);
    assert!(counts.fresh_with_own_vol * 10 >= counts.fresh * 9);
    assert!(fresh > 0.8, "{fresh}");
}

#[test]
fn goog_options_agree_with_each_other_on_the_half_day() {
    let Some(day) = load("lean_goog_opt_20151224", "2015-12-24") else { return };
    let (counts, fresh) = run(&day);
    report(&day, &counts, fresh);
    assert!(counts.fresh_with_own_vol * 10 >= counts.fresh * 9);
    assert!(fresh > 0.6, "{fresh}");
}

#[test]
fn twx_options_agree_with_each_other() {
    let Some(day) = load("lean_twx_opt_20140605", "2014-06-05") else { return };
    let (counts, fresh) = run(&day);
    report(&day, &counts, fresh);
    assert!(counts.fresh_with_own_vol * 10 >= counts.fresh * 9);
    assert!(fresh > 0.5, "{fresh}");
}
