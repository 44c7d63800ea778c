//! What the third-party clients do in `tests/clients`, done by the adapter.

use super::*;
use market::instrument::{Combo, Leg, Right};
use trading::report::EndState;

#[test]
fn connects_with_an_id_to_count_from() {
    let venue = Venue::start();
    let mut node = Node::of(&venue);
    let first = node.connect();
    assert!(first.0 >= 1, "{first}");
    node.place(&order(first.0 + 5, Contract::Single(SIM), Side::Buy, 1, "1"));
    let _ = node.report(acknowledged(first.0 + 5));
    assert!(node.connect().0 > first.0 + 5, "never below what was used");
}

#[test]
fn a_limit_order_works_is_modified_and_canceled() {
    let venue = Venue::start();
    let mut node = Node::of(&venue);
    let mut resting = order(10, Contract::Single(SIM), Side::Buy, 3, "1");
    node.place(&resting);
    let perm_id = node.report(acknowledged(10));
    let Answer::OpenOrders(open) = node.ask(Question::OpenOrders) else { panic!("open orders") };
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].order_id, open[0].perm_id.0), (OrderId(10), perm_id));
    assert_eq!(open[0].reference, resting.key.to_string());
    assert_eq!((open[0].limit, open[0].quantity), (resting.limit, resting.quantity));
    resting.limit = Price::parse("1.05").unwrap();
    resting.quantity = Quantity(2);
    node.modify(&resting);
    let modified = node.report(|report| match report {
        Report::Modified { limit, quantity, .. } => Some((*limit, *quantity)),
        _ => None,
    });
    assert_eq!(modified, (resting.limit, resting.quantity));
    node.port.cancel(OrderId(10)).expect("written");
    let end = node.report(|report| match report {
        Report::Ended { end, .. } => Some(*end),
        _ => None,
    });
    assert_eq!(end, EndState::Canceled);
    let Answer::CompletedOrders(done) = node.ask(Question::CompletedOrders) else {
        panic!("completed orders")
    };
    assert_eq!(done.len(), 1);
    assert_eq!((done[0].perm_id.0, done[0].end), (perm_id, EndState::Canceled));
}

#[test]
fn a_marketable_order_fills_with_its_fee_and_books_stand() {
    let venue = Venue::start();
    let mut node = Node::of(&venue);
    venue.advance(1_000);
    node.place(&order(10, Contract::Single(SIM), Side::Buy, 5, "500"));
    let mut reports = Vec::new();
    node.until(|event| {
        if let BrokerEvent::Report(report) = event {
            reports.push(report);
        }
        let filled = reports.iter().any(|one| matches!(one, Report::Ended { .. }));
        let paid = reports.iter().any(|one| matches!(one, Report::Fee { .. }));
        (filled && paid).then_some(())
    });
    let fills: Vec<_> = reports
        .iter()
        .filter_map(|one| if let Report::Execution(fill) = one { Some(fill) } else { None })
        .collect();
    assert_eq!(fills.iter().map(|fill| fill.quantity.0).sum::<i64>(), 5);
    assert!(fills.iter().all(|fill| fill.con_id == SIM && !fill.combo_leg));
    let Answer::Executions(told) = node.ask(EXECUTIONS) else { panic!("executions") };
    for fill in fills {
        assert!(told.contains(&Report::Execution(fill.clone())), "{fill:?} in {told:?}");
    }
    assert!(told.iter().any(|one| matches!(one, Report::Fee { .. })));
    let Answer::Positions { positions, cash } = node.ask(Question::Positions) else {
        panic!("positions")
    };
    assert_eq!(positions, [(SIM, Quantity(5))]);
    assert_eq!(cash.len(), 1);
    assert!(cash[0].1.to_f64() > 0.0);
}

#[test]
fn an_order_bigger_than_the_quote_fills_in_parts() {
    let venue = Venue::start();
    let node = Node::of(&venue);
    venue.advance(1_000);
    node.place(&order(10, Contract::Single(SIM), Side::Buy, 5_000, "500"));
    let (filled, remaining) = node.report(|report| match report {
        Report::Status { filled, remaining, .. } if filled.0 > 0 => Some((filled.0, remaining.0)),
        _ => None,
    });
    assert!(filled > 0 && remaining > 0, "{filled} {remaining}");
    assert_eq!(filled + remaining, 5_000);
}

