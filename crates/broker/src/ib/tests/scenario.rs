//! The scenario of the third-party clients (`tests/clients/official.py`), walked by the adapter:
//! the same steps in the same order, on one connection of each port.
//!
//! Left out are steps that the node has no use for. Greeks, bars and ticks of the past, news: it
//! values by itself, from quotes. What-if: its own estimate of margin decides. Brackets, OCA groups
//! and global cancel: no order of its own depends on another, and it never cancels what is not its
//! own. Of the account it asks positions and cash. A price off its increment (110) or an order side
//! that doesn't exist (321) can't be said: the gate and the types are before them.

use super::*;
use market::instrument::{Combo, Instrument, Leg, Right};
use std::collections::BTreeSet;
use trading::report::{CompletedOrder, EndState, OpenOrder};

struct Scenario {
    venue: Venue,
    node: Node,
    data: IbDataPort,
    /// Two calls on the stock, the lower strike first.
    calls: [ConId; 2],
    next: i64,
    canceled: i64,
}

#[test]
fn the_adapter_walks_the_scenario_of_the_third_party_clients() {
    let mut scenario = Scenario::connect();
    scenario.contract_details();
    scenario.option_chain();
    scenario.ticks();
    scenario.limit_modify_cancel();
    scenario.partial_fill();
    scenario.combo();
    scenario.open_and_completed();
    scenario.executions();
    scenario.positions_and_account();
    scenario.refusals();
    scenario.client_id_in_use();
}

fn ended(report: &Report) -> Option<EndState> {
    match report {
        Report::Ended { end, .. } => Some(*end),
        _ => None,
    }
}

fn is_option(instrument: &&Instrument) -> bool {
    instrument.option().is_some()
}

impl Scenario {
    fn connect() -> Self {
        let venue = Venue::start();
        venue.advance(1_000);
        let gateway = venue.gateway();
        let data = IbDataPort::start(gateway.clone()).expect("a thread");
        let mut node = Node::new(gateway);
        let first = node.connect();
        assert!(first.0 >= 1, "{first}");
        let market = listed();
        let calls = market.iter().filter(|one| one.symbol == "SIM");
        let calls =
            calls.filter(|one| one.option().is_some_and(|terms| terms.right == Right::Call));
        let calls: Vec<ConId> = calls.map(|one| one.con_id).skip(10).take(2).collect();
        let calls = calls.try_into().unwrap();
        Self { venue, node, data, calls, next: first.0, canceled: 0 }
    }

