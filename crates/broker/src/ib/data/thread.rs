//! The data connection's thread: connects, opens and closes lines, folds ticks into quotes.

use super::super::errors::{self, Action};
use super::super::lines::{LineBudget, Turn};
use super::super::orders::{Gateway, open};
use super::super::pacing::Lane;
use super::super::translate;
use super::chains::{Product, Told, Untold, dividends, product};
use crate::port::DataSink;
use futures::StreamExt;
use ibapi::Client;
use ibapi::contracts::Contract as WireContract;
use ibapi::contracts::tick_types::TickType;
use ibapi::market_data::MarketDataType;
use ibapi::market_data::realtime::TickTypes;
use ibapi::subscriptions::{NoticeStream, SubscriptionItem};
use market::instrument::{ConId, Contract, InstrumentKind};
use market::quote::{DataType, RawQuote};
use market::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The first and the longest wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Lines take turns this often, so many at a time, where there are more contracts than lines.
const TURN_EVERY: Duration = Duration::from_secs(10);
const TURN_SHARE: usize = 10;

/// What the port asks.
pub enum Command {
    /// Lines for exactly these, under this name.
    Subscribe {
        /// Whose.
        name: String,
        /// In this order.
        con_ids: Vec<ConId>,
        /// Who hears.
        sink: Arc<dyn DataSink>,
    },
    /// These keep their line.
    Pin(BTreeSet<ConId>),
    /// The terms of a product.
    Resolve {
        /// Its root.
        symbol: String,
        /// Who waits.
        reply: oneshot::Sender<Result<Product, Untold>>,
    },
    /// The dividends of a stock, in IB's words.
    Dividends {
        /// The stock.
        con_id: ConId,
        /// Who waits.
        reply: oneshot::Sender<Told<String>>,
    },
}

/// Who hears of a contract, and under which number.
#[derive(Clone)]
struct Hearer {
    line: u32,
    sink: Arc<dyn DataSink>,
}

struct Lines<'a> {
    gateway: &'a Gateway,
    budget: LineBudget,
    pinned: BTreeSet<ConId>,
    subscriptions: BTreeMap<String, Vec<ConId>>,
    hearers: BTreeMap<ConId, (String, Hearer)>,
    tasks: BTreeMap<ConId, JoinHandle<()>>,
    /// The broker or its farm is away: lines stand still.
    lost: Arc<AtomicBool>,
}

