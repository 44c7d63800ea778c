//! One connection: its thread, its lanes, and what it hears until it ends.

use super::super::errors::{self, Action};
use super::super::settings::{IbSettings, check_account};
use super::super::tracker::{News, Tracker};
use super::questions;
use super::{Gateway, Pace};
use crate::ib::pacing::Lane;
use crate::port::{BrokerEvent, EventSink, WriteError};
use futures::StreamExt;
use ibapi::contracts::Contract as WireContract;
use ibapi::orders::{Order as WireOrder, OrderUpdate};
use ibapi::subscriptions::{NoticeStream, Subscription, SubscriptionItem};
use ibapi::{Client, Error};
use market::money::{Price, Quantity};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use trading::id::OrderId;
use trading::report::Question;

/// Cancels that may wait: every order that the broker lets us have open, several times over.
const CANCELS_WAITING: usize = 4_096;
/// Orders that may wait: the caller waits for each, so there is one, and one that was given up.
const ORDERS_WAITING: usize = 4;
/// Questions that may wait.
const QUESTIONS_WAITING: usize = 16;
/// Messages that the library keeps for a late reader of a line or of an answer; then it drops the
/// oldest and says so. It makes room for all of them at each request, each line and each cancel:
/// sixteen thousand cost a cancel half a millisecond and two megabytes. Streams of orders have
/// eight thousand of the library's own.
const STREAM_CAPACITY: usize = 2_048;

/// A write that waits to begin may be called off; one that has begun may not.
const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const CALLED_OFF: u8 = 2;

/// What a port asks of its connection without waiting.
pub enum Command {
    /// Cancel this.
    Cancel(i32),
    /// Answer this.
    Ask {
        /// Comes back with the answer.
        ticket: u64,
        /// What.
        question: Question,
    },
}

/// An order in the broker's words.
pub struct PlaceCommand {
    /// What for.
    pub contract: WireContract,
    /// Its terms.
    pub order: WireOrder,
    /// For a modify: what it is to become.
    pub modify: Option<(Price, Quantity)>,
}

struct Placing {
    command: PlaceCommand,
    stage: Arc<AtomicU8>,
    reply: SyncSender<Result<(), WriteError>>,
}

struct Lanes {
    cancels: mpsc::Receiver<i32>,
    orders: mpsc::Receiver<Placing>,
    questions: mpsc::Receiver<(u64, Question)>,
}

/// The handle that the port holds.
pub struct Connection {
    cancels: mpsc::Sender<i32>,
    orders: mpsc::Sender<Placing>,
    questions: mpsc::Sender<(u64, Question)>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    write_deadline: Duration,
}

impl Connection {
    /// Begins; `before` is the thread of the last one, which still holds the client id.
    pub fn begin(
        gateway: &Gateway,
        generation: u32,
        sink: EventSink,
        before: Option<JoinHandle<()>>,
    ) -> Self {
        let (cancels, cancels_told) = mpsc::channel(CANCELS_WAITING);
        let (orders, orders_told) = mpsc::channel(ORDERS_WAITING);
        let (questions, questions_told) = mpsc::channel(QUESTIONS_WAITING);
        let (stop, stopped) = watch::channel(false);
        let lanes = Lanes { cancels: cancels_told, orders: orders_told, questions: questions_told };
        let write_deadline = gateway.settings.write_deadline;
        let gateway = gateway.clone();
        let name = format!("ib-orders-{generation}");
        let sink = Arc::new(sink);
        let told = Arc::clone(&sink);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            if let Some(before) = before
                && !mutation::active("connect_without_waiting")
            {
                // It was told to stop, and each of its waits is bounded.
                let _ = before.join();
            }
            live(&gateway, &sink, lanes, stopped);
        });
        let thread = thread.map_err(|error| {
            told(BrokerEvent::Disconnected { reason: format!("no thread for it: {error}") });
        });
        Self { cancels, orders, questions, stop, thread: thread.ok(), write_deadline }
    }

    /// Ends it, silently; answers its thread, which lets go of the client id soon after.
    pub fn end(self) -> JoinHandle<()> {
        self.stop.send_replace(true);
        self.thread.unwrap_or_else(|| {
            std::thread::Builder::new().spawn(|| ()).expect("a thread that ends at once")
        })
    }

    /// Writes an order and waits until it is written, or can't be any more.
    pub fn place(&self, command: PlaceCommand) -> Result<(), WriteError> {
        let stage = Arc::new(AtomicU8::new(WAITING));
        let (reply, replied) = sync_channel(1);
        let placing = Placing { command, stage: Arc::clone(&stage), reply };
        self.orders.try_send(placing).map_err(|_| WriteError::NotConnected)?;
        if let Ok(result) = replied.recv_timeout(self.write_deadline * 2) {
            return result;
        }
        let called_off =
            stage.compare_exchange(WAITING, CALLED_OFF, Ordering::AcqRel, Ordering::Acquire);
        if called_off.is_ok() {
            return Err(WriteError::NotConnected);
        }
        // It has begun and doesn't end: nothing more may follow on this socket.
        self.stop.send_replace(true);
        Err(WriteError::Broken)
    }

    /// Passes a command on.
    pub fn send(&self, command: Command) -> Result<(), WriteError> {
        let sent = match command {
            Command::Cancel(order_id) => self.cancels.try_send(order_id).is_ok(),
            Command::Ask { ticket, question } => {
                self.questions.try_send((ticket, question)).is_ok()
            }
        };
        if sent { Ok(()) } else { Err(WriteError::NotConnected) }
    }
}

