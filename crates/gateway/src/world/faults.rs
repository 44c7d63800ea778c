//! Faults on demand, and the broker's own screen.

use super::outage::LastKnown;
use super::{Connection, Output, World};
use crate::control::{Action, Command, Direction, Rule};
use crate::message::Response;
use crate::message::order::{Order, PlaceOrderRequest};
use crate::message::session::NewsBulletin;
use crate::{catalog, ticket};
use exchange::Request as ExchangeRequest;
use market::instrument::ConId;
use market::money::Price;
use market::time::{Now, ProcessTime};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const LOST: &str = "Connectivity between IB and Trader Workstation has been lost.";
const RESTORED_LOST: &str =
    "Connectivity between IB and Trader Workstation has been restored - data lost.";
const RESTORED_KEPT: &str =
    "Connectivity between IB and Trader Workstation has been restored - data maintained.";
const COMPETING: &str = "No market data during competing live session";

/// Rules, and clients with a fault of their own, at once.
const FAULTS_MAX: usize = 1_000;
/// Bytes of frames that are delayed; beyond it they leave at once.
const HELD_BYTES_MAX: usize = 16 << 20;
/// The longest restart on demand.
const RESTART_MAX: Duration = Duration::from_secs(86_400);
/// Bulletins that are kept for whoever asks for all of them.
const BULLETINS_MAX: usize = 100;

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    /// Frames that arrive later.
    held: BTreeMap<(ProcessTime, u64), (Connection, Vec<u8>)>,
    held_count: u64,
    held_bytes: usize,
    /// Frames that wait for the one after them.
    overtaken: BTreeMap<Connection, Vec<u8>>,
    /// While the broker can't be reached: what was known of it last.
    pub outage: Option<LastKnown>,
    /// No ticks.
    pub data_farm_down: bool,
    /// No bars of the past.
    pub history_farm_down: bool,
    /// Lines are delayed ones at best.
    pub not_entitled: bool,
    /// Answered with 326 once.
    pub refused_clients: BTreeSet<i32>,
    /// Told once as the next order id.
    pub next_ids: BTreeMap<i32, i32>,
}

impl Faults {
    fn take(&mut self, direction: Direction, client: Option<i32>, message: &str) -> Option<Action> {
        let hits = |rule: &Rule| {
            rule.direction == direction
                && (rule.client.is_none() || rule.client == client)
                && rule.message.as_deref().is_none_or(|wanted| wanted == message)
        };
        let place = self.rules.iter().position(hits)?;
        let rule = &mut self.rules[place];
        let action = rule.action;
        rule.count = rule.count.saturating_sub(1);
        if rule.count == 0 {
            self.rules.remove(place);
        }
        Some(action)
    }

    /// Whether a request never arrives.
    pub fn swallows(&mut self, client: i32, message: &str) -> bool {
        self.take(Direction::Requests, Some(client), message).is_some()
    }

    /// What leaves now in place of `bytes`.
    pub fn apply(
        &mut self,
        connection: Connection,
        client: Option<i32>,
        message: &str,
        mut bytes: Vec<u8>,
        now: Now,
    ) -> Vec<Vec<u8>> {
        let mut leaving = match self.take(Direction::Responses, client, message) {
            None => vec![bytes],
            Some(Action::Drop) => Vec::new(),
            Some(Action::Duplicate) => vec![bytes.clone(), bytes],
            Some(Action::Delay { .. }) if self.held_bytes + bytes.len() > HELD_BYTES_MAX => {
                vec![bytes]
            }
            Some(Action::Delay { milliseconds }) => {
                let due =
                    now.process.nanos().saturating_add(milliseconds.saturating_mul(1_000_000));
                self.held_count += 1;
                let key = (ProcessTime::from_nanos(due), self.held_count);
                self.held_bytes += bytes.len();
                self.held.insert(key, (connection, bytes));
                Vec::new()
            }
            Some(Action::Reorder) => {
                let before = self.overtaken.insert(connection, bytes);
                return before.into_iter().collect();
            }
            Some(Action::Corrupt) => {
                if let Some(last) = bytes.last_mut() {
                    *last = !*last;
                }
                vec![bytes]
            }
        };
        if !leaving.is_empty() {
            leaving.extend(self.overtaken.remove(&connection));
        }
        leaving
    }

    /// What waited for a connection that is gone.
    pub fn forget(&mut self, connection: Connection) {
        self.overtaken.remove(&connection);
    }

    /// Whether one more fault would be too many.
    fn is_full(&self) -> bool {
        let counts = [self.rules.len(), self.refused_clients.len(), self.next_ids.len()];
        counts.into_iter().any(|count| count >= FAULTS_MAX)
    }

    /// When a delayed frame is next due.
    pub fn next_release(&self) -> Option<ProcessTime> {
        self.held.keys().next().map(|(due, _)| *due)
    }
}

impl World {
    pub(super) fn release_held(&mut self, now: Now) {
        while let Some(entry) = self.faults.held.first_entry() {
            if entry.key().0 > now.process {
                return;
            }
            let (connection, bytes) = entry.remove();
            self.faults.held_bytes -= bytes.len();
            if self.sessions.contains_key(&connection) {
                self.outputs.push(Output::Frame { connection, bytes });
            }
        }
    }

