//! How long an order takes from the intent to the gateway's acknowledgement, and how much of that
//! is the journal's own fdatasync.
//!
//! `cargo bench --bench order_latency [-- ORDERS]`. The node is the one of `run`: its wiring, its
//! threads, its configuration on the built-in market at natural speed, real disk, shipped gateway
//! in a process of its own with its books. Left out are the API, the status line and the watchdog.
//! A hand in the name of a strategy that wants nothing itself sends one intent after the other: a
//! purchase far below the market, which is acknowledged, then taken back. Submit is measured from
//! the moment at which the order's record is appended to the moment at which the adapter has heard
//! the gateway's acknowledgement: write and fdatasync, the desk's release, session, fence, socket,
//! the gateway's answer after its books were written, the library, the tracker. The whole has the
//! mailbox, netting and gate before it and the desk's own record behind it. The steps are those
//! that the roles announce; the fdatasync is the one that made this order's record durable. After
//! the orders, the four hand-offs that no such way can do without are measured with nothing to do
//! between them: what of the time is the machine's, not the code's. It asserts no time.

#[allow(dead_code, reason = "the end-to-end tests use more of it")]
#[path = "../tests/node_process/node.rs"]
mod node_process;

#[path = "order_latency/hand_offs.rs"]
mod hand_offs;

use ::node::cli::{Environment, RunArgs, StateArgs};
use ::node::configuration::{Configuration, Source};
use ::node::gateway::notice;
use ::node::run::halt_file::RealHaltFile;
use ::node::run::runtimes::{self, NodeRuntimes};
use ::node::run::state::StateFolder;
use ::node::run::venue::Venue;
use ::node::run::wiring::wiring;
use ::node::telemetry;
use actors::auditor::Audit;
use actors::journal::JournalPort;
use actors::messages::DeskMessage;
use actors::node::{Listing, Node, NodeParts};
use actors::order_steps::key_hash;
use actors::runtime::fault::{FaultBoard, Permission};
use actors::runtime::protocol::{ProtocolStep, StepObserver, StepVerdict};
use actors::runtime::role::RolePath;
use actors::runtime::tree::Setup;
use audit::AuditSettings;
use broker::link::LinkState;
use broker::port::{BrokerEvent, EventSink, OrderPort, WriteError};
use broker::wire_fence::WireFence;
use hand_offs::HandOffs;
use market::instrument::ConId;
use market::money::{Price, Quantity};
use market::time::{ProcessTime, Timestamp};
use node_process::{Installation, PATIENCE};
use risk::cleared::Cleared;
use serde_json::json;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::Disk;
use trading::id::{Epoch, InstallId, IntentKey, OrderId, StrategyId};
use trading::intent::{Intent, Purpose, Target};
use trading::order::{Order, OrderHash};
use trading::report::{Question, Report};

const ORDERS: usize = 2_000;
/// The first ones meet cold caches and are not counted.
const WARM_UP: usize = 50;
/// Between the end of one order and the next intent: a node is asleep when a quote wakes it.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(15), Duration::from_millis(22), Duration::from_millis(31)];
/// The stock of the built-in market.
const SIM: ConId = ConId(1001);
const STRATEGY: &str = "hand";
/// The lowest limit, so far below the market that nothing fills, and how many ticks above it the
/// next ones rise: the same order twice in a moment is denied.
const LOWEST: Price = Price::from_units(10);
const LIMITS: usize = 1_000;
const TICK: Price = Price::from_micros(10_000);

/// The disk of the node, which notes when each fdatasync began and ended.
struct TimedDisk {
    disk: Arc<dyn Disk>,
    syncs: Arc<Mutex<Vec<(Instant, Instant)>>>,
}

impl Disk for TimedDisk {
    fn sync_data(&self, file: &str) -> io::Result<()> {
        let begun = Instant::now();
        let result = self.disk.sync_data(file);
        let ended = Instant::now();
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner).push((begun, ended));
        result
    }

    fn create(&self, file: &str, length_bytes: u64) -> io::Result<()> {
        self.disk.create(file, length_bytes)
    }

    fn length(&self, file: &str) -> io::Result<u64> {
        self.disk.length(file)
    }

    fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.read_at(file, offset, buffer)
    }

    fn write_at(&self, file: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(file, offset, bytes)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.make_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.disk.remove(file)
    }

    fn exists(&self, file: &str) -> io::Result<bool> {
        self.disk.exists(file)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

/// Something reached an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// A step that a role announces.
    Step(ProtocolStep),
    /// The adapter has heard the gateway's acknowledgement.
    Heard,
}

/// What, of the intent with which key hash, and when.
type Moment = (Reached, u64, Instant);

