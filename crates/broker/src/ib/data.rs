//! The data connection: lines of market data, and the terms of contracts.
//!
//! A client of its own, so that a flood of ticks keeps no order waiting. Its thread connects, opens
//! the lines that the budget allows, folds each line's ticks into a quote and hands it on at once.
//! When the connection or a farm is lost every line is told to be frozen: a quote that stands still
//! is not a calm market. It connects again by itself, backing off; nothing of an order is here.

mod thread;

use super::contracts::instrument_of;
use super::orders::Gateway;
use crate::port::{DataPort, DataSink};
use market::instrument::{ConId, Instrument};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use thread::Command;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait.
const COMMANDS_WAITING: usize = 256;

/// The terms of a product did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractsError {
    /// There is no data connection, or it answered too late.
    #[error("{symbol}: no contract details within {waited:?}; is the gateway connected?")]
    NoAnswer {
        /// The product.
        symbol: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The broker refused, or told terms that can't be traded.
    #[error("{symbol}: {reason}")]
    Refused {
        /// The product.
        symbol: String,
        /// Why.
        reason: String,
    },
}

/// The data port to Interactive Brokers.
pub struct IbDataPort {
    gateway: Gateway,
    commands: mpsc::Sender<Command>,
}

impl IbDataPort {
    /// Begins to connect.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(gateway: Gateway) -> std::io::Result<Self> {
        let (commands, told) = mpsc::channel(COMMANDS_WAITING);
        let own = gateway.clone();
        std::thread::Builder::new()
            .name("ib-data".to_owned())
            .spawn(move || thread::live(&own, told))?;
        Ok(Self { gateway, commands })
    }

    /// These contracts keep their line whatever else wants one: positions, working orders, hedges.
    pub fn pin(&self, con_ids: BTreeSet<ConId>) {
        // A full queue is a thread that can't connect; it is told again with the next change.
        let _ = self.commands.try_send(Command::Pin(con_ids));
    }

    /// The terms of a stock or an index and of every option on it. Blocks its thread for at most
    /// `wait`; not for roles.
    ///
    /// # Errors
    /// [`ContractsError`]. What was told before the error is kept.
    pub fn resolve(&self, symbol: &str, wait: Duration) -> Result<Vec<Instrument>, ContractsError> {
        let no_answer = || ContractsError::NoAnswer { symbol: symbol.to_owned(), waited: wait };
        let (reply, replied) = oneshot::channel();
        let resolve = Command::Resolve { symbol: symbol.to_owned(), reply };
        self.commands.try_send(resolve).map_err(|_| no_answer())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|_| no_answer())?;
        let told = runtime.block_on(async { tokio::time::timeout(wait, replied).await });
        let (Ok(Ok(told)), refused) =
            (told, |reason| ContractsError::Refused { symbol: symbol.to_owned(), reason })
        else {
            return Err(no_answer());
        };
        let mut instruments = Vec::new();
        for details in told.map_err(refused)? {
            // One contract that we don't trade (an adjusted option) doesn't hide the others.
            match instrument_of(&details) {
                Ok(instrument) => {
                    self.gateway.contracts.insert(instrument.clone());
                    instruments.push(instrument);
                }
                Err(error) => tracing::info!("{error}"),
            }
        }
        Ok(instruments)
    }
}

impl DataPort for IbDataPort {
    fn subscribe(&mut self, name: &str, con_ids: &[ConId], sink: Arc<dyn DataSink>) {
        let (name, con_ids) = (name.to_owned(), con_ids.to_vec());
        if self.commands.try_send(Command::Subscribe { name, con_ids, sink }).is_err() {
            tracing::warn!("the data connection's queue is full: a subscription was lost");
        }
    }
}
