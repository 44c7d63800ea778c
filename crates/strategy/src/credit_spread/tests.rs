//! Scenarios of the credit spread.

use super::*;
use crate::builtin::build;
use crate::fixture::{
    Desk, at, catalog, days, keys, model, only, positions_of, spoil, tome, view, view_with,
};
use crate::tome::Parameters;
use market::instrument::InstrumentKind;
use market::money::Price;

fn desk(catalog: &Catalog, change: impl FnOnce(&mut CreditSpreadParameters)) -> Desk {
    let mut tome = tome("credit_spread_simx");
    let Parameters::CreditSpread(own) = &mut tome.parameters else { panic!("a credit spread") };
    own.width = 4.0;
    own.min_credit = 0.2;
    own.units = 3;
    own.short_delta_percent = 31;
    change(own);
    Desk::new(build(&tome, catalog, keys("credit_spread_simx", 1), None).unwrap())
}

fn index() -> Catalog {
    catalog(InstrumentKind::Index)
}

/// Has sold three put verticals 96 / 92 at second 1.
fn holding(catalog: &Catalog, change: impl FnOnce(&mut CreditSpreadParameters)) -> Desk {
    let mut desk = desk(catalog, change);
    desk.attach(Vec::new());
    let view = view(catalog, 100.0, at(1));
    let entry = only(desk.show(1, &view));
    assert_eq!(positions_of(&entry.target), [(2092, 3), (2096, -3)]);
    assert!(desk.fill(&entry, &view).is_empty());
    desk
}

#[test]
fn it_sells_the_vertical_by_delta_and_width_at_a_credit() {
    let catalog = index();
    let mut desk = desk(&catalog, |_| {});
    let market = view(&catalog, 100.0, at(1));
    assert!(desk.show(1, &market).is_empty(), "not attached yet");
    let entry = only(desk.attach(Vec::new()));
    assert_eq!(entry.purpose, Purpose::Entry);
    assert_eq!(positions_of(&entry.target), [(2092, 3), (2096, -3)]);
    let side = |id| *market.line(ConId(id)).unwrap().quote();
    let net = side(2096).bid.unwrap().price - side(2092).ask.unwrap().price;
    assert_eq!(entry.limit, net);
    assert!(entry.limit >= Price::from_micros(200_000));
}

#[test]
fn calls_are_sold_above_the_market() {
    let catalog = index();
    let mut desk = desk(&catalog, |own| own.side = SpreadSide::Call);
    desk.attach(Vec::new());
    let entry = only(desk.show(1, &view(&catalog, 100.0, at(1))));
    assert_eq!(positions_of(&entry.target), [(1104, -3), (1108, 3)]);
}

#[test]
fn a_spread_is_sold_at_the_edge_that_the_tome_asks_for_and_bought_back_without() {
    let catalog = index();
    let ask_for = |least, standard_error| {
        let mut desk = desk(&catalog, |own| own.entry_edge_standard_errors_min = least);
        desk.attach(Vec::new());
        let mut market = view(&catalog, 100.0, at(1));
        model(&mut market, 0.0, standard_error);
        (desk.show(1, &market), desk)
    };
    let market = view(&catalog, 100.0, at(1));
    let mid = |id| market.line(ConId(id)).unwrap().quote().mid().unwrap().to_f64();
    let given = mid(2096) - mid(2092) - only(ask_for(None, 1.0).0).limit.to_f64();
    // With errors of what crossing gives away on each leg it is 1 / sqrt(2) of them together.
    assert!(given > 0.0 && ask_for(Some(-0.7), given).0.is_empty());
    let (entries, mut desk) = ask_for(Some(-0.71), given);
    desk.fill(&only(entries), &view(&catalog, 100.0, at(1)));
    let mut cheap = view_with(&catalog, 100.0, 1.5, at(3));
    model(&mut cheap, -1.0, 0.001);
    assert_eq!(only(desk.show(3, &cheap)).purpose, Purpose::Exit, "an exit is no entry");
}

#[test]
fn too_small_a_credit_is_left() {
    let catalog = index();
    let mut desk = desk(&catalog, |own| own.min_credit = 3.0);
    desk.attach(Vec::new());
    assert!(desk.show(1, &view(&catalog, 100.0, at(1))).is_empty());
}

#[test]
fn it_buys_back_at_the_profit_target_and_at_the_stop() {
    let catalog = index();
    let mut desk = holding(&catalog, |_| {});
    assert!(desk.show(2, &view(&catalog, 100.0, at(2))).is_empty());
    let cheap = view_with(&catalog, 100.0, 1.5, at(3));
    let exit = only(desk.show(3, &cheap));
    assert_eq!(
        (exit.purpose, positions_of(&exit.target)),
        (Purpose::Exit, vec![(2092, 0), (2096, 0)])
    );
    assert!(desk.fill(&exit, &cheap).is_empty() && desk.positions.is_empty());
    let mut desk = holding(&catalog, |own| own.stop_percent = 200);
    assert!(desk.show(2, &view(&catalog, 99.0, at(2))).is_empty());
    let stop = only(desk.show(3, &view(&catalog, 93.0, at(3))));
    assert_eq!(stop.purpose, Purpose::Exit);
}

