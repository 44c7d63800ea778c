//! What every built-in strategy has: its product, positions, intents, campaign and last view.
//!
//! The seat takes in the events that mean the same to all kinds and makes intents with proper
//! limits; a kind only decides what it wants to hold.

use crate::campaign::{Campaign, value_micros};
use crate::intents::{Intents, Wish};
use crate::limit::{QuotedLeg, limit};
use crate::product::Product;
use crate::strategy::{BuildError, KeySource, StrategyEffect, StrategyEvent};
use crate::tome::{OrderParameters, Tome};
use market::instrument::{Catalog, Combo, ConId, Contract, Instrument};
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::{Now, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use trading::intent::{Intent, Purpose, Target};
use valuation::edge::ModelValue;
use valuation::view::{ChainView, DataState, MarketView};

/// Seconds in a day, for days to expiry.
const DAY_SECONDS: u64 = 86_400;

pub(crate) struct Seat {
    pub(crate) product: Product,
    pub(crate) intents: Intents,
    pub(crate) campaign: Campaign,
    pub(crate) positions: BTreeMap<ConId, Quantity>,
    view: Option<MarketView>,
    grace: Duration,
    pause: Duration,
    entry_edge_standard_errors_min: Option<f64>,
    uneven_since: Option<Timestamp>,
    quarantined: bool,
}

/// The parts of its parameters that a seat needs.
pub(crate) struct SeatParameters<'a> {
    pub(crate) order: &'a OrderParameters,
    pub(crate) uneven_grace_seconds: u32,
    pub(crate) pause_seconds: u32,
    pub(crate) entry_edge_standard_errors_min: Option<f64>,
}

impl Seat {
    pub(crate) fn new(
        tome: &Tome,
        parameters: &SeatParameters<'_>,
        catalog: &Catalog,
        keys: KeySource,
        durable: Option<&[u8]>,
    ) -> Result<Self, BuildError> {
        let product = Product::new(&tome.symbol, catalog);
        if product.is_empty() {
            return Err(BuildError::UnknownSymbol {
                id: tome.id.clone(),
                symbol: tome.symbol.clone(),
            });
        }
        let campaign = match durable {
            None => Campaign::fresh(),
            Some(bytes) => Campaign::from_durable(bytes)
                .map_err(|reason| BuildError::Durable { id: tome.id.clone(), reason })?,
        };
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        Ok(Self {
            product,
            intents: Intents::new(keys, parameters.order.clone()),
            campaign,
            positions: BTreeMap::new(),
            view: None,
            grace: seconds(parameters.uneven_grace_seconds),
            pause: seconds(parameters.pause_seconds),
            entry_edge_standard_errors_min: parameters.entry_edge_standard_errors_min,
            uneven_since: None,
            quarantined: false,
        })
    }

    /// Takes an event in. Answers the view to decide on, when there is something to decide.
    pub(crate) fn absorb(&mut self, event: StrategyEvent<'_>, now: Now) -> Option<MarketView> {
        let now = now.market;
        self.intents.sweep(now);
        let mut told_positions = false;
        match event {
            StrategyEvent::Attached { positions, live, next_seq } => {
                self.positions = without_flat(positions);
                self.campaign.attach(&self.positions);
                self.intents.attach(live, next_seq, now);
            }
            StrategyEvent::Market(view) if view.symbol == self.product.symbol() => {
                self.view = Some(view.clone());
            }
            StrategyEvent::Outcome { key, outcome } => self.intents.outcome(&key, &outcome, now),
            StrategyEvent::Filled { fill } => {
                if let Some(instrument) = self.product.get(fill.con_id) {
                    let change = self.campaign.book(fill, instrument.multiplier);
                    let held = self.positions.entry(fill.con_id).or_default();
                    held.0 = held.0.saturating_add(change);
                    if held.is_zero() {
                        self.positions.remove(&fill.con_id);
                    }
                }
            }
            StrategyEvent::PositionsChanged(positions) => {
                self.positions = without_flat(positions);
                told_positions = true;
            }
            StrategyEvent::StateChanged(state) => self.intents.set_state(state),
            StrategyEvent::Market(_) | StrategyEvent::Wake => {}
        }
        if !self.intents.is_attached() {
            return None;
        }
        // An expiry leaves the fills unbalanced: then it is the desk's word that ends the campaign.
        if self.positions.is_empty() && (told_positions || self.campaign.is_flat()) {
            self.campaign.end(now.plus(self.pause));
        }
        self.view.take()
    }

