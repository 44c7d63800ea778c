//! Orders and executions: what clients ask of them, and what they are told.
//!
//! An order's answers come from the exchange's reports alone, so every client, and every session
//! after a restart, hears the same. Orders of the broker's own screen have negative numbers; they
//! are told with number 0 until client 0 binds them.

use super::{Connection, World};
use crate::message::order::*;
use crate::message::session::Empty;
use crate::message::{Request, Response};
use crate::ticket::{self, Told};
use crate::{catalog, stamp};
use exchange::exchange::Refusal;
use exchange::{
    ComboExecution, EndState, Exchange, Execution as VenueExecution, Instructions,
    OpenOrder as VenueOrder, Report, Request as ExchangeRequest, Stage, Ticket,
};
use market::money::{Price, Quantity};
use market::quote::Side;
use market::time::{Now, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// Completed orders are told for so long.
const COMPLETED_TOLD: Duration = Duration::from_secs(86_400);
const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// What each order has executed: units, their value, the last price.
#[derive(Clone, Debug, Default)]
pub struct Averages(BTreeMap<i64, (i64, i128, Price)>);

impl Averages {
    /// As the books have it.
    pub fn of_books(exchange: &Exchange) -> Self {
        let mut averages = Self::default();
        for one in exchange.executions(Timestamp::EPOCH).iter().filter(|one| !one.leg) {
            averages.add(one.perm_id, one.quantity, one.price);
        }
        for one in exchange.combo_executions(Timestamp::EPOCH) {
            averages.add(one.perm_id, one.quantity, one.price);
        }
        averages
    }

    fn add(&mut self, perm_id: i64, quantity: Quantity, price: Price) {
        let entry = self.0.entry(perm_id).or_default();
        entry.0 += quantity.0;
        entry.1 += i128::from(quantity.0) * i128::from(price.micros());
        entry.2 = price;
    }

    /// The average price and the last.
    fn prices(&self, perm_id: i64) -> (f64, f64) {
        let Some((units, value, last)) = self.0.get(&perm_id) else { return (0.0, 0.0) };
        let average = *value as f64 / (*units).max(1) as f64 / 1e6;
        (crate::bars::cents(average), last.to_f64())
    }

    fn units(&self, perm_id: i64) -> i64 {
        self.0.get(&perm_id).map_or(0, |(units, _, _)| *units)
    }
}

impl World {
    pub(super) fn serve_order(
        &mut self,
        connection: Connection,
        client: i32,
        request: Request,
        now: Now,
    ) {
        match request {
            // While the broker can't be reached, what is asked about orders is lost on the way.
            Request::PlaceOrder(_) | Request::CancelOrder(_) | Request::GlobalCancel(_)
                if self.faults.outage.is_some() => {}
            Request::PlaceOrder(request) => self.place(connection, client, &request, now),
            Request::CancelOrder(request) => {
                self.cancel(connection, client, request.order_id, now);
            }
            Request::GlobalCancel(_) => {
                // Children first: a parent takes those that still wait for it along, and what has
                // ended can't be canceled.
                let mut working: Vec<(bool, i32, i64)> = self
                    .exchange
                    .open_orders()
                    .map(|order| {
                        let Instructions { parent, client, .. } = &order.instructions;
                        (parent.is_none(), *client, order.client_order_id)
                    })
                    .collect();
                working.sort_unstable();
                for (_, client, client_order_id) in working {
                    let cancel = ExchangeRequest::CancelFor { client, client_order_id };
                    self.exchange.on_request(cancel, now.market);
                    self.hear_exchange(now);
                }
            }
            Request::OpenOrders(_) => {
                self.bind_if_first(connection, client, now);
                self.tell_open_orders(connection, Some(client), now);
            }
            Request::AllOpenOrders(_) => {
                // From here on the client's own numbers go on above all that it has been shown.
                let shown = self.exchange.open_orders().map(|order| order.client_order_id).max();
                if let Some(number) = shown.filter(|number| *number > 0) {
                    self.exchange.see_number(client, number);
                }
                self.tell_open_orders(connection, None, now);
            }
            Request::AutoOpenOrders(request) => {
                if client != 0 {
                    let text = "Error validating request: only client 0 can bind manual orders";
                    self.error(connection, -1, 321, text, now);
                    return;
                }
                if let Some(session) = self.sessions.get_mut(&connection) {
                    session.auto_bind = request.auto_bind;
                }
                self.bind_if_first(connection, client, now);
            }
            Request::CompletedOrders(request) => {
                self.tell_completed(connection, request.api_only, now);
            }
            Request::Executions(request) => self.tell_executions(connection, &request, now),
            Request::ExerciseOptions(request) => {
                let text = "Error processing request: exercise on request is not simulated";
                self.error(connection, request.order_id, 322, text, now);
            }
            _ => {}
        }
    }

    pub(super) fn refuse(&mut self, connection: Connection, id: i32, refusal: &Refusal, now: Now) {
        let code = i32::try_from(refusal.code).unwrap_or(321);
        self.error(connection, id, code, &refusal.text, now);
    }

    fn place(
        &mut self,
        connection: Connection,
        client: i32,
        request: &PlaceOrderRequest,
        now: Now,
    ) {
        let id = request.order_id;
        let account = self.settings.account.clone();
        let ticket = match ticket::ticket_of(&self.exchange, client, &account, request, now.market)
        {
            Ok(ticket) => ticket,
            Err(refusal) => return self.refuse(connection, id, &refusal, now),
        };
        if request.order.what_if {
            return self.preview(connection, request, &ticket, now);
        }
        let number = i64::from(id);
        let works = self.exchange.working_order(client, number).is_some();
        // Only the broker's own screen gives numbers below 1; who has one bound may modify it.
        if number < 1 && !works {
            let text = format!("Error validating request: {id} is no order id");
            return self.error(connection, id, 321, &text, now);
        }
        let request = if works {
            ExchangeRequest::Amend(Box::new(ticket))
        } else if self.ended(client, number) == Some(EndState::Filled) {
            return self.error(connection, id, 104, "Cannot modify a filled order.", now);
        } else {
            ExchangeRequest::SubmitTicket(Box::new(ticket))
        };
        self.exchange.on_request(request, now.market);
        self.hear_exchange(now);
    }

    fn ended(&self, client: i32, number: i64) -> Option<EndState> {
        // A number that goes on above all used ones, as of every new order, needs no search.
        if number >= self.exchange.next_order_id_of(client) {
            return None;
        }
        let mut completed = self.exchange.completed_orders().iter().rev();
        let found =
            completed.find(|order| order.client == client && order.client_order_id == number);
        found.map(|order| order.end)
    }

    fn preview(
        &mut self,
        connection: Connection,
        request: &PlaceOrderRequest,
        ticket: &Ticket,
        now: Now,
    ) {
        let id = request.order_id;
        match self.exchange.preview(ticket, now.market) {
            Ok(preview) => {
                let mut order = request.order.clone();
                order.order_id = id;
                order.client_id = ticket.instructions.client;
                order.account.clone_from(&self.settings.account);
                let open = OpenOrder {
                    order_id: id,
                    contract: request.contract.clone(),
                    order,
                    state: ticket::previewed(&preview),
                };
                self.send(connection, Response::OpenOrder(Box::new(open)), now);
            }
            Err(refusal) => self.refuse(connection, id, &refusal, now),
        }
    }

    fn cancel(&mut self, connection: Connection, client: i32, id: i32, now: Now) {
        let number = i64::from(id);
        if self.exchange.working_order(client, number).is_none() {
            let (code, text) = match self.ended(client, number) {
                Some(EndState::Filled) => {
                    (10148, "that needs to be cancelled can not be cancelled, state: Filled.")
                }
                Some(_) => (161, "is not in a cancellable state."),
                None => (10147, "that needs to be cancelled is not found."),
            };
            let text = format!("OrderId {id} {text}");
            self.error(connection, id, code, &text, now);
            return;
        }
        let cancel = ExchangeRequest::CancelFor { client, client_order_id: number };
        self.exchange.on_request(cancel, now.market);
        self.hear_exchange(now);
    }

    /// Client 0 is told of manual orders by their numbers from here on.
    fn bind_if_first(&mut self, connection: Connection, client: i32, now: Now) {
        if client != 0 {
            return;
        }
        let manual: Vec<(i64, i64)> = self
            .exchange
            .open_orders()
            .filter(|order| order.client_order_id < 0)
            .map(|order| (order.perm_id, order.client_order_id))
            .collect();
        for (perm_id, number) in manual {
            let order_id = ticket::number(number);
            let bound = OrderBound { perm_id, client_id: 0, order_id };
            self.send(connection, Response::OrderBound(bound), now);
        }
    }

    /// Whether the session of this connection hears of `order`.
    fn hears(&self, connection: Connection, client: i32, client_order_id: i64) -> bool {
        let Some(session) = self.sessions.get(&connection) else { return false };
        let master = session.client.is_some() && session.client == self.settings.master_client;
        let own = session.client == Some(client) && (client_order_id > 0 || session.auto_bind);
        master || own
    }

    fn hearers(&self, client: i32, client_order_id: i64) -> Vec<Connection> {
        let all = self.connections(None).into_iter();
        all.filter(|connection| self.hears(*connection, client, client_order_id)).collect()
    }

    /// Tells what the exchange has reported. While the broker can't be reached it is lost.
    pub(super) fn hear_exchange(&mut self, now: Now) {
        let mut moved = false;
        for (client, report) in self.exchange.take_addressed(Timestamp::MAX) {
            match &report {
                Report::Executed(one) if !one.leg && one.exec_id.ends_with(".01") => {
                    self.averages.add(one.perm_id, one.quantity, one.price);
                }
                // A correction takes the place of what was added before.
                Report::Executed(one) if !one.leg => {
                    self.averages = Averages::of_books(&self.exchange);
                }
                Report::ComboExecuted(one) => {
                    self.averages.add(one.perm_id, one.quantity, one.price);
                }
                _ => {}
            }
            moved |= matches!(report, Report::Executed(_) | Report::Event(_));
            if self.faults.outage.is_none() {
                self.tell_report(client, &report, now);
            }
        }
        if moved && self.faults.outage.is_none() {
            self.tell_account_changes(now);
        }
    }

    fn tell_report(&mut self, client: i32, report: &Report, now: Now) {
        match report {
            Report::Accepted { perm_id, .. } | Report::Staged { perm_id, .. } => {
                self.tell_order(*perm_id, None, Quantity::ZERO, now);
            }
            Report::Status { perm_id, filled, .. } => {
                self.tell_order(*perm_id, None, *filled, now);
            }
            Report::Ended { perm_id, end, filled, .. } => {
                self.tell_order(*perm_id, Some(*end), *filled, now);
            }
            Report::Modified { client_order_id, .. } => {
                let order = self.exchange.working_order(client, *client_order_id);
                if let Some((perm_id, filled)) = order.map(|order| (order.perm_id, order.filled)) {
                    self.tell_order(perm_id, None, filled, now);
                }
            }
            Report::Rejected { client_order_id, code, text }
            | Report::ModifyRejected { client_order_id, code, text }
            | Report::CancelRejected { client_order_id, code, text } => {
                let refusal = Refusal { code: *code, text: text.clone() };
                for connection in self.hearers(client, *client_order_id) {
                    self.refuse(connection, ticket::number(*client_order_id), &refusal, now);
                }
            }
            Report::Executed(one) => {
                let details = self.execution(-1, one, &self.averages);
                self.tell_execution(client, one.client_order_id, details, now);
            }
            Report::ComboExecuted(one) => {
                let details = self.combo_execution(-1, one, &self.averages);
                self.tell_execution(client, one.client_order_id, details, now);
            }
            Report::Fee { exec_id, amount, currency } => {
                let mut executions = self.exchange.executions(Timestamp::EPOCH).iter().rev();
                let of = executions.find(|one| one.exec_id == *exec_id);
                let number = of.map_or(1, |one| one.client_order_id);
                let report = CommissionReport {
                    exec_id: exec_id.clone(),
                    commission: amount.to_f64(),
                    currency: currency.code().to_owned(),
                    realized_pnl: of.and_then(realised),
                };
                for connection in self.hearers(client, number) {
                    self.send(connection, Response::CommissionReport(report.clone()), now);
                }
            }
            Report::Event(_) => {}
        }
    }

    fn tell_execution(&mut self, client: i32, number: i64, details: ExecutionDetails, now: Now) {
        for connection in self.hearers(client, number) {
            self.send(connection, Response::ExecutionDetails(Box::new(details.clone())), now);
        }
    }

    fn tell_order(&mut self, perm_id: i64, end: Option<EndState>, filled: Quantity, now: Now) {
        let Some(order) = self.exchange.order(perm_id).cloned() else { return };
        for connection in self.hearers(order.instructions.client, order.client_order_id) {
            self.send_order(connection, &order, end, filled, now);
            if matches!(end, Some(EndState::Canceled | EndState::Expired)) {
                let id = ticket::number(order.client_order_id);
                self.error(connection, id, 202, "Order Canceled - reason:", now);
            }
        }
    }

    fn send_order(
        &mut self,
        connection: Connection,
        order: &VenueOrder,
        end: Option<EndState>,
        filled: Quantity,
        now: Now,
    ) {
        let Told { mut order_id, contract, order: mut told } =
            ticket::told(&self.exchange, &self.settings.account, order);
        let session = self.sessions.get(&connection);
        let is_first = session.is_some_and(|session| session.client == Some(0));
        if order_id < 0 && !is_first {
            (order_id, told.order_id) = (0, 0);
        }
        let status = end.map_or(ticket::working_status(order.stage), ticket::end_status);
        let state = OrderState { status: status.to_owned(), ..OrderState::default() };
        let parent_id = told.parent_id;
        let open = OpenOrder { order_id, contract, order: told, state };
        let (average, last) = self.averages.prices(order.perm_id);
        let none_filled = filled.is_zero();
        let line = OrderStatus {
            order_id,
            status: status.to_owned(),
            filled: filled.to_string(),
            remaining: (order.quantity - filled).to_string(),
            average_fill_price: if none_filled { 0.0 } else { average },
            perm_id: order.perm_id,
            parent_id,
            last_fill_price: if none_filled { 0.0 } else { last },
            client_id: order.instructions.client,
            why_held: if end.is_some() { String::new() } else { why_held(order) },
            market_cap_price: 0.0,
        };
        self.send(connection, Response::OpenOrder(Box::new(open)), now);
        self.send(connection, Response::OrderStatus(line), now);
    }

    fn tell_open_orders(&mut self, connection: Connection, of: Option<i32>, now: Now) {
        let wanted = |order: &&VenueOrder| of.is_none_or(|id| order.instructions.client == id);
        let mut orders = self.known_orders();
        orders.retain(|order| wanted(&order));
        for order in orders {
            self.send_order(connection, &order, None, order.filled, now);
        }
        self.send(connection, Response::OpenOrdersEnd(Empty {}), now);
    }

    fn tell_completed(&mut self, connection: Connection, api_only: bool, now: Now) {
        let (since, until) = (now.market.minus(COMPLETED_TOLD), self.known_until());
        let mut answers = Vec::new();
        for one in self.exchange.completed_orders() {
            let told = one.time >= since && one.time <= until;
            let Some(order) = one.order.as_deref().filter(|_| told) else { continue };
            if api_only && one.client_order_id < 0 {
                continue;
            }
            let told = ticket::told(&self.exchange, &self.settings.account, order);
            let mut worded = told.order;
            // As IB tells it: what is left of the order, under no number of any client.
            worded.total_quantity = (order.quantity - one.filled).to_string();
            worded.filled_quantity = one.filled.to_string();
            (worded.order_id, worded.client_id) = (0, 0);
            let state = OrderState {
                status: ticket::end_status(one.end).to_owned(),
                completed_time: stamp::with_zone(one.time),
                completed_status: match one.end {
                    EndState::Filled => format!("Filled Size: {}", one.filled),
                    EndState::Canceled => "Cancelled by Trader".to_owned(),
                    EndState::Expired => "Expired".to_owned(),
                    EndState::Rejected => "Rejected".to_owned(),
                },
                ..OrderState::default()
            };
            answers.push(CompletedOrder { contract: told.contract, order: worded, state });
        }
        for answer in answers {
            self.send(connection, Response::CompletedOrder(Box::new(answer)), now);
        }
        self.send(connection, Response::CompletedOrdersEnd(Empty {}), now);
    }

    fn execution(
        &self,
        req_id: i32,
        one: &VenueExecution,
        averages: &Averages,
    ) -> ExecutionDetails {
        let instrument = self.exchange.instrument(one.con_id);
        let contract = instrument.map(catalog::contract_of).unwrap_or_default();
        let exchange = instrument.map(|one| one.exchange.clone()).unwrap_or_default();
        let (average, cumulative) = if one.leg {
            (one.price.to_f64(), one.quantity.0)
        } else {
            (averages.prices(one.perm_id).0, averages.units(one.perm_id))
        };
        let execution = Execution {
            order_id: ticket::number(one.client_order_id),
            exec_id: one.exec_id.clone(),
            time: stamp::with_zone(one.time),
            account: self.settings.account.clone(),
            exchange,
            side: side(one.side).to_owned(),
            shares: one.quantity.to_string(),
            price: one.price.to_f64(),
            perm_id: one.perm_id,
            client_id: self.exchange.client_of(one.perm_id),
            cumulative_quantity: cumulative.to_string(),
            average_price: average,
            order_ref: one.reference.clone(),
            last_liquidity: 2,
            ..Execution::default()
        };
        ExecutionDetails { req_id, contract, execution }
    }

    fn combo_execution(
        &self,
        req_id: i32,
        one: &ComboExecution,
        averages: &Averages,
    ) -> ExecutionDetails {
        let order = self.exchange.order(one.perm_id);
        let told = order.map(|order| ticket::told(&self.exchange, &self.settings.account, order));
        let execution = Execution {
            order_id: ticket::number(one.client_order_id),
            exec_id: one.exec_id.clone(),
            time: stamp::with_zone(one.time),
            account: self.settings.account.clone(),
            exchange: "SMART".to_owned(),
            side: side(one.side).to_owned(),
            shares: one.quantity.to_string(),
            price: one.price.to_f64(),
            perm_id: one.perm_id,
            client_id: self.exchange.client_of(one.perm_id),
            cumulative_quantity: averages.units(one.perm_id).to_string(),
            average_price: averages.prices(one.perm_id).0,
            order_ref: one.reference.clone(),
            last_liquidity: 2,
            ..Execution::default()
        };
        ExecutionDetails {
            req_id,
            contract: told.map(|told| told.contract).unwrap_or_default(),
            execution,
        }
    }

    fn tell_executions(&mut self, connection: Connection, request: &ExecutionsRequest, now: Now) {
        let filter = request.filter.clone().unwrap_or_default();
        let today = now.market.nanos() - now.market.nanos().rem_euclid(NANOS_PER_DAY);
        let days = i64::from(filter.last_days.unwrap_or(1).clamp(1, 7)) - 1;
        let midnight = Timestamp::from_nanos(today - days * NANOS_PER_DAY);
        let since = if filter.time.is_empty() {
            midnight
        } else if let Some(since) = stamp::parse(&filter.time) {
            since
        } else {
            let text = format!("Error validating request: time `{}`", filter.time);
            return self.error(connection, request.req_id, 321, &text, now);
        };
        let until = self.known_until();
        let is_told = |time: Timestamp| time >= since && time <= until;
        // What an order had executed by then, not by now.
        let mut averages = Averages::default();
        let mut all = Vec::new();
        for one in self.exchange.combo_executions(Timestamp::EPOCH) {
            averages.add(one.perm_id, one.quantity, one.price);
            if is_told(one.time) {
                all.push((self.combo_execution(request.req_id, one, &averages), None));
            }
        }
        for one in self.exchange.executions(Timestamp::EPOCH) {
            if !one.leg {
                averages.add(one.perm_id, one.quantity, one.price);
            }
            if is_told(one.time) {
                let paid = (one.fee, one.currency, realised(one));
                all.push((self.execution(request.req_id, one, &averages), Some(paid)));
            }
        }
        all.retain(|(details, _)| passes(details, &filter));
        all.sort_by(|one, other| one.0.execution.exec_id.cmp(&other.0.execution.exec_id));
        for (details, fee) in all {
            let exec_id = details.execution.exec_id.clone();
            self.send(connection, Response::ExecutionDetails(Box::new(details)), now);
            let Some((amount, currency, realized_pnl)) = fee else { continue };
            let report = CommissionReport {
                exec_id,
                commission: amount.to_f64(),
                currency: currency.code().to_owned(),
                realized_pnl,
            };
            self.send(connection, Response::CommissionReport(report), now);
        }
        let end = ExecutionDetailsEnd { req_id: request.req_id };
        self.send(connection, Response::ExecutionDetailsEnd(end), now);
    }
}

/// What the execution realised, its own fee taken off, if it closed anything.
fn realised(one: &VenueExecution) -> Option<f64> {
    one.realised.map(|amount| (amount - one.fee).to_f64())
}

/// What a working order waits for.
fn why_held(order: &VenueOrder) -> String {
    let is_stop = order.instructions.kind.trigger().is_some();
    match (order.stage, is_stop) {
        (Stage::Working, _) | (Stage::Held, false) => "",
        (Stage::AwaitsParent, false) => "child",
        (Stage::AwaitsParent, true) => "child,trigger",
        (Stage::AwaitsTrigger | Stage::Held, _) => "trigger",
    }
    .to_owned()
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "BOT",
        Side::Sell => "SLD",
    }
}

fn passes(details: &ExecutionDetails, filter: &ExecutionFilter) -> bool {
    let (contract, execution) = (&details.contract, &details.execution);
    let says = |wish: &str, is: &str| wish.is_empty() || wish.eq_ignore_ascii_case(is);
    let wanted_side = match filter.side.to_ascii_uppercase().as_str() {
        "BUY" => "BOT",
        "SELL" => "SLD",
        _ => "",
    };
    (filter.client_id == 0 || filter.client_id == execution.client_id)
        && says(&filter.account, &execution.account)
        && says(&filter.symbol, &contract.symbol)
        && says(&filter.sec_type, &contract.sec_type)
        && (says(&filter.exchange, &execution.exchange) || filter.exchange == "SMART")
        && says(wanted_side, &execution.side)
}