#[test]
fn near_expiry_it_closes_or_lets_expire_as_told() {
    let catalog = index();
    let second = days(30) - 3 * 3600;
    let quiet = |own: &mut CreditSpreadParameters| {
        (own.profit_percent, own.stop_percent) = (1, 10_000);
    };
    let mut desk = holding(&catalog, quiet);
    assert_eq!(desk.show(second, &view(&catalog, 100.0, at(second))).len(), 1);
    let mut desk = holding(&catalog, |own| {
        quiet(own);
        own.at_expiry = AtExpiry::LetExpire;
    });
    assert!(desk.show(second, &view(&catalog, 100.0, at(second))).is_empty());
    desk.positions.clear();
    desk.now = at(days(30));
    assert!(desk.tell(StrategyEvent::PositionsChanged(desk.positions.clone())).is_empty());
    let later = days(30) + 3600;
    let next = only(desk.show(later, &view(&catalog, 100.0, at(later))));
    assert_eq!(positions_of(&next.target), [(4092, 3), (4096, -3)], "the next expiry");
}

#[test]
fn without_a_bid_for_the_wing_the_sold_option_is_bought_back_alone() {
    let catalog = index();
    let mut desk = holding(&catalog, |_| {});
    let second = days(30) - 3600;
    let mut market = view(&catalog, 100.0, at(second));
    spoil(&mut market, 2092);
    let exit = only(desk.show(second, &market));
    assert_eq!(positions_of(&exit.target), [(2096, 0)]);
}

#[test]
fn an_assignment_leaves_nothing_behind() {
    let catalog = catalog(InstrumentKind::Stock);
    let mut desk = holding(&catalog, |_| {});
    desk.positions.remove(&ConId(2096));
    desk.positions.insert(ConId(1), Quantity(300));
    assert!(desk.tell(StrategyEvent::PositionsChanged(desk.positions.clone())).is_empty());
    let market = view(&catalog, 93.0, at(10));
    let out = desk.show(10, &market);
    let targets: Vec<_> = out.iter().map(|intent| positions_of(&intent.target)).collect();
    assert_eq!(targets, [vec![(1, 0)], vec![(2092, 0)]]);
    assert!(out.iter().all(|intent| intent.purpose == Purpose::Exit));
}

#[test]
fn an_uneven_vertical_loses_its_sold_side_first() {
    let catalog = index();
    let mut desk = holding(&catalog, |_| {});
    desk.positions.insert(ConId(2092), Quantity(1));
    assert!(desk.tell(StrategyEvent::PositionsChanged(desk.positions.clone())).is_empty());
    let market = view(&catalog, 100.0, at(10));
    let first = only(desk.show(10, &market));
    assert_eq!(positions_of(&first.target), [(2096, 0)]);
    let second = only(desk.fill(&first, &market));
    assert_eq!(positions_of(&second.target), [(2092, 0)]);
}

/// Found by the campaign of link faults: a leg that couldn't be closed for want of a quote had its
/// strategy woken without a pause, a thousand times a second, from the end of the grace on.
#[test]
fn an_uneven_position_that_can_not_be_closed_asks_for_no_wake_in_the_past() {
    let catalog = index();
    let mut desk = holding(&catalog, |own| own.uneven_grace_seconds = 5);
    desk.positions.remove(&ConId(2092));
    let began = desk.now.market;
    desk.tell(StrategyEvent::PositionsChanged(desk.positions.clone()));
    let grace = std::time::Duration::from_secs(5);
    assert_eq!(desk.strategy.next_wake(), Some(began.plus(grace)));
    let unquoted = |seconds| {
        let mut market = view(&catalog, 100.0, at(seconds));
        spoil(&mut market, 2096);
        market
    };
    assert!(desk.show(16, &unquoted(16)).is_empty(), "it can't be closed");
    assert_eq!(desk.strategy.next_wake(), None);
    let closed = only(desk.show(17, &view(&catalog, 100.0, at(17))));
    assert_eq!(positions_of(&closed.target), [(2096, 0)]);
}

#[test]
fn a_clean_restart_takes_the_market_as_its_basis() {
    let catalog = index();
    let mut before = holding(&catalog, |_| {});
    let positions = std::mem::take(&mut before.positions);
    let mut desk = desk(&catalog, |_| {});
    desk.positions = positions;
    assert!(desk.attach(Vec::new()).is_empty());
    assert!(desk.show(2, &view_with(&catalog, 100.0, 1.5, at(2))).is_empty(), "the new basis");
    assert_eq!(desk.show(3, &view_with(&catalog, 100.0, 0.5, at(3))).len(), 1);
}
