//! Every cell of the order table, walked: the acts are carried out and lead where the cell says.

use super::super::reports::News;
use super::world::*;
use crate::desk::{Desk, Effect};
use crate::order_state::{Act, Next, OrderEvent, OrderState, cell};
use crate::record::Record;
use market::money::Quantity;
use trading::id::{ExecId, OrderId, PermId};
use trading::report::EndState;

const ORDER: OrderId = OrderId(1);

/// A desk whose order 1 is in a state.
fn desk_in(state: OrderState) -> Desk {
    let sent = Record::Sent {
        order_id: ORDER,
        hash: match approved() {
            Record::IntentApproved { hash, .. } => hash,
            _ => unreachable!("an approval"),
        },
    };
    let acknowledged = Record::Acknowledged { order_id: ORDER, perm_id: PermId(71) };
    let unknown = Record::Unknown { order_id: ORDER, reason: String::new() };
    let abandoned = Record::Abandoned { order_id: ORDER, proof: String::new() };
    let cancel = Record::CancelRequested { order_id: ORDER, reason: String::new() };
    let ended = |end| Record::Ended { order_id: ORDER, end, detail: String::new() };
    let mut records = vec![approved()];
    match state {
        OrderState::Pending => {}
        OrderState::Sent => records.push(sent),
        OrderState::Working => records.extend([sent, acknowledged]),
        OrderState::PartlyFilled => records.extend([sent, acknowledged, filled("f.01", 1)]),
        OrderState::Filled => records.extend([sent, acknowledged, filled("f.01", 3)]),
        OrderState::CancelPending => records.extend([sent, acknowledged, cancel]),
        OrderState::Canceled => records.extend([sent, acknowledged, ended(EndState::Canceled)]),
        OrderState::Expired => records.extend([sent, acknowledged, ended(EndState::Expired)]),
        OrderState::Rejected => records.extend([sent, acknowledged, ended(EndState::Rejected)]),
        OrderState::Inactive => records.extend([sent, acknowledged, ended(EndState::Inactive)]),
        OrderState::Unknown => records.extend([sent, unknown]),
        OrderState::Abandoned => records.extend([sent, unknown, abandoned]),
    }
    let mut folded = fresh_state();
    records.iter().for_each(|record| folded.apply(record));
    let desk = desk(folded, 1);
    assert_eq!(state_of(&desk), state);
    desk
}

fn state_of(desk: &Desk) -> OrderState {
    desk.state.orders[&ORDER].state()
}

fn news_of(event: OrderEvent, desk: &Desk) -> News {
    let entry = &desk.state.orders[&ORDER];
    let left = entry.remaining().0;
    let mut news = News::because("test");
    news.perm_id = Some(PermId(71));
    news.works = Some((entry.order.limit, entry.order.quantity));
    news.filled = Some(entry.filled_units());
    news.booking = match event {
        OrderEvent::FillPart => Some(filled("n.01", 1)),
        OrderEvent::FillWhole => Some(filled("n.01", left.max(1))),
        OrderEvent::FillBeyond => Some(filled("n.01", left + 1)),
        OrderEvent::Correction => Some(filled("f.02", 1)),
        OrderEvent::Bust => Some(Record::Busted { exec_id: ExecId("f.01".to_owned()) }),
        _ => None,
    };
    news.end = match event {
        OrderEvent::EndedFilled | OrderEvent::FoundCompleted => Some(EndState::Filled),
        OrderEvent::EndedCanceled => Some(EndState::Canceled),
        OrderEvent::EndedExpired => Some(EndState::Expired),
        OrderEvent::EndedInactive => Some(EndState::Inactive),
        OrderEvent::Rejected => Some(EndState::Rejected),
        _ => None,
    };
    if event == OrderEvent::SecondPermId {
        news.perm_id = Some(PermId(72));
    }
    news
}

