//! The caretaker: looks after what a quarantined strategy holds, as its tome asks.
//!
//! - `hold`: positions stay (the kill switch has cancelled what worked).
//! - `hedge`: positions stay; their net delta is kept inside the strategy's own band with the
//!   underlying, or within one unit of it if the strategy has none.
//! - `flatten`: every position is closed.
//!
//! It takes the strategy's seat at the desk and wishes in its name, so attribution stays right and
//! its keys go on where the desk says. Whatever it wishes for is an exit or a hedge: in quarantine
//! only what provably lowers risk passes the gate. One wish is under way at a time, with a pause
//! between two, on fresh data only; what is refused is tried again later and later.
//!
//! A position that is closed leg by leg would pass through unhedged moments, which the gate rightly
//! refuses. So the whole of it is tried as one combo first, then the sold legs singly, then the
//! bought ones, then the hedge. A way that is refused or does not fill gives place to the
//! next.

use crate::hedging::DeltaBand;
use crate::seat::{Seat, SeatParameters};
use crate::strategy::{BuildError, KeySource, Outcome, Strategy, StrategyEffect, StrategyEvent};
use crate::tome::{OrderParameters, Parameters, QuarantinePolicy, Tome};
use market::instrument::{Catalog, Combo, ConId, Instrument, Leg};
use market::money::Quantity;
use market::time::{Now, Timestamp};
use std::time::Duration;
use trading::intent::{Intent, Purpose};
use trading::report::EndState;
use valuation::view::MarketView;

/// Limits reach the far side of the quote at least: an exit that rests is no exit.
const CROSS_PERCENT_MIN: u32 = 100;
/// So many tries of one way may end without a fill before another way goes first.
const TRIES_PER_WAY: u32 = 2;

/// Looks after one strategy's positions.
pub struct Caretaker {
    policy: QuarantinePolicy,
    band: DeltaBand,
    seat: Seat,
    pause: Duration,
    not_before: Timestamp,
    /// Tries in a row that ended without a fill.
    unfilled: u32,
}

/// A way to close something.
enum Way {
    /// All that is held, as one combo of so many units.
    Whole(Combo, Quantity),
    /// One instrument.
    Single(ConId),
}

impl Caretaker {
    /// The caretaker of the strategy that a tome describes.
    ///
    /// # Errors
    /// [`BuildError::UnknownSymbol`]: there is nothing that it could trade.
    pub fn new(tome: &Tome, catalog: &Catalog, keys: KeySource) -> Result<Self, BuildError> {
        let (order, band) = match &tome.parameters {
            Parameters::GammaScalper(own) => {
                let units = Some(own.hedge_band_units);
                (&own.order, DeltaBand { units, hedge_max: Some(own.hedge_max) })
            }
            Parameters::CreditSpread(own) => {
                (&own.order, DeltaBand { units: None, hedge_max: None })
            }
        };
        let order = OrderParameters {
            cross_percent: order.cross_percent.max(CROSS_PERCENT_MIN),
            ..order.clone()
        };
        let pause = Duration::from_secs(u64::from(order.backoff_first_seconds));
        let parameters = SeatParameters {
            order: &order,
            uneven_grace_seconds: 0,
            pause_seconds: 0,
            entry_edge_standard_errors_min: None,
        };
        Ok(Self {
            policy: tome.quarantine_policy,
            band,
            seat: Seat::new(tome, &parameters, catalog, keys, None)?,
            pause,
            not_before: Timestamp::EPOCH,
            unfilled: 0,
        })
    }

    fn decide(&mut self, view: &MarketView, now: Timestamp) -> Option<Intent> {
        if now < self.not_before || self.seat.intents.has_working() {
            return None;
        }
        let intent = match self.policy {
            QuarantinePolicy::Hold => None,
            QuarantinePolicy::Hedge => {
                self.band.hedge(&mut self.seat, view, now).into_iter().next()
            }
            QuarantinePolicy::Flatten => self.close_something(view, now),
        }?;
        self.not_before = now.plus(self.pause);
        Some(intent)
    }

