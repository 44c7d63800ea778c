//! Ten trades, an assignment, a dividend and three expiries, worked out by hand.
//!
//! The figures stand in `tests/fixtures/ten_trade_day.json`, where the node's own ledger is checked
//! against them too. The arithmetic (F: fee, C: cash without fee, R: realised):
//!
//! ```text
//!  1 buy  2 ES 4000.00      F 2 x (0.85 + 1.38 + 0.02) = 4.50             C 0
//!  2 sell 1 ES 4010.00      F 2.25     variation 2 x 10.00 x 50           C +1000  R +1000
//!  3 buy  300 SIM 100.00    F 300 x 0.005 = 1.50                          C -30000
//!  4 sell 100 SIM 101.50    F max(1.00, 0.50) + 10150 x 0.0000278 = 0.28217 + 100 x 0.000166
//!                             = 1.29877 -> 1.30                           C +10150  R +150
//!  5 buy  3 P95 1.25        F 3 x (0.65 + 0.0379 + 0.02) = 2.1237 -> 2.12  C -375
//!  6 sell 1 P95 1.60        F 1.00 + 0.0579 + 160 x 0.0000278 + 0.00279 = 1.065138 -> 1.07
//!                                                                         C +160    R +35
//!  7 sell 4 C100 2.40       F 4 x 0.7079 + 960 x 0.0000278 + 4 x 0.00279 = 2.869448 -> 2.87
//!                                                                         C +960
//!  8 combo 2 x (C105 - C110) at 0.60: buy 2 C105 0.90   F 2 x 0.7079 = 1.4158 -> 1.42   C -180
//!                             sell 2 C110 0.30  F 1.4158 + 0.001668 + 0.00558 -> 1.42   C +60
//!  9 buy  5 C110 0.04       F 5 x (0.25 + 0.0579) = 1.5395 -> 1.54        C -20     R 2 x 26 = +52
//! 10 sell 1 ES 4004.00      F 2.25     variation 1 x (4004 - 4010) x 50   C -300    R -300
//!    fees 22.24
//! ex-date tomorrow, SIM 104.00, C100 at 4.10: time value 0.10 < dividend 0.50: 4 C100 assigned
//!    deliver 400 SIM at 100: C +40000; SIM 200 -> -200, R 0 (200 bought at 100 on average)
//!    C100 R +960;  dividend on -200 shares: C -100
//!    cash 1,000,000 + 1000 - 30000 + 10150 - 375 + 160 + 960 - 180 + 60 - 20 - 300 + 40000 - 100
//!         - 22.24 = 1,021,332.76
//! expiry, SIM 107.25: P95 x 2 worthless R -250; C105 x 2 exercised: buy 200 SIM at 105: C -21000,
//!    SIM R 200 x (100 - 105) = -1000, C105 R -180; C110 x 3 worthless R -12
//!    cash 1,000,332.76; realised 700 - 850 - 215 + 960 - 180 + 40 = 455
//! ```

use crate::samples::{self, at};
use crate::{EventKind, Exchange, ExchangeConfig, NewOrder, Report, Request, TimeInForce};
use market::instrument::{Combo, ConId, Contract, Leg};
use market::money::{Money, Price, Quantity};
use market::quote::{Level, Quote, Side};
use market::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/ten_trade_day.json")).unwrap()
}

fn price(text: &Value) -> Price {
    Price::parse(text.as_str().unwrap()).unwrap()
}

fn money(text: &Value) -> Money {
    Money::parse(text.as_str().unwrap()).unwrap()
}

fn con_id(number: &Value) -> ConId {
    ConId(u32::try_from(number.as_u64().unwrap()).unwrap())
}

/// A quote whose ask (for a purchase) or bid (for a sale) is `at_price`, a cent wide.
fn quote(side: Side, at_price: Price, time: Timestamp) -> Quote {
    let cent = Price::from_micros(10_000);
    let (bid, ask) = match side {
        Side::Buy => (at_price - cent, at_price),
        Side::Sell => (at_price, at_price + cent),
    };
    let level = |price| Some(Level { price, size: 1_000 });
    Quote { bid: level(bid), ask: level(ask), time }
}

