//! Faults on demand, the broker's own screen, corrections.

use super::*;
use crate::control::{Action, Direction, Rule};
use crate::world::DailyRestart;
use crate::world::restart::Restarts;

fn fault(message: &str, action: Action, count: u32) -> Command {
    Command::Fault(Rule {
        client: Some(1),
        message: Some(message.to_owned()),
        direction: Direction::Responses,
        action,
        count,
    })
}

#[test]
fn messages_are_dropped_doubled_delayed_and_reordered_on_demand() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let mut number = 0;
    let mut heard = |bench: &mut Bench, action| {
        number += 1;
        bench.command(&fault("OrderStatus", action, 1));
        let request = limit(number, SIM, "BUY", 1, 50.0);
        let heard = bench.ask(client, &request);
        heard.iter().map(Response::name).collect::<Vec<_>>()
    };
    let (open, status) = ("OpenOrder", "OrderStatus");
    assert_eq!(heard(&mut bench, Action::Drop), [open]);
    assert_eq!(heard(&mut bench, Action::Duplicate), [open, status, status]);
    assert_eq!(heard(&mut bench, Action::Delay { milliseconds: 500 }), [open]);
    bench.pass(499);
    assert_eq!(bench.listen(client), []);
    bench.pass(1);
    assert_eq!(words(&bench.listen(client)), ["3 Submitted 0/1"]);
    bench.command(&fault("OpenOrder", Action::Reorder, 1));
    let names: Vec<&str> =
        bench.ask(client, &limit(9, SIM, "BUY", 1, 50.0)).iter().map(Response::name).collect();
    assert_eq!(names, [status, open]);
}

#[test]
fn a_restart_closes_every_client_and_lets_none_in_while_orders_work() {
    let mut bench = Bench::new();
    let (first, second) = (bench.client(1), bench.client(2));
    bench.send(first, &limit(1, SIM, "BUY", 1, 50.0));
    bench.listen(first);
    let answer = bench.command(&Command::Restart { milliseconds: 60_000 });
    let Answer::Done(status) = answer else { panic!("{answer:?}") };
    assert!(status.restarting && status.clients.is_empty() && status.working_orders == 1);
    assert_eq!(std::mem::take(&mut bench.closed), [first, second]);
    let early = bench.connect(1);
    assert_eq!((bench.listen(early), std::mem::take(&mut bench.closed)), (vec![], vec![early]));
    bench.pass(59_999);
    let early = bench.connect(1);
    assert_eq!(std::mem::take(&mut bench.closed), [early]);
    bench.pass(1);
    let back = bench.connect(1);
    assert_eq!(words(&bench.listen(back))[0], "next 2");
    let open = bench.ask(back, &Request::OpenOrders(Empty::default()));
    assert!(words(&open)[0].starts_with("1 "), "{:?}", words(&open));
}

#[test]
fn the_daily_restart_comes_at_its_time_once_and_can_be_lifted() {
    let mut bench = Bench::new();
    // The bench begins on 20 November 2026 at 10:30 UTC, which is 5:30 in New York.
    let (at, lasts) = (Duration::from_secs(5 * 3_600 + 31 * 60), Duration::from_secs(10));
    bench.world.settings.daily_restart = Some(DailyRestart { at, lasts });
    let client = bench.client(1);
    bench.pass(59_999);
    assert!(bench.closed.is_empty());
    bench.pass(1);
    assert_eq!(std::mem::take(&mut bench.closed), [client]);
    bench.pass(10_000);
    bench.client(1);
    bench.pass(60_000);
    assert!(bench.closed.is_empty(), "the next one is tomorrow");
    bench.command(&Command::Restart { milliseconds: 60_000 });
    let refused = bench.command(&Command::Restart { milliseconds: 86_400_001 });
    assert!(matches!(refused, Answer::Refused(_)));
    bench.closed.clear();
    bench.command(&Command::Clear);
    let client = bench.client(1);
    assert!(bench.closed.is_empty());
    // A jump of the clock passes over a whole restart: its clients were closed all the same.
    bench.world.settings.daily_restart =
        Some(DailyRestart { at: at + Duration::from_secs(300), lasts });
    bench.world.restarts = Restarts::default();
    bench.pass(1);
    bench.pass(600_000);
    assert_eq!(std::mem::take(&mut bench.closed), [client]);
    bench.client(1);
    assert!(bench.closed.is_empty());
    assert!(bench.log.iter().any(|line| line.contains("restarts, which takes 10 s")));
}

#[test]
fn a_swallowed_order_never_arrives_and_its_number_is_told_again() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let rule = Rule {
        client: Some(1),
        message: Some("PlaceOrder".to_owned()),
        direction: Direction::Requests,
        action: Action::Drop,
        count: 1,
    };
    bench.command(&Command::Fault(rule));
    assert_eq!(bench.ask(client, &limit(1, SIM, "BUY", 1, 50.0)), []);
    bench.on(&Input::Closed(client));
    let again = bench.connect(1);
    assert_eq!(words(&bench.listen(again))[0], "next 1");
    bench.command(&Command::NextValidId { client: 1, value: -3 });
    let ids = Request::Ids(IdsRequest { count: 1 });
    assert_eq!(words(&bench.ask(again, &ids)), ["next -3"]);
    assert_eq!(words(&bench.ask(again, &ids)), ["next 1"]);
}

