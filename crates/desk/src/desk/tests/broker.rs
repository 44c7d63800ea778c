//! A small broker that holds the truth: orders, executions, positions, cash.

use super::world::{CLOSE, ONE, TWO, price};
use crate::reconcile::{Agreement, RoundResult};
use market::instrument::{ConId, Contract};
use market::money::{Currency, Money, Multiplier, Price, Quantity};
use market::quote::Side;
use market::time::Now;
use std::collections::BTreeMap;
use trading::id::{ExecId, OrderId, PermId};
use trading::order::{Order, signed_legs};
use trading::report::{ComboExecution, CompletedOrder, EndState, Fill, OpenOrder, Report};

const FEE: Money = Money::from_micros(350_000);

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) order: Order,
    pub(super) perm_id: PermId,
    pub(super) filled: i64,
    pub(super) end: Option<EndState>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Broker {
    pub(super) orders: BTreeMap<PermId, Held>,
    pub(super) positions: BTreeMap<ConId, i64>,
    pub(super) cash: Money,
    history: Vec<Report>,
    executions: u32,
}

impl Broker {
    fn working(&mut self, order_id: OrderId) -> Option<&mut Held> {
        let mut orders = self.orders.values_mut();
        orders.find(|held| held.order.order_id == order_id && held.end.is_none())
    }

    /// A new order, or a modify where the number works already.
    pub(super) fn place(&mut self, order: Order) -> Vec<Report> {
        let order_id = order.order_id;
        if let Some(held) = self.working(order_id) {
            if order.quantity.0 < held.filled {
                return vec![Report::ModifyRejected { order_id, code: 105 }];
            }
            let (limit, quantity) = (order.limit, order.quantity);
            held.order = order;
            let mut reports = vec![Report::Modified { order_id, limit, quantity }];
            if held.filled == quantity.0 {
                held.end = Some(EndState::Filled);
                let (perm_id, end) = (held.perm_id, EndState::Filled);
                reports.push(Report::Ended { order_id, perm_id, end });
            }
            return reports;
        }
        if self.orders.values().any(|held| held.order.order_id == order_id) {
            // The venue took its time: the order had ended when the modify came.
            return vec![Report::ModifyRejected { order_id, code: 104 }];
        }
        let perm_id = PermId(900 + self.orders.len() as i64);
        let reference = order.key.to_string();
        let held = Held { order, perm_id, filled: 0, end: None };
        self.orders.insert(perm_id, held);
        vec![Report::Acknowledged { order_id, perm_id, reference }]
    }

    pub(super) fn cancel(&mut self, order_id: OrderId) -> Vec<Report> {
        match self.working(order_id) {
            Some(held) => {
                held.end = Some(EndState::Canceled);
                let (perm_id, end) = (held.perm_id, EndState::Canceled);
                vec![Report::Ended { order_id, perm_id, end }]
            }
            None => vec![Report::CancelRejected { order_id, code: 10_148 }],
        }
    }

    /// Fills up to `units` of the `index`th working order.
    pub(super) fn fill(&mut self, index: usize, units: i64, now: Now) -> Vec<Report> {
        let working = self.orders.values_mut().filter(|held| held.end.is_none());
        let working: Vec<&mut Held> = working.collect();
        let count = working.len();
        let Some(held) = working.into_iter().nth(index % count.max(1)) else {
            return vec![];
        };
        let units = units.min(held.order.quantity.0 - held.filled);
        if units <= 0 {
            return vec![];
        }
        held.filled += units;
        let order = held.order.clone();
        let perm_id = held.perm_id;
        let whole = held.filled == order.quantity.0;
        if whole {
            held.end = Some(EndState::Filled);
        }
        self.executions += 1;
        let mut reports = Vec::new();
        let combo = matches!(order.contract, Contract::Combo(_));
        let legs = signed_legs(&order.contract, order.side, Quantity(units));
        for (leg, (con_id, signed)) in legs.into_iter().enumerate() {
            let exec_id = ExecId(format!("{:04}.{leg}.01", self.executions));
            let price = leg_price(con_id);
            *self.positions.entry(con_id).or_default() += signed.0;
            self.cash = self.cash - price.value(signed, Multiplier(1)) - FEE;
            reports.push(Report::Execution(Fill {
                exec_id: exec_id.clone(),
                order_id: order.order_id,
                perm_id,
                reference: order.key.to_string(),
                con_id,
                side: if signed.0 > 0 { Side::Buy } else { Side::Sell },
                quantity: signed.abs(),
                price,
                time: now.market,
                combo_leg: combo,
            }));
            reports.push(Report::Fee { exec_id, amount: FEE, currency: Currency::USD });
        }
        if combo {
            reports.push(Report::ComboExecution(ComboExecution {
                exec_id: ExecId(format!("{:04}.bag.01", self.executions)),
                order_id: order.order_id,
                perm_id,
                quantity: Quantity(units),
                price: order.limit,
            }));
        }
        self.history.extend(reports.iter().cloned());
        let held = &self.orders[&perm_id];
        let filled = Quantity(held.filled);
        let remaining = order.quantity - filled;
        let order_id = order.order_id;
        reports.push(Report::Status { order_id, perm_id, filled, remaining });
        if whole {
            let end = EndState::Filled;
            reports.push(Report::Ended { order_id, perm_id, end });
        }
        reports
    }

    /// All four answers at one moment.
    pub(super) fn answers(&self, now: Now, link_generation: u32) -> RoundResult {
        let open = self.orders.values().filter(|held| held.end.is_none());
        let ended = self.orders.values().filter_map(|held| Some((held, held.end?)));
        assert!(now.market < CLOSE, "the small broker knows no second day");
        RoundResult {
            link_generation,
            rounds: 2,
            agreement: Agreement::Agreed,
            started: now.process,
            open: open
                .map(|held| OpenOrder {
                    order_id: held.order.order_id,
                    perm_id: held.perm_id,
                    reference: held.order.key.to_string(),
                    contract: held.order.contract.clone(),
                    side: held.order.side,
                    quantity: held.order.quantity,
                    filled: Quantity(held.filled),
                    limit: held.order.limit,
                })
                .collect(),
            completed: ended
                .map(|(held, end)| CompletedOrder {
                    perm_id: held.perm_id,
                    reference: held.order.key.to_string(),
                    end,
                    filled: Quantity(held.filled),
                })
                .collect(),
            since: None,
            reports: self.history.clone(),
            positions: self
                .positions
                .iter()
                .filter(|(_, held)| **held != 0)
                .map(|(con_id, held)| (*con_id, Quantity(*held)))
                .collect(),
            cash: vec![(Currency::USD, self.cash)],
        }
    }

    /// The lowest and highest position that may come of an instrument.
    pub(super) fn reach(&self, con_id: ConId) -> (i64, i64) {
        let held = self.positions.get(&con_id).copied().unwrap_or_default();
        let mut reach = (held, held);
        for order in self.orders.values().filter(|held| held.end.is_none()) {
            let left = Quantity(order.order.quantity.0 - order.filled);
            for (leg, signed) in signed_legs(&order.order.contract, order.order.side, left) {
                if leg == con_id {
                    reach.0 += signed.0.min(0);
                    reach.1 += signed.0.max(0);
                }
            }
        }
        reach
    }
}

fn leg_price(con_id: ConId) -> Price {
    match con_id {
        ONE => price("100.00"),
        TWO => price("50.00"),
        _ => Price::ZERO,
    }
}
