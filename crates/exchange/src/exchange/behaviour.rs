//! The exchange machine, one sentence a test.

use crate::samples::{self, at};
use crate::{
    EndState, EventKind, Exchange, ExchangeConfig, NewOrder, Report, Request, TimeInForce,
};
use market::instrument::{Combo, ConId, Contract, Instrument, Leg};
use market::money::{Currency, Money, Price, Quantity};
use market::quote::{Level, Quote, Side};
use market::time::{Date, Timestamp};
use std::time::Duration;

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn quote(bid: &str, bid_size: u32, ask: &str, ask_size: u32) -> Quote {
    let level = |text: &str, size| (!text.is_empty()).then(|| Level { price: price(text), size });
    Quote { bid: level(bid, bid_size), ask: level(ask, ask_size), time: at(0, 9) }
}

fn instruments() -> Vec<Instrument> {
    vec![
        samples::stock(),
        samples::future(),
        samples::index(),
        samples::stock_call(100),
        samples::stock_call(105),
        samples::stock_put(120),
        samples::future_call(4_000),
        samples::index_call(4_000),
    ]
}

fn exchange(change: impl FnOnce(&mut ExchangeConfig)) -> Exchange {
    let mut config = ExchangeConfig {
        request_latency: Duration::ZERO,
        report_latency: Duration::ZERO,
        ..ExchangeConfig::default()
    };
    change(&mut config);
    let mut exchange = Exchange::new(config, at(0, 9));
    for instrument in instruments() {
        exchange.list(instrument);
    }
    exchange.take_reports(Timestamp::MAX);
    exchange
}

fn order(number: i64, con_id: ConId, side: Side, quantity: i64, limit: &str) -> NewOrder {
    NewOrder {
        client_order_id: number,
        reference: format!("order {number}"),
        contract: Contract::Single(con_id),
        side,
        quantity: Quantity(quantity),
        limit: price(limit),
        time_in_force: TimeInForce::GoodTillCanceled,
    }
}

fn submit(exchange: &mut Exchange, order: NewOrder, now: Timestamp) -> Vec<Report> {
    exchange.on_request(Request::Submit(order), now);
    exchange.take_reports(now)
}

/// (order, quantity, price) of each execution.
fn fills(reports: &[Report]) -> Vec<(i64, i64, String)> {
    let fill = |report: &Report| match report {
        Report::Executed(execution) => {
            Some((execution.client_order_id, execution.quantity.0, execution.price.to_string()))
        }
        _ => None,
    };
    reports.iter().filter_map(fill).collect()
}

fn code(reports: &[Report]) -> Option<u32> {
    reports.iter().find_map(|report| match report {
        Report::Rejected { code, .. }
        | Report::CancelRejected { code, .. }
        | Report::ModifyRejected { code, .. } => Some(*code),
        _ => None,
    })
}

fn ended(reports: &[Report]) -> Option<EndState> {
    reports.iter().find_map(|report| match report {
        Report::Ended { end, .. } => Some(*end),
        _ => None,
    })
}

#[test]
fn a_marketable_order_takes_the_displayed_size_and_the_rest_waits_for_the_next_quote() {
    let mut exchange = exchange(|_| {});
    let line = samples::STOCK;
    exchange.on_quotes(&[(line, quote("99.99", 50, "100.00", 30))], at(0, 10));
    let reports = submit(&mut exchange, order(1, line, Side::Buy, 100, "100.01"), at(0, 10));
    assert_eq!(fills(&reports), [(1, 30, "100.00".to_owned())]);
    let reports = submit(&mut exchange, order(2, line, Side::Buy, 10, "100.01"), at(0, 10));
    assert_eq!(fills(&reports), [], "the displayed size is used up");
    exchange.on_quotes(&[(line, quote("99.99", 50, "100.00", 75))], at(0, 11));
    // Resting orders fill at their limit, the older first.
    let reports = exchange.take_reports(at(0, 11));
    let expected = [(1, 70, "100.01".to_owned()), (2, 5, "100.01".to_owned())];
    assert_eq!(fills(&reports), expected);
}

#[test]
fn the_better_price_is_served_before_the_older_order() {
    let mut exchange = exchange(|_| {});
    let line = samples::STOCK;
    submit(&mut exchange, order(1, line, Side::Buy, 10, "99.00"), at(0, 10));
    submit(&mut exchange, order(2, line, Side::Buy, 10, "99.50"), at(0, 10));
    exchange.on_quotes(&[(line, quote("98.00", 5, "98.50", 15))], at(0, 11));
    let reports = exchange.take_reports(at(0, 11));
    assert_eq!(fills(&reports), [(2, 10, "99.50".to_owned()), (1, 5, "99.00".to_owned())]);
}