/// The thread's whole life; it ends with the port.
pub fn live(gateway: &Gateway, mut commands: mpsc::Receiver<Command>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        tracing::error!("the data connection's runtime can't be made");
        return;
    };
    runtime.block_on(async {
        let mut lines = Lines {
            gateway,
            budget: LineBudget::new(gateway.settings.lines_max),
            pinned: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            hearers: BTreeMap::new(),
            tasks: BTreeMap::new(),
            lost: Arc::default(),
        };
        let mut wait = BACKOFF.0;
        loop {
            gateway.pace.wait(Lane::Data).await;
            match open(&gateway.settings, gateway.settings.data_client).await {
                Ok((client, notices)) => {
                    let client = Arc::new(client);
                    let opened = tokio::time::Instant::now();
                    let ended = lines.serve(&client, notices, &mut commands).await;
                    lines.lose();
                    // One that takes connections and drops them is not stormed.
                    if opened.elapsed() >= BACKOFF.1 {
                        wait = BACKOFF.0;
                    }
                    let Some(reason) = ended else { return };
                    tracing::warn!(reason, "the data connection is lost");
                }
                Err(reason) => tracing::warn!(reason, "no data connection"),
            }
            if !lines.idle(wait, &mut commands).await {
                return;
            }
            wait = (wait * 2).min(BACKOFF.1);
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
}

impl Lines<'_> {
    /// Serves one connection; `None` when the port is gone.
    async fn serve(
        &mut self,
        client: &Arc<Client>,
        mut notices: NoticeStream,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<String> {
        let mut turns = tokio::time::interval(TURN_EVERY);
        let mut beats = tokio::time::interval(self.gateway.settings.heartbeat);
        turns.reset();
        beats.reset();
        // What was wanted before this connection stood.
        self.reconsider(client);
        loop {
            tokio::select! {
                biased;
                notice = notices.next() => {
                    let Some(notice) = notice else { return Some("it was closed".to_owned()) };
                    match errors::about_the_session(notice.code) {
                        Action::DataLost if mutation::active("ignore_farm_break") => {}
                        Action::BrokerLost | Action::DataLost => {
                            self.lost.store(true, Ordering::Release);
                            self.freeze();
                        }
                        Action::BrokerBackWithoutLines => self.reopen(client),
                        // Said at every start, too.
                        Action::BrokerBack | Action::DataBack => {
                            if self.lost.load(Ordering::Acquire) {
                                self.reopen(client);
                            }
                        }
                        Action::ConnectionRefused => return Some(notice.to_string()),
                        _ => tracing::debug!("{notice}"),
                    }
                }
                command = commands.recv() => self.obey(client, command?),
                _ = turns.tick() => {
                    let turn = self.budget.rotate(TURN_SHARE);
                    self.take(client, turn);
                }
                _ = beats.tick() => {
                    self.gateway.pace.wait(Lane::Data).await;
                    let within = self.gateway.settings.heartbeat_deadline;
                    match timeout(within, client.server_time()).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return Some(format!("a heartbeat failed: {error}")),
                        Err(_) => return Some("a heartbeat was not answered".to_owned()),
                    }
                }
            }
        }
    }

    /// Waits without a connection; false when the port is gone.
    async fn idle(&mut self, wait: Duration, commands: &mut mpsc::Receiver<Command>) -> bool {
        let until = tokio::time::Instant::now() + wait;
        while let Ok(command) = tokio::time::timeout_at(until, commands.recv()).await {
            match command {
                None => return false,
                Some(Command::Subscribe { name, con_ids, sink }) => {
                    self.note(name, con_ids, &sink);
                }
                Some(Command::Pin(con_ids)) => self.pinned = con_ids,
                // Whoever waited may have given up.
                Some(Command::Resolve { reply, .. }) => drop(reply.send(Err(unconnected().into()))),
                Some(Command::Dividends { reply, .. }) => drop(reply.send(Err(unconnected()))),
            }
        }
        true
    }

    fn obey(&mut self, client: &Arc<Client>, command: Command) {
        match command {
            Command::Subscribe { name, con_ids, sink } => {
                let before = self.note(name, con_ids, &sink);
                self.close(&before);
                // Its hearers are new ones: they are told everything from the start.
                self.budget.forget(&before);
                self.reconsider(client);
            }
            Command::Pin(con_ids) => {
                self.pinned = con_ids;
                self.reconsider(client);
            }
            Command::Resolve { symbol, reply } => {
                let (client, gateway) = (Arc::clone(client), self.gateway.clone());
                tokio::spawn(async move {
                    let _ = reply.send(product(&client, &gateway, &symbol).await);
                });
            }
            Command::Dividends { con_id, reply } => {
                let (client, gateway) = (Arc::clone(client), self.gateway.clone());
                tokio::spawn(async move {
                    let within = gateway.settings.answer_deadline;
                    let told = timeout(within, dividends(&client, &gateway, con_id)).await;
                    let late = || Err("no dividends were told in time".to_owned());
                    let _ = reply.send(told.unwrap_or_else(|_| late()));
                });
            }
        }
    }

    /// Takes a subscription down; answers whose lines it had before.
    fn note(
        &mut self,
        name: String,
        con_ids: Vec<ConId>,
        sink: &Arc<dyn DataSink>,
    ) -> BTreeSet<ConId> {
        let before: BTreeSet<ConId> =
            self.subscriptions.get(&name).into_iter().flatten().copied().collect();
        self.hearers.retain(|_, (owner, _)| *owner != name);
        for (line, con_id) in (0_u32..).zip(&con_ids) {
            let hearer = Hearer { line, sink: Arc::clone(sink) };
            self.hearers.insert(*con_id, (name.clone(), hearer));
        }
        self.subscriptions.insert(name, con_ids);
        before
    }

    fn reconsider(&mut self, client: &Arc<Client>) {
        // What isn't an option has one line for a whole chain: it always gets it.
        let is_root = |con_id: &ConId| {
            self.gateway.contracts.get(*con_id).is_some_and(|one| {
                !matches!(one.kind, InstrumentKind::Option(_) | InstrumentKind::FutureOption(_))
            })
        };
        let wanted: Vec<ConId> = self.subscriptions.values().flatten().copied().collect();
        let pinned: BTreeSet<ConId> = wanted
            .iter()
            .copied()
            .filter(|con_id| self.pinned.contains(con_id) || is_root(con_id))
            .collect();
        let turn = self.budget.want(&pinned, &wanted);
        self.take(client, turn);
    }

    fn take(&mut self, client: &Arc<Client>, turn: Turn) {
        self.close(&turn.close.into_iter().collect());
        for con_id in turn.open {
            let Some((_, hearer)) = self.hearers.get(&con_id).cloned() else { continue };
            let contract = Contract::Single(con_id);
            let contract = match translate::wire_contract(&contract, &self.gateway.contracts) {
                Ok(contract) => contract,
                Err(error) => {
                    tracing::warn!("{error}");
                    continue;
                }
            };
            let (client, gateway) = (Arc::clone(client), self.gateway.clone());
            let lost = Arc::clone(&self.lost);
            let task = tokio::spawn(async move {
                let ended = read_line(&client, &gateway, &contract, &hearer).await;
                if mutation::active("ignore_competing_session") {
                    return;
                }
                if let ibapi::Error::Notice(notice) = &ended
                    && errors::about_the_session(notice.code) == Action::DataLost
                {
                    // A competing session is told to each line alone, and ends it.
                    lost.store(true, Ordering::Release);
                }
                hearer.sink.confirmed(hearer.line, DataType::Frozen);
                tracing::debug!("the line of {con_id} has ended: {ended}");
            });
            self.tasks.insert(con_id, task);
        }
    }

    fn close(&mut self, con_ids: &BTreeSet<ConId>) {
        for con_id in con_ids {
            if let Some(task) = self.tasks.remove(con_id) {
                // With the task goes its subscription, which is cancelled at the broker.
                task.abort();
            }
            if let Some((_, hearer)) = self.hearers.get(con_id) {
                hearer.sink.confirmed(hearer.line, DataType::Frozen);
            }
        }
    }

    /// No line is live any more.
    fn freeze(&self) {
        for (_, hearer) in self.hearers.values() {
            hearer.sink.confirmed(hearer.line, DataType::Frozen);
        }
    }

    /// Every line is closed and opened anew, and so confirmed anew.
    fn reopen(&mut self, client: &Arc<Client>) {
        self.lost.store(false, Ordering::Release);
        let open = self.budget.open().clone();
        self.close(&open);
        self.budget.forget(&open);
        self.reconsider(client);
    }

    fn lose(&mut self) {
        for task in std::mem::take(&mut self.tasks).into_values() {
            task.abort();
        }
        let open = self.budget.open().clone();
        self.budget.forget(&open);
        self.lost.store(false, Ordering::Release);
        self.freeze();
    }
}

/// Reads one line until it ends; answers why.
async fn read_line(
    client: &Client,
    gateway: &Gateway,
    contract: &WireContract,
    hearer: &Hearer,
) -> ibapi::Error {
    gateway.pace.wait(Lane::Data).await;
    if mutation::active("take_delayed_for_live") {
        let asked = client.switch_market_data_type(MarketDataType::Delayed).await;
        if let Err(error) = asked {
            return error;
        }
    }
    let opened = client.market_data(contract).subscribe().await;
    let mut ticks = match opened {
        Ok(ticks) => ticks,
        Err(error) => return error,
    };
    let empty = f64::NAN;
    let time = Timestamp::EPOCH;
    let mut quote = RawQuote { bid: empty, ask: empty, bid_size: 0.0, ask_size: 0.0, time };
    while let Some(item) = ticks.next().await {
        match item {
            Ok(SubscriptionItem::Data(TickTypes::MarketDataType(kind))) => {
                hearer.sink.confirmed(hearer.line, data_type(kind));
            }
            Ok(SubscriptionItem::Data(tick)) => {
                if fold(&mut quote, &tick) {
                    quote.time = (gateway.settings.now)();
                    hearer.sink.quotes(&[(hearer.line, quote)]);
                }
            }
            Ok(SubscriptionItem::Notice(notice)) => match errors::about_the_session(notice.code) {
                Action::Delayed => hearer.sink.confirmed(hearer.line, DataType::Delayed),
                Action::DataLost => hearer.sink.confirmed(hearer.line, DataType::Frozen),
                // A dropped tick is replaced by the next one of its kind; a size may be old.
                _ => tracing::debug!("{notice}"),
            },
            Err(error) => return error,
        }
    }
    ibapi::Error::EndOfStream
}

/// Takes a tick into the quote; false if it is of no bid and no ask. Delayed ticks have numbers of
/// their own, which are none of these: they never reach a quote.
fn fold(quote: &mut RawQuote, tick: &TickTypes) -> bool {
    let price = |value: f64| if value > 0.0 { value } else { f64::NAN };
    let mut one = |kind: &TickType, value: f64| match kind {
        TickType::Bid => quote.bid = price(value),
        TickType::Ask => quote.ask = price(value),
        TickType::BidSize => quote.bid_size = value,
        TickType::AskSize => quote.ask_size = value,
        _ => {}
    };
    let told = match tick {
        TickTypes::Price(tick) => {
            one(&tick.tick_type, tick.price);
            &tick.tick_type
        }
        TickTypes::Size(tick) => {
            one(&tick.tick_type, tick.size);
            &tick.tick_type
        }
        TickTypes::PriceSize(tick) => {
            one(&tick.size_tick_type, tick.size);
            one(&tick.price_tick_type, tick.price);
            &tick.price_tick_type
        }
        _ => return false,
    };
    matches!(told, TickType::Bid | TickType::Ask | TickType::BidSize | TickType::AskSize)
}

fn data_type(kind: MarketDataType) -> DataType {
    match kind {
        MarketDataType::Realtime => DataType::Live,
        _ if mutation::active("take_delayed_for_live") => DataType::Live,
        MarketDataType::Frozen => DataType::Frozen,
        MarketDataType::Delayed => DataType::Delayed,
        // What isn't known is not live.
        MarketDataType::DelayedFrozen | MarketDataType::Unknown => DataType::DelayedFrozen,
    }
}

fn unconnected() -> String {
    "there is no data connection".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ibapi::market_data::realtime::TickPrice;

    #[test]
    fn only_real_time_is_live() {
        let told = [
            (MarketDataType::Realtime, DataType::Live),
            (MarketDataType::Frozen, DataType::Frozen),
            (MarketDataType::Delayed, DataType::Delayed),
            (MarketDataType::DelayedFrozen, DataType::DelayedFrozen),
            (MarketDataType::Unknown, DataType::DelayedFrozen),
        ];
        for (kind, data) in told {
            assert_eq!(data_type(kind), data, "{kind:?}");
        }
    }

    #[test]
    fn a_delayed_tick_reaches_no_quote_and_no_price_is_no_side() {
        let time = Timestamp::EPOCH;
        let mut quote = RawQuote { bid: 1.0, ask: 2.0, bid_size: 3.0, ask_size: 4.0, time };
        let before = quote;
        let tick = |tick_type, price| {
            TickTypes::Price(TickPrice { tick_type, price, ..TickPrice::default() })
        };
        for kind in [TickType::DelayedBid, TickType::DelayedAsk, TickType::Last] {
            assert!(!fold(&mut quote, &tick(kind, 9.0)));
        }
        assert_eq!(quote, before);
        assert!(fold(&mut quote, &tick(TickType::Bid, -1.0)));
        assert!(quote.bid.is_nan());
    }
}
