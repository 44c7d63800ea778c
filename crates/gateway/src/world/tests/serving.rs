//! What an IB developer relies on without asking: each test is a story of what went wrong before.

use super::*;
use crate::control::{Action, Direction, Rule};
use crate::message::account::{AccountSummaryRequest, PnlRequest};
use crate::message::data::HistoricalTicksRequest;

fn executions(req_id: i32) -> Request {
    Request::Executions(ExecutionsRequest { req_id, filter: None })
}

fn line(req_id: i32) -> Request {
    let request = MarketDataRequest { req_id, contract: contract(SIM), ..Default::default() };
    Request::MarketData(Box::new(request))
}

fn positions(heard: &[Response]) -> Vec<String> {
    let of = |response: &Response| match response {
        Response::Position(m) => Some(m.position.clone()),
        _ => None,
    };
    heard.iter().filter_map(of).collect()
}

fn realised(heard: &[Response]) -> Vec<Option<f64>> {
    let of = |response: &Response| match response {
        Response::CommissionReport(m) => Some(m.realized_pnl),
        _ => None,
    };
    heard.iter().filter_map(of).collect()
}

#[test]
fn a_position_that_was_closed_was_never_told_as_closed() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.send(client, &Request::Positions(Empty {}));
    assert_eq!(positions(&bench.listen(client)), [""; 0]);
    let market = |order: &mut Order| order.order_type = "MKT".to_owned();
    bench.send(client, &place(1, contract(SIM), "BUY", 1, 0.0, market));
    assert_eq!(positions(&bench.listen(client)), ["1"]);
    bench.send(client, &place(2, contract(SIM), "SELL", 1, 0.0, market));
    assert_eq!(positions(&bench.listen(client)), ["0"]);
    assert_eq!(positions(&bench.ask(client, &Request::Positions(Empty {}))), [""; 0]);
}

#[test]
fn a_closing_execution_told_no_realised_profit() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let (ask, fees) = (bench.ask_of(SIM), |heard: &[Response]| {
        heard.iter().find_map(|response| match response {
            Response::CommissionReport(m) => Some(m.commission),
            _ => None,
        })
    });
    let market = |order: &mut Order| order.order_type = "MKT".to_owned();
    let opened = bench.ask(client, &place(1, contract(SIM), "BUY", 1, 0.0, market));
    assert_eq!(realised(&opened), [None]);
    let bid = bench.world.exchange().quote(SIM).unwrap().bid.unwrap().price.to_f64();
    let closed = bench.ask(client, &place(2, contract(SIM), "SELL", 1, 0.0, market));
    let expected = bid - ask - fees(&closed).unwrap();
    let told = realised(&closed)[0].unwrap();
    assert!((told - expected).abs() < 1e-6, "{told} for {expected}");
    let again = realised(&bench.ask(client, &executions(7)));
    assert_eq!(again, [None, Some(told)]);
}

#[test]
fn executions_asked_for_later_told_the_orders_total_as_of_now() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let price = bench.ask_of(SIM);
    bench.send(client, &limit(1, SIM, "BUY", 10_000, price + 1.0));
    bench.pass(60_000);
    let cumulative = |heard: Vec<Response>| {
        let of = |response| match response {
            Response::ExecutionDetails(m) => Some((
                m.execution.shares.parse::<i64>().unwrap(),
                m.execution.cumulative_quantity.parse::<i64>().unwrap(),
            )),
            _ => None,
        };
        heard.into_iter().filter_map(of).collect::<Vec<(i64, i64)>>()
    };
    let live = cumulative(bench.listen(client));
    let later = cumulative(bench.ask(client, &executions(1)));
    assert!(live.len() > 2, "{live:?}");
    assert_eq!(live, later);
    let mut sum = 0;
    for (shares, total) in later {
        sum += shares;
        assert_eq!(total, sum);
    }
}

