//! The ledger against figures worked out by hand, and against itself in any order of arrival.

use super::*;
use crate::id::{OrderId, PermId};
use crate::lifecycle::Delivery;
use market::money::Multiplier;
use market::quote::Side;
use market::time::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn price(text: &str) -> Price {
    Price::parse(text).unwrap()
}

fn terms(multiplier: u32, margined_daily: bool) -> Terms {
    Terms { multiplier: Multiplier(multiplier), currency: Currency::USD, margined_daily }
}

fn fill(exec_id: &str, con_id: u32, signed: i64, price: Price, second: i64) -> Fill {
    Fill {
        exec_id: ExecId(exec_id.to_owned()),
        order_id: OrderId(1),
        perm_id: PermId(1),
        reference: String::new(),
        con_id: ConId(con_id),
        side: if signed > 0 { Side::Buy } else { Side::Sell },
        quantity: Quantity(signed.abs()),
        price,
        time: Timestamp::from_seconds(second),
        combo_leg: false,
    }
}

fn event(id: &str, second: i64, kind: LifecycleKind) -> LifecycleEvent {
    LifecycleEvent {
        id: LifecycleId(id.to_owned()),
        kind,
        currency: Currency::USD,
        time: Timestamp::from_seconds(second),
    }
}

fn strategy(name: &str) -> StrategyId {
    StrategyId::new(name).unwrap()
}

fn usd(amounts: &BTreeMap<Currency, Money>) -> Money {
    amounts.get(&Currency::USD).copied().unwrap_or_default()
}

fn book(ledger: &mut Ledger, event: &LifecycleEvent) {
    let shares = ledger.shares_of(&event.kind);
    ledger.lifecycle(event, &shares);
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

fn con(row: &Value, field: &str) -> ConId {
    ConId(u32::try_from(row[field].as_u64().unwrap()).unwrap())
}

#[track_caller]
fn check_figures(ledger: &Ledger, figures: &Value) {
    assert_eq!(usd(&ledger.cash()), money(text(figures, "cash")));
    assert_eq!(usd(ledger.fees()), money(text(figures, "fees")));
    // The fixture counts dividends apart; here they are part of what a position realised.
    let total = money(text(figures, "realised_total")) + money(text(figures, "dividends"));
    assert_eq!(usd(&ledger.realised()), total);
    let positions: BTreeMap<ConId, Quantity> = figures["positions"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, held)| (ConId(id.parse().unwrap()), Quantity(held.as_i64().unwrap())))
        .collect();
    assert_eq!(*ledger.positions(), positions);
}

#[test]
fn the_ten_trade_day_comes_to_the_figures_worked_out_by_hand() {
    let day: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/ten_trade_day.json"))
            .unwrap();
    let mut ledger = Ledger::default();
    let amount = money(text(&day, "starting_cash"));
    book(&mut ledger, &event("start", 0, LifecycleKind::Cash { amount }));
    for row in day["instruments"].as_array().unwrap() {
        let multiplier = u32::try_from(row["multiplier"].as_u64().unwrap()).unwrap();
        let future = text(row, "kind") == "future";
        ledger.learn(con(row, "con_id"), terms(multiplier, future));
    }
    for (index, row) in day["trades"].as_array().unwrap().iter().enumerate() {
        let second = 10 * (index as i64 + 1);
        let sign = if text(row, "side") == "buy" { 1 } else { -1 };
        let signed = sign * row["quantity"].as_i64().unwrap();
        let con_id = con(row, "con_id");
        let exec = format!("e{index}.01");
        let trade = fill(&exec, con_id.0, signed, price(text(row, "price")), second);
        ledger.fill(&trade, Some(&strategy("one")));
        ledger.fee(&trade.exec_id, money(text(row, "fee")), Currency::USD);
        if let Some(amount) = row["variation"].as_str() {
            let kind =
                LifecycleKind::Variation { con_id, mark: trade.price, amount: money(amount) };
            book(&mut ledger, &event(&format!("v{index}"), second + 1, kind));
        }
    }
    for (second, part) in [(1000, "events_after_the_day"), (2000, "events_at_expiry")] {
        for (index, row) in day[part].as_array().unwrap().iter().enumerate() {
            let con_id = con(row, "con_id");
            let quantity = Quantity(row["quantity"].as_i64().unwrap_or_default());
            let delivery = row["delivered_con_id"].is_u64().then(|| Delivery {
                con_id: con(row, "delivered_con_id"),
                quantity: Quantity(row["delivered_quantity"].as_i64().unwrap()),
                price: price(text(row, "price")),
            });
            let kind = match text(row, "event") {
                "assigned" => LifecycleKind::Assigned { con_id, quantity, delivery },
                "exercised" => LifecycleKind::Exercised { con_id, quantity, delivery },
                "expired" => LifecycleKind::Expired { con_id, quantity },
                _ => LifecycleKind::Dividend { con_id, amount: money(text(row, "amount")) },
            };
            book(&mut ledger, &event(&format!("{part}{index}"), second + index as i64, kind));
        }
        let after = if second == 1000 { "after_the_day" } else { "after_expiry" };
        check_figures(&ledger, &day[after]);
    }
    // One strategy did it all, so its book is the account's but for the deposit.
    let own = usd(&ledger.strategy_cash(&strategy("one")));
    assert_eq!(own, usd(&ledger.cash()) - money(text(&day, "starting_cash")));
}

