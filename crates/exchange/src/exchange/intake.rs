//! Requests as they arrive: validation, margin, acceptance, modifies and cancels.
//!
//! Refusals carry IB's codes: 103 number used, 104 not working, 110 price increment, 200 no such
//! (or no longer) contract, 201 rejected (margin, not tradable), 321 the request itself is not
//! valid, 387 no such kind of order for this contract, 10006 no such parent, 10147 unknown to
//! cancel, 10148 too late to cancel. Triggers, parents and groups are in `linked`.

use super::{Exchange, Line};
use crate::books::BookChange;
use crate::margin::{Holding, MarginRule};
use crate::order::{CompletedOrder, EndState, Instructions, NewOrder, OpenOrder, Request};
use crate::report::Report;
use market::instrument::{ConId, Contract, Instrument, InstrumentKind};
use market::money::{Money, Price, Quantity};
use market::time::Timestamp;
use std::collections::BTreeMap;

/// Beyond these a request is taken for a mistake; they also keep every product in range.
const MOST_UNITS: i64 = 1_000_000;
const HIGHEST_LIMIT: Price = Price::from_units(10_000_000);

/// Why a request is refused, in IB's code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// IB's code.
    pub code: u32,
    /// The reason.
    pub text: String,
}

pub(super) fn refuse<T>(code: u32, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, text: text.into() })
}

impl Exchange {
    pub(super) fn receive(&mut self, request: Request, at: Timestamp) {
        self.speaker = match &request {
            Request::SubmitTicket(ticket) | Request::Amend(ticket) => ticket.instructions.client,
            Request::CancelFor { client, .. } => *client,
            Request::Submit(_) | Request::Modify { .. } | Request::Cancel { .. } => 0,
        };
        match request {
            Request::Submit(order) => self.submit(order, Instructions::default(), at),
            Request::SubmitTicket(ticket) => self.submit(ticket.order, ticket.instructions, at),
            Request::Amend(ticket) => {
                let client_order_id = ticket.order.client_order_id;
                if let Err(Refusal { code, text }) = self.amend(*ticket, at) {
                    self.report(Report::ModifyRejected { client_order_id, code, text }, at);
                }
            }
            Request::Modify { client_order_id, limit, quantity } => {
                if let Err(Refusal { code, text }) =
                    self.modify(client_order_id, limit, quantity, at)
                {
                    self.report(Report::ModifyRejected { client_order_id, code, text }, at);
                }
            }
            Request::Cancel { client_order_id } => self.cancel(0, client_order_id, at),
            Request::CancelFor { client, client_order_id } => {
                self.cancel(client, client_order_id, at);
            }
        }
    }

    fn submit(&mut self, order: NewOrder, instructions: Instructions, at: Timestamp) {
        let client_order_id = order.client_order_id;
        if let Err(Refusal { code, text }) = self.admit(&order, &instructions, at) {
            if code != 103 {
                self.commit(BookChange::Refused(CompletedOrder {
                    perm_id: 0,
                    client_order_id,
                    reference: order.reference,
                    end: EndState::Rejected,
                    filled: Quantity::ZERO,
                    time: at,
                    client: instructions.client,
                    order: None,
                }));
            }
            self.report(Report::Rejected { client_order_id, code, text }, at);
            return;
        }
        let legs = order.contract.legs();
        for leg in &legs {
            self.reference(leg.con_id);
        }
        let perm_id = self.books.next_perm_id;
        let reference = order.reference.clone();
        let stage = self.stage_of(&instructions);
        let parent = instructions.parent.filter(|_| !instructions.held);
        let client = instructions.client;
        self.commit(BookChange::Accepted(OpenOrder {
            perm_id,
            client_order_id,
            reference: order.reference,
            contract: order.contract,
            side: order.side,
            quantity: order.quantity,
            filled: Quantity::ZERO,
            limit: order.limit,
            time_in_force: order.time_in_force,
            accepted: at,
            priority: self.books.next_priority,
            tallies: BTreeMap::new(),
            instructions,
            stage,
        }));
        for leg in &legs {
            self.lines.entry(leg.con_id).or_insert_with(Line::new).orders.push(perm_id);
        }
        self.report(Report::Accepted { client_order_id, perm_id, reference }, at);
        if let Some(parent) = parent {
            self.release_family(client, parent, at);
        }
        self.go_on(perm_id, at);
    }

    /// Copies the terms of an instrument, and of what it is written on, into the books.
    fn reference(&mut self, con_id: ConId) {
        let Some(instrument) = self.catalog.get(&con_id).cloned() else {
            return;
        };
        let underlying = instrument.option().map(|terms| terms.underlying);
        if !self.books.instruments.contains_key(&con_id) {
            self.commit(BookChange::Referenced(instrument));
        }
        if let Some(underlying) = underlying {
            self.reference(underlying);
        }
    }

    pub(super) fn admit(
        &self,
        order: &NewOrder,
        instructions: &Instructions,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let (client, number) = (instructions.client, order.client_order_id);
        let used = if number < 0 {
            self.working(client, number).is_some()
        } else {
            number <= self.books.highest_number(client)
        };
        if used {
            return refuse(103, "Duplicate order id");
        }
        self.check_order(order, instructions, at)
    }

