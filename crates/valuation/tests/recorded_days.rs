//! The book over recorded trading days: nearly all two-sided quotes get a volatility, most of them
//! agree with their neighbours, and the surface beside them has no arbitrage on a finer grid than
//! its own.
//!
//! Reads the data that `OPTIONSIB_DATA` names; skipped aloud without it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use market::instrument::{Catalog, ExerciseStyle, InstrumentKind, Right};
use market::lean::{BadRows, Day, RecordedDay};
use market::quality::Gates;
use market::time::Date;
use pricing::arbitrage::{Grid, prove};
use std::path::Path;
use valuation::book::{BookCounts, BookSettings, LineUpdate, PricingBook};
use valuation::view::DataState;

fn load(folder: &str, day: &str) -> Option<RecordedDay> {
    let Some(root) = std::env::var_os("OPTIONSIB_DATA") else {
        eprintln!("skipped: OPTIONSIB_DATA does not name the recorded data");
        return None;
    };
    let day = Date::parse(day).unwrap();
    Some(Day::load(&Path::new(&root).join(folder), day, None, BadRows::SkipAndCount).unwrap())
}

/// Effective federal funds rate of the day (FRED, series DFF).
fn funds_rate(symbol: &str) -> f64 {
    match symbol {
        "TWX" => 0.0010,
        "GOOG" => 0.0036,
        "ES" => 0.0155,
        other => panic!("no day of {other} is tested"),
    }
}

/// What a day's views show.
struct Seen {
    counts: BookCounts,
    /// Fresh share, averaged over views.
    fresh: f64,
    /// Share of valid quotes with a fair value between bid and ask; of all, and of puts in the
    /// money by 5 % and more, which are exercised early first.
    inside: f64,
    inside_deep_puts: f64,
    /// Share of quotes whose bid and ask hold the surface's vol, averaged over its slices.
    inside_surface: f64,
}

fn run(day: &RecordedDay) -> Seen {
    run_as(day, &day.catalog)
}

/// With other terms than those listed.
fn run_as(day: &RecordedDay, catalog: &Catalog) -> Seen {
    let settings = BookSettings {
        rate_guess: funds_rate(&day.symbol),
        surface_refit_seconds: 60,
        ..BookSettings::default()
    };
    let mut book =
        PricingBook::new(&day.symbol, catalog, settings).with_dividends(day.dividends.clone());
    let gates = Gates::default();
    let (mut shares, mut views) = (0.0, 0.0);
    let [mut all, mut deep] = [[0_u32; 2]; 2];
    let (mut held, mut slices) = (0.0, 0.0);
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
        let Some(view) = book.recompute(step.time).filter(|_| open) else { continue };
        shares += view.regime.fresh_share.unwrap_or(0.0);
        views += 1.0;
        if let Some(own) = view.surface.as_ref().filter(|own| own.time == step.time) {
            prove(&own.surface, Grid { points: 401, reach: 12.0 }).unwrap();
            held += own.expiries.iter().map(|own| own.report.inside).sum::<f64>();
            slices += own.expiries.len() as f64;
        }
        for chain in view.chains.values() {
            for line in chain.lines.iter().filter(|line| line.state <= DataState::Stale) {
                let (Some(fair), Some((bid, ask))) = (line.fair, line.quote.both()) else {
                    continue;
                };
                let inside = fair.price >= bid.to_f64() && fair.price <= ask.to_f64();
                let is_deep =
                    line.right == Right::Put && line.strike.to_f64() > 1.05 * chain.forward;
                for [count, held] in
                    [Some(&mut all), is_deep.then_some(&mut deep)].into_iter().flatten()
                {
                    *count += 1;
                    *held += u32::from(inside);
                }
            }
        }
    }
    let share = |[count, held]: [u32; 2]| f64::from(held) / f64::from(count.max(1));
    Seen {
        counts: *book.counts(),
        fresh: shares / views,
        inside: share(all),
        inside_deep_puts: share(deep),
        inside_surface: held / slices,
    }
}

/// The same options, were they European.
fn european(day: &RecordedDay) -> Catalog {
    let mut catalog = Catalog::default();
    for one in day.catalog.iter() {
        let mut one = one.clone();
        if let InstrumentKind::Option(terms) | InstrumentKind::FutureOption(terms) = &mut one.kind {
            terms.style = ExerciseStyle::European;
        }
        catalog.insert(one).unwrap();
    }
    catalog
}

fn shown(day: &RecordedDay, seen: Seen) -> Seen {
    let Seen { counts, fresh, inside, inside_deep_puts, inside_surface } = &seen;
    eprintln!(
        "{} {}: fresh {fresh:.3}, fair value inside the quote {inside:.3}, of deep puts \
         {inside_deep_puts:.3}, the surface's vol {inside_surface:.3}; {counts:?}",
        day.symbol, day.day
    );
    seen
}

#[test]
fn es_options_agree_with_each_other_all_day() {
    let Some(day) = load("lean_es_futopt_20200106", "2020-01-06") else { return };
    let Seen { counts, fresh, .. } = shown(&day, run(&day));
    assert!(counts.fresh_with_own_vol * 10 >= counts.fresh * 9);
    assert!(counts.surfaces_published > 200 && counts.surfaces_refused == 0, "{counts:?}");
    assert!(fresh > 0.8, "{fresh}");
}

#[test]
fn goog_options_agree_with_each_other_on_the_half_day() {
    let Some(day) = load("lean_goog_opt_20151224", "2015-12-24") else { return };
    let Seen { counts, fresh, .. } = shown(&day, run(&day));
    assert!(counts.fresh_with_own_vol * 10 >= counts.fresh * 9);
    assert!(counts.surfaces_published > 200 && counts.surfaces_refused == 0, "{counts:?}");
    assert!(fresh > 0.6, "{fresh}");
}

#[test]
fn twx_options_agree_with_each_other() {
    let Some(day) = load("lean_twx_opt_20140605", "2014-06-05") else { return };
    let Seen { counts, fresh, .. } = shown(&day, run(&day));
    assert!(counts.fresh_with_own_vol * 10 >= counts.fresh * 9);
    assert!(counts.surfaces_published > 200 && counts.surfaces_refused == 0, "{counts:?}");
    assert!(fresh > 0.5, "{fresh}");
}

#[test]
fn valued_as_american_the_quotes_hold_more_fair_values_than_as_european() {
    for (folder, date) in
        [("lean_goog_opt_20151224", "2015-12-24"), ("lean_twx_opt_20140605", "2014-06-05")]
    {
        let Some(day) = load(folder, date) else { return };
        let american = shown(&day, run(&day));
        let other = shown(&day, run_as(&day, &european(&day)));
        assert!(american.inside >= other.inside, "{} {}", american.inside, other.inside);
        let (own, european) = (american.inside_deep_puts, other.inside_deep_puts);
        assert!(own > european, "{own} {european}");
    }
}
