//! Held orders, stops, brackets, groups, amendments, previews and corrections, one sentence a test,
//! and the laws that hold whatever happens.

use crate::book_file::{from_line, to_line};
use crate::samples::{self, at};
use crate::{
    EndState, Exchange, ExchangeConfig, GroupRule, Instructions, NewOrder, OrderGroup, OrderKind,
    Report, Request, Stage, Ticket, TimeInForce,
};
use market::instrument::{ConId, Contract};
use market::money::{Money, Price, Quantity};
use market::quote::{Level, Quote, Side};
use market::time::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

const LINE: ConId = samples::STOCK;
const CLIENT: i32 = 7;

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn quote(bid: &str, ask: &str, size: u32) -> Quote {
    let level = |text: &str| Some(Level { price: price(text), size });
    Quote { bid: level(bid), ask: level(ask), time: at(0, 9) }
}

fn exchange() -> Exchange {
    let config = ExchangeConfig {
        request_latency: Duration::ZERO,
        report_latency: Duration::ZERO,
        ..ExchangeConfig::default()
    };
    let mut exchange = Exchange::new(config, at(0, 9));
    exchange.list(samples::stock());
    exchange.list(samples::stock_call(100));
    exchange.on_quotes(&[(LINE, quote("99.99", "100.01", 100))], at(0, 9));
    exchange
}

fn ticket(number: i64, side: Side, quantity: i64, limit: &str) -> Ticket {
    Ticket {
        order: NewOrder {
            client_order_id: number,
            reference: format!("order {number}"),
            contract: Contract::Single(LINE),
            side,
            quantity: Quantity(quantity),
            limit: price(limit),
            time_in_force: TimeInForce::GoodTillCanceled,
        },
        instructions: Instructions { client: CLIENT, ..Instructions::default() },
    }
}

fn with(mut ticket: Ticket, change: impl FnOnce(&mut Instructions)) -> Ticket {
    change(&mut ticket.instructions);
    ticket
}

/// Sends the ticket and returns what client 7 hears, in short words.
fn send(exchange: &mut Exchange, request: Request) -> Vec<String> {
    exchange.on_request(request, at(0, 10));
    heard(exchange)
}

fn submit(exchange: &mut Exchange, ticket: Ticket) -> Vec<String> {
    send(exchange, Request::SubmitTicket(Box::new(ticket)))
}

fn heard(exchange: &mut Exchange) -> Vec<String> {
    let word = |(client, report): (i32, Report)| {
        let said = match report {
            Report::Accepted { client_order_id, .. } => format!("{client_order_id} accepted"),
            Report::Rejected { client_order_id, code, .. } => format!("{client_order_id} {code}"),
            Report::ModifyRejected { client_order_id, code, .. } => {
                format!("{client_order_id} modify {code}")
            }
            Report::Executed(one) => {
                format!("{} x{} @{}", one.client_order_id, one.quantity, one.price)
            }
            Report::Ended { client_order_id, end, .. } => format!("{client_order_id} {end:?}"),
            Report::Staged { client_order_id, .. } => format!("{client_order_id} staged"),
            Report::Modified { client_order_id, quantity, .. } => {
                format!("{client_order_id} now {quantity}")
            }
            _ => return None,
        };
        assert_eq!(client, CLIENT, "{said}");
        Some(said)
    };
    exchange.take_addressed(Timestamp::MAX).into_iter().filter_map(word).collect()
}

fn quotes(exchange: &mut Exchange, bid: &str, ask: &str, size: u32) -> Vec<String> {
    exchange.on_quotes(&[(LINE, quote(bid, ask, size))], at(0, 11));
    heard(exchange)
}

fn stage(exchange: &Exchange, number: i64) -> Option<Stage> {
    exchange.working(CLIENT, number).map(|order| order.stage)
}

