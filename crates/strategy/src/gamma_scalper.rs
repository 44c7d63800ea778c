//! `gamma_scalper`: long straddles near the money, delta hedged in the underlying.
//!
//! It buys a straddle as one combo, keeps the net delta inside a band by trading the stock or
//! future, and closes by days to expiry, result, or distance from the strike (to enter anew at the
//! money). It earns when the underlying moves more than its options imply, and pays theta when it
//! does not.
//!
//! All comparisons are made on integers: prices in micro-units, deltas in millionths.

use crate::hedging::DeltaBand;
use crate::seat::{Seat, SeatParameters, chains_within, fresh_quote, millionths};
use crate::strategy::{BuildError, KeySource, Strategy, StrategyEffect, StrategyEvent};
use crate::tome::{GammaScalperParameters, Tome};
use market::instrument::{Catalog, Combo, ConId, Contract, Instrument, Leg, OptionTerms, Right};
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::{Now, Timestamp};
use std::collections::BTreeMap;
use trading::intent::{Intent, Purpose, Target};
use valuation::view::{ChainView, DataState, MarketView};

const DAY_SECONDS: u64 = 86_400;

pub(crate) struct GammaScalper {
    parameters: GammaScalperParameters,
    seat: Seat,
}

/// A held straddle: as many calls as puts at one strike and expiry.
struct Straddle {
    combo: Combo,
    units: Quantity,
    terms: OptionTerms,
}

impl GammaScalper {
    pub(crate) fn new(
        tome: &Tome,
        parameters: &GammaScalperParameters,
        catalog: &Catalog,
        keys: KeySource,
        durable: Option<&[u8]>,
    ) -> Result<Self, BuildError> {
        let needed = SeatParameters {
            order: &parameters.order,
            uneven_grace_seconds: parameters.uneven_grace_seconds,
            pause_seconds: parameters.pause_seconds,
            entry_edge_standard_errors_min: parameters.entry_edge_standard_errors_min,
        };
        let seat = Seat::new(tome, &needed, catalog, keys, durable)?;
        if let Some(option) = seat.product.unhedgeable_option() {
            return Err(BuildError::NoHedge {
                id: tome.id.clone(),
                symbol: tome.symbol.clone(),
                option: option.local_symbol.clone(),
            });
        }
        Ok(Self { parameters: parameters.clone(), seat })
    }

    fn decide(&mut self, view: &MarketView, now: Timestamp, effects: &mut Vec<StrategyEffect>) {
        let options = self.seat.options();
        let straddle = self.straddle(&options);
        let uneven = !options.is_empty() && straddle.is_none();
        let stays_uneven = self.seat.stays_uneven(uneven, now);
        if stays_uneven {
            self.seat.close_options_singly(view, now, effects);
        }
        if let Some(straddle) = &straddle
            && self.is_over(straddle, view, now)
        {
            let change = (straddle.units, Quantity::ZERO);
            let exit = self.seat.combo(view, &straddle.combo, change, Purpose::Exit, now);
            effects.extend(exit.map(StrategyEffect::Intent));
        }
        if self.seat.may_enter(now) {
            let entry = self.entry(view, now);
            effects.extend(entry.map(StrategyEffect::Intent));
        }
        // Between the fills of a combo's legs there is a delta that the next leg takes away.
        if stays_uneven || !uneven {
            let band = DeltaBand {
                units: Some(self.parameters.hedge_band_units),
                hedge_max: Some(self.parameters.hedge_max),
            };
            let hedges = band.hedge(&mut self.seat, view, now);
            effects.extend(hedges.into_iter().map(StrategyEffect::Intent));
        }
    }

    fn straddle(&self, options: &[(ConId, Quantity)]) -> Option<Straddle> {
        let [(first, units), (second, other_units)] = *options else {
            return None;
        };
        let one = self.seat.product.standard_option(first)?;
        let other = self.seat.product.standard_option(second)?;
        let same = (one.underlying, one.expiry, one.strike)
            == (other.underlying, other.expiry, other.strike);
        let paired = same && one.right != other.right && units == other_units && units.0 > 0;
        let combo = combo_of(first, second)?;
        paired.then_some(Straddle { combo, units, terms: *one })
    }