    fn next_order(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// From here on the order port knows the terms too: both ports share them.
    fn contract_details(&self) {
        for symbol in ["SIM", "SIMX"] {
            let resolved = self.data.resolve(symbol, PATIENCE).expect("resolved");
            let wanted: Vec<_> = listed().into_iter().filter(|one| one.symbol == symbol).collect();
            assert_eq!(resolved.len(), wanted.len());
            for one in wanted {
                let found = self.node.gateway.contracts.get(one.con_id).expect("told");
                assert_eq!(found.local_symbol, one.local_symbol);
                assert_eq!((found.multiplier, found.currency), (one.multiplier, one.currency));
            }
        }
    }

    fn option_chain(&self) {
        let terms = |one: &Instrument| {
            one.option().map(|terms| {
                let exercise = (terms.style, terms.settlement);
                (terms.underlying, terms.right, terms.strike, terms.expiry, exercise)
            })
        };
        for one in listed().iter().filter(is_option) {
            let found = self.node.gateway.contracts.get(one.con_id).expect("told");
            assert_eq!(terms(&found), terms(one));
        }
    }

    fn ticks(&mut self) {
        let heard = Arc::new(Heard::default());
        let all = listed();
        let options = all.iter().filter(is_option).filter(|one| one.symbol == "SIM");
        let options = options.map(|one| one.con_id).take(40);
        let wanted: Vec<ConId> = std::iter::once(SIM).chain(options).collect();
        let sink = Arc::clone(&heard) as Arc<dyn DataSink>;
        crate::port::DataPort::subscribe(&mut self.data, "SIM", &wanted, sink);
        heard.wait("live quotes with both sides", |said| {
            let whole = |line| {
                said.quotes.iter().any(|(told, quote)| {
                    let sizes = quote.bid_size > 0.0 && quote.ask_size > 0.0;
                    *told == line && quote.bid < quote.ask && sizes
                })
            };
            // Options far out of the money have no bid.
            whole(0) && (1..=40).filter(|line| whole(*line)).count() >= 10
        });
        heard.wait("live lines", |said| {
            (0..=40).all(|line| said.last_type(line) == Some(DataType::Live))
        });
    }

    fn limit_modify_cancel(&mut self) {
        let number = self.next_order();
        let low = Contract::Single(self.calls[0]);
        let mut resting = order(number, low, Side::Buy, 5, "0.05");
        self.node.place(&resting);
        let perm_id = self.node.report(acknowledged(number));
        resting.limit = Price::parse("0.10").unwrap();
        resting.quantity = Quantity(7);
        self.node.modify(&resting);
        let modified = self.node.report(|report| match report {
            Report::Modified { limit, quantity, .. } => Some((*limit, *quantity)),
            _ => None,
        });
        assert_eq!(modified, (resting.limit, resting.quantity));
        let open = self.open_orders();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].order_id.0, open[0].perm_id.0), (number, perm_id));
        assert_eq!(open[0].reference, resting.key.to_string());
        assert_eq!((open[0].limit, open[0].quantity), (resting.limit, resting.quantity));
        self.node.port.cancel(OrderId(number)).expect("written");
        assert_eq!(self.node.report(ended), EndState::Canceled);
        self.canceled = number;
    }

    fn partial_fill(&mut self) {
        let number = self.next_order();
        self.node.place(&order(number, Contract::Single(SIM), Side::Buy, 5_000, "500"));
        let (mut part, mut filled, mut paid) = (None, Vec::new(), BTreeSet::new());
        self.node.until(|event| {
            match event {
                BrokerEvent::Report(Report::Status { filled, remaining, .. }) if filled.0 > 0 => {
                    part = Some((filled.0, remaining.0));
                }
                BrokerEvent::Report(Report::Execution(fill)) => filled.push(fill),
                BrokerEvent::Report(Report::Fee { exec_id, .. }) => drop(paid.insert(exec_id)),
                _ => {}
            }
            (part.is_some() && filled.len() == 1 && paid.len() == 1).then_some(())
        });
        let (done, rest) = part.expect("waited for");
        assert!(done > 0 && rest > 0 && done + rest == 5_000, "{done} {rest}");
        assert_eq!((filled[0].con_id, filled[0].quantity), (SIM, Quantity(done)));
        assert!(!filled[0].combo_leg && paid.contains(&filled[0].exec_id));
        self.node.port.cancel(OrderId(number)).expect("written");
        assert_eq!(self.node.report(ended), EndState::Canceled);
    }

    fn combo(&mut self) {
        let [low, high] = self.calls;
        let legs = vec![Leg { con_id: low, ratio: 1 }, Leg { con_id: high, ratio: -1 }];
        let combo = Contract::Combo(Combo::new(legs).unwrap());
        let number = self.next_order();
        self.node.place(&order(number, combo.clone(), Side::Buy, 2, "90"));
        let mut reports = Vec::new();
        self.node.until(|event| {
            if let BrokerEvent::Report(report) = event {
                reports.push(report);
            }
            reports.iter().any(|one| ended(one) == Some(EndState::Filled)).then_some(())
        });
        reports.extend(self.node.reports());
        let legs: Vec<_> = reports
            .iter()
            .filter_map(|one| match one {
                Report::Execution(fill) => {
                    Some((fill.con_id, fill.side, fill.quantity.0, fill.combo_leg))
                }
                _ => None,
            })
            .collect();
        assert_eq!(legs.len(), 2, "{reports:?}");
        assert!(legs.contains(&(low, Side::Buy, 2, true)), "{legs:?}");
        assert!(legs.contains(&(high, Side::Sell, 2, true)), "{legs:?}");
        assert!(reports.iter().any(|one| matches!(one, Report::ComboExecution(_))));
        let number = self.next_order();
        self.node.place(&order(number, combo.clone(), Side::Sell, 1, "90"));
        let _ = self.node.report(acknowledged(number));
        let open = self.open_orders();
        assert_eq!((&open[0].contract, open[0].side), (&combo, Side::Sell));
        self.node.port.cancel(OrderId(number)).expect("written");
        assert_eq!(self.node.report(ended), EndState::Canceled);
    }

    fn open_and_completed(&mut self) {
        let number = self.next_order();
        self.node.place(&order(number, Contract::Single(SIM), Side::Buy, 1, "5"));
        let perm_id = self.node.report(acknowledged(number));
        let open = self.open_orders();
        assert_eq!(open.iter().map(|order| order.order_id.0).collect::<Vec<_>>(), [number]);
        self.node.port.cancel(OrderId(number)).expect("written");
        assert_eq!(self.node.report(ended), EndState::Canceled);
        let Answer::CompletedOrders(done) = self.node.ask(Question::CompletedOrders) else {
            panic!("completed orders")
        };
        let how = |end| done.iter().filter(|order: &&CompletedOrder| order.end == end).count();
        assert_eq!((how(EndState::Filled), how(EndState::Canceled)), (1, 4), "{done:?}");
        assert!(done.iter().any(|order| order.perm_id.0 == perm_id));
    }

    /// A new connection knows nothing of the orders, and still tells legs from outrights.
    fn executions(&mut self) {
        assert!(self.node.connect().0 > self.next, "never below what was used");
        let Answer::Executions(told) = self.node.ask(EXECUTIONS) else { panic!("executions") };
        let (mut found, mut legs, mut paid) = (BTreeSet::new(), 0, BTreeSet::new());
        for report in &told {
            match report {
                Report::Execution(fill) => {
                    assert!(found.insert(&fill.exec_id), "{fill:?} twice");
                    legs += usize::from(fill.combo_leg);
                }
                Report::Fee { exec_id, .. } => drop(paid.insert(exec_id)),
                _ => {}
            }
        }
        assert_eq!((found.len(), legs), (3, 2), "{told:?}");
        assert_eq!(found, paid, "each has its commission");
    }

    fn positions_and_account(&mut self) {
        let Answer::Positions { positions, cash } = self.node.ask(Question::Positions) else {
            panic!("positions")
        };
        let held = |con_id| positions.iter().find(|(of, _)| *of == con_id).map(|(_, held)| held.0);
        let [low, high] = self.calls;
        assert_eq!((held(low), held(high)), (Some(2), Some(-2)), "{positions:?}");
        assert!(held(SIM).is_some_and(|shares| shares > 0), "{positions:?}");
        assert_eq!(cash.len(), 1);
        assert!(cash[0].1.to_f64() > 0.0);
    }

    fn refusals(&mut self) {
        let stock = || Contract::Single(SIM);
        let too_much = self.next_order();
        for (number, quantity, price, wanted) in
            [(self.canceled, 1, "5", 103), (too_much, 900_000, "50", 201)]
        {
            self.node.place(&order(number, stock(), Side::Buy, quantity, price));
            let code = self.node.report(|report| match report {
                Report::Rejected { order_id, code, .. } if order_id.0 == number => Some(*code),
                _ => None,
            });
            assert_eq!(code, wanted);
        }
        let unknown = OrderId(self.next + 500);
        self.node.port.cancel(unknown).expect("written");
        let code = self.node.report(|report| match report {
            Report::CancelRejected { order_id, code } if *order_id == unknown => Some(*code),
            _ => None,
        });
        assert_eq!(code, 10_147);
    }

    fn client_id_in_use(&self) {
        match Node::new(self.venue.gateway()).begin() {
            BrokerEvent::Disconnected { reason } => assert!(reason.contains("326"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }

    fn open_orders(&mut self) -> Vec<OpenOrder> {
        let Answer::OpenOrders(open) = self.node.ask(Question::OpenOrders) else {
            panic!("open orders")
        };
        open
    }
}
