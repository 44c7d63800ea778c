//! `credit_spread`: sold verticals with defined risk.
//!
//! It sells an option by its delta and buys one further out by the width, as one combo at a net
//! credit; buys the spread back at a share of the credit, at a multiple of it, or before expiry; or
//! lets it expire. What an assignment or a lone expiry leaves is closed singly, the sold side
//! first.
//!
//! The combo's bought unit is long the sold option and short the bought one, so its price is the
//! credit and a held spread is a negative number of units.

use crate::seat::{Seat, SeatParameters, chains_within, millionths};
use crate::strategy::{BuildError, KeySource, Strategy, StrategyEffect, StrategyEvent};
use crate::tome::{AtExpiry, CreditSpreadParameters, SpreadSide, Tome};
use market::instrument::{Catalog, Combo, ConId, Contract, Instrument, Leg, OptionTerms, Right};
use market::money::Quantity;
use market::quote::Side;
use market::time::{Now, Timestamp};
use trading::intent::{Intent, Purpose, Target};
use valuation::view::{ChainView, DataState, MarketView, OptionLine};

const HOUR_SECONDS: u64 = 3600;

pub(crate) struct CreditSpread {
    parameters: CreditSpreadParameters,
    seat: Seat,
}

/// A held vertical.
struct Spread {
    short: ConId,
    long: ConId,
    units: i64,
    multiplier: i64,
    last_trade: Timestamp,
}

impl CreditSpread {
    pub(crate) fn new(
        tome: &Tome,
        parameters: &CreditSpreadParameters,
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
        Ok(Self { parameters: parameters.clone(), seat })
    }

    fn decide(&mut self, view: &MarketView, now: Timestamp, effects: &mut Vec<StrategyEffect>) {
        let options = self.seat.options();
        let hedges = self.seat.hedges();
        let spread = self.spread(&options);
        let uneven = !hedges.is_empty() || (!options.is_empty() && spread.is_none());
        if self.seat.stays_uneven(uneven, now) {
            for (id, _) in hedges {
                let intent = self.seat.single(view, id, Quantity::ZERO, Purpose::Exit, now);
                effects.extend(intent.map(StrategyEffect::Intent));
            }
            if spread.is_none() {
                self.seat.close_options_singly(view, now, effects);
            }
        }
        if let Some(spread) = &spread
            && self.is_over(spread, view, now)
        {
            effects.extend(self.exit(spread, view, now).map(StrategyEffect::Intent));
        }
        if self.seat.may_enter(now) {
            effects.extend(self.entry(view, now).map(StrategyEffect::Intent));
        }
    }

    fn spread(&self, options: &[(ConId, Quantity)]) -> Option<Spread> {
        let [first, second] = *options else {
            return None;
        };
        let (short, long) = if first.1.0 < 0 { (first, second) } else { (second, first) };
        let sold = self.seat.product.standard_option(short.0)?;
        let bought = self.seat.product.standard_option(long.0)?;
        let same = (sold.underlying, sold.expiry, sold.right)
            == (bought.underlying, bought.expiry, bought.right);
        let even = short.1.0 < 0 && short.1.0 == -long.1.0;
        (same && even && covers(sold, bought)).then_some(Spread {
            short: short.0,
            long: long.0,
            units: long.1.0,
            multiplier: i64::from(self.seat.product.get(short.0)?.multiplier.0),
            last_trade: sold.last_trade,
        })
    }

    /// Profit target, stop, or time.
    fn is_over(&mut self, spread: &Spread, view: &MarketView, now: Timestamp) -> bool {
        let left = spread.last_trade.since(now).as_secs();
        let close_within = u64::from(self.parameters.close_hours) * HOUR_SECONDS;
        if self.parameters.at_expiry == AtExpiry::Close && left <= close_within {
            return true;
        }
        let mid = |id| view.line(id).and_then(|line| line.quote().mid());
        let (Some(short), Some(long)) = (mid(spread.short), mid(spread.long)) else {
            return false;
        };
        let cost = short.micros().saturating_sub(long.micros());
        let Some(credit) = self.credit(spread, view) else {
            return false;
        };
        let (cost, credit) = (i128::from(cost) * 100, i128::from(credit));
        cost <= credit * i128::from(self.parameters.profit_percent)
            || cost >= credit * i128::from(self.parameters.stop_percent)
    }

