//! The simulated broker: the venue that hosts the exchange, and the two ports into it.
//!
//! The venue stands outside the node's tree: no kill of a role touches it, and it trades on while
//! the node is down. It writes its books down before it reports. Its clients speak through the same
//! ports as any broker's; a report that nobody hears is lost, as on a real connection. Not here:
//! matching, fees, expiry (exchange); who drives it through time (its host).

// tidy-ok: lines: the venue and its two ports share one lock and its private state

pub mod faults;
#[cfg(test)]
mod tests;
mod translate;

use crate::port::{BrokerEvent, DataPort, DataSink, EventSink, OrderPort, WriteError};
use crate::wire_fence::WireFence;
use exchange::book_file::{VenueFileError, VenueFiles};
use exchange::builtin::ScheduledDividend;
use exchange::order::{NewOrder, Request};
use exchange::{Exchange, MarketSource};
use faults::{Arrival, Fault, LinkFault, LinkFaults, Moment, Passage, ReportFault, Said};
use faults::{TooManyFaults, VenueNews};
use market::instrument::{ConId, Instrument};
use market::quote::{DataType, Quote, RawQuote};
use market::time::{ProcessTime, Timestamp};
use risk::cleared::Cleared;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trading::id::OrderId;
use trading::order::{Order, OrderHash};
use trading::report::{Question, Report};

/// A quiet market's clock and path are saved this often: every five seconds of the built-in market.
const STEPS_BETWEEN_SAVES: u32 = 20;

/// What the venue received, in its own words: for whoever checks the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireMessage {
    /// A new order.
    Placed(NewOrder),
    /// A changed order, as it shall be.
    Modified(NewOrder),
    /// A cancel.
    Canceled {
        /// The client's number.
        client_order_id: i64,
    },
}

/// Sees what the venue receives.
pub type WireTap = Box<dyn Fn(&WireMessage, Timestamp) + Send>;

/// Hears which instruments were listed.
pub type ListingListener = Arc<dyn Fn(&[Instrument]) + Send + Sync>;

/// Hears what came in and which faults struck; called inside the venue, it must not call back.
pub type NewsListener = Box<dyn Fn(&VenueNews, Timestamp) + Send>;

/// Hears that a request has come in, so that its host looks at the clock again.
pub type RequestListener = Arc<dyn Fn() + Send + Sync>;

/// The venue's books could not be written down; it stops rather than forget.
#[derive(Debug, thiserror::Error)]
#[error("the venue can't write its books: {0}; free space or choose another --state")]
pub struct VenueError(pub VenueFileError);

/// The venue. Share it in an `Arc`.
pub struct SimulatedVenue(Mutex<VenueState>);

struct VenueState {
    exchange: Exchange,
    source: MarketSource,
    files: Option<VenueFiles>,
    orders: Option<OrderClient>,
    feeds: BTreeMap<Arc<str>, Feed>,
    /// By instrument: its last quote, and the feed and line on which a client follows it.
    watched: BTreeMap<ConId, Watched>,
    tap: Option<WireTap>,
    on_listed: Option<ListingListener>,
    on_request: Option<RequestListener>,
    on_news: Option<NewsListener>,
    link: LinkFaults,
    quotes_total: u64,
    steps_unsaved: u32,
    broken: Option<String>,
}

struct OrderClient {
    connection: u64,
    sink: EventSink,
}

#[derive(Default)]
struct Watched {
    latest: Option<Quote>,
    route: Option<(Arc<str>, u32)>,
}

struct Feed {
    sink: Arc<dyn DataSink>,
    batch: Vec<(u32, RawQuote)>,
}

impl SimulatedVenue {
    /// A venue over an exchange and a source of quotes; `files` keep its books, if it has any.
    #[must_use]
    pub fn new(exchange: Exchange, source: MarketSource, files: Option<VenueFiles>) -> Self {
        Self(Mutex::new(VenueState {
            exchange,
            source,
            files,
            orders: None,
            feeds: BTreeMap::new(),
            watched: BTreeMap::new(),
            tap: None,
            on_listed: None,
            on_request: None,
            on_news: None,
            link: LinkFaults::default(),
            quotes_total: 0,
            steps_unsaved: 0,
            broken: None,
        }))
    }