#[test]
fn fills_during_an_outage_are_only_told_when_they_are_asked_for() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let price = bench.ask_of(SIM);
    bench.send(client, &limit(1, SIM, "BUY", 10_000, price + 1.0));
    bench.listen(client);
    bench.command(&Command::Notice { code: 1100 });
    bench.pass(60_000);
    assert_eq!(words(&bench.listen(client)), ["-1 error 1100"]);
    let executions = bench.world.status(bench.now).executions;
    assert!(executions > 2, "{executions}");
    assert_eq!(bench.ask(client, &limit(2, SIM, "BUY", 1, 50.0)), []);
    bench.command(&Command::Notice { code: 1102 });
    assert_eq!(codes(&bench.listen(client)), [1102]);
    let request = Request::Executions(ExecutionsRequest { req_id: 1, filter: None });
    let told = words(&bench.ask(client, &request)).len();
    assert_eq!(told, bench.world.status(bench.now).executions);
    assert_eq!(words(&bench.ask(client, &limit(2, SIM, "BUY", 1, 50.0))), ["2 Submitted 0/1"]);
}

#[test]
fn a_broken_farm_stops_the_lines_and_data_lost_closes_them() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let request = MarketDataRequest { req_id: 9, contract: contract(SIM), ..Default::default() };
    bench.send(client, &Request::MarketData(Box::new(request)));
    bench.command(&Command::Notice { code: 2103 });
    bench.listen(client);
    bench.pass(60_000);
    assert_eq!(bench.listen(client), []);
    bench.command(&Command::Notice { code: 2104 });
    bench.pass(60_000);
    assert!(!bench.listen(client).is_empty());
    bench.command(&Command::Notice { code: 10197 });
    assert_eq!(words(&bench.listen(client)), ["9 error 10197"]);
    bench.command(&Command::Notice { code: 1101 });
    assert_eq!(bench.world.status(bench.now).lines, 0);
    assert!(matches!(bench.command(&Command::Notice { code: 7 }), Answer::Refused(_)));
}

#[test]
fn a_half_open_connection_hears_nothing_and_its_client_id_is_free() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.command(&Command::HalfOpen { client: Some(1) });
    assert_eq!(bench.ask(client, &limit(1, SIM, "BUY", 1, 50.0)), []);
    bench.command(&Command::RefuseClient { client: 1 });
    let refused = bench.connect(1);
    assert_eq!(codes(&bench.listen(refused)), [326]);
    let again = bench.connect(1);
    assert_eq!(words(&bench.listen(again))[0], "next 1");
    bench.command(&Command::Close { client: Some(1) });
    assert!(bench.closed.contains(&again));
}

#[test]
fn a_manual_order_has_no_number_until_the_first_client_binds_it() {
    let mut bench = Bench::new();
    let (first, other) = (bench.client(0), bench.client(3));
    let manual =
        Command::Manual { con_id: SIM.0, action: "BUY".to_owned(), quantity: 5, limit: Some(50.0) };
    assert!(matches!(bench.command(&manual), Answer::Done(_)));
    assert_eq!(bench.listen(first), []);
    let all = bench.ask(other, &Request::AllOpenOrders(Empty {}));
    assert_eq!(words(&all), ["0 Submitted 0/5"]);
    let bind = Request::AutoOpenOrders(AutoOpenOrdersRequest { auto_bind: true });
    assert_eq!(words(&bench.ask(first, &bind)), ["bound -1"]);
    assert_eq!(codes(&bench.ask(other, &bind)), [321]);
    let canceled = words(&bench.ask(first, &cancel(-1)));
    assert_eq!(canceled, ["-1 Cancelled 0/5", "-1 error 202"]);
}

#[test]
fn a_correction_comes_under_the_next_revision_of_the_execution() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    let price = bench.ask_of(SIM);
    let execution = |heard: &[Response]| {
        heard.iter().find_map(|response| match response {
            Response::ExecutionDetails(m) => Some(m.execution.clone()),
            _ => None,
        })
    };
    let filled = execution(&bench.ask(client, &limit(1, SIM, "BUY", 1, price))).unwrap();
    let correct = Command::Correct { exec_id: filled.exec_id.clone(), price: price - 1.0 };
    assert!(matches!(bench.command(&correct), Answer::Done(_)));
    let corrected = execution(&bench.listen(client)).unwrap();
    assert_eq!(corrected.exec_id, filled.exec_id.replace(".01.01", ".01.02"));
    assert!((corrected.price - (price - 1.0)).abs() < 1e-9);
    assert!(matches!(bench.command(&correct), Answer::Refused(_)));
}

#[test]
fn a_corrupt_frame_keeps_its_length() {
    let mut bench = Bench::new();
    let client = bench.client(1);
    bench.command(&fault("NextValidId", Action::Corrupt, 1));
    let ids = Request::Ids(IdsRequest { count: 1 });
    assert_ne!(words(&bench.ask(client, &ids)), ["next 1"]);
    assert_eq!(words(&bench.ask(client, &ids)), ["next 1"]);
}

#[test]
fn commands_are_read_from_lines_and_unknown_words_are_refused() {
    let read = |line: &str| serde_json::from_str::<Command>(line);
    let line = r#"{"do":"fault","client":1,"action":{"delay":{"milliseconds":5}}}"#;
    assert!(matches!(read(line), Ok(Command::Fault(Rule { count: 1, .. }))));
    assert!(matches!(read(r#"{"do":"notice","code":1100}"#), Ok(Command::Notice { code: 1100 })));
    assert!(matches!(read(r#"{"do":"close"}"#), Ok(Command::Close { client: None })));
    assert!(read(r#"{"do":"notice","codes":1100}"#).is_err());
    assert!(read(r#"{"do":"fly"}"#).is_err());
}