    fn is_over(&mut self, straddle: &Straddle, view: &MarketView, now: Timestamp) -> bool {
        let days = straddle.terms.last_trade.since(now).as_secs() / DAY_SECONDS;
        if days < u64::from(self.parameters.close_days) {
            return true;
        }
        let spot = fresh_quote(view, straddle.terms.underlying).map(|(bid, ask)| mid(bid, ask));
        if spot.is_some_and(|spot| !self.is_near(straddle.terms.strike, spot)) {
            return true;
        }
        let bound = |amount: f64| millionths(amount).unwrap_or(i64::MAX);
        self.seat.result_micros(view).is_some_and(|result| {
            result >= bound(self.parameters.take_profit)
                || result <= -bound(self.parameters.stop_loss)
        })
    }

    fn is_near(&self, strike: Price, spot: Price) -> bool {
        let distance = i128::from((strike - spot).micros().abs()) * 10_000;
        let allowed = u64::from(self.parameters.restrike_basis_points);
        distance <= i128::from(strike.micros()) * i128::from(allowed)
    }

    fn entry(&mut self, view: &MarketView, now: Timestamp) -> Option<Intent> {
        let (from, until) = (self.parameters.days_min, self.parameters.days_max);
        let chains = chains_within(view, from, until, now);
        let combo = chains.into_iter().find_map(|chain| self.straddle_to_buy(chain, view))?;
        let limit = self.seat.entry_limit(view, &Contract::Combo(combo.clone()), Side::Buy)?;
        let target = Target::Combo { combo, units: Quantity(i64::from(self.parameters.units)) };
        self.seat.propose(target, limit, Purpose::Entry, view, now)
    }

    /// Call and put at the strike nearest to the underlying, both tradable.
    fn straddle_to_buy(&self, chain: &ChainView, view: &MarketView) -> Option<Combo> {
        let (bid, ask) = fresh_quote(view, chain.underlying)?;
        let spot = mid(bid, ask);
        let mut strikes: BTreeMap<Price, [Option<ConId>; 2]> = BTreeMap::new();
        for line in &chain.lines {
            let standard = self.seat.product.standard_option(line.con_id).is_some();
            if standard && line.state == DataState::Fresh && line.greeks.is_some() {
                let sides = strikes.entry(line.strike).or_default();
                sides[usize::from(line.right == Right::Put)] = Some(line.con_id);
            }
        }
        let pairs = strikes.into_iter().filter_map(|(strike, sides)| match sides {
            [Some(call), Some(put)] => Some((strike, call, put)),
            _ => None,
        });
        let nearest = pairs.min_by_key(|(strike, ..)| (*strike - spot).abs());
        let (_, call, put) = nearest.filter(|(strike, ..)| self.is_near(*strike, spot))?;
        combo_of(call, put)
    }
}

fn mid(bid: Price, ask: Price) -> Price {
    Price::from_micros(bid.micros().midpoint(ask.micros()))
}

fn combo_of(call: ConId, put: ConId) -> Option<Combo> {
    Combo::new(vec![Leg { con_id: call, ratio: 1 }, Leg { con_id: put, ratio: 1 }]).ok()
}

impl Strategy for GammaScalper {
    fn on(&mut self, event: StrategyEvent<'_>, now: Now) -> Vec<StrategyEffect> {
        let mut effects = Vec::new();
        let view = self.seat.absorb(event, now);
        if let Some(view) = &view {
            self.decide(view, now.market, &mut effects);
        }
        self.seat.conclude(view, &mut effects);
        effects
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.seat.next_wake()
    }

    fn durable(&self) -> Vec<u8> {
        self.seat.campaign.to_durable()
    }

    fn listed(&mut self, instrument: &Instrument) {
        self.seat.listed(instrument);
    }
}

#[cfg(test)]
mod tests;
