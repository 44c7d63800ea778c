//! Whether the data connection keeps up: 100 lines at 500 ticks a second each, fifty times what IB
//! sends, poured over loopback through the library into the node's slots.
//!
//! `cargo bench --bench line_drain [-- SECONDS]`. The draining side is the adapter of the running
//! node, on its own thread, with a sink that publishes into slots and wakes a consumer as the feed
//! does. The other end is the gateway's machine for everything that is asked (handshake, lines,
//! heartbeats), over a plain socket; the load beside it is this benchmark's own, in the gateway's
//! messages: the gateway itself tells a line once per look, as IB does, and would measure its own
//! market before it came near this rate. Each line goes round bid, its size, ask, its size. A tick
//! that is lost is seen twice: the library puts a notice in its place, and it is missing in the
//! count. It prints figures and asserts none.

use actors::runtime::clock::Clock;
use actors::runtime::slot::LineSlots;
use broker::ib::{Gateway, IbDataPort, IbSettings};
use broker::port::{DataPort, DataSink};
use exchange::builtin::BuiltinMarket;
use exchange::{Exchange, ExchangeConfig, MarketSource};
use gateway::message::data::{TickPrice, TickSize};
use gateway::message::{Request, Response};
use gateway::wire::{HIGHEST_VERSION, Incoming, Reader, write_response};
use gateway::world::{Input, Output, Settings, World};
use market::instrument::{ConId, Instrument};
use market::quote::{DataType, RawQuote};
use market::time::{Now, ProcessTime, Timestamp};
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};
use trading::id::AccountId;

const SECONDS: u64 = 30;
const LINES: usize = 100;
const TICKS_PER_SECOND: u64 = 500;
const ACCOUNT: &str = "DU1234567";
const START: Timestamp = Timestamp::from_seconds(1_795_170_600);
/// The machine's market stands still, and both ends may talk as fast as they can.
const MESSAGES_PER_SECOND: u32 = 10_000;
/// Between two rounds: each line has one tick in each.
const ROUND: Duration = Duration::from_nanos(1_000_000_000 / TICKS_PER_SECOND);
/// So long the last ticks may take.
const LATE: Duration = Duration::from_secs(10);
/// What the library says of frames that it dropped.
const LAG: &str = "fell behind";

/// Counts what the adapter hands on, and passes it to slots.
struct Intake {
    slots: LineSlots<RawQuote>,
    clock: Clock,
    wake: SyncSender<()>,
    ticks: AtomicU64,
    confirmed: AtomicU64,
}

