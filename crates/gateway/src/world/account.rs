//! The account: values, positions, profit and loss, on request and as they change.

use super::{Connection, World};
use crate::bars::cents;
use crate::catalog;
use crate::message::account::*;
use crate::message::contract::Contract;
use crate::message::session::Empty;
use crate::message::{Request, Response};
use crate::stamp;
use exchange::Position as BookPosition;
use market::instrument::{ConId, Instrument, InstrumentKind};
use market::money::{Money, Price};
use market::time::{Now, ProcessTime};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// More tags than there are, and longer ones.
const TAGS_MAX: usize = 100;
const LONGEST_TAG: usize = 40;
const PROFIT_EVERY: Duration = Duration::from_secs(1);
/// The value of this tag has no currency.
const ACCOUNT_TYPE: &str = "AccountType";

/// A position at its mark.
struct Valued {
    contract: Contract,
    con_id: ConId,
    quantity: i64,
    price: Price,
    value: Money,
    unrealised: Money,
    realised: Money,
    /// Per unit, multiplier included, as IB gives it.
    average_cost: f64,
}

/// What a client was told last of each position: the quantity and the average cost.
pub type ToldPositions = BTreeMap<ConId, (i64, f64)>;

/// The tags that a client asks for, each once: what it keeps here is bounded.
fn tags_of(list: &str) -> Vec<String> {
    let tags = list.split(',').map(str::trim).filter(|tag| tag.len() <= LONGEST_TAG);
    let tags: BTreeSet<&str> = tags.take(TAGS_MAX).collect();
    tags.into_iter().map(str::to_owned).collect()
}

/// The request's id and account, if it asks for one that is not `own`.
fn foreign<'a>(request: &'a Request, own: &str) -> Option<(i32, &'a str)> {
    let (id, account) = match request {
        Request::AccountData(request) => (-1, &request.account),
        Request::PositionsMulti(request) => (request.req_id, &request.account),
        Request::AccountUpdatesMulti(request) => (request.req_id, &request.account),
        Request::Pnl(request) => (request.req_id, &request.account),
        Request::PnlSingle(request) => (request.req_id, &request.account),
        _ => return None,
    };
    let is_own = account.is_empty() || account == own || account == "All";
    (!is_own).then_some((id, account.as_str()))
}

impl World {
    pub(super) fn serve_account(&mut self, connection: Connection, request: Request, now: Now) {
        if let Some((id, account)) = foreign(&request, &self.settings.account) {
            let text = format!("Error validating request: invalid account code `{account}`");
            return self.error(connection, id, 321, &text, now);
        }
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        match request {
            Request::AccountData(request) => {
                session.account_updates = request.subscribe;
                if request.subscribe {
                    self.tell_account(connection, now);
                }
            }
            Request::Positions(_) => {
                session.positions = Some(ToldPositions::new());
                self.tell_positions(connection, now);
                self.send(connection, Response::PositionEnd(Empty {}), now);
            }
            Request::CancelPositions(_) => session.positions = None,
            Request::AccountSummary(request) => {
                session.summaries.insert(request.req_id, tags_of(&request.tags));
                self.tell_summary(connection, request.req_id, now);
                let end = AccountSummaryEnd { req_id: request.req_id };
                self.send(connection, Response::AccountSummaryEnd(end), now);
            }
            Request::CancelAccountSummary(request) => {
                session.summaries.remove(&request.req_id);
            }
            Request::PositionsMulti(request) => {
                session.positions_multi.insert(request.req_id, ToldPositions::new());
                self.tell_positions_multi(connection, request.req_id, now);
                let end = PositionMultiEnd { req_id: request.req_id };
                self.send(connection, Response::PositionMultiEnd(end), now);
            }
            Request::CancelPositionsMulti(request) => {
                session.positions_multi.remove(&request.req_id);
            }
            Request::AccountUpdatesMulti(request) => {
                session.account_multi.insert(request.req_id);
                self.tell_account_multi(connection, request.req_id, now);
                let end = AccountUpdateMultiEnd { req_id: request.req_id };
                self.send(connection, Response::AccountUpdateMultiEnd(end), now);
            }
            Request::CancelAccountUpdatesMulti(request) => {
                session.account_multi.remove(&request.req_id);
            }
            Request::Pnl(request) => {
                session.profits.insert(request.req_id, (None, None));
                self.next_profit = ProcessTime::ZERO;
            }
            Request::PnlSingle(request) => match self.known(request.con_id) {
                Some(con_id) => {
                    if let Some(session) = self.sessions.get_mut(&connection) {
                        session.profits.insert(request.req_id, (Some(con_id), None));
                    }
                    self.next_profit = ProcessTime::ZERO;
                }
                None => {
                    let text = "Error validating request: no such con id";
                    self.error(connection, request.req_id, 321, text, now);
                }
            },
            Request::CancelPnl(request) | Request::CancelPnlSingle(request) => {
                session.profits.remove(&request.req_id);
            }
            _ => {}
        }
    }