    /// When something next happens by itself; `None` when the source has ended and all is quiet.
    #[must_use]
    pub fn next_time(&self) -> Option<Timestamp> {
        let state = self.lock();
        [state.source.next_time(), state.next_own()].into_iter().flatten().min()
    }

    /// When the source has its next quotes; `None` when it has ended.
    #[must_use]
    pub fn next_quotes(&self) -> Option<Timestamp> {
        self.lock().source.next_time()
    }

    /// Lets everything happen that is due by `now`, in order of time.
    ///
    /// # Errors
    /// When the books can't be written; the venue then stands still.
    pub fn advance(&self, now: Timestamp) -> Result<(), VenueError> {
        self.lock().advance(now)
    }

    /// Sees everything that the venue receives from here on.
    pub fn tap(&self, tap: WireTap) {
        self.lock().tap = Some(tap);
    }

    /// Hears of new listings from here on.
    pub fn on_listed(&self, listener: ListingListener) {
        self.lock().on_listed = Some(listener);
    }

    /// Hears of received messages and struck faults from here on.
    pub fn on_news(&self, listener: NewsListener) {
        self.lock().on_news = Some(listener);
    }

    /// Arms a fault of the order connection; one for [`Moment::Now`] strikes at once, at `now`.
    ///
    /// # Errors
    /// When too many wait for their moment.
    pub fn arm(&self, fault: Fault, now: Timestamp) -> Result<(), TooManyFaults> {
        let mut state = self.lock();
        if let Fault::Link { at: Moment::Now, fault } = fault {
            state.strike(fault, Moment::Now, now);
            if let Some(listener) = &state.on_request {
                listener();
            }
            return Ok(());
        }
        state.link.arm(fault)
    }

    /// Forgets the faults that wait for their moment; answers how many. What has begun ends by
    /// itself.
    pub fn disarm(&self) -> usize {
        self.lock().link.disarm()
    }

    /// Hears of requests from here on.
    pub fn on_request(&self, listener: RequestListener) {
        self.lock().on_request = Some(listener);
    }

    /// Looks at the exchange: for reports, tests and the auditor.
    pub fn with_exchange<T>(&self, look: impl FnOnce(&Exchange) -> T) -> T {
        look(&self.lock().exchange)
    }

    /// Quotes published so far.
    #[must_use]
    pub fn quotes_total(&self) -> u64 {
        self.lock().quotes_total
    }

    /// Every client is gone, as when the node's process died.
    pub fn drop_clients(&self) {
        let mut state = self.lock();
        state.orders = None;
        state.exchange.drop_reports();
        state.link.on_connection_changed();
        state.feeds.clear();
        state.watched.values_mut().for_each(|watched| watched.route = None);
        state.on_listed = None;
    }

    /// Writes down whatever is not yet written, the market's clock and path included.
    ///
    /// # Errors
    /// When the books can't be written.
    pub fn save(&self) -> Result<(), VenueError> {
        self.lock().save()
    }

    fn lock(&self) -> MutexGuard<'_, VenueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VenueState {
    fn advance(&mut self, now: Timestamp) -> Result<(), VenueError> {
        loop {
            let quotes = self.source.next_time().filter(|at| *at <= now);
            let own = self.next_own().filter(|at| *at <= now);
            match (quotes, own) {
                (None, None) => return self.deliver(now),
                (Some(at), own) if own.is_none_or(|own| at <= own) => {
                    self.take_step();
                    self.deliver(at)?;
                }
                (_, Some(at)) => {
                    self.exchange.on_time(at);
                    self.on_link_time(at);
                    self.deliver(at)?;
                }
                (Some(_), None) => unreachable!("the second arm takes quotes without a rival"),
            }
        }
    }

