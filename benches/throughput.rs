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
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const RUNS: usize = 3;
const LOOPS: &str = "20";

fn main() {
    let Ok(data) = std::env::var("OPTIONSIB_DATA") else {
        eprintln!("skipped: set OPTIONSIB_DATA to the folder with recorded market data");
        return;
    };
    let data = Path::new(&data);
    println!("feed alone, AIG ticks of 2013-10-10 (slots and quality gates, one line):");
    feed_alone(data);
    println!("the whole node, ES of 2020-01-06 looped {LOOPS} times, shipped strategies:");
    let folder = std::env::temp_dir().join(format!("optionsib-bench-{}", std::process::id()));
    // By turns, so that a busy minute of the machine falls on both.
    for run in 0..RUNS {
        whole_day(data, "memory", None);
        whole_day(data, "real disk", Some(&folder.join(run.to_string())));
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

fn whole_day(data: &Path, name: &str, state: Option<&Path>) {
    // One core for everything, the threads of the snapshot store too.
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", "0", env!("CARGO_BIN_EXE_optionsib")])
        .args(["replay", "--date", "2020-01-06", "--loops", LOOPS, "--json", "--config"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
        .arg(data.join("lean_es_futopt_20200106"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(state) = state {
        command.arg("--state").arg(state);
    }
    let child = command.spawn().expect("taskset (util-linux) runs the binary");
    let memory = peak_memory(child.id());
    let output = child.wait_with_output().expect("our own child");
    let memory_mb = memory.join().expect("it only reads");
    let report: serde_json::Value = match serde_json::from_slice(&output.stdout) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("  {name}: {error}: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
    };
    println!(
        "  {name:9}: {} quotes in {:.2} s: {:.0} quotes/s, {} orders, {} fills, {} violations, \
         {memory_mb} MB at most",
        report["quotes"],
        report["wall_s"].as_f64().unwrap_or_default(),
        report["quotes_per_s"].as_f64().unwrap_or_default(),
        report["orders"],
        report["fills"],
        report["violations"]
    );
}

/// The most resident memory of a process while it lived, in MB.
fn peak_memory(process: u32) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut peak_kb = 0;
        while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            // A process that has ended and isn't waited for yet has no memory.
            let Some(line) = line else { break };
            let kb = line.trim().trim_end_matches(" kB").parse();
            peak_kb = kb.unwrap_or(0).max(peak_kb);
            std::thread::sleep(Duration::from_millis(50));
        }
        peak_kb / 1024
    })
}
