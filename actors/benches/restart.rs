//! How long a role is away: from the strike until its next incarnation has handled a message.
//!
//! `cargo bench -p actors --bench restart` prints p50 and p99 for error, kill and panic, then the
//! cost of a slot update. Not a test: wall clock on a shared machine.

use actors::runtime::clock::Clock;
use actors::runtime::fault::{FaultBoard, Permission};
use actors::runtime::policy::{Backoff, Beyond, ChildPolicy, Strategy};
use actors::runtime::role::{Context, Role, RoleError, RoleMessage};
use actors::runtime::role_ref::RoleRef;
use actors::runtime::slot::LineSlots;
use actors::runtime::specification::{ChildSpec, SupervisorSpec};
use actors::runtime::tree::{Setup, Tree};
use market::time::{Now, ProcessTime, Timestamp};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const ROUNDS: usize = 5_000;

#[derive(Clone, Copy)]
enum Strike {
    Error,
    Panic,
    Back,
}

impl RoleMessage for Strike {
    fn label(&self) -> &'static str {
        "strike"
    }
}

struct Target(mpsc::UnboundedSender<Instant>);

impl Role for Target {
    type Message = Strike;
    fn handle(&mut self, strike: Strike, _: &mut Context<Strike>) -> Result<(), RoleError> {
        match strike {
            Strike::Error => Err(RoleError::failed("struck")),
            Strike::Panic => panic!("struck"),
            Strike::Back => {
                self.0.send(now()).map_err(RoleError::failed)?;
                Ok(())
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the wall clock")]
fn now() -> Instant {
    Instant::now()
}

async fn restarts(name: &str, strike: Option<Strike>) {
    let faults = FaultBoard::new(Permission::Granted { max_ttl: Duration::ZERO }, 0);
    let (back, mut returned) = mpsc::unbounded_channel();
    let role = RoleRef::with_parking("target", 8, 8);
    let swift = Backoff { max: Duration::ZERO, ..Backoff::SWIFT };
    let policy = ChildPolicy { backoff: swift, ..ChildPolicy::PERMANENT };
    let child = ChildSpec::role(&role, policy, move |cx| {
        cx.own_ref().send(Strike::Back).map_err(RoleError::failed)?;
        Ok(Target(back.clone()))
    });
    let root = SupervisorSpec::new("root", Strategy::OneForOne, None, Beyond::Escalate);
    let setup = Setup::new(Clock::live(), faults.clone());
    let tree = Tree::launch(root.child(child), setup).await.expect("the tree is well formed");
    returned.recv().await;
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let struck = now();
        match strike {
            Some(strike) => role.send(strike).expect("the role is up"),
            None => faults.kill(role.path()).expect("the role is up"),
        }
        let Some(back) = returned.recv().await else {
            break;
        };
        took.push(back.duration_since(struck));
    }
    tree.shutdown().await;
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100);
    println!("restart after {name}: p50 {:?} p99 {:?}", at(50), at(99));
}

fn slots() {
    let slots = LineSlots::new(1000);
    let mut scratch = Vec::new();
    let at = Now { market: Timestamp::EPOCH, process: ProcessTime::ZERO };
    let updates = 20_000_000_usize;
    let begun = now();
    for update in 0..updates {
        if slots.publish(black_box(update % 1000), update, at).is_needed() {
            black_box(update);
        }
        if update % 4096 == 0 {
            slots.drain_with(&mut scratch, |_, stamped| {
                black_box(stamped.value);
            });
        }
    }
    let single = updates as f64 / begun.elapsed().as_secs_f64() / 1e6;
    let begun = now();
    for batch in 0..updates / 100 {
        let lines = (0..100).map(|line| (black_box(line), batch));
        black_box(slots.publish_batch(lines, at).is_needed());
    }
    let batched = updates as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!("slot updates: {single:.0} M/s one by one, {batched:.0} M/s in batches of 100");
}

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        restarts("error", Some(Strike::Error)).await;
        restarts("kill", None).await;
        restarts("panic", Some(Strike::Panic)).await;
    });
    slots();
}
