//! Which of the broker's words are news.
//!
//! The broker repeats itself: each question about orders and executions is answered on the live
//! stream as well, statuses come twice or not at all. Passed on, every repetition would disturb the
//! reconciliation that caused it, for ever. The tracker keeps what was told of each order within
//! one connection and lets changes through. It also knows what was asked of an order, so that an
//! error about it is a rejection of the order, of its modify, or of its cancel.

use super::errors::{self, Action};
use super::translate;
use ibapi::orders::{ExecutionData, OrderData, OrderStatus, OrderUpdate};
use market::money::{Price, Quantity};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use trading::id::{OrderId, PermId};
use trading::report::{EndState, Report};

/// Executions and fees remembered within one connection; IB tells a day's.
const REMEMBERED_MAX: usize = 100_000;
/// Orders remembered within one connection.
const ORDERS_MAX: usize = 20_000;

/// What follows from something that the broker said.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Tell the node.
    Report(Report),
    /// Something was missed or is not understood: ask everything.
    Gap(String),
    /// For the log.
    Remark(String),
}

#[derive(Clone, Debug, Default)]
struct Tracked {
    perm_id: i64,
    status: Option<(Quantity, Quantity)>,
    end: Option<EndState>,
    modify: Option<(Price, Quantity)>,
    cancel: bool,
}