#[test]
fn a_market_order_takes_what_is_quoted_until_it_is_filled() {
    let mut exchange = exchange();
    heard(&mut exchange);
    let market = with(ticket(1, Side::Buy, 150, "0"), |i| i.kind = OrderKind::Market);
    assert_eq!(submit(&mut exchange, market), ["1 accepted", "1 x100 @100.01"]);
    assert_eq!(quotes(&mut exchange, "100.50", "100.52", 90), ["1 x50 @100.52", "1 Filled"]);
}

#[test]
fn a_stop_waits_for_its_trigger_and_then_takes_the_market() {
    let mut exchange = exchange();
    heard(&mut exchange);
    let kind = OrderKind::Stop { trigger: price("99.00") };
    let stop = with(ticket(1, Side::Sell, 10, "0"), |i| i.kind = kind);
    assert_eq!(submit(&mut exchange, stop), ["1 accepted"]);
    assert_eq!(stage(&exchange, 1), Some(Stage::AwaitsTrigger));
    assert_eq!(quotes(&mut exchange, "98.90", "99.01", 50), [""; 0]);
    let said = quotes(&mut exchange, "98.80", "99.00", 50);
    assert_eq!(said, ["1 staged", "1 x10 @98.80", "1 Filled"]);
}

#[test]
fn a_stop_limit_that_is_triggered_keeps_its_limit() {
    let mut exchange = exchange();
    heard(&mut exchange);
    let kind = OrderKind::StopLimit { trigger: price("101.00") };
    let stop = with(ticket(1, Side::Buy, 10, "101.10"), |i| i.kind = kind);
    submit(&mut exchange, stop);
    assert_eq!(quotes(&mut exchange, "101.20", "101.30", 50), ["1 staged"]);
    assert_eq!(quotes(&mut exchange, "101.00", "101.05", 50), ["1 x10 @101.10", "1 Filled"]);
}

#[test]
fn a_held_order_goes_out_when_it_is_sent_again_released() {
    let mut exchange = exchange();
    heard(&mut exchange);
    let held = with(ticket(1, Side::Buy, 10, "100.01"), |i| i.held = true);
    assert_eq!(submit(&mut exchange, held), ["1 accepted"]);
    assert_eq!(quotes(&mut exchange, "99.90", "99.95", 50), [""; 0]);
    let released = Request::Amend(Box::new(ticket(1, Side::Buy, 10, "100.01")));
    let said = send(&mut exchange, released);
    assert_eq!(said, ["1 staged", "1 x10 @99.95", "1 Filled"]);
}

fn bracket(exchange: &mut Exchange) -> Vec<String> {
    let entry = with(ticket(1, Side::Buy, 10, "99.50"), |i| i.held = true);
    let profit = with(ticket(2, Side::Sell, 10, "101.00"), |i| {
        (i.held, i.parent) = (true, Some(1));
    });
    let stop = with(ticket(3, Side::Sell, 10, "0"), |i| {
        i.kind = OrderKind::Stop { trigger: price("98.00") };
        i.parent = Some(1);
    });
    let mut said = submit(exchange, entry);
    said.extend(submit(exchange, profit));
    said.extend(submit(exchange, stop));
    said
}

#[test]
fn the_last_child_releases_a_bracket_and_its_children_wait_for_the_parent() {
    let mut exchange = exchange();
    heard(&mut exchange);
    let said = bracket(&mut exchange);
    assert_eq!(said, ["1 accepted", "2 accepted", "3 accepted", "1 staged", "2 staged"]);
    let stages = [1, 2, 3].map(|number| stage(&exchange, number).unwrap());
    assert_eq!(stages, [Stage::Working, Stage::AwaitsParent, Stage::AwaitsParent]);
    let said = quotes(&mut exchange, "99.40", "99.50", 50);
    assert_eq!(said, ["1 x10 @99.50", "1 Filled", "2 staged", "3 staged"]);
    let said = quotes(&mut exchange, "101.00", "101.02", 4);
    assert_eq!(said, ["2 x4 @101.00", "3 now 6"]);
    let said = quotes(&mut exchange, "97.90", "97.95", 50);
    assert_eq!(said, ["3 staged", "3 x6 @97.90", "3 Filled", "2 Canceled"]);
    assert_eq!(exchange.positions(), []);
}

