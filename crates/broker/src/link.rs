//! The broker link: whether the broker, not merely its socket, is there and agreed with.
//!
//! Each connection is one generation, and readiness belongs to it: Ready means connected, settled
//! (what was on the wire when the last connection broke has arrived or never will) and reconciled.
//! Reconnection backs off and never gives up; a person is asked for when the broker says so.

use crate::mutation;
use market::time::ProcessTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where the link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// No connection; the next attempt comes by itself.
    Down,
    /// An attempt is under way.
    Connecting,
    /// Connected; waiting out what was on the wire.
    Settling,
    /// Asking the broker what is true.
    Reconciling,
    /// Trading may go on.
    Ready,
    /// Connected, but the broker has lost its own connection or its data.
    Degraded,
    /// Only a person can restore it (login, second factor).
    NeedsHuman,
}

impl LinkState {
    /// Its name in metrics, JSON and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Connecting => "connecting",
            Self::Settling => "settling",
            Self::Reconciling => "reconciling",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NeedsHuman => "needs_human",
        }
    }
}

/// How long the link waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkTiming {
    /// At least the longest one-way delay: an order that was on the wire has arrived after it.
    pub settle_ms: u64,
    /// An attempt that takes longer has failed.
    pub connect_timeout_ms: u64,
    /// The first wait between attempts; it doubles.
    pub backoff_min_ms: u64,
    /// The longest wait between attempts.
    pub backoff_max_ms: u64,
}

impl Default for LinkTiming {
    fn default() -> Self {
        // Settle: ten times a transatlantic one-way delay. Attempts: quick at first, as restarts of
        // this process are; half a minute at most, as restarts of a gateway are.
        Self {
            settle_ms: 500,
            connect_timeout_ms: 5_000,
            backoff_min_ms: 250,
            backoff_max_ms: 30_000,
        }
    }
}

/// What the link learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkInput {
    /// The connection stands.
    Connected,
    /// The connection is gone or could not be made.
    Disconnected,
    /// A complete reconciliation ended within this generation.
    Reconciled {
        /// The generation in which its questions were asked.
        generation: u32,
    },
    /// The broker lost its own connection (IB: 1100, 2110).
    BrokerLost,
    /// The broker is back (IB: 1101, 1102): what happened meanwhile must be asked.
    BrokerBack,
    /// The broker asks for a person.
    HumanNeeded,
    /// The time of [`BrokerLink::next_wake`] has come.
    Wake,
}

/// What the shell has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEffect {
    /// Connect as this generation.
    Connect {
        /// The new generation.
        generation: u32,
    },
    /// Drop the connection.
    Disconnect,
    /// Start reconciling within this generation.
    Reconcile {
        /// The generation.
        generation: u32,
    },
    /// Tell everyone where the link stands.
    Publish {
        /// The state.
        state: LinkState,
        /// The generation that it belongs to.
        generation: u32,
    },
}

/// The machine.
#[derive(Clone, Debug)]
pub struct BrokerLink {
    timing: LinkTiming,
    state: LinkState,
    generation: u32,
    failures: u32,
    wake: Option<(ProcessTime, &'static str)>,
}

impl BrokerLink {
    /// A link that makes its first attempt at once. `generation` is the last one that was used.
    #[must_use]
    pub const fn new(timing: LinkTiming, generation: u32, now: ProcessTime) -> Self {
        let wake = Some((now, "first attempt"));
        Self { timing, state: LinkState::Down, generation, failures: 0, wake }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        self.state
    }

    /// The current generation.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// When it wants to be woken, and why.
    #[must_use]
    pub const fn next_wake(&self) -> Option<(ProcessTime, &'static str)> {
        self.wake
    }

    /// Takes one input.
    #[must_use]
    pub fn on(&mut self, input: LinkInput, now: ProcessTime) -> Vec<LinkEffect> {
        match input {
            LinkInput::Connected => self.on_connected(now),
            LinkInput::Disconnected => self.on_disconnected(now),
            LinkInput::Reconciled { generation } => self.on_reconciled(generation),
            LinkInput::BrokerLost if mutation::active("stay_ready_without_broker") => Vec::new(),
            LinkInput::BrokerLost => self.on_broker_lost(),
            LinkInput::BrokerBack => self.on_broker_back(now),
            LinkInput::HumanNeeded => {
                self.wake = None;
                self.enter(LinkState::NeedsHuman)
            }
            LinkInput::Wake => self.on_wake(now),
        }
    }

    fn on_connected(&mut self, now: ProcessTime) -> Vec<LinkEffect> {
        if self.state != LinkState::Connecting {
            return Vec::new();
        }
        self.settle(now)
    }

    fn settle(&mut self, now: ProcessTime) -> Vec<LinkEffect> {
        self.wake = Some((now + Duration::from_millis(self.timing.settle_ms), "settled"));
        self.enter(LinkState::Settling)
    }

    fn on_disconnected(&mut self, now: ProcessTime) -> Vec<LinkEffect> {
        if matches!(self.state, LinkState::Down | LinkState::NeedsHuman) {
            return Vec::new();
        }
        let doublings = self.failures.min(16);
        let wait = self.timing.backoff_min_ms.saturating_mul(1 << doublings);
        self.failures += 1;
        let wait = Duration::from_millis(wait.min(self.timing.backoff_max_ms));
        self.wake = Some((now + wait, "next attempt"));
        self.enter(LinkState::Down)
    }

