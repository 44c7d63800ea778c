//! The shipped tomes trade: each one enters within the first minutes of the market that it names,
//! hedges or manages, and never floods the desk.
//!
//! The recorded days come from `OPTIONSIB_DATA` and are skipped aloud without it; the built-in
//! market needs nothing.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use exchange::builtin::BuiltinMarket;
use market::instrument::{Catalog, ConId, Contract};
use market::lean::{BadRows, Day};
use market::money::{Price, Quantity};
use market::quality::Gates;
use market::quote::{Quote, Side};
use market::time::{Date, Now, ProcessTime, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use strategy::builtin::build;
use strategy::strategy::{KeySource, Outcome, Strategy, StrategyEffect, StrategyEvent};
use strategy::tome::Tome;
use trading::id::{Epoch, ExecId, InstallId, OrderId, PermId, StrategyId};
use trading::intent::{Intent, Purpose};
use trading::order::signed_legs;
use trading::report::{EndState, Fill};
use valuation::book::{BookSettings, LineUpdate, PricingBook};
use valuation::view::MarketView;

/// A book, a strategy, and a desk that fills every intent at once, as its limit must allow.
struct Bench {
    catalog: Catalog,
    book: PricingBook,
    strategy: Box<dyn Strategy>,
    positions: BTreeMap<ConId, Quantity>,
    intents: Vec<Intent>,
    fills: u32,
}

impl Bench {
    fn new(name: &str, catalog: Catalog) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/strategies");
        let file = format!("{name}.json");
        let text = std::fs::read_to_string(folder.join(&file)).unwrap();
        let tome = Tome::parse(&file, &text).unwrap();
        let keys = KeySource {
            install: InstallId(1),
            epoch: Epoch(1),
            strategy: StrategyId::new(name).unwrap(),
            next_seq: 1,
        };
        let book = PricingBook::new(&tome.symbol, &catalog, BookSettings::default());
        let mut strategy = build(&tome, &catalog, keys, None).unwrap();
        let now = Now { market: Timestamp::EPOCH, process: ProcessTime::ZERO };
        let attached =
            StrategyEvent::Attached { positions: BTreeMap::new(), live: Vec::new(), next_seq: 1 };
        assert!(strategy.on(attached, now).is_empty());
        Self { catalog, book, strategy, positions: BTreeMap::new(), intents: Vec::new(), fills: 0 }
    }

    fn step(&mut self, time: Timestamp, quotes: &[(ConId, Quote)], open: bool) {
        let gates = Gates::default();
        let updates: Vec<_> = quotes
            .iter()
            .filter_map(|(id, quote)| {
                let instrument = self.catalog.get(*id).unwrap();
                let tick = instrument.tick.increment(quote.mid().unwrap_or_default());
                let two_sided_valid = gates.flaw_of(tick, quote, time, open).is_none();
                let update = LineUpdate { quote: *quote, two_sided_valid, live: true };
                Some((self.book.line_index(*id)?, update))
            })
            .collect();
        self.book.on_quotes(&updates);
        if let Some(view) = self.book.recompute(time) {
            let effects = self.tell(StrategyEvent::Market(&view), time);
            self.serve(effects, &view, time);
        }
    }

    fn tell(&mut self, event: StrategyEvent<'_>, time: Timestamp) -> Vec<StrategyEffect> {
        let now = Now { market: time, process: ProcessTime::ZERO };
        self.strategy.on(event, now)
    }

    fn serve(&mut self, effects: Vec<StrategyEffect>, view: &MarketView, time: Timestamp) {
        for effect in effects {
            match effect {
                StrategyEffect::Intent(intent) => self.fill(intent, view, time),
                StrategyEffect::Durable => {}
                StrategyEffect::Quarantine(reason) => panic!("{reason}"),
            }
        }
    }

    fn fill(&mut self, intent: Intent, view: &MarketView, time: Timestamp) {
        let contract = intent.target.contract();
        let (first, wanted) = intent.target.positions()[0];
        let held = self.positions.get(&first).copied().unwrap_or_default();
        let units = (wanted.0 - held.0) / i64::from(contract.legs()[0].ratio);
        let side = if units > 0 { Side::Buy } else { Side::Sell };
        let market = net(&contract, side, view);
        assert!(units != 0);
        assert!(side.sign() * (intent.limit - market).micros() >= 0, "{intent:?} {market}");
        let mut all = Vec::new();
        for (con_id, signed) in signed_legs(&contract, side, Quantity(units.abs())) {
            self.fills += 1;
            let leg_side = if signed.0 > 0 { Side::Buy } else { Side::Sell };
            let fill = Fill {
                exec_id: ExecId(format!("e{}.01", self.fills)),
                order_id: OrderId(1),
                perm_id: PermId(1),
                reference: intent.key.to_string(),
                con_id,
                side: leg_side,
                quantity: signed.abs(),
                price: view.line(con_id).unwrap().quote().opposite(leg_side).unwrap().price,
                time,
                combo_leg: true,
            };
            *self.positions.entry(con_id).or_default() += signed;
            all.extend(self.tell(StrategyEvent::Filled { fill: &fill }, time));
        }
        self.positions.retain(|_, quantity| !quantity.is_zero());
        let key = intent.key.clone();
        self.intents.push(intent);
        let filled = Quantity(units.abs());
        let outcome = Outcome::Ended { end: EndState::Filled, filled };
        all.extend(self.tell(StrategyEvent::Outcome { key, outcome }, time));
        self.serve(all, view, time);
    }

    /// It entered within `minutes` of `open`, and made no more than `most` intents in all.
    fn check(&self, name: &str, open: Timestamp, minutes: u64, most: usize) {
        let count =
            |purpose| self.intents.iter().filter(|intent| intent.purpose == purpose).count();
        let counts = [Purpose::Entry, Purpose::Exit, Purpose::Hedge].map(count);
        eprintln!("{name}: entries, exits, hedges {counts:?}, position {:?}", self.positions);
        let entry = self.intents.first().expect("it trades");
        assert_eq!(entry.purpose, Purpose::Entry);
        let latest = open.plus(Duration::from_secs(60 * minutes));
        assert!(entry.created <= latest, "{name} entered at {}", entry.created);
        assert!(self.intents.len() <= most, "{name} made {} intents", self.intents.len());
    }
}

