//! Between the venue's words and ours. No field is invented: what one side doesn't say, the other
//! doesn't hear.

use exchange::{Exchange, order as venue_order, report as venue};
use market::quote::{Level, Quote, RawQuote};
use market::time::Timestamp;
use std::time::Duration;
use trading::id::{ExecId, OrderId, PermId};
use trading::lifecycle::{Delivery, LifecycleEvent, LifecycleId, LifecycleKind};
use trading::order::{Order, TimeInForce};
use trading::report::{
    Answer, ComboExecution, CompletedOrder, EndState, Fill, OpenOrder, Question, Report,
};

/// A quote as a data line words it.
pub fn raw_quote(quote: &Quote) -> RawQuote {
    let price = |level: Option<Level>| level.map_or(f64::NAN, |level| level.price.to_f64());
    let size = |level: Option<Level>| level.map_or(0.0, |level| f64::from(level.size));
    RawQuote {
        bid: price(quote.bid),
        ask: price(quote.ask),
        bid_size: size(quote.bid),
        ask_size: size(quote.ask),
        time: quote.time,
    }
}

/// Our order as the venue receives it.
pub fn new_order(order: &Order) -> venue_order::NewOrder {
    venue_order::NewOrder {
        client_order_id: order.order_id.0,
        reference: order.key.to_string(),
        contract: order.contract.clone(),
        side: order.side,
        quantity: order.quantity,
        limit: order.limit,
        time_in_force: match order.time_in_force {
            TimeInForce::Day => venue_order::TimeInForce::Day,
            TimeInForce::GoodTillCanceled => venue_order::TimeInForce::GoodTillCanceled,
            TimeInForce::ImmediateOrCancel => venue_order::TimeInForce::ImmediateOrCancel,
        },
    }
}

/// What the venue said, as our reports.
pub fn report(said: venue::Report) -> Vec<Report> {
    match said {
        venue::Report::Accepted { client_order_id, perm_id, reference } => {
            vec![Report::Acknowledged {
                order_id: OrderId(client_order_id),
                perm_id: PermId(perm_id),
                reference,
            }]
        }
        venue::Report::Rejected { client_order_id, code, text } => {
            vec![Report::Rejected { order_id: OrderId(client_order_id), code, text }]
        }
        venue::Report::Status { client_order_id, perm_id, filled, remaining } => {
            vec![Report::Status {
                order_id: OrderId(client_order_id),
                perm_id: PermId(perm_id),
                filled,
                remaining,
            }]
        }
        venue::Report::Executed(execution) => vec![Report::Execution(fill(&execution))],
        venue::Report::ComboExecuted(combo) => {
            vec![Report::ComboExecution(combo_execution(&combo))]
        }
        venue::Report::Fee { exec_id, amount, currency } => {
            vec![Report::Fee { exec_id: ExecId(exec_id), amount, currency }]
        }
        venue::Report::Ended { client_order_id, perm_id, end, filled: _ } => {
            vec![Report::Ended {
                order_id: OrderId(client_order_id),
                perm_id: PermId(perm_id),
                end: end_state(end),
            }]
        }
        venue::Report::Modified { client_order_id, limit, quantity } => {
            vec![Report::Modified { order_id: OrderId(client_order_id), limit, quantity }]
        }
        venue::Report::ModifyRejected { client_order_id, code, text: _ } => {
            vec![Report::ModifyRejected { order_id: OrderId(client_order_id), code }]
        }
        venue::Report::CancelRejected { client_order_id, code, text: _ } => {
            vec![Report::CancelRejected { order_id: OrderId(client_order_id), code }]
        }
        // Only orders with a trigger or a parent have stages; this port places none.
        venue::Report::Staged { .. } => Vec::new(),
        venue::Report::Event(event) => vec![Report::Lifecycle(lifecycle(&event))],
    }
}

/// The answer to a question, from the venue's books.
pub fn answer(question: Question, exchange: &Exchange) -> Answer {
    match question {
        Question::OpenOrders => {
            Answer::OpenOrders(exchange.open_orders().map(open_order).collect())
        }
        Question::CompletedOrders => {
            Answer::CompletedOrders(exchange.completed_orders().iter().map(completed).collect())
        }
        Question::Executions { since } => Answer::Executions(what_moved(exchange, since)),
        Question::Positions => {
            Answer::Positions { positions: exchange.positions(), cash: exchange.cash() }
        }
    }
}

/// How far back the venue tells executions and events: a week before the latest one. (IB tells the
/// present day's; a node that was down for longer than this has to be reconciled by a person.)
const TOLD: Duration = Duration::from_secs(7 * 86_400);

