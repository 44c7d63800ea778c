//! The one place of the house where time is read.
//!
//! [`Clock`] gives both times of a moment: process time from tokio's clock (so that a paused
//! clock rules everything) and market time, which runs with the wall, at a multiple of process
//! time, or wherever a replay driver sets it. Machines never see this type: shells read it once
//! per message and hand the [`Now`] down.

use market::time::{Now, ProcessTime, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Market time runs this many thousandths of process time at its natural speed.
pub const NATURAL_SPEED_PERMILLE: u64 = 1000;

/// Both times of the process. Cheap to clone; all clones agree.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Instant,
    market: Market,
    paused: bool,
}

#[derive(Debug)]
enum Market {
    /// The wall clock, held so that it never runs backwards. The field is the latest reading.
    Wall { latest: AtomicI64 },
    /// `base` plus process time times a speed.
    Scaled { base: Timestamp, speed_permille: u64 },
    /// Nanoseconds set by a [`MarketDriver`].
    Driven(AtomicI64),
}

/// The right to set the market time of a driven clock; a replay holds the only one.
#[derive(Debug)]
pub struct MarketDriver(Clock);

impl Clock {
    /// The clock of a live node: market time is the wall clock (never running backwards), process
    /// time begins now.
    #[must_use]
    pub fn live() -> Self {
        Self::new(Market::Wall { latest: AtomicI64::new(i64::MIN) }, false)
    }

    /// Market time begins at `base` and runs at `speed_permille` thousandths of process time.
    #[must_use]
    pub fn scaled(base: Timestamp, speed_permille: u64) -> Self {
        Self::new(Market::Scaled { base, speed_permille }, false)
    }

    /// The clock of a simulation: like [`Clock::scaled`], and marked as paused, so that nothing
    /// ever blocks a thread to pass time. Call it inside the paused runtime.
    #[must_use]
    pub fn simulated(base: Timestamp, speed_permille: u64) -> Self {
        Self::new(Market::Scaled { base, speed_permille }, true)
    }

    /// Market time stands at `start` until the driver moves it. `paused` says whether tokio's
    /// clock is paused.
    #[must_use]
    pub fn driven(start: Timestamp, paused: bool) -> (Self, MarketDriver) {
        let clock = Self::new(Market::Driven(AtomicI64::new(start.nanos())), paused);
        (clock.clone(), MarketDriver(clock))
    }

    fn new(market: Market, paused: bool) -> Self {
        Self(Arc::new(Inner { base: read_monotonic(), market, paused }))
    }

    /// Both times of this moment.
    #[must_use]
    pub fn now(&self) -> Now {
        let process = self.process();
        Now { market: self.market_at(process), process }
    }

    /// Process time alone: cheaper than [`Clock::now`] where market time isn't wanted.
    #[must_use]
    pub fn process(&self) -> ProcessTime {
        ProcessTime::ZERO + read_monotonic().saturating_duration_since(self.0.base)
    }

    /// The tokio instant of a process time, for `sleep_until`.
    #[must_use]
    pub fn instant(&self, at: ProcessTime) -> Instant {
        self.0.base + at.since(ProcessTime::ZERO)
    }

    /// Waits until process time `at`.
    pub async fn sleep_until(&self, at: ProcessTime) {
        tokio::time::sleep_until(self.instant(at)).await;
    }

    /// Waits for `duration` of process time.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Whether time is virtual: then no thread may be blocked to let it pass.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.paused
    }

    /// How long until market time is `at`, by process time; zero if it has passed. A driven clock
    /// says nothing of the future: `None`.
    #[must_use]
    pub fn until_market(&self, at: Timestamp) -> Option<Duration> {
        let ahead = at.since(self.now().market);
        match &self.0.market {
            Market::Wall { .. } => Some(ahead),
            Market::Scaled { speed_permille, .. } => {
                let nanos = ahead.as_nanos() * u128::from(NATURAL_SPEED_PERMILLE);
                let nanos = nanos.div_ceil(u128::from(*speed_permille).max(1));
                Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
            }
            Market::Driven(_) => None,
        }
    }

    fn market_at(&self, process: ProcessTime) -> Timestamp {
        match &self.0.market {
            Market::Wall { latest } => {
                let wall = read_wall();
                let before = latest.fetch_max(wall, Ordering::Relaxed);
                Timestamp::from_nanos(before.max(wall))
            }
            Market::Scaled { base, speed_permille } => {
                let elapsed = u128::from(process.nanos()) * u128::from(*speed_permille)
                    / u128::from(NATURAL_SPEED_PERMILLE);
                base.plus(Duration::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX)))
            }
            Market::Driven(nanos) => Timestamp::from_nanos(nanos.load(Ordering::Acquire)),
        }
    }
}

impl MarketDriver {
    /// Sets market time; a driver that tries to run it backwards leaves it where it is.
    pub fn set(&self, market: Timestamp) {
        if let Market::Driven(nanos) = &self.0.0.market {
            nanos.fetch_max(market.nanos(), Ordering::AcqRel);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this file is the clock")]
fn read_monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this file is the clock")]
fn read_wall() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn market_time_runs_at_its_multiple_of_process_time() {
        let base = Timestamp::from_seconds(1_000);
        let clock = Clock::scaled(base, 60_000);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = clock.now();
        assert_eq!(now.process.since(ProcessTime::ZERO), Duration::from_secs(2));
        assert_eq!(now.market, Timestamp::from_seconds(1_120));
    }

    #[tokio::test(start_paused = true)]
    async fn a_driven_clock_moves_only_forward_and_only_when_driven() {
        let (clock, driver) = Clock::driven(Timestamp::from_seconds(5), true);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(clock.now().market, Timestamp::from_seconds(5));
        driver.set(Timestamp::from_seconds(8));
        driver.set(Timestamp::from_seconds(7));
        assert_eq!(clock.clone().now().market, Timestamp::from_seconds(8));
    }
}
