//! Scenarios of the gamma scalper.

use super::*;
use crate::builtin::build;
use crate::fixture::{
    Desk, at, catalog, days, future, keys, model, only, positions_of, tome, view, view_with,
};
use crate::strategy::Outcome;
use crate::tome::Parameters;
use market::instrument::InstrumentKind;
use market::quote::Side;
use trading::denial::{Denial, DenialCode};
use trading::trading_state::TradingState;

fn desk(catalog: &Catalog, change: impl FnOnce(&mut GammaScalperParameters)) -> Desk {
    let mut tome = tome("gamma_scalper_sim");
    let Parameters::GammaScalper(own) = &mut tome.parameters else { panic!("a gamma scalper") };
    own.restrike_basis_points = 500;
    own.hedge_band_units = 30.0;
    own.units = 2;
    own.take_profit = 1e6;
    own.stop_loss = 1e6;
    change(own);
    Desk::new(build(&tome, catalog, keys("gamma_scalper_sim", 1), None).unwrap())
}

fn stock() -> Catalog {
    catalog(InstrumentKind::Stock)
}

/// Holds two straddles at 100, bought at second 1.
fn holding(catalog: &Catalog, change: impl FnOnce(&mut GammaScalperParameters)) -> Desk {
    let mut desk = desk(catalog, change);
    desk.attach(Vec::new());
    let view = view(catalog, 100.0, at(1));
    let entry = only(desk.show(1, &view));
    assert!(desk.fill(&entry, &view).is_empty());
    desk
}

#[test]
fn it_buys_the_straddle_next_to_the_money_once_it_is_attached() {
    let catalog = stock();
    let mut desk = desk(&catalog, |_| {});
    let market = view(&catalog, 100.7, at(1));
    assert!(desk.show(1, &market).is_empty(), "not attached yet");
    let entry = only(desk.attach(Vec::new()));
    assert_eq!(entry.purpose, Purpose::Entry);
    assert_eq!(positions_of(&entry.target), [(1100, 2), (2100, 2)]);
    assert_eq!(entry.valid_until, at(31).market);
    let ask = |id| market.line(ConId(id)).unwrap().quote().ask.unwrap().price;
    assert!(entry.limit >= ask(1100) + ask(2100));
    assert!(entry.limit - ask(1100) - ask(2100) < Price::from_micros(50_000));
    assert!(desk.show(2, &view(&catalog, 100.7, at(2))).is_empty(), "one is live");
}

#[test]
fn an_entry_that_gives_away_more_standard_errors_than_the_tome_allows_is_left() {
    let catalog = stock();
    let limit = |least: Option<f64>, modelled: Option<(f64, f64)>| {
        let mut desk = desk(&catalog, |own| own.entry_edge_standard_errors_min = least);
        desk.attach(Vec::new());
        let mut market = view(&catalog, 100.0, at(1));
        if let Some((above, standard_error)) = modelled {
            model(&mut market, above, standard_error);
        }
        desk.show(1, &market).first().map(|entry| entry.limit.to_f64())
    };
    let market = view(&catalog, 100.0, at(1));
    let mid = |id| market.line(ConId(id)).unwrap().quote().mid().unwrap().to_f64();
    // What crossing gives away to both mids together, with errors of a quarter of it on each leg:
    // 4 / sqrt(2) standard errors, about 2.83.
    let given = limit(None, None).unwrap() - mid(1100) - mid(2100);
    let error = given / 4.0;
    assert!(given > 0.0);
    let bought = |least, above, error| limit(Some(least), Some((above, error))).is_some();
    assert!(bought(-2.9, 0.0, error) && !bought(-2.8, 0.0, error));
    assert!(bought(-2.8, 0.0, 1.1 * error), "a less certain value objects less");
    // Each leg worth as much more as both together give away: the edge is as much to the good.
    assert!(bought(2.8, given, error) && !bought(2.9, given, error));
    assert_eq!(limit(Some(-100.0), None), None, "no model value");
    assert!(limit(None, Some((-1.0, 0.01))).is_some(), "the tome does not ask");
}

#[test]
fn an_unfilled_entry_is_replaced_after_its_validity() {
    let catalog = stock();
    let mut desk = desk(&catalog, |_| {});
    desk.attach(Vec::new());
    let first = only(desk.show(1, &view(&catalog, 100.0, at(1))));
    let wake = desk.strategy.next_wake().unwrap();
    assert!(wake > first.valid_until && desk.show(31, &view(&catalog, 100.0, at(31))).is_empty());
    desk.now = Now { market: wake, ..at(31) };
    let second = only(desk.tell(StrategyEvent::Wake));
    assert!(second.key > first.key);
}