/// Executions with their fees, combos' lines and events, oldest first.
fn what_moved(exchange: &Exchange, since: Option<Timestamp>) -> Vec<Report> {
    let executed = exchange.executions(Timestamp::EPOCH).last().map(|last| last.time);
    let happened = exchange.events(Timestamp::EPOCH).last().map(|last| last.time);
    let kept = executed.max(happened).map_or(Timestamp::EPOCH, |latest| latest.minus(TOLD));
    let start = since.map_or(kept, |since| since.max(kept));
    let mut timed: Vec<(Timestamp, u8, Report)> = Vec::new();
    for combo in exchange.combo_executions(start) {
        timed.push((combo.time, 0, Report::ComboExecution(combo_execution(combo))));
    }
    for execution in exchange.executions(start) {
        timed.push((execution.time, 1, Report::Execution(fill(execution))));
        let fee = Report::Fee {
            exec_id: ExecId(execution.exec_id.clone()),
            amount: execution.fee,
            currency: execution.currency,
        };
        timed.push((execution.time, 2, fee));
    }
    for event in exchange.events(start) {
        timed.push((event.time, 3, Report::Lifecycle(lifecycle(event))));
    }
    timed.sort_by_key(|(time, rank, _)| (*time, *rank));
    timed.into_iter().map(|(_, _, report)| report).collect()
}

fn fill(execution: &venue::Execution) -> Fill {
    Fill {
        exec_id: ExecId(execution.exec_id.clone()),
        order_id: OrderId(execution.client_order_id),
        perm_id: PermId(execution.perm_id),
        reference: execution.reference.clone(),
        con_id: execution.con_id,
        side: execution.side,
        quantity: execution.quantity,
        price: execution.price,
        time: execution.time,
        combo_leg: execution.leg,
    }
}

fn combo_execution(combo: &venue::ComboExecution) -> ComboExecution {
    ComboExecution {
        exec_id: ExecId(combo.exec_id.clone()),
        order_id: OrderId(combo.client_order_id),
        perm_id: PermId(combo.perm_id),
        quantity: combo.quantity,
        price: combo.price,
    }
}

fn open_order(order: &venue_order::OpenOrder) -> OpenOrder {
    OpenOrder {
        order_id: OrderId(order.client_order_id),
        perm_id: PermId(order.perm_id),
        reference: order.reference.clone(),
        contract: order.contract.clone(),
        side: order.side,
        quantity: order.quantity,
        filled: order.filled,
        limit: order.limit,
    }
}

fn completed(order: &venue_order::CompletedOrder) -> CompletedOrder {
    CompletedOrder {
        perm_id: PermId(order.perm_id),
        reference: order.reference.clone(),
        end: end_state(order.end),
        filled: order.filled,
    }
}

const fn end_state(end: venue_order::EndState) -> EndState {
    match end {
        venue_order::EndState::Filled => EndState::Filled,
        venue_order::EndState::Canceled => EndState::Canceled,
        venue_order::EndState::Expired => EndState::Expired,
        venue_order::EndState::Rejected => EndState::Rejected,
    }
}

fn lifecycle(event: &venue::Event) -> LifecycleEvent {
    LifecycleEvent {
        id: LifecycleId(event.id.clone()),
        kind: lifecycle_kind(&event.kind),
        currency: event.currency,
        time: event.time,
    }
}

fn lifecycle_kind(kind: &venue::EventKind) -> LifecycleKind {
    let delivered = |delivery: &venue::Delivery| {
        Some(Delivery {
            con_id: delivery.con_id,
            quantity: delivery.quantity,
            price: delivery.price,
        })
    };
    match kind {
        venue::EventKind::OptionExpired { con_id, quantity } => {
            LifecycleKind::Expired { con_id: *con_id, quantity: *quantity }
        }
        venue::EventKind::Exercised { con_id, quantity, delivery } => LifecycleKind::Exercised {
            con_id: *con_id,
            quantity: *quantity,
            delivery: delivered(delivery),
        },
        venue::EventKind::Assigned { con_id, quantity, delivery } => LifecycleKind::Assigned {
            con_id: *con_id,
            quantity: *quantity,
            delivery: delivered(delivery),
        },
        venue::EventKind::CashSettled { con_id, quantity, amount } => {
            LifecycleKind::CashSettled { con_id: *con_id, quantity: *quantity, amount: *amount }
        }
        venue::EventKind::Dividend { con_id, amount } => {
            LifecycleKind::Dividend { con_id: *con_id, amount: *amount }
        }
        venue::EventKind::Variation { con_id, mark, amount } => {
            LifecycleKind::Variation { con_id: *con_id, mark: *mark, amount: *amount }
        }
        venue::EventKind::Cash { amount } => LifecycleKind::Cash { amount: *amount },
    }
}