    /// All checks but the number's.
    pub(super) fn check_order(
        &self,
        order: &NewOrder,
        instructions: &Instructions,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        for leg in order.contract.legs() {
            let Some(instrument) = self.catalog.get(&leg.con_id) else {
                return refuse(200, format!("No security definition for con id {}", leg.con_id));
            };
            self.tradable(instrument, at)?;
        }
        self.check_kind(order, instructions, at)?;
        // A child closes what its parent opens, so it asks for no margin of its own.
        if instructions.parent.is_some() {
            return Ok(());
        }
        let price = self.margin_price(order, instructions.kind);
        self.check_margin(&order.contract, order.side.sign() * order.quantity.0, price)
    }

    fn tradable(&self, instrument: &Instrument, at: Timestamp) -> Result<(), Refusal> {
        let name = &instrument.local_symbol;
        if instrument.last_trade().is_some_and(|last_trade| at >= last_trade) {
            return refuse(200, format!("{name} has expired"));
        }
        if matches!(instrument.kind, InstrumentKind::Index) {
            return refuse(201, format!("Order rejected - reason: {name} is not tradable"));
        }
        let underlying = instrument.option().map(|terms| terms.underlying);
        if underlying.is_some_and(|underlying| !self.catalog.contains_key(&underlying)) {
            return refuse(200, format!("No security definition for what {name} is written on"));
        }
        Ok(())
    }

    pub(super) fn check_terms(
        &self,
        contract: &Contract,
        limit: Price,
        quantity: Quantity,
    ) -> Result<(), Refusal> {
        self.check_size(contract, quantity)?;
        self.check_price(contract, limit)
    }

    pub(super) fn check_size(
        &self,
        contract: &Contract,
        quantity: Quantity,
    ) -> Result<(), Refusal> {
        if !(1..=MOST_UNITS).contains(&quantity.0) {
            return refuse(321, format!("Order size {quantity} is not from 1 to {MOST_UNITS}"));
        }
        let legs = contract.legs();
        let known = legs.iter().filter_map(|leg| self.catalog.get(&leg.con_id));
        let instruments: Vec<&Instrument> = known.collect();
        if instruments.windows(2).any(|pair| pair[0].currency != pair[1].currency) {
            return refuse(321, "The legs of a combo have one currency");
        }
        if legs.iter().any(|leg| i64::from(leg.ratio).abs() > 1_000) {
            return refuse(321, "A leg ratio is beyond 1000");
        }
        Ok(())
    }

    pub(super) fn check_price(&self, contract: &Contract, limit: Price) -> Result<(), Refusal> {
        if limit.abs() > HIGHEST_LIMIT {
            return refuse(321, format!("Limit {limit} is beyond {HIGHEST_LIMIT}"));
        }
        let legs = contract.legs();
        let known = legs.iter().filter_map(|leg| self.catalog.get(&leg.con_id));
        let instruments: Vec<&Instrument> = known.collect();
        let allowed = match contract {
            Contract::Single(_) if limit <= Price::ZERO => {
                return refuse(321, format!("Limit {limit} is not positive"));
            }
            Contract::Single(_) => instruments.iter().all(|one| one.tick.allows(limit)),
            // A combo's net price moves in the finest increment of any leg.
            Contract::Combo(_) => {
                let finest = instruments.iter().map(|one| one.tick.increment(Price::ZERO)).min();
                finest.is_some_and(|tick| limit.micros() % tick.micros() == 0)
            }
        };
        if !allowed {
            let text = "The price does not conform to the minimum price variation";
            return refuse(110, format!("{text}: {limit}"));
        }
        Ok(())
    }

    fn modify(
        &mut self,
        client_order_id: i64,
        limit: Price,
        quantity: Quantity,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(order) = self.working(0, client_order_id).cloned() else {
            return refuse(104, "Cannot modify an order that is not working");
        };
        let perm_id = order.perm_id;
        self.check_terms(&order.contract, limit, quantity)?;
        if quantity.0 < order.filled.0 {
            return refuse(104, format!("{} units are filled already", order.filled));
        }
        let more = quantity - order.quantity;
        if more.0 > 0 {
            self.check_margin(&order.contract, order.side.sign() * more.0, limit)?;
        }
        let keeps_place = limit == order.limit && more.0 <= 0;
        let priority = if keeps_place { order.priority } else { self.books.next_priority };
        self.commit(BookChange::Modified { perm_id, limit, quantity, priority });
        self.report(Report::Modified { client_order_id, limit, quantity }, at);
        if quantity == order.filled {
            self.end_order(perm_id, EndState::Filled, at);
        } else {
            self.match_arriving(perm_id, at);
        }
        Ok(())
    }

    fn cancel(&mut self, client: i32, client_order_id: i64, at: Timestamp) {
        if let Some(order) = self.working(client, client_order_id) {
            self.end_order(order.perm_id, EndState::Canceled, at);
            return;
        }
        let seen = client_order_id <= self.books.highest_number(client);
        let (code, text) = if seen {
            (10148, "The order can't be cancelled, it has ended")
        } else {
            (10147, "The order to cancel is not found")
        };
        self.report(Report::CancelRejected { client_order_id, code, text: text.to_owned() }, at);
    }

