//! The exchange under random traffic: money adds up, sizes hold, and a restored venue is the same.

use crate::book_file::{from_line, to_line};
use crate::samples::{self, at};
use crate::{EventKind, Exchange, ExchangeConfig, NewOrder, Report, Request, TimeInForce};
use market::instrument::{Combo, ConId, Contract, Instrument, Leg};
use market::money::{Money, Price, Quantity};
use market::quote::{Level, Quote, Side};
use market::time::{Date, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Action {
    Quote { line: usize, bid_cents: i64, width_cents: i64, sizes: (u32, u32) },
    Submit { what: usize, side: Side, quantity: i64, limit_cents: i64, force: TimeInForce },
    Modify { back: i64, limit_cents: i64, quantity: i64 },
    Cancel { back: i64 },
    Pass { minutes: u64 },
}

fn universe() -> Vec<Instrument> {
    vec![
        samples::stock(),
        samples::future(),
        samples::stock_call(100),
        samples::stock_call(105),
        samples::stock_put(120),
        samples::future_call(4_000),
    ]
}

fn contract(what: usize) -> Contract {
    let universe = universe();
    let leg = |index: usize, ratio| Leg { con_id: universe[index].con_id, ratio };
    match what {
        0..=5 => Contract::Single(universe[what].con_id),
        6 => Contract::Combo(Combo::new(vec![leg(2, 1), leg(3, -1)]).unwrap()),
        _ => Contract::Combo(Combo::new(vec![leg(0, 3), leg(2, 2), leg(4, -1)]).unwrap()),
    }
}

fn action() -> impl Strategy<Value = Action> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let force = prop_oneof![
        Just(TimeInForce::Day),
        Just(TimeInForce::GoodTillCanceled),
        Just(TimeInForce::ImmediateOrCancel)
    ];
    prop_oneof![
        4 => (0..6usize, 1..600i64, -1..30i64, (0..40u32, 0..40u32)).prop_map(
            |(line, bid_cents, width_cents, sizes)| {
                Action::Quote { line, bid_cents, width_cents, sizes }
            }
        ),
        4 => (0..8usize, side, 1..30i64, 1..700i64, force).prop_map(
            |(what, side, quantity, limit_cents, force)| {
                Action::Submit { what, side, quantity, limit_cents, force }
            }
        ),
        1 => (0..6i64, 1..700i64, 0..40i64).prop_map(|(back, limit_cents, quantity)| {
            Action::Modify { back, limit_cents, quantity }
        }),
        1 => (0..6i64).prop_map(|back| Action::Cancel { back }),
        1 => (1..900u64).prop_map(|minutes| Action::Pass { minutes }),
    ]
}

fn traffic(most: usize) -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..most)
}

/// What the prices of a line move around, in cents.
fn base_cents(line: usize) -> i64 {
    match line {
        0 => 10_000,
        1 => 400_000,
        _ => 0,
    }
}

fn cents(cents: i64) -> Price {
    Price::from_micros(cents * 10_000)
}

/// The displayed sizes that are left, as this test counts them.
type Displayed = BTreeMap<ConId, (u32, u32)>;

struct World {
    exchange: Exchange,
    now: Timestamp,
    number: i64,
    reports: Vec<Report>,
    displayed: Displayed,
    lines: Vec<String>,
}

impl World {
    fn new() -> Self {
        let config = ExchangeConfig {
            request_latency: Duration::ZERO,
            report_latency: Duration::ZERO,
            ..ExchangeConfig::default()
        };
        let mut exchange = Exchange::new(config, at(0, 9));
        universe().into_iter().for_each(|instrument| exchange.list(instrument));
        let ex_date = Date::new(2026, 11, 25).unwrap();
        exchange.announce_dividend(samples::STOCK, ex_date, cents(50));
        Self {
            exchange,
            now: at(0, 9),
            number: 0,
            reports: Vec::new(),
            displayed: Displayed::new(),
            lines: Vec::new(),
        }
    }

    fn run(&mut self, action: Action) {
        match action {
            Action::Quote { line, bid_cents, width_cents, sizes } => {
                let bid = base_cents(line) + bid_cents;
                let level = |price, size| Some(Level { price: cents(price), size });
                let quote = Quote {
                    bid: level(bid, sizes.0),
                    ask: level(bid + width_cents, sizes.1),
                    time: self.now,
                };
                let con_id = universe()[line].con_id;
                self.displayed.insert(con_id, sizes);
                self.exchange.on_quotes(&[(con_id, quote)], self.now);
            }
            Action::Submit { what, side, quantity, limit_cents, force } => {
                self.number += 1;
                let base =
                    if what < 6 { base_cents(what) } else { 3 * base_cents(0) * (what as i64 - 6) };
                self.request(Request::Submit(NewOrder {
                    client_order_id: self.number,
                    reference: format!("r{}", self.number),
                    contract: contract(what),
                    side,
                    quantity: Quantity(quantity),
                    limit: cents(base + limit_cents),
                    time_in_force: force,
                }));
            }
            Action::Modify { back, limit_cents, quantity } => self.request(Request::Modify {
                client_order_id: self.number - back,
                limit: cents(limit_cents),
                quantity: Quantity(quantity),
            }),
            Action::Cancel { back } => {
                self.request(Request::Cancel { client_order_id: self.number - back });
            }
            Action::Pass { minutes } => {
                self.now = self.now.plus(Duration::from_secs(minutes * 60));
                self.exchange.on_time(self.now);
            }
        }
        let reports = self.exchange.take_reports(self.now);
        self.use_up(&reports);
        self.reports.extend(reports);
        self.lines.extend(self.exchange.take_changes().iter().map(to_line));
    }