#[test]
fn what_happened_during_an_outage_could_be_asked_for_before_it_was_over() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let price = bench.ask_of(SIM);
    bench.send(client, &limit(1, SIM, "BUY", 10_000, price + 1.0));
    bench.send(client, &limit(2, SIM, "BUY", 1, 10.0));
    bench.listen(client);
    let done = Request::CompletedOrders(CompletedOrdersRequest { api_only: false });
    let known = |bench: &mut Bench| {
        let executed = words(&bench.ask(client, &executions(1))).len();
        let open = words(&bench.ask(client, &Request::OpenOrders(Empty {})));
        let held = positions(&bench.ask(client, &Request::Positions(Empty {})));
        (executed, open, held, bench.ask(client, &done).len())
    };
    let before = known(&mut bench);
    bench.command(&Command::Notice { code: 1100 });
    bench.pass(60_000);
    bench.listen(client);
    assert_eq!(known(&mut bench), before);
    bench.command(&Command::Notice { code: 1102 });
    bench.listen(client);
    let after = known(&mut bench);
    assert!(after.0 > before.0 && after.1 != before.1 && after.2 != before.2, "{after:?}");
}

#[test]
fn a_line_opened_on_a_broken_farm_told_a_fresh_quote() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let ticks = |heard: Vec<Response>| {
        heard.iter().filter(|one| matches!(one, Response::TickPrice(_))).count()
    };
    bench.command(&Command::Notice { code: 2103 });
    bench.listen(client);
    assert_eq!(ticks(bench.ask(client, &line(1))), 0);
    bench.command(&Command::Notice { code: 2104 });
    bench.pass(60_000);
    assert!(ticks(bench.listen(client)) > 0);
    let ask = Request::HistoricalTicks(Box::new(HistoricalTicksRequest {
        req_id: 2,
        contract: contract(SIM),
        end: "20991231 00:00:00".to_owned(),
        ticks: 10,
        what: "MIDPOINT".to_owned(),
        ..HistoricalTicksRequest::default()
    }));
    assert_eq!(codes(&bench.ask(client, &ask)), [0; 0]);
    bench.command(&Command::Notice { code: 2105 });
    bench.listen(client);
    assert_eq!(codes(&bench.ask(client, &ask)), [162]);
}

#[test]
fn every_client_had_a_hundred_lines_of_its_own() {
    let mut bench = Bench::new();
    let (first, second) = (bench.client(1), bench.client(2));
    for id in 0..100 {
        bench.now.process = ProcessTime::from_nanos(bench.now.process.nanos() + 50_000_000);
        bench.send(first, &line(id));
    }
    assert_eq!(codes(&bench.ask(second, &line(1))), [101]);
    bench.on(&Input::Closed(first));
    assert_eq!(codes(&bench.ask(second, &line(1))), [0; 0]);
}

