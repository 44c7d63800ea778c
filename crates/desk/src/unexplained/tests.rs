//! Settlements that are told apart by their terms: each alone, and any by property.

use super::*;
use market::instrument::{Fixing, FutureTerms, TickRule};
use market::money::Multiplier;
use proptest::prelude::*;

const STOCK: ConId = ConId(1);
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn option(con_id: u32, right: Right, strike: i64, settlement: Settlement) -> Instrument {
    let style = match settlement {
        Settlement::Cash => ExerciseStyle::European,
        Settlement::Physical => ExerciseStyle::American,
    };
    let terms = OptionTerms {
        underlying: STOCK,
        right,
        strike: Price::from_units(strike),
        expiry: Date::parse("20270115").unwrap(),
        last_trade: NOW,
        style,
        settlement,
        fixing: Fixing::Pm,
        deliverable: Deliverable::Standard,
    };
    Instrument {
        con_id: ConId(con_id),
        symbol: "SIM".to_owned(),
        local_symbol: con_id.to_string(),
        exchange: "SIMEX".to_owned(),
        currency: Currency::USD,
        multiplier: Multiplier(100),
        tick: TickRule::flat(Price::from_micros(10_000)),
        trading_class: "SIM".to_owned(),
        kind: InstrumentKind::Option(terms),
    }
}

const FUTURE: ConId = ConId(90);
const OTHER_FUTURE: ConId = ConId(91);

fn future(con_id: ConId, last_trade: Timestamp) -> Instrument {
    let terms = FutureTerms {
        expiry: Date::parse("20270115").unwrap(),
        last_trade,
        settlement: Settlement::Cash,
        fixing: Fixing::Am,
    };
    Instrument {
        con_id,
        multiplier: Multiplier(50),
        kind: InstrumentKind::Future(terms),
        ..option(con_id.0, Right::Call, 1, Settlement::Cash)
    }
}

/// On [`FUTURE`], which it delivers.
fn future_option(con_id: u32, right: Right, strike: i64) -> Instrument {
    let on_stock = option(con_id, right, strike, Settlement::Physical);
    let terms = OptionTerms { underlying: FUTURE, ..*on_stock.option().unwrap() };
    Instrument { multiplier: Multiplier(50), kind: InstrumentKind::FutureOption(terms), ..on_stock }
}

/// Two books, and the events between them.
#[derive(Clone, Debug, Default)]
struct Books {
    catalog: Catalog,
    ours: BTreeMap<ConId, Quantity>,
    theirs: BTreeMap<ConId, Quantity>,
    cash: Money,
    spot: Option<Price>,
}

impl Books {
    fn hold(&mut self, instrument: Instrument, quantity: i64) {
        if quantity != 0 {
            self.ours.insert(instrument.con_id, Quantity(quantity));
            self.theirs.insert(instrument.con_id, Quantity(quantity));
        }
        self.catalog.insert(instrument).unwrap();
    }

    fn explain(&self, now: Timestamp) -> Vec<LifecycleEvent> {
        explain(&Break {
            catalog: &self.catalog,
            ours: &self.ours,
            theirs: &self.theirs,
            cash: &BTreeMap::from([(Currency::USD, self.cash)]),
            spot: &|_| self.spot,
            now,
        })
    }

    /// What the broker does at the end of trading, at this settlement price.
    fn settle(&mut self, price: Price) {
        let catalog = self.catalog.clone();
        for instrument in catalog.iter() {
            let Some(terms) = instrument.option() else { continue };
            let Some(held) = self.theirs.remove(&instrument.con_id) else { continue };
            let intrinsic = match terms.right {
                Right::Call => price - terms.strike,
                Right::Put => terms.strike - price,
            };
            if intrinsic <= Price::ZERO {
                continue;
            }
            let units = held.0 * 100;
            if matches!(instrument.kind, InstrumentKind::FutureOption(_)) {
                let futures = if terms.right == Right::Call { held.0 } else { -held.0 };
                self.theirs.entry(FUTURE).or_default().0 += futures;
                self.cash += (price - terms.strike).value(Quantity(futures), Multiplier(50));
                continue;
            }
            match terms.settlement {
                Settlement::Cash => self.cash += intrinsic.value(held, Multiplier(100)),
                Settlement::Physical => {
                    let shares = if terms.right == Right::Call { units } else { -units };
                    self.theirs.entry(STOCK).or_default().0 += shares;
                    self.cash -= terms.strike.value(Quantity(shares), Multiplier(1));
                }
            }
        }
        self.theirs.retain(|_, quantity| !quantity.is_zero());
    }