    fn take_step(&mut self) {
        let Some(step) = self.source.step() else { return };
        if !step.listed.is_empty() {
            for instrument in &step.listed {
                self.exchange.list(instrument.clone());
            }
            if let MarketSource::Builtin(market) = &self.source {
                for dividend in market.dividends() {
                    let ScheduledDividend { con_id, ex_date, amount } = dividend;
                    self.exchange.announce_dividend(con_id, ex_date, amount);
                }
            }
            if let Some(listener) = &self.on_listed {
                listener(&step.listed);
            }
        }
        self.exchange.on_quotes(&step.quotes, step.time);
        self.steps_unsaved = self.steps_unsaved.saturating_add(1);
        self.quotes_total += step.quotes.len() as u64;
        for (con_id, quote) in &step.quotes {
            let watched = self.watched.entry(*con_id).or_default();
            watched.latest = Some(*quote);
            if let Some((name, line)) = &watched.route
                && let Some(feed) = self.feeds.get_mut(name)
            {
                feed.batch.push((*line, translate::raw_quote(quote)));
            }
        }
        for feed in self.feeds.values_mut().filter(|feed| !feed.batch.is_empty()) {
            feed.sink.quotes(&feed.batch);
            feed.batch.clear();
        }
    }

    /// Books first, reports after: what a client was told survives the venue's death.
    fn deliver(&mut self, now: Timestamp) -> Result<(), VenueError> {
        self.write_changes()?;
        let reports = self.exchange.take_reports(now);
        for report in reports.into_iter().flat_map(translate::report) {
            self.say(report, now);
        }
        Ok(())
    }

    /// Tells the client, unless a fault has other plans.
    fn say(&mut self, report: Report, now: Timestamp) {
        if self.orders.is_none() || self.link.is_silent(now) {
            return;
        }
        let said = Said::of(&report);
        let fault = self.link.take_of(said);
        if let Some(fault) = fault {
            self.tell_news(&VenueNews::Struck(Fault::Report { said, fault }), now);
        }
        match fault {
            None => self.tell(report),
            Some(ReportFault::Drop) => {}
            Some(ReportFault::Duplicate) => {
                self.tell(report.clone());
                self.tell(report);
            }
            Some(held @ (ReportFault::Delay(_) | ReportFault::OvertakenBy(_))) => {
                return self.link.hold(report, held, now);
            }
        }
        // A connection that ends here takes along what was overtaken.
        if let Some(fault) = self.link.take_at(Moment::Heard(said)) {
            self.strike(fault, Moment::Heard(said), now);
        }
        for overtaken in self.link.overtaken(said) {
            self.tell(overtaken);
        }
    }

    fn tell(&self, report: Report) {
        self.tell_event(BrokerEvent::Report(report));
    }

    fn tell_event(&self, event: BrokerEvent) {
        if let Some(client) = &self.orders {
            (client.sink)(event);
        }
    }

    fn tell_news(&self, news: &VenueNews, now: Timestamp) {
        if let Some(listener) = &self.on_news {
            listener(news, now);
        }
    }

    /// When the exchange or the link next has something to do by itself.
    fn next_own(&self) -> Option<Timestamp> {
        [self.exchange.next_wake(), self.link.next_wake()].into_iter().flatten().min()
    }

    /// A fault of the link begins.
    fn strike(&mut self, fault: LinkFault, at: Moment, now: Timestamp) {
        self.tell_news(&VenueNews::Struck(Fault::Link { at, fault }), now);
        self.link.begin(fault, now);
        match fault {
            LinkFault::Close => self.hang_up("the broker closed the connection"),
            LinkFault::Break(_) => self.hang_up("the connection broke"),
            LinkFault::Restart { .. } => {
                self.exchange.drop_requests();
                self.hang_up("the gateway restarts");
            }
            LinkFault::Outage { .. } => {
                let reason = "1100 connectivity between the gateway and the broker has been lost";
                self.tell_event(BrokerEvent::BrokerLost { reason: reason.to_owned() });
            }
            LinkFault::HalfOpen { .. } | LinkFault::RollBack { .. } | LinkFault::Mute { .. } => {}
        }
    }

    /// The client's end of the connection learns that it is over.
    fn hang_up(&mut self, reason: &str) {
        self.exchange.drop_reports();
        self.link.on_connection_changed();
        self.tell_event(BrokerEvent::Disconnected { reason: reason.to_owned() });
        self.orders = None;
    }