    /// Credit per unit of the underlying as sold, fixed once the entry is complete.
    fn credit(&mut self, spread: &Spread, view: &MarketView) -> Option<i64> {
        if let Some(credit) = self.seat.campaign.credit_micros {
            return Some(credit);
        }
        if self.seat.intents.is_live(&[spread.short, spread.long]) {
            return None;
        }
        // Asking for the result settles the basis of a position whose fills were missed.
        self.seat.result_micros(view)?;
        let units = spread.units.checked_mul(spread.multiplier)?;
        let credit = self.seat.campaign.cash_micros()?.checked_div(units)?;
        self.seat.campaign.set_credit(credit);
        Some(credit)
    }

    fn exit(&mut self, spread: &Spread, view: &MarketView, now: Timestamp) -> Option<Intent> {
        let combo = vertical(spread.short, spread.long)?;
        if self.seat.limit(view, &Contract::Combo(combo.clone()), Side::Buy).is_some() {
            let change = (Quantity(-spread.units), Quantity::ZERO);
            return self.seat.combo(view, &combo, change, Purpose::Exit, now);
        }
        // Nobody bids for the wing any more: the sold option alone carries the risk.
        self.seat.single(view, spread.short, Quantity::ZERO, Purpose::Exit, now)
    }

    fn entry(&mut self, view: &MarketView, now: Timestamp) -> Option<Intent> {
        let (from, until) = (self.parameters.days_min, self.parameters.days_max);
        for chain in chains_within(view, from, until, now) {
            if let Some(combo) = self.spread_to_sell(chain) {
                let contract = Contract::Combo(combo.clone());
                let limit = self.seat.entry_limit(view, &contract, Side::Sell);
                if let Some(limit) = limit.filter(|l| *l >= self.parameters.least_credit()) {
                    let units = Quantity(-i64::from(self.parameters.units));
                    let target = Target::Combo { combo, units };
                    return self.seat.propose(target, limit, Purpose::Entry, view, now);
                }
            }
        }
        None
    }

    fn spread_to_sell(&self, chain: &ChainView) -> Option<Combo> {
        let right = match self.parameters.side {
            SpreadSide::Put => Right::Put,
            SpreadSide::Call => Right::Call,
        };
        let tradable = |line: &&OptionLine| {
            line.right == right
                && line.state == DataState::Fresh
                && self.seat.product.standard_option(line.con_id).is_some()
        };
        let wanted = i64::from(self.parameters.short_delta_percent) * 10_000;
        let miss = |line: &OptionLine| {
            let delta = line.greeks.and_then(|greeks| millionths(greeks.delta));
            delta.map(|delta| (delta.abs() - wanted).abs())
        };
        let lines = || chain.lines.iter().filter(tradable);
        let sold = lines().filter_map(|line| Some((miss(line)?, line)));
        let (_, sold) = sold.min_by_key(|(miss, line)| (*miss, line.con_id))?;
        let width = millionths(self.parameters.width)?;
        let distance = |line: &OptionLine| match right {
            Right::Put => (sold.strike - line.strike).micros(),
            Right::Call => (line.strike - sold.strike).micros(),
        };
        let bought = lines()
            .filter(|line| distance(line) > 0)
            .min_by_key(|line| ((distance(line) - width).abs(), line.con_id))?;
        vertical(sold.con_id, bought.con_id)
    }
}

/// Whether the bought option bounds the loss of the sold one and lies further out: a credit.
fn covers(sold: &OptionTerms, bought: &OptionTerms) -> bool {
    match sold.right {
        Right::Put => bought.strike < sold.strike,
        Right::Call => bought.strike > sold.strike,
    }
}

fn vertical(short: ConId, long: ConId) -> Option<Combo> {
    Combo::new(vec![Leg { con_id: short, ratio: 1 }, Leg { con_id: long, ratio: -1 }]).ok()
}

impl Strategy for CreditSpread {
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
