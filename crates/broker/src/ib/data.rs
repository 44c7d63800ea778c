//! The data connection: lines of market data, and the terms of contracts.
//!
//! A client of its own, so that a flood of ticks keeps no order waiting. Its thread connects, opens
//! the lines that the budget allows, folds each line's ticks into a quote and hands it on at once.
//! When the connection or a farm is lost every line is told to be frozen: a quote that stands still
//! is not a calm market. It connects again by itself, backing off; nothing of an order is here.

mod chains;
mod line;
mod thread;

use super::contracts::instrument_of;
use super::orders::Gateway;
use crate::port::{DataPort, DataSink};
use chains::Untold;
use market::corporate_action::DividendSchedule;
use market::instrument::{ConId, Instrument};
use market::money::Price;
use market::time::Date;
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
    /// The broker lists nothing of this name that can be traded.
    #[error("{symbol}: the broker lists no stock, no index and no known future of this name")]
    NotListed {
        /// The product.
        symbol: String,
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

/// The data port to Interactive Brokers. Clones share its connection, which ends with the last.
#[derive(Clone)]
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

    /// The terms of a stock or an index and of every option on it; of a future's symbol its front
    /// months and the options on each. Blocks its thread for at most
    /// `wait`; not for roles.
    ///
    /// # Errors
    /// [`ContractsError`]. What was told before the error is kept.
    pub fn resolve(&self, symbol: &str, wait: Duration) -> Result<Vec<Instrument>, ContractsError> {
        let symbol_told = || symbol.to_owned();
        let untold = |why| match why {
            Untold::NotListed => ContractsError::NotListed { symbol: symbol_told() },
            Untold::Failed(reason) => ContractsError::Refused { symbol: symbol_told(), reason },
        };
        let resolve = |reply| Command::Resolve { symbol: symbol.to_owned(), reply };
        let told = self.asked(resolve, wait);
        let told =
            told.ok_or(ContractsError::NoAnswer { symbol: symbol.to_owned(), waited: wait })?;
        let (told, rules) = told.map_err(untold)?;
        let mut instruments = Vec::new();
        for details in told {
            // One contract that we don't trade (an adjusted option) doesn't hide the others.
            match instrument_of(&details, &rules) {
                Ok(instrument) => {
                    self.gateway.contracts.insert(instrument.clone());
                    instruments.push(instrument);
                }
                Err(error) => tracing::info!("{error}"),
            }
        }
        Ok(instruments)
    }

    /// The dividends that a stock is known to pay from `today` on: the next one as announced, those
    /// after it at equal distances, as many a year as make up the year's total. Empty where none is
    /// told. Blocks its thread for at most `wait`; not for roles.
    #[must_use]
    pub fn dividends(&self, con_id: ConId, today: Date, wait: Duration) -> DividendSchedule {
        let told = self.asked(|reply| Command::Dividends { con_id, reply }, wait);
        match told.unwrap_or_else(|| Err("no answer".to_owned())) {
            Ok(words) => dividends_of(&words, today),
            Err(reason) => {
                tracing::info!("no dividends are known of {con_id}: {reason}");
                DividendSchedule::default()
            }
        }
    }

    /// The answer to a command, if it comes in time.
    fn asked<T: Send>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
        wait: Duration,
    ) -> Option<T> {
        let (reply, replied) = oneshot::channel();
        self.commands.try_send(command(reply)).ok()?;
        // A thread of its own: whoever asks may stand on a runtime already.
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                let told =
                    runtime.ok()?.block_on(async { tokio::time::timeout(wait, replied).await });
                told.ok()?.ok()
            });
            waits.join().ok().flatten()
        })
    }
}

/// Years of dividends that are assumed from one year's word.
const YEARS_ASSUMED: u32 = 3;

/// `past year, next year, next ex-date, its amount`, as tick 59 words it.
fn dividends_of(words: &str, today: Date) -> DividendSchedule {
    let parts: Vec<&str> = words.split(',').map(str::trim).collect();
    let [_, next_year, ex_date, amount] = parts.as_slice() else {
        return DividendSchedule::default();
    };
    let (Ok(next_year), Ok(mut ex_date), Ok(amount)) =
        (next_year.parse::<f64>(), Date::parse(ex_date), Price::parse(amount))
    else {
        return DividendSchedule::default();
    };
    // At most monthly, at least yearly.
    let a_year = (next_year / amount.to_f64()).round().clamp(1.0, 12.0);
    if ex_date < today || amount <= Price::ZERO || !a_year.is_finite() {
        return DividendSchedule::default();
    }
    let days = (365.0 / a_year) as i32;
    let mut schedule = Vec::new();
    for _ in 0..YEARS_ASSUMED * a_year as u32 {
        schedule.push((ex_date, amount));
        ex_date = ex_date.plus_days(days);
    }
    DividendSchedule::new(schedule)
}

impl DataPort for IbDataPort {
    fn subscribe(&mut self, name: &str, con_ids: &[ConId], sink: Arc<dyn DataSink>) {
        let (name, con_ids) = (name.to_owned(), con_ids.to_vec());
        if self.commands.try_send(Command::Subscribe { name, con_ids, sink }).is_err() {
            tracing::warn!("the data connection's queue is full: a subscription was lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_dividend_is_as_announced_and_a_year_pays_what_was_told() {
        let today = Date::parse("20261120").unwrap();
        let schedule = dividends_of("0.83,2,20261127,0.5", today);
        let half = Price::parse("0.5").unwrap();
        assert_eq!(schedule.on(Date::parse("20261127").unwrap()), half);
        let year = schedule.between(today, today.plus_days(365));
        assert_eq!(year.collect::<Vec<_>>().len(), 4);
        for wrong in ["", "1,2,3", "0,2,20261119,0.5", "0,2,20261127,0", "0,NaN,20261127,x"] {
            assert_eq!(dividends_of(wrong, today), DividendSchedule::default(), "{wrong}");
        }
    }
}
