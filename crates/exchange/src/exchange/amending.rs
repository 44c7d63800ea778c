//! Amendments: the same order number with other terms.
//!
//! Limit, trigger, kind, total, time in force and release may change; contract, side and parent
//! may not. Another price or more units take a new place in time.

use super::Exchange;
use super::intake::{Refusal, refuse};
use crate::books::BookChange;
use crate::order::{EndState, OpenOrder, Stage, Ticket};
use crate::report::Report;
use market::time::Timestamp;

impl Exchange {
    pub(super) fn amend(&mut self, ticket: Ticket, at: Timestamp) -> Result<(), Refusal> {
        let Ticket { order: wanted, mut instructions } = ticket;
        let (client, client_order_id) = (instructions.client, wanted.client_order_id);
        let Some(order) = self.working(client, client_order_id).cloned() else {
            return refuse(104, "Cannot modify a filled order");
        };
        if order.contract != wanted.contract || order.side != wanted.side {
            return refuse(105, "Order being modified does not match original order");
        }
        instructions.parent = order.instructions.parent;
        if order.stage != Stage::Held && instructions.held {
            return refuse(105, "An order that has been transmitted can't be held back");
        }
        if wanted.quantity.0 < order.filled.0 {
            return refuse(104, format!("{} units are filled already", order.filled));
        }
        self.check_kind(&wanted, &instructions, at)?;
        let more = wanted.quantity - order.quantity;
        if more.0 > 0 && instructions.parent.is_none() {
            let price = self.margin_price(&wanted, instructions.kind);
            self.check_margin(&order.contract, order.side.sign() * more.0, price)?;
        }
        let same_kind = instructions.kind == order.instructions.kind;
        let keeps_place = wanted.limit == order.limit && same_kind && more.0 <= 0;
        let release = order.stage == Stage::Held && !instructions.held;
        let stage = match order.stage {
            Stage::Working if instructions.kind.trigger().is_some() && !same_kind => {
                Stage::AwaitsTrigger
            }
            Stage::AwaitsTrigger if instructions.kind.trigger().is_none() => Stage::Working,
            stage => stage,
        };
        let perm_id = order.perm_id;
        let amended = OpenOrder {
            reference: wanted.reference,
            quantity: wanted.quantity,
            limit: wanted.limit,
            time_in_force: wanted.time_in_force,
            priority: if keeps_place { order.priority } else { self.books.next_priority },
            instructions,
            stage,
            ..order
        };
        let (limit, quantity, filled) = (amended.limit, amended.quantity, amended.filled);
        if release {
            let parent = amended.instructions.parent;
            self.release(amended, at);
            if let Some(parent) = parent {
                self.release_family(client, parent, at);
            }
            return Ok(());
        }
        self.commit(BookChange::Amended(Box::new(amended)));
        self.report(Report::Modified { client_order_id, limit, quantity }, at);
        if quantity == filled {
            self.end_order(perm_id, EndState::Filled, at);
        } else {
            self.go_on(perm_id, at);
        }
        Ok(())
    }
}
