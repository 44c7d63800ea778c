//! One line of market data: opened in its turn, read, told on, closed in its turn.
//!
//! A line outlives those who hear it: a new hearer is told what was said last, and the broker is
//! asked nothing. Opening and closing are messages to the broker, so each waits for its token; and
//! a line keeps its place among those that the account has until its end is written, so that the
//! broker never sees one more than it allows.

use super::super::errors::{self, Action};
use super::super::lines::patience;
use super::super::orders::Gateway;
use super::super::pacing::Lane;
use crate::port::DataSink;
use futures::StreamExt;
use ibapi::Client;
use ibapi::contracts::Contract as WireContract;
use ibapi::contracts::tick_types::TickType;
use ibapi::market_data::MarketDataType;
use ibapi::market_data::realtime::TickTypes;
use ibapi::subscriptions::{Subscription, SubscriptionItem};
use market::quote::{DataType, RawQuote};
use market::time::Timestamp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the lines of one connection share.
pub struct Connected {
    pub client: Arc<Client>,
    pub gateway: Gateway,
    /// The lines that the account has.
    pub places: Arc<Semaphore>,
    /// Lines wait for their token one behind the other: hundreds that ask at once would wake each
    /// other for nothing.
    pub queue: tokio::sync::Mutex<()>,
    /// The broker or its farm is away: lines stand still.
    pub lost: Arc<AtomicBool>,
}

impl Connected {
    async fn token(&self) {
        let _first = self.queue.lock().await;
        self.gateway.pace.wait(Lane::Data).await;
    }
}

/// Who hears of a contract, and under which number.
#[derive(Clone)]
pub struct Hearer {
    pub line: u32,
    pub sink: Arc<dyn DataSink>,
}

/// An open line; dropped, it says nothing more and is closed at the broker in its turn.
pub struct Line {
    ear: Arc<Mutex<Ear>>,
    quit: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What a line has said, and who hears it.
struct Ear {
    hearer: Hearer,
    data: Option<DataType>,
    quote: RawQuote,
    is_quoted: bool,
    /// When it was asked for, or when it ended.
    since: Option<Instant>,
    has_ended: bool,
    /// How often in a row it gave no sign.
    tries: u32,
}

impl Ear {
    fn confirmed(&mut self, data: DataType) {
        self.data = Some(data);
        self.hearer.sink.confirmed(self.hearer.line, data);
    }

    fn ticked(&mut self, tick: &TickTypes, now: impl Fn() -> Timestamp) {
        if fold(&mut self.quote, tick) {
            self.quote.time = now();
            self.is_quoted = true;
            self.hearer.sink.quotes(&[(self.hearer.line, self.quote)]);
        }
    }
}

impl Line {
    /// Opens a line in its turn.
    pub fn open(
        connected: &Arc<Connected>,
        contract: WireContract,
        hearer: Hearer,
        tries: u32,
    ) -> Self {
        let (empty, time) = (f64::NAN, Timestamp::EPOCH);
        let ear = Arc::new(Mutex::new(Ear {
            hearer,
            data: None,
            quote: RawQuote { bid: empty, ask: empty, bid_size: 0.0, ask_size: 0.0, time },
            is_quoted: false,
            since: None,
            has_ended: false,
            tries,
        }));
        let (quit, quits) = oneshot::channel();
        let life = live(Arc::clone(connected), contract, Arc::clone(&ear), quits);
        Self { ear, quit, task: tokio::spawn(life) }
    }

    /// Somebody else hears it from now on, and is told what was said last.
    pub fn hear(&self, hearer: Hearer) {
        let mut ear = locked(&self.ear);
        ear.hearer = hearer;
        if let Some(data) = ear.data {
            ear.hearer.sink.confirmed(ear.hearer.line, data);
        }
        if ear.is_quoted {
            ear.hearer.sink.quotes(&[(ear.hearer.line, ear.quote)]);
        }
    }

    /// It is not live, whatever it said.
    pub fn freeze(&self) {
        locked(&self.ear).confirmed(DataType::Frozen);
    }

