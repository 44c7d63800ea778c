//! Which breakers one watcher minds, and what it must hear for that.
//!
//! The breakers are shared out among watchers that live and die by themselves, so that the death of
//! one leaves the others watching. A watcher answers only for its own, and hearing only what
//! concerns it comes to the same as hearing everything.

use super::{BreakerEvent, BreakerLimits, Breakers, Trip};
use market::time::Now;

/// A share of the breakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// The day's loss.
    Loss,
    /// Volatility, and exposure that stays outside its limits.
    Regime,
    /// Rejections, restarts, stale data.
    Technical,
}

impl Watch {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Loss, Self::Regime, Self::Technical];

    /// Its name, the last part of its role's path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Regime => "regime",
            Self::Technical => "technical",
        }
    }

    /// Whether it minds the breaker of this name.
    #[must_use]
    pub fn owns(self, breaker: &str) -> bool {
        match self {
            Self::Loss => breaker == "loss",
            Self::Regime => breaker == "regime" || breaker == "exposure",
            Self::Technical => breaker == "technical",
        }
    }

    /// Whether an event concerns it.
    #[must_use]
    pub const fn hears(self, event: &BreakerEvent) -> bool {
        match event {
            BreakerEvent::Day(_) | BreakerEvent::NewDay => matches!(self, Self::Loss),
            BreakerEvent::View { .. } => matches!(self, Self::Regime | Self::Technical),
            BreakerEvent::Rejected | BreakerEvent::Restarted => matches!(self, Self::Technical),
        }
    }
}

/// The breakers of one watch.
#[derive(Clone, Debug, PartialEq)]
pub struct Watcher {
    watch: Watch,
    breakers: Breakers,
}

impl Watcher {
    /// All armed.
    #[must_use]
    pub fn new(watch: Watch, limits: BreakerLimits) -> Self {
        Self { watch, breakers: Breakers::new(limits) }
    }

    /// What trips of its own because of `event`.
    pub fn on(&mut self, event: &BreakerEvent, now: Now) -> Vec<Trip> {
        let mut trips = self.breakers.on(event, now);
        trips.retain(|trip| self.watch.owns(trip.name));
        trips
    }

    /// Puts a durable latch back, if it is of its own; answers whether it is.
    pub fn restore(&mut self, name: &str, scope: &str) -> bool {
        self.watch.owns(name) && self.breakers.restore(name, scope)
    }

    /// Ends a trip of its own; answers whether there was one.
    pub fn release(&mut self, name: &str, scope: &str, now: Now) -> bool {
        self.watch.owns(name) && self.breakers.release(name, scope, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::ACCOUNT;
    use crate::breaker::tests::{at, event};
    use proptest::prelude::*;

    const NAMES: [&str; 4] = ["loss", "regime", "exposure", "technical"];

    #[test]
    fn every_breaker_has_one_watcher() {
        for name in NAMES {
            let owners = Watch::ALL.into_iter().filter(|watch| watch.owns(name));
            assert_eq!(owners.count(), 1, "{name}");
        }
        assert!(!Watch::ALL.into_iter().any(|watch| watch.owns("unheard_of")));
    }

    #[test]
    fn a_watcher_restores_and_releases_only_its_own() {
        let mut loss = Watcher::new(Watch::Loss, BreakerLimits::default());
        assert!(!loss.restore("technical", ACCOUNT));
        assert!(loss.restore("loss", ACCOUNT));
        assert!(!loss.release("technical", ACCOUNT, at(1)));
        assert!(loss.release("loss", ACCOUNT, at(1)));
    }

    proptest! {
        #[test]
        fn watchers_that_hear_what_concerns_them_trip_as_one_that_hears_everything(
            events in prop::collection::vec((event(), prop::option::of(0_usize..4)), 0..200),
        ) {
            let limits =
                BreakerLimits { consecutive_views: 3, rejects_max: 4, ..Default::default() };
            let mut whole = Breakers::new(limits.clone());
            let mut watchers = Watch::ALL.map(|watch| (watch, Watcher::new(watch, limits.clone())));
            for (step, (event, release)) in events.into_iter().enumerate() {
                let now = at(step as u64);
                let mut expected = whole.on(&event, now);
                let mut trips = Vec::new();
                for (watch, watcher) in &mut watchers {
                    if watch.hears(&event) {
                        trips.extend(watcher.on(&event, now));
                    }
                }
                let key = |trip: &Trip| (trip.name, trip.scope.clone());
                expected.sort_by_key(key);
                trips.sort_by_key(key);
                prop_assert_eq!(trips, expected);
                if let Some(index) = release {
                    let name = NAMES[index];
                    let scope = if matches!(index, 0 | 3) { ACCOUNT } else { "SIM" };
                    let released = whole.release(name, scope, now);
                    let by_watchers = watchers
                        .iter_mut()
                        .filter_map(|(_, one)| one.release(name, scope, now).then_some(()))
                        .count();
                    prop_assert_eq!(by_watchers, usize::from(released));
                }
            }
        }
    }
}
