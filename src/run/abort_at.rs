//! Dies by SIGKILL at a named point of the order protocol, for tests of the built binary.
//!
//! `OPTIONSIB_ABORT_AT=durable:3` kills the process at the third time that an intent becomes
//! durable. It is looked at only where faults are permitted, which live never does.

use crate::failure::Failure;
use actors::runtime::fault::FaultBoard;
use actors::runtime::protocol::{ProtocolStep, StepObserver, StepVerdict};
use actors::runtime::role::RolePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable.
pub const VARIABLE: &str = "OPTIONSIB_ABORT_AT";

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

/// Where to die, if anywhere.
pub enum AbortAt {
    /// Nowhere.
    Nowhere,
    /// At a step.
    Step(ProtocolStep, u32),
    /// At a point of the store.
    Store(&'static str, u32),
}

struct Killer {
    step: ProtocolStep,
    left: AtomicU32,
}

impl StepObserver for Killer {
    fn on_step(&self, _: &RolePath, step: ProtocolStep, _: u64) -> StepVerdict {
        if step == self.step && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            die();
        }
        StepVerdict::Pass
    }
}

fn die() {
    // SIGKILL, not an exit: nothing may be cleaned up.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

impl AbortAt {
    /// Reads the variable.
    pub fn from_environment() -> Result<Self, Failure> {
        let Ok(text) = std::env::var(VARIABLE) else { return Ok(Self::Nowhere) };
        let wrong = || {
            let points: Vec<&str> =
                STEPS.iter().map(|(name, _)| *name).chain(STORE_POINTS).collect();
            Failure::usage(format!("{VARIABLE}={text} is no point to die at"))
                .next(format!("write POINT:COUNT with one of {}", points.join(", ")))
        };
        let (name, count) = text.split_once(':').ok_or_else(wrong)?;
        let count: u32 = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        if let Some((_, step)) = STEPS.iter().find(|(known, _)| *known == name) {
            return Ok(Self::Step(*step, count));
        }
        let point = STORE_POINTS.iter().find(|known| **known == name).ok_or_else(wrong)?;
        Ok(Self::Store(point, count))
    }

    /// Sets the trap.
    pub fn arm(self, faults: &FaultBoard) {
        match self {
            Self::Nowhere => {}
            Self::Step(step, count) => {
                let left = AtomicU32::new(count);
                faults.observe_steps(Some(Arc::new(Killer { step, left })));
            }
            Self::Store(point, count) => {
                let left = AtomicU32::new(count);
                store::abort_point::watch(Box::new(move |reached| {
                    if reached == point && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                        die();
                    }
                }));
            }
        }
    }
}
