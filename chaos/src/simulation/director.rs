//! A director acts in a simulated day: it halts, kills, floods, looks at the venue, at times of its
//! own choice. It stands outside the node, as an operator does, and outlives it.
//!
//! Not here: what the node is made of (actors), seeded schedules (plan), verdicts (audit).

use actors::aftermath;
use actors::auditor::Audit;
use actors::messages::{HaltAcknowledged, KillSwitchMessage};
use actors::node::{Node, NodeParts};
use actors::runtime::clock::Clock;
use actors::runtime::fault::FaultBoard;
use broker::simulated::SimulatedVenue;
use market::time::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A halt or a resume must be answered within this process time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a director has to act with, in one life of the node.
#[derive(Clone)]
pub struct Stage {
    /// Which life, from 1.
    pub life: u32,
    /// The node.
    pub node: Arc<Node>,
    /// Its addresses and published values.
    pub parts: NodeParts,
    /// The fault gates.
    pub faults: FaultBoard,
    /// Both times.
    pub clock: Clock,
    /// The venue, which outlives the node.
    pub venue: Arc<SimulatedVenue>,
    /// The auditor.
    pub audit: Audit,
}

/// What it does in one life; it ends with the life at the latest.
pub type Direction<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Acts in each life of the node.
pub trait Director {
    /// What it does from the launch on.
    fn direct<'a>(&'a self, stage: Stage) -> Direction<'a>;
}

/// A day that nobody interferes with.
pub struct Nobody;

impl Director for Nobody {
    fn direct<'a>(&'a self, _: Stage) -> Direction<'a> {
        Box::pin(std::future::ready(()))
    }
}

impl Stage {
    /// Waits until market time has reached `at`.
    pub async fn until(&self, at: Timestamp) {
        loop {
            let now = self.clock.now();
            if now.market >= at {
                return;
            }
            // Market time may run at another speed: look again at least once a second.
            self.clock.sleep(at.since(now.market).min(Duration::from_secs(1))).await;
        }
    }

    /// Halts through the kill switch, as the API does, and tells the auditor of the answer.
    ///
    /// # Errors
    /// In words, when it wasn't acknowledged in time.
    pub async fn halt(&self, reason: &str) -> Result<HaltAcknowledged, String> {
        let (reply, answer) = oneshot::channel();
        let halt = KillSwitchMessage::Halt { reason: reason.to_owned(), reply: Some(reply) };
        self.parts.kill_switch.send(halt).map_err(|refused| refused.to_string())?;
        let halted = match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(halted)) => halted?,
            Ok(Err(_)) => return Err("the kill switch died before it answered".to_owned()),
            Err(_) => return Err("the halt was not acknowledged in time".to_owned()),
        };
        let now = self.clock.now().market;
        self.audit.tell(move |auditor| auditor.on_halt_acknowledged(halted.halt_epoch.0, now));
        Ok(halted)
    }

    /// Resumes as an operator does, and tells the auditor before the first order can follow.
    ///
    /// # Errors
    /// In words, when it wasn't recorded in time.
    pub async fn resume(&self, by: &str) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let now = self.clock.now().market;
        self.audit.tell(move |auditor| auditor.on_resumed(now));
        let resume = KillSwitchMessage::Resume { by: by.to_owned(), reply };
        self.parts.kill_switch.send(resume).map_err(|refused| refused.to_string())?;
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(resumed)) => resumed?,
            Ok(Err(_)) => return Err("the kill switch died before it answered".to_owned()),
            Err(_) => return Err("the resume was not answered in time".to_owned()),
        }
        aftermath::revive(&self.node.tree, &self.audit);
        Ok(())
    }
}