    /// What is left of the break when the events are booked.
    fn book(&mut self, events: &[LifecycleEvent]) {
        let mut moved = |con_id, by: i64| self.ours.entry(con_id).or_default().0 += by;
        for event in events {
            match event.kind {
                LifecycleKind::Expired { con_id, quantity } => moved(con_id, -quantity.0),
                LifecycleKind::CashSettled { con_id, quantity, amount } => {
                    moved(con_id, -quantity.0);
                    self.cash -= amount;
                }
                LifecycleKind::Exercised { con_id, quantity, delivery }
                | LifecycleKind::Assigned { con_id, quantity, delivery } => {
                    moved(con_id, -quantity.0);
                    let delivery = delivery.unwrap();
                    moved(delivery.con_id, delivery.quantity.0);
                    if delivery.con_id == FUTURE {
                        continue;
                    }
                    self.cash += delivery.price.value(delivery.quantity, Multiplier(1));
                }
                ref other => panic!("{other:?}"),
            }
        }
        self.ours.retain(|_, quantity| !quantity.is_zero());
    }
}

#[test]
fn a_straddle_that_ends_delivers_one_side_only() {
    let mut books = Books::default();
    books.hold(option(2, Right::Call, 100, Settlement::Physical), 3);
    books.hold(option(3, Right::Put, 100, Settlement::Physical), 3);
    books.settle(Price::from_units(104));
    let events = books.explain(NOW);
    assert!(matches!(events[0].kind, LifecycleKind::Exercised { con_id: ConId(2), .. }));
    assert!(matches!(events[1].kind, LifecycleKind::Expired { con_id: ConId(3), .. }));
    books.book(&events);
    assert_eq!((books.ours, books.cash), (books.theirs, Money::ZERO));
}

#[test]
fn a_short_call_that_is_gone_before_its_end_was_assigned_in_part() {
    let mut books = Books::default();
    books.hold(option(2, Right::Call, 100, Settlement::Physical), -5);
    books.theirs = BTreeMap::from([(ConId(2), Quantity(-3)), (STOCK, Quantity(-200))]);
    books.cash = Money::from_units(20_000);
    let events = books.explain(NOW.minus(std::time::Duration::from_secs(86_400)));
    assert!(matches!(
        events.as_slice(),
        [LifecycleEvent { kind: LifecycleKind::Assigned { quantity: Quantity(-2), .. }, .. }]
    ));
}

/// Found by the mutation that books executions twice: the surplus of a long straddle passed for an
/// exercise of both sides, whose shares net to none, and the doubled position was booked away.
#[test]
fn a_straddle_that_the_ledger_has_twice_was_not_exercised_early() {
    let mut books = Books::default();
    books.hold(option(2, Right::Call, 100, Settlement::Physical), 6);
    books.hold(option(3, Right::Put, 100, Settlement::Physical), 6);
    books.theirs = BTreeMap::from([(ConId(2), Quantity(3)), (ConId(3), Quantity(3))]);
    // The premium of the three that were never bought.
    books.cash = Money::from_units(3_000);
    let before = NOW.minus(std::time::Duration::from_secs(86_400));
    assert_eq!(books.explain(before), Vec::new());
    books.cash = Money::ZERO;
    assert_eq!(books.explain(before).len(), 2, "somebody did exercise both on the broker's screen");
}

#[test]
fn what_no_settlement_explains_stays_a_difference() {
    let mut books = Books::default();
    books.hold(option(2, Right::Call, 100, Settlement::Physical), 3);
    // Gone before its end, and no shares came: a trade that was not told.
    books.theirs.clear();
    let before = NOW.minus(std::time::Duration::from_secs(1));
    assert_eq!(books.explain(before), Vec::new());
    // Gone at its end, and shares came that it can't have brought.
    books.theirs.insert(STOCK, Quantity(50));
    assert_eq!(books.explain(NOW), Vec::new());
    // A European option has no early end.
    let mut books = Books::default();
    books.hold(option(2, Right::Call, 100, Settlement::Cash), 3);
    books.theirs.clear();
    assert_eq!(books.explain(before), Vec::new());
}

#[test]
fn of_two_stories_about_the_same_shares_the_cash_tells_the_true_one() {
    // A vertical spread moves no shares, whether both legs end in the money or neither.
    for price in [80, 120] {
        let mut books = Books::default();
        books.hold(option(2, Right::Call, 100, Settlement::Physical), 2);
        books.hold(option(3, Right::Call, 105, Settlement::Physical), -2);
        books.settle(Price::from_units(price));
        let events = books.explain(NOW);
        assert_eq!(events.len(), 2, "{price}");
        books.book(&events);
        assert_eq!((books.ours, books.cash), (books.theirs, Money::ZERO), "{price}");
    }
}

