//! The broker link: whether the broker, not merely its socket, is there and agreed with.
//!
//! Each connection is one generation, and readiness belongs to it: Ready means connected, settled
//! (what was on the wire when the last connection broke has arrived or never will) and reconciled.
//! Reconnection backs off and never gives up. Every state but Ready has a wake, so none is a dead
//! end: a connection that doesn't become Ready is made anew, and a link that isn't Ready for long
//! asks for a person, once, and tries on slowly, so that it leaves that state by itself when the
//! login works. In an expected downtime it tries slowly from the start and asks for nobody.

use crate::downtime::{Downtime, DowntimeKind, DowntimeSchedule};
use market::time::{Now, ProcessTime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[cfg(test)]
mod tests;

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
    /// A person was asked for (login, second factor, a gateway that is gone); it tries on slowly.
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
    /// The longest wait between attempts, and the one in an expected downtime. A connection that
    /// was Ready for less doesn't shorten the waits after it: whoever flaps is not stormed.
    pub backoff_max_ms: u64,
    /// A connection that isn't Ready for so long (reconciling, or the broker behind it lost) is
    /// dropped and made anew: the word that it is well again may have been missed.
    pub unready_limit_ms: u64,
    /// Without having been Ready for so long, outside of an expected downtime, a person is asked
    /// for.
    pub human_after_ms: u64,
    /// Between two attempts while a person is asked for.
    pub probe_ms: u64,
}

impl Default for LinkTiming {
    fn default() -> Self {
        // Settle: ten times a transatlantic one-way delay. Attempts: quick at first, as restarts of
        // this process are; half a minute at most, as restarts of a gateway are. The limit is far
        // above a reconciliation's few seconds; a gateway restarts in one or two minutes.
        Self {
            settle_ms: 500,
            connect_timeout_ms: 5_000,
            backoff_min_ms: 250,
            backoff_max_ms: 30_000,
            unready_limit_ms: 120_000,
            human_after_ms: 300_000,
            probe_ms: 60_000,
        }
    }
}

/// Why a person is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HumanCause {
    /// The broker said so: the wrong account, no login.
    Asked,
    /// It has not been Ready for long, for no reason that was expected.
    Unreachable,
    /// It didn't come back after an expected downtime.
    NotBackAfter(DowntimeKind),
}

impl HumanCause {
    /// What is wrong and what to do, in a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Asked => "the broker refuses this login or account, correct it",
            Self::Unreachable => {
                "the broker has not been ready for long, look at the gateway and its login"
            }
            Self::NotBackAfter(DowntimeKind::GatewayRestart) => {
                "the gateway is not back after its restart, look at it and its login"
            }
            Self::NotBackAfter(DowntimeKind::ServerReset) => {
                "the broker is not back after its server reset, look at the gateway"
            }
            Self::NotBackAfter(DowntimeKind::WeeklyLogin) => {
                "the weekly login is due, log in to the gateway"
            }
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
    /// Tell a person; once until the link has been Ready again.
    Alarm {
        /// Why.
        cause: HumanCause,
    },
}

/// Where the machine stands: [`LinkState`], with the attempts of NeedsHuman told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Down,
    Connecting,
    Settling,
    Reconciling,
    Ready,
    Degraded,
    /// A person is asked for, and the next attempt is due later.
    Waiting(HumanCause),
    /// A person is asked for, and an attempt is under way.
    Probing(HumanCause),
}

