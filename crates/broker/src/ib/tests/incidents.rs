//! What broke other systems (peers of ours and their users' reports), each under its name.

use super::*;
use std::sync::Mutex;
use trading::report::Fill;

/// Longer than a connection takes; who waits as it must is not seen within it.
const TOO_EARLY: Duration = Duration::from_secs(1);

fn fill(report: &Report) -> Option<Fill> {
    match report {
        Report::Execution(fill) => Some(fill.clone()),
        _ => None,
    }
}

#[track_caller]
fn disconnected(node: &Node) -> String {
    node.until(|event| match event {
        BrokerEvent::Disconnected { reason } => Some(reason),
        _ => None,
    })
}

/// Protected by: `Tracker` tells each execution once, whatever the wire does with it.
#[test]
fn duplicated_and_reordered_executions_are_told_once() {
    let venue = Venue::start();
    let node = Node::of(&venue);
    venue.advance(1_000);
    venue.tell(r#"{"do":"fault","message":"ExecutionDetails","action":"duplicate","count":50}"#);
    venue.tell(r#"{"do":"fault","message":"CommissionReport","action":"duplicate","count":50}"#);
    venue.tell(r#"{"do":"fault","message":"OrderStatus","action":"reorder","count":3}"#);
    node.place(&order(10, Contract::Single(SIM), Side::Buy, 5, "500"));
    let first = node.report(fill);
    let mut reports = node.reports();
    reports.push(Report::Execution(first));
    let fills: Vec<_> = reports.iter().filter_map(fill).collect();
    assert_eq!(fills.iter().map(|fill| fill.quantity.0).sum::<i64>(), 5);
    let fees = reports.iter().filter(|one| matches!(one, Report::Fee { .. })).count();
    assert_eq!(fees, fills.len());
}

/// Protected by: an answer's repetition on the live stream is no report, so that a reconciliation
/// doesn't disturb itself for ever.
#[test]
fn a_question_does_not_stir_the_live_stream() {
    let venue = Venue::start();
    let mut node = Node::of(&venue);
    venue.advance(1_000);
    node.place(&order(10, Contract::Single(SIM), Side::Buy, 5, "500"));
    node.place(&order(11, Contract::Single(SIM), Side::Buy, 5, "1"));
    let _ = node.report(acknowledged(11));
    // A connection that has told nothing yet may tell everything once.
    let _ = node.connect();
    for question in Question::all(None) {
        let _ = node.ask(question);
    }
    let _ = node.reports();
    for question in Question::all(None) {
        node.try_ask(question).expect("asked");
        node.until(|event| match event {
            BrokerEvent::Answer { .. } => Some(()),
            BrokerEvent::Report(report) => panic!("{question:?} was echoed as {report:?}"),
            _ => None,
        });
    }
    assert_eq!(node.reports(), []);
}

/// Protected by: a heartbeat with a deadline; the socket itself never says a word.
#[test]
fn a_half_open_socket_is_found() {
    let venue = Venue::start();
    let mut gateway = venue.gateway();
    gateway.settings.heartbeat = Duration::from_millis(50);
    gateway.settings.heartbeat_deadline = Duration::from_millis(200);
    let mut node = Node::new(gateway);
    let _ = node.connect();
    venue.tell(r#"{"do":"half_open"}"#);
    let reason = disconnected(&node);
    assert!(reason.contains("heartbeat"), "{reason}");
}

/// Protected by: 326 ends the attempt, and the link's backoff makes the next.
#[test]
fn a_client_id_in_use_is_tried_again() {
    let venue = Venue::start();
    let mut node = Node::new(venue.gateway());
    venue.tell(r#"{"do":"refuse_client","client":0}"#);
    match node.begin() {
        BrokerEvent::Disconnected { reason } => assert!(reason.contains("326"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let _ = node.connect();
}

/// Protected by: the next connection waits for the thread of the last, which holds the client id
/// until its end. Here that one is busy with what it was told, so who comes too early meets it.
#[test]
fn a_session_that_restarts_does_not_meet_its_own_client_id() {
    let venue = Venue::start();
    let mut port = Node::new(venue.gateway()).port;
    // Ended first, or replaced as it stands.
    for (number, ends_first) in [(1, true), (3, false)] {
        let (release, held) = channel::<()>();
        let (tell, told) = channel();
        let held = Mutex::new(held);
        let busy = move |event| {
            let _ = tell.send(event);
            let _ = held.lock().unwrap().recv();
        };
        port.connect(number, Box::new(busy));
        let first = told.recv_timeout(PATIENCE);
        assert!(matches!(first, Ok(BrokerEvent::Connected { .. })), "{first:?}");
        if ends_first {
            port.disconnect();
        }
        let (tell, told) = channel();
        port.connect(number + 1, Box::new(move |event| drop(tell.send(event))));
        let early = told.recv_timeout(TOO_EARLY);
        assert!(early.is_err(), "before the last has let go: {early:?}");
        drop(release);
        let next = told.recv_timeout(PATIENCE);
        assert!(matches!(next, Ok(BrokerEvent::Connected { .. })), "{next:?}");
    }
}

/// Protected by: a part of an answer is none. The reconciler's deadline asks again.
#[test]
fn an_answer_without_its_end_is_no_answer() {
    let venue = Venue::start();
    let mut gateway = venue.gateway();
    gateway.settings.answer_deadline = Duration::from_millis(300);
    let mut node = Node::new(gateway);
    let _ = node.connect();
    venue.tell(r#"{"do":"fault","message":"OpenOrdersEnd","action":"drop"}"#);
    node.try_ask(Question::OpenOrders).expect("asked");
    node.try_ask(Question::CompletedOrders).expect("asked");
    let answer = node.until(|event| match event {
        BrokerEvent::Answer { answer, .. } => Some(answer),
        _ => None,
    });
    assert_eq!(answer, Answer::CompletedOrders(Vec::new()));
}

/// Protected by: 10148 is a cancel that was rejected, not an order that was.
#[test]
fn a_cancel_that_crosses_a_fill_rejects_the_cancel_alone() {
    let venue = Venue::start();
    let mut node = Node::of(&venue);
    venue.advance(1_000);
    node.place(&order(10, Contract::Single(SIM), Side::Buy, 1, "500"));
    node.port.cancel(OrderId(10)).expect("written");
    let (mut filled, mut late) = (false, false);
    let mut reports = Vec::new();
    node.until(|event| {
        if let BrokerEvent::Report(report) = event {
            reports.push(report);
        }
        let late = |one: &Report| matches!(one, Report::CancelRejected { .. });
        reports.iter().any(late).then_some(())
    });
    reports.extend(node.reports());
    for report in &reports {
        match report {
            Report::Execution(_) => filled = true,
            Report::CancelRejected { order_id: OrderId(10), code: 10148 } => late = true,
            Report::Rejected { .. } => panic!("the order was not rejected: {reports:?}"),
            _ => {}
        }
    }
    assert!(filled && late, "{reports:?}");
}

/// Protected by: lines are asked for as live ones, so that without a subscription the broker
/// refuses (354) instead of showing old prices. What a line says of itself: beside `data_type`.
#[test]
fn delayed_data_is_never_taken_for_live() {
    let venue = Venue::start();
    venue.advance(1_000);
    venue.tell(r#"{"do":"entitle","live":false}"#);
    let mut port = data_port(venue.gateway());
    let heard = Arc::new(Heard::default());
    let sink = Arc::clone(&heard) as Arc<dyn DataSink>;
    crate::port::DataPort::subscribe(&mut port, "SIM", &[SIM], sink);
    heard.wait("a word about the line", |said| said.last_type(0).is_some());
    venue.advance(5_000);
    let said = heard.said.lock().unwrap();
    assert!(said.types.iter().all(|(_, data)| *data != DataType::Live), "{:?}", said.types);
    assert_eq!(said.quotes.len(), 0);
}

/// Protected by: `DataLost` freezes every line at once; a line that stands still is not calm.
#[test]
fn a_farm_break_freezes_the_lines() {
    lines_freeze_between(2103, 2104);
}

/// Protected by: a line that the broker ends is frozen, and is asked for again when data is back.
#[test]
fn a_competing_session_freezes_the_lines() {
    lines_freeze_between(10197, 2104);
}

fn lines_freeze_between(lost: i32, back: i32) {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut port = data_port(venue.gateway());
    let heard = Arc::new(Heard::default());
    let sink = Arc::clone(&heard) as Arc<dyn DataSink>;
    crate::port::DataPort::subscribe(&mut port, "SIM", &[SIM], sink);
    heard.wait("a live line", |said| said.last_type(0) == Some(DataType::Live));
    venue.tell(&format!(r#"{{"do":"notice","code":{lost}}}"#));
    heard.wait("a frozen line", |said| said.last_type(0) == Some(DataType::Frozen));
    venue.tell(&format!(r#"{{"do":"notice","code":{back}}}"#));
    heard.wait("a live line again", |said| said.last_type(0) == Some(DataType::Live));
}

/// A broker that came back without its lines was sent the end of every line in one breath, answered
/// 100 fifty times and closed the socket. Protected by: a line's end waits for its token, too.
#[test]
fn lines_that_are_all_opened_anew_stay_under_the_limit() {
    const LINES: usize = 100;
    let wanted: Vec<ConId> = listed().iter().map(|one| one.con_id).take(LINES).collect();
    assert_eq!(wanted.len(), LINES);
    // More than the port is told to write, for a machine that is slow to read it.
    let limits = Settings { lines_max: LINES, messages_per_second: 150, ..Settings::new(ACCOUNT) };
    let venue = Venue::of(limits);
    venue.advance(1_000);
    let mut settings = venue.gateway().settings;
    (settings.lines_max, settings.messages_per_second) = (LINES, 100);
    let mut port = data_port(Gateway::new(settings));
    let heard = Arc::new(Heard::default());
    let sink = Arc::clone(&heard) as Arc<dyn DataSink>;
    crate::port::DataPort::subscribe(&mut port, "SIM", &wanted, sink);
    let all_live =
        |said: &Said| (0..LINES as u32).all(|line| said.last_type(line) == Some(DataType::Live));
    heard.wait("live lines", all_live);
    venue.tell(r#"{"do":"notice","code":1100}"#);
    heard.wait("frozen lines", |said| said.last_type(0) == Some(DataType::Frozen));
    let status = venue.tell(r#"{"do":"notice","code":1101}"#);
    assert!(status.contains(r#""too_fast":0"#), "{status}");
    heard.wait("live lines again", all_live);
    let status = venue.tell(r#"{"do":"status"}"#);
    assert!(status.contains(r#""too_fast":0"#), "messages came too fast: {status}");
    assert!(status.contains(&format!(r#""lines":{LINES}"#)), "{status}");
}

/// Protected by: a line that says nothing within the deadline is opened anew.
#[test]
fn a_line_whose_request_was_lost_is_asked_for_again() {
    let venue = Venue::start();
    venue.advance(1_000);
    venue.tell(r#"{"do":"fault","message":"MarketData","action":"drop","direction":"requests"}"#);
    let mut gateway = venue.gateway();
    gateway.settings.answer_deadline = Duration::from_millis(300);
    gateway.settings.heartbeat = Duration::from_millis(200);
    let mut port = data_port(gateway);
    let heard = Arc::new(Heard::default());
    let sink = Arc::clone(&heard) as Arc<dyn DataSink>;
    crate::port::DataPort::subscribe(&mut port, "SIM", &[SIM], sink);
    heard.wait("a live line", |said| said.last_type(0) == Some(DataType::Live));
}

/// Protected by: a deadline on every request.
#[test]
fn contract_details_that_never_come_are_an_error_in_time() {
    let venue = Venue::start();
    let mut gateway = venue.gateway();
    gateway.settings.answer_deadline = Duration::from_millis(200);
    let port = IbDataPort::start(gateway).expect("a thread");
    venue.tell(r#"{"do":"fault","message":"ContractDataEnd","action":"drop","count":1000}"#);
    let error = port.resolve("SIM", PATIENCE).expect_err("no answer has an end");
    // The request's own deadline ended it, not the patience of whoever asked.
    assert!(error.to_string().contains("in time"), "{error}");
}

/// Protected by: `check_account` before anything is told or asked.
#[test]
fn an_account_that_is_not_the_one_is_refused() {
    let venue = Venue::start();
    for name in ["U1234567", "DU7654321"] {
        let mut gateway = venue.gateway();
        gateway.settings.account = AccountId(name.to_owned());
        let mut node = Node::new(gateway);
        match node.begin() {
            BrokerEvent::HumanNeeded { reason } => assert!(!reason.contains(name), "{reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Protected by: the bucket. Beyond it the gateway would answer 100 and close the socket.
#[test]
fn a_burst_of_orders_stays_under_the_limit() {
    let venue = Venue::start();
    let node = Node::of(&venue);
    let (mut written, mut paced) = (Vec::new(), 0);
    for number in 10..100 {
        let one = order(number, Contract::Single(SIM), Side::Buy, 1, "1");
        match node.write(&one, true) {
            Ok(_) => written.push(number),
            Err(WriteError::Paced) => paced += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(paced > 0 && !written.is_empty());
    for number in written {
        let _ = node.report(acknowledged(number));
    }
}

/// Protected by: a manual order has a number that is not ours, and is told as an external one.
#[test]
fn an_order_of_the_brokers_screen_is_adopted_not_owned() {
    let venue = Venue::start();
    let mut node = Node::of(&venue);
    venue.tell(r#"{"do":"manual","con_id":1001,"action":"BUY","quantity":2,"limit":1.0}"#);
    let Answer::OpenOrders(open) = node.ask(Question::OpenOrders) else { panic!("open orders") };
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].order_id, open[0].quantity), (OrderId(0), Quantity(2)));
}
