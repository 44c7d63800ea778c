//! Incidents of other systems that are about what a node makes of the wire: the whole trade branch
//! against the gateway. Each says what protects; `protections` plays it with that taken out.

use super::trade::{Journal, Trade};
use super::*;
use desk::desk::IntentOutcome;
use desk::order_state::OrderState;
use desk::record::Record;
use market::instrument::{Combo, Leg, Right};
use market::time::Date;
use std::sync::atomic::{AtomicI32, Ordering};
use trading::denial::DenialCode;
use trading::report::{EndState, OpenOrder};

const STOCK: Contract = Contract::Single(SIM);

/// So many calls on the stock.
fn calls<const N: usize>() -> [ConId; N] {
    let calls = listed().into_iter().filter(|one| one.symbol == "SIM");
    let calls = calls.filter(|one| one.option().is_some_and(|terms| terms.right == Right::Call));
    let calls: Vec<ConId> = calls.map(|one| one.con_id).skip(10).take(N).collect();
    calls.try_into().unwrap()
}

/// Somebody else, under a client id that nobody had.
fn bystander(venue: &Venue) -> Node {
    static NEXT: AtomicI32 = AtomicI32::new(9);
    Node::client(venue, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What works at the broker, as somebody else is told.
fn working_orders(venue: &Venue) -> Vec<OpenOrder> {
    let Answer::OpenOrders(mut open) = bystander(venue).ask(Question::OpenOrders) else {
        panic!("open orders")
    };
    open.sort_by(|one, other| one.reference.cmp(&other.reference));
    open
}

/// What the account holds, as somebody else is told.
fn held(venue: &Venue, con_id: ConId) -> i64 {
    let Answer::Positions { positions, .. } = bystander(venue).ask(Question::Positions) else {
        panic!("positions")
    };
    positions.iter().find(|(of, _)| *of == con_id).map_or(0, |(_, held)| held.0)
}

fn drop_messages(venue: &Venue, message: &str, direction: &str, count: u32) {
    let way = format!(r#""message":"{message}","direction":"{direction}""#);
    venue.tell(&format!(r#"{{"do":"fault",{way},"action":"drop","count":{count}}}"#));
}

/// A second live order came of a modify that was sent while the broker was away: a cancel met one
/// of them, the other filled hours later.
///
/// Protected by: a link that has lost the broker isn't ready, and nothing but a cancel is written.
#[test]
fn a_modify_during_an_outage_is_not_sent() {
    let venue = Venue::start();
    let mut trade = Trade::start(&venue, Journal::new());
    let order_id = trade.working(&STOCK, 5, "1");
    venue.tell(r#"{"do":"notice","code":1100}"#);
    trade.until("the loss of the broker", |trade| trade.broker_lost == 1);
    assert_eq!(trade.wish(&STOCK, 5, "1.05"), Err(DenialCode::NotReady));
    assert_eq!(trade.written(), [1, 0, 0]);
    venue.tell(r#"{"do":"notice","code":1102}"#);
    trade.ready();
    assert_eq!(trade.working(&STOCK, 5, "1.05"), order_id);
    let open = working_orders(&venue);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].limit, Price::parse("1.05").unwrap());
    assert_eq!(trade.written(), [1, 1, 0]);
}

/// The modify left, and the broker was lost before it arrived.
///
/// Protected by: one modify of an order is under way at a time, and that it failed is proven like
/// an absence, not guessed.
#[test]
fn a_modify_that_an_outage_swallowed_leaves_one_order_at_its_old_terms() {
    let venue = Venue::start();
    let mut trade = Trade::start(&venue, Journal::new());
    let order_id = trade.working(&STOCK, 5, "1");
    drop_messages(&venue, "PlaceOrder", "requests", 1);
    assert!(matches!(trade.wish(&STOCK, 5, "1.05"), Ok(IntentOutcome::Accepted { .. })));
    assert_eq!(trade.wish(&STOCK, 5, "1.10"), Err(DenialCode::OrderInTheWay));
    for code in [1100, 1102] {
        venue.tell(&format!(r#"{{"do":"notice","code":{code}}}"#));
    }
    trade.until("the loss of the broker", |trade| trade.broker_lost == 1);
    trade.ready();
    assert_eq!(trade.wish(&STOCK, 5, "1.10"), Err(DenialCode::OrderInTheWay));
    trade.pass(Duration::from_secs(65));
    assert_eq!(trade.state().orders[&order_id].modify, None, "the next periodic round proves it");
    let open = working_orders(&venue);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].limit, Price::parse("1").unwrap());
    assert_eq!(trade.working(&STOCK, 5, "1.10"), order_id);
    assert_eq!(trade.written(), [1, 2, 0]);
}

/// A gateway that restarted had lost the orders of the same second, and handed out numbers that
/// were in use: callbacks of one number met two orders.
///
/// Protected by: the next number is above the highest that the journal or the broker has shown;
/// what was sent without an answer is Unknown, is proven absent in two rounds, and is never sent
/// again.
#[test]
fn orders_lost_in_a_gateway_restart_are_not_doubled() {
    let mut venue = Venue::with_books();
    let mut trade = Trade::start(&venue, Journal::new());
    let [kept, lost] = calls().map(Contract::Single);
    assert_eq!(trade.working(&STOCK, 5, "1"), OrderId(1));
    assert_eq!(trade.working(&kept, 1, "0.05"), OrderId(2));
    drop_messages(&venue, "PlaceOrder", "requests", 1);
    let sent = trade.wish(&lost, 1, "0.05");
    assert_eq!(sent, Ok(IntentOutcome::Accepted { order_id: OrderId(3) }));
    venue.restart();
    venue.tell(r#"{"do":"next_valid_id","client":0,"value":2}"#);
    trade.until("the end of the connection", |trade| {
        trade.order_state(OrderId(3)) == OrderState::Unknown
    });
    trade.ready();
    assert_eq!(trade.written(), [3, 0, 0], "nothing is sent again");
    assert_eq!(trade.connections(), 2);
    assert_eq!(trade.order_state(OrderId(1)), OrderState::Working);
    assert_eq!(trade.order_state(OrderId(3)), OrderState::Unknown, "absent once proves nothing");
    assert_eq!(trade.wish(&lost, 1, "0.05"), Err(DenialCode::UnknownOrder));
    trade.pass(Duration::from_secs(30));
    assert_eq!(trade.order_state(OrderId(3)), OrderState::Abandoned);
    assert_eq!(trade.written(), [3, 0, 0], "nothing is sent again");
    let sent = trade.wish(&lost, 1, "0.05");
    let fourth = Ok(IntentOutcome::Accepted { order_id: OrderId(4) });
    assert_eq!(sent, fourth, "a number was used again");
    trade.until("an acknowledgement", |trade| trade.order_state(OrderId(4)) == OrderState::Working);
    let open = working_orders(&venue);
    let references: Vec<String> = [1, 2, 4]
        .map(|number| trade.state().orders[&OrderId(number)].order.key.to_string())
        .to_vec();
    let found: Vec<String> = open.iter().map(|order| order.reference.clone()).collect();
    assert_eq!(found, references, "each order once");
}

/// The venue number was taken from the order number alone, which was issued again after a restart:
/// a fill was booked on the wrong order.
///
/// Protected by: the journal's highest number counts, whatever the broker says.
#[test]
fn an_order_number_is_not_used_again_after_a_restart() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut trade = Trade::start(&venue, Journal::new());
    let order_id = trade.working(&STOCK, 5, "500");
    trade.until("a fill", |trade| trade.order_state(order_id) == OrderState::Filled);
    let journal = trade.kill();
    venue.tell(r#"{"do":"next_valid_id","client":0,"value":1}"#);
    let mut trade = Trade::start(&venue, journal);
    let [call] = calls().map(Contract::Single);
    let sent = trade.wish(&call, 1, "0.05");
    let second = Ok(IntentOutcome::Accepted { order_id: OrderId(2) });
    assert_eq!(sent, second, "a number was used again");
    assert_eq!((trade.position(SIM), held(&venue, SIM)), (5, 5));
    assert_eq!(trade.order_state(order_id), OrderState::Filled);
}

/// Executions that came while the broker was away were dropped, and nobody asked for them later.
///
/// Protected by: 1102 takes the link through a complete reconciliation before it is ready again.
#[test]
fn fills_during_an_outage_are_booked_when_the_broker_is_back() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut trade = Trade::start(&venue, Journal::new());
    // More than the quote has: the rest fills as the market moves.
    let order_id = trade.working(&STOCK, 5_000, "500");
    trade.until("a first fill", |trade| trade.position(SIM) > 0);
    venue.tell(r#"{"do":"notice","code":1100}"#);
    trade.until("the loss of the broker", |trade| trade.broker_lost == 1);
    let before = trade.position(SIM);
    venue.advance(60_000);
    venue.tell(r#"{"do":"notice","code":1102}"#);
    trade.ready();
    let after = held(&venue, SIM);
    assert!(after > before, "nothing filled meanwhile: {before} {after}");
    assert_eq!(trade.position(SIM), after);
    assert_eq!(trade.state().orders[&order_id].filled_units().0, after);
    assert_eq!(trade.connections(), 1);
}

/// Legs of a combo that were handled side by side became two live orders; elsewhere executions of
/// the combo's line were booked beside its legs'.
///
/// Protected by: an execution is booked once by its identity, a combo is one order, its own line
/// only checks, and a wish that is served is satisfied.
#[test]
fn a_combo_is_sent_once_and_its_legs_are_booked_once() {
    for fault in ["duplicate", "reorder"] {
        let venue = Venue::start();
        venue.advance(1_000);
        let mut trade = Trade::start(&venue, Journal::new());
        let [low, high] = calls();
        let legs = vec![Leg { con_id: low, ratio: 1 }, Leg { con_id: high, ratio: -1 }];
        let combo = Contract::Combo(Combo::new(legs).unwrap());
        venue.tell(&format!(
            r#"{{"do":"fault","message":"ExecutionDetails","action":"{fault}","count":2}}"#
        ));
        let order_id = trade.working(&combo, 1, "90");
        trade.until("both legs", |trade| trade.order_state(order_id) == OrderState::Filled);
        assert_eq!(trade.wish(&combo, 1, "90"), Ok(IntentOutcome::Satisfied));
        venue.tell(r#"{"do":"close"}"#);
        trade.until("the end of the connection", |trade| !trade.is_ready());
        // All executions are told again.
        trade.ready();
        assert_eq!([low, high].map(|leg| trade.position(leg)), [1, -1], "{fault}: booked once");
        assert_eq!(trade.wish(&combo, 1, "90"), Ok(IntentOutcome::Satisfied));
        assert_eq!([low, high].map(|leg| held(&venue, leg)), [1, -1], "{fault}");
        assert_eq!(trade.written(), [1, 0, 0]);
        let journal = trade.kill();
        let lines = journal.count(|record| matches!(record, Record::ComboChecked { .. }));
        let booked = journal.count(|record| matches!(record, Record::Filled { .. }));
        assert_eq!((lines, booked), (1, 2), "{fault}");
    }
}

/// After a restart own working orders came back as someone else's, and could be neither modified
/// nor canceled.
///
/// Protected by: the order's reference is the intent's key, which the journal knows; the order
/// client's id is the same in every life.
#[test]
fn a_working_order_is_managed_after_a_restart_of_node_and_gateway() {
    let mut venue = Venue::with_books();
    let mut trade = Trade::start(&venue, Journal::new());
    let order_id = trade.working(&STOCK, 5, "1");
    let journal = trade.kill();
    venue.restart();
    let mut trade = Trade::start(&venue, journal);
    assert_eq!(trade.order_state(order_id), OrderState::Working);
    assert!(trade.state().external.is_empty(), "it is not someone else's");
    assert_eq!(trade.working(&STOCK, 4, "1.05"), order_id, "it is modified, not placed again");
    let open = working_orders(&venue);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((open[0].quantity, open[0].limit), (Quantity(4), Price::parse("1.05").unwrap()));
    trade.cancel_all();
    trade.until("the cancel", |trade| trade.order_state(order_id) == OrderState::Canceled);
    assert_eq!(working_orders(&venue), []);
    assert_eq!(trade.written(), [0, 1, 1]);
}

/// An execution that never arrives on a link that is well.
///
/// Protected by: once a minute the broker is asked where things stand. Nothing of this fill is
/// heard, not even a status, so nothing else would find it.
#[test]
fn a_fill_that_was_never_told_is_found_within_90_seconds() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut trade = Trade::start(&venue, Journal::new());
    for (message, count) in
        [("ExecutionDetails", 1), ("CommissionReport", 1), ("OrderStatus", 9), ("OpenOrder", 9)]
    {
        drop_messages(&venue, message, "responses", count);
    }
    assert!(trade.wish(&STOCK, 5, "500").is_ok());
    let mut seconds = 0;
    while trade.position(SIM) != 5 {
        seconds += 1;
        assert!(seconds <= 90, "90 s of market time have passed");
        venue.advance(1_000);
        trade.pass(Duration::from_secs(1));
    }
    assert!(seconds > 1, "it was told at once");
    assert_eq!(trade.connections(), 1);
    assert_eq!(held(&venue, SIM), 5);
}

/// As above, and the order's status was heard: that the sum of its executions is less is a doubt,
/// which doesn't wait for the next minute.
///
/// Protected by: filled and the sum of executions may differ for two seconds.
#[test]
fn an_execution_that_is_missing_from_its_order_is_asked_for_at_once() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut trade = Trade::start(&venue, Journal::new());
    drop_messages(&venue, "ExecutionDetails", "responses", 1);
    let order_id = trade.working(&STOCK, 5, "500");
    trade.until("the end of the order", |trade| trade.order_state(order_id) == OrderState::Filled);
    assert_eq!(trade.position(SIM), 0);
    trade.pass(Duration::from_secs(5));
    assert_eq!((trade.position(SIM), trade.connections()), (5, 1));
}

/// A correction of an execution came when its order and its day were over.
///
/// Protected by: the revision of the execution's identity, whose stem says what it replaces.
#[test]
fn a_correction_after_the_close_replaces_what_was_booked() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut trade = Trade::start(&venue, Journal::new());
    let order_id = trade.working(&STOCK, 5, "500");
    trade.until("its fill", |trade| trade.order_state(order_id) == OrderState::Filled);
    trade.next_day(Date::parse("20261121").unwrap());
    let exec_id = trade.last_fill().expect("it is booked").exec_id.0.clone();
    venue.tell(&format!(r#"{{"do":"correct","exec_id":"{exec_id}","price":1.25}}"#));
    let corrected = Price::parse("1.25").unwrap();
    trade.until("the correction", |trade| {
        trade.last_fill().is_some_and(|fill| fill.price == corrected)
    });
    assert_eq!(trade.position(SIM), 5, "replaced, not added");
    // The broker's positions agree: the contract is not restricted.
    trade.pass(Duration::from_secs(65));
    assert!(trade.state().restricted.is_empty());
    assert_eq!((trade.position(SIM), held(&venue, SIM)), (5, 5));
}

/// A cancel crossed the fill of its order, was refused, and the refusal taken for the order's.
///
/// Protected by: a cancel that was asked for gives nothing back; the fill books, and gives back
/// what was reserved. What 10148 is about: `incidents`.
#[test]
fn a_cancel_that_crosses_a_fill_leaves_the_fill() {
    let venue = Venue::start();
    venue.advance(1_000);
    let mut trade = Trade::start(&venue, Journal::new());
    let sent = trade.wish(&STOCK, 5, "500");
    let Ok(IntentOutcome::Accepted { order_id }) = sent else { panic!("{sent:?}") };
    trade.cancel_all();
    assert_eq!(trade.reserved(), 5, "what may still fill stays reserved");
    trade.until("the fill", |trade| trade.order_state(order_id) == OrderState::Filled);
    trade.pass(Duration::from_secs(5));
    assert_eq!((trade.position(SIM), held(&venue, SIM)), (5, 5));
    assert_eq!(trade.reserved(), 0);
    let journal = trade.kill();
    let refused = journal.count(|record| {
        matches!(record, Record::Ended { end: EndState::Rejected | EndState::Canceled, .. })
    });
    assert_eq!(refused, 0);
}