#[test]
fn children_end_with_a_parent_that_ends_unfilled() {
    let mut exchange = exchange();
    bracket(&mut exchange);
    let cancel = Request::CancelFor { client: CLIENT, client_order_id: 1 };
    let said = send(&mut exchange, cancel);
    assert_eq!(said, ["1 Canceled", "2 Canceled", "3 Canceled"]);
}

#[test]
fn a_child_of_nobody_is_refused() {
    let mut exchange = exchange();
    let child = with(ticket(2, Side::Sell, 10, "101.00"), |i| i.parent = Some(1));
    assert_eq!(submit(&mut exchange, child), ["2 10006"]);
}

#[test]
fn an_execution_cancels_or_reduces_the_others_of_its_group() {
    for (rule, expected) in
        [(GroupRule::CancelOthers, "2 Canceled"), (GroupRule::ReduceOthers, "2 now 12")]
    {
        let mut exchange = exchange();
        heard(&mut exchange);
        let group = Some(OrderGroup { name: "g".to_owned(), rule });
        let first = with(ticket(1, Side::Buy, 10, "99.00"), |i| i.group = group.clone());
        let second = with(ticket(2, Side::Buy, 20, "98.00"), |i| i.group = group.clone());
        submit(&mut exchange, first);
        submit(&mut exchange, second);
        let said = quotes(&mut exchange, "98.90", "99.00", 4);
        assert_eq!(said, ["1 x4 @99.00", expected]);
    }
}

#[test]
fn numbers_are_each_clients_own_and_a_modify_keeps_the_number() {
    let mut exchange = exchange();
    heard(&mut exchange);
    submit(&mut exchange, ticket(5, Side::Buy, 10, "99.00"));
    assert_eq!((exchange.next_order_id(), exchange.next_order_id_of(CLIENT)), (1, 6));
    assert_eq!(submit(&mut exchange, ticket(4, Side::Buy, 10, "99.00")), ["4 103"]);
    let amend = |change: fn(&mut Ticket)| {
        let mut wanted = ticket(5, Side::Buy, 10, "99.00");
        change(&mut wanted);
        Request::Amend(Box::new(wanted))
    };
    assert_eq!(send(&mut exchange, amend(|t| t.order.side = Side::Sell)), ["5 modify 105"]);
    assert_eq!(send(&mut exchange, amend(|t| t.order.limit = price("99.005"))), ["5 modify 110"]);
    assert_eq!(send(&mut exchange, amend(|t| t.order.quantity = Quantity(20))), ["5 now 20"]);
    let said = send(&mut exchange, amend(|t| t.instructions.kind = OrderKind::Market));
    assert_eq!(said, ["5 now 10", "5 x10 @100.01", "5 Filled"]);
    assert_eq!(send(&mut exchange, amend(|_| {})), ["5 modify 104"]);
    exchange.see_number(CLIENT, 40);
    assert_eq!(exchange.next_order_id_of(CLIENT), 41);
}

#[test]
fn an_order_of_the_brokers_screen_has_a_negative_number() {
    let mut exchange = exchange();
    heard(&mut exchange);
    assert_eq!(submit(&mut exchange, ticket(-1, Side::Buy, 10, "99.00")), ["-1 accepted"]);
    assert_eq!(submit(&mut exchange, ticket(-1, Side::Buy, 10, "99.00")), ["-1 103"]);
    assert_eq!(exchange.next_order_id_of(CLIENT), 1);
}

