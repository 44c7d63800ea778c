//! Traps for tests of the built binary, set by environment variables and looked at only where
//! faults are permitted, which live never does. What is tested is what ships.
//!
//! - `OPTIONSIB_ABORT_AT=durable:3` dies by SIGKILL at the third time that an intent is durable.
//! - `OPTIONSIB_HOLD_AT=durable:3:FILE` makes FILE there, and goes on when it is gone.
//! - `OPTIONSIB_POWER_CUT=1` loses with the process what its journal wrote and did not sync.

use crate::failure::Failure;
use actors::runtime::fault::FaultBoard;
use actors::runtime::protocol::{ProtocolStep, StepObserver, StepVerdict};
use actors::runtime::role::RolePath;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use store::{Disk, VolatileDisk};

const ABORT_AT: &str = "OPTIONSIB_ABORT_AT";
const HOLD_AT: &str = "OPTIONSIB_HOLD_AT";
const POWER_CUT: &str = "OPTIONSIB_POWER_CUT";
/// Nobody holds longer, as the watchdog takes a runtime for stuck after 5 s.
const HOLD_MAX: Duration = Duration::from_secs(3);
const HOLD_LOOK: Duration = Duration::from_millis(1);

/// Points of the order protocol by name.
const STEPS: [(&str, ProtocolStep); 8] = [
    ("recorded", ProtocolStep::Recorded),
    ("durable", ProtocolStep::Durable),
    ("sent", ProtocolStep::Sent),
    ("acked", ProtocolStep::Acked),
    ("filled", ProtocolStep::Filled),
    ("modifying", ProtocolStep::Modifying),
    ("canceling", ProtocolStep::Canceling),
    ("legged", ProtocolStep::Legged),
];

/// Points of the store by name.
const STORE_POINTS: [&str; 2] = ["snapshot_head", "segment_switch"];

/// Where the process falls into its trap.
#[derive(Clone, Copy, PartialEq)]
enum Point {
    Step(ProtocolStep),
    Store(&'static str),
}

/// What happens there.
enum Happens {
    /// SIGKILL, not an exit: nothing may be cleaned up.
    Death,
    /// The thread waits as long as the file is there.
    Hold(PathBuf),
}

/// One trap: it springs once, when its point is passed for the last of so many times.
pub struct Trap {
    point: Point,
    left: AtomicU32,
    happens: Happens,
}

/// The disk of the journal with the trap that the environment sets.
pub fn disk(real: Arc<dyn Disk>, permitted: bool) -> Arc<dyn Disk> {
    if permitted && std::env::var_os(POWER_CUT).is_some_and(|set| set == "1") {
        return Arc::new(VolatileDisk::new(real));
    }
    real
}

impl Trap {
    /// The trap that the environment sets, if any.
    pub fn from_environment() -> Result<Option<Self>, Failure> {
        if let Ok(text) = std::env::var(ABORT_AT) {
            let place = text.split_once(':').and_then(|(name, count)| place(name, count));
            let (point, left) = place.ok_or_else(|| wrong(ABORT_AT, &text, ""))?;
            return Ok(Some(Self { point, left, happens: Happens::Death }));
        }
        let Ok(text) = std::env::var(HOLD_AT) else { return Ok(None) };
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        let held = match parts[..] {
            [name, count, file] => place(name, count).map(|place| (place, file)),
            _ => None,
        };
        let ((point, left), file) = held.ok_or_else(|| wrong(HOLD_AT, &text, ":FILE"))?;
        Ok(Some(Self { point, left, happens: Happens::Hold(PathBuf::from(file)) }))
    }

    /// Sets it.
    pub fn arm(self, faults: &FaultBoard) {
        let point = self.point;
        let trap = Arc::new(self);
        match point {
            Point::Step(_) => faults.observe_steps(Some(trap)),
            Point::Store(_) => store::abort_point::watch(Box::new(move |reached| {
                if matches!(trap.point, Point::Store(point) if point == reached) {
                    trap.passed();
                }
            })),
        }
    }

    fn passed(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        match &self.happens {
            Happens::Death => {
                let own = rustix::process::getpid();
                let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            }
            Happens::Hold(file) => hold(file),
        }
    }
}

impl StepObserver for Trap {
    fn on_step(&self, _: &RolePath, step: ProtocolStep, _: u64) -> StepVerdict {
        if self.point == Point::Step(step) {
            self.passed();
        }
        StepVerdict::Pass
    }
}

fn hold(file: &Path) {
    if let Err(error) = std::fs::write(file, "held\n") {
        eprintln!("optionsib: {HOLD_AT}: {}: {error}", file.display());
    }
    let began = Instant::now();
    while file.exists() {
        if began.elapsed() >= HOLD_MAX {
            // Whoever still wanted to hold must see that nobody waits any more.
            let _ = std::fs::remove_file(file);
        }
        std::thread::sleep(HOLD_LOOK);
    }
}

/// Such as `durable` and `3`.
fn place(name: &str, count: &str) -> Option<(Point, AtomicU32)> {
    let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
    let step = STEPS.iter().find(|(known, _)| *known == name);
    let store = STORE_POINTS.iter().find(|known| **known == name);
    let step = step.map(|(_, step)| Point::Step(*step));
    Some((step.or(store.map(|known| Point::Store(known)))?, AtomicU32::new(count)))
}

fn wrong(variable: &str, text: &str, more: &str) -> Failure {
    let points: Vec<&str> = STEPS.iter().map(|(name, _)| *name).chain(STORE_POINTS).collect();
    Failure::usage(format!("{variable}={text} is no trap"))
        .next(format!("write POINT:COUNT{more} with one of {}", points.join(", ")))
}
