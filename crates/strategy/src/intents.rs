//! The intents of one strategy: which are live, and how long to wait after a refusal.
//!
//! Exists so that no built-in can storm the desk: at most one live intent per contract, and after a
//! denial, a rejection or an order that ended unfilled, a pause that doubles up to a bound. What to
//! wish for is left to the kinds.

use crate::strategy::{KeySource, LiveIntent, Outcome};
use crate::tome::OrderParameters;
use market::instrument::{ConId, Contract};
use market::money::Price;
use market::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use trading::id::IntentKey;
use trading::intent::{Intent, Purpose, Target};
use trading::report::EndState;
use trading::trading_state::TradingState;

/// What pauses together: all entries, or one contract for one other purpose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Entry,
    Other(Purpose, Contract),
}

impl Lane {
    fn of(purpose: Purpose, target: &Target) -> Self {
        match purpose {
            Purpose::Entry => Self::Entry,
            Purpose::Exit | Purpose::Hedge => Self::Other(purpose, target.contract()),
        }
    }
}

#[derive(Clone, Debug)]
struct Live {
    instruments: Vec<ConId>,
    lane: Option<Lane>,
    valid_until: Timestamp,
    unknown: bool,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    until: Timestamp,
    delay_seconds: u32,
}

/// A wish before it has a key.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) target: Target,
    pub(crate) limit: Price,
    pub(crate) purpose: Purpose,
    pub(crate) view_version: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Intents {
    keys: KeySource,
    order: OrderParameters,
    attached: bool,
    state: TradingState,
    live: BTreeMap<IntentKey, Live>,
    backoffs: BTreeMap<Lane, Backoff>,
    seen: Timestamp,
}

/// More lanes than this are never paused at once: the oldest pause is forgotten.
const BACKOFFS_MAX: usize = 64;

impl Intents {
    pub(crate) fn new(keys: KeySource, order: OrderParameters) -> Self {
        Self {
            keys,
            order,
            attached: false,
            state: TradingState::default(),
            live: BTreeMap::new(),
            backoffs: BTreeMap::new(),
            seen: Timestamp::EPOCH,
        }
    }

    pub(crate) fn attach(&mut self, live: Vec<LiveIntent>, next_seq: u32, now: Timestamp) {
        self.attached = true;
        self.keys.skip_to(next_seq);
        let valid_until = self.valid_until(now);
        self.live = live
            .into_iter()
            .map(|one| {
                let own = Live {
                    instruments: instruments(&one.target),
                    lane: None,
                    valid_until,
                    unknown: one.unknown,
                };
                (one.key, own)
            })
            .collect();
    }

    pub(crate) const fn is_attached(&self) -> bool {
        self.attached
    }

    pub(crate) const fn set_state(&mut self, state: TradingState) {
        self.state = state;
    }

    pub(crate) fn cross_percent(&self) -> u32 {
        self.order.cross_percent
    }

    /// Forgets intents whose validity has passed (an Unknown one stays until its fate is told).
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.seen = self.seen.max(now);
        self.live.retain(|_, live| live.unknown || live.valid_until >= now);
        let longest = Duration::from_secs(2 * u64::from(self.order.backoff_max_seconds));
        self.backoffs.retain(|_, backoff| now.since(backoff.until) <= longest);
    }

    pub(crate) fn outcome(&mut self, key: &IntentKey, outcome: &Outcome, now: Timestamp) {
        let failed = match outcome {
            Outcome::Accepted { .. } => return,
            Outcome::Satisfied | Outcome::Denied(_) | Outcome::Abandoned => true,
            Outcome::Ended { end, filled } => match end {
                EndState::Rejected | EndState::Inactive => true,
                EndState::Filled | EndState::Canceled | EndState::Expired => {
                    let timely = |live: &Live| live.valid_until <= now;
                    filled.is_zero() && !self.live.get(key).is_some_and(timely)
                }
            },
        };
        let Some(lane) = self.live.remove(key).and_then(|live| live.lane) else {
            return;
        };
        if !failed {
            self.backoffs.remove(&lane);
            return;
        }
        let first = self.order.backoff_first_seconds;
        let doubled = |old: &Backoff| old.delay_seconds.saturating_mul(2);
        let delay_seconds = self.backoffs.get(&lane).map_or(first, doubled);
        let delay_seconds = delay_seconds.min(self.order.backoff_max_seconds);
        let until = now.plus(Duration::from_secs(u64::from(delay_seconds)));
        self.backoffs.insert(lane, Backoff { until, delay_seconds });
        if self.backoffs.len() > BACKOFFS_MAX {
            let oldest = self.backoffs.iter().min_by_key(|(_, backoff)| backoff.until);
            let oldest = oldest.map(|(lane, _)| lane.clone());
            oldest.and_then(|lane| self.backoffs.remove(&lane));
        }
    }

    /// An intent of its own for one of these instruments is live.
    pub(crate) fn is_live(&self, instruments: &[ConId]) -> bool {
        let concerned = |live: &Live| live.instruments.iter().any(|id| instruments.contains(id));
        self.live.values().any(concerned)
    }

    /// An intent of its own is under way, as far as it knows; Unknown ones may never end.
    pub(crate) fn has_working(&self) -> bool {
        self.live.values().any(|live| !live.unknown)
    }

    /// An intent for the wish, unless something stands against it now.
    pub(crate) fn propose(&mut self, wish: Wish, now: Timestamp) -> Option<Intent> {
        let allowed = match self.state {
            TradingState::Active => true,
            TradingState::ReduceOnly => wish.purpose != Purpose::Entry,
            TradingState::Halted => false,
        };
        let lane = Lane::of(wish.purpose, &wish.target);
        let paused = self.backoffs.get(&lane).is_some_and(|backoff| now < backoff.until);
        let instruments = instruments(&wish.target);
        if !self.attached || !allowed || paused || self.is_live(&instruments) {
            return None;
        }
        let key = self.keys.draw()?;
        let valid_until = self.valid_until(now);
        let live = Live { instruments, lane: Some(lane), valid_until, unknown: false };
        self.live.insert(key.clone(), live);
        Some(Intent {
            key,
            target: wish.target,
            limit: wish.limit,
            purpose: wish.purpose,
            valid_until,
            created: now,
            view_version: wish.view_version,
        })
    }

    /// The time of the latest event.
    pub(crate) const fn seen(&self) -> Timestamp {
        self.seen
    }

    /// When the next validity or pause ends.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let ends = self.live.values().filter(|live| !live.unknown).map(|live| live.valid_until);
        // One nanosecond later: at its end an intent is still valid.
        let ends = ends.map(|end| end.plus(Duration::from_nanos(1)));
        let pauses = self.backoffs.values().map(|backoff| backoff.until);
        ends.chain(pauses.filter(|until| *until > self.seen)).min()
    }

    fn valid_until(&self, now: Timestamp) -> Timestamp {
        now.plus(Duration::from_secs(u64::from(self.order.valid_seconds)))
    }
}

fn instruments(target: &Target) -> Vec<ConId> {
    target.positions().into_iter().map(|(id, _)| id).collect()
}