#[test]
fn one_sided_locked_and_crossed_quotes_fill_nothing() {
    let mut exchange = exchange(|_| {});
    let line = samples::STOCK;
    submit(&mut exchange, order(1, line, Side::Buy, 10, "101.00"), at(0, 10));
    for quote in [
        quote("", 0, "100.00", 9),
        quote("100.00", 9, "100.00", 9),
        quote("100.50", 9, "100.00", 9),
    ] {
        exchange.on_quotes(&[(line, quote)], at(0, 10));
        assert_eq!(fills(&exchange.take_reports(at(0, 10))), []);
    }
}

#[test]
fn a_combo_fills_whole_units_at_the_net_of_its_legs() {
    let mut exchange = exchange(|_| {});
    let (low, high) = (ConId(1100), ConId(1105));
    let quotes = [(low, quote("2.40", 9, "2.50", 7)), (high, quote("0.80", 5, "0.90", 5))];
    exchange.on_quotes(&quotes, at(0, 10));
    let legs = vec![Leg { con_id: low, ratio: 1 }, Leg { con_id: high, ratio: -2 }];
    let contract = Contract::Combo(Combo::new(legs).unwrap());
    // Bought: 2.50 - 2 x 0.80 = 0.90; two units need 4 of the 5 shown at 0.80.
    let combo = NewOrder { contract, ..order(1, low, Side::Buy, 3, "0.90") };
    let reports = submit(&mut exchange, combo, at(0, 10));
    assert_eq!(
        fills(&reports),
        [(1, 2, "2.50".to_owned()), (1, 4, "0.80".to_owned())],
        "{reports:?}"
    );
    let line = &exchange.combo_executions(Timestamp::EPOCH)[0];
    assert_eq!((line.quantity, line.price), (Quantity(2), price("0.90")));
    assert_eq!(exchange.positions(), [(low, Quantity(2)), (high, Quantity(-4))]);
    assert_eq!(exchange.open_orders().next().unwrap().remaining(), Quantity(1));
}

#[test]
fn requests_and_reports_take_their_time() {
    let mut exchange = exchange(|config| {
        config.request_latency = Duration::from_millis(3);
        config.report_latency = Duration::from_millis(4);
    });
    let line = samples::STOCK;
    exchange.on_quotes(&[(line, quote("99.99", 50, "100.00", 30))], at(0, 10));
    let sent = at(0, 10);
    exchange.on_request(Request::Submit(order(1, line, Side::Buy, 1, "100.00")), sent);
    assert_eq!(exchange.next_wake(), Some(sent.plus(Duration::from_millis(3))));
    assert_eq!(exchange.open_orders().count(), 0);
    let arrived = sent.plus(Duration::from_millis(3));
    // The order meets the market as it is when it arrives.
    exchange.on_quotes(
        &[(line, quote("99.99", 50, "100.01", 30))],
        arrived.minus(Duration::from_nanos(1)),
    );
    exchange.on_time(arrived);
    assert_eq!(exchange.open_orders().count(), 1);
    assert_eq!(exchange.take_reports(arrived), []);
    let visible = arrived.plus(Duration::from_millis(4));
    assert_eq!(exchange.next_wake(), Some(visible));
    assert!(matches!(exchange.take_reports(visible)[..], [Report::Accepted { .. }]));
}

#[test]
fn refusals_carry_ibs_codes() {
    let mut exchange = exchange(|config| config.starting_cash = Money::from_units(10_000));
    let line = samples::STOCK;
    exchange.on_quotes(&[(line, quote("99.99", 50, "100.00", 30))], at(0, 10));
    let now = at(0, 10);
    let mut refused = |order| code(&submit(&mut exchange, order, now));
    assert_eq!(refused(order(1, ConId(77), Side::Buy, 1, "1.00")), Some(200));
    assert_eq!(refused(order(2, line, Side::Buy, 1, "1.005")), Some(110));
    assert_eq!(refused(order(3, line, Side::Buy, 0, "1.00")), Some(321));
    assert_eq!(refused(order(4, samples::INDEX, Side::Buy, 1, "1.00")), Some(201));
    assert_eq!(refused(order(5, line, Side::Buy, 201, "100.00")), Some(201), "margin");
    assert_eq!(refused(order(6, line, Side::Buy, 100, "99.00")), None);
    assert_eq!(refused(order(6, line, Side::Buy, 1, "99.00")), Some(103));
    assert_eq!(refused(order(7, line, Side::Buy, 101, "99.00")), Some(201), "with what works");
    assert_eq!(refused(order(8, ConId(1100), Side::Sell, 8, "3.00")), Some(201), "naked calls");
    exchange.on_request(Request::Cancel { client_order_id: 6 }, now);
    assert_eq!(ended(&exchange.take_reports(now)), Some(EndState::Canceled));
    exchange.on_request(Request::Cancel { client_order_id: 6 }, now);
    assert_eq!(code(&exchange.take_reports(now)), Some(10148));
    exchange.on_request(Request::Cancel { client_order_id: 99 }, now);
    assert_eq!(code(&exchange.take_reports(now)), Some(10147));
    let modify = Request::Modify { client_order_id: 6, limit: price("1"), quantity: Quantity(1) };
    exchange.on_request(modify, now);
    assert_eq!(code(&exchange.take_reports(now)), Some(104));
    assert_eq!(exchange.next_order_id(), 9);
}

