//! Futures and options on them through the socket: a front month, the one after it and one that has
//! ended, with options of a quarterly and of a weekly class.

use super::*;
use exchange::recorded::RecordedMarket;
use market::instrument::{
    Combo, Deliverable, ExerciseStyle, Fixing, FutureTerms, Instrument, InstrumentKind, Leg,
    OptionTerms, Right, Settlement, TickRule,
};
use market::lean::MarketStep;
use market::money::{Currency, Multiplier};
use market::quote::{Level, Quote};
use market::time::Date;
use std::collections::BTreeMap;
use trading::report::EndState;

const ENDED: ConId = ConId(9);
const FRONT: ConId = ConId(11);
const NEXT: ConId = ConId(12);
const LOW: ConId = ConId(21);
const HIGH: ConId = ConId(22);
const WEEKLY: ConId = ConId(23);
const ON_NEXT: ConId = ConId(24);

fn instrument(con_id: ConId, class: &str, tick: &str, kind: InstrumentKind) -> Instrument {
    Instrument {
        con_id,
        symbol: "ES".to_owned(),
        local_symbol: format!("{class} {}", con_id.0),
        exchange: "CME".to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(50),
        tick: TickRule::flat(Price::parse(tick).unwrap()),
        trading_class: class.to_owned(),
        kind,
    }
}

fn at(text: &str) -> (Date, Timestamp) {
    (Date::parse(&text[..8]).unwrap(), super::super::translate::time(text).unwrap())
}

fn future(con_id: ConId, last: &str) -> Instrument {
    let (expiry, last_trade) = at(last);
    let (settlement, fixing) = (Settlement::Cash, Fixing::Am);
    let terms = FutureTerms { expiry, last_trade, settlement, fixing };
    instrument(con_id, "ES", "0.25", InstrumentKind::Future(terms))
}

fn call(con_id: ConId, underlying: ConId, class: &str, last: &str, strike: i64) -> Instrument {
    let (expiry, last_trade) = at(last);
    let (style, fixing) = match class {
        "ES" => (ExerciseStyle::American, Fixing::Am),
        _ => (ExerciseStyle::European, Fixing::Pm),
    };
    let terms = OptionTerms {
        underlying,
        right: Right::Call,
        strike: Price::from_units(strike),
        expiry,
        last_trade,
        style,
        settlement: Settlement::Physical,
        fixing,
        deliverable: Deliverable::Standard,
    };
    instrument(con_id, class, "0.05", InstrumentKind::FutureOption(terms))
}

const DECEMBER: &str = "20261218 08:30:00 US/Central";
const MARCH: &str = "20270319 08:30:00 US/Central";

fn trading() -> Vec<Instrument> {
    vec![
        future(FRONT, DECEMBER),
        future(NEXT, MARCH),
        call(LOW, FRONT, "ES", DECEMBER, 4_000),
        call(HIGH, FRONT, "ES", DECEMBER, 4_050),
        call(WEEKLY, FRONT, "EW1", "20261204 15:00:00 US/Central", 4_000),
        call(ON_NEXT, NEXT, "ES", MARCH, 4_000),
    ]
}

fn venue() -> Venue {
    let mut all = trading();
    all.push(future(ENDED, "20260918 08:30:00 US/Central"));
    all.sort_by_key(|one| one.con_id);
    let time = START.plus(Duration::from_secs(1));
    let level = |price: &str| Some(Level { price: Price::parse(price).unwrap(), size: 50 });
    let quote = |bid, ask| Quote { bid: level(bid), ask: level(ask), time };
    let quotes = vec![
        (FRONT, quote("4000.00", "4000.25")),
        (NEXT, quote("4020.00", "4020.50")),
        (LOW, quote("60.00", "60.50")),
        (HIGH, quote("40.00", "40.50")),
        (WEEKLY, quote("30.00", "30.50")),
        (ON_NEXT, quote("120.00", "121.00")),
    ];
    let steps = vec![MarketStep { time, quotes }];
    let market = RecordedMarket::new(all, steps, 1, RecordedMarket::WEEK).unwrap();
    let exchange = Exchange::new(exchange_config(), START);
    let world = World::new(Settings::new(ACCOUNT), exchange, MarketSource::Recorded(market));
    let venue = Venue::serving(world);
    venue.advance(2_000);
    venue
}

