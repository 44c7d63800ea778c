//! What the state keeps apart and what it drops, compared with a walk over everything.

use super::world::{ONE, TWO, intent, key, owner, price, spread};
use crate::fold::hash_of;
use crate::record::{Evidence, Record};
use crate::state::{ENDED_ORDERS_KEPT, OrderEntry, State};
use crate::view::DeskView;
use market::instrument::{ConId, Contract};
use market::money::Quantity;
use market::quote::Side;
use market::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use trading::approval::Clearance;
use trading::id::{AccountId, ExecId, OrderId, PermId};
use trading::order::{Order, TimeInForce};
use trading::report::{EndState, Fill};

/// Order `number` of intent `number`: 2 units, bought.
fn approved(number: u32, contract: &Contract) -> Record {
    let intent = intent(key(1, number), contract, 2, "1.00");
    let order = Order {
        order_id: OrderId(i64::from(number)),
        key: intent.key.clone(),
        account: AccountId("DU1".to_owned()),
        contract: contract.clone(),
        side: Side::Buy,
        quantity: Quantity(2),
        limit: price("1.00"),
        time_in_force: TimeInForce::Day,
        valid_until: intent.valid_until,
    };
    Record::IntentApproved {
        intent,
        hash: order.canonical_hash(),
        order,
        approvals: vec![],
        clearance: Clearance::Full,
        evidence: Evidence::default(),
    }
}

fn modified(state: &State, number: u32, by: u32) -> Option<Record> {
    let order = state.order(OrderId(i64::from(number)))?.clone();
    Some(Record::ModifyApproved {
        hash: order.canonical_hash(),
        approvals: vec![],
        clearance: Clearance::Full,
        evidence: Evidence::default(),
        intent: Some(intent(key(1, by), &order.contract, 2, "1.00")),
        order,
    })
}

fn filled(number: u32, exec: u32, con_id: ConId, side: Side) -> Record {
    let fill = Fill {
        exec_id: ExecId(format!("{exec}.01")),
        order_id: OrderId(i64::from(number)),
        perm_id: PermId(0),
        reference: key(1, number).to_string(),
        con_id,
        side,
        quantity: Quantity(1),
        price: price("1.00"),
        time: Timestamp::from_seconds(i64::from(exec)),
        combo_leg: true,
    };
    Record::Filled { fill, strategy: Some(owner()), terms: None }
}

fn ended(number: u32, end: EndState) -> Record {
    let order_id = OrderId(i64::from(number));
    Record::Ended { order_id, end, detail: String::new() }
}

fn acknowledged(number: u32) -> Record {
    let order_id = OrderId(i64::from(number));
    Record::Acknowledged { order_id, perm_id: PermId(1_000_000 + order_id.0) }
}

#[test]
fn an_order_that_is_forgotten_leaves_nothing_behind() {
    let mut state = State::default();
    let kept = u32::try_from(ENDED_ORDERS_KEPT).unwrap();
    state.apply(&approved(1, &spread()));
    state.apply(&acknowledged(1));
    // Its modify has a key of its own; the keys between belong to others.
    let newest = kept + 2;
    for number in 2..=newest {
        state.apply(&approved(number, &Contract::Single(ONE)));
        state.apply(&acknowledged(number));
    }
    state.apply(&modified(&state, 1, newest + 1).unwrap());
    state.apply(&ended(1, EndState::Canceled));
    for number in 2..=newest {
        assert_eq!(state.orders.contains_key(&OrderId(1)), number <= kept + 1, "{number}");
        state.apply(&ended(number, EndState::Canceled));
    }
    assert_eq!(state.orders.len(), ENDED_ORDERS_KEPT);
    assert_eq!(state.by_key.len(), ENDED_ORDERS_KEPT);
    assert_eq!(state.by_perm.len(), ENDED_ORDERS_KEPT);
    assert!(state.by_key.values().all(|order_id| state.orders.contains_key(order_id)));
    assert_eq!(state.locate(OrderId(0), None, &key(1, newest + 1).to_string()), None);
}

#[test]
fn a_view_shows_live_orders_however_old_and_the_newest_that_ended() {
    let mut state = State::default();
    for number in 1..=120 {
        state.apply(&approved(number, &Contract::Single(ONE)));
        if number != 3 && number != 119 {
            state.apply(&ended(number, EndState::Canceled));
        }
    }
    let view = DeskView::of(&state, true, &BTreeMap::new());
    let shown: Vec<i64> = view.orders.iter().map(|order| order.order_id.0).collect();
    let expected: Vec<i64> = std::iter::once(3).chain(70..=120).collect();
    assert_eq!(shown, expected);
}

fn steps() -> impl Strategy<Value = Vec<(u8, u32)>> {
    proptest::collection::vec((0..9_u8, 1..7_u32), 1..60)
}

fn record_of(state: &State, step: u8, number: u32, exec: u32) -> Option<Record> {
    let order_id = OrderId(i64::from(number));
    let known = state.orders.contains_key(&order_id);
    let contract = if number.is_multiple_of(2) { spread() } else { Contract::Single(ONE) };
    Some(match step {
        0 | 1 => (!known).then(|| approved(number, &contract))?,
        2 => acknowledged(number),
        3 | 4 => filled(number, exec, ONE, Side::Buy),
        5 => filled(number, exec, TWO, Side::Sell),
        6 => ended(number, EndState::Filled),
        7 => ended(number, EndState::Canceled),
        _ if exec.is_multiple_of(3) => {
            Record::Busted { exec_id: ExecId(format!("{}.01", exec / 2)) }
        }
        _ if exec.is_multiple_of(2) => Record::Reappeared { order_id, perm_id: PermId(0) },
        _ => modified(state, number, 100 + exec)?,
    })
}

proptest! {
    #[test]
    fn what_is_kept_apart_is_what_a_walk_over_all_orders_finds(steps in steps()) {
        let mut state = State::default();
        for (index, (step, number)) in steps.into_iter().enumerate() {
            let exec = u32::try_from(index).unwrap();
            if let Some(record) = record_of(&state, step, number, exec) {
                state.apply(&record);
            }
            let live = state.orders.iter().filter(|(_, entry)| entry.is_live());
            prop_assert!(live.eq(state.orders.live()));
            let all = state.orders.values().flat_map(OrderEntry::pending);
            prop_assert_eq!(all.collect::<Vec<_>>(), state.exposure(None).pending);
            let uneven = state.orders.iter().filter(|(_, entry)| entry.is_uneven());
            let watched = state.orders.unsettled().filter(|(_, entry)| entry.is_uneven());
            prop_assert!(uneven.eq(watched));
        }
        let bytes = rmp_serde::to_vec_named(&state).unwrap();
        let read: State = rmp_serde::from_slice(&bytes).unwrap();
        prop_assert_eq!(&read, &state);
        prop_assert_eq!(hash_of(&read), hash_of(&state));
    }
}
