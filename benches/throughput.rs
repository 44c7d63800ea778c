//! How many quotes a second: the whole node on a recorded day looped, in memory and on the real
//! disk, and the feed alone on recorded ticks. It prints figures and asserts none.
//!
//! `OPTIONSIB_DATA=... cargo bench --bench throughput`. Start-up (reading the recording, building
//! the tree) is excluded; the figures of the looped day are those of the report.

use actors::runtime::clock::Clock;
use actors::runtime::slot::LineSlots;
use market::lean::read_ticks;
use market::money::Price;
use market::quality::{FlawCounts, Gates};
use market::time::Date;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const RUNS: usize = 3;
const LOOPS: &str = "20";
const STRATEGIES: &str = "gamma_scalper_es,credit_spread_es";

fn main() {
    let Ok(data) = std::env::var("OPTIONSIB_DATA") else {
        eprintln!("skipped: set OPTIONSIB_DATA to the folder with recorded market data");
        return;
    };
    let data = Path::new(&data);
    println!("feed alone, AIG ticks of 2013-10-10 (slots and quality gates, one line):");
    feed_alone(data);
    println!("the whole node, ES of 2020-01-06 looped {LOOPS} times, on one core, two strategies:");
    let folder = std::env::temp_dir().join(format!("optionsib-bench-{}", std::process::id()));
    let config = calm_configuration(&folder);
    for (name, on_disk) in [("memory", false), ("real disk", true)] {
        for run in 0..RUNS {
            let state = folder.join(format!("{run}"));
            whole_day(data, name, &config, on_disk.then_some(state.as_path()));
        }
    }
    // Left behind only if it can't be removed; it is in the temporary folder.
    let _ = std::fs::remove_dir_all(&folder);
}

fn feed_alone(data: &Path) {
    let day = Date::new(2013, 10, 10).expect("a day of the calendar");
    let ticks = match read_ticks(&data.join("lean_equity_ticks_201310"), "aig", day) {
        Ok(ticks) => ticks,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _entered = runtime.enter();
    let received = Clock::live().now();
    for _ in 0..RUNS {
        let (slots, gates) = (LineSlots::new(1), Gates::default());
        let (mut counts, mut scratch) = (FlawCounts::default(), Vec::new());
        let tick = Price::from_micros(10_000);
        let begun = Instant::now();
        for (time, quote) in &ticks {
            let _ = slots.publish(0, *quote, received);
            slots.drain_with(&mut scratch, |_, stamped| {
                counts.add(&gates.judge(tick, &stamped.value, *time, true));
            });
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = ticks.len() as f64 / seconds / 1e6;
        println!("  {} quotes in {seconds:.3} s: {rate:.2} M quotes/s", counts.total());
    }
}

/// The shipped configuration with strategies that hold what they have for the day: the shipped ones
/// churn, so that faults meet them at work.
fn calm_configuration(folder: &Path) -> PathBuf {
    let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), folder.join("config"));
    copy(&from, &to).expect("the configuration can be copied");
    let changes = [
        ("restrike_basis_points", 150),
        ("take_profit", 5_000),
        ("stop_loss", 5_000),
        ("profit_percent", 50),
        ("stop_percent", 250),
        ("pause_seconds", 300),
    ];
    for name in STRATEGIES.split(',') {
        let path = to.join("strategies").join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).expect("a shipped tome");
        let mut tome: serde_json::Value = serde_json::from_str(&text).expect("a tome is JSON");
        let parameters = tome["parameters"].as_object_mut().expect("a tome has parameters");
        for (field, value) in changes {
            if let Some(parameter) = parameters.get_mut(field) {
                let whole = parameter.is_u64();
                *parameter = if whole { value.into() } else { f64::from(value).into() };
            }
        }
        std::fs::write(&path, tome.to_string()).expect("the copy can be written");
    }
    to
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn whole_day(data: &Path, name: &str, config: &Path, state: Option<&Path>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_optionsib"));
    command
        .args(["replay", "--date", "2020-01-06", "--loops", LOOPS, "--json"])
        .args(["--strategies", STRATEGIES, "--config"])
        .arg(config)
        .arg(data.join("lean_es_futopt_20200106"));
    if let Some(state) = state {
        command.arg("--state").arg(state);
    }
    let output = command.output().expect("the binary runs");
    let report: serde_json::Value = match serde_json::from_slice(&output.stdout) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("  {name}: {error}: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
    };
    println!(
        "  {name}: {} quotes in {:.2} s: {:.0} quotes/s, {} orders, {} fills, {} violations",
        report["quotes"],
        report["wall_s"].as_f64().unwrap_or_default(),
        report["quotes_per_s"].as_f64().unwrap_or_default(),
        report["orders"],
        report["fills"],
        report["violations"]
    );
}