    fn on_link_time(&mut self, now: Timestamp) {
        let elapsed = self.link.on_time(now);
        for report in elapsed.reports {
            self.tell(report);
        }
        for request in elapsed.requests {
            self.exchange.on_request(request, now);
        }
        if elapsed.back {
            // What it would have said meanwhile is never said.
            self.exchange.drop_reports();
            let reason = "1102 connectivity has been restored".to_owned();
            self.tell_event(BrokerEvent::BrokerBack { reason });
        }
        if elapsed.noticed {
            self.hang_up("a heartbeat was not answered: the socket is half open");
        }
    }

    fn write_changes(&mut self) -> Result<(), VenueError> {
        let changes = self.exchange.take_changes();
        let Some(files) = &mut self.files else { return Ok(()) };
        if changes.is_empty() && self.steps_unsaved < STEPS_BETWEEN_SAVES {
            return Ok(());
        }
        // The market first: its clock must never come back earlier than the books.
        self.steps_unsaved = 0;
        let market = self.source.state();
        let saved = market.map_or(Ok(()), |state| files.save_market(&state));
        let mut written = saved.and_then(|()| files.append(&changes));
        if written.is_ok() && files.wants_compaction() {
            written = files.compact(&self.exchange.snapshot());
        }
        if let Err(error) = &written {
            self.broken = Some(error.to_string());
        }
        written.map_err(VenueError)
    }

    fn save(&mut self) -> Result<(), VenueError> {
        self.steps_unsaved = STEPS_BETWEEN_SAVES;
        self.write_changes()
    }

    /// The client writes a message; the venue receives it, unless a fault has other plans.
    fn take_write(
        &mut self,
        moment: Moment,
        message: WireMessage,
        request: Request,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let fault = self.link.take_at(moment);
        let (passage, written) = match fault {
            Some(LinkFault::Close) => (Passage::Lost, Err(WriteError::NotConnected)),
            Some(LinkFault::Break(Arrival::InTime)) => (Passage::Through, Err(WriteError::Broken)),
            Some(LinkFault::Break(Arrival::Never)) => (Passage::Lost, Err(WriteError::Broken)),
            Some(LinkFault::Break(Arrival::After(late))) => {
                (Passage::Waits(Some(now.plus(late))), Err(WriteError::Broken))
            }
            // Written to a gateway that never passes it on, or to a socket without another end.
            Some(LinkFault::Restart { .. } | LinkFault::HalfOpen { .. }) => (Passage::Lost, Ok(())),
            Some(LinkFault::Outage { .. }) => (Passage::Waits(None), Ok(())),
            Some(LinkFault::RollBack { .. } | LinkFault::Mute { .. }) | None => {
                (self.link.passage(), Ok(()))
            }
        };
        if passage != Passage::Lost {
            if let Some(tap) = &self.tap {
                tap(&message, now);
            }
            self.tell_news(&VenueNews::Received(message), now);
        }
        match passage {
            Passage::Through => self.exchange.on_request(request, now),
            Passage::Waits(due) => self.link.keep(request, due),
            Passage::Lost => {}
        }
        if let Some(fault) = fault {
            self.strike(fault, moment, now);
        }
        if let Some(listener) = &self.on_request {
            listener();
        }
        written
    }
}

/// What a port needs besides the venue.
#[derive(Clone)]
pub struct PortSpec {
    /// Market time at this moment.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Checked, and held, at each write.
    pub fence: Arc<WireFence>,
}

/// One order connection to the venue.
pub struct SimulatedOrderPort {
    venue: Arc<SimulatedVenue>,
    spec: PortSpec,
    connection: Option<u64>,
}

impl SimulatedOrderPort {
    /// A port without a connection.
    #[must_use]
    pub const fn new(venue: Arc<SimulatedVenue>, spec: PortSpec) -> Self {
        Self { venue, spec, connection: None }
    }

    fn write(&self, cleared: Cleared<Order>, now: ProcessTime, new: bool) -> WriteResult {
        self.spec.fence.write(|fence| {
            let mut state = self.connected()?;
            let hash = cleared.hash();
            let order = cleared.open(fence, now).map_err(WriteError::Refused)?;
            let market_now = (self.spec.now)();
            let wire = translate::new_order(&order);
            let (moment, message, request) = if new {
                (Moment::Place, WireMessage::Placed(wire.clone()), Request::Submit(wire))
            } else {
                let request = Request::Modify {
                    client_order_id: wire.client_order_id,
                    limit: wire.limit,
                    quantity: wire.quantity,
                };
                (Moment::Modify, WireMessage::Modified(wire), request)
            };
            state.take_write(moment, message, request, market_now).map(|()| hash)
        })
    }