/// What one unit costs, or brings, right now.
fn net(contract: &Contract, side: Side, view: &MarketView) -> Price {
    let legs = contract.legs().into_iter().map(|leg| {
        let leg_side = if leg.ratio > 0 { side } else { side.opposite() };
        let level = view.line(leg.con_id).unwrap().quote().opposite(leg_side);
        level.unwrap().price.times(i64::from(leg.ratio))
    });
    legs.sum()
}

fn recorded(folder: &str, day: &str, names: [&str; 2]) {
    let Some(root) = std::env::var_os("OPTIONSIB_DATA") else {
        eprintln!("skipped: OPTIONSIB_DATA does not name the recorded data");
        return;
    };
    let date = Date::parse(day).unwrap();
    let day = Day::load(&Path::new(&root).join(folder), date, None, BadRows::SkipAndCount).unwrap();
    for name in names {
        let mut bench = Bench::new(name, day.catalog.clone());
        let first = day.steps.iter().find(|step| day.calendar.is_open(step.time)).unwrap().time;
        for step in &day.steps {
            bench.step(step.time, &step.quotes, day.calendar.is_open(step.time));
        }
        bench.check(name, first, 15, 300);
    }
}

#[test]
fn the_tomes_for_es_trade_on_the_recorded_day() {
    recorded("lean_es_futopt_20200106", "2020-01-06", ["gamma_scalper_es", "credit_spread_es"]);
}

#[test]
fn the_tomes_for_goog_trade_on_the_recorded_half_day() {
    let names = ["gamma_scalper_goog", "credit_spread_goog"];
    recorded("lean_goog_opt_20151224", "2015-12-24", names);
}

#[test]
fn the_tomes_for_twx_trade_on_the_recorded_day() {
    recorded("lean_twx_opt_20140605", "2014-06-05", ["gamma_scalper_twx", "credit_spread_twx"]);
}

#[test]
fn the_tomes_for_the_built_in_market_trade_within_two_minutes() {
    let start = Timestamp::from_seconds(1_790_000_000);
    for name in ["gamma_scalper_sim", "credit_spread_simx"] {
        let mut market = BuiltinMarket::new(7, start);
        let mut catalog = Catalog::default();
        for instrument in market.instruments() {
            catalog.insert(instrument).unwrap();
        }
        let mut bench = Bench::new(name, catalog);
        for _ in 0..1200 {
            let step = market.next_step();
            for instrument in &step.listed {
                bench.catalog.insert(instrument.clone()).unwrap();
                bench.book.add_instrument(instrument);
                bench.strategy.listed(instrument);
            }
            bench.step(step.time, &step.quotes, true);
        }
        bench.check(name, start, 2, 100);
    }
}