/// The machine.
#[derive(Clone, Debug)]
pub struct BrokerLink {
    timing: LinkTiming,
    downtime: DowntimeSchedule,
    stage: Stage,
    generation: u32,
    failures: u32,
    /// In Ready: since when it is. Elsewhere: since when it is not.
    since: ProcessTime,
    /// The downtime that was on when the link was last seen to fail, since it was Ready.
    failed_in: Option<DowntimeKind>,
    /// A person was told since it was Ready.
    told: bool,
    wake: Option<(ProcessTime, &'static str)>,
}

impl BrokerLink {
    /// A link that makes its first attempt at once. `generation` is the last one that was used.
    #[must_use]
    pub const fn new(
        timing: LinkTiming,
        downtime: DowntimeSchedule,
        generation: u32,
        now: Now,
    ) -> Self {
        Self {
            timing,
            downtime,
            stage: Stage::Down,
            generation,
            failures: 0,
            since: now.process,
            failed_in: None,
            told: false,
            wake: Some((now.process, "first attempt")),
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        match self.stage {
            Stage::Down => LinkState::Down,
            Stage::Connecting => LinkState::Connecting,
            Stage::Settling => LinkState::Settling,
            Stage::Reconciling => LinkState::Reconciling,
            Stage::Ready => LinkState::Ready,
            Stage::Degraded => LinkState::Degraded,
            Stage::Waiting(_) | Stage::Probing(_) => LinkState::NeedsHuman,
        }
    }

    /// Why a person is asked for, while one is.
    #[must_use]
    pub const fn human_cause(&self) -> Option<HumanCause> {
        match self.stage {
            Stage::Waiting(cause) | Stage::Probing(cause) => Some(cause),
            Stage::Down
            | Stage::Connecting
            | Stage::Settling
            | Stage::Reconciling
            | Stage::Ready
            | Stage::Degraded => None,
        }
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
    pub fn on(&mut self, input: LinkInput, now: Now) -> Vec<LinkEffect> {
        match input {
            LinkInput::Connected => self.on_connected(now),
            LinkInput::Disconnected => self.on_disconnected(now),
            LinkInput::Reconciled { generation } => self.on_reconciled(generation, now),
            LinkInput::BrokerLost if mutation::active("stay_ready_without_broker") => Vec::new(),
            LinkInput::BrokerLost => self.on_broker_lost(now),
            LinkInput::BrokerBack => self.on_broker_back(now),
            LinkInput::HumanNeeded => self.on_human_needed(now),
            LinkInput::Wake => self.on_wake(now),
        }
    }

    fn on_connected(&mut self, now: Now) -> Vec<LinkEffect> {
        match self.stage {
            Stage::Connecting | Stage::Probing(_) => self.settle(now),
            Stage::Down
            | Stage::Settling
            | Stage::Reconciling
            | Stage::Ready
            | Stage::Degraded
            | Stage::Waiting(_) => Vec::new(),
        }
    }

    fn settle(&mut self, now: Now) -> Vec<LinkEffect> {
        self.wake_in(self.timing.settle_ms, "settled", now);
        self.enter(Stage::Settling)
    }

    fn on_disconnected(&mut self, now: Now) -> Vec<LinkEffect> {
        match self.stage {
            Stage::Down | Stage::Waiting(_) => Vec::new(),
            Stage::Probing(cause) => self.wait_for_human(cause, now),
            Stage::Connecting
            | Stage::Settling
            | Stage::Reconciling
            | Stage::Ready
            | Stage::Degraded => self.fail(now),
        }
    }

    /// There is no connection any more: the next attempt after a wait, or a person.
    fn fail(&mut self, now: Now) -> Vec<LinkEffect> {
        self.leave_ready(now);
        let downtime = self.look_at_schedule(now);
        let unready = now.process.since(self.since);
        if downtime.is_none() && unready >= Duration::from_millis(self.timing.human_after_ms) {
            let cause = self.failed_in.map_or(HumanCause::Unreachable, HumanCause::NotBackAfter);
            return self.wait_for_human(cause, now);
        }
        let longest = Duration::from_millis(self.timing.backoff_max_ms);
        let wait = if let Some(downtime) = downtime {
            // At its end it is tried in any case: only then is its being away a surprise.
            longest.min(downtime.until.since(now.market))
        } else {
            let doublings = self.failures.min(16);
            let wait = self.timing.backoff_min_ms.saturating_mul(1 << doublings);
            Duration::from_millis(wait).min(longest)
        };
        self.failures = self.failures.saturating_add(1);
        self.wake = Some((now.process + wait, "next attempt"));
        self.enter(Stage::Down)
    }

    fn wait_for_human(&mut self, cause: HumanCause, now: Now) -> Vec<LinkEffect> {
        self.wake_in(self.timing.probe_ms, "next attempt, a person is needed", now);
        let mut effects = self.enter(Stage::Waiting(cause));
        if !std::mem::replace(&mut self.told, true) {
            effects.push(LinkEffect::Alarm { cause });
        }
        effects
    }

    /// The downtime that is on, which is remembered for the words of an alarm.
    fn look_at_schedule(&mut self, now: Now) -> Option<Downtime> {
        if mutation::active("ignore_downtime") {
            return None;
        }
        let downtime = self.downtime.on(now.market);
        self.failed_in = downtime.map(|one| one.kind).or(self.failed_in);
        downtime
    }

    fn leave_ready(&mut self, now: Now) {
        if self.stage == Stage::Ready {
            let lasted = now.process.since(self.since);
            if lasted >= Duration::from_millis(self.timing.backoff_max_ms) {
                self.failures = 0;
            }
            self.since = now.process;
        }
    }

    fn on_reconciled(&mut self, generation: u32, now: Now) -> Vec<LinkEffect> {
        if self.stage != Stage::Reconciling || generation != self.generation {
            return Vec::new();
        }
        self.since = now.process;
        self.failed_in = None;
        self.told = false;
        self.wake = None;
        self.enter(Stage::Ready)
    }

    fn on_broker_lost(&mut self, now: Now) -> Vec<LinkEffect> {
        match self.stage {
            Stage::Settling | Stage::Reconciling | Stage::Ready => {
                self.leave_ready(now);
                let _ = self.look_at_schedule(now);
                self.wake_in(self.timing.unready_limit_ms, "the broker is lost for long", now);
                if mutation::active("wait_for_lost_broker") {
                    self.wake = None;
                }
                self.enter(Stage::Degraded)
            }
            Stage::Down
            | Stage::Connecting
            | Stage::Degraded
            | Stage::Waiting(_)
            | Stage::Probing(_) => Vec::new(),
        }
    }

    fn on_broker_back(&mut self, now: Now) -> Vec<LinkEffect> {
        if self.stage == Stage::Degraded { self.settle(now) } else { Vec::new() }
    }

    fn on_human_needed(&mut self, now: Now) -> Vec<LinkEffect> {
        let mut effects = match self.stage {
            // Said again, it doesn't put the next attempt off.
            Stage::Waiting(_) => return Vec::new(),
            Stage::Down => Vec::new(),
            Stage::Connecting
            | Stage::Settling
            | Stage::Reconciling
            | Stage::Ready
            | Stage::Degraded
            | Stage::Probing(_) => vec![LinkEffect::Disconnect],
        };
        self.leave_ready(now);
        effects.extend(self.wait_for_human(HumanCause::Asked, now));
        effects
    }

    fn on_wake(&mut self, now: Now) -> Vec<LinkEffect> {
        let Some((due, _)) = self.wake else { return Vec::new() };
        if now.process < due {
            return Vec::new();
        }
        self.wake = None;
        match self.stage {
            Stage::Down => self.attempt(Stage::Connecting, now),
            Stage::Waiting(cause) => self.attempt(Stage::Probing(cause), now),
            Stage::Settling => {
                self.wake_in(self.timing.unready_limit_ms, "reconciling for long", now);
                let mut effects = self.enter(Stage::Reconciling);
                effects.push(LinkEffect::Reconcile { generation: self.generation });
                effects
            }
            Stage::Connecting | Stage::Probing(_) | Stage::Reconciling | Stage::Degraded => {
                let mut effects = vec![LinkEffect::Disconnect];
                effects.extend(self.on_disconnected(now));
                effects
            }
            Stage::Ready => Vec::new(),
        }
    }

    fn attempt(&mut self, stage: Stage, now: Now) -> Vec<LinkEffect> {
        self.generation += 1;
        self.wake_in(self.timing.connect_timeout_ms, "connect timeout", now);
        let mut effects = self.enter(stage);
        effects.push(LinkEffect::Connect { generation: self.generation });
        effects
    }

    fn wake_in(&mut self, wait_ms: u64, why: &'static str, now: Now) {
        self.wake = Some((now.process + Duration::from_millis(wait_ms), why));
    }

    fn enter(&mut self, stage: Stage) -> Vec<LinkEffect> {
        self.stage = stage;
        vec![LinkEffect::Publish { state: self.state(), generation: self.generation }]
    }
}
