//! A frame that arrives damaged, of every kind that the order connection hears: the connection ends
//! or the frame is dropped with a word, and nothing is reported or answered that the broker didn't
//! mean.

use super::*;

/// What the order connection hears in a day, in the gateway's names.
const KINDS: [&str; 16] = [
    "ManagedAccounts",
    "NextValidId",
    "Error",
    "OpenOrder",
    "OrderStatus",
    "ExecutionDetails",
    "CommissionReport",
    "OpenOrdersEnd",
    "CompletedOrder",
    "CompletedOrdersEnd",
    "ExecutionDetailsEnd",
    "Position",
    "PositionEnd",
    "AccountSummary",
    "AccountSummaryEnd",
    "CurrentTime",
];

/// What a node was told: fills, fees and answers, each of which may be booked.
#[derive(Debug, Default)]
struct Told {
    reports: Vec<Report>,
    answers: Vec<Answer>,
    /// It ended, or said that something may be missing.
    doubts: Vec<String>,
}

impl Told {
    fn take(&mut self, event: BrokerEvent) {
        match event {
            BrokerEvent::Report(report) => self.reports.push(report),
            BrokerEvent::Answer { answer, .. } => self.answers.push(answer),
            BrokerEvent::Disconnected { reason }
            | BrokerEvent::Gap { reason }
            | BrokerEvent::HumanNeeded { reason }
            | BrokerEvent::BrokerLost { reason } => self.doubts.push(reason),
            BrokerEvent::Connected { .. } | BrokerEvent::BrokerBack { .. } => {}
        }
    }

    /// Until nothing comes any more.
    fn listen(&mut self, node: &Node) {
        let events = node.events.as_ref().expect("it has begun");
        while let Ok(event) = events.recv_timeout(SILENCE) {
            self.take(event);
        }
    }
}

/// Everything that is asked, on a connection that nobody disturbs.
fn truth(node: &mut Node) -> Vec<Answer> {
    Question::all(None).into_iter().map(|question| node.ask(question)).collect()
}

fn executions(answers: &[Answer]) -> Vec<Report> {
    let of = |answer: &Answer| match answer {
        Answer::Executions(reports) => Some(reports.clone()),
        _ => None,
    };
    answers.iter().find_map(of).expect("executions were answered")
}

/// Whether the damage was noticed: an answer that didn't come, or a doubt that was told.
fn damaged(kind: &str) -> bool {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut node = Node::new(venue.gateway());
    node.gateway.settings.heartbeat = Duration::from_millis(20);
    node.port =
        IbOrderPort::new(node.gateway.clone(), Arc::new(WireFence::new(HaltEpoch(0), None)));
    for instrument in listed() {
        node.gateway.contracts.insert(instrument);
    }
    let mut told = Told::default();
    let fault = format!(r#"{{"do":"fault","message":"{kind}","action":"corrupt","count":2}}"#);
    let at_start = ["ManagedAccounts", "NextValidId", "Error"].contains(&kind);
    if at_start {
        venue.tell(&fault);
    }
    let first = node.begin();
    let stands = matches!(first, BrokerEvent::Connected { .. });
    told.take(first);
    if stands {
        // Something to be told: an order that has filled, one that was canceled, one that works.
        for (number, limit) in [(10, "500"), (11, "1"), (12, "1")] {
            let _ = node.write(&order(number, Contract::Single(SIM), Side::Buy, 5, limit), true);
        }
        told.listen(&node);
        if !at_start {
            venue.tell(&fault);
        }
        // Each may be refused by a connection that has ended.
        let _ = node.port.cancel(OrderId(11));
        let crossing = order(13, Contract::Single(SIM), Side::Buy, 2, "500");
        let _ = node.write(&crossing, true);
        told.listen(&node);
        for question in Question::all(None) {
            let _ = node.try_ask(question);
            told.listen(&node);
        }
    }
    venue.tell(r#"{"do":"clear"}"#);
    let _ = node.connect();
    let truth = truth(&mut node);
    let booked = executions(&truth);
    for report in &told.reports {
        if matches!(report, Report::Execution(_) | Report::Fee { .. } | Report::Busted { .. }) {
            assert!(booked.contains(report), "{kind}: {report:?} was never meant: {booked:?}");
        }
    }
    for answer in &told.answers {
        let meant = match answer {
            // Orders change between two questions, executions only grow.
            Answer::Executions(reports) => reports.iter().all(|one| booked.contains(one)),
            Answer::OpenOrders(_) | Answer::CompletedOrders(_) | Answer::Positions { .. } => {
                truth.contains(answer)
            }
        };
        assert!(meant, "{kind}: {answer:?} was never meant: {truth:?}");
    }
    println!("{kind}: {} answers, {:?}", told.answers.len(), told.doubts);
    told.answers.len() < 4 || !told.doubts.is_empty()
}

/// Protected by: the library's decoder ends the stream that can't be read, which ends the
/// connection; a question whose answer can't be read is not answered.
#[test]
fn a_damaged_frame_of_any_kind_is_never_booked() {
    let noticed = KINDS.into_iter().filter(|kind| damaged(kind)).count();
    // The rest was damaged where nobody reads: a remark's text, a price cap.
    assert!(noticed >= 12, "only {noticed} of {} kinds", KINDS.len());
}
