//! Own orders against the market's quotes.
//!
//! An arriving order executes at the quote's price, a resting one at its limit once the quote
//! reaches it; a combo executes all legs at once at their quotes, when these add up to its limit or
//! better. No execution exceeds the displayed size that is left. Own orders in one instrument are
//! served by price, then time; combos after them, by time. One-sided, crossed and locked quotes
//! fill nothing. A market order takes whatever is quoted; one that is whole or nothing waits for a
//! size that fills it.

use super::Exchange;
use crate::books::{BookChange, BookedExecution};
use crate::order::{EndState, OpenOrder};
use crate::report::{ComboExecution, EventKind, Execution, Report};
use market::instrument::{ConId, Contract};
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;

/// What an order can execute now.
struct Plan {
    units: i64,
    net: Price,
    legs: Vec<PlannedLeg>,
}

struct PlannedLeg {
    con_id: ConId,
    side: Side,
    per_unit: i64,
    price: Price,
}

impl Exchange {
    /// Fills those of `touched` that the market reaches, in price-time order.
    pub(super) fn match_resting(&mut self, mut touched: Vec<i64>, at: Timestamp) {
        touched.sort_unstable();
        touched.dedup();
        let key = |perm_id: &i64| {
            let order = &self.books.open[perm_id];
            match &order.contract {
                Contract::Single(con_id) => {
                    let priced = order.instructions.kind.has_limit();
                    let worse =
                        if priced { -order.side.sign() * order.limit.micros() } else { i64::MIN };
                    (0, con_id.0, order.side, worse, order.priority)
                }
                Contract::Combo(_) => (1, 0, order.side, 0, order.priority),
            }
        };
        // Combos of both sides go by time alone, so their side must not sort.
        touched.sort_by_key(|perm_id| {
            let (class, con_id, side, worse, priority) = key(perm_id);
            (class, con_id, (class == 0).then_some(side), worse, priority)
        });
        for perm_id in touched {
            self.execute(perm_id, false, at);
        }
        self.refresh_due();
    }

    /// Fills what an order that has just arrived, or was just modified, can take at once.
    pub(super) fn match_arriving(&mut self, perm_id: i64, at: Timestamp) {
        self.execute(perm_id, true, at);
    }

    fn execute(&mut self, perm_id: i64, arriving: bool, at: Timestamp) {
        let order = self.books.open.get(&perm_id).filter(|order| order.stage.is_working());
        let Some(order) = order.cloned() else {
            return;
        };
        let Some(plan) = self.plan(&order, arriving, at) else {
            return;
        };
        for leg in &plan.legs {
            let used = u32::try_from(leg.per_unit * plan.units).expect("within displayed size");
            let line = self.lines.get_mut(&leg.con_id).expect("planned from this line");
            match leg.side {
                Side::Buy => line.ask_left -= used,
                Side::Sell => line.bid_left -= used,
            }
        }
        self.book(&order, &plan, at);
        let (filled, remaining) =
            (order.filled + Quantity(plan.units), order.remaining() - Quantity(plan.units));
        let (client, client_order_id) = (order.instructions.client, order.client_order_id);
        let status = Report::Status { client_order_id, perm_id, filled, remaining };
        self.report_to(client, status, at);
        if remaining.is_zero() {
            self.end_order(perm_id, EndState::Filled, at);
        }
        self.settle_group(&order, Quantity(plan.units), at);
    }