/// The thread's whole life.
fn live(gateway: &Gateway, sink: &EventSink, lanes: Lanes, mut stopped: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let reason = format!("its runtime can't be made: {error}");
            return sink(BrokerEvent::Disconnected { reason });
        }
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => None,
            reason = connected(gateway, sink, lanes) => Some(reason),
        }
    });
    // With the runtime go the library's tasks, and with them the socket.
    runtime.shutdown_timeout(Duration::from_millis(100));
    if let Some(reason) = ended {
        sink(BrokerEvent::Disconnected { reason });
    }
}

/// Connects and serves until the connection is over; answers why.
async fn connected(gateway: &Gateway, sink: &EventSink, lanes: Lanes) -> String {
    let settings = &gateway.settings;
    gateway.pace.wait(Lane::Data).await;
    let (client, notices) = match open(settings, settings.order_client).await {
        Ok(open) => open,
        Err(reason) => {
            if mutation::active("give_up_when_in_use") {
                sink(BrokerEvent::HumanNeeded { reason: reason.clone() });
            }
            return reason;
        }
    };
    let managed = client.handshake_managed_accounts();
    if let Err(error) = check_account(&settings.account, settings.environment, managed) {
        let reason = error.to_string();
        sink(BrokerEvent::HumanNeeded { reason: reason.clone() });
        return reason;
    }
    let updates = match client.order_update_stream().await {
        Ok(updates) => updates,
        Err(error) => return format!("no stream of orders: {error}"),
    };
    let _bound = if settings.order_client == 0 {
        gateway.pace.wait(Lane::Data).await;
        // Orders of the broker's own screen are told to client 0 from here on.
        match timeout(settings.answer_deadline, client.auto_open_orders(true)).await {
            Ok(Ok(bound)) => Some(bound),
            Ok(Err(error)) => return format!("manual orders can't be bound: {error}"),
            Err(_) => return "manual orders weren't bound in time".to_owned(),
        }
    } else {
        None
    };
    let tracker = RefCell::new(Tracker::new(settings.order_client, &settings.account.0));
    sink(BrokerEvent::Connected { next_order_id: OrderId(i64::from(client.next_order_id())) });
    let Lanes { cancels, orders, questions } = lanes;
    tokio::select! {
        biased;
        reason = hear(updates, &tracker, sink) => reason,
        reason = heed(notices, sink) => reason,
        reason = write(&client, (cancels, orders), gateway, &tracker) => reason,
        reason = answer(&client, questions, gateway, &tracker, sink) => reason,
        reason = beat(&client, settings, &gateway.pace) => reason,
    }
}

/// Opens a client: no reconnect and no limiter of the library's own.
pub async fn open(settings: &IbSettings, client_id: i32) -> Result<(Client, NoticeStream), String> {
    let opening = Client::builder()
        .address(settings.address.as_str())
        .client_id(client_id)
        .tcp_no_delay(true)
        .max_reconnect_attempts(0)
        .channel_capacity(STREAM_CAPACITY)
        .one_shot_timeout(settings.answer_deadline)
        .connect_with_notice_stream();
    match timeout(settings.connect_deadline, opening).await {
        Ok(Ok(open)) => Ok(open),
        Ok(Err(Error::ClientIdInUse { client_id })) => {
            Err(format!("client id {client_id} is in use (326); it is tried again"))
        }
        Ok(Err(error)) => Err(format!("no connection to {}: {error}", settings.address)),
        Err(_) => Err(format!("no connection to {} in time", settings.address)),
    }
}

/// Passes the live stream on.
async fn hear(
    mut updates: Subscription<OrderUpdate>,
    tracker: &RefCell<Tracker>,
    sink: &EventSink,
) -> String {
    while let Some(item) = updates.next().await {
        let news = match item {
            Ok(SubscriptionItem::Data(update)) => tracker.borrow_mut().on_update(&update),
            Ok(SubscriptionItem::Notice(notice)) => match notice.request_id {
                Some(order_id) => {
                    tracker.borrow_mut().on_error(order_id, notice.code, &notice.message)
                }
                None => vec![News::Gap(notice.to_string())],
            },
            Err(error) => return format!("the stream of orders has ended: {error}"),
        };
        for one in news {
            match one {
                News::Report(report) => sink(BrokerEvent::Report(report)),
                News::Gap(reason) => sink(BrokerEvent::Gap { reason }),
                News::Remark(text) => tracing::info!("{text}"),
            }
        }
    }
    "the stream of orders has ended".to_owned()
}