impl DataSink for Intake {
    fn quotes(&self, batch: &[(u32, RawQuote)]) {
        let lines = batch.iter().map(|(line, quote)| (*line as usize, *quote));
        // One token is enough: whoever drains takes everything.
        if self.slots.publish_batch(lines, self.clock.now()).is_needed()
            && self.wake.try_send(()).is_err()
        {
            self.slots.wake_failed();
        }
        self.ticks.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    fn confirmed(&self, _: u32, data: DataType) {
        if data == DataType::Live {
            self.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Counts the log lines that speak of dropped frames: the library's, and the adapter's own.
#[derive(Clone, Default)]
struct LagNotices(Arc<AtomicU64>);

struct Message(bool);

impl Visit for Message {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0 |= format!("{value:?}").contains(LAG);
    }
}

impl<S: tracing::Subscriber> Layer<S> for LagNotices {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut message = Message(false);
        event.record(&mut message);
        self.0.fetch_add(u64::from(message.0), Ordering::Relaxed);
    }
}

/// From the machine to whoever writes.
enum Told {
    Frame(Vec<u8>),
    Line(i32),
}

fn main() {
    let seconds = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(SECONDS);
    let lags = LagNotices::default();
    let heard = EnvFilter::new("broker=debug,ibapi=warn");
    tracing_subscriber::registry().with(lags.clone()).with(heard).init();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _entered = runtime.enter();

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let (tell, told) = channel();
    let (begin, begun) = channel();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let pours = std::thread::Builder::new().name("pours".to_owned()).spawn(move || {
        let (stream, _) = listener.accept().expect("the adapter connects");
        stream.set_nodelay(true).expect("it is open");
        let reads = stream.try_clone().expect("it is open");
        std::thread::spawn(move || answer(reads, &tell));
        pour(stream, &told, &begun, &counted)
    });
    let pours = pours.expect("a thread");

    let (wake, woken) = sync_channel(1);
    let intake = Arc::new(Intake {
        slots: LineSlots::new(LINES),
        clock: Clock::live(),
        wake,
        ticks: AtomicU64::new(0),
        confirmed: AtomicU64::new(0),
    });
    let drained = Arc::clone(&intake);
    std::thread::spawn(move || {
        let mut scratch = Vec::new();
        while woken.recv().is_ok() {
            drained.slots.drain_with(&mut scratch, |_, quote| {
                std::hint::black_box(&quote);
            });
        }
    });
    let _port = subscribe(&address, &intake);
    until("100 live lines", || intake.confirmed.load(Ordering::Relaxed) >= LINES as u64);
    // What the lines said of themselves at their opening is not of the load.
    std::thread::sleep(Duration::from_secs(1));
    intake.ticks.store(0, Ordering::Relaxed);
    let (drains_before, pours_before) = (cpu("ib-data"), cpu("pours"));
    let started = Instant::now();
    begin.send(Duration::from_secs(seconds)).expect("the server listens");
    let mut backlog = 0;
    while !pours.is_finished() {
        let behind = sent.load(Ordering::Relaxed) - intake.ticks.load(Ordering::Relaxed);
        backlog = backlog.max(behind);
        if started.elapsed() + Duration::from_secs(1) > Duration::from_secs(seconds) {
            // Before the end, while the thread is still there to be asked.
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (measured, drains) = (started.elapsed(), cpu("ib-data") - drains_before);
    let poured = cpu("pours") - pours_before;
    let stream = pours.join().expect("the socket took all of it").expect("a socket");
    let total = sent.load(Ordering::Relaxed);
    let last = Instant::now();
    while intake.ticks.load(Ordering::Relaxed) < total && last.elapsed() < LATE {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = started.elapsed();
    drop(stream);
    let received = intake.ticks.load(Ordering::Relaxed);
    let share = |busy: Duration| 100.0 * busy.as_secs_f64() / measured.as_secs_f64();
    println!("{LINES} lines, {TICKS_PER_SECOND} ticks/s each, for {seconds} s:");
    println!("  sent {total}, received {received}, missing {}", total - received.min(total));
    println!(
        "  {:.0} ticks/s over {:.2} s",
        received as f64 / took.as_secs_f64(),
        took.as_secs_f64()
    );
    println!("  lag notices: {}", lags.0.load(Ordering::Relaxed));
    println!(
        "  most that were under way at once: {backlog} ({:.1} ms of the load)",
        backlog as f64 / (LINES as u64 * TICKS_PER_SECOND) as f64 * 1e3
    );
    println!(
        "  CPU of one core: adapter's thread {:.0} %, the load's {:.0} %",
        share(drains),
        share(poured)
    );
    // The adapter would go on looking for its gateway.
    std::process::exit(0);
}

/// The adapter with 100 lines of the built-in market.
fn subscribe(address: &str, intake: &Arc<Intake>) -> IbDataPort {
    let mut settings =
        IbSettings::paper(address, AccountId(ACCOUNT.to_owned()), Arc::new(|| START));
    settings.lines_max = LINES;
    settings.messages_per_second = MESSAGES_PER_SECOND;
    let gateway = Gateway::new(settings);
    let listed: Vec<Instrument> = {
        let mut market = BuiltinMarket::new(1, START);
        let _ = market.next_step();
        market.instruments().into_iter().take(LINES).collect()
    };
    let con_ids: Vec<ConId> = listed.iter().map(|one| one.con_id).collect();
    assert_eq!(con_ids.len(), LINES, "the built-in market lists more than that");
    for instrument in listed {
        gateway.contracts.insert(instrument);
    }
    let mut port = IbDataPort::start(gateway).expect("a thread");
    port.subscribe("load", &con_ids, Arc::clone(intake) as Arc<dyn DataSink>);
    port
}

/// The gateway's machine: what it answers, and which lines were opened.
fn answer(mut stream: TcpStream, tell: &Sender<Told>) {
    let source = MarketSource::Builtin(Box::new(BuiltinMarket::new(1, START)));
    let exchange = Exchange::new(ExchangeConfig::default(), START);
    let mut settings = Settings::new(ACCOUNT);
    settings.lines_max = LINES;
    settings.messages_per_second = MESSAGES_PER_SECOND as usize;
    let mut world = World::new(settings, exchange, source);
    let started = Instant::now();
    // A second on, so that everything is quoted.
    let market = START.plus(Duration::from_secs(1));
    let now = || {
        let passed = u64::try_from(started.elapsed().as_nanos()).expect("it lives for minutes");
        Now { market, process: ProcessTime::from_nanos(passed) }
    };
    let (mut reader, mut chunk) = (Reader::default(), vec![0; 64 * 1024]);
    let _ = world.on(&Input::Connected(1), now());
    while let Ok(length) = stream.read(&mut chunk) {
        let bytes = &chunk[..length];
        let mut requests = Vec::new();
        if length == 0 || reader.feed(bytes, &mut requests).is_err() {
            return;
        }
        let frames = world.on(&Input::Bytes(1, bytes), now()).into_iter().filter_map(|output| {
            if let Output::Frame { bytes, .. } = output { Some(Told::Frame(bytes)) } else { None }
        });
        let lines = requests.into_iter().filter_map(|incoming| match incoming {
            Incoming::Request(Request::MarketData(line)) => Some(Told::Line(line.req_id)),
            _ => None,
        });
        for told in frames.chain(lines) {
            if tell.send(told).is_err() {
                return;
            }
        }
    }
}

/// Writes what the machine answers and, once it is asked to, the load; answers the socket.
fn pour(
    mut stream: TcpStream,
    told: &Receiver<Told>,
    begin: &Receiver<Duration>,
    sent: &AtomicU64,
) -> io::Result<TcpStream> {
    let mut lines = Vec::new();
    let seconds = loop {
        pass_on(&mut stream, told, &mut lines, Duration::from_millis(1))?;
        if let Ok(seconds) = begin.try_recv() {
            break seconds;
        }
    };
    let rounds = seconds.as_secs() * TICKS_PER_SECOND;
    let started = Instant::now();
    let mut buffer = Vec::new();
    for round in 0..rounds {
        let due = started + ROUND * u32::try_from(round).expect("a few minutes");
        // What is late is made up for at once.
        let wait = due.saturating_duration_since(Instant::now());
        pass_on(&mut stream, told, &mut lines, wait)?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        buffer.clear();
        for req_id in &lines {
            let frame = write_response(&tick(*req_id, round), HIGHEST_VERSION);
            buffer.extend(frame.expect("every version has ticks"));
        }
        stream.write_all(&buffer)?;
        sent.fetch_add(lines.len() as u64, Ordering::Relaxed);
    }
    Ok(stream)
}

/// Passes answers on for so long at most.
fn pass_on(
    stream: &mut TcpStream,
    told: &Receiver<Told>,
    lines: &mut Vec<i32>,
    wait: Duration,
) -> io::Result<()> {
    match told.recv_timeout(wait) {
        Ok(Told::Frame(bytes)) => stream.write_all(&bytes),
        Ok(Told::Line(req_id)) => {
            lines.push(req_id);
            Ok(())
        }
        Err(RecvTimeoutError::Timeout) => Ok(()),
        Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

/// The tick of a round: bid, its size, ask, its size.
fn tick(req_id: i32, round: u64) -> Response {
    let cents = (round % 97) as f64 / 100.0;
    let size = (1 + round % 50).to_string();
    let price = |tick_type, price| {
        let size = size.clone();
        Response::TickPrice(TickPrice { req_id, tick_type, price, size, attributes: 0 })
    };
    let sized = |tick_type| Response::TickSize(TickSize { req_id, tick_type, size: size.clone() });
    match round % 4 {
        0 => price(1, 100.0 + cents),
        1 => sized(0),
        2 => price(2, 101.0 + cents),
        _ => sized(3),
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a thread of this process, by its name, has computed so far.
fn cpu(thread: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let own = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let stat = (name.trim() == thread).then(|| std::fs::read_to_string(path.join("schedstat")));
        stat?.ok()?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(own.sum())
}