#[test]
fn it_hedges_outside_the_band_and_leaves_alone_what_is_inside() {
    let catalog = stock();
    let mut desk = holding(&catalog, |_| {});
    assert!(desk.show(2, &view(&catalog, 100.5, at(2))).is_empty());
    let market = view(&catalog, 102.0, at(3));
    let hedge = only(desk.show(3, &market));
    assert_eq!(hedge.purpose, Purpose::Hedge);
    // Delta of a call 2 in the money: 1 / (1 + e^-0.4) = 0.5987; twice that less one, for 200
    // units.
    assert_eq!(positions_of(&hedge.target), [(1, -39)]);
    assert_eq!(hedge.limit, market.underlyings[0].quote.bid.unwrap().price);
    assert!(desk.fill(&hedge, &market).is_empty());
    assert!(desk.show(4, &view(&catalog, 102.0, at(4))).is_empty());
}

#[test]
fn on_futures_it_hedges_in_whole_contracts() {
    let catalog = catalog(future());
    let mut desk = holding(&catalog, |own| {
        own.units = 4;
        own.hedge_max = 2;
    });
    let market = view(&catalog, 103.0, at(2));
    let hedge = only(desk.show(2, &market));
    // 4 * (2 * 0.6457 - 1) = 1.17 contracts.
    assert_eq!(positions_of(&hedge.target), [(1, -1)]);
    desk.fill(&hedge, &market);
    let far = only(desk.show(3, &view(&catalog, 104.9, at(3))));
    // 4 * (2 * 0.7271 - 1) = 1.82 contracts.
    assert_eq!(positions_of(&far.target), [(1, -2)]);
}

#[test]
fn it_closes_by_time_distance_and_result() {
    let catalog = stock();
    let closes = |change: fn(&mut GammaScalperParameters), second, spot, time_value| {
        let mut desk = holding(&catalog, change);
        let market = view_with(&catalog, spot, time_value, at(second));
        let out = desk.show(second, &market);
        out.into_iter().find(|intent| intent.purpose == Purpose::Exit)
    };
    assert_eq!(closes(|_| {}, 60, 100.0, 4.0), None);
    assert!(closes(|_| {}, days(29), 100.0, 4.0).is_some(), "days to expiry");
    assert!(closes(|_| {}, 60, 107.0, 4.0).is_some(), "distance");
    assert!(closes(|own| own.take_profit = 300.0, 60, 100.0, 5.0).is_some(), "profit");
    assert!(closes(|own| own.stop_loss = 300.0, 60, 100.0, 3.0).is_some(), "loss");
    let exit = closes(|own| own.stop_loss = 300.0, 60, 100.0, 3.0).unwrap();
    assert_eq!(positions_of(&exit.target), [(1100, 0), (2100, 0)]);
}

#[test]
fn after_the_straddle_the_hedge_is_closed_and_the_next_campaign_waits() {
    let catalog = stock();
    let mut desk = holding(&catalog, |own| own.pause_seconds = 100);
    let market = view(&catalog, 104.0, at(2));
    let hedge = only(desk.show(2, &market));
    desk.fill(&hedge, &market);
    let gone = view(&catalog, 107.0, at(3));
    let out = desk.show(3, &gone);
    let exit = out.iter().find(|intent| intent.purpose == Purpose::Exit).unwrap();
    let other = out.iter().find(|intent| intent.purpose == Purpose::Hedge).unwrap();
    desk.fill(other, &gone);
    let flat = only(desk.fill(exit, &gone));
    assert_eq!((flat.purpose, positions_of(&flat.target)), (Purpose::Exit, vec![(1, 0)]));
    assert!(desk.fill(&flat, &gone).is_empty());
    assert!(desk.positions.is_empty());
    assert!(desk.show(50, &view(&catalog, 107.0, at(50))).is_empty());
    let next = only(desk.show(104, &view(&catalog, 107.0, at(104))));
    assert_eq!(positions_of(&next.target), [(1106, 2), (2106, 2)]);
}

#[test]
fn denials_do_not_become_a_storm() {
    let catalog = stock();
    let mut desk = desk(&catalog, |own| {
        own.order.backoff_first_seconds = 5;
        own.order.backoff_max_seconds = 60;
    });
    desk.attach(Vec::new());
    let mut count = 0;
    for second in 1..600 {
        for intent in desk.show(second, &view(&catalog, 100.0, at(second))) {
            count += 1;
            let denial = Denial::new(DenialCode::MarginLimit, "too much".into());
            let outcome = Outcome::Denied(denial);
            let again = desk.tell(StrategyEvent::Outcome { key: intent.key, outcome });
            assert!(again.is_empty());
        }
    }
    // 5 + 10 + 20 + 40 seconds, then one a minute.
    assert!((10..=15).contains(&count), "{count}");
}

