//! How a child is treated: what restarts it, how soon, how often, and what happens beyond that.
//!
//! Plain data with the arithmetic of backoff and intensity; the machine in `supervision.rs` applies
//! it. Which role gets which policy is decided where the tree is assembled.

use super::random::SplitMix;
use market::time::ProcessTime;
use std::collections::VecDeque;
use std::time::Duration;

/// Who follows when a child has to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Only the child itself.
    OneForOne,
    /// All children.
    OneForAll,
    /// The child and those after it: they depend on it.
    RestForOne,
}

/// Which exits lead to a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Every exit.
    Permanent,
    /// Abnormal exits: error, panic, kill, missed deadline.
    Transient,
    /// None.
    Temporary,
}

/// How a child is asked to end. Killed where it hasn't ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// It finishes the message it handles; queued ones are discarded.
    Graceful(Duration),
    /// It handles what is queued, and takes nothing new.
    Drain(Duration),
    /// At once.
    Kill,
}

/// What happens when failures exceed an intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The supervisor stops its children and fails; its own supervisor decides.
    Escalate,
    /// The child (or all children of the supervisor) stays down until an operator revives it.
    Quarantine,
    /// As quarantine, and trading is halted.
    Halt,
    /// The child (or all children) stays down; nobody depends on it.
    Drop,
}

/// At most `restarts` restarts within `within`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts that are allowed.
    pub restarts: u32,
    /// Length of the sliding window.
    pub within: Duration,
}

impl Intensity {
    /// At most `restarts` restarts within `within`.
    #[must_use]
    pub const fn new(restarts: u32, within: Duration) -> Self {
        Self { restarts, within }
    }
}

/// The failures within the window of an intensity. Bounded by the intensity itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Window(VecDeque<ProcessTime>);

impl Window {
    /// Counts a failure at `now`; true when it exceeds `limit`.
    pub fn exceeds(&mut self, limit: Option<Intensity>, now: ProcessTime) -> bool {
        let Some(limit) = limit else { return false };
        self.0.push_back(now);
        while self.0.front().is_some_and(|first| now.since(*first) > limit.within) {
            self.0.pop_front();
        }
        let exceeded = self.0.len() > limit.restarts as usize;
        if exceeded {
            self.0.pop_front();
        }
        exceeded && !mutation::active("ignore_intensity")
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// How long a child waits before its restart: `min` the first time, then doubling up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first restart; zero restarts at once. Doubling starts at 1 ms then.
    pub min: Duration,
    /// Never longer than this, jitter included.
    pub max: Duration,
    /// The wait is shortened by up to this many thousandths of itself, by the seed.
    pub jitter_permille: u16,
    /// A child that has run this long begins at `min` again.
    pub reset_after: Duration,
}

impl Backoff {
    /// At once, then 1, 2, 4 ... 1000 ms; forgotten after 10 s: for roles inside the process.
    pub const SWIFT: Self = Self {
        min: Duration::ZERO,
        max: Duration::from_secs(1),
        jitter_permille: 0,
        reset_after: Duration::from_secs(10),
    };
    /// At once, then 1 ms doubling to 30 s with a quarter of jitter: for roles that need a file, a
    /// port or someone outside.
    pub const PATIENT: Self = Self {
        min: Duration::ZERO,
        max: Duration::from_secs(30),
        jitter_permille: 250,
        reset_after: Duration::from_secs(60),
    };

    /// The wait before restart number `streak` (from 1) in a row.
    pub(super) fn wait(&self, streak: u32, random: &mut SplitMix) -> Duration {
        let full = if streak <= 1 {
            self.min
        } else {
            let base = self.min.max(Duration::from_millis(1));
            let shift = (streak - 1 - u32::from(self.min.is_zero())).min(30);
            base.saturating_mul(1 << shift)
        }
        .min(self.max);
        let share = random.below(u64::from(self.jitter_permille.min(1000)) + 1);
        full - full.mul_f64(share as f64 / 1000.0).min(full)
    }
}

/// How one child is started, restarted and stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildPolicy {
    /// Which exits lead to a restart.
    pub restart: Restart,
    /// Until its recovery (the start factory) must have returned.
    pub start_deadline: Duration,
    /// Until it must have reported ready after that; `None` where it may wait for the world.
    pub ready_deadline: Option<Duration>,
    /// How it is asked to end.
    pub shutdown: Shutdown,
    /// How soon it is restarted.
    pub backoff: Backoff,
    /// How often; `None` leaves the bound to the supervisor.
    pub intensity: Option<Intensity>,
    /// What happens beyond that.
    pub beyond: Beyond,
}

impl ChildPolicy {
    /// Permanent, 10 s to start, no ready deadline, 2 s to end, [`Backoff::SWIFT`], bounded only
    /// by the supervisor.
    pub const PERMANENT: Self = Self {
        restart: Restart::Permanent,
        start_deadline: Duration::from_secs(10),
        ready_deadline: None,
        shutdown: Shutdown::Graceful(Duration::from_secs(2)),
        backoff: Backoff::SWIFT,
        intensity: None,
        beyond: Beyond::Escalate,
    };

    /// Its own bound ends in something other than an escalation, so that its failures are no
    /// business of its supervisor's intensity.
    #[must_use]
    pub const fn contains_failures(&self) -> bool {
        self.intensity.is_some() && !matches!(self.beyond, Beyond::Escalate)
    }

    /// This policy with an intensity of the child's own.
    #[must_use]
    pub const fn within(mut self, intensity: Intensity, beyond: Beyond) -> Self {
        self.intensity = Some(intensity);
        self.beyond = beyond;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_maximum() {
        let backoff = Backoff { max: Duration::from_millis(5), ..Backoff::SWIFT };
        let mut random = SplitMix::new(1);
        let waits: Vec<u64> =
            (1..7).map(|n| backoff.wait(n, &mut random).as_millis() as u64).collect();
        assert_eq!(waits, [0, 1, 2, 4, 5, 5]);
        assert_eq!(Backoff::PATIENT.wait(1, &mut random), Duration::ZERO);
        for streak in 20..100 {
            let wait = Backoff::PATIENT.wait(streak, &mut random);
            assert!(wait <= Duration::from_secs(30) && wait >= Duration::from_secs(22));
        }
    }

    #[test]
    fn intensity_counts_within_a_sliding_window() {
        let limit = Some(Intensity::new(2, Duration::from_secs(10)));
        let mut window = Window::default();
        let at = |seconds: u64| ProcessTime::from_nanos(seconds * 1_000_000_000);
        assert!(!window.exceeds(limit, at(0)));
        assert!(!window.exceeds(limit, at(1)));
        assert!(!window.exceeds(limit, at(11)), "the failure of 0 s is out of the window");
        assert!(window.exceeds(limit, at(11)));
        assert!(!window.exceeds(None, at(11)));
    }
}