    fn connected(&self) -> Result<MutexGuard<'_, VenueState>, WriteError> {
        let state = self.venue.lock();
        let current = state.orders.as_ref().map(|client| client.connection);
        if self.connection.is_some() && current == self.connection && state.broken.is_none() {
            Ok(state)
        } else {
            Err(WriteError::NotConnected)
        }
    }
}

type WriteResult = Result<OrderHash, WriteError>;

impl OrderPort for SimulatedOrderPort {
    fn connect(&mut self, generation: u32, sink: EventSink) {
        let connection = u64::from(generation);
        let mut state = self.venue.lock();
        state.exchange.drop_reports();
        state.link.on_connection_changed();
        state.orders = None;
        if state.link.refuses((self.spec.now)()) {
            self.connection = None;
            let reason = "the connection was refused".to_owned();
            return sink(BrokerEvent::Disconnected { reason });
        }
        let next = state.exchange.next_order_id();
        let next_order_id = OrderId(state.link.told_number(next));
        sink(BrokerEvent::Connected { next_order_id });
        if state.link.has_outage() {
            let reason = "1100 the broker can't be reached".to_owned();
            sink(BrokerEvent::BrokerLost { reason });
        }
        state.orders = Some(OrderClient { connection, sink });
        self.connection = Some(connection);
    }

    fn disconnect(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut state = self.venue.lock();
        if state.orders.as_ref().is_some_and(|client| client.connection == connection) {
            state.orders = None;
            state.exchange.drop_reports();
            state.link.on_connection_changed();
        }
    }

    fn place(&mut self, order: Cleared<Order>, now: ProcessTime) -> WriteResult {
        self.write(order, now, true)
    }

    fn modify(&mut self, order: Cleared<Order>, now: ProcessTime) -> WriteResult {
        self.write(order, now, false)
    }

    fn cancel(&mut self, order_id: OrderId) -> Result<(), WriteError> {
        let mut state = self.connected()?;
        let client_order_id = order_id.0;
        let message = WireMessage::Canceled { client_order_id };
        let request = Request::Cancel { client_order_id };
        state.take_write(Moment::Cancel, message, request, (self.spec.now)())
    }

    fn ask(&mut self, ticket: u64, question: Question) -> Result<(), WriteError> {
        let mut state = self.connected()?;
        if let Some(fault) = state.link.take_at(Moment::Question) {
            state.strike(fault, Moment::Question, (self.spec.now)());
            if let Some(listener) = &state.on_request {
                listener();
            }
        }
        // A question into silence runs into its deadline.
        if state.link.answers() {
            let answer = translate::answer(question, &state.exchange);
            state.tell_event(BrokerEvent::Answer { ticket, answer });
        }
        Ok(())
    }
}

/// The data connection to the venue.
pub struct SimulatedDataPort(Arc<SimulatedVenue>);

impl SimulatedDataPort {
    /// A port that can be subscribed through.
    #[must_use]
    pub const fn new(venue: Arc<SimulatedVenue>) -> Self {
        Self(venue)
    }
}

impl DataPort for SimulatedDataPort {
    fn subscribe(&mut self, name: &str, con_ids: &[ConId], sink: Arc<dyn DataSink>) {
        let mut state = self.0.lock();
        let name: Arc<str> = Arc::from(name);
        for watched in state.watched.values_mut() {
            watched.route.take_if(|(owner, _)| *owner == name);
        }
        let mut current = Vec::new();
        for (line, con_id) in (0_u32..).zip(con_ids) {
            let watched = state.watched.entry(*con_id).or_default();
            watched.route = Some((Arc::clone(&name), line));
            sink.confirmed(line, DataType::Live);
            if let Some(quote) = &watched.latest {
                current.push((line, translate::raw_quote(quote)));
            }
        }
        if !current.is_empty() {
            sink.quotes(&current);
        }
        state.feeds.insert(name, Feed { sink, batch: Vec::new() });
    }
}
