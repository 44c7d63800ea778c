//! The node's runtimes: one single-threaded runtime a thread, so that a busy role of one scope
//! can't delay another scope's timers (measured: a shared one does).

use actors::node::Runtimes;
use actors::runtime::clock::Clock;
use actors::runtime::watchdog::Pulse;
use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Turns of tasks between two looks at timers and sockets.
const TURNS_BETWEEN_TIMERS: u32 = 4;
/// Pulses beat this often.
const BEAT: Duration = Duration::from_millis(100);

struct Thread {
    name: &'static str,
    handle: Handle,
    /// None where waiting for the disk is no fault.
    pulse: Option<Pulse>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// All of them but the control runtime, which is the main thread's.
pub struct NodeRuntimes {
    clock: Clock,
    threads: Vec<Thread>,
}

impl NodeRuntimes {
    /// Starts them.
    pub fn start(clock: &Clock) -> io::Result<Self> {
        let watched = ["safety", "market", "pricing", "execution"];
        let watched = watched.into_iter().map(|name| (name, Some(Pulse::new(name))));
        let all = watched.chain([("storage", None)]);
        let threads =
            all.map(|(name, pulse)| start(name, pulse, clock)).collect::<io::Result<_>>()?;
        Ok(Self { clock: clock.clone(), threads })
    }

    /// The clock of all.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where the tree's scopes run.
    pub fn tree(&self, control: Handle) -> Runtimes {
        Runtimes {
            control,
            safety: self.handle("safety"),
            market: self.handle("market"),
            pricing: self.handle("pricing"),
            execution: self.handle("execution"),
            storage: self.handle("storage"),
        }
    }

    /// The heartbeats of those that must never be kept waiting.
    pub fn pulses(&self) -> Vec<Pulse> {
        self.threads.iter().filter_map(|thread| thread.pulse.clone()).collect()
    }

    /// Stops them, in reverse order, and waits.
    pub fn stop(self) {
        for thread in self.threads.into_iter().rev() {
            // Refused by a thread that has ended already.
            let _ = thread.stop.send(());
            let _ = thread.thread.join();
        }
    }

    fn handle(&self, name: &str) -> Handle {
        let found = self.threads.iter().find(|thread| thread.name == name);
        found.map(|thread| thread.handle.clone()).expect("every name asked for was started")
    }
}

/// A runtime that looks at its timers after every few turns of its tasks. Tokio's 61 are seconds
/// where each turn drains a full mailbox, and a watchdog takes the missing pulse for a stuck one.
pub fn builder() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().event_interval(TURNS_BETWEEN_TIMERS);
    builder
}

fn start(name: &'static str, pulse: Option<Pulse>, clock: &Clock) -> io::Result<Thread> {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let (beating, clock) = (pulse.clone(), clock.clone());
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let made = builder().build();
        let runtime = match made {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        };
        let _ = tell.send(Ok(runtime.handle().clone()));
        runtime.block_on(async {
            if let Some(beating) = beating {
                tokio::spawn(beating.keep_beating(clock, BEAT));
            }
            // Ended by `stop`, or by the death of whoever could have stopped it.
            let _ = stopped.await;
        });
    })?;
    let handle = told.recv().map_err(io::Error::other)??;
    Ok(Thread { name, handle, pulse, stop, thread })
}