#[test]
fn whole_or_nothing_waits_for_the_size_and_a_good_till_date_ends() {
    let mut exchange = exchange();
    heard(&mut exchange);
    let whole = with(ticket(1, Side::Buy, 150, "100.01"), |i| {
        i.whole_only = true;
        i.good_till = Some(at(0, 12));
    });
    assert_eq!(submit(&mut exchange, whole.clone()), ["1 accepted"]);
    exchange.on_time(at(0, 12));
    assert_eq!(heard(&mut exchange), ["1 Expired"]);
    let late = Ticket { order: NewOrder { client_order_id: 2, ..whole.order.clone() }, ..whole };
    exchange.on_request(Request::SubmitTicket(Box::new(late)), at(0, 13));
    assert_eq!(heard(&mut exchange), ["2 201"]);
}

#[test]
fn a_preview_says_what_the_order_would_do_and_does_nothing() {
    let mut exchange = exchange();
    let before = exchange.take_changes().len();
    let preview = exchange.preview(&ticket(1, Side::Buy, 100, "100.00"), at(0, 10)).unwrap();
    assert_eq!(preview.before.initial, Money::ZERO);
    assert_eq!(preview.after.initial, Money::from_units(5_000));
    assert_eq!(preview.after.maintenance, Money::from_units(2_500));
    assert_eq!(preview.before.equity - preview.after.equity, preview.fee);
    assert!(preview.fee > Money::ZERO);
    assert_eq!((before > 0, exchange.take_changes().len()), (true, 0));
    let refused = exchange.preview(&ticket(1, Side::Buy, 900_000, "100.00"), at(0, 10));
    assert_eq!(refused.unwrap_err().code, 201);
}

#[test]
fn a_correction_replaces_the_execution_and_moves_the_difference() {
    let mut exchange = exchange();
    submit(&mut exchange, ticket(1, Side::Buy, 10, "100.01"));
    let exec_id = exchange.executions(Timestamp::EPOCH)[0].exec_id.clone();
    let cash = exchange.cash()[0].1;
    let corrected = exchange.correct_execution(&exec_id, price("99.01"), at(0, 11)).unwrap();
    assert!(exec_id.ends_with(".01") && corrected.exec_id.ends_with(".02"));
    assert_eq!(exchange.cash()[0].1 - cash, Money::from_units(10));
    assert_eq!(exchange.executions(Timestamp::EPOCH), [corrected]);
    assert_eq!(exchange.correct_execution(&exec_id, price("98.01"), at(0, 11)), None);
    assert_eq!(heard(&mut exchange), ["1 x10 @99.01"]);
}

#[derive(Clone, Debug)]
enum Action {
    Quote(i64, u32),
    Submit { client: i32, side: Side, quantity: i64, cents: i64, kind: u8, link: u8, held: bool },
    Amend { back: i64, quantity: i64, cents: i64 },
    Cancel { back: i64 },
}

fn action() -> impl Strategy<Value = Action> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    prop_oneof![
        3 => (-80..80i64, 1..40u32).prop_map(|(cents, size)| Action::Quote(cents, size)),
        4 => (1..3i32, side, 1..30i64, -80..80i64, 0..4u8, 0..5u8, any::<bool>()).prop_map(
            |(client, side, quantity, cents, kind, link, held)| {
                Action::Submit { client, side, quantity, cents, kind, link, held }
            }
        ),
        1 => (0..5i64, 1..30i64, -80..80i64).prop_map(|(back, quantity, cents)| {
            Action::Amend { back, quantity, cents }
        }),
        1 => (0..5i64).prop_map(|back| Action::Cancel { back }),
    ]
}

fn near(cents: i64) -> Price {
    Price::from_micros((10_000 + cents) * 10_000)
}