    fn plan(&self, order: &OpenOrder, arriving: bool, at: Timestamp) -> Option<Plan> {
        let mut units = order.remaining().0;
        let mut net = Price::ZERO;
        let mut legs = Vec::new();
        for leg in order.contract.legs() {
            let last_trade = self.books.instruments.get(&leg.con_id)?.last_trade();
            if last_trade.is_some_and(|last_trade| at >= last_trade) {
                return None;
            }
            let bought = i64::from(leg.ratio) * order.side.sign() > 0;
            let side = if bought { Side::Buy } else { Side::Sell };
            let per_unit = i64::from(leg.ratio).abs();
            let (price, left) = self.lines.get(&leg.con_id)?.opposite(side)?;
            units = units.min(i64::from(left) / per_unit);
            net += price.times(i64::from(leg.ratio));
            legs.push(PlannedLeg { con_id: leg.con_id, side, per_unit, price });
        }
        let priced = order.instructions.kind.has_limit();
        let reached = match order.side {
            _ if !priced => true,
            Side::Buy => net <= order.limit,
            Side::Sell => net >= order.limit,
        };
        let whole = !order.instructions.whole_only || units == order.remaining().0;
        if !reached || units == 0 || !whole {
            return None;
        }
        if !arriving
            && priced
            && let ([leg], Contract::Single(_)) = (legs.as_mut_slice(), &order.contract)
        {
            (leg.price, net) = (order.limit, order.limit);
        }
        Some(Plan { units, net, legs })
    }

    fn book(&mut self, order: &OpenOrder, plan: &Plan, at: Timestamp) {
        let (venue, number) = (self.config.venue, self.books.next_execution);
        let exec_id = |line: usize| format!("{venue:08x}.{number:08x}.{line:02}.01");
        let is_combo = matches!(order.contract, Contract::Combo(_));
        let combo = is_combo.then(|| ComboExecution {
            exec_id: exec_id(1),
            client_order_id: order.client_order_id,
            perm_id: order.perm_id,
            reference: order.reference.clone(),
            side: order.side,
            quantity: Quantity(plan.units),
            price: plan.net,
            time: at,
        });
        let mut legs = Vec::new();
        // A trade against an existing futures position realises: the position is carried to its
        // price.
        let mut variations = Vec::new();
        for (index, leg) in plan.legs.iter().enumerate() {
            let instrument = &self.books.instruments[&leg.con_id];
            let quantity = Quantity(leg.per_unit * plan.units);
            let mut tally = order.tallies.get(&leg.con_id).copied().unwrap_or_default();
            let fee =
                self.config.fees.charge(&mut tally, instrument, leg.side, quantity, leg.price);
            let held = self.books.quantity(leg.con_id).0;
            let signed = Quantity(leg.side.sign() * quantity.0);
            if instrument.is_margined_daily() && held.signum() == -leg.side.sign() {
                variations.push((leg.con_id, leg.price));
            }
            let execution = Execution {
                exec_id: exec_id(index + 1 + usize::from(is_combo)),
                client_order_id: order.client_order_id,
                perm_id: order.perm_id,
                reference: order.reference.clone(),
                con_id: leg.con_id,
                side: leg.side,
                quantity,
                price: leg.price,
                time: at,
                leg: is_combo,
                fee,
                currency: instrument.currency,
                realised: self.books.realises(leg.con_id, signed, leg.price),
            };
            legs.push(BookedExecution { execution, tally });
        }
        let executions: Vec<Execution> = legs.iter().map(|leg| leg.execution.clone()).collect();
        self.commit(BookChange::Executed {
            perm_id: order.perm_id,
            units: Quantity(plan.units),
            combo: combo.clone(),
            legs,
        });
        let client = order.instructions.client;
        if let Some(combo) = combo {
            self.report_to(client, Report::ComboExecuted(combo), at);
        }
        for execution in executions {
            let (exec_id, amount, currency) =
                (execution.exec_id.clone(), execution.fee, execution.currency);
            self.report_to(client, Report::Executed(execution), at);
            self.report_to(client, Report::Fee { exec_id, amount, currency }, at);
        }
        for (con_id, price) in variations {
            self.variation(con_id, price, at);
        }
    }

    /// Carries a future's position to `mark` and moves the difference in cash.
    pub(super) fn variation(&mut self, con_id: ConId, mark: Price, at: Timestamp) {
        let Ok(instrument) = self.books.terms(con_id) else {
            return;
        };
        let (multiplier, currency) = (instrument.multiplier, instrument.currency);
        let position = self.books.positions.get(&con_id).copied().unwrap_or_default();
        let amount = mark.value(position.quantity, multiplier) - position.cost;
        if !amount.is_zero() {
            self.event(EventKind::Variation { con_id, mark, amount }, currency, at);
        }
    }
}