    fn request(&mut self, request: Request) {
        self.exchange.on_request(request, self.now);
    }

    /// Every execution fits into what was still displayed.
    fn use_up(&mut self, reports: &[Report]) {
        for report in reports {
            let Report::Executed(execution) = report else {
                continue;
            };
            let left = self.displayed.get_mut(&execution.con_id).expect("quoted before");
            let side = match execution.side {
                Side::Buy => &mut left.1,
                Side::Sell => &mut left.0,
            };
            let size = u32::try_from(execution.quantity.0).unwrap();
            *side = side.checked_sub(size).expect("within the displayed size");
        }
    }
}

/// Cash and positions from reports alone, by arithmetic that shares nothing with the books.
fn recompute(reports: &[Report]) -> (i128, BTreeMap<u32, i64>) {
    let multiplier = |con_id: ConId| match con_id.0 {
        1 => 1,
        2 | 10_000.. => 50,
        _ => 100,
    };
    let mut cash = 0i128;
    let mut positions: BTreeMap<u32, i64> = BTreeMap::new();
    let mut trade = |cash: &mut i128, con_id: ConId, signed: i64, price: Price| {
        *positions.entry(con_id.0).or_default() += signed;
        if con_id.0 != 2 {
            *cash -= i128::from(signed) * i128::from(price.micros()) * multiplier(con_id);
        }
    };
    for report in reports {
        match report {
            Report::Executed(one) => {
                let signed = if one.side == Side::Buy { one.quantity.0 } else { -one.quantity.0 };
                trade(&mut cash, one.con_id, signed, one.price);
            }
            Report::Fee { amount, .. } => cash -= i128::from(amount.micros()),
            Report::Event(event) => match event.kind {
                EventKind::OptionExpired { con_id, quantity } => {
                    trade(&mut cash, con_id, -quantity.0, Price::ZERO);
                }
                EventKind::Exercised { con_id, quantity, delivery }
                | EventKind::Assigned { con_id, quantity, delivery } => {
                    trade(&mut cash, con_id, -quantity.0, Price::ZERO);
                    trade(&mut cash, delivery.con_id, delivery.quantity.0, delivery.price);
                }
                EventKind::CashSettled { con_id, quantity, amount } => {
                    trade(&mut cash, con_id, -quantity.0, Price::ZERO);
                    cash += i128::from(amount.micros());
                }
                EventKind::Dividend { amount, .. }
                | EventKind::Variation { amount, .. }
                | EventKind::Cash { amount } => cash += i128::from(amount.micros()),
            },
            _ => {}
        }
    }
    positions.retain(|_, quantity| *quantity != 0);
    (cash, positions)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn cash_and_positions_are_what_the_reports_say(actions in traffic(120)) {
        let mut world = World::new();
        for action in actions {
            world.run(action);
        }
        let (cash, positions) = recompute(&world.reports);
        prop_assert_eq!(i128::from(world.exchange.cash()[0].1.micros()), cash);
        let booked: BTreeMap<u32, i64> =
            world.exchange.positions().iter().map(|(id, quantity)| (id.0, quantity.0)).collect();
        prop_assert_eq!(booked, positions);
        let by_instrument: Money = world.exchange.books().positions.values().map(|p| p.fees).sum();
        let paid: Money = world.exchange.fees().iter().map(|(_, amount)| *amount).sum();
        prop_assert_eq!(paid, by_instrument);
    }

    #[test]
    fn a_restored_exchange_answers_as_the_live_one(actions in traffic(80)) {
        let mut world = World::new();
        for action in actions {
            world.run(action);
        }
        let changes = world.lines.iter().enumerate().map(|(index, line)| from_line(line, index));
        let changes: Vec<_> = changes.collect::<Result<_, _>>().unwrap();
        let config = world.exchange.config.clone();
        let restored = Exchange::restore(config.clone(), changes).unwrap();
        prop_assert_eq!(restored.books(), world.exchange.books());
        let snapshot = from_line(&to_line(&world.exchange.snapshot()), 1).unwrap();
        let compacted = Exchange::restore(config, [snapshot]).unwrap();
        prop_assert_eq!(compacted.books(), world.exchange.books());
    }

    #[test]
    fn combos_keep_their_ratios_and_orders_their_size(actions in traffic(80)) {
        let mut world = World::new();
        for action in actions {
            world.run(action);
        }
        let books = world.exchange.books();
        for combo in &books.combos {
            let stem = combo.exec_id.rsplitn(3, '.').nth(2).unwrap().to_owned();
            let legs: Vec<_> =
                books.executions.iter().filter(|leg| leg.exec_id.starts_with(&stem)).collect();
            let net: i64 = legs
                .iter()
                .map(|leg| {
                    let per_unit = leg.quantity.0 / combo.quantity.0;
                    leg.side.sign() * combo.side.sign() * per_unit * leg.price.micros()
                })
                .sum();
            prop_assert!(legs.iter().all(|leg| leg.leg && leg.quantity.0 % combo.quantity.0 == 0));
            prop_assert_eq!(net, combo.price.micros());
        }
        for order in world.exchange.open_orders() {
            prop_assert!(order.filled < order.quantity && order.filled >= Quantity::ZERO);
        }
        let ids: std::collections::BTreeSet<_> =
            books.executions.iter().map(|one| &one.exec_id).collect();
        prop_assert_eq!(ids.len(), books.executions.len());
    }
}