/// Every step with its moment. The hand is woken by the last of an order alone: to wake it costs
/// whoever does it more than to note the moment, and that would be measured as well.
#[derive(Default)]
struct Steps {
    moments: Mutex<Vec<Moment>>,
    over: Condvar,
}

impl Steps {
    fn note(&self, reached: Reached, key: u64) {
        let moment = (reached, key, Instant::now());
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
        if matches!(reached, Reached::Step(ProtocolStep::Acked | ProtocolStep::Settled)) {
            self.over.notify_one();
        }
    }

    /// All of this key, once `last` is among them; `None` if it ended without.
    fn until(&self, last: ProtocolStep, key: u64) -> Option<Vec<(Reached, Instant)>> {
        let ended = |reached| {
            reached == Reached::Step(last) || reached == Reached::Step(ProtocolStep::Settled)
        };
        let over = |all: &[Moment]| all.iter().any(|one| one.1 == key && ended(one.0));
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (moments, waited) = self
            .over
            .wait_timeout_while(moments, PATIENCE, |all| !over(all))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{last:?} did not come");
        let own = moments.iter().filter(|one| one.1 == key);
        let own: Vec<_> = own.map(|(reached, _, at)| (*reached, *at)).collect();
        own.iter().any(|(reached, _)| *reached == Reached::Step(last)).then_some(own)
    }
}

impl StepObserver for Steps {
    fn on_step(&self, _: &RolePath, step: ProtocolStep, key: u64) -> StepVerdict {
        self.note(Reached::Step(step), key);
        StepVerdict::Pass
    }
}

/// The adapter's order port, which notes when an acknowledgement was heard.
struct HeardPort {
    port: Box<dyn OrderPort>,
    steps: Arc<Steps>,
}

impl OrderPort for HeardPort {
    fn connect(&mut self, generation: u32, sink: EventSink) {
        let steps = Arc::clone(&self.steps);
        let heard = move |event: BrokerEvent| {
            if let BrokerEvent::Report(Report::Acknowledged { reference, .. }) = &event
                && let Ok(key) = IntentKey::parse(reference)
            {
                steps.note(Reached::Heard, key_hash(&key));
            }
            sink(event);
        };
        self.port.connect(generation, Box::new(heard));
    }

    fn disconnect(&mut self) {
        self.port.disconnect();
    }

    fn place(&mut self, order: Cleared<Order>, now: ProcessTime) -> Result<OrderHash, WriteError> {
        self.port.place(order, now)
    }

    fn modify(&mut self, order: Cleared<Order>, now: ProcessTime) -> Result<OrderHash, WriteError> {
        self.port.modify(order, now)
    }

    fn cancel(&mut self, order_id: OrderId) -> Result<(), WriteError> {
        self.port.cancel(order_id)
    }

    fn ask(&mut self, ticket: u64, question: Question) -> Result<(), WriteError> {
        self.port.ask(ticket, question)
    }
}

/// The moments of one order.
struct Moments {
    intent: Instant,
    recorded: Instant,
    /// Begin and end of the fdatasync of its record.
    sync: (Instant, Instant),
    durable: Instant,
    sent: Instant,
    heard: Instant,
    acknowledged: Instant,
    /// The hand-offs of its way, with nothing between them, after all orders.
    hand_offs: Duration,
}

fn main() {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(hand_offs::ECHO) {
        let port = words.next().and_then(|word| word.parse().ok()).expect("a port");
        return hand_offs::echo(port).expect("the benchmark connects");
    }
    // A node that finds no gateway starts its own executable as one: here that would be this.
    assert!(std::env::args().all(|word| word != "gateway"), "the gateway was not found");
    let orders = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(ORDERS);
    let installation = Installation::with(&json!({
        "strategies": [STRATEGY],
        "limits": {"orders_per_second_max": 50, "daily_loss_max": 500_000},
    }));
    // A seat of its own, for a market that nobody lists: it never wants anything.
    installation.tome(
        "gamma_scalper_sim",
        STRATEGY,
        &json!({"parameters": {"days_min": 1_400, "days_max": 1_500}, "conditions": {}}),
    );
    telemetry::start_logs("warn", None, false).expect("nobody has started them");
    let configuration = Configuration::load(&Source {
        folder: &installation.config(),
        environment: Environment::Dev,
        strategies: None,
    })
    .expect("the shipped configuration with a few keys");
    start_gateway(&installation.state().join("venue"), &configuration);
    let control = runtimes::builder().build().expect("a runtime");
    let measured = control.block_on(measured(&installation, &configuration, orders));
    report(&measured);
    // With it the gateway.
    drop(installation);
    // The threads that follow the market have no end of their own.
    std::process::exit(0);
}

