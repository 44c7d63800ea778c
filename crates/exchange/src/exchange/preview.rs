//! What an order would do to the account: margin, equity and fees before it is sent (IB: what-if),
//! and the account's margin as it stands.

use super::Exchange;
use super::intake::{Refusal, add};
use crate::fees::FeeTally;
use crate::margin::MarginRule;
use crate::order::Ticket;
use market::instrument::{ConId, Contract};
use market::money::{Money, Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;
use std::collections::BTreeMap;

/// What an account must hold and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarginState {
    /// To open a position.
    pub initial: Money,
    /// To keep it.
    pub maintenance: Money,
    /// Cash and positions at their marks.
    pub equity: Money,
}

/// What an order would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The account as it is.
    pub before: MarginState,
    /// The account once the order is filled.
    pub after: MarginState,
    /// What its fills would cost.
    pub fee: Money,
}

impl Exchange {
    /// The account's margin as it stands.
    #[must_use]
    pub fn margin_state(&self) -> MarginState {
        self.state_of(&self.held(), &BTreeMap::new(), Money::ZERO)
    }

    /// What `ticket` would do; refused for the same reasons as the order would be.
    ///
    /// # Errors
    /// With the code and the sentence that the order would be rejected with.
    pub fn preview(&self, ticket: &Ticket, now: Timestamp) -> Result<Preview, Refusal> {
        let (order, instructions) = (&ticket.order, &ticket.instructions);
        self.check_order(order, instructions, now)?;
        let price = self.margin_price(order, instructions.kind);
        let mut prices = BTreeMap::new();
        if let Contract::Single(con_id) = order.contract {
            prices.insert(con_id, price);
        }
        let before = self.held();
        let mut after = before.clone();
        add(&mut after, &order.contract, order.side.sign() * order.quantity.0);
        let fee = self.estimate_fee(&order.contract, order.side, order.quantity, &prices);
        Ok(Preview {
            before: self.state_of(&before, &prices, Money::ZERO),
            after: self.state_of(&after, &prices, fee),
            fee,
        })
    }

    fn held(&self) -> BTreeMap<ConId, i64> {
        self.positions().iter().map(|(con_id, quantity)| (*con_id, quantity.0)).collect()
    }

    fn state_of(
        &self,
        held: &BTreeMap<ConId, i64>,
        prices: &BTreeMap<ConId, Price>,
        fee: Money,
    ) -> MarginState {
        let rule: &MarginRule = &self.config.margin;
        MarginState {
            initial: self.requirement_by(rule, held, prices),
            maintenance: self.requirement_by(&rule.maintenance(), held, prices),
            equity: self.equity() - fee,
        }
    }

    fn estimate_fee(
        &self,
        contract: &Contract,
        side: Side,
        quantity: Quantity,
        prices: &BTreeMap<ConId, Price>,
    ) -> Money {
        let of_leg = |leg: &market::instrument::Leg| {
            let instrument = self.catalog.get(&leg.con_id)?;
            let price = self.mark(leg.con_id).or_else(|| prices.get(&leg.con_id).copied())?;
            let bought = i64::from(leg.ratio) * side.sign() > 0;
            let side = if bought { Side::Buy } else { Side::Sell };
            let units = Quantity(i64::from(leg.ratio).abs() * quantity.0);
            let mut tally = FeeTally::default();
            Some(self.config.fees.charge(&mut tally, instrument, side, units, price))
        };
        contract.legs().iter().filter_map(of_leg).sum()
    }
}