    /// Gives the view back and adds what the shell must know.
    pub(crate) fn conclude(&mut self, view: Option<MarketView>, effects: &mut Vec<StrategyEffect>) {
        self.give_back(view);
        let stranger = self.positions.keys().find(|id| self.product.get(**id).is_none());
        if let Some(stranger) = stranger
            && !self.quarantined
        {
            self.quarantined = true;
            let symbol = self.product.symbol();
            effects.push(StrategyEffect::Quarantine(format!(
                "it holds {stranger:?}, which is no known instrument of {symbol}"
            )));
        }
        if std::mem::take(&mut self.campaign.changed) {
            effects.insert(0, StrategyEffect::Durable);
        }
    }

    /// The view that was decided on is kept until a newer one comes.
    pub(crate) fn give_back(&mut self, view: Option<MarketView>) {
        self.view = self.view.take().or(view);
    }

    pub(crate) fn listed(&mut self, instrument: &Instrument) {
        self.product.add(instrument);
    }

    /// No position, none on the way, and the pause after the last campaign is over.
    pub(crate) fn may_enter(&self, now: Timestamp) -> bool {
        self.positions.is_empty()
            && self.campaign.is_flat()
            && now >= self.campaign.resume_at
            && !self.quarantined
    }

    pub(crate) fn options(&self) -> Vec<(ConId, Quantity)> {
        let is_option =
            |id: &ConId| self.product.get(*id).is_some_and(|one| one.option().is_some());
        self.positions.iter().filter(|(id, _)| is_option(id)).map(|(id, q)| (*id, *q)).collect()
    }

    pub(crate) fn hedges(&self) -> Vec<(ConId, Quantity)> {
        let held = self.positions.iter().filter(|(id, _)| self.product.is_hedge(**id));
        held.map(|(id, quantity)| (*id, *quantity)).collect()
    }

    pub(crate) fn position(&self, con_id: ConId) -> Quantity {
        self.positions.get(&con_id).copied().unwrap_or_default()
    }

    /// Result of the campaign at the mids; `None` where one of them is missing.
    pub(crate) fn result_micros(&mut self, view: &MarketView) -> Option<i64> {
        let mut value = 0_i64;
        for (id, quantity) in &self.positions {
            let mid = view.line(*id)?.quote().mid()?;
            let multiplier = self.product.get(*id)?.multiplier;
            value = value.checked_add(value_micros(mid, *quantity, multiplier)?)?;
        }
        Some(self.campaign.result_micros(value))
    }

    /// Whether the position has been uneven for longer than the grace. Legs of one combo fill one
    /// by one, so a moment's unevenness means nothing.
    pub(crate) fn stays_uneven(&mut self, uneven: bool, now: Timestamp) -> bool {
        if !uneven {
            self.uneven_since = None;
            return false;
        }
        let since = *self.uneven_since.get_or_insert(now);
        now.since(since) >= self.grace
    }

    /// An intent for `position` in one instrument, priced off its fresh quote.
    pub(crate) fn single(
        &mut self,
        view: &MarketView,
        con_id: ConId,
        position: Quantity,
        purpose: Purpose,
        now: Timestamp,
    ) -> Option<Intent> {
        let side = match position.0 - self.position(con_id).0 {
            0 => return None,
            bought if bought > 0 => Side::Buy,
            _ => Side::Sell,
        };
        let limit = self.limit(view, &Contract::Single(con_id), side)?;
        let target = Target::Single { con_id, position };
        self.propose(target, limit, purpose, view, now)
    }

    pub(crate) fn propose(
        &mut self,
        target: Target,
        limit: Price,
        purpose: Purpose,
        view: &MarketView,
        now: Timestamp,
    ) -> Option<Intent> {
        let wish = Wish { target, limit, purpose, view_version: view.version };
        self.intents.propose(wish, now)
    }