#[test]
fn a_correction_after_the_close_changes_what_was_realised() {
    let mut ledger = Ledger::default();
    ledger.learn(ConId(1), terms(100, false));
    ledger.fill(&fill("a.01", 1, 2, price("1.00"), 1), None);
    ledger.fill(&fill("b.01", 1, -2, price("1.50"), 2), None);
    assert_eq!(usd(&ledger.realised()), money("100.00"));
    ledger.fill(&fill("a.02", 1, 2, price("1.20"), 1), None);
    assert_eq!(usd(&ledger.realised()), money("60.00"));
    assert_eq!(usd(&ledger.cash()), money("60.00"));
    assert_eq!(ledger.judge(&ExecId("a.01".into())), Judgement::Superseded);
}

#[test]
fn a_bust_removes_its_revision_and_a_later_correction_books_again() {
    let mut ledger = Ledger::default();
    ledger.learn(ConId(1), terms(100, false));
    ledger.bust(&ExecId("a.01".into()));
    assert_eq!(ledger.judge(&ExecId("a.01".into())), Judgement::AlreadyBusted);
    ledger.fill(&fill("a.01", 1, 2, price("1.00"), 1), None);
    assert!(ledger.positions().is_empty() && usd(&ledger.cash()).is_zero());
    ledger.fill(&fill("a.02", 1, 1, price("1.00"), 1), None);
    assert_eq!(ledger.position(ConId(1)), Quantity(1));
}

#[test]
fn shares_of_an_assignment_go_by_what_each_strategy_is_short() {
    let mut ledger = Ledger::default();
    ledger.learn(ConId(1), terms(100, false));
    for (exec, signed, owner) in [("a.1", -2, "one"), ("b.1", -1, "two"), ("c.1", 1, "three")] {
        ledger.fill(&fill(exec, 1, signed, price("1.00"), 1), Some(&strategy(owner)));
    }
    let kind = LifecycleKind::Assigned {
        con_id: ConId(1),
        quantity: Quantity(-2),
        delivery: Some(Delivery { con_id: ConId(9), quantity: Quantity(-200), price: price("50") }),
    };
    let shares = ledger.shares_of(&kind);
    let part = |owner: &str, con_id: u32| {
        let found = shares.iter().find(|s| s.0 == strategy(owner) && s.1 == ConId(con_id));
        found.map_or(0, |share| share.2.0)
    };
    assert_eq!(part("one", 1) + part("two", 1), 2);
    assert_eq!(part("three", 1), 0);
    assert_eq!(part("one", 9) + part("two", 9), -200);
    assert_eq!(part("one", 9), -100 * part("one", 1));
}

/// One fact that may arrive at any place in the order.
#[derive(Clone, Debug)]
enum Fact {
    Fill(Fill, StrategyId),
    Bust(ExecId),
    Fee(ExecId, Money),
    Expiry(i64),
}

fn apply(ledger: &mut Ledger, fact: &Fact) {
    match fact {
        Fact::Fill(fill, owner) => ledger.fill(fill, Some(owner)),
        Fact::Bust(exec_id) => ledger.bust(exec_id),
        Fact::Fee(exec_id, amount) => ledger.fee(exec_id, *amount, Currency::USD),
        Fact::Expiry(quantity) => {
            let kind = LifecycleKind::Expired { con_id: ConId(1), quantity: Quantity(*quantity) };
            ledger.lifecycle(&event("expiry", 100, kind), &Vec::new());
        }
    }
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let trade = (0..6_u32, 1..4_u32, 1..3_u32, -3..4_i64, 1..500_i64, 0..2_u32);
    let trades = proptest::collection::vec(trade, 1..24);
    let busts = proptest::collection::vec((0..6_u32, 1..4_u32), 0..3);
    let fees = proptest::collection::vec((0..6_u32, 1..4_u32), 0..8);
    (trades, busts, fees, any::<bool>()).prop_map(|(trades, busts, fees, expiry)| {
        let id = |stem: u32, revision: u32| ExecId(format!("x{stem}.{revision:02}"));
        // What an id means is a function of the id, as it is at a broker.
        let mut seen = BTreeMap::new();
        let mut facts = Vec::new();
        for (stem, revision, con_id, signed, cents, owner) in trades {
            let signed = if signed == 0 { 1 } else { signed };
            let price = Price::from_micros(cents * 10_000);
            let name = id(stem, revision).0;
            let new = fill(&name, con_id, signed, price, i64::from(stem / 2));
            let owner = strategy(if owner == 0 { "one" } else { "two" });
            let known = seen.entry(name).or_insert((new, owner)).clone();
            facts.push(Fact::Fill(known.0, known.1));
        }
        facts.extend(busts.into_iter().map(|(stem, revision)| Fact::Bust(id(stem, revision))));
        let fee = |(stem, revision): (u32, u32)| {
            Fact::Fee(id(stem, revision), Money::from_micros(i64::from(10 * stem + revision)))
        };
        facts.extend(fees.into_iter().map(fee));
        if expiry {
            facts.push(Fact::Expiry(1));
        }
        facts
    })
}