    pub(super) fn obey(&mut self, command: &Command, now: Now) -> Result<(), String> {
        match command {
            Command::Fault(_) | Command::RefuseClient { .. } | Command::NextValidId { .. }
                if self.faults.is_full() =>
            {
                return Err(format!("{FAULTS_MAX} faults wait already; lift them with `clear`"));
            }
            Command::Close { client } => {
                for connection in self.connections(*client) {
                    self.close(connection);
                }
            }
            Command::HalfOpen { client } => {
                for connection in self.connections(*client) {
                    if let Some(session) = self.sessions.get_mut(&connection) {
                        session.mute = true;
                    }
                }
            }
            Command::Fault(rule) => {
                rule.check()?;
                self.faults.rules.push(rule.clone());
            }
            Command::Restart { milliseconds } => {
                let lasts = Duration::from_millis(*milliseconds);
                if lasts > RESTART_MAX {
                    return Err("a restart takes a day at most".to_owned());
                }
                self.restart(now.market.plus(lasts), now);
            }
            Command::Notice { code } => self.notice(*code, now)?,
            Command::RefuseClient { client } => {
                self.faults.refused_clients.insert(*client);
            }
            Command::NextValidId { client, value } => {
                self.faults.next_ids.insert(*client, *value);
            }
            Command::Entitle { live } => self.faults.not_entitled = !live,
            Command::Manual { con_id, action, quantity, limit } => {
                self.manual(*con_id, action, *quantity, *limit, now)?;
            }
            Command::Correct { exec_id, price } => {
                let price = Price::from_f64(*price).ok_or("the price is no number")?;
                let corrected = self.exchange.correct_execution(exec_id, price, now.market);
                corrected.ok_or_else(|| format!("there is no execution {exec_id}"))?;
            }
            Command::Bulletin { text } => {
                if self.bulletins.len() >= BULLETINS_MAX {
                    return Err(format!("{BULLETINS_MAX} bulletins are kept, there is no room"));
                }
                self.bulletins.push(text.clone());
                for connection in self.connections(None) {
                    self.tell_bulletins(connection, 1, now);
                }
            }
            Command::Advance { .. } | Command::Status => {}
            Command::Clear => self.lift_faults(),
        }
        Ok(())
    }

    /// Lifts every fault. What was held back leaves now: it was late, not lost.
    fn lift_faults(&mut self) {
        self.end_restart();
        let Faults { held, overtaken, .. } = std::mem::take(&mut self.faults);
        for (connection, bytes) in overtaken.into_iter().chain(held.into_values()) {
            if self.sessions.contains_key(&connection) {
                self.outputs.push(Output::Frame { connection, bytes });
            }
        }
    }

    fn notice(&mut self, code: i32, now: Now) -> Result<(), String> {
        let text = match code {
            1100 => {
                self.lose_broker(now);
                LOST
            }
            1101 => {
                self.faults.outage = None;
                for session in self.sessions.values_mut() {
                    session.lines.clear();
                    session.ticks.clear();
                    session.bars.clear();
                    session.kept_bars.clear();
                }
                RESTORED_LOST
            }
            1102 => {
                self.faults.outage = None;
                RESTORED_KEPT
            }
            2103 => {
                self.faults.data_farm_down = true;
                "Market data farm connection is broken:simfarm"
            }
            2104 => {
                self.faults.data_farm_down = false;
                "Market data farm connection is OK:simfarm"
            }
            2105 => {
                self.faults.history_farm_down = true;
                "HMDS data farm connection is broken:simhmds"
            }
            2106 => {
                self.faults.history_farm_down = false;
                "HMDS data farm connection is OK:simhmds"
            }
            10197 => {
                self.faults.data_farm_down = true;
                COMPETING
            }
            other => return Err(format!("notice {other} is not simulated")),
        };
        for connection in self.connections(None) {
            let lines = self.sessions.get(&connection).filter(|_| code == 10197);
            let ids: Vec<i32> =
                lines.map_or_else(|| vec![-1], |session| session.lines.keys().copied().collect());
            for id in ids {
                self.error(connection, id, code, text, now);
            }
        }
        Ok(())
    }

    /// The last `count` bulletins, to a client that listens.
    pub(super) fn tell_bulletins(&mut self, connection: Connection, count: usize, now: Now) {
        if !self.sessions.get(&connection).is_some_and(|session| session.bulletins) {
            return;
        }
        let first = self.bulletins.len().saturating_sub(count);
        for (number, text) in self.bulletins.clone().into_iter().enumerate().skip(first) {
            let id = i32::try_from(number + 1).unwrap_or(i32::MAX);
            let bulletin = NewsBulletin { id, kind: 1, text, exchange: "SIMEX".to_owned() };
            self.send(connection, Response::NewsBulletin(bulletin), now);
        }
    }

    fn manual(
        &mut self,
        con_id: u32,
        action: &str,
        quantity: u32,
        limit: Option<f64>,
        now: Now,
    ) -> Result<(), String> {
        let instrument = self.exchange.instrument(ConId(con_id));
        let instrument = instrument.ok_or_else(|| format!("there is no instrument {con_id}"))?;
        let contract = catalog::contract_of(instrument);
        let manual = self.exchange.open_orders().map(|order| order.client_order_id);
        let ended = self.exchange.completed_orders().iter().map(|order| order.client_order_id);
        let lowest = manual.chain(ended).min().unwrap_or(0).min(0);
        let order = Order {
            action: action.to_owned(),
            total_quantity: quantity.to_string(),
            order_type: if limit.is_some() { "LMT" } else { "MKT" }.to_owned(),
            limit_price: limit,
            tif: "GTC".to_owned(),
            ..Order::default()
        };
        let request = PlaceOrderRequest { order_id: ticket::number(lowest - 1), contract, order };
        let ticket =
            ticket::ticket_of(&self.exchange, 0, &self.settings.account, &request, now.market)
                .map_err(|refusal| refusal.text)?;
        self.exchange.on_request(ExchangeRequest::SubmitTicket(Box::new(ticket)), now.market);
        Ok(())
    }
}
