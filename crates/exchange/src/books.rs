//! The exchange's own books: orders, executions, events, positions, cash. A fold of
//! [`BookChange`]s.
//!
//! The live exchange and a restored one run the same [`Books::apply`], so what is on disk is what
//! is in memory. All arithmetic of positions and cash is here, in integers. Method: average cost,
//! realised on closing, fees apart; premium of an option that ends is realised at its end; a future
//! is carried at its last mark, so its realised profit is the sum of its variations.

use crate::day::DayEnd;
use crate::fees::FeeTally;
use crate::order::{CompletedOrder, EndState, OpenOrder, Stage};
use crate::report::{ComboExecution, Delivery, Event, EventKind, Execution};
use market::instrument::{ConId, Instrument};
use market::money::{Currency, Money, Price, Quantity};
use market::time::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first number that the venue gives to an order.
const FIRST_PERM_ID: i64 = 900_001;

/// A position and what it stands in the books for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Signed contracts or shares.
    pub quantity: Quantity,
    /// Signed cost: what was paid for it (a future: its value at its last mark or trade price).
    pub cost: Money,
    /// Profit of what was closed, fees not deducted.
    pub realised: Money,
    /// Fees paid on this instrument.
    pub fees: Money,
}

/// One execution with the order's fee tally after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookedExecution {
    /// The execution.
    pub execution: Execution,
    /// The order's tally in this instrument from here on.
    pub tally: FeeTally,
}

/// One change of the books. The venue's files are lines of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BookChange {
    /// Everything so far, in place of all changes before it.
    Snapshot(Box<Books>),
    /// The account was opened.
    Opened {
        /// When; day ends are counted from here.
        time: Timestamp,
    },
    /// An instrument entered the books: the terms that positions and cash go by.
    Referenced(Instrument),
    /// An order was accepted.
    Accepted(OpenOrder),
    /// An order was refused.
    Refused(CompletedOrder),
    /// An order was modified.
    Modified {
        /// The order.
        perm_id: i64,
        /// The limit from here on.
        limit: Price,
        /// The total from here on.
        quantity: Quantity,
        /// Its place in time from here on.
        priority: u64,
    },
    /// An order was changed in more than limit and total.
    Amended(Box<OpenOrder>),
    /// An order came a stage further.
    Staged {
        /// The order.
        perm_id: i64,
        /// Where it is from here on.
        stage: Stage,
    },
    /// A client's order numbers go on above this one.
    NumbersSeen {
        /// The client.
        client: i32,
        /// The highest number that it has seen.
        number: i64,
    },
    /// An execution's price was corrected; its identity has another revision.
    Corrected {
        /// The identity so far.
        exec_id: String,
        /// The execution as it stands from here on.
        execution: Box<Execution>,
    },
    /// An order executed, in one instrument or in all legs of a combo.
    Executed {
        /// The order.
        perm_id: i64,
        /// Units of the order.
        units: Quantity,
        /// The combo's own line.
        combo: Option<ComboExecution>,
        /// One per leg.
        legs: Vec<BookedExecution>,
    },
    /// An order ended.
    Ended {
        /// The order.
        perm_id: i64,
        /// How.
        end: EndState,
        /// When.
        time: Timestamp,
    },
    /// Something happened without a trade.
    Event(Event),
    /// A dividend was announced.
    DividendAnnounced {
        /// The stock.
        con_id: ConId,
        /// The first day without it.
        ex_date: Date,
        /// Per share.
        amount: Price,
    },
    /// An exchange day ended and was worked off.
    DayEnded(DayEnd),
}

/// The books of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    pub(crate) instruments: BTreeMap<ConId, Instrument>,
    pub(crate) open: BTreeMap<i64, OpenOrder>,
    pub(crate) completed: Vec<CompletedOrder>,
    pub(crate) executions: Vec<Execution>,
    pub(crate) combos: Vec<ComboExecution>,
    pub(crate) events: Vec<Event>,
    pub(crate) positions: BTreeMap<ConId, Position>,
    pub(crate) cash: BTreeMap<Currency, Money>,
    pub(crate) fees: BTreeMap<Currency, Money>,
    pub(crate) dividends: BTreeMap<ConId, BTreeMap<Date, Price>>,
    pub(crate) highest_client_order_id: i64,
    /// The same for clients other than the first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) highest_by_client: BTreeMap<i32, i64>,
    pub(crate) next_perm_id: i64,
    pub(crate) next_priority: u64,
    pub(crate) next_execution: u32,
    pub(crate) last_day_end: Timestamp,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            instruments: BTreeMap::new(),
            open: BTreeMap::new(),
            completed: Vec::new(),
            executions: Vec::new(),
            combos: Vec::new(),
            events: Vec::new(),
            positions: BTreeMap::new(),
            cash: BTreeMap::new(),
            fees: BTreeMap::new(),
            dividends: BTreeMap::new(),
            highest_client_order_id: 0,
            highest_by_client: BTreeMap::new(),
            next_perm_id: FIRST_PERM_ID,
            next_priority: 1,
            next_execution: 1,
            last_day_end: Timestamp::EPOCH,
        }
    }
}

