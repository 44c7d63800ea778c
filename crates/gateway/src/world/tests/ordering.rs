//! Orders as their clients hear of them.

use super::*;
use crate::message::contract::ComboLeg;

#[test]
fn an_order_is_told_to_its_client_alone_and_keeps_its_number_over_sessions() {
    let mut bench = Bench::new();
    let (own, other) = (bench.client(1), bench.client(2));
    let heard = bench.ask(own, &limit(4, SIM, "BUY", 10, 50.0));
    assert_eq!(words(&heard), ["4 Submitted 0/10"]);
    assert_eq!(bench.listen(other), []);
    bench.on(&Input::Closed(own));
    let again = bench.connect(1);
    assert_eq!(words(&bench.listen(again))[0], "next 5");
    let open = bench.ask(again, &Request::OpenOrders(Empty {}));
    assert_eq!(words(&open), ["4 Submitted 0/10"]);
    assert_eq!(words(&bench.ask(again, &limit(3, SIM, "BUY", 1, 50.0))), ["3 error 103"]);
    assert_eq!(words(&bench.ask(other, &Request::OpenOrders(Empty {}))), [""; 0]);
}

#[test]
fn after_it_has_seen_all_orders_a_clients_numbers_go_on_above_them() {
    let mut bench = Bench::new();
    let (own, other) = (bench.client(1), bench.client(2));
    bench.send(own, &limit(40, SIM, "BUY", 10, 50.0));
    let all = bench.ask(other, &Request::AllOpenOrders(Empty {}));
    assert_eq!(words(&all), ["40 Submitted 0/10"]);
    let ids = bench.ask(other, &Request::Ids(IdsRequest { count: 1 }));
    assert_eq!(words(&ids), ["next 41"]);
}

#[test]
fn the_books_survive_the_process_with_numbers_and_permanent_ids() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.send(
        client,
        &place(7, contract(SIM), "BUY", 10, 50.0, |order| {
            order.order_ref = "mine".to_owned();
            order.outside_rth = true;
        }),
    );
    let opened = |heard: Vec<Response>| {
        heard.into_iter().find_map(|response| match response {
            Response::OpenOrder(open) => Some(open),
            _ => None,
        })
    };
    let before = opened(bench.listen(client)).unwrap();
    bench.restart();
    let client = bench.connect(1);
    assert_eq!(words(&bench.listen(client))[0], "next 8");
    let after = opened(bench.ask(client, &Request::OpenOrders(Empty {}))).unwrap();
    assert_eq!(before, after);
    assert!(after.order.perm_id > 0 && after.order.outside_rth);
    assert_eq!(after.order.order_ref, "mine");
}

#[test]
fn the_same_number_modifies_and_what_has_ended_can_not_be_canceled() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.send(client, &limit(1, SIM, "BUY", 10, 50.0));
    bench.listen(client);
    let heard = bench.ask(client, &limit(1, SIM, "BUY", 20, 51.0));
    assert_eq!(words(&heard), ["1 Submitted 0/20"]);
    assert_eq!(words(&bench.ask(client, &limit(1, SIM, "SELL", 20, 51.0))), ["1 error 105"]);
    assert_eq!(words(&bench.ask(client, &cancel(1))), ["1 Cancelled 0/20", "1 error 202"]);
    assert_eq!(words(&bench.ask(client, &cancel(1))), ["1 error 161"]);
    assert_eq!(words(&bench.ask(client, &cancel(99))), ["99 error 10147"]);
    let price = bench.ask_of(SIM);
    let heard = words(&bench.ask(client, &limit(2, SIM, "BUY", 1, price)));
    assert!(heard.contains(&"2 Filled 1/0".to_owned()), "{heard:?}");
    assert_eq!(words(&bench.ask(client, &cancel(2))), ["2 error 10148"]);
    assert_eq!(words(&bench.ask(client, &limit(2, SIM, "BUY", 2, 50.0))), ["2 error 104"]);
}

#[test]
fn a_partial_fill_is_told_with_execution_commission_and_what_is_left() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let price = bench.ask_of(SIM);
    let heard = bench.ask(client, &limit(1, SIM, "BUY", 5_000, price));
    let details = heard.iter().find_map(|response| match response {
        Response::ExecutionDetails(m) => Some(m.execution.clone()),
        _ => None,
    });
    let details = details.unwrap();
    let filled: u32 = details.shares.parse().unwrap();
    assert!(filled > 0 && filled < 5_000);
    assert_eq!(details.cumulative_quantity, details.shares);
    assert!((details.average_price - price).abs() < 1e-9);
    let paid = heard.iter().any(|response| {
        matches!(response, Response::CommissionReport(m)
            if m.exec_id == details.exec_id && m.commission > 0.0 && m.realized_pnl.is_none())
    });
    assert!(paid);
    let status = format!("1 Submitted {filled}/{}", 5_000 - filled);
    assert!(words(&heard).contains(&status), "{:?}", words(&heard));
}

fn bag(legs: [(ConId, &str); 2]) -> Contract {
    let leg = |(con_id, action): (ConId, &str)| ComboLeg {
        con_id: con_id.0.cast_signed(),
        ratio: 1,
        action: action.to_owned(),
        exchange: "SMART".to_owned(),
        ..ComboLeg::default()
    };
    Contract {
        symbol: "SIM".to_owned(),
        sec_type: "BAG".to_owned(),
        exchange: "SMART".to_owned(),
        currency: "USD".to_owned(),
        combo_legs: legs.into_iter().map(leg).collect(),
        ..Contract::default()
    }
}

