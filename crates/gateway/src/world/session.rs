//! Sessions: the start, one client id each, order ids, pace, and how a response leaves.

use super::account::ToldPositions;
use super::lines::Line;
use super::streams::{BarLine, KeptBars, TickLine};
use super::{Connection, Output, World};
use crate::message::session::{ManagedAccounts, NextValidId};
use crate::message::{MessageError, Response};
use crate::wire::{self, Reader};
use crate::{stamp, ticket};
use market::instrument::ConId;
use market::time::{Now, ProcessTime};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A client that goes beyond its pace so often within a second is closed.
const STRIKES_MAX: u32 = 50;
/// Subscriptions of one client, lines of market data aside: beyond any honest use it is closed.
pub(super) const SUBSCRIPTIONS_MAX: usize = 1_000;
/// An error quotes what a client sent, which may be a megabyte.
const LONGEST_TEXT: usize = 1_000;
const FARMS_OK: [(i32, &str); 3] = [
    (2104, "Market data farm connection is OK:simfarm"),
    (2106, "HMDS data farm connection is OK:simhmds"),
    (2158, "Sec-def data farm connection is OK:simsecdef"),
];

/// One connection.
#[derive(Debug)]
pub struct Session {
    /// When its connection came.
    pub opened: ProcessTime,
    pub reader: Reader,
    /// Set by the start.
    pub client: Option<i32>,
    /// A fault: it is neither read nor written.
    pub mute: bool,
    /// The market data type asked for.
    pub data_type: i32,
    pub lines: BTreeMap<i32, Line>,
    pub ticks: BTreeMap<i32, TickLine>,
    pub bars: BTreeMap<i32, BarLine>,
    pub kept_bars: BTreeMap<i32, KeptBars>,
    pub account_updates: bool,
    pub positions: Option<ToldPositions>,
    pub positions_multi: BTreeMap<i32, ToldPositions>,
    pub summaries: BTreeMap<i32, Vec<String>>,
    pub account_multi: BTreeSet<i32>,
    /// Of the account, or of one position; with what was told last.
    pub profits: BTreeMap<i32, (Option<ConId>, Option<Response>)>,
    pub bulletins: bool,
    pub auto_bind: bool,
    recent: VecDeque<ProcessTime>,
    strikes: u32,
}

impl Session {
    /// A connection that has just come.
    pub(super) fn opened(opened: ProcessTime) -> Self {
        Self { opened, ..Self::default() }
    }

    /// Subscriptions that it keeps, lines of market data aside.
    pub(super) fn subscriptions(&self) -> usize {
        self.ticks.len()
            + self.bars.len()
            + self.kept_bars.len()
            + self.positions_multi.len()
            + self.summaries.len()
            + self.account_multi.len()
            + self.profits.len()
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            opened: ProcessTime::ZERO,
            reader: Reader::default(),
            client: None,
            mute: false,
            data_type: 1,
            lines: BTreeMap::new(),
            ticks: BTreeMap::new(),
            bars: BTreeMap::new(),
            kept_bars: BTreeMap::new(),
            account_updates: false,
            positions: None,
            positions_multi: BTreeMap::new(),
            summaries: BTreeMap::new(),
            account_multi: BTreeSet::new(),
            profits: BTreeMap::new(),
            bulletins: false,
            auto_bind: false,
            recent: VecDeque::new(),
            strikes: 0,
        }
    }
}

impl World {
    /// Answers the opening. Nothing may follow it before the client has started the API.
    pub(super) fn open(&mut self, connection: Connection, version: i32, now: Now) {
        let bytes = wire::write_opening(version, &stamp::with_zone(now.market));
        self.outputs.push(Output::Frame { connection, bytes });
        self.log(format!("connection {connection} speaks version {version}"));
    }

    pub(super) fn start(&mut self, connection: Connection, client: i32, now: Now) {
        let taken = self.sessions.iter().any(|(other, session)| {
            *other != connection && session.client == Some(client) && !session.mute
        });
        if taken || self.faults.refused_clients.remove(&client) {
            let text = "Unable to connect as the client id is already in use. Retry with a unique \
                        client id.";
            self.error(connection, -1, 326, text, now);
            self.log(format!("client id {client} is in use already"));
            self.close(connection);
            return;
        }
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        if session.client.is_some() {
            return;
        }
        session.client = Some(client);
        self.log(format!("client {client} has started the API on connection {connection}"));
        self.tell_accounts(connection, now);
        self.tell_next_id(connection, client, now);
        for (code, text) in FARMS_OK {
            self.error(connection, -1, code, text, now);
        }
        if self.faults.outage.is_some() {
            self.error(connection, -1, 1100, super::faults::LOST, now);
        }
    }

