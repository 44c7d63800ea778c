//! A data line that ceases to be live is told to pricing at once, without a quote: the last one
//! would look as good as ever, and orders would go out on it.

#![expect(clippy::unwrap_used, reason = "a test file; its own helpers may fail the test too")]

use actors::feed::{FeedRole, FeedSpec};
use actors::lines::ProductLines;
use actors::pricing::PricingMessage;
use actors::runtime::clock::Clock;
use actors::runtime::fault::{FaultBoard, Permission};
use actors::runtime::policy::{Beyond, ChildPolicy, Intensity, Strategy};
use actors::runtime::role_ref::RoleRef;
use actors::runtime::specification::{ChildSpec, SupervisorSpec};
use actors::runtime::tree::{Setup, Tree};
use broker::port::{DataPort, DataSink};
use market::calendar::Calendar;
use market::instrument::{ConId, Instrument, InstrumentKind, TickRule};
use market::money::{Currency, Multiplier, Price};
use market::quality::Gates;
use market::quote::{DataType, RawQuote};
use market::time::Timestamp;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A data connection that remembers who hears it.
#[derive(Default)]
struct Heard(Option<Arc<dyn DataSink>>);

impl DataPort for Heard {
    fn subscribe(&mut self, _: &str, _: &[ConId], sink: Arc<dyn DataSink>) {
        self.0 = Some(sink);
    }
}

struct Scene {
    lines: Arc<ProductLines>,
    data: Arc<Mutex<Heard>>,
    faults: FaultBoard,
    feed: RoleRef<actors::feed::FeedMessage>,
    _tree: Tree,
}

impl Scene {
    async fn set() -> Self {
        let lines = Arc::new(ProductLines::new("TEST"));
        lines.add(&[stock(1), stock(2)]).unwrap();
        let data = Arc::new(Mutex::new(Heard::default()));
        let spec = FeedSpec {
            lines: Arc::clone(&lines),
            data: Arc::clone(&data) as _,
            calendar: Arc::new(Calendar::round_the_clock()),
            gates: Gates::default(),
            pricing: RoleRef::<PricingMessage>::new("pricing/TEST", 1),
            counts: Arc::default(),
        };
        let feed = RoleRef::new("feed/TEST", 1);
        let own = spec.clone();
        let intensity = Some(Intensity::new(9, Duration::from_secs(60)));
        let root = SupervisorSpec::new("root", Strategy::OneForOne, intensity, Beyond::Escalate)
            .child(ChildSpec::role(&feed, ChildPolicy::PERMANENT, move |cx| {
                FeedRole::start(&own, cx)
            }));
        let granted = Permission::Granted { max_ttl: Duration::from_secs(60) };
        let faults = FaultBoard::new(granted, 1);
        let setup = Setup::new(Clock::simulated(Timestamp::EPOCH, 1000), faults.clone());
        let tree = Tree::launch(root, setup).await.unwrap();
        settle().await;
        Self { lines, data, faults, feed, _tree: tree }
    }

    fn told(&self, line: u32, data: DataType) {
        self.sink().confirmed(line, data);
    }

    fn quoted(&self, line: u32, bid: f64) {
        let (ask, time) = (bid + 0.01, Timestamp::EPOCH);
        let quote = RawQuote { bid, ask, bid_size: 1.0, ask_size: 1.0, time };
        self.sink().quotes(&[(line, quote)]);
    }

    fn sink(&self) -> Arc<dyn DataSink> {
        self.data.lock().unwrap().0.clone().unwrap()
    }

    /// What pricing sees of a line: its bid, and whether it is live.
    async fn seen(&self, line: usize) -> Option<(Price, bool)> {
        settle().await;
        let seen = self.lines.quotes().latest(line)?.value;
        Some((seen.quote.bid.unwrap().price, seen.live))
    }
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn stock(id: u32) -> Instrument {
    Instrument {
        con_id: ConId(id),
        symbol: "TEST".to_owned(),
        local_symbol: "TEST".to_owned(),
        exchange: "SMART".to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(1),
        tick: TickRule::flat(Price::from_micros(10_000)),
        trading_class: "TEST".to_owned(),
        kind: InstrumentKind::Stock,
    }
}

fn price(units: i64) -> Price {
    Price::from_micros(units * 1_000_000)
}

#[tokio::test(start_paused = true)]
async fn a_lost_line_is_not_live_although_nothing_was_quoted_since() {
    let scene = Scene::set().await;
    for line in [0, 1] {
        scene.told(line, DataType::Live);
        scene.quoted(line, 100.0);
    }
    assert_eq!(scene.seen(0).await, Some((price(100), true)));
    scene.told(0, DataType::Frozen);
    assert_eq!(scene.seen(0).await, Some((price(100), false)));
    assert_eq!(scene.seen(1).await, Some((price(100), true)), "the other one is as it was");
    scene.told(0, DataType::Live);
    assert_eq!(scene.seen(0).await, Some((price(100), false)), "that quote is an old one");
    scene.quoted(0, 101.0);
    assert_eq!(scene.seen(0).await, Some((price(101), true)));
}

#[tokio::test(start_paused = true)]
async fn a_quote_before_the_confirmation_counts_once_it_comes() {
    let scene = Scene::set().await;
    scene.quoted(0, 100.0);
    assert_eq!(scene.seen(0).await, Some((price(100), false)));
    scene.told(0, DataType::Live);
    assert_eq!(scene.seen(0).await, Some((price(100), true)));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_no_line_is_live_until_it_is_confirmed_and_quoted() {
    let scene = Scene::set().await;
    scene.told(0, DataType::Live);
    scene.quoted(0, 100.0);
    assert_eq!(scene.seen(0).await, Some((price(100), true)));
    scene.faults.kill(scene.feed.path()).unwrap();
    assert_eq!(scene.seen(0).await, Some((price(100), false)));
    assert_eq!(scene.feed.generation(), Some(2));
    scene.told(0, DataType::Live);
    assert_eq!(scene.seen(0).await, Some((price(100), false)));
    scene.quoted(0, 101.0);
    assert_eq!(scene.seen(0).await, Some((price(101), true)));
}