    /// The first way that is open now, beginning with the one whose turn it is.
    fn close_something(&mut self, view: &MarketView, now: Timestamp) -> Option<Intent> {
        let mut ways = self.ways();
        let turn = (self.unfilled / TRIES_PER_WAY) as usize;
        let first = turn % ways.len().max(1);
        ways.rotate_left(first);
        ways.into_iter().find_map(|way| match way {
            Way::Whole(combo, units) => {
                let change = (units, Quantity::ZERO);
                self.seat.combo(view, &combo, change, Purpose::Exit, now)
            }
            Way::Single(con_id) => {
                self.seat.single(view, con_id, Quantity::ZERO, Purpose::Exit, now)
            }
        })
    }

    fn ways(&self) -> Vec<Way> {
        let whole = whole(self.seat.positions.iter().map(|(id, quantity)| (*id, *quantity)));
        let (sold, bought): (Vec<_>, Vec<_>) =
            self.seat.options().into_iter().partition(|(_, quantity)| quantity.0 < 0);
        let singles = sold.into_iter().chain(bought).chain(self.seat.hedges());
        whole.into_iter().chain(singles.map(|(id, _)| Way::Single(id))).collect()
    }

    fn note(&mut self, event: &StrategyEvent<'_>) {
        match event {
            StrategyEvent::Filled { .. } | StrategyEvent::Attached { .. } => self.unfilled = 0,
            StrategyEvent::Outcome { outcome, .. } => self.note_outcome(outcome),
            StrategyEvent::Market(_)
            | StrategyEvent::PositionsChanged(_)
            | StrategyEvent::StateChanged(_)
            | StrategyEvent::Wake => {}
        }
    }

    /// What rested unfilled may have been unlucky; what was refused is the next way's turn.
    fn note_outcome(&mut self, outcome: &Outcome) {
        let tries = match outcome {
            Outcome::Accepted { .. } => 0,
            Outcome::Satisfied | Outcome::Denied(_) | Outcome::Abandoned => TRIES_PER_WAY,
            Outcome::Ended { end, filled } => match end {
                EndState::Filled => 0,
                EndState::Rejected | EndState::Inactive => TRIES_PER_WAY,
                EndState::Canceled | EndState::Expired => u32::from(filled.is_zero()),
            },
        };
        self.unfilled = self.unfilled.saturating_add(tries);
    }
}

/// Positions as one combo and its units, where they can be one.
fn whole(positions: impl Iterator<Item = (ConId, Quantity)>) -> Option<Way> {
    let positions: Vec<(ConId, i64)> = positions.map(|(id, held)| (id, held.0)).collect();
    let units = positions.iter().fold(0, |units, (_, held)| common_divisor(units, held.abs()));
    let leg = |(con_id, held): &(ConId, i64)| {
        let ratio = i32::try_from(held.checked_div(units)?).ok()?;
        Some(Leg { con_id: *con_id, ratio })
    };
    let legs = positions.iter().map(leg).collect::<Option<Vec<Leg>>>()?;
    Combo::new(legs).ok().map(|combo| Way::Whole(combo, Quantity(units)))
}

const fn common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Strategy for Caretaker {
    fn on(&mut self, event: StrategyEvent<'_>, now: Now) -> Vec<StrategyEffect> {
        self.note(&event);
        let view = self.seat.absorb(event, now);
        let intent = view.as_ref().and_then(|view| self.decide(view, now.market));
        self.seat.give_back(view);
        intent.map(StrategyEffect::Intent).into_iter().collect()
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.seat.next_wake()
    }

    /// It keeps nothing: what is held is the desk's to say.
    fn durable(&self) -> Vec<u8> {
        Vec::new()
    }

    fn listed(&mut self, instrument: &Instrument) {
        self.seat.listed(instrument);
    }
}

#[cfg(test)]
mod tests;
