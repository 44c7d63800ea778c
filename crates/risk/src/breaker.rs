//! Breakers: what stops trading when the account, a market or the node itself is not well.
//!
//! Each is a small machine: *armed*, *tripped*, *probation*. A trip is latched: it survives
//! restarts (the latch is durable, [`Breakers::restore`] puts it back) and only an explicit release
//! ends it. A release leads to probation, in which the bound is stricter; a calm stretch arms it
//! again.
//!
//! | breaker | scope | trips when | leads to | armed again |
//! |---|---|---|---|---|
//! | `loss` | account | the day's loss reaches its limit | ReduceOnly | next day |
//! | `regime` | symbol | realised volatility above its bound, n views | ReduceOnly | n calm views |
//! | `exposure` | symbol | delta, vega or uncovered outside, n views | ReduceOnly | n calm views |
//! | `technical` | account | rejects, restarts or stale data | Halted | a quiet window |
//!
//! In probation `loss` trips after a quarter of its limit more, `regime` and `exposure` at one
//! view, `technical` at half its counts.
//!
//! Not here: what the states do (gate), who keeps latches (desk), resuming (the operator).

use crate::gate::DayResult;
use crate::setting::{LimitsError, money_text};
use crate::worst_case::milli;
use market::money::Money;
use market::time::{Now, ProcessTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use trading::trading_state::TradingState;

pub mod watch;

/// The scope of breakers that guard the whole account.
pub const ACCOUNT: &str = "account";

/// When breakers trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerLimits {
    /// Loss of the day, realised and unrealised, after fees.
    #[serde(with = "money_text")]
    pub daily_loss_max: Money,
    /// Realised volatility per year.
    pub realised_vol_max: f64,
    /// So many consecutive views decide (`regime`, `exposure`), and stale data shows in as many.
    pub consecutive_views: u32,
    /// Broker rejections within the window.
    pub rejects_max: u32,
    /// Restarts of actors within the window.
    pub restarts_max: u32,
    /// Lowest share of fresh quotes, 0 to 1.
    pub fresh_share_min: f64,
    /// Too small a share must last so long, seconds of process time: the gate denies orders on
    /// stale data anyhow, and quotes may lag behind a jump.
    pub stale_s: u64,
    /// The window, seconds of process time.
    pub window_s: u64,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            daily_loss_max: Money::from_units(5_000),
            realised_vol_max: 0.8,
            consecutive_views: 5,
            rejects_max: 10,
            restarts_max: 20,
            fresh_share_min: 0.3,
            stale_s: 15,
            window_s: 60,
        }
    }
}

impl BreakerLimits {
    /// Whether every bound can be meant.
    pub fn validate(&self) -> Result<(), LimitsError> {
        let rows = [
            ("daily_loss_max", self.daily_loss_max.to_f64(), 0.01, 9e12, "a positive amount"),
            ("realised_vol_max", self.realised_vol_max, 0.01, 10.0, "a volatility, 0.01 to 10"),
            ("consecutive_views", f64::from(self.consecutive_views), 1.0, 1e6, "1 to 1000000"),
            ("rejects_max", f64::from(self.rejects_max), 1.0, 1e4, "1 to 10000"),
            ("restarts_max", f64::from(self.restarts_max), 1.0, 1e4, "1 to 10000"),
            ("fresh_share_min", self.fresh_share_min, 0.0, 1.0, "a share, 0 to 1"),
            ("stale_s", self.stale_s as f64, 0.0, 86_400.0, "0 to 86400"),
            ("window_s", self.window_s as f64, 1.0, 86_400.0, "1 to 86400"),
        ];
        for (field, value, least, most, allowed) in rows {
            if !(least..=most).contains(&value) {
                return Err(LimitsError::Range { field, value: value.to_string(), allowed });
            }
        }
        Ok(())
    }
}

/// What breakers are told.
#[derive(Clone, Debug, PartialEq)]
pub enum BreakerEvent {
    /// The day's result.
    Day(DayResult),
    /// A new trading day begins.
    NewDay,
    /// A view was published.
    View {
        /// Its symbol.
        symbol: String,
        /// Its version: each counts once.
        version: u64,
        /// Realised volatility per year, where known.
        realised_vol: Option<f64>,
        /// Share of fresh quotes among the live ones, where any is two-sided.
        fresh_share: Option<f64>,
        /// The symbol's worst-case delta or vega is outside its limit.
        exposure_outside: bool,
    },
    /// The broker rejected an order.
    Rejected,
    /// An actor was restarted.
    Restarted,
}

/// A breaker tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Which: the latch's name.
    pub name: &'static str,
    /// [`ACCOUNT`] or a root symbol.
    pub scope: String,
    /// What it leads to.
    pub state: TradingState,
    /// Why, with the figures.
    pub reason: String,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Status {
    /// Watching.
    #[default]
    Armed,
    /// Latched.
    Tripped,
    /// Released, watching more strictly.
    Probation,
}