/// The built binary's gateway in the folder where the node looks for it.
fn start_gateway(folder: &Path, configuration: &Configuration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .args(["--quiet", "gateway", "--port", "0", "--control-port", "0"])
        .args(["--account", &configuration.account.0])
        .args(["--lines", &configuration.broker.lines.to_string()])
        .arg("--state")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary was built for this benchmark");
    let pid = child.id();
    // It is stopped through its folder; one that has ended must not stay a zombie.
    std::thread::spawn(move || child.wait());
    let listens = || notice::running(folder).ok().flatten().filter(|one| one.pid == pid);
    let _ = node_process::until("gateway", PATIENCE, listens);
}

async fn measured(
    installation: &Installation,
    configuration: &Configuration,
    orders: usize,
) -> Vec<Moments> {
    let args = RunArgs {
        environment: Environment::Dev,
        live: None,
        state: StateArgs { state: installation.state().to_owned() },
        api: None,
        speed: None,
        seed: None,
        config: installation.config(),
    };
    let folder = StateFolder::open(&args.state.state, configuration).expect("a new folder");
    let recorder = telemetry::start_metrics("dev").expect("nobody has started them");
    let audit = Audit::new(AuditSettings::default());
    let port = JournalPort::new();
    let tap = audit.wire_tap(port.clone());
    let venue = Venue::open(&args, configuration, tap).expect("the gateway runs");
    let clock = venue.clock.clone();
    let runtimes = NodeRuntimes::start(&clock).expect("threads");
    // Steps are told only where faults are permitted; none is armed.
    let faults = FaultBoard::new(Permission::Granted { max_ttl: PATIENCE }, 1);
    let steps = Arc::new(Steps::default());
    let observer: Arc<dyn StepObserver> = Arc::<Steps>::clone(&steps);
    faults.observe_steps(Some(observer));
    let fence = Arc::new(WireFence::new(folder.halt_epoch(), None));
    let halt_file = Arc::new(RealHaltFile::new(&args.state.state));
    let mut wiring =
        wiring(configuration, &folder, &venue, &runtimes, &fence, &audit, &port, &halt_file);
    let syncs: Arc<Mutex<Vec<_>>> = Arc::default();
    wiring.disk = Arc::new(TimedDisk { disk: wiring.disk, syncs: Arc::clone(&syncs) });
    let adapter = Arc::clone(&wiring.order_port);
    let told = Arc::clone(&steps);
    wiring.order_port = Arc::new(move || {
        Box::new(HeardPort { port: adapter(), steps: Arc::clone(&told) }) as Box<dyn OrderPort>
    });
    let alarm = Arc::clone(&wiring.alarm);
    let setup = Setup::new(clock.clone(), faults);
    let node = Node::launch(wiring, setup).await.expect("the tree starts");
    venue.follow(&node.parts, Listing::new(node.parts.clone(), alarm)).expect("threads");
    tokio::spawn(telemetry::keep_up(recorder));
    let (parts, install) = (node.parts.clone(), folder.install);
    let hand = std::thread::spawn(move || {
        let now = Box::new(move || clock.now().market);
        let hand_offs = HandOffs::start().expect("threads and a process");
        let hand = Hand { parts, install, steps, hand_offs, syncs, now };
        hand.play(orders)
    });
    while !hand.is_finished() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let measured = hand.join().expect("it says on stderr what was missing");
    let _ = node.tree.shutdown().await;
    runtimes.stop();
    measured
}

/// Whoever sends the intents.
struct Hand {
    parts: NodeParts,
    install: InstallId,
    steps: Arc<Steps>,
    hand_offs: HandOffs,
    syncs: Arc<Mutex<Vec<(Instant, Instant)>>>,
    now: Box<dyn Fn() -> Timestamp + Send>,
}

impl Hand {
    fn play(&self, orders: usize) -> Vec<Moments> {
        node_process::until("a link that is ready", PATIENCE, || {
            (self.parts.link.load().state == LinkState::Ready).then_some(())
        });
        // The stock's line is confirmed, and the seat has attached.
        std::thread::sleep(Duration::from_secs(2));
        let mut measured = Vec::new();
        for number in 0..orders + WARM_UP {
            let order = self.order(number);
            if number >= WARM_UP {
                measured.push(order);
            }
            std::thread::sleep(PAUSES[number % PAUSES.len()]);
        }
        // Not between orders: what lies between two of them decides how cold their caches are.
        for (number, order) in measured.iter_mut().enumerate() {
            order.hand_offs = self.hand_offs.once();
            std::thread::sleep(PAUSES[number % PAUSES.len()]);
        }
        measured
    }