    /// An intent for `units` of a combo of which `held` are held.
    pub(crate) fn combo(
        &mut self,
        view: &MarketView,
        combo: &Combo,
        (held, units): (Quantity, Quantity),
        purpose: Purpose,
        now: Timestamp,
    ) -> Option<Intent> {
        let side = if units > held { Side::Buy } else { Side::Sell };
        let limit = self.limit(view, &Contract::Combo(combo.clone()), side)?;
        let target = Target::Combo { combo: combo.clone(), units };
        self.propose(target, limit, purpose, view, now)
    }

    /// The limit for one unit of a contract; `None` unless every leg is fresh.
    pub(crate) fn limit(
        &self,
        view: &MarketView,
        contract: &Contract,
        side: Side,
    ) -> Option<Price> {
        let legs = self.product.legs(contract)?;
        let mut quoted = Vec::with_capacity(legs.len());
        for (ratio, instrument) in legs {
            let (bid, ask) = fresh_quote(view, instrument.con_id)?;
            quoted.push(QuotedLeg { ratio, bid, ask, tick: &instrument.tick });
        }
        limit(&quoted, side, self.intents.cross_percent())
    }

    /// The limit of an entry: as [`Seat::limit`], if its edge is at least what the tome asks for.
    pub(crate) fn entry_limit(
        &self,
        view: &MarketView,
        contract: &Contract,
        side: Side,
    ) -> Option<Price> {
        let limit = self.limit(view, contract, side)?;
        let Some(least) = self.entry_edge_standard_errors_min else {
            return Some(limit);
        };
        let legs = self.product.legs(contract)?;
        let mut lines = Vec::with_capacity(legs.len());
        for (ratio, instrument) in &legs {
            lines.push((*ratio, view.line(instrument.con_id)?));
        }
        let value = ModelValue::of_legs(lines).ok()??;
        let (_, first) = legs.first()?;
        let edge = value.edge(side, limit, first.tick.increment(limit));
        (edge.standard_errors >= least).then_some(limit)
    }

    /// Closes options one by one: the sold ones first, what covers them only when they are gone.
    pub(crate) fn close_options_singly(
        &mut self,
        view: &MarketView,
        now: Timestamp,
        effects: &mut Vec<StrategyEffect>,
    ) {
        let options = self.options();
        let any_short = options.iter().any(|(_, quantity)| quantity.0 < 0);
        for (id, _) in options.into_iter().filter(|(_, q)| !any_short || q.0 < 0) {
            let intent = self.single(view, id, Quantity::ZERO, Purpose::Exit, now);
            effects.extend(intent.map(StrategyEffect::Intent));
        }
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        if !self.intents.is_attached() {
            return None;
        }
        let uneven = self.uneven_since.map(|since| since.plus(self.grace));
        // Once it is over, the market says when a leg can be closed.
        let uneven = uneven.filter(|over| *over > self.intents.seen());
        self.intents.next_wake().into_iter().chain(uneven).min()
    }
}

/// Bid and ask of a line that may be traded on.
pub(crate) fn fresh_quote(view: &MarketView, con_id: ConId) -> Option<(Price, Price)> {
    let line = view.line(con_id).filter(|line| line.state() == DataState::Fresh)?;
    line.quote().both()
}

/// Chains whose whole days to the end of trading lie within the range, the nearest first.
pub(crate) fn chains_within(
    view: &MarketView,
    days_min: u32,
    days_max: u32,
    now: Timestamp,
) -> Vec<&ChainView> {
    let wanted = u64::from(days_min)..=u64::from(days_max);
    let days = |chain: &ChainView| chain.last_trade.since(now).as_secs() / DAY_SECONDS;
    let open = view.chains.values().map(AsRef::as_ref).filter(|chain| chain.last_trade > now);
    let mut chains: Vec<&ChainView> = open.filter(|chain| wanted.contains(&days(chain))).collect();
    chains.sort_by_key(|chain| (chain.last_trade, chain.underlying));
    chains
}

/// A float as whole millionths, so that decisions compare integers; `None` where it is not finite.
pub(crate) fn millionths(value: f64) -> Option<i64> {
    Price::from_f64(value).map(Price::micros)
}

fn without_flat(mut positions: BTreeMap<ConId, Quantity>) -> BTreeMap<ConId, Quantity> {
    positions.retain(|_, quantity| !quantity.is_zero());
    positions
}
