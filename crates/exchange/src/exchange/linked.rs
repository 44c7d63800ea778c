//! Orders that wait for something, and orders that others wait for: held ones, stops, brackets and
//! groups.
//!
//! A held order waits for its release: by an amendment, or by a child that is sent released. A
//! child waits until its parent is filled; it ends with a parent that ends unfilled, and closes no
//! more than a parent that ended partly filled has opened. The children of one parent are a group
//! that reduces itself, if they name no other. A stop waits until its trigger is bid (a purchase)
//! or asked (a sale); one quote suffices. Held orders keep their place in time from acceptance.

use super::Exchange;
use super::intake::{Refusal, refuse};
use crate::books::BookChange;
use crate::order::{
    EndState, GroupRule, Instructions, NewOrder, OpenOrder, OrderGroup, OrderKind, Stage,
    TimeInForce,
};
use crate::report::Report;
use market::instrument::Contract;
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::Timestamp;

impl Exchange {
    /// Checks what only orders with instructions can get wrong, and the prices by their kind.
    pub(super) fn check_kind(
        &self,
        order: &NewOrder,
        instructions: &Instructions,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        self.check_size(&order.contract, order.quantity)?;
        if instructions.kind.has_limit() {
            self.check_price(&order.contract, order.limit)?;
        }
        if let Some(trigger) = instructions.kind.trigger() {
            if matches!(order.contract, Contract::Combo(_)) {
                return refuse(387, "Unsupported order type for a combo: stop orders have one leg");
            }
            self.check_price(&order.contract, trigger)?;
        }
        if instructions.good_till.is_some_and(|end| end <= at) {
            return refuse(201, "Order rejected - reason: good-till date is not in the future");
        }
        let Some(parent) = instructions.parent else {
            return Ok(());
        };
        if self.parent_end(instructions.client, parent).is_none()
            && self.working(instructions.client, parent).is_none()
        {
            return refuse(10006, format!("Missing parent order {parent}"));
        }
        Ok(())
    }

    /// The price that an order without limit is margined at.
    pub(super) fn margin_price(&self, order: &NewOrder, kind: OrderKind) -> Price {
        if kind.has_limit() {
            return order.limit;
        }
        let legs = order.contract.legs();
        let prices = legs.iter().map(|leg| {
            let mark = self.mark(leg.con_id).unwrap_or(Price::ZERO);
            mark.times(i64::from(leg.ratio))
        });
        kind.trigger().unwrap_or_else(|| prices.sum())
    }

    /// Where an order begins.
    pub(super) fn stage_of(&self, instructions: &Instructions) -> Stage {
        if instructions.held {
            return Stage::Held;
        }
        let waits = |parent: i64| self.working(instructions.client, parent).is_some();
        if instructions.parent.is_some_and(waits) {
            return Stage::AwaitsParent;
        }
        match instructions.kind.trigger() {
            Some(_) => Stage::AwaitsTrigger,
            None => Stage::Working,
        }
    }

    /// Lets an order do what its stage allows: look at its trigger, take what is quoted, and end if
    /// it is an immediate one.
    pub(super) fn go_on(&mut self, perm_id: i64, at: Timestamp) {
        if self.books.open.get(&perm_id).is_some_and(|order| self.is_triggered(order)) {
            self.stage(perm_id, Stage::Working, at);
        }
        self.match_arriving(perm_id, at);
        let rest = self.books.open.get(&perm_id).filter(|order| order.stage.is_working());
        if rest.is_some_and(|order| order.time_in_force == TimeInForce::ImmediateOrCancel) {
            self.end_order(perm_id, EndState::Canceled, at);
        }
    }

    /// Works off the triggers among `touched` that the market has reached.
    pub(super) fn pull_triggers(&mut self, touched: &[i64], at: Timestamp) {
        for perm_id in touched {
            if self.books.open.get(perm_id).is_some_and(|order| self.is_triggered(order)) {
                self.go_on(*perm_id, at);
            }
        }
    }

    fn is_triggered(&self, order: &OpenOrder) -> bool {
        let (Stage::AwaitsTrigger, Some(trigger)) =
            (order.stage, order.instructions.kind.trigger())
        else {
            return false;
        };
        let Contract::Single(con_id) = order.contract else {
            return false;
        };
        let Some((bid, ask)) = self.quote(con_id).and_then(|quote| quote.both()) else {
            return false;
        };
        match order.side {
            Side::Buy => bid >= trigger,
            Side::Sell => ask <= trigger,
        }
    }

    fn stage(&mut self, perm_id: i64, stage: Stage, at: Timestamp) {
        let Some(order) = self.books.open.get(&perm_id) else {
            return;
        };
        let (client, client_order_id) = (order.instructions.client, order.client_order_id);
        self.commit(BookChange::Staged { perm_id, stage });
        self.report_to(client, Report::Staged { client_order_id, perm_id }, at);
    }

