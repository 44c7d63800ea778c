//! A hand that trades in the name of a strategy that never wants anything itself: it always has an
//! order working, moves its limit and its size, takes it back, lets it expire, crosses the spread.
//!
//! Limits sit around the middle, so that most orders rest and many fill when the market comes.

use crate::random::Random;
use chaos::simulation::director::Stage;
use desk::view::OrderView;
use exchange::Exchange;
use exchange::builtin::SIM;
use market::instrument::{Combo, ConId, Contract, Instrument, Leg, OptionTerms, Right};
use market::money::{Price, Quantity};
use market::time::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use strategy::tome::Tome;
use trading::id::{Epoch, InstallId, IntentKey, StrategyId};
use trading::intent::{Intent, Purpose, Target};

/// What a hand trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The stock and single options.
    Singles,
    /// Spreads that cost money: bought at a positive net price.
    Debit,
    /// Spreads that bring money: bought at a negative net price, or sold at a positive one.
    Credit,
}

/// Orders work for so long; the shorter ones end by the desk's cancel.
const VALID_SECONDS: [u64; 4] = [7, 20, 60, 180];
/// Keys leave room for those that the seat draws when it attaches.
const SEQ_STEP: u32 = 100;

/// The seat of a hand: a scalper of options that nobody lists.
pub fn seat(id: &str, symbol: &str) -> Tome {
    let text = json!({
        "schema_version": 1, "id": id, "kind": "gamma_scalper", "version": 1, "symbol": symbol,
        "parameters": {
            "days_min": 1_400, "days_max": 1_500, "units": 1, "close_days": 0,
            "restrike_basis_points": 10_000, "take_profit": 1e9, "stop_loss": 1e9,
            "hedge_band_units": 1e9, "hedge_max": 0,
            "uneven_grace_seconds": 3_600, "pause_seconds": 86_400,
            "order": {
                "cross_percent": 100, "valid_seconds": 30,
                "backoff_first_seconds": 600, "backoff_max_seconds": 3_600,
            },
        },
        "conditions": {}, "quarantine_policy": "hold",
    });
    Tome::parse(&format!("{id}.json"), &text.to_string()).unwrap()
}

pub struct Trader {
    pub id: StrategyId,
    style: Style,
    random: Random,
    seq: u32,
    target: Option<Target>,
}

impl Trader {
    pub fn new(id: &str, style: Style, seed: u64) -> Self {
        let id = StrategyId::new(id).unwrap();
        Self { id, style, random: Random(seed), seq: 0, target: None }
    }

    /// What it wants now, if anything.
    pub fn wish(&mut self, stage: &Stage) -> Option<Intent> {
        let view = stage.parts.desk_view.load();
        let live = |order: &&OrderView| order.key.strategy == self.id && order.state.is_live();
        let working = view.orders.iter().find(live).cloned();
        let held = view.strategies.get(&self.id).map(|own| own.positions.clone());
        let held: BTreeMap<ConId, i64> = held
            .unwrap_or_default()
            .into_iter()
            .map(|(con_id, quantity)| (con_id, quantity.0))
            .filter(|(_, quantity)| *quantity != 0)
            .collect();
        let now = stage.clock.now().market;
        stage.venue.with_exchange(|exchange| match working {
            Some(order) => self.change(&order, &held, exchange, stage, now),
            None => self.begin(&held, exchange, stage, now),
        })
    }

    /// Leaves its order alone, moves it, resizes it, takes it back or crosses.
    fn change(
        &mut self,
        order: &OrderView,
        held: &BTreeMap<ConId, i64>,
        exchange: &Exchange,
        stage: &Stage,
        now: Timestamp,
    ) -> Option<Intent> {
        let target = self.target.clone().filter(|target| target.contract() == order.contract)?;
        let (target, eagerness) = match self.random.below(100) {
            0..50 => return None,
            50..72 => (target, self.patient()),
            72..80 => (resized(target, order.side.sign()), self.patient()),
            80..90 => (standing(&target, held), 0),
            _ => (target, 100),
        };
        self.target = Some(target.clone());
        self.intent(target, order.side.sign(), eagerness, exchange, stage, now)
    }

    /// Closes what it has, or turns to something new.
    fn begin(
        &mut self,
        held: &BTreeMap<ConId, i64>,
        exchange: &Exchange,
        stage: &Stage,
        now: Timestamp,
    ) -> Option<Intent> {
        let current = self.target.as_ref().map(Target::contract);
        let whole = current.as_ref().and_then(|contract| units_of(contract, held));
        let (target, change) = match (whole, held.is_empty()) {
            // Another contract, or legs that an assignment tore apart: one leg at a time.
            (None, false) => {
                let (con_id, quantity) = held.iter().next()?;
                let target = Target::Single { con_id: *con_id, position: Quantity(0) };
                self.target = Some(target.clone());
                return self.intent(target, -quantity.signum(), 100, exchange, stage, now);
            }
            (Some(units), false) => (at(&current?, 0), -units.signum()),
            (_, true) => {
                let (contract, sign) = self.something(exchange, now)?;
                let units = self.random.between(1, 4) as i64;
                // More shares than a level often shows, so that orders fill in part.
                let lot = if contract == Contract::Single(SIM) { 220 } else { 1 };
                (at(&contract, sign * units * lot), sign)
            }
        };
        self.target = Some(target.clone());
        let eagerness = if self.random.below(4) == 0 { 100 } else { self.patient() };
        self.intent(target, change, eagerness, exchange, stage, now)
    }

    /// Percent of the way from the middle to the far side; negative waits on the near one.
    fn patient(&mut self) -> i64 {
        *self.random.pick(&[-150, -100, -60, -20, 10, 40]).unwrap()
    }