    /// One order from its intent to its acknowledgement; then it is taken back.
    fn order(&self, number: usize) -> Moments {
        let place = self.intent(2 * number, 1, number);
        let key = key_hash(&place.key);
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.steps.moments.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let intent = Instant::now();
        self.send(place);
        let reached = self.until(ProtocolStep::Acked, key);
        let at = |wanted| {
            let found = reached.iter().find(|(what, _)| *what == wanted);
            found.unwrap_or_else(|| panic!("{wanted:?} did not come")).1
        };
        let step = |wanted| at(Reached::Step(wanted));
        let (durable, syncs) = (step(ProtocolStep::Durable), self.syncs.lock());
        let syncs = syncs.unwrap_or_else(PoisonError::into_inner).clone();
        // The writer may begin before the desk has said that it has appended.
        let own = |(begun, ended): &&(Instant, Instant)| *begun >= intent && *ended <= durable;
        let moments = Moments {
            intent,
            recorded: step(ProtocolStep::Recorded),
            sync: *syncs.iter().rev().find(own).expect("it is synced before it is durable"),
            durable,
            sent: step(ProtocolStep::Sent),
            heard: at(Reached::Heard),
            acknowledged: step(ProtocolStep::Acked),
            hand_offs: Duration::ZERO,
        };
        // To want what is held is to want the order gone.
        self.send(self.intent(2 * number + 1, 0, number));
        let _ = self.until(ProtocolStep::Settled, key);
        moments
    }

    fn intent(&self, number: usize, position: i64, limit: usize) -> Intent {
        let above = i64::try_from(limit % LIMITS).expect("it is below a thousand");
        let created = (self.now)();
        Intent {
            key: IntentKey {
                install: self.install,
                epoch: Epoch(self.parts.journal.epoch()),
                strategy: StrategyId::new(STRATEGY).expect("a plain name"),
                // Above what the seat draws when it attaches.
                seq: u32::try_from(100 + number).expect("a few thousand orders"),
            },
            target: Target::Single { con_id: SIM, position: Quantity(position) },
            limit: LOWEST + TICK.times(above),
            purpose: if position == 0 { Purpose::Exit } else { Purpose::Entry },
            valid_until: created.plus(Duration::from_secs(60)),
            created,
            view_version: 0,
        }
    }

    fn send(&self, intent: Intent) {
        self.parts.desk.send(DeskMessage::Intent(Box::new(intent))).expect("the desk is up");
    }

    /// Everything that this key reaches up to `last`; what is said of the intents that take orders
    /// back is passed over.
    fn until(&self, last: ProtocolStep, key: u64) -> Vec<(Reached, Instant)> {
        self.steps.until(last, key).unwrap_or_else(|| panic!("no {last:?}: it came to nothing"))
    }
}

fn report(orders: &[Moments]) {
    let print = |what: &str, took: &dyn Fn(&Moments) -> Duration| {
        let mut all: Vec<Duration> = orders.iter().map(took).collect();
        all.sort_unstable();
        let at = |share: usize| all.get((all.len() * share).div_ceil(100).saturating_sub(1));
        let ms = |share| at(share).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
        println!("{what:54} p50 {:7.3} ms, p90 {:7.3} ms, p99 {:7.3} ms", ms(50), ms(90), ms(99));
    };
    let sync = |order: &Moments| order.sync.1 - order.sync.0;
    let begun = |order: &Moments| order.recorded.min(order.sync.0);
    let submit = |order: &Moments| order.heard - begun(order);
    let whole = |order: &Moments| order.acknowledged - order.intent;
    println!("{} orders, one after the other", orders.len());
    print("the journal's fdatasync alone", &sync);
    print("submit: appended -> acknowledgement heard", &submit);
    print("  beyond the fdatasync of the same order", &|order| submit(order) - sync(order));
    print("whole: intent sent -> the desk has the acknowledgement", &whole);
    print("  beyond the fdatasync of the same order", &|order| whole(order) - sync(order));
    print("the hand-offs alone, with nothing between them", &|order| order.hand_offs);
    let median = |took: &dyn Fn(&Moments) -> Duration| {
        let mut all: Vec<Duration> = orders.iter().map(took).collect();
        all.sort_unstable();
        all.get(all.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    };
    let share = median(&|order| submit(order) - sync(order)) / median(&|order| order.hand_offs);
    println!("submit beyond the fdatasync is {share:.1} times the hand-offs alone (p50)");
    println!("step by step, the fdatasync apart:");
    print("  intent sent -> decided and appended", &|order| begun(order) - order.intent);
    print("  appended -> fdatasync begins", &|order| order.sync.0 - begun(order));
    print("  fdatasync ends -> desk releases the order", &|order| order.durable - order.sync.1);
    print("  released -> written to the socket", &|order| order.sent - order.durable);
    print("  released -> acknowledgement heard", &|order| order.heard - order.durable);
    print("  heard -> the desk has it", &|order| order.acknowledged - order.heard);
}