    pub(super) fn working(&self, client: i32, client_order_id: i64) -> Option<&OpenOrder> {
        let is_it = |order: &&OpenOrder| {
            order.client_order_id == client_order_id && order.instructions.client == client
        };
        self.books.open.values().find(is_it)
    }

    /// Ends a working order; one that has ended already is left alone.
    pub(super) fn end_order(&mut self, perm_id: i64, end: EndState, at: Timestamp) {
        let Some(order) = self.books.open.get(&perm_id) else {
            return;
        };
        let (client_order_id, filled) = (order.client_order_id, order.filled);
        let client = order.instructions.client;
        for leg in order.contract.legs() {
            if let Some(line) = self.lines.get_mut(&leg.con_id) {
                line.orders.retain(|other| *other != perm_id);
            }
        }
        self.commit(BookChange::Ended { perm_id, end, time: at });
        self.report_to(client, Report::Ended { client_order_id, perm_id, end, filled }, at);
        self.settle_children(client, client_order_id, end, filled, at);
    }

    /// Refuses `units` (signed) more of `contract` if the account can't carry them, alone or with
    /// all that works. What lowers the requirement of the positions always passes.
    pub(super) fn check_margin(
        &self,
        contract: &Contract,
        units: i64,
        limit: Price,
    ) -> Result<(), Refusal> {
        let held: BTreeMap<ConId, i64> =
            self.positions().iter().map(|(con_id, quantity)| (*con_id, quantity.0)).collect();
        let mut limits = BTreeMap::new();
        if let Contract::Single(con_id) = contract {
            limits.insert(*con_id, limit);
        }
        let mut alone = held.clone();
        add(&mut alone, contract, units);
        let mut with_working = alone.clone();
        let counted = |order: &&OpenOrder| order.instructions.parent.is_none();
        for order in self.books.open.values().filter(counted) {
            add(&mut with_working, &order.contract, order.side.sign() * order.remaining().0);
        }
        let before = self.requirement(&held, &limits);
        let with_it = self.requirement(&alone, &limits);
        let most = with_it.max(self.requirement(&with_working, &limits));
        let equity = self.equity();
        if with_it < before || most <= equity {
            return Ok(());
        }
        let reason = "Order rejected - reason: the account has not enough equity";
        refuse(201, format!("{reason}: margin {most} of {equity}"))
    }

    fn requirement(&self, held: &BTreeMap<ConId, i64>, limits: &BTreeMap<ConId, Price>) -> Money {
        self.requirement_by(&self.config.margin, held, limits)
    }

    /// What `held` requires by `rule`; what has no mark counts at its price in `limits`.
    pub(super) fn requirement_by(
        &self,
        rule: &MarginRule,
        held: &BTreeMap<ConId, i64>,
        limits: &BTreeMap<ConId, Price>,
    ) -> Money {
        let price = |con_id: ConId| {
            let known = self.mark(con_id).or_else(|| self.cost_price(con_id));
            known.or_else(|| limits.get(&con_id).copied())
        };
        let holdings: Vec<Holding<'_>> = held
            .iter()
            .filter(|(_, quantity)| **quantity != 0)
            .filter_map(|(con_id, quantity)| {
                let instrument = self.catalog.get(con_id)?;
                Some(Holding {
                    instrument,
                    quantity: Quantity(*quantity),
                    mark: price(*con_id).unwrap_or(Price::ZERO),
                    years: instrument
                        .last_trade()
                        .map_or(0.0, |last_trade| self.clock.years_until(last_trade)),
                    underlying_mark: instrument.option().and_then(|terms| price(terms.underlying)),
                })
            })
            .collect();
        rule.requirement(&holdings)
    }

    /// Cash and every position at its mark; a future counts with what its next variation would pay.
    #[must_use]
    pub fn equity(&self) -> Money {
        let mut equity: Money = self.books.cash.values().copied().sum();
        for (con_id, position) in &self.books.positions {
            let Ok(instrument) = self.books.terms(*con_id) else {
                continue;
            };
            if position.quantity.is_zero() {
                continue;
            }
            let marked = self.mark(*con_id);
            let value = marked
                .map_or(position.cost, |mark| mark.value(position.quantity, instrument.multiplier));
            equity += value;
            if instrument.is_margined_daily() {
                equity -= position.cost;
            }
        }
        equity
    }

    fn cost_price(&self, con_id: ConId) -> Option<Price> {
        let position = self.books.positions.get(&con_id)?;
        let units = self.books.terms(con_id).ok()?.multiplier.0;
        let contracts = position.quantity.0.checked_mul(i64::from(units))?;
        (contracts != 0).then(|| Price::from_micros(position.cost.micros() / contracts))
    }
}

pub(super) fn add(held: &mut BTreeMap<ConId, i64>, contract: &Contract, units: i64) {
    for leg in contract.legs() {
        *held.entry(leg.con_id).or_default() += i64::from(leg.ratio) * units;
    }
}