#[test]
fn a_global_cancel_told_errors_of_children_that_their_parent_had_taken_along() {
    let mut bench = Bench::new();
    let (first, client) = (bench.client(1), bench.client(2));
    bench.send(first, &limit(1, SIM, "BUY", 1, 40.0));
    bench.send(client, &place(1, contract(SIM), "BUY", 10, 50.0, |o| o.transmit = Some(false)));
    bench.send(client, &place(2, contract(SIM), "SELL", 10, 200.0, |o| o.parent_id = 1));
    bench.listen(client);
    let heard = bench.ask(client, &Request::OpenOrders(Empty {}));
    let why: Vec<&str> = heard
        .iter()
        .filter_map(|response| match response {
            Response::OrderStatus(m) => Some(m.why_held.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(why, ["", "child"]);
    let heard = bench.ask(client, &Request::GlobalCancel(GlobalCancelRequest::default()));
    assert_eq!(codes(&heard), [202, 202]);
    // Orders of other clients too, who hear of it.
    assert_eq!(codes(&bench.listen(first)), [202]);
    assert_eq!(bench.world.status(bench.now).working_orders, 0);
}

#[test]
fn a_client_could_place_an_order_under_a_number_of_the_brokers_screen() {
    let mut bench = Bench::new();
    let client = bench.client(3);
    for id in [0, -1, -7] {
        let heard = bench.ask(client, &limit(id, SIM, "BUY", 1, 50.0));
        assert_eq!(words(&heard), [format!("{id} error 321")]);
    }
    assert_eq!(bench.world.status(bench.now).working_orders, 0);
    let first = bench.client(0);
    let manual =
        Command::Manual { con_id: SIM.0, action: "BUY".to_owned(), quantity: 5, limit: Some(50.0) };
    bench.command(&manual);
    let bind = Request::AutoOpenOrders(AutoOpenOrdersRequest { auto_bind: true });
    assert_eq!(words(&bench.ask(first, &bind)), ["bound -1"]);
    let heard = bench.ask(first, &limit(-1, SIM, "BUY", 6, 51.0));
    assert_eq!(words(&heard), ["-1 Submitted 0/6"]);
}

#[test]
fn another_accounts_name_was_served_as_if_it_were_the_own() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let profit = |account: &str| {
        let (account, model_code) = (account.to_owned(), String::new());
        Request::Pnl(PnlRequest { req_id: 5, account, model_code })
    };
    assert_eq!(words(&bench.ask(client, &profit("DU999"))), ["5 error 321"]);
    bench.send(client, &profit("DU1"));
    bench.pass(1_000);
    let heard = bench.listen(client);
    assert!(heard.iter().any(|one| matches!(one, Response::Pnl(_))), "{heard:?}");
    let (group, tags) = ("All".to_owned(), "NetLiquidation".to_owned());
    let summary = Request::AccountSummary(AccountSummaryRequest { req_id: 6, group, tags });
    assert_eq!(bench.ask(client, &summary).len(), 2);
}

#[test]
fn an_order_for_later_went_out_at_once() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let later = |order: &mut Order| order.good_after_time = "20270101 10:00:00 UTC".to_owned();
    let least = |order: &mut Order| order.min_quantity = Some(5);
    let heard = bench.ask(client, &place(1, contract(SIM), "BUY", 10, 50.0, later));
    assert_eq!(words(&heard), ["1 error 387"]);
    let heard = bench.ask(client, &place(1, contract(SIM), "BUY", 10, 50.0, least));
    assert_eq!(words(&heard), ["1 error 387"]);
}

#[test]
fn a_misspelt_fault_waited_for_ever_and_a_lifted_delay_was_a_loss() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let rule = |message: &str, direction, action, count| {
        Command::Fault(Rule {
            client: Some(1),
            message: Some(message.to_owned()),
            direction,
            action,
            count,
        })
    };
    let (responses, requests) = (Direction::Responses, Direction::Requests);
    let refused = [
        (rule("orderStatus", responses, Action::Drop, 1), "OrderStatus"),
        (rule("PlaceOrder", responses, Action::Drop, 1), "direction `requests`"),
        (rule("PlaceOrder", requests, Action::Duplicate, 1), "only be dropped"),
        (rule("OrderStatus", responses, Action::Drop, 0), "0 times"),
    ];
    for (command, reason) in refused {
        let Answer::Refused(text) = bench.command(&command) else { panic!("{command:?}") };
        assert!(text.contains(reason), "{text}");
    }
    let late = Action::Delay { milliseconds: 60_000 };
    bench.command(&rule("OrderStatus", responses, late, 1));
    bench.send(client, &limit(1, SIM, "BUY", 1, 50.0));
    assert_eq!(words(&bench.listen(client)), [""; 0]);
    bench.command(&Command::Clear);
    assert_eq!(words(&bench.listen(client)), ["1 Submitted 0/1"]);
}

#[test]
fn the_average_price_stayed_as_it_was_before_a_correction() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let price = bench.ask_of(SIM);
    let filled = bench.ask(client, &limit(1, SIM, "BUY", 1, price));
    let execution = filled.iter().find_map(|response| match response {
        Response::ExecutionDetails(m) => Some(m.execution.clone()),
        _ => None,
    });
    let exec_id = execution.unwrap().exec_id;
    bench.command(&Command::Correct { exec_id, price: price - 1.0 });
    let told = bench.listen(client).into_iter().find_map(|response| match response {
        Response::ExecutionDetails(m) => Some(m.execution.average_price),
        _ => None,
    });
    assert!((told.unwrap() - (price - 1.0)).abs() < 1e-9, "{told:?}");
}