/// A change that does not fit the books it is applied to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// It names an order that does not work.
    #[error("order {0} is not working; lines before this one are missing")]
    Order(i64),
    /// It names an instrument whose terms are not in the books.
    #[error("{0:?} is not in the books; lines before this one are missing")]
    Instrument(ConId),
    /// It names an execution that is not in the books.
    #[error("execution {0} is not in the books; lines before this one are missing")]
    Execution(String),
    /// The line is not a change.
    #[error("line {line} of the venue's book is not readable: {reason}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What the decoder says.
        reason: String,
    },
}

impl Books {
    /// Books a change.
    pub fn apply(&mut self, change: BookChange) -> Result<(), BookError> {
        match change {
            BookChange::Snapshot(books) => *self = *books,
            BookChange::Opened { time } => self.last_day_end = time,
            BookChange::Referenced(instrument) => {
                self.instruments.insert(instrument.con_id, instrument);
            }
            BookChange::Accepted(order) => {
                self.see_number(order.instructions.client, order.client_order_id);
                self.next_perm_id = order.perm_id + 1;
                self.next_priority = order.priority + 1;
                self.open.insert(order.perm_id, order);
            }
            BookChange::Refused(order) => {
                self.see_number(order.client, order.client_order_id);
                self.completed.push(order);
            }
            BookChange::Modified { perm_id, limit, quantity, priority } => {
                let order = self.open.get_mut(&perm_id).ok_or(BookError::Order(perm_id))?;
                (order.limit, order.quantity, order.priority) = (limit, quantity, priority);
                self.next_priority = self.next_priority.max(priority + 1);
            }
            BookChange::Amended(order) => {
                let perm_id = order.perm_id;
                let place = self.open.get_mut(&perm_id).ok_or(BookError::Order(perm_id))?;
                self.next_priority = self.next_priority.max(order.priority + 1);
                *place = *order;
            }
            BookChange::Staged { perm_id, stage } => {
                let order = self.open.get_mut(&perm_id).ok_or(BookError::Order(perm_id))?;
                order.stage = stage;
            }
            BookChange::NumbersSeen { client, number } => self.see_number(client, number),
            BookChange::Corrected { exec_id, execution } => self.correct(&exec_id, *execution)?,
            BookChange::Executed { perm_id, units, combo, legs } => {
                self.book_executions(perm_id, units, combo, legs)?;
            }
            BookChange::Ended { perm_id, end, time } => {
                let order = self.open.remove(&perm_id).ok_or(BookError::Order(perm_id))?;
                self.completed.push(CompletedOrder {
                    perm_id,
                    client_order_id: order.client_order_id,
                    reference: order.reference.clone(),
                    end,
                    filled: order.filled,
                    time,
                    client: order.instructions.client,
                    order: (!order.instructions.is_plain()).then(|| Box::new(order)),
                });
            }
            BookChange::Event(event) => self.book_event(event)?,
            BookChange::DividendAnnounced { con_id, ex_date, amount } => {
                self.dividends.entry(con_id).or_default().insert(ex_date, amount);
            }
            BookChange::DayEnded(end) => {
                self.last_day_end = end.at;
                for dates in self.dividends.values_mut() {
                    dates.retain(|ex_date, _| *ex_date > end.next);
                }
            }
        }
        Ok(())
    }

    fn see_number(&mut self, client: i32, number: i64) {
        let highest = if client == 0 {
            &mut self.highest_client_order_id
        } else {
            self.highest_by_client.entry(client).or_default()
        };
        *highest = number.max(*highest);
    }

    /// The highest order number that `client` has used or seen.
    #[must_use]
    pub fn highest_number(&self, client: i32) -> i64 {
        if client == 0 {
            self.highest_client_order_id
        } else {
            self.highest_by_client.get(&client).copied().unwrap_or(0)
        }
    }

    /// Takes an execution back at its price and books it again at the corrected one.
    fn correct(&mut self, exec_id: &str, corrected: Execution) -> Result<(), BookError> {
        let place = self.executions.iter().position(|one| one.exec_id == exec_id);
        let place = place.ok_or_else(|| BookError::Execution(exec_id.to_owned()))?;
        let before = self.executions[place].price;
        let signed = Quantity(corrected.side.sign() * corrected.quantity.0);
        self.trade(corrected.con_id, Quantity(-signed.0), before)?;
        self.trade(corrected.con_id, signed, corrected.price)?;
        self.executions[place] = corrected;
        Ok(())
    }

    fn book_executions(
        &mut self,
        perm_id: i64,
        units: Quantity,
        combo: Option<ComboExecution>,
        legs: Vec<BookedExecution>,
    ) -> Result<(), BookError> {
        let order = self.open.get_mut(&perm_id).ok_or(BookError::Order(perm_id))?;
        order.filled += units;
        for leg in &legs {
            order.tallies.insert(leg.execution.con_id, leg.tally);
        }
        self.next_execution += 1;
        self.combos.extend(combo);
        for BookedExecution { execution, .. } in legs {
            let signed = Quantity(execution.side.sign() * execution.quantity.0);
            self.trade(execution.con_id, signed, execution.price)?;
            let position = self.positions.entry(execution.con_id).or_default();
            position.fees += execution.fee;
            *self.fees.entry(execution.currency).or_default() += execution.fee;
            *self.cash.entry(execution.currency).or_default() -= execution.fee;
            self.executions.push(execution);
        }
        Ok(())
    }