#[test]
fn halted_wishes_nothing_and_reduce_only_no_entry() {
    let catalog = stock();
    let mut fresh = desk(&catalog, |_| {});
    fresh.attach(Vec::new());
    fresh.tell(StrategyEvent::StateChanged(TradingState::ReduceOnly));
    assert!(fresh.show(1, &view(&catalog, 100.0, at(1))).is_empty());
    let mut desk = holding(&catalog, |_| {});
    desk.tell(StrategyEvent::StateChanged(TradingState::Halted));
    assert!(desk.show(2, &view(&catalog, 103.0, at(2))).is_empty());
    let reduce_only = StrategyEvent::StateChanged(TradingState::ReduceOnly);
    assert_eq!(only(desk.tell(reduce_only)).purpose, Purpose::Hedge);
}

#[test]
fn a_restart_with_the_same_position_wishes_for_nothing_more() {
    let catalog = stock();
    let mut before = holding(&catalog, |_| {});
    let durable = before.strategy.durable();
    let tome = tome("gamma_scalper_sim");
    let keys = keys("gamma_scalper_sim", 2);
    let after = build(&tome, &catalog, keys, Some(&durable)).unwrap();
    assert_eq!(after.durable(), durable);
    let mut desk = Desk::new(after);
    desk.positions = std::mem::take(&mut before.positions);
    assert!(desk.attach(Vec::new()).is_empty());
    assert!(desk.show(5, &view(&catalog, 100.0, at(5))).is_empty());
    assert_eq!(desk.strategy.durable(), durable);
}

#[test]
fn a_lone_leg_is_closed_after_the_grace() {
    let catalog = stock();
    let mut desk = holding(&catalog, |own| own.hedge_max = 0);
    desk.positions.remove(&ConId(2100));
    let positions = desk.positions.clone();
    assert!(desk.tell(StrategyEvent::PositionsChanged(positions)).is_empty());
    let market = view(&catalog, 100.0, at(2));
    assert!(desk.show(2, &market).is_empty());
    let close = only(desk.show(6, &view(&catalog, 100.0, at(6))));
    assert_eq!((close.purpose, positions_of(&close.target)), (Purpose::Exit, vec![(1100, 0)]));
}

#[test]
fn a_fill_books_once_and_a_correction_replaces_it() {
    let catalog = stock();
    let mut desk = holding(&catalog, |_| {});
    let durable = desk.strategy.durable();
    let fill = trading::report::Fill {
        exec_id: trading::id::ExecId("e1.01".into()),
        order_id: trading::id::OrderId(1),
        perm_id: trading::id::PermId(1),
        reference: String::new(),
        con_id: ConId(1100),
        side: Side::Buy,
        quantity: Quantity(2),
        price: Price::from_units(4),
        time: at(1).market,
        combo_leg: true,
    };
    desk.tell(StrategyEvent::Filled { fill: &fill });
    assert_eq!(desk.strategy.durable(), durable);
    let corrected = trading::report::Fill { exec_id: trading::id::ExecId("e1.02".into()), ..fill };
    desk.tell(StrategyEvent::Filled { fill: &corrected });
    assert_ne!(desk.strategy.durable(), durable);
}

#[test]
fn an_index_can_not_be_hedged_with() {
    let catalog = catalog(InstrumentKind::Index);
    let made = build(&tome("gamma_scalper_sim"), &catalog, keys("gamma_scalper_sim", 1), None);
    let error = made.err().unwrap();
    assert!(matches!(error, BuildError::NoHedge { .. }));
    assert!(
        error.to_string().contains("symbol is TEST, allowed are products with a stock or future")
    );
}

#[test]
fn a_position_in_a_stranger_asks_for_quarantine_once() {
    let catalog = stock();
    let mut desk = desk(&catalog, |_| {});
    desk.positions.insert(ConId(77), Quantity(1));
    let positions = desk.positions.clone();
    let event = StrategyEvent::Attached { positions, live: Vec::new(), next_seq: 1 };
    let effects = desk.strategy.on(event, at(0));
    assert!(matches!(&effects[..], [StrategyEffect::Durable, StrategyEffect::Quarantine(_)]));
    assert!(desk.show(1, &view(&catalog, 100.0, at(1))).is_empty());
}