#[test]
fn a_modify_to_a_marketable_limit_fills_at_the_quote() {
    let mut exchange = exchange(|_| {});
    let line = samples::STOCK;
    exchange.on_quotes(&[(line, quote("99.99", 50, "100.00", 30))], at(0, 10));
    submit(&mut exchange, order(1, line, Side::Buy, 10, "99.00"), at(0, 10));
    let limit = price("101.00");
    let modify = Request::Modify { client_order_id: 1, limit, quantity: Quantity(20) };
    exchange.on_request(modify, at(0, 10));
    let reports = exchange.take_reports(at(0, 10));
    assert_eq!(fills(&reports), [(1, 20, "100.00".to_owned())]);
    assert_eq!(ended(&reports), Some(EndState::Filled));
}

#[test]
fn an_enlarged_order_goes_behind_those_at_its_price_and_before_later_ones() {
    let mut exchange = exchange(|_| {});
    let line = samples::STOCK;
    submit(&mut exchange, order(1, line, Side::Buy, 10, "99.00"), at(0, 10));
    submit(&mut exchange, order(2, line, Side::Buy, 10, "99.00"), at(0, 10));
    let limit = price("99.00");
    let modify = Request::Modify { client_order_id: 1, limit, quantity: Quantity(11) };
    exchange.on_request(modify, at(0, 10));
    submit(&mut exchange, order(3, line, Side::Buy, 10, "99.00"), at(0, 10));
    exchange.on_quotes(&[(line, quote("98.00", 5, "98.50", 40))], at(0, 11));
    let reports = exchange.take_reports(at(0, 11));
    let served: Vec<i64> = fills(&reports).iter().map(|fill| fill.0).collect();
    assert_eq!(served, [2, 1, 3]);
    let priorities: Vec<u64> = exchange
        .changes
        .iter()
        .filter_map(|change| match change {
            crate::BookChange::Accepted(order) => Some(order.priority),
            crate::BookChange::Modified { priority, .. } => Some(*priority),
            _ => None,
        })
        .collect();
    assert_eq!(priorities, [1, 2, 3, 4], "no two orders share a place");
}

#[test]
fn day_orders_end_with_the_day_and_immediate_ones_at_once() {
    let mut exchange = exchange(|_| {});
    let line = samples::STOCK;
    let mut day = order(1, line, Side::Buy, 10, "99.00");
    day.time_in_force = TimeInForce::Day;
    submit(&mut exchange, day, at(0, 10));
    let mut immediate = order(2, line, Side::Buy, 10, "99.00");
    immediate.time_in_force = TimeInForce::ImmediateOrCancel;
    assert_eq!(ended(&submit(&mut exchange, immediate, at(0, 10))), Some(EndState::Canceled));
    exchange.on_time(at(1, 0));
    assert_eq!(ended(&exchange.take_reports(at(1, 0))), Some(EndState::Expired));
}

#[test]
fn nothing_fills_after_the_last_trade_and_cash_options_pay_their_difference() {
    let mut exchange = exchange(|_| {});
    let option = ConId(24_000);
    let market = [
        (samples::INDEX, quote("4009.95", 1, "4010.05", 1)),
        (option, quote("20.00", 5, "21.00", 5)),
    ];
    exchange.on_quotes(&market, at(0, 10));
    submit(&mut exchange, order(1, option, Side::Sell, 2, "20.00"), at(0, 10));
    submit(&mut exchange, order(2, option, Side::Buy, 1, "19.00"), at(0, 10));
    let cash = exchange.cash()[0].1;
    exchange.on_quotes(&[(option, quote("9.00", 5, "10.00", 5))], at(4, 20));
    let reports = exchange.take_reports(at(4, 20));
    assert_eq!(fills(&reports), []);
    assert_eq!(ended(&reports), Some(EndState::Expired));
    assert_eq!(exchange.cash()[0].1 - cash, Money::from_units(-2_000));
    assert_eq!(exchange.positions(), []);
    let late = order(3, option, Side::Buy, 1, "19.00");
    assert_eq!(code(&submit(&mut exchange, late, at(4, 21))), Some(200));
}