    /// The account's values: tag, value, currency.
    fn values(&self) -> Vec<(&'static str, String, &'static str)> {
        let margin = self.exchange.margin_state();
        let cash: Money = self.exchange.cash().iter().map(|(_, amount)| *amount).sum();
        let valued = self.valued();
        let gross: Money = valued.iter().map(|one| one.value.abs()).sum();
        let unrealised: Money = valued.iter().map(|one| one.unrealised).sum();
        let realised: Money = valued.iter().map(|one| one.realised).sum();
        let equity = margin.equity;
        let available = equity - margin.initial;
        let excess = equity - margin.maintenance;
        let cushion = if equity.is_zero() { 0.0 } else { excess.to_f64() / equity.to_f64() };
        // Regulation T: four times what is free to open with, by day.
        let buying_power = Money::from_micros(available.micros().saturating_mul(4));
        let money = |tag, amount: Money| (tag, format!("{:.2}", amount.to_f64()), "USD");
        vec![
            (ACCOUNT_TYPE, "INDIVIDUAL".to_owned(), ""),
            ("Cushion", format!("{cushion:.6}"), ""),
            money("NetLiquidation", equity),
            money("TotalCashValue", cash),
            money("TotalCashBalance", cash),
            money("CashBalance", cash),
            money("SettledCash", cash),
            money("AccruedCash", Money::ZERO),
            money("BuyingPower", buying_power),
            money("EquityWithLoanValue", equity),
            money("GrossPositionValue", gross),
            money("RegTEquity", equity),
            money("RegTMargin", margin.initial),
            money("InitMarginReq", margin.initial),
            money("MaintMarginReq", margin.maintenance),
            money("AvailableFunds", available),
            money("ExcessLiquidity", excess),
            money("FullInitMarginReq", margin.initial),
            money("FullMaintMarginReq", margin.maintenance),
            money("FullAvailableFunds", available),
            money("FullExcessLiquidity", excess),
            money("LookAheadInitMarginReq", margin.initial),
            money("LookAheadMaintMarginReq", margin.maintenance),
            money("LookAheadAvailableFunds", available),
            money("LookAheadExcessLiquidity", excess),
            money("UnrealizedPnL", unrealised),
            money("RealizedPnL", realised),
        ]
    }

    fn valued(&self) -> Vec<Valued> {
        let all = self.known_positions();
        all.into_iter()
            .filter_map(|(con_id, position)| {
                let instrument = self.exchange.instrument(con_id)?;
                Some(self.value(instrument, &position))
            })
            .collect()
    }

    fn value(&self, instrument: &Instrument, position: &BookPosition) -> Valued {
        let units = i64::from(instrument.multiplier.0);
        let held = position.quantity.0;
        let cost = position.cost.to_f64();
        let average_cost = if held == 0 { 0.0 } else { cost / held as f64 };
        let paid = Price::from_f64(average_cost / units as f64).unwrap_or(Price::ZERO);
        let price = self.exchange.mark(instrument.con_id).unwrap_or(paid);
        let value = price.value(position.quantity, instrument.multiplier);
        let is_future = matches!(instrument.kind, InstrumentKind::Future(_));
        Valued {
            contract: catalog::contract_of(instrument),
            con_id: instrument.con_id,
            quantity: held,
            price,
            value: if is_future { value - position.cost } else { value },
            unrealised: value - position.cost,
            realised: position.realised - position.fees,
            average_cost: cents(average_cost),
        }
    }

    /// The positions that a client has not been told as they are. What was closed is told once
    /// more, as nothing held.
    fn fresh_positions(&self, told: &mut ToldPositions) -> Vec<Valued> {
        let mut fresh = self.valued();
        fresh.retain(|one| {
            let is = (one.quantity, one.average_cost);
            let was = told.insert(one.con_id, is);
            was.map_or(one.quantity != 0, |was| was != is)
        });
        fresh
    }

