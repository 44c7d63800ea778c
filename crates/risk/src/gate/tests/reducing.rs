//! What passes as risk-reducing, what doesn't, and under which limits.

use super::*;

#[test]
fn exits_and_hedges_pass_when_entries_do_not() {
    let mut exit = scene();
    exit.states.account = TradingState::ReduceOnly;
    freeze(&mut exit);
    exit.cognition = veto(DenialCode::RegimeVeto);
    exit.performance = veto(DenialCode::Uncertified);
    exit.day.realised = Money::from_units(-50_000);
    exit.limits.margin_max = Money::ZERO;
    exit.limits.quantity_max_contracts = 0;
    exit.hold(CALL_100, 2);
    exit.order = order(CALL_100, Side::Sell, 2, "2.90");
    exit.purpose = Purpose::Exit;
    let mut hedge = exit.clone();
    hedge.order = order(FUTURE, Side::Sell, 1, "99.98");
    hedge.purpose = Purpose::Hedge;
    let mut close_spread = exit.clone();
    close_spread.exposure = Exposure::default();
    close_spread.hold(CALL_100, -3);
    close_spread.hold(CALL_110, 3);
    close_spread.order = sample::order(spread(), Side::Sell, 3, "-2.60");
    for scene in [exit, hedge, close_spread] {
        let answer = scene.clear().map_err(|(denial, _)| denial);
        let cleared = answer.unwrap();
        assert_eq!(cleared.clearance(), Clearance::RiskReducing);
        let layers: Vec<Layer> = cleared.approvals().iter().map(|a| a.layer).collect();
        assert_eq!(layers, [Layer::Risk]);
    }
}

#[test]
fn what_only_looks_like_a_reduction_is_none() {
    let rows: &[(&str, Change)] = &[
        ("overshoots", |s| {
            s.hold(FUTURE, 2);
            s.order = order(FUTURE, Side::Sell, 5, "99.98");
        }),
        ("turns the position over", |s| {
            s.hold(FUTURE, 2);
            s.order = order(FUTURE, Side::Sell, 4, "99.98");
        }),
        ("the same hedge may fill already", |s| {
            s.hold(FUTURE, 2);
            s.pend(Contract::Single(FUTURE), Side::Sell, 2);
            s.order = order(FUTURE, Side::Sell, 2, "99.98");
        }),
        ("enlarges", |s| {
            s.hold(FUTURE, 2);
            s.order = order(FUTURE, Side::Buy, 1, "100.02");
        }),
        ("uncovers a short", |s| {
            s.hold(CALL_100, -1);
            s.hold(CALL_110, 1);
            s.hold(FUTURE, 2);
            s.order = order(CALL_110, Side::Sell, 1, "0.45");
        }),
        ("another symbol", |s| {
            s.hold(FUTURE, 2);
            s.order = order(STOCK, Side::Sell, 50, "99.99");
        }),
    ];
    for (name, change) in rows {
        let mut scene = scene();
        scene.states.account = TradingState::ReduceOnly;
        scene.purpose = Purpose::Hedge;
        change(&mut scene);
        assert_eq!(scene.code(), Some(DenialCode::ReduceOnly), "{name}");
    }
}

#[test]
fn risk_reducing_orders_have_their_own_size_rate_and_collar() {
    let base = || {
        let mut scene = scene();
        scene.hold(FUTURE, 80);
        scene.order = order(FUTURE, Side::Sell, 3, "99.98");
        scene.purpose = Purpose::Hedge;
        scene
    };
    assert_eq!(base().code(), None);
    let rows: &[(DenialCode, Change)] = &[
        (DenialCode::QuantityLimit, |s| s.order.quantity = Quantity(51)),
        (DenialCode::OrderRate, |s| s.limits.risk_reducing.orders_per_second_max = 0),
        (DenialCode::CollarQuote, |s| s.order.limit = Price::parse("99.87").unwrap()),
        (DenialCode::CollarModel, |s| {
            s.hold(FUTURE, 0);
            s.hold(CALL_100, 2);
            s.order = order(CALL_100, Side::Sell, 2, "2.75");
        }),
    ];
    for (code, change) in rows {
        let mut scene = base();
        change(&mut scene);
        assert_eq!(scene.code(), Some(*code));
    }
}

#[test]
fn without_a_model_value_the_quoted_mid_alone_bounds_who_lowers_risk() {
    let exit_at = |limit: &str| {
        let mut scene = scene();
        scene.change(CALL_100, |line| line.fair = None);
        scene.hold(CALL_100, 2);
        scene.order = order(CALL_100, Side::Sell, 2, limit);
        scene.purpose = Purpose::Exit;
        scene.code()
    };
    assert_eq!(exit_at("2.95"), None);
    assert_eq!(exit_at("2.69"), Some(DenialCode::CollarQuote));
}