/// The last so many of something, each once.
#[derive(Clone, Debug, Default)]
struct Seen {
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// True the first time.
    fn first(&mut self, name: &str) -> bool {
        if !self.known.insert(name.to_owned()) {
            return false;
        }
        self.order.push_back(name.to_owned());
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// What was told within one connection.
#[derive(Clone, Debug)]
pub struct Tracker {
    client: i32,
    account: String,
    orders: BTreeMap<i64, Tracked>,
    combos: BTreeSet<i64>,
    executions: Seen,
    fees: Seen,
}

impl Tracker {
    /// Of a fresh connection of this client, which trades this account.
    pub fn new(client: i32, account: &str) -> Self {
        Self {
            client,
            account: account.to_owned(),
            orders: BTreeMap::new(),
            combos: BTreeSet::new(),
            executions: Seen::default(),
            fees: Seen::default(),
        }
    }

    /// An order is about to be written.
    pub fn placing(&mut self, order_id: i64) {
        while self.orders.len() >= ORDERS_MAX {
            // Numbers rise: the lowest is the oldest.
            self.orders.pop_first();
        }
        self.orders.insert(order_id, Tracked::default());
    }

    /// A modify is about to be written.
    pub fn modifying(&mut self, order_id: i64, limit: Price, quantity: Quantity) {
        self.orders.entry(order_id).or_default().modify = Some((limit, quantity));
    }

    /// A cancel is about to be written.
    pub fn canceling(&mut self, order_id: i64) {
        self.orders.entry(order_id).or_default().cancel = true;
    }

    /// Whether executions of this order are legs.
    pub fn is_combo(&self, perm_id: i64) -> bool {
        self.combos.contains(&perm_id)
    }

    /// An order of the broker is a combo: its executions are legs.
    pub fn learn(&mut self, data: &OrderData) {
        if translate::is_combo(&data.contract) {
            self.combos.insert(data.order.perm_id);
        }
    }

    /// An execution is a combo's line: the order's other executions are legs.
    pub fn learn_execution(&mut self, data: &ExecutionData) {
        if translate::is_combo(&data.contract) {
            self.combos.insert(data.execution.perm_id);
        }
    }

    /// Takes a message of the live stream.
    pub fn on_update(&mut self, update: &OrderUpdate) -> Vec<News> {
        match update {
            OrderUpdate::OpenOrder(data) => self.on_open(data),
            OrderUpdate::OrderStatus(status) => self.on_status(status),
            OrderUpdate::ExecutionData(data) => {
                if data.execution.account_number != self.account {
                    return Vec::new();
                }
                self.learn_execution(data);
                let first = self.executions.first(&data.execution.execution_id);
                if !first && !mutation::active("repeat_executions") {
                    return Vec::new();
                }
                let leg = self.is_combo(data.execution.perm_id);
                vec![news(translate::execution(data, self.client, leg))]
            }
            OrderUpdate::CommissionReport(report) => {
                if self.fees.first(&report.execution_id) {
                    vec![news(translate::fee(report))]
                } else {
                    Vec::new()
                }
            }
            OrderUpdate::OrderBound(bound) => {
                vec![News::Gap(format!("order {} was bound to a client", bound.perm_id))]
            }
        }
    }

    fn on_open(&mut self, data: &OrderData) -> Vec<News> {
        self.learn(data);
        let order = &data.order;
        if order.what_if || order.account != self.account {
            return Vec::new();
        }
        let order_id = translate::own_order_id(data.order_id, order.client_id, self.client);
        if order_id.0 == 0 {
            // Someone else's: told by reconciliation.
            return Vec::new();
        }
        let tracked = self.orders.entry(order_id.0).or_default();
        let mut told = Vec::new();
        if order.perm_id > 0 && tracked.perm_id != order.perm_id {
            tracked.perm_id = order.perm_id;
            told.push(News::Report(Report::Acknowledged {
                order_id,
                perm_id: PermId(order.perm_id),
                reference: order.order_ref.clone(),
            }));
        }
        let limit = order.limit_price.and_then(Price::from_f64);
        let quantity = translate::whole("an order's size", order.total_quantity).ok();
        if let (Some(limit), Some(quantity)) = (limit, quantity)
            && tracked.modify == Some((limit, quantity))
        {
            tracked.modify = None;
            told.push(News::Report(Report::Modified { order_id, limit, quantity }));
        }
        told
    }

    fn on_status(&mut self, status: &OrderStatus) -> Vec<News> {
        let order_id = translate::own_order_id(status.order_id, status.client_id, self.client);
        if order_id.0 == 0 {
            return Vec::new();
        }
        let sizes = translate::whole("an order's fills", status.filled)
            .and_then(|filled| Ok((filled, translate::whole("the rest", status.remaining)?)));
        let (filled, remaining) = match sizes {
            Ok(sizes) => sizes,
            Err(error) => return vec![News::Gap(error.to_string())],
        };
        let tracked = self.orders.entry(order_id.0).or_default();
        let perm_id = PermId(status.perm_id);
        let mut told = Vec::new();
        let changed = tracked.status != Some((filled, remaining));
        if status.perm_id > 0 && (changed || mutation::active("repeat_statuses")) {
            tracked.status = Some((filled, remaining));
            told.push(News::Report(Report::Status { order_id, perm_id, filled, remaining }));
        }
        if let Some(end) = translate::end_state(&status.status)
            && tracked.end != Some(end)
        {
            tracked.end = Some(end);
            told.push(News::Report(Report::Ended { order_id, perm_id, end }));
        }
        told
    }

    /// Takes an error or a remark about one of our orders.
    pub fn on_error(&mut self, order_id: i32, code: i32, text: &str) -> Vec<News> {
        let tracked = self.orders.entry(i64::from(order_id)).or_default();
        let order_id = OrderId(i64::from(order_id));
        let told = code.unsigned_abs();
        let remark = || vec![News::Remark(format!("order {order_id}: {code} {text}"))];
        match errors::about_an_order(code) {
            Action::Rejected if tracked.modify.take().is_some() => {
                vec![News::Report(Report::ModifyRejected { order_id, code: told })]
            }
            // An order that was accepted and is now refused says so by its status.
            Action::Rejected if tracked.perm_id > 0 => remark(),
            Action::Rejected => {
                let text = text.to_owned();
                vec![News::Report(Report::Rejected { order_id, code: told, text })]
            }
            Action::ModifyRejected => {
                tracked.modify = None;
                vec![News::Report(Report::ModifyRejected { order_id, code: told })]
            }
            Action::CancelRejected if std::mem::take(&mut tracked.cancel) => {
                vec![News::Report(Report::CancelRejected { order_id, code: told })]
            }
            Action::CancelRejected | Action::Told | Action::Note => remark(),
            _ => vec![News::Gap(format!("order {order_id}: {code} {text}"))],
        }
    }
}

fn news(report: Result<Report, translate::TranslateError>) -> News {
    report.map_or_else(|error| News::Gap(error.to_string()), News::Report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ibapi::orders::{Execution, OrderStatusKind};

    fn status(filled: f64, kind: OrderStatusKind) -> OrderUpdate {
        OrderUpdate::OrderStatus(OrderStatus {
            order_id: 5,
            client_id: 3,
            perm_id: 77,
            filled,
            remaining: 10.0 - filled,
            status: kind,
            ..OrderStatus::default()
        })
    }

    #[test]
    fn a_repetition_is_no_news() {
        let mut tracker = Tracker::new(3, "DU1");
        assert_eq!(tracker.on_update(&status(4.0, OrderStatusKind::Submitted)).len(), 1);
        assert_eq!(tracker.on_update(&status(4.0, OrderStatusKind::Submitted)), []);
        assert_eq!(tracker.on_update(&status(10.0, OrderStatusKind::Filled)).len(), 2);
        assert_eq!(tracker.on_update(&status(10.0, OrderStatusKind::Filled)), []);
    }

    fn execution(exec_id: &str, account: &str) -> OrderUpdate {
        let mut data = ExecutionData::default();
        data.contract.contract_id = 1001;
        data.execution = Execution {
            order_id: 5,
            client_id: 3,
            perm_id: 77,
            execution_id: exec_id.to_owned(),
            account_number: account.to_owned(),
            time: "20261120 10:30:00 UTC".to_owned(),
            shares: 4.0,
            price: 1.25,
            ..Execution::default()
        };
        OrderUpdate::ExecutionData(data)
    }

    #[test]
    fn an_execution_is_told_once_a_correction_too_and_another_account_never() {
        let mut tracker = Tracker::new(3, "DU1");
        let told: Vec<usize> = ["a.1.01", "a.1.01", "a.1.02", "a.1.01", "a.1.02"]
            .map(|exec_id| tracker.on_update(&execution(exec_id, "DU1")).len())
            .to_vec();
        assert_eq!(told, [1, 0, 1, 0, 0]);
        assert_eq!(tracker.on_update(&execution("b.1.01", "DU2")), []);
    }

    #[test]
    fn an_error_means_what_was_asked_last() {
        let order_id = OrderId(5);
        let mut tracker = Tracker::new(3, "DU1");
        tracker.placing(5);
        let rejected = Report::Rejected { order_id, code: 201, text: "margin".to_owned() };
        assert_eq!(tracker.on_error(5, 201, "margin"), [News::Report(rejected)]);
        tracker.modifying(5, Price::from_units(1), Quantity(1));
        let refused = Report::ModifyRejected { order_id, code: 201 };
        assert_eq!(tracker.on_error(5, 201, "margin"), [News::Report(refused)]);
        tracker.canceling(5);
        let late = Report::CancelRejected { order_id, code: 10148 };
        assert_eq!(tracker.on_error(5, 10148, "filled"), [News::Report(late)]);
        assert!(matches!(tracker.on_error(5, 202, "")[..], [News::Remark(_)]));
        assert!(matches!(tracker.on_error(5, 31_337, "?")[..], [News::Gap(_)]));
    }
}