    /// Closes it in its turn; the task that remains ends when that is written.
    pub fn close(self) -> JoinHandle<()> {
        self.freeze();
        drop(self.quit);
        self.task
    }

    /// Its connection is gone: there is nobody to write to.
    pub fn abort(self) {
        self.freeze();
        self.task.abort();
    }

    /// How often it will have given no sign, if it has ended or never said what kind of data it
    /// brings, for so long that it should be opened anew.
    pub fn overdue(&self, within: Duration) -> Option<u32> {
        let ear = locked(&self.ear);
        if ear.data.is_some() && !ear.has_ended {
            return None;
        }
        let patience = patience(within, ear.tries);
        ear.since.is_some_and(|since| since.elapsed() >= patience).then_some(ear.tries + 1)
    }
}

/// The task of a line, from its turn to its end.
async fn live(
    connected: Arc<Connected>,
    contract: WireContract,
    ear: Arc<Mutex<Ear>>,
    mut quits: oneshot::Receiver<()>,
) {
    let turn = async {
        let place = Arc::clone(&connected.places).acquire_owned().await;
        connected.token().await;
        place
    };
    let place = tokio::select! {
        biased;
        _ = &mut quits => return,
        place = turn => place,
    };
    locked(&ear).since = Some(Instant::now());
    match open(&connected.client, &contract).await {
        Ok(mut ticks) => {
            let ended = tokio::select! {
                biased;
                _ = &mut quits => None,
                ended = read(&mut ticks, &connected.gateway, &ear) => Some(ended),
            };
            if let Some(ended) = ended {
                has_ended(&ended, &ear, &connected.lost);
            }
            connected.token().await;
            // Writes nothing if the broker has ended it.
            ticks.cancel().await;
        }
        Err(error) => has_ended(&error, &ear, &connected.lost),
    }
    drop(place);
}

async fn open(
    client: &Client,
    contract: &WireContract,
) -> Result<Subscription<TickTypes>, ibapi::Error> {
    if mutation::active("take_delayed_for_live") {
        client.switch_market_data_type(MarketDataType::Delayed).await?;
    }
    client.market_data(contract).subscribe().await
}

/// Reads until the line ends; answers why.
async fn read(
    ticks: &mut Subscription<TickTypes>,
    gateway: &Gateway,
    ear: &Mutex<Ear>,
) -> ibapi::Error {
    while let Some(item) = ticks.next().await {
        let mut ear = locked(ear);
        match item {
            Ok(SubscriptionItem::Data(TickTypes::MarketDataType(kind))) => {
                ear.tries = 0;
                ear.confirmed(data_type(kind));
            }
            Ok(SubscriptionItem::Data(tick)) => ear.ticked(&tick, || (gateway.settings.now)()),
            Ok(SubscriptionItem::Notice(notice)) => match errors::about_the_session(notice.code) {
                Action::Delayed => ear.confirmed(DataType::Delayed),
                Action::DataLost => ear.confirmed(DataType::Frozen),
                // A dropped tick is replaced by the next one of its kind; a size may be old.
                _ => tracing::debug!("{notice}"),
            },
            Err(error) => return error,
        }
    }
    ibapi::Error::EndOfStream
}

fn has_ended(ended: &ibapi::Error, ear: &Mutex<Ear>, lost: &AtomicBool) {
    if mutation::active("ignore_competing_session") {
        return;
    }
    if let ibapi::Error::Notice(notice) = ended
        && errors::about_the_session(notice.code) == Action::DataLost
    {
        // A competing session is told to each line alone, and ends it.
        lost.store(true, Ordering::Release);
    }
    let mut ear = locked(ear);
    ear.confirmed(DataType::Frozen);
    (ear.has_ended, ear.since) = (true, Some(Instant::now()));
    tracing::debug!("a line has ended: {ended}");
}

fn locked(ear: &Mutex<Ear>) -> MutexGuard<'_, Ear> {
    // A sink that panicked leaves a whole value.
    ear.lock().unwrap_or_else(PoisonError::into_inner)
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