#[test]
fn a_combo_is_told_as_a_bag_and_then_its_legs_and_only_the_legs_are_held() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let [low, high] = bench.calls();
    let legs = bag([(low, "BUY"), (high, "SELL")]);
    let request = place(1, legs.clone(), "BUY", 2, 5.0, |_| {});
    let heard = words(&bench.ask(client, &request));
    let fills: Vec<&String> =
        heard.iter().filter(|word| word.contains("OPT") || word.contains("BAG")).collect();
    assert_eq!(fills, ["BAG BOT 2", "OPT BOT 2", "OPT SLD 2"], "{heard:?}");
    let positions = bench.ask(client, &Request::Positions(Empty {}));
    let held: Vec<(u32, String)> = positions
        .iter()
        .filter_map(|response| match response {
            Response::Position(m) => Some((m.contract.con_id.cast_unsigned(), m.position.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(held, [(low.0, "2".to_owned()), (high.0, "-2".to_owned())]);
    let nameless = Contract { symbol: String::new(), ..legs };
    let refused = bench.ask(client, &place(2, nameless, "BUY", 1, 5.0, |_| {}));
    assert_eq!(words(&refused), ["2 error 321"]);
}

#[test]
fn a_bracket_goes_out_with_its_last_child_and_its_children_wait() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let held = |order: &mut Order| order.transmit = Some(false);
    assert_eq!(
        words(&bench.ask(client, &place(1, contract(SIM), "BUY", 10, 50.0, held))),
        ["1 PreSubmitted 0/10"]
    );
    bench.ask(
        client,
        &place(2, contract(SIM), "SELL", 10, 200.0, |order| {
            order.parent_id = 1;
            order.transmit = Some(false);
        }),
    );
    let heard = bench.ask(
        client,
        &place(3, contract(SIM), "SELL", 10, 0.0, |order| {
            order.parent_id = 1;
            order.order_type = "STP".to_owned();
            order.aux_price = Some(40.0);
        }),
    );
    let expected = ["3 PreSubmitted 0/10", "1 Submitted 0/10", "2 PreSubmitted 0/10"];
    assert_eq!(words(&heard), expected);
    let heard = words(&bench.ask(client, &cancel(1)));
    for id in 1..=3 {
        assert!(heard.contains(&format!("{id} Cancelled 0/10")), "{heard:?}");
    }
    let orphan = place(9, contract(SIM), "SELL", 10, 200.0, |order| order.parent_id = 8);
    assert_eq!(words(&bench.ask(client, &orphan)), ["9 error 10006"]);
}

#[test]
fn a_what_if_is_answered_and_uses_no_number() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let heard = bench
        .ask(client, &place(1, contract(SIM), "BUY", 100, 100.0, |order| order.what_if = true));
    let [Response::OpenOrder(open)] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(open.state.init_margin_change > Some(0.0) && open.state.commission > Some(0.0));
    assert_eq!(bench.world.status(bench.now).working_orders, 0);
    assert_eq!(words(&bench.ask(client, &limit(1, SIM, "BUY", 1, 50.0))), ["1 Submitted 0/1"]);
}

#[test]
fn what_is_not_simulated_is_refused_with_a_code() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    type Change = fn(&mut Order);
    let table: [(i32, Change); 7] = [
        (387, |order| order.order_type = "TRAIL".to_owned()),
        (387, |order| order.conditions = vec![Condition { kind: 1 }]),
        (321, |order| order.action = "HOLD".to_owned()),
        (321, |order| order.total_quantity = "1.5".to_owned()),
        (321, |order| order.limit_price = None),
        (321, |order| order.account = "DU2".to_owned()),
        (110, |order| order.limit_price = Some(50.001)),
    ];
    for (number, (code, change)) in (1..).zip(table) {
        let request = place(number, contract(SIM), "BUY", 1, 50.0, change);
        assert_eq!(codes(&bench.ask(client, &request)), [code]);
    }
}

#[test]
fn completed_orders_and_executions_are_told_on_request_to_every_client() {
    let mut bench = Bench::new();
    let (own, other) = (bench.client(1), bench.client(2));
    let price = bench.ask_of(SIM);
    bench.send(own, &limit(1, SIM, "BUY", 1, price));
    bench.send(own, &limit(2, SIM, "BUY", 1, 50.0));
    bench.send(own, &cancel(2));
    let request = Request::CompletedOrders(CompletedOrdersRequest { api_only: false });
    let done: Vec<(String, String)> = bench
        .ask(other, &request)
        .into_iter()
        .filter_map(|response| match response {
            Response::CompletedOrder(m) => Some((m.state.status.clone(), m.order.total_quantity)),
            _ => None,
        })
        .collect();
    // As IB tells it: the quantity of a completed order is what was left of it.
    let expected = [("Filled", "0"), ("Cancelled", "1")];
    assert_eq!(done, expected.map(|(status, left)| (status.to_owned(), left.to_owned())));
    let filter = ExecutionFilter { side: "BUY".to_owned(), ..ExecutionFilter::default() };
    let request = Request::Executions(ExecutionsRequest { req_id: 8, filter: Some(filter) });
    assert_eq!(words(&bench.ask(other, &request)), ["STK BOT 1"]);
    let filter = ExecutionFilter { client_id: 2, ..ExecutionFilter::default() };
    let request = Request::Executions(ExecutionsRequest { req_id: 8, filter: Some(filter) });
    assert_eq!(words(&bench.ask(other, &request)), [""; 0]);
}