fn run(actions: Vec<Action>) -> Exchange {
    let mut exchange = exchange();
    let mut number = 0;
    for action in actions {
        match action {
            Action::Quote(cents, size) => {
                let level = |price| Some(Level { price, size });
                let quote =
                    Quote { bid: level(near(cents)), ask: level(near(cents + 2)), time: at(0, 9) };
                exchange.on_quotes(&[(LINE, quote)], at(0, 11));
            }
            Action::Submit { client, side, quantity, cents, kind, link, held } => {
                number += 1;
                let mut ticket = ticket(number, side, quantity, "1");
                ticket.order.limit = near(cents);
                let trigger = near(cents);
                let group = |rule| Some(OrderGroup { name: "g".to_owned(), rule });
                ticket.instructions = Instructions {
                    client,
                    kind: match kind {
                        0 => OrderKind::Limit,
                        1 => OrderKind::Market,
                        2 => OrderKind::Stop { trigger },
                        _ => OrderKind::StopLimit { trigger },
                    },
                    held,
                    parent: (link < 2).then(|| number - 1 - i64::from(link)),
                    group: match link {
                        2 => group(GroupRule::CancelOthers),
                        3 => group(GroupRule::ReduceOthers),
                        _ => None,
                    },
                    ..Instructions::default()
                };
                exchange.on_request(Request::SubmitTicket(Box::new(ticket)), at(0, 10));
            }
            Action::Amend { back, quantity, cents } => {
                for client in 1..3 {
                    let side = exchange.working(client, number - back).map(|order| order.side);
                    let mut ticket =
                        ticket(number - back, side.unwrap_or(Side::Buy), quantity, "1");
                    ticket.order.limit = near(cents);
                    ticket.instructions.client = client;
                    exchange.on_request(Request::Amend(Box::new(ticket)), at(0, 10));
                }
            }
            Action::Cancel { back } => {
                for client in 1..3 {
                    let client_order_id = number - back;
                    exchange.on_request(Request::CancelFor { client, client_order_id }, at(0, 10));
                }
            }
        }
    }
    exchange
}

/// A parent that filled at its release ended the child that was to be released next.
#[test]
fn a_member_that_ends_while_its_family_is_released_is_left_alone() {
    let submit = |kind, link, cents, held| Action::Submit {
        client: 2,
        side: Side::Buy,
        quantity: 1,
        cents,
        kind,
        link,
        held,
    };
    let family = [submit(1, 2, 0, true), submit(0, 0, 0, true), submit(0, 1, 1, false)];
    let exchange = run(family.into());
    assert!(exchange.open_orders().all(|order| !order.instructions.held));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn linked_orders_restore_as_they_are(actions in prop::collection::vec(action(), 1..60)) {
        let mut exchange = run(actions);
        let lines: Vec<String> = exchange.take_changes().iter().map(to_line).collect();
        let changes = lines.iter().enumerate().map(|(index, line)| from_line(line, index).unwrap());
        let restored = Exchange::restore(ExchangeConfig::default(), changes).unwrap();
        prop_assert_eq!(restored.books(), exchange.books());
    }

    #[test]
    fn what_waits_has_a_reason_and_nothing_fills_beyond_its_size(
        actions in prop::collection::vec(action(), 1..60)
    ) {
        let exchange = run(actions);
        for order in exchange.open_orders() {
            let client = order.instructions.client;
            prop_assert!(order.filled < order.quantity);
            match order.stage {
                Stage::Held => prop_assert!(order.instructions.held),
                Stage::AwaitsParent => {
                    let parent = order.instructions.parent.unwrap();
                    prop_assert!(exchange.working(client, parent).is_some());
                }
                Stage::AwaitsTrigger => {
                    prop_assert!(order.instructions.kind.trigger().is_some());
                    prop_assert!(order.filled.is_zero() || order.priority > 0);
                }
                Stage::Working => prop_assert!(!order.instructions.held),
            }
        }
        for one in exchange.completed_orders() {
            let whole = one.order.as_ref().is_none_or(|order| order.quantity == one.filled);
            prop_assert!(one.end != EndState::Filled || whole);
        }
    }
}
