//! What a reconciliation settles while reports keep coming, and what it leaves alone.

use super::incidents::{Case, ended, open};
use super::world::*;
use crate::desk::DeskEvent;
use crate::order_state::OrderState;
use crate::reconcile::{Agreement, RoundResult};
use market::money::Quantity;
use trading::report::EndState;

/// On a busy account, reports came between any two rounds of a reconciliation: an order that had
/// been recorded and never sent stayed Unknown, and its contract closed, for as long as
/// trade went on.
#[test]
fn an_unknown_order_is_resolved_while_others_keep_trading() {
    let stirred = |result: &mut RoundResult| result.agreement = Agreement::Stirred;
    let mut case = Case::ready();
    case.intend(1, 3, "100.00");
    case.desk = desk(case.desk.state().clone(), 2);
    case.on(DeskEvent::Restarted);
    case.on(link(1));
    case.reconcile(stirred);
    case.seconds += 10;
    case.reconcile(stirred);
    assert_eq!(case.state(), OrderState::Unknown, "nothing counts before the link is reconciled");
    case.reconcile(|_| {});
    case.seconds += 9;
    case.reconcile(stirred);
    assert_eq!((case.state(), case.reserved()), (OrderState::Unknown, 3), "too early");
    case.seconds += 1;
    case.reconcile(|result| result.agreement = Agreement::Unanswered);
    assert_eq!(case.state(), OrderState::Unknown, "an answer is missing");
    case.reconcile(stirred);
    assert_eq!((case.state(), case.reserved()), (OrderState::Abandoned, 0));
}

/// The lists of a stirred reconciliation are older than the reports that came after them.
#[test]
fn a_stirred_reconciliation_says_nothing_of_orders_that_are_not_in_doubt() {
    let stirred = |result: &mut RoundResult| {
        result.agreement = Agreement::Stirred;
        result.positions = vec![(ONE, Quantity(7))];
    };
    let mut case = Case::working();
    case.reconcile(stirred);
    case.seconds += 10;
    case.reconcile(stirred);
    assert_eq!((case.state(), case.reserved()), (OrderState::Working, 3));
    case.report(ended(EndState::Canceled));
    let effects = case.reconcile(|result| {
        stirred(result);
        result.open = vec![open(71, 3, "100.00")];
    });
    assert_eq!(case.state(), OrderState::Canceled, "{effects:?}");
    assert!(case.desk.state().restricted.is_empty(), "its positions are no proof either");
}