#[test]
fn a_combo_books_its_legs_and_its_line_only_checks() {
    let venue = Venue::start();
    let mut node = Node::of(&venue);
    venue.advance(1_000);
    let calls: Vec<_> = listed()
        .into_iter()
        .filter(|one| one.symbol == "SIM")
        .filter(|one| one.option().is_some_and(|terms| terms.right == Right::Call))
        .collect();
    let (low, high) = (calls[10].con_id, calls[11].con_id);
    let legs = vec![Leg { con_id: low, ratio: 1 }, Leg { con_id: high, ratio: -1 }];
    let combo = Contract::Combo(Combo::new(legs).unwrap());
    node.place(&order(10, combo.clone(), Side::Buy, 1, "90"));
    let mut reports = Vec::new();
    node.until(|event| {
        if let BrokerEvent::Report(report) = event {
            reports.push(report);
        }
        reports.iter().any(|one| matches!(one, Report::Ended { .. })).then_some(())
    });
    reports.extend(node.reports());
    let legs: Vec<_> = reports
        .iter()
        .filter_map(|one| match one {
            Report::Execution(fill) => Some((fill.con_id, fill.side, fill.combo_leg)),
            _ => None,
        })
        .collect();
    assert_eq!(legs.len(), 2, "{reports:?}");
    assert!(legs.contains(&(low, Side::Buy, true)) && legs.contains(&(high, Side::Sell, true)));
    assert!(reports.iter().any(|one| matches!(one, Report::ComboExecution(_))));
    let Answer::Positions { positions, .. } = node.ask(Question::Positions) else {
        panic!("positions")
    };
    assert_eq!(positions.len(), 2);
    // A new connection knows nothing of the order, and still tells legs from outrights.
    let _ = node.connect();
    let Answer::Executions(told) = node.ask(EXECUTIONS) else { panic!("executions") };
    let legs = told.iter().filter(|one| matches!(one, Report::Execution(fill) if fill.combo_leg));
    assert_eq!(legs.count(), 2);
    node.place(&order(20, combo.clone(), Side::Sell, 1, "90"));
    let _ = node.report(acknowledged(20));
    let Answer::OpenOrders(open) = node.ask(Question::OpenOrders) else { panic!("open orders") };
    assert_eq!((&open[0].contract, open[0].side), (&combo, Side::Sell));
}

#[test]
fn a_refused_order_says_why() {
    let venue = Venue::start();
    let node = Node::of(&venue);
    // Beyond what the account can pay for, which our gate here doesn't limit.
    node.place(&order(10, Contract::Single(SIM), Side::Buy, 900_000, "50"));
    let code = node.report(|report| match report {
        Report::Rejected { order_id: OrderId(10), code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(code, 201);
}

#[test]
fn the_terms_of_a_chain_are_what_the_market_lists() {
    let venue = Venue::start();
    venue.advance(1_000);
    let port = IbDataPort::start(venue.gateway()).expect("a thread");
    let all = listed();
    for symbol in ["SIM", "SIMX"] {
        let resolved = port.resolve(symbol, PATIENCE).expect("resolved");
        let wanted: Vec<_> = all.iter().filter(|one| one.symbol == symbol).collect();
        assert_eq!(resolved.len(), wanted.len());
        for one in wanted {
            let found = resolved.iter().find(|found| found.con_id == one.con_id).expect("told");
            assert_eq!(
                (&found.local_symbol, found.multiplier),
                (&one.local_symbol, one.multiplier)
            );
            let terms = |one: &market::instrument::Instrument| {
                one.option().map(|terms| {
                    let exercise = (terms.style, terms.settlement);
                    (terms.underlying, terms.right, terms.strike, terms.expiry, exercise)
                })
            };
            assert_eq!(terms(found), terms(one));
        }
    }
}

#[test]
fn lines_are_confirmed_live_and_tell_both_sides() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut port = data_port(&venue);
    let heard = Arc::new(Heard::default());
    let options: Vec<ConId> = listed()
        .iter()
        .filter(|one| one.symbol == "SIM" && one.option().is_some())
        .map(|one| one.con_id)
        .take(40)
        .collect();
    let wanted: Vec<ConId> = std::iter::once(SIM).chain(options).collect();
    crate::port::DataPort::subscribe(
        &mut port,
        "SIM",
        &wanted,
        Arc::clone(&heard) as Arc<dyn DataSink>,
    );
    heard.wait("live quotes with both sides", |said| {
        let whole = |line| {
            said.quotes.iter().any(|(told, quote)| {
                let sides = quote.bid < quote.ask && quote.bid_size > 0.0 && quote.ask_size > 0.0;
                *told == line && sides
            })
        };
        // Options far out of the money have no bid.
        whole(0) && (1..=40).filter(|line| whole(*line)).count() >= 10
    });
    heard.wait("live lines", |said| {
        (0..=40).all(|line| said.last_type(line) == Some(DataType::Live))
    });
}