    fn something(&mut self, exchange: &Exchange, now: Timestamp) -> Option<(Contract, i64)> {
        let sign = if self.random.below(2) == 0 { 1 } else { -1 };
        if self.style == Style::Singles && self.random.below(3) == 0 {
            return Some((Contract::Single(SIM), sign));
        }
        let soonest = now.plus(Duration::from_secs(3 * 86_400));
        let options: Vec<(&Instrument, &OptionTerms)> = exchange
            .instruments()
            .filter_map(|one| Some((one, one.option()?)))
            .filter(|(_, terms)| terms.underlying == SIM && terms.last_trade > soonest)
            .filter(|(one, _)| {
                let mid = exchange.quote(one.con_id).and_then(|quote| quote.mid());
                mid.is_some_and(|mid| (0.5..12.0).contains(&mid.to_f64()))
            })
            .collect();
        let (first, terms) = *self.random.pick(&options)?;
        if self.style == Style::Singles {
            return Some((Contract::Single(first.con_id), sign));
        }
        let others: Vec<ConId> = options
            .iter()
            .filter(|(_, other)| {
                other.right == terms.right
                    && other.expiry == terms.expiry
                    && other.strike > terms.strike
                    && (other.strike - terms.strike).to_f64() < 6.0
            })
            .map(|(one, _)| one.con_id)
            .collect();
        let second = *self.random.pick(&others)?;
        let is_call = terms.right == Right::Call;
        let (dear, cheap) = if is_call { (first.con_id, second) } else { (second, first.con_id) };
        let spread = |bought: ConId, sold: ConId| {
            let legs = vec![Leg { con_id: bought, ratio: 1 }, Leg { con_id: sold, ratio: -1 }];
            Some(Contract::Combo(Combo::new(legs).ok()?))
        };
        match (self.style, self.random.below(2)) {
            (Style::Debit, _) => Some((spread(dear, cheap)?, 1)),
            (_, 0) => Some((spread(dear, cheap)?, -1)),
            (_, _) => Some((spread(cheap, dear)?, 1)),
        }
    }

    fn intent(
        &mut self,
        target: Target,
        sign: i64,
        eagerness: i64,
        exchange: &Exchange,
        stage: &Stage,
        now: Timestamp,
    ) -> Option<Intent> {
        let limit = limit(&target.contract(), sign, eagerness, exchange)?;
        self.seq += SEQ_STEP;
        let valid = *self.random.pick(&VALID_SECONDS)?;
        let flat = target.positions().iter().all(|(_, position)| position.is_zero());
        Some(Intent {
            key: IntentKey {
                install: InstallId(crate::SEED as u32),
                epoch: Epoch(stage.parts.journal.epoch()),
                strategy: self.id.clone(),
                seq: self.seq,
            },
            target,
            limit,
            purpose: if flat { Purpose::Exit } else { Purpose::Entry },
            valid_until: now.plus(Duration::from_secs(valid)),
            created: now,
            view_version: 0,
        })
    }
}

/// A price between the near and the far side, on tick.
pub fn limit(
    contract: &Contract,
    sign: i64,
    eagerness_percent: i64,
    exchange: &Exchange,
) -> Option<Price> {
    let (mut bid, mut ask, mut tick) = (0, 0, 0);
    for leg in contract.legs() {
        let instrument = exchange.instrument(leg.con_id)?;
        let (low, high) = exchange.quote(leg.con_id)?.both()?;
        let ratio = i64::from(leg.ratio);
        let (near, far) = if ratio > 0 { (low, high) } else { (high, low) };
        bid += near.micros() * ratio;
        ask += far.micros() * ratio;
        tick = tick.max(instrument.tick.increment(low.max(high)).micros());
    }
    let (mid, half) = (bid.midpoint(ask), (ask - bid) / 2);
    let wanted = mid + sign * half * eagerness_percent / 100;
    // Never better for the counterparty than meant, but for a patient one's rounding.
    let down = wanted.div_euclid(tick) * tick;
    Some(Price::from_micros(if sign > 0 && down != wanted { down + tick } else { down }))
}

/// How many units of a contract these positions are, exactly; none if they are something else.
fn units_of(contract: &Contract, held: &BTreeMap<ConId, i64>) -> Option<i64> {
    let legs = contract.legs();
    let mut units = None;
    for leg in &legs {
        let quantity = held.get(&leg.con_id).copied().unwrap_or(0);
        let here = quantity / i64::from(leg.ratio);
        if here * i64::from(leg.ratio) != quantity || units.is_some_and(|units| units != here) {
            return None;
        }
        units = Some(here);
    }
    let strangers = held.keys().any(|con_id| legs.iter().all(|leg| leg.con_id != *con_id));
    units.filter(|units| !strangers && *units != 0)
}

pub fn at(contract: &Contract, units: i64) -> Target {
    match contract {
        Contract::Single(con_id) => Target::Single { con_id: *con_id, position: Quantity(units) },
        Contract::Combo(combo) => Target::Combo { combo: combo.clone(), units: Quantity(units) },
    }
}

/// One unit further, or from far enough one back.
fn resized(target: Target, sign: i64) -> Target {
    let next = |units: Quantity| {
        let further = units.0 + sign;
        Quantity(if further.abs() <= 5 { further } else { units.0 - sign })
    };
    match target {
        Target::Single { con_id, position } => Target::Single { con_id, position: next(position) },
        Target::Combo { combo, units } => Target::Combo { combo, units: next(units) },
    }
}

/// To want what is held is to want the order gone.
fn standing(target: &Target, held: &BTreeMap<ConId, i64>) -> Target {
    let contract = target.contract();
    at(&contract, units_of(&contract, held).unwrap_or(0))
}