fn folded<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.learn(ConId(1), terms(100, false));
    ledger.learn(ConId(2), terms(50, true));
    facts.into_iter().for_each(|fact| apply(&mut ledger, fact));
    ledger
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn books_depend_on_the_facts_and_not_on_their_order(
        (facts, shuffled) in facts().prop_flat_map(|facts| {
            let mut twice = facts.clone();
            twice.extend(facts.clone());
            (Just(facts), Just(twice).prop_shuffle())
        })
    ) {
        let one = folded(&facts);
        let other = folded(&shuffled);
        // The owner of an execution may be given by a superseded revision; the money is the same.
        prop_assert_eq!(one.positions(), other.positions());
        prop_assert_eq!(one.cash(), other.cash());
        prop_assert_eq!(one.realised(), other.realised());
        prop_assert_eq!(usd(one.fees()), usd(other.fees()));
    }

    #[test]
    fn cash_and_cost_and_result_are_one_equation(facts in facts()) {
        let ledger = folded(&facts);
        // For each holding: cash = realised - cost of what is open; so cash = result at cost.
        for (_, holding, terms) in ledger.holdings() {
            let open = if terms.is_some_and(|terms| terms.margined_daily) {
                Money::ZERO
            } else {
                holding.cost
            };
            prop_assert_eq!(holding.cash, holding.realised - open);
        }
        let held: Money = ledger.holdings().map(|(_, holding, _)| holding.cash).sum();
        prop_assert_eq!(usd(&ledger.cash()), held - usd(ledger.fees()));
    }

    #[test]
    fn strategies_add_up_to_the_account_before_events(facts in facts()) {
        let trades = facts.iter().filter(|fact| !matches!(fact, Fact::Expiry(_)));
        let ledger = folded(trades);
        for (con_id, quantity) in ledger.positions().clone() {
            let owners = ledger.strategies();
            let held: Quantity =
                owners.iter().map(|owner| ledger.strategy_position(owner, con_id)).sum();
            prop_assert_eq!(held, quantity);
        }
    }

    #[test]
    fn a_ledger_read_back_is_the_ledger_that_was_written(facts in facts()) {
        let ledger = folded(&facts);
        let bytes = rmp_serde::to_vec_named(&ledger).unwrap();
        let read: Ledger = rmp_serde::from_slice(&bytes).unwrap();
        // The sums are not written, so this compares those kept with those made again.
        prop_assert_eq!(&read, &ledger);
        prop_assert_eq!(rmp_serde::to_vec_named(&read).unwrap(), bytes);
    }

    #[test]
    fn sums_are_what_the_holdings_add_up_to(facts in facts()) {
        let ledger = folded(&facts);
        let realised: Money = ledger.holdings().map(|(_, holding, _)| holding.realised).sum();
        prop_assert_eq!(usd(&ledger.realised()), realised);
        let held: BTreeMap<ConId, Quantity> =
            ledger.holdings().map(|(con_id, holding, _)| (con_id, holding.quantity)).collect();
        for (con_id, quantity) in held {
            prop_assert_eq!(ledger.position(con_id), quantity);
            prop_assert_eq!(ledger.positions().contains_key(&con_id), !quantity.is_zero());
        }
        for owner in ledger.strategies() {
            let own: Vec<Holding> =
                ledger.strategy_holdings(&owner).map(|(_, holding, _)| *holding).collect();
            prop_assert!(!own.is_empty());
            let realised: Money = own.iter().map(|holding| holding.realised).sum();
            prop_assert_eq!(usd(&ledger.strategy_realised(&owner)), realised);
            let cash: Money = own.iter().map(|holding| holding.cash).sum();
            let fees = usd(&ledger.strategy_fees(&owner));
            prop_assert_eq!(usd(&ledger.strategy_cash(&owner)), cash - fees);
        }
    }
}