#[test]
fn the_chain_of_a_future_is_its_front_months_and_the_options_on_each() {
    let venue = venue();
    let data = IbDataPort::start(venue.gateway()).expect("a thread");
    let mut resolved = data.resolve("ES", PATIENCE).expect("resolved");
    resolved.sort_by_key(|one| one.con_id);
    assert_eq!(resolved, trading());
}

#[test]
fn options_on_futures_are_quoted_and_traded_alone_and_as_a_combo() {
    let venue = venue();
    let gateway = venue.gateway();
    let mut data = IbDataPort::start(gateway.clone()).expect("a thread");
    let known = data.resolve("ES", PATIENCE).expect("resolved");
    let heard = Arc::new(Heard::default());
    let sink = Arc::clone(&heard) as Arc<dyn DataSink>;
    crate::port::DataPort::subscribe(&mut data, "ES", &[FRONT, LOW, WEEKLY], sink);
    heard.wait("live quotes of all three", |said| {
        let quoted = |line, bid| said.quotes.iter().any(|(told, q)| *told == line && q.bid == bid);
        let live = (0..3).all(|line| said.last_type(line) == Some(DataType::Live));
        live && quoted(0, 4_000.0) && quoted(1, 60.0) && quoted(2, 30.0)
    });

    let mut node = Node::new(gateway);
    node.market = clearance::Market::of(known, START);
    let first = node.connect().0;
    let cash = |node: &mut Node| match node.ask(Question::Positions) {
        Answer::Positions { positions, cash } => (positions, cash[0].1),
        other => panic!("{other:?}"),
    };
    let before = cash(&mut node).1;
    let legs = vec![Leg { con_id: LOW, ratio: 1 }, Leg { con_id: HIGH, ratio: -1 }];
    let spread = Contract::Combo(Combo::new(legs).unwrap());
    let (mut fills, mut fees) = (BTreeMap::new(), 0);
    for (number, contract, limit) in [
        (first, Contract::Single(WEEKLY), "30.50"),
        (first + 1, spread, "20.50"),
        (first + 2, Contract::Single(FRONT), "4000.25"),
    ] {
        node.place(&order(number, contract, Side::Buy, 2, limit));
        let mut ended = false;
        node.until(|event| {
            if let BrokerEvent::Report(report) = event {
                match report {
                    Report::Execution(fill) => {
                        let signed = fill.side.sign() * fill.quantity.0;
                        fills.insert(fill.con_id, (signed, fill.price, fill.combo_leg));
                    }
                    Report::Fee { amount, .. } => fees += amount.micros(),
                    Report::Ended { end, .. } => ended = end == EndState::Filled,
                    Report::Rejected { code, .. } => panic!("rejected: {code}"),
                    _ => {}
                }
            }
            ended.then_some(())
        });
    }
    for report in node.reports() {
        if let Report::Fee { amount, .. } = report {
            fees += amount.micros();
        }
    }
    let price = |text| Price::parse(text).unwrap();
    assert_eq!(fills[&WEEKLY], (2, price("30.50"), false));
    assert_eq!(fills[&LOW], (2, price("60.50"), true));
    assert_eq!(fills[&HIGH], (-2, price("40.00"), true));
    assert_eq!(fills[&FRONT], (2, price("4000.25"), false));
    let (positions, after) = cash(&mut node);
    let held: BTreeMap<ConId, i64> = positions.into_iter().map(|(id, held)| (id, held.0)).collect();
    assert_eq!(held, BTreeMap::from([(FRONT, 2), (LOW, 2), (HIGH, -2), (WEEKLY, 2)]));
    // Premiums times 50; a future's price is not paid.
    let premium = 2 * 50 * (30_500_000 + 60_500_000 - 40_000_000);
    let paid = before.micros() - after.micros();
    assert!((paid - premium - fees).abs() < 10_000, "{paid} is not {premium} and {fees}");
}
