//! By brute force over subsets and partial fills: nothing that the gate clears makes a worst case
//! worse than its limit, and nothing that it calls risk-reducing worsens anything.

use super::*;
use crate::figures::Figures;
use crate::stress;
use crate::worst_case::Fills;
use proptest::prelude::*;

fn contract() -> impl Strategy<Value = Contract> {
    prop_oneof![
        prop::sample::select(vec![FUTURE, CALL_100, CALL_110, PUT_100, PUT_90])
            .prop_map(Contract::Single),
        Just(spread()),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Buy, Side::Sell])
}

/// A limit at the mid, so that collars don't stand in the way.
fn at_mid(contract: &Contract) -> String {
    let mid: f64 =
        contract.legs().iter().map(|leg| f64::from(leg.ratio) * sample::mid(leg.con_id)).sum();
    Price::from_f64(mid).unwrap().to_string()
}

prop_compose! {
    fn any_scene()(
        held in prop::array::uniform5(-6_i64..7),
        pending in prop::collection::vec((contract(), side(), 1_i64..5), 0..5),
        (contract, side, quantity) in (contract(), side(), 1_i64..8),
        purpose in prop::sample::select(vec![Purpose::Entry, Purpose::Exit, Purpose::Hedge]),
        reduce_only in any::<bool>(),
    ) -> Scene {
        let mut scene = scene();
        let names = [FUTURE, CALL_100, CALL_110, PUT_100, PUT_90];
        for (con_id, quantity) in names.into_iter().zip(held) {
            scene.hold(con_id, quantity);
        }
        for (contract, side, remaining) in pending {
            scene.pend(contract, side, remaining);
        }
        let limit = at_mid(&contract);
        scene.order = sample::order(contract, side, quantity, &limit);
        scene.purpose = purpose;
        if reduce_only {
            scene.states.account = TradingState::ReduceOnly;
        }
        scene.limits.delta_max_shares.default = 200;
        scene.limits.vega_max_per_point.default = 60;
        scene.limits.short_naked_max_shares.default = 100;
        scene
    }
}

/// Every subset of the pending orders, as what is held then.
fn subsets(exposure: &Exposure) -> Vec<Vec<(ConId, i64)>> {
    let fills = exposure.fills();
    let subset = |chosen: u32| {
        let orders = fills.possible.iter().enumerate();
        let filled = orders.filter(|(index, _)| chosen & (1 << index) != 0);
        let extra = filled.flat_map(|(_, legs)| legs.iter().copied());
        fills.held.iter().copied().chain(extra).collect()
    };
    (0..1 << fills.possible.len()).map(subset).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_is_cleared_never_makes_a_worst_case_worse_than_its_limit(scene in any_scene()) {
        let Ok(cleared) = scene.clear() else { return Ok(()) };
        for seen in &cleared.evidence().limits {
            let inside = seen.after_milli <= seen.bound_milli;
            prop_assert!(inside || seen.after_milli <= seen.before_milli, "{:?}", seen);
        }
        let catalog = sample::catalog();
        let valuing = Valuing { catalog: &catalog, markets: &scene.markets };
        let delta = |legs: &[(ConId, i64)]| -> i64 {
            legs.iter().map(|(con_id, q)| q * valuing.delta_milli(*con_id).unwrap()).sum()
        };
        let order = delta(&PendingOrder {
            contract: scene.order.contract.clone(),
            side: scene.order.side,
            remaining: scene.order.quantity,
            limit: scene.order.limit,
            kind: PendingKind::Reserved,
            strategy: None,
        }.signed_legs());
        let outcomes: Vec<i64> = subsets(&scene.exposure).iter().map(|held| delta(held)).collect();
        let before = outcomes.iter().map(|delta| delta.abs()).max().unwrap();
        let after = outcomes.iter().map(|delta| (delta + order).abs()).max().unwrap();
        prop_assert!(after <= 200_000 || after <= before);
        let entry = scene.purpose == Purpose::Entry;
        prop_assert!(!(entry && scene.states.account == TradingState::ReduceOnly));
    }

    #[test]
    fn a_risk_reducing_order_worsens_nothing_however_much_of_it_fills(scene in any_scene()) {
        let Ok(cleared) = scene.clear() else { return Ok(()) };
        if cleared.clearance() != Clearance::RiskReducing {
            return Ok(());
        }
        let catalog = sample::catalog();
        let valuing = Valuing { catalog: &catalog, markets: &scene.markets };
        let grid = &scene.limits.stress;
        let filled = |units: i64| {
            let order = &scene.order;
            let quantity = Quantity(units);
            trading::order::signed_legs(&order.contract, order.side, quantity)
                .into_iter()
                .map(|(con_id, quantity)| (con_id, quantity.0))
                .collect::<Vec<_>>()
        };
        // Brute force: no other order is left to fill in any subset.
        let worst = |legs: &[(ConId, i64)]| {
            let mut worst = (i64::MAX, 0, 0);
            for held in subsets(&scene.exposure) {
                let fills = Fills { held, possible: vec![] };
                let all = Fills {
                    held: fills.held.iter().chain(legs).copied().collect(),
                    possible: vec![],
                };
                let loss = stress::revalue(valuing, grid, &fills, legs).unwrap().after_milli;
                let figures = Figures::of(valuing, &all).unwrap();
                let (delta, vega) = (figures.delta.worst(), figures.vega.worst());
                worst = (worst.0.min(loss), worst.1.max(delta), worst.2.max(vega));
            }
            worst
        };
        let before = worst(&[]);
        for units in 1..=scene.order.quantity.0 {
            let after = worst(&filled(units));
            prop_assert!(after.0 > before.0, "stress {:?} {:?}", before, after);
            prop_assert!(after.1 <= before.1, "delta {:?} {:?}", before, after);
            prop_assert!(after.2 <= before.2, "vega {:?} {:?}", before, after);
        }
    }
}
