//! A real day under seeded chaos: every role dies at least three times, the node at least five
//! times, intents are hit at every step of their way, and no promise breaks.
//!
//! Needs the recorded days: `OPTIONSIB_DATA` names their folder. Without it the test says so and
//! passes; `.ci/run` sets it.

#![allow(clippy::unwrap_used, reason = "a scene that can't be set fails its test")]

#[allow(dead_code, reason = "a day needs a part of the scene")]
#[path = "scene/market.rs"]
mod hand;
#[allow(dead_code, reason = "a day needs a part of the scene")]
#[path = "scene/settings.rs"]
mod settings;

use chaos::medium::Medium;
use chaos::plan::{Matrix, STEPS, step_name};
use chaos::report::DayReport;
use chaos::simulation::{ChaosSpec, SimulationSpec, run};
use exchange::day::Days;
use exchange::recorded::RecordedMarket;
use exchange::{AssignmentRule, ExchangeConfig, MarketSource};
use market::lean::{BadRows, Day};
use market::quality::Gates;
use market::time::Date;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use strategy::tome::Tome;
use valuation::book::BookSettings;

const SEEDS: [u64; 3] = [7, 8, 9];
const ON_THE_WAY: [&str; 3] = ["session", "desk", "journal"];

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("OPTIONSIB_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: OPTIONSIB_DATA is not set, the recorded days are not there");
    }
    folder
}

/// The shipped strategies of ES.
fn tomes() -> Vec<Tome> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/strategies");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        Tome::parse(&file.display().to_string(), &text).unwrap()
    };
    files.into_iter().map(read).filter(|tome| tome.symbol == "ES").collect()
}

/// As `optionsib replay --chaos` sets the day up.
fn chaos_day(data: &Path, seed: u64) -> DayReport {
    let date = Date::new(2020, 1, 6).unwrap();
    let folder = data.join("lean_es_futopt_20200106");
    let day = Day::load(&folder, date, None, BadRows::Fail).unwrap();
    let (first, last) = (day.steps[0].time, day.steps[day.steps.len() - 1].time);
    let close = day.calendar.close_of(day.day).unwrap_or(last);
    let instruments: Vec<_> = day.catalog.iter().cloned().collect();
    let product = actors::node::Product {
        symbol: day.symbol.clone(),
        instruments: instruments.clone(),
        calendar: Arc::new(day.calendar.clone()),
        gates: Gates::default(),
        settings: BookSettings { rate_guess: 0.01, ..BookSettings::default() },
        dividends: day.dividends.clone(),
    };
    let exchange = ExchangeConfig {
        request_latency: Duration::from_millis(20),
        report_latency: Duration::from_millis(20),
        days: Days::of_calendar(&day.calendar, day.day, 5),
        assignment: AssignmentRule { seed: 1, ..ExchangeConfig::default().assignment },
        ..ExchangeConfig::default()
    };
    let market = RecordedMarket::new(instruments, day.steps, 1, RecordedMarket::WEEK).unwrap();
    let mut node = settings::node(tomes());
    node.breakers.realised_vol_max = 0.8;
    let simulated = run(SimulationSpec {
        source: day.source,
        day: day.day.to_string(),
        market: MarketSource::Recorded(market),
        products: vec![product],
        exchange,
        dividends: Vec::new(),
        start: first.minus(Duration::from_secs(600)),
        end: last.max(close).plus(Duration::from_secs(900)),
        speed_permille: 1_000,
        settings: node,
        seed: 1,
        chaos: Some(ChaosSpec::new(seed)),
        medium: Medium::memory(),
        progress: None,
    });
    simulated.unwrap().report
}

fn print(matrix: &Matrix) {
    let steps = STEPS.map(step_name);
    eprintln!("{:32}{}", "kills", steps.map(|step| format!("{step:>10}")).concat());
    for (role, row) in matrix {
        let cells = steps.map(|step| format!("{:>10}", row.get(step).copied().unwrap_or(0)));
        eprintln!("{role:32}{}", cells.concat());
    }
}

#[test]
fn days_under_chaos_keep_every_promise_and_hit_every_step_of_an_order() {
    let Some(data) = data() else { return };
    let mut all = Matrix::new();
    let (mut kills, mut in_flight) = (0_u64, 0_u64);
    for seed in SEEDS {
        let report = chaos_day(&data, seed);
        let total: u64 = report.kills.values().copied().map(u64::from).sum();
        eprintln!(
            "seed {seed}: {total} kills, {} lives, {} of 1000 in flight, {} orders, {} fills, {}",
            report.lives,
            report.kills_in_flight_permille,
            report.orders,
            report.fills,
            report.state_hash,
        );
        assert_eq!(report.violations, 0, "seed {seed}: {:#?}", report.violated);
        assert!(report.checks.values().all(|count| *count > 0), "seed {seed}: {:?}", report.checks);
        let kinds: Vec<&str> = report.faults.keys().map(String::as_str).collect();
        let every = ["delay", "drop", "duplicate", "error", "kill", "panic", "stall"];
        assert_eq!(kinds, every, "seed {seed}: {:?}", report.faults);
        assert_eq!(report.strikes_left, 0, "seed {seed} struck {:?}", report.kills);
        assert!(report.kills["node"] >= 5, "seed {seed}: {:?}", report.kills);
        // Every role and scope of the tree but the root, and the node itself.
        assert!(report.kills.len() >= 22 + tomes().len(), "{:?}", report.kills);
        let few = report.kills.iter().find(|(_, count)| **count < 3);
        assert!(few.is_none(), "seed {seed} killed {few:?} only");
        assert!(report.kills_in_flight_permille >= 300, "{}", report.kills_in_flight_permille);
        kills += total;
        in_flight += total * u64::from(report.kills_in_flight_permille) / 1_000;
        for (role, row) in &report.kill_matrix {
            for (step, count) in row {
                *all.entry(role.clone()).or_default().entry(step).or_default() += count;
            }
        }
    }
    print(&all);
    eprintln!("{kills} kills, {in_flight} with an intent in flight");
    let mut path: Vec<String> = ON_THE_WAY.map(str::to_owned).to_vec();
    path.extend(tomes().iter().map(|tome| format!("strategy/{}", tome.id)));
    for role in path {
        for step in STEPS.map(step_name) {
            let count = all.get(&role).and_then(|row| row.get(step)).copied().unwrap_or(0);
            assert!(count > 0, "{role} was never killed at `{step}`");
        }
    }
}

#[test]
fn one_chaos_seed_is_one_state_hash() {
    let Some(data) = data() else { return };
    let (first, again) = (chaos_day(&data, SEEDS[0]), chaos_day(&data, SEEDS[0]));
    assert_eq!(first.state_hash, again.state_hash);
    assert_eq!(first.journal_seq, again.journal_seq);
    assert_eq!(first.kill_matrix, again.kill_matrix);
}