#[test]
fn an_option_on_a_future_delivers_the_future_and_its_gain_as_variation() {
    let mut exchange = exchange(|config| {
        config.days = crate::day::Days::Listed(Vec::new());
    });
    let option = ConId(14_000);
    let mut later = samples::future();
    if let market::instrument::InstrumentKind::Future(terms) = &mut later.kind {
        terms.last_trade = at(30, 20);
    }
    exchange.catalog.insert(samples::FUTURE, later);
    exchange.on_quotes(&[(option, quote("5.00", 5, "5.50", 5))], at(0, 10));
    submit(&mut exchange, order(1, option, Side::Buy, 1, "5.50"), at(0, 10));
    exchange.on_quotes(&[(samples::FUTURE, quote("4011.75", 1, "4012.25", 1))], at(0, 11));
    let cash = exchange.cash()[0].1;
    exchange.on_time(at(4, 20));
    assert_eq!(exchange.positions(), [(samples::FUTURE, Quantity(1))]);
    // (4012 - 4000) x 50.
    assert_eq!(exchange.cash()[0].1 - cash, Money::from_units(600));
}

#[test]
fn deep_short_puts_are_assigned_early_when_the_draw_says_so() {
    let mut exchange = exchange(|config| config.assignment.put_per_mille = 1000);
    let put = ConId(2120);
    let market = [
        (samples::STOCK, quote("99.99", 100, "100.01", 100)),
        (put, quote("20.00", 5, "20.02", 5)),
    ];
    exchange.on_quotes(&market, at(0, 10));
    submit(&mut exchange, order(1, put, Side::Sell, 2, "20.00"), at(0, 10));
    exchange.on_time(at(1, 0));
    assert_eq!(exchange.positions(), [(samples::STOCK, Quantity(200))]);
}

#[test]
fn calls_with_more_time_value_than_the_dividend_are_not_assigned() {
    let mut exchange = exchange(|_| {});
    let call = ConId(1100);
    let ex_date = Date::new(2026, 11, 24).unwrap();
    exchange.announce_dividend(samples::STOCK, ex_date, price("0.50"));
    let market = [
        (samples::STOCK, quote("100.99", 100, "101.01", 100)),
        (call, quote("1.60", 5, "1.62", 5)),
    ];
    exchange.on_quotes(&market, at(0, 10));
    submit(&mut exchange, order(1, call, Side::Sell, 2, "1.60"), at(0, 10));
    submit(&mut exchange, order(2, samples::STOCK, Side::Buy, 100, "101.01"), at(0, 10));
    exchange.on_time(at(1, 0));
    assert_eq!(exchange.positions(), [(samples::STOCK, Quantity(100)), (call, Quantity(-2))]);
    let paid = exchange.events(at(1, 0));
    let dividend = EventKind::Dividend { con_id: samples::STOCK, amount: Money::from_units(50) };
    assert_eq!(paid.iter().map(|event| event.kind).collect::<Vec<_>>(), [dividend]);
}

#[test]
fn a_position_that_expired_while_the_venue_was_down_settles_with_the_first_price() {
    let mut exchange = exchange(|_| {});
    let call = ConId(1100);
    let market = [
        (samples::STOCK, quote("100.99", 100, "101.01", 100)),
        (call, quote("1.60", 5, "1.62", 5)),
    ];
    exchange.on_quotes(&market, at(0, 10));
    submit(&mut exchange, order(1, call, Side::Buy, 2, "1.62"), at(0, 10));
    let mut back = Exchange::restore(exchange.config.clone(), exchange.take_changes()).unwrap();
    back.on_time(at(6, 10));
    assert_eq!(back.positions(), [(call, Quantity(2))]);
    back.on_quotes(&[(samples::STOCK, quote("101.99", 100, "102.01", 100))], at(6, 10));
    back.on_time(at(6, 11));
    assert_eq!(back.positions(), [(samples::STOCK, Quantity(200))]);
    assert_eq!(back.cash()[0].0, Currency::USD);
}