fn check(exchange: &Exchange, expected: &Value) {
    let books = exchange.books();
    assert_eq!(exchange.cash()[0].1, money(&expected["cash"]));
    assert_eq!(exchange.fees()[0].1, money(&expected["fees"]));
    let positions: serde_json::Map<String, Value> = exchange
        .positions()
        .iter()
        .map(|(con_id, quantity)| (con_id.to_string(), Value::from(quantity.0)))
        .collect();
    assert_eq!(&Value::from(positions), &expected["positions"]);
    let dividends: Money = exchange
        .events(Timestamp::EPOCH)
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Dividend { amount, .. } => Some(amount),
            _ => None,
        })
        .sum();
    assert_eq!(dividends, money(&expected["dividends"]));
    let mut total = Money::ZERO;
    for (name, realised) in expected["realised"].as_object().unwrap() {
        let id = ConId(name.parse().unwrap());
        let mut booked = books.positions[&id].realised;
        if id == samples::STOCK {
            booked -= dividends;
        }
        assert_eq!(booked, money(realised), "{name}");
        total += booked;
    }
    assert_eq!(total, money(&expected["realised_total"]));
}

#[test]
fn ten_trades_by_hand_equal_the_books() {
    let fixture = fixture();
    let config = ExchangeConfig {
        request_latency: Duration::ZERO,
        report_latency: Duration::ZERO,
        starting_cash: money(&fixture["starting_cash"]),
        ..ExchangeConfig::default()
    };
    let mut exchange = Exchange::new(config, at(0, 9));
    for instrument in [
        samples::stock(),
        samples::future(),
        samples::stock_put(95),
        samples::stock_call(100),
        samples::stock_call(105),
        samples::stock_call(110),
    ] {
        exchange.list(instrument);
    }
    exchange.announce_dividend(
        samples::STOCK,
        market::time::Date::new(2026, 11, 24).unwrap(),
        Price::parse("0.50").unwrap(),
    );

    let trades = fixture["trades"].as_array().unwrap();
    for order in 1..=10 {
        let time = at(0, 9).plus(Duration::from_secs(order as u64 * 60));
        let legs: Vec<&Value> = trades.iter().filter(|trade| trade["order"] == order).collect();
        let side = |trade: &Value| {
            if trade["side"] == "buy" { Side::Buy } else { Side::Sell }
        };
        let quotes: Vec<(ConId, Quote)> = legs
            .iter()
            .map(|trade| {
                (con_id(&trade["con_id"]), quote(side(trade), price(&trade["price"]), time))
            })
            .collect();
        exchange.on_quotes(&quotes, time);
        let (contract, order_side, limit) = match legs.as_slice() {
            [one] => (Contract::Single(con_id(&one["con_id"])), side(one), price(&one["price"])),
            _ => {
                let leg = |trade: &&Value| Leg {
                    con_id: con_id(&trade["con_id"]),
                    ratio: side(trade).sign() as i32,
                };
                let net = legs.iter().map(|leg| price(&leg["price"]).times(side(leg).sign()));
                let combo = Combo::new(legs.iter().map(leg).collect()).unwrap();
                (Contract::Combo(combo), Side::Buy, net.sum())
            }
        };
        exchange.on_request(
            Request::Submit(NewOrder {
                client_order_id: order,
                reference: format!("trade {order}"),
                contract,
                side: order_side,
                quantity: Quantity(legs[0]["quantity"].as_i64().unwrap()),
                limit,
                time_in_force: TimeInForce::Day,
            }),
            time,
        );
        let reports = exchange.take_reports(time);
        let fees: Vec<Money> = reports
            .iter()
            .filter_map(|report| match report {
                Report::Fee { amount, .. } => Some(*amount),
                _ => None,
            })
            .collect();
        assert_eq!(fees, legs.iter().map(|leg| money(&leg["fee"])).collect::<Vec<_>>(), "{order}");
        let variation = reports.iter().find_map(|report| match report {
            Report::Event(event) => match event.kind {
                EventKind::Variation { amount, .. } => Some(amount),
                _ => None,
            },
            _ => None,
        });
        let expected = (!legs[0]["variation"].is_null()).then(|| money(&legs[0]["variation"]));
        assert_eq!(variation, expected, "{order}");
    }

    let near = |text: &str| quote(Side::Buy, Price::parse(text).unwrap(), at(0, 23));
    exchange.on_quotes(&[(samples::STOCK, near("104.00")), (ConId(1100), near("4.10"))], at(0, 23));
    exchange.on_time(at(1, 0));
    check(&exchange, &fixture["after_the_day"]);

    exchange.on_quotes(&[(samples::STOCK, near("107.25"))], at(4, 19));
    exchange.on_time(at(4, 20));
    check(&exchange, &fixture["after_expiry"]);
}
