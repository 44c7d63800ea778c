//! The order connection: one client, one thread, one generation at a time.
//!
//! The port's calls never wait for the network, with one exception: an order is written while the
//! caller holds the wire fence, so that an acknowledged halt has nothing in flight. That wait is
//! bounded; a write that doesn't end is Unknown and ends its connection. Cancels overtake
//! orders, orders overtake questions. Every stream is drained at once into the sink. The connection
//! ends by itself when the socket does, when a heartbeat isn't answered (a socket that is open at
//! our end only), or when the account isn't the one that may be traded.

mod connection;
mod questions;

use super::contracts::ContractBook;
use super::pacing::{Lane, Pacing};
use super::settings::IbSettings;
use super::translate;
use crate::port::{EventSink, OrderPort, WireTap, WriteError, Written};
use crate::wire_fence::WireFence;
pub(super) use connection::open;
use connection::{Command, Connection, PlaceCommand};
use market::time::ProcessTime;
use risk::cleared::Cleared;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::time::Instant;
use trading::id::OrderId;
use trading::order::{Order, OrderHash};
use trading::report::Question;

/// The bucket that all clients of one gateway share, and its clock.
#[derive(Debug)]
pub struct Pace {
    started: Instant,
    bucket: Mutex<Pacing>,
}

impl Pace {
    /// A full bucket for `allowed` messages a second.
    pub(super) fn new(allowed: u32) -> Self {
        let bucket = Mutex::new(Pacing::new(allowed, ProcessTime::ZERO));
        Self { started: Instant::now(), bucket }
    }

    /// Takes a token, or says how long to wait.
    pub(super) fn take(&self, lane: Lane) -> Result<(), std::time::Duration> {
        if mutation::active("skip_pacing") {
            return Ok(());
        }
        let passed = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(lane, ProcessTime::from_nanos(passed))
    }

    /// Waits for a token.
    pub(super) async fn wait(&self, lane: Lane) {
        while let Err(wait) = self.take(lane) {
            tokio::time::sleep(wait).await;
        }
    }
}

/// What both ports to one gateway share.
#[derive(Clone)]
pub struct Gateway {
    /// Where and who.
    pub settings: IbSettings,
    /// The terms that are known.
    pub contracts: Arc<ContractBook>,
    /// How fast.
    pub pace: Arc<Pace>,
    /// Who sees what is written, if somebody checks the wire.
    pub tap: Option<Arc<dyn WireTap>>,
}

impl Gateway {
    /// Nothing known yet, a full bucket.
    #[must_use]
    pub fn new(settings: IbSettings) -> Self {
        let pace = Arc::new(Pace::new(settings.messages_per_second));
        Self { settings, contracts: Arc::default(), pace, tap: None }
    }
}

/// The order port to Interactive Brokers.
pub struct IbOrderPort {
    gateway: Gateway,
    fence: Arc<WireFence>,
    connection: Option<Connection>,
    /// The thread of a connection that was ended: until it is over it holds the client id.
    ending: Option<JoinHandle<()>>,
}

impl IbOrderPort {
    /// A port without a connection.
    #[must_use]
    pub const fn new(gateway: Gateway, fence: Arc<WireFence>) -> Self {
        Self { gateway, fence, connection: None, ending: None }
    }

    pub(super) fn write(
        &self,
        cleared: Cleared<Order>,
        now: ProcessTime,
        new: bool,
    ) -> WriteResult {
        let connection = self.connection.as_ref().ok_or(WriteError::NotConnected)?;
        // Before the fence: whoever halts never waits for the broker's pace.
        self.gateway.pace.take(Lane::Order).map_err(|_| WriteError::Paced)?;
        self.fence.write(|fence| {
            let hash = cleared.hash();
            let order = cleared.open(fence, now).map_err(WriteError::Refused)?;
            self.send(connection, &order, new)?;
            Ok(hash)
        })
    }

    fn send(&self, connection: &Connection, order: &Order, new: bool) -> Result<(), WriteError> {
        let unwritable =
            |error: translate::TranslateError| WriteError::Unwritable(error.to_string());
        let contract = translate::wire_contract(&order.contract, &self.gateway.contracts);
        let (contract, wire) =
            (contract.map_err(unwritable)?, translate::wire_order(order).map_err(unwritable)?);
        let modify = (!new).then_some((order.limit, order.quantity));
        // Told in the words of the wire, not in those that were translated into them.
        let told = self.gateway.tap.as_ref().map(|tap| (tap, tap.durable()));
        let told = told.zip(translate::written(&contract, &wire));
        let result = connection.place(PlaceCommand { contract, order: wire, modify });
        if let Some(((tap, durable), written)) = told
            && result.as_ref().err().is_none_or(WriteError::may_have_left)
        {
            let message = if new { Written::Placed(written) } else { Written::Modified(written) };
            tap.wrote(message, durable, (self.gateway.settings.now)());
        }
        result
    }
}

type WriteResult = Result<OrderHash, WriteError>;

impl OrderPort for IbOrderPort {
    fn connect(&mut self, generation: u32, sink: EventSink) {
        // One client id, one socket: the next begins when the last has let go of it.
        let before = self.connection.take().map(Connection::end).or(self.ending.take());
        self.connection = Some(Connection::begin(&self.gateway, generation, sink, before));
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.ending = Some(connection.end());
        }
    }

    fn place(&mut self, order: Cleared<Order>, now: ProcessTime) -> WriteResult {
        self.write(order, now, true)
    }

    fn modify(&mut self, order: Cleared<Order>, now: ProcessTime) -> WriteResult {
        self.write(order, now, false)
    }

    fn cancel(&mut self, order_id: OrderId) -> Result<(), WriteError> {
        let connection = self.connection.as_ref().ok_or(WriteError::NotConnected)?;
        let wire = translate::wire_order_id(order_id)
            .map_err(|error| WriteError::Unwritable(error.to_string()))?;
        connection.send(Command::Cancel(wire))?;
        if let Some(tap) = &self.gateway.tap {
            let message = Written::Canceled { order_id: order_id.0 };
            tap.wrote(message, tap.durable(), (self.gateway.settings.now)());
        }
        Ok(())
    }

    fn ask(&mut self, ticket: u64, question: Question) -> Result<(), WriteError> {
        let connection = self.connection.as_ref().ok_or(WriteError::NotConnected)?;
        connection.send(Command::Ask { ticket, question })
    }
}