    /// Moves `signed` contracts at `price` into the position, and the cash that they cost unless it
    /// is a future.
    fn trade(&mut self, con_id: ConId, signed: Quantity, price: Price) -> Result<(), BookError> {
        let instrument = self.terms(con_id)?;
        let (currency, margined) = (instrument.currency, instrument.is_margined_daily());
        let value = price.value(signed, instrument.multiplier);
        let position = self.positions.entry(con_id).or_default();
        if margined {
            position.cost += value;
            position.quantity += signed;
            return Ok(());
        }
        if let Some((value_closed, cost_closed)) = closing(position, signed, value) {
            position.realised -= value_closed + cost_closed;
            position.cost = position.cost - cost_closed + (value - value_closed);
        } else {
            position.cost += value;
        }
        position.quantity += signed;
        *self.cash.entry(currency).or_default() -= value;
        Ok(())
    }

    /// What `signed` contracts at `price` realise against the position; `None` if they close
    /// nothing, and for a future, whose profit comes as variation.
    pub(crate) fn realises(&self, con_id: ConId, signed: Quantity, price: Price) -> Option<Money> {
        let instrument = self.terms(con_id).ok().filter(|one| !one.is_margined_daily())?;
        let position = self.positions.get(&con_id)?;
        let (value, cost) = closing(position, signed, price.value(signed, instrument.multiplier))?;
        Some(Money::ZERO - value - cost)
    }

    fn book_event(&mut self, event: Event) -> Result<(), BookError> {
        match event.kind {
            EventKind::OptionExpired { con_id, .. } => self.end_position(con_id, Money::ZERO),
            EventKind::Exercised { con_id, quantity: ended, delivery }
            | EventKind::Assigned { con_id, quantity: ended, delivery } => {
                let Delivery { con_id: underlying, quantity, price } = delivery;
                self.trade(underlying, quantity, price)?;
                self.end_part(con_id, ended);
            }
            EventKind::CashSettled { con_id, amount, .. } => {
                self.end_position(con_id, amount);
                *self.cash.entry(event.currency).or_default() += amount;
            }
            EventKind::Dividend { con_id, amount } => {
                self.positions.entry(con_id).or_default().realised += amount;
                *self.cash.entry(event.currency).or_default() += amount;
            }
            EventKind::Variation { con_id, mark, amount } => {
                let multiplier = self.terms(con_id)?.multiplier;
                let position = self.positions.entry(con_id).or_default();
                position.cost = mark.value(position.quantity, multiplier);
                position.realised += amount;
                *self.cash.entry(event.currency).or_default() += amount;
            }
            EventKind::Cash { amount } => {
                *self.cash.entry(event.currency).or_default() += amount;
            }
        }
        self.events.push(event);
        Ok(())
    }

    fn end_position(&mut self, con_id: ConId, received: Money) {
        let position = self.positions.entry(con_id).or_default();
        position.realised += received - position.cost;
        (position.quantity, position.cost) = (Quantity::ZERO, Money::ZERO);
    }

    /// Ends `ended` (signed) contracts of an option; their premium is realised.
    fn end_part(&mut self, con_id: ConId, ended: Quantity) {
        let position = self.positions.entry(con_id).or_default();
        if position.quantity.is_zero() {
            return;
        }
        let cost = part(position.cost, ended.0.abs(), position.quantity.0.abs());
        position.realised -= cost;
        position.cost -= cost;
        position.quantity -= ended;
    }

    pub(crate) fn terms(&self, con_id: ConId) -> Result<&Instrument, BookError> {
        self.instruments.get(&con_id).ok_or(BookError::Instrument(con_id))
    }

    pub(crate) fn quantity(&self, con_id: ConId) -> Quantity {
        self.positions.get(&con_id).map_or(Quantity::ZERO, |position| position.quantity)
    }

    /// The identity of the next event.
    pub(crate) fn next_event_id(&self) -> String {
        format!("EV{:08}", self.events.len() + 1)
    }
}

/// The parts of a trade's value and of the position's cost that close each other.
fn closing(position: &Position, signed: Quantity, value: Money) -> Option<(Money, Money)> {
    let (held, traded) = (position.quantity.0, signed.0);
    if held == 0 || held.signum() != -traded.signum() {
        return None;
    }
    let closed = traded.abs().min(held.abs());
    Some((part(value, closed, traded.abs()), part(position.cost, closed, held.abs())))
}

/// `amount * numerator / denominator`, cut towards zero to a micro-unit; the rest stays behind.
fn part(amount: Money, numerator: i64, denominator: i64) -> Money {
    let exact = i128::from(amount.micros()) * i128::from(numerator) / i128::from(denominator);
    Money::from_micros(i64::try_from(exact).expect("a part of an amount fits where it came from"))
}