    fn tell_positions(&mut self, connection: Connection, now: Now) {
        let told = self.sessions.get_mut(&connection).and_then(|one| one.positions.take());
        let Some(mut told) = told else { return };
        let fresh = self.fresh_positions(&mut told);
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.positions = Some(told);
        }
        for one in fresh {
            let position = Position {
                account: self.settings.account.clone(),
                contract: one.contract,
                position: one.quantity.to_string(),
                average_cost: one.average_cost,
            };
            self.send(connection, Response::Position(Box::new(position)), now);
        }
    }

    fn tell_positions_multi(&mut self, connection: Connection, req_id: i32, now: Now) {
        let session = self.sessions.get_mut(&connection);
        let told = session.and_then(|session| session.positions_multi.remove(&req_id));
        let Some(mut told) = told else { return };
        let fresh = self.fresh_positions(&mut told);
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.positions_multi.insert(req_id, told);
        }
        for one in fresh {
            let position = PositionMulti {
                req_id,
                account: self.settings.account.clone(),
                contract: one.contract,
                position: one.quantity.to_string(),
                average_cost: one.average_cost,
                model_code: String::new(),
            };
            self.send(connection, Response::PositionMulti(Box::new(position)), now);
        }
    }

    fn tell_account(&mut self, connection: Connection, now: Now) {
        let account = self.settings.account.clone();
        for (key, value, currency) in self.values() {
            let value = AccountValue {
                key: key.to_owned(),
                value,
                currency: currency.to_owned(),
                account: account.clone(),
            };
            self.send(connection, Response::AccountValue(value), now);
        }
        for one in self.valued() {
            let value = PortfolioValue {
                contract: one.contract,
                position: one.quantity.to_string(),
                market_price: one.price.to_f64(),
                market_value: one.value.to_f64(),
                average_cost: one.average_cost,
                unrealized_pnl: one.unrealised.to_f64(),
                realized_pnl: one.realised.to_f64(),
                account: account.clone(),
            };
            self.send(connection, Response::PortfolioValue(Box::new(value)), now);
        }
        let time = stamp::minutes(now.market);
        self.send(connection, Response::AccountUpdateTime(AccountUpdateTime { time }), now);
        self.send(connection, Response::AccountDataEnd(AccountDataEnd { account }), now);
    }

    fn tell_summary(&mut self, connection: Connection, req_id: i32, now: Now) {
        let tags = self.sessions.get(&connection).and_then(|one| one.summaries.get(&req_id));
        let Some(tags) = tags.cloned() else { return };
        for (tag, value, currency) in self.values() {
            if !tags.iter().any(|wanted| wanted == tag) {
                continue;
            }
            let summary = AccountSummary {
                req_id,
                account: self.settings.account.clone(),
                tag: tag.to_owned(),
                value,
                currency: currency.to_owned(),
            };
            self.send(connection, Response::AccountSummary(summary), now);
        }
    }

    fn tell_account_multi(&mut self, connection: Connection, req_id: i32, now: Now) {
        for (key, value, currency) in self.values() {
            let update = AccountUpdateMulti {
                req_id,
                account: self.settings.account.clone(),
                model_code: String::new(),
                key: key.to_owned(),
                value,
                currency: currency.to_owned(),
            };
            self.send(connection, Response::AccountUpdateMulti(update), now);
        }
    }

    /// Tells those who listen that the account has changed.
    pub(super) fn tell_account_changes(&mut self, now: Now) {
        for connection in self.connections(None) {
            let Some(session) = self.sessions.get(&connection) else { continue };
            let updates = session.account_updates;
            let summaries: Vec<i32> = session.summaries.keys().copied().collect();
            let multis: Vec<i32> = session.positions_multi.keys().copied().collect();
            let account_multis: Vec<i32> = session.account_multi.iter().copied().collect();
            self.tell_positions(connection, now);
            if updates {
                self.tell_account(connection, now);
            }
            for req_id in summaries {
                self.tell_summary(connection, req_id, now);
            }
            for req_id in multis {
                self.tell_positions_multi(connection, req_id, now);
            }
            for req_id in account_multis {
                self.tell_account_multi(connection, req_id, now);
            }
        }
    }

    /// Once a second: profit and loss to those who listen, where it has changed.
    pub(super) fn tell_profit(&mut self, now: Now) {
        let listens = self.sessions.values().any(|session| !session.profits.is_empty());
        if !listens || now.process < self.next_profit || self.faults.outage.is_some() {
            return;
        }
        let next = now.process.nanos() + u64::try_from(PROFIT_EVERY.as_nanos()).unwrap_or(0);
        self.next_profit = ProcessTime::from_nanos(next);
        let valued = self.valued();
        let daily = cents((self.exchange.equity() - self.day_open).to_f64());
        let unrealised: Money = valued.iter().map(|one| one.unrealised).sum();
        let realised: Money = valued.iter().map(|one| one.realised).sum();
        let mut answers = Vec::new();
        for (connection, session) in &mut self.sessions {
            for (req_id, (con_id, told)) in &mut session.profits {
                let answer = match con_id {
                    None => Response::Pnl(Pnl {
                        req_id: *req_id,
                        daily,
                        unrealized: Some(unrealised.to_f64()),
                        realized: Some(realised.to_f64()),
                    }),
                    Some(con_id) => {
                        let one = valued.iter().find(|one| one.con_id == *con_id);
                        let unrealised = one.map_or(Money::ZERO, |one| one.unrealised);
                        let realised = one.map_or(Money::ZERO, |one| one.realised);
                        Response::PnlSingle(PnlSingle {
                            req_id: *req_id,
                            position: one.map_or(0, |one| one.quantity).to_string(),
                            daily: (unrealised + realised).to_f64(),
                            unrealized: Some(unrealised.to_f64()),
                            realized: Some(realised.to_f64()),
                            value: one.map_or(0.0, |one| one.value.to_f64()),
                        })
                    }
                };
                if told.as_ref() != Some(&answer) {
                    *told = Some(answer.clone());
                    answers.push((*connection, answer));
                }
            }
        }
        for (connection, answer) in answers {
            self.send(connection, answer, now);
        }
    }
}