/// The day's loss.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
struct LossBreaker {
    status: Status,
    /// The last known loss, thousandths of a unit of currency.
    loss_milli: i64,
    /// The loss at the release.
    released_at_milli: i64,
}

impl LossBreaker {
    fn on(&mut self, day: &DayResult, limit: Money) -> Option<String> {
        // While a mark is missing the realised part still counts: it is certain.
        let certain = DayResult { unrealised: Some(Money::ZERO), ..*day };
        self.loss_milli = day.loss_milli().or_else(|| certain.loss_milli())?;
        let limit = limit.micros().div_euclid(1000);
        let bound = match self.status {
            Status::Tripped => return None,
            Status::Armed => limit,
            Status::Probation => self.released_at_milli.saturating_add(limit / 4).max(limit),
        };
        if self.loss_milli < bound {
            return None;
        }
        self.status = Status::Tripped;
        Some(format!("the day's loss is {} thousandths, the bound {bound}", self.loss_milli))
    }

    fn new_day(&mut self) {
        self.loss_milli = 0;
        if self.status == Status::Probation {
            self.status = Status::Armed;
        }
    }
}

/// Something that must hold for n consecutive views.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
struct StreakBreaker {
    status: Status,
    version: u64,
    bad: u32,
    calm: u32,
}

impl StreakBreaker {
    /// `outside`: `None` where it isn't known, which neither counts nor calms.
    fn on(&mut self, version: u64, outside: Option<bool>, consecutive: u32) -> bool {
        let Some(outside) = outside.filter(|_| version > self.version) else {
            return false;
        };
        self.version = version;
        if outside {
            (self.bad, self.calm) = (self.bad.saturating_add(1), 0);
        } else {
            (self.bad, self.calm) = (0, self.calm.saturating_add(1));
        }
        let trips = match self.status {
            Status::Tripped => false,
            Status::Armed => self.bad >= consecutive.max(1),
            Status::Probation => outside,
        };
        if trips {
            self.status = Status::Tripped;
        } else if self.status == Status::Probation && self.calm >= consecutive {
            self.status = Status::Armed;
        }
        trips
    }
}

/// Rejects, restarts and stale data.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
struct TechnicalBreaker {
    status: Status,
    rejects: VecDeque<ProcessTime>,
    restarts: VecDeque<ProcessTime>,
    released: ProcessTime,
    stale: BTreeMap<String, Staleness>,
}

/// How long too few quotes of one product have been fresh.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Staleness {
    version: u64,
    views: u32,
    since: Option<ProcessTime>,
}

/// One more occurrence in a window; keeps no more than it takes to trip.
fn count(
    times: &mut VecDeque<ProcessTime>,
    most: u32,
    window: Duration,
    now: ProcessTime,
) -> usize {
    times.push_back(now);
    while times.len() > most as usize + 1
        || times.front().is_some_and(|first| now.since(*first) > window)
    {
        times.pop_front();
    }
    times.len()
}

/// All breakers of one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breakers {
    limits: BreakerLimits,
    loss: LossBreaker,
    regime: BTreeMap<String, StreakBreaker>,
    exposure: BTreeMap<String, StreakBreaker>,
    technical: TechnicalBreaker,
}

impl Breakers {
    /// All armed.
    #[must_use]
    pub fn new(limits: BreakerLimits) -> Self {
        Self {
            limits,
            loss: LossBreaker::default(),
            regime: BTreeMap::new(),
            exposure: BTreeMap::new(),
            technical: TechnicalBreaker::default(),
        }
    }

    /// What trips because of `event`. A tripped breaker doesn't trip again until it is released.
    pub fn on(&mut self, event: &BreakerEvent, now: Now) -> Vec<Trip> {
        let limits = &self.limits;
        match event {
            BreakerEvent::Day(day) => {
                let reason = self.loss.on(day, limits.daily_loss_max);
                let trip = reason.map(|reason| reduce_only("loss", ACCOUNT, reason));
                trip.into_iter().collect()
            }
            BreakerEvent::NewDay => {
                self.loss.new_day();
                Vec::new()
            }
            BreakerEvent::View { symbol, version, realised_vol, fresh_share, exposure_outside } => {
                let views = limits.consecutive_views;
                let mut trips = Vec::new();
                let vol = realised_vol.and_then(milli);
                let vol_outside =
                    vol.zip(milli(limits.realised_vol_max)).map(|(vol, most)| vol > most);
                let regime = self.regime.entry(symbol.clone()).or_default();
                if regime.on(*version, vol_outside, views) {
                    let reason = format!(
                        "realised volatility of {symbol} is {} thousandths, the bound {}",
                        vol.unwrap_or_default(),
                        limits.realised_vol_max
                    );
                    trips.push(reduce_only("regime", symbol, reason));
                }
                let exposure = self.exposure.entry(symbol.clone()).or_default();
                if exposure.on(*version, Some(*exposure_outside), views) {
                    let reason = format!("delta or vega of {symbol} stays outside its limit");
                    trips.push(reduce_only("exposure", symbol, reason));
                }
                trips.extend(self.technical.stale(limits, symbol, *version, *fresh_share, now));
                trips
            }
            BreakerEvent::Rejected => {
                self.technical.happened(limits, true, now).into_iter().collect()
            }
            BreakerEvent::Restarted => {
                self.technical.happened(limits, false, now).into_iter().collect()
            }
        }
    }