#[test]
fn an_option_on_a_future_delivers_the_future_at_the_strike() {
    let mut books = Books::default();
    books.catalog.insert(future(FUTURE, NOW.plus(std::time::Duration::from_secs(86_400)))).unwrap();
    books.hold(future_option(2, Right::Put, 100), -2);
    books.settle(Price::from_units(96));
    // The variation of what was delivered, and of whatever else is held.
    books.cash += Money::from_units(777);
    let events = books.explain(NOW);
    let [LifecycleEvent { kind: LifecycleKind::Assigned { delivery, .. }, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    let delivered =
        Delivery { con_id: FUTURE, quantity: Quantity(2), price: Price::from_units(100) };
    assert_eq!(*delivery, Some(delivered));
    books.book(&events);
    assert_eq!(books.ours, books.theirs);
}

#[test]
fn an_early_end_on_a_future_is_believed_of_an_assignment_alone() {
    let before = NOW.minus(std::time::Duration::from_secs(86_400));
    for (held, told) in [(-3, 1), (3, 0)] {
        let mut books = Books::default();
        let later = NOW.plus(std::time::Duration::from_secs(86_400));
        books.catalog.insert(future(FUTURE, later)).unwrap();
        books.hold(future_option(2, Right::Call, 100), held);
        books.theirs = BTreeMap::from([(FUTURE, Quantity(held))]);
        assert_eq!(books.explain(before).len(), told, "{held}");
    }
}

#[test]
fn an_option_that_ended_with_its_future_is_settled_in_cash_if_no_other_future_moved_it() {
    for other in [0, 1] {
        let mut books = Books::default();
        books.catalog.insert(future(FUTURE, NOW)).unwrap();
        let later = NOW.plus(std::time::Duration::from_secs(86_400));
        books.hold(future(OTHER_FUTURE, later), other);
        books.hold(future_option(2, Right::Call, 100), 2);
        books.theirs.remove(&ConId(2));
        books.cash = Money::from_units(4 * 2 * 50);
        let events = books.explain(NOW);
        let settled: Vec<Money> = events
            .iter()
            .map(|event| match event.kind {
                LifecycleKind::CashSettled { amount, .. } => amount,
                ref other => panic!("{other:?}"),
            })
            .collect();
        let told = if other == 0 { vec![books.cash] } else { Vec::new() };
        assert_eq!(settled, told);
    }
}

fn right() -> impl Strategy<Value = Right> {
    prop_oneof![Just(Right::Call), Just(Right::Put)]
}

proptest! {
    #[test]
    fn every_delivery_of_futures_is_told_whatever_cash_their_variation_moved(
        lines in proptest::collection::vec((right(), 80_i64..120, -5_i64..6), 1..7),
        held in -3_i64..4,
        variation_cents in -1_000_000_i64..1_000_000,
        price_cents in 7_000_i64..13_000,
    ) {
        let mut books = Books::default();
        books.hold(future(FUTURE, NOW.plus(std::time::Duration::from_secs(86_400))), held);
        for (number, (right, strike, quantity)) in (2..).zip(lines) {
            books.hold(future_option(number, right, strike), quantity);
        }
        let price = Price::from_micros(price_cents * 10_000);
        books.spot = Some(price);
        books.settle(price);
        books.cash += Money::from_micros(variation_cents * 10_000);
        let events = books.explain(NOW);
        books.book(&events);
        prop_assert_eq!(books.ours, books.theirs);
    }

    #[test]
    fn every_settlement_is_told_so_that_nothing_differs_after_it(
        lines in proptest::collection::vec((right(), 80_i64..120, -5_i64..6), 1..7),
        in_cash in any::<bool>(),
        price_cents in 7_000_i64..13_000,
    ) {
        let settlement = if in_cash { Settlement::Cash } else { Settlement::Physical };
        let mut books = Books::default();
        for (number, (right, strike, quantity)) in (2..).zip(lines) {
            books.hold(option(number, right, strike, settlement), quantity);
        }
        let price = Price::from_micros(price_cents * 10_000);
        books.spot = Some(price);
        books.settle(price);
        let events = books.explain(NOW);
        books.book(&events);
        prop_assert_eq!(books.ours, books.theirs);
        prop_assert!(books.cash.abs() <= CASH_TOLERANCE, "{}", books.cash);
    }
}