    pub(super) fn tell_accounts(&mut self, connection: Connection, now: Now) {
        let accounts = self.settings.account.clone();
        self.send(connection, Response::ManagedAccounts(ManagedAccounts { accounts }), now);
    }

    pub(super) fn tell_next_id(&mut self, connection: Connection, client: i32, now: Now) {
        let own = ticket::number(self.exchange.next_order_id_of(client));
        let order_id = self.faults.next_ids.remove(&client).unwrap_or(own);
        self.send(connection, Response::NextValidId(NextValidId { order_id }), now);
    }

    /// Counts a message; false if it comes too fast and is not served.
    pub(super) fn within_pace(&mut self, connection: Connection, now: Now) -> bool {
        let most = self.settings.messages_per_second;
        let Some(session) = self.sessions.get_mut(&connection) else { return false };
        let second = Duration::from_secs(1);
        while session.recent.front().is_some_and(|first| now.process.since(*first) >= second) {
            session.recent.pop_front();
        }
        if session.recent.is_empty() {
            session.strikes = 0;
        }
        if session.recent.len() < most {
            session.recent.push_back(now.process);
            return true;
        }
        session.strikes += 1;
        self.too_fast += 1;
        let strikes = session.strikes;
        let text = format!(
            "Max rate of messages per second has been exceeded:max={most} rec={} ({strikes})",
            most + 1
        );
        self.error(connection, -1, 100, &text, now);
        if strikes > STRIKES_MAX {
            self.log(format!("connection {connection} is closed: it keeps sending too fast"));
            self.close(connection);
        }
        false
    }

    /// Closes connections that never started the API.
    pub(super) fn close_silent(&mut self, now: Now) {
        let within = self.settings.start_within;
        let is_silent =
            |session: &Session| session.client.is_none() && session.opened + within <= now.process;
        let silent = self.sessions.iter().filter(|(_, session)| is_silent(session));
        let silent: Vec<Connection> = silent.map(|(connection, _)| *connection).collect();
        for connection in silent {
            self.log(format!("connection {connection} is closed: it didn't start the API"));
            self.close(connection);
        }
    }

    pub(super) fn unreadable(&mut self, connection: Connection, error: &MessageError, now: Now) {
        self.log(format!("connection {connection} sent what can't be served: {error}"));
        let started = self.sessions.get(&connection).is_some_and(|one| one.client.is_some());
        if started {
            self.error(connection, -1, 321, &format!("Error validating request: {error}"), now);
        } else {
            self.close(connection);
        }
    }

    /// Sends an error, warning or notice.
    pub(super) fn error(
        &mut self,
        connection: Connection,
        id: i32,
        code: i32,
        text: &str,
        now: Now,
    ) {
        let text: String = text.chars().take(LONGEST_TEXT).collect();
        self.send(connection, Response::error(id, code, text, stamp::millis(now.market)), now);
    }

    /// Sends a response, faults permitting.
    pub(super) fn send(&mut self, connection: Connection, response: Response, now: Now) {
        let Some(session) = self.sessions.get(&connection).filter(|session| !session.mute) else {
            return;
        };
        let Some(version) = session.reader.version() else { return };
        let Some(bytes) = wire::write_response(&response, version) else { return };
        let frames = self.faults.apply(connection, session.client, response.name(), bytes, now);
        let frame = |bytes| Output::Frame { connection, bytes };
        self.outputs.extend(frames.into_iter().map(frame));
    }

    pub(super) fn close(&mut self, connection: Connection) {
        self.faults.forget(connection);
        if self.sessions.remove(&connection).is_some() {
            self.outputs.push(Output::Close { connection });
        }
    }

    /// The connections of `client`, or of all that have started.
    pub(super) fn connections(&self, client: Option<i32>) -> Vec<Connection> {
        let of_client = |session: &Session| {
            session.client.is_some() && (client.is_none() || session.client == client)
        };
        let sessions = self.sessions.iter().filter(|(_, session)| of_client(session));
        sessions.map(|(connection, _)| *connection).collect()
    }
}