    /// Puts a durable latch back after a restart; `false` when there is no such breaker.
    pub fn restore(&mut self, name: &str, scope: &str) -> bool {
        self.status_mut(name, scope).map(|status| *status = Status::Tripped).is_some()
    }

    /// Ends a trip and begins probation; `false` when it wasn't tripped.
    pub fn release(&mut self, name: &str, scope: &str, now: Now) -> bool {
        if name == "loss" {
            self.loss.released_at_milli = self.loss.loss_milli;
        }
        if name == "technical" {
            self.technical.released = now.process;
            self.technical.rejects.clear();
            self.technical.restarts.clear();
        }
        match self.status_mut(name, scope) {
            Some(status) if *status == Status::Tripped => {
                *status = Status::Probation;
                true
            }
            _ => false,
        }
    }

    /// Where the breaker stands; `None` when there is no such breaker.
    #[must_use]
    pub fn status(&self, name: &str, scope: &str) -> Option<Status> {
        let streak = |all: &BTreeMap<String, StreakBreaker>| {
            all.get(scope).map_or(Status::Armed, |breaker| breaker.status)
        };
        match name {
            "loss" => Some(self.loss.status),
            "technical" => Some(self.technical.status),
            "regime" => Some(streak(&self.regime)),
            "exposure" => Some(streak(&self.exposure)),
            _ => None,
        }
    }

    fn status_mut(&mut self, name: &str, scope: &str) -> Option<&mut Status> {
        let all = match name {
            "loss" => return Some(&mut self.loss.status),
            "technical" => return Some(&mut self.technical.status),
            "regime" => &mut self.regime,
            "exposure" => &mut self.exposure,
            _ => return None,
        };
        Some(&mut all.entry(scope.to_owned()).or_default().status)
    }
}

impl TechnicalBreaker {
    fn bound(&self, most: u32) -> u32 {
        if self.status == Status::Probation { most / 2 } else { most }
    }

    fn trip(&mut self, reason: String) -> Option<Trip> {
        if self.status == Status::Tripped {
            return None;
        }
        self.status = Status::Tripped;
        let scope = ACCOUNT.to_owned();
        Some(Trip { name: "technical", scope, state: TradingState::Halted, reason })
    }

    fn happened(&mut self, limits: &BreakerLimits, reject: bool, now: Now) -> Option<Trip> {
        let window = Duration::from_secs(limits.window_s);
        let quiet = now.process.since(self.released) > window;
        if self.status == Status::Probation && quiet {
            self.status = Status::Armed;
        }
        let (most, what) = if reject {
            (self.bound(limits.rejects_max), "rejections")
        } else {
            (self.bound(limits.restarts_max), "restarts")
        };
        let times = if reject { &mut self.rejects } else { &mut self.restarts };
        let counted = count(times, most, window, now.process);
        if counted <= most as usize {
            return None;
        }
        self.trip(format!("{counted} {what} within {} s, at most {most}", limits.window_s))
    }

    fn stale(
        &mut self,
        limits: &BreakerLimits,
        symbol: &str,
        version: u64,
        fresh_share: Option<f64>,
        now: Now,
    ) -> Option<Trip> {
        let staleness = self.stale.entry(symbol.to_owned()).or_default();
        if version <= staleness.version {
            return None;
        }
        staleness.version = version;
        // Without a live line (no data connection, a farm that is away, night) nothing is stale,
        // and nothing is admitted either: the count begins again.
        let Some(share) = fresh_share else {
            (staleness.views, staleness.since) = (0, None);
            return None;
        };
        // A share that is not a number is as bad as none.
        if share >= limits.fresh_share_min {
            (staleness.views, staleness.since) = (0, None);
            return None;
        }
        staleness.views = staleness.views.saturating_add(1);
        let lasted = now.process.since(*staleness.since.get_or_insert(now.process));
        let lasts = lasted >= Duration::from_secs(limits.stale_s);
        if !lasts || staleness.views < limits.consecutive_views {
            return None;
        }
        let least = limits.fresh_share_min;
        self.trip(format!(
            "for {} s a share of {symbol}'s quotes below {least} was fresh, {share:.3} now",
            lasted.as_secs()
        ))
    }
}

fn reduce_only(name: &'static str, scope: &str, reason: String) -> Trip {
    Trip { name, scope: scope.to_owned(), state: TradingState::ReduceOnly, reason }
}

#[cfg(test)]
mod tests;