    /// Releases a held parent and its held children: the last child was sent released.
    pub(super) fn release_family(&mut self, client: i32, parent: i64, at: Timestamp) {
        let of_family = |order: &&OpenOrder| {
            let is_child = order.instructions.parent == Some(parent);
            order.instructions.client == client
                && (is_child || order.client_order_id == parent)
                && order.instructions.held
        };
        let held = self.books.open.values().filter(of_family).map(|order| order.perm_id);
        let held: Vec<i64> = held.collect();
        for perm_id in held {
            // A member that filled at its release may have ended or released this one.
            let order = self.books.open.get(&perm_id).filter(|order| order.instructions.held);
            if let Some(mut order) = order.cloned() {
                order.instructions.held = false;
                self.release(order, at);
            }
        }
    }

    /// Books an order that is held no longer and lets it go on.
    pub(super) fn release(&mut self, mut order: OpenOrder, at: Timestamp) {
        order.stage = self.stage_of(&order.instructions);
        let (perm_id, client, number) =
            (order.perm_id, order.instructions.client, order.client_order_id);
        self.commit(BookChange::Amended(Box::new(order)));
        self.report_to(client, Report::Staged { client_order_id: number, perm_id }, at);
        self.go_on(perm_id, at);
    }

    /// How the parent of this number ended, and with how much filled.
    fn parent_end(&self, client: i32, number: i64) -> Option<Quantity> {
        let completed = self.books.completed.iter().rev();
        let mut of_number =
            completed.filter(|order| order.client == client && order.client_order_id == number);
        of_number.next().map(|order| order.filled).filter(|filled| filled.0 > 0)
    }

    /// What the end of an order means to those that wait for it.
    pub(super) fn settle_children(
        &mut self,
        client: i32,
        parent: i64,
        end: EndState,
        filled: Quantity,
        at: Timestamp,
    ) {
        let is_child = |order: &&OpenOrder| {
            order.instructions.parent == Some(parent)
                && order.instructions.client == client
                && matches!(order.stage, Stage::AwaitsParent | Stage::Held)
        };
        let children: Vec<OpenOrder> = self.books.open.values().filter(is_child).cloned().collect();
        for child in children {
            if filled.is_zero() {
                self.end_order(child.perm_id, EndState::Canceled, at);
                continue;
            }
            if end != EndState::Filled && child.quantity > filled {
                self.reduce(child.perm_id, filled, at);
            }
            if child.stage == Stage::AwaitsParent {
                let next = self.stage_of(&child.instructions);
                self.stage(child.perm_id, next, at);
                self.go_on(child.perm_id, at);
            }
        }
    }

    /// What an execution of `units` means to the others of the order's group.
    pub(super) fn settle_group(&mut self, order: &OpenOrder, units: Quantity, at: Timestamp) {
        let Some(group) = group_of(order) else {
            return;
        };
        let is_other = |other: &&OpenOrder| {
            other.perm_id != order.perm_id && group_of(other).is_some_and(|g| g.name == group.name)
        };
        let others: Vec<OpenOrder> = self.books.open.values().filter(is_other).cloned().collect();
        let whole = order.filled + units == order.quantity;
        for other in others {
            if whole || group.rule == GroupRule::CancelOthers {
                self.end_order(other.perm_id, EndState::Canceled, at);
                continue;
            }
            let part = i128::from(other.quantity.0) * i128::from(units.0)
                / i128::from(order.quantity.0.max(1));
            let less = i64::try_from(part).expect("a part of a quantity is one");
            self.reduce(other.perm_id, other.quantity - Quantity(less), at);
        }
    }

    /// Takes an order back to `quantity` units in all, or ends it if that much is filled.
    fn reduce(&mut self, perm_id: i64, quantity: Quantity, at: Timestamp) {
        let Some(order) = self.books.open.get(&perm_id) else {
            return;
        };
        if quantity <= order.filled {
            self.end_order(perm_id, EndState::Canceled, at);
            return;
        }
        let (limit, priority) = (order.limit, order.priority);
        let (client, client_order_id) = (order.instructions.client, order.client_order_id);
        self.commit(BookChange::Modified { perm_id, limit, quantity, priority });
        self.report_to(client, Report::Modified { client_order_id, limit, quantity }, at);
    }
}

/// The group that an order names, or its family's.
fn group_of(order: &OpenOrder) -> Option<OrderGroup> {
    let instructions = &order.instructions;
    let family = || {
        let parent = instructions.parent?;
        let name = format!("children of {parent} of client {}", instructions.client);
        Some(OrderGroup { name, rule: GroupRule::ReduceOthers })
    };
    instructions.group.clone().or_else(family)
}