/// Heeds what the gateway says of itself.
async fn heed(mut notices: NoticeStream, sink: &EventSink) -> String {
    while let Some(notice) = notices.next().await {
        let reason = notice.to_string();
        match errors::about_the_session(notice.code) {
            Action::BrokerLost => sink(BrokerEvent::BrokerLost { reason }),
            Action::BrokerBack | Action::BrokerBackWithoutLines
                if mutation::active("ignore_broker_back") => {}
            Action::BrokerBack | Action::BrokerBackWithoutLines => {
                sink(BrokerEvent::BrokerBack { reason });
            }
            Action::Gap => sink(BrokerEvent::Gap { reason }),
            Action::ConnectionRefused => return reason,
            Action::Paced => tracing::warn!(reason, "too fast for the broker"),
            _ => tracing::info!("{reason}"),
        }
    }
    "the gateway has closed the connection".to_owned()
}

/// Writes: cancels before orders.
async fn write(
    client: &Client,
    (mut cancels, mut orders): (mpsc::Receiver<i32>, mpsc::Receiver<Placing>),
    gateway: &Gateway,
    tracker: &RefCell<Tracker>,
) -> String {
    loop {
        tokio::select! {
            biased;
            Some(order_id) = cancels.recv() => {
                gateway.pace.wait(Lane::Cancel).await;
                tracker.borrow_mut().canceling(i64::from(order_id));
                let cancel = client.cancel_order(order_id, "");
                match timeout(gateway.settings.write_deadline, cancel).await {
                    // The answer comes on the stream of orders.
                    Ok(Ok(answer)) => drop(answer),
                    Ok(Err(error)) => return format!("a cancel could not be written: {error}"),
                    Err(_) => return "a cancel was not written in time".to_owned(),
                }
            }
            Some(placing) = orders.recv() => {
                if let Err(reason) = place(client, placing, gateway, tracker).await {
                    return reason;
                }
            }
            else => return "the port is gone".to_owned(),
        }
    }
}

async fn place(
    client: &Client,
    placing: Placing,
    gateway: &Gateway,
    tracker: &RefCell<Tracker>,
) -> Result<(), String> {
    let Placing { command: PlaceCommand { contract, order, modify }, stage, reply } = placing;
    let begun = stage.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire);
    if begun.is_err() {
        return Ok(());
    }
    let order_id = i64::from(order.order_id);
    match modify {
        Some((limit, quantity)) => tracker.borrow_mut().modifying(order_id, limit, quantity),
        None => tracker.borrow_mut().placing(order_id),
    }
    let submit = client.submit_order(order.order_id, &contract, &order);
    let (result, ended) = match timeout(gateway.settings.write_deadline, submit).await {
        Ok(Ok(())) => (Ok(()), Ok(())),
        // Refused by the library before the first byte.
        Ok(Err(error @ (Error::InvalidArgument(_) | Error::ServerVersion(..)))) => {
            (Err(WriteError::Unwritable(error.to_string())), Ok(()))
        }
        Ok(Err(error)) => {
            (Err(WriteError::Broken), Err(format!("an order's write broke: {error}")))
        }
        Err(_) => (Err(WriteError::Broken), Err("an order's write hangs".to_owned())),
    };
    // Whoever waited may have given up.
    let _ = reply.try_send(result);
    ended
}

/// Answers questions, one after the other. One without an answer in time isn't answered: whoever
/// asked has a deadline of its own.
async fn answer(
    client: &Client,
    mut asked: mpsc::Receiver<(u64, Question)>,
    gateway: &Gateway,
    tracker: &RefCell<Tracker>,
    sink: &EventSink,
) -> String {
    while let Some((ticket, question)) = asked.recv().await {
        gateway.pace.wait(Lane::Data).await;
        let answering = questions::answer(client, question, gateway, tracker);
        let within = match gateway.settings.answer_deadline {
            _ if mutation::active("take_silence_for_empty") => Duration::MAX,
            within => within,
        };
        match timeout(within, answering).await {
            Ok(Ok(answer)) => sink(BrokerEvent::Answer { ticket, answer }),
            Ok(Err(error)) => tracing::warn!(?question, error, "a question was not answered"),
            Err(_) => tracing::warn!(?question, "a question was not answered in time"),
        }
    }
    std::future::pending().await
}

/// Asks the time now and then: a socket can be open at our end only.
async fn beat(client: &Client, settings: &IbSettings, pace: &Pace) -> String {
    loop {
        tokio::time::sleep(settings.heartbeat).await;
        if mutation::active("skip_heartbeat") {
            continue;
        }
        pace.wait(Lane::Data).await;
        match timeout(settings.heartbeat_deadline, client.server_time()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return format!("a heartbeat failed: {error}"),
            Err(_) => return "a heartbeat was not answered: the socket is half open".to_owned(),
        }
    }
}