/// The records that the acts write in this situation.
fn expected_records(acts: &[Act], desk: &Desk, event: OrderEvent) -> Vec<&'static str> {
    let entry = &desk.state.orders[&ORDER];
    let reappears = acts.contains(&Act::Reappear);
    let record = |act: &Act| match act {
        Act::RecordSent => (!entry.sent).then_some("Sent"),
        Act::RecordRefused => Some("SendRefused"),
        Act::Acknowledge => Some("Acknowledged"),
        Act::Book if event == OrderEvent::Bust => Some("Busted"),
        Act::Book => Some("Filled"),
        Act::End => Some("Ended"),
        Act::BecomeUnknown => Some("Unknown"),
        Act::Abandon => Some("Abandoned"),
        Act::Reappear => Some("Reappeared"),
        Act::AskCancel => (reappears || !entry.cancel_asked).then_some("CancelRequested"),
        Act::NoteCancelRejected => entry.cancel_asked.then_some("CancelRejected"),
        Act::AskAgain
        | Act::Modify
        | Act::SettleModify
        | Act::Compare
        | Act::Reconcile
        | Act::Alarm
        | Act::Deny => None,
    };
    acts.iter().filter_map(record).collect()
}

fn reported(event: OrderEvent) -> OrderState {
    match event {
        OrderEvent::EndedFilled | OrderEvent::FoundCompleted => OrderState::Filled,
        OrderEvent::EndedCanceled => OrderState::Canceled,
        OrderEvent::EndedExpired => OrderState::Expired,
        _ => OrderState::Rejected,
    }
}

#[test]
fn every_cell_does_what_the_table_says() {
    let world = World::new();
    let mut cells = 0;
    let mut quiet = 0;
    for before in OrderState::ALL {
        for event in OrderEvent::ALL {
            let mut desk = desk_in(before);
            let cell = cell(before, event);
            let expected = expected_records(cell.acts, &desk, event);
            let news = news_of(event, &desk);
            let ended_whole = desk.state.orders[&ORDER].remaining() == Quantity::ZERO;
            desk.happen(ORDER, event, news, &world.context(), at(1));
            let effects = std::mem::take(&mut desk.effects);
            let after = state_of(&desk);
            let place = format!("{before:?} x {event:?}");
            assert_eq!(names(&effects), expected, "records of {place}");
            let alarms = effects.iter().any(|effect| matches!(effect, Effect::Alarm(_)));
            assert_eq!(alarms, cell.acts.contains(&Act::Alarm), "alarm of {place}");
            let asks = effects.iter().any(|e| matches!(e, Effect::RequestReconcile(_)));
            assert_eq!(asks, cell.acts.contains(&Act::Reconcile), "reconcile of {place}");
            let cancels = effects.iter().any(|effect| matches!(effect, Effect::Cancel { .. }));
            let wants = [Act::AskCancel, Act::AskAgain];
            let wanted = cell.acts.iter().any(|act| wants.contains(act));
            assert_eq!(cancels, wanted, "cancel of {place}");
            match cell.next {
                Next::Stay => assert_eq!(after, before, "{place}"),
                Next::To(next) => assert_eq!(after, next, "{place}"),
                Next::ByReport if ended_whole => assert_eq!(after, OrderState::Filled, "{place}"),
                Next::ByReport => assert_eq!(after, reported(event), "{place}"),
                Next::ByFills => {
                    let entry = &desk.state.orders[&ORDER];
                    let whole = entry.filled_units() >= entry.order.quantity;
                    assert_eq!(after == OrderState::Filled, whole, "{place}");
                }
            }
            cells += 1;
            quiet += usize::from(cell.acts.is_empty());
        }
    }
    println!("{cells} cells walked, {quiet} of them say nothing new");
    assert_eq!(cells, OrderState::ALL.len() * OrderEvent::ALL.len());
}

#[test]
fn only_a_confirmed_end_gives_the_reservation_back() {
    for state in OrderState::ALL {
        let desk = desk_in(state);
        let reserved: i64 =
            desk.state.exposure(None).pending.iter().map(|order| order.remaining.0).sum();
        let expected = match state {
            OrderState::PartlyFilled => 2,
            OrderState::Pending
            | OrderState::Sent
            | OrderState::Working
            | OrderState::CancelPending
            | OrderState::Inactive
            | OrderState::Unknown => 3,
            OrderState::Filled
            | OrderState::Canceled
            | OrderState::Expired
            | OrderState::Rejected
            | OrderState::Abandoned => 0,
        };
        assert_eq!(reserved, expected, "{state:?}");
    }
}