    fn on_reconciled(&mut self, generation: u32) -> Vec<LinkEffect> {
        if self.state != LinkState::Reconciling || generation != self.generation {
            return Vec::new();
        }
        self.failures = 0;
        self.enter(LinkState::Ready)
    }

    fn on_broker_lost(&mut self) -> Vec<LinkEffect> {
        match self.state {
            LinkState::Settling | LinkState::Reconciling | LinkState::Ready => {
                self.wake = None;
                self.enter(LinkState::Degraded)
            }
            LinkState::Down
            | LinkState::Connecting
            | LinkState::Degraded
            | LinkState::NeedsHuman => Vec::new(),
        }
    }

    fn on_broker_back(&mut self, now: ProcessTime) -> Vec<LinkEffect> {
        if self.state == LinkState::Degraded { self.settle(now) } else { Vec::new() }
    }

    fn on_wake(&mut self, now: ProcessTime) -> Vec<LinkEffect> {
        let Some((due, _)) = self.wake else { return Vec::new() };
        if now < due {
            return Vec::new();
        }
        self.wake = None;
        match self.state {
            LinkState::Down => {
                self.generation += 1;
                let deadline = Duration::from_millis(self.timing.connect_timeout_ms);
                self.wake = Some((now + deadline, "connect timeout"));
                let mut effects = self.enter(LinkState::Connecting);
                effects.push(LinkEffect::Connect { generation: self.generation });
                effects
            }
            LinkState::Connecting => {
                let mut effects = vec![LinkEffect::Disconnect];
                effects.extend(self.on_disconnected(now));
                effects
            }
            LinkState::Settling => {
                let mut effects = self.enter(LinkState::Reconciling);
                effects.push(LinkEffect::Reconcile { generation: self.generation });
                effects
            }
            LinkState::Reconciling
            | LinkState::Ready
            | LinkState::Degraded
            | LinkState::NeedsHuman => Vec::new(),
        }
    }

    fn enter(&mut self, state: LinkState) -> Vec<LinkEffect> {
        self.state = state;
        vec![LinkEffect::Publish { state, generation: self.generation }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> ProcessTime {
        ProcessTime::from_nanos(ms * 1_000_000)
    }

    fn reconciling() -> BrokerLink {
        let mut link = BrokerLink::new(LinkTiming::default(), 0, at(0));
        let _ = link.on(LinkInput::Wake, at(0));
        let _ = link.on(LinkInput::Connected, at(1));
        let effects = link.on(LinkInput::Wake, at(501));
        assert!(effects.contains(&LinkEffect::Reconcile { generation: 1 }));
        link
    }

    #[test]
    fn ready_only_after_settling_and_a_reconciliation_of_its_own_generation() {
        let mut link = reconciling();
        assert_eq!(link.on(LinkInput::Reconciled { generation: 0 }, at(600)), []);
        assert_eq!(link.state(), LinkState::Reconciling);
        let _ = link.on(LinkInput::Reconciled { generation: 1 }, at(601));
        assert_eq!(link.state(), LinkState::Ready);
    }

    #[test]
    fn a_broker_that_lost_its_own_connection_is_asked_again() {
        let mut link = reconciling();
        let _ = link.on(LinkInput::Reconciled { generation: 1 }, at(601));
        let _ = link.on(LinkInput::BrokerLost, at(700));
        assert_eq!(link.state(), LinkState::Degraded);
        let _ = link.on(LinkInput::BrokerBack, at(800));
        assert_eq!(link.state(), LinkState::Settling);
    }

    #[test]
    fn attempts_back_off_to_the_longest_wait() {
        let mut link = BrokerLink::new(LinkTiming::default(), 0, at(0));
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let _ = link.on(LinkInput::Wake, now);
            let _ = link.on(LinkInput::Disconnected, now);
            let (due, _) = link.next_wake().expect("it tries again");
            waits.push(due.since(now).as_millis());
            now = due;
        }
        assert_eq!(waits[..3], [250, 500, 1000]);
        assert_eq!(waits[9], 30_000);
        assert_eq!(link.generation(), 10);
    }

    fn input() -> impl Strategy<Value = LinkInput> {
        prop_oneof![
            Just(LinkInput::Connected),
            Just(LinkInput::Disconnected),
            (0_u32..4).prop_map(|generation| LinkInput::Reconciled { generation }),
            Just(LinkInput::BrokerLost),
            Just(LinkInput::BrokerBack),
            Just(LinkInput::Wake),
        ]
    }

    proptest! {
        #[test]
        fn nothing_but_a_reconciliation_of_this_generation_leads_to_ready(
            inputs in proptest::collection::vec((input(), 0_u64..2_000), 1..200)
        ) {
            let mut link = BrokerLink::new(LinkTiming::default(), 0, at(0));
            let mut now_ms = 0;
            for (input, wait) in inputs {
                now_ms += wait;
                let before = (link.state(), link.generation());
                let _ = link.on(input, at(now_ms));
                if link.state() == LinkState::Ready && before.0 != LinkState::Ready {
                    prop_assert_eq!(before.0, LinkState::Reconciling);
                    prop_assert_eq!(input, LinkInput::Reconciled { generation: before.1 });
                }
                prop_assert!(link.generation() >= before.1);
            }
        }
    }
}
