//! The four questions of a reconciliation, each to a complete answer.

use super::super::orders::Gateway;
use super::super::pacing::Lane;
use super::super::tracker::Tracker;
use super::super::translate;
use futures::StreamExt;
use ibapi::Client;
use ibapi::accounts::types::AccountGroup;
use ibapi::accounts::{AccountSummaryResult, AccountSummaryTags, PositionUpdate};
use ibapi::orders::{ExecutionFilter, Executions, OrderData, Orders};
use ibapi::subscriptions::SubscriptionItem;
use market::instrument::{ConId, Contract};
use market::money::{Currency, Money, Quantity};
use std::cell::RefCell;
use std::collections::BTreeMap;
use trading::report::{Answer, Question, Report};

/// Executions are asked for so many days: a gateway keeps a week at most.
const DAYS_TOLD: i32 = 7;

/// Asks and collects.
///
/// # Errors
/// In words: a stream that ended before its end, or rows that can't be said in our words. A part of
/// an answer is none.
pub async fn answer(
    client: &Client,
    question: Question,
    gateway: &Gateway,
    tracker: &RefCell<Tracker>,
) -> Result<Answer, String> {
    let own = gateway.settings.order_client;
    let within = gateway.settings.answer_deadline;
    let account = gateway.settings.account.0.as_str();
    match question {
        Question::OpenOrders => {
            let rows =
                client.all_open_orders().await.map_err(words)?.collect_to_end_within(within).await;
            let rows = rows.or_else(incomplete)?;
            let (orders, filled) = split(rows, account, tracker);
            let open = orders.iter().filter(|data| {
                translate::end_state(&data.order_state.status).is_none() && !data.order.what_if
            });
            let filled = |data: &OrderData| {
                filled.get(&data.order.perm_id).copied().unwrap_or(data.order.filled_quantity)
            };
            let open = open.map(|data| translate::open_order(data, filled(data), own));
            open.collect::<Result<_, _>>().map(Answer::OpenOrders).map_err(|e| e.to_string())
        }
        Question::CompletedOrders => {
            let rows = client
                .completed_orders(false)
                .await
                .map_err(words)?
                .collect_to_end_within(within)
                .await;
            let rows = rows.or_else(incomplete)?;
            let (orders, _) = split(rows, account, tracker);
            let ended =
                orders.iter().filter_map(|data| translate::completed_order(data).transpose());
            ended.collect::<Result<_, _>>().map(Answer::CompletedOrders).map_err(|e| e.to_string())
        }
        // Its filter on time is in the gateway's zone, which nothing tells: all are asked for.
        Question::Executions { since: _ } => {
            let filter = ExecutionFilter {
                account_code: account.to_owned(),
                last_n_days: DAYS_TOLD,
                ..ExecutionFilter::default()
            };
            let rows =
                client.executions(filter).await.map_err(words)?.collect_to_end_within(within).await;
            let rows = rows.or_else(incomplete)?;
            executions(&rows, own, account, tracker).map(Answer::Executions)
        }
        Question::Positions => positions(client, gateway, account).await,
    }
}

/// Orders of the account, and what each has filled by its status. An order that changes meanwhile
/// is told again in the midst of the answer: its last word counts.
fn split(
    rows: Vec<Orders>,
    account: &str,
    tracker: &RefCell<Tracker>,
) -> (Vec<OrderData>, BTreeMap<i64, f64>) {
    let (mut orders, mut filled) = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        match row {
            Orders::OrderData(data) if data.order.account == account => {
                tracker.borrow_mut().learn(&data);
                orders.insert(data.order.perm_id, data);
            }
            Orders::OrderData(_) => {}
            Orders::OrderStatus(status) => {
                filled.insert(status.perm_id, status.filled);
            }
        }
    }
    (orders.into_values().collect(), filled)
}

fn executions(
    rows: &[Executions],
    own: i32,
    account: &str,
    tracker: &RefCell<Tracker>,
) -> Result<Vec<Report>, String> {
    // A combo's line may come after its legs.
    for row in rows {
        if let Executions::ExecutionData(data) = row {
            tracker.borrow_mut().learn_execution(data);
        }
    }
    let mut reports = Vec::new();
    for row in rows {
        let report = match row {
            Executions::ExecutionData(data) if data.execution.account_number != account => continue,
            Executions::ExecutionData(data) => {
                let leg = tracker.borrow().is_combo(data.execution.perm_id);
                translate::execution(data, own, leg)
            }
            Executions::CommissionReport(report) => translate::fee(report),
        };
        reports.push(report.map_err(|error| error.to_string())?);
    }
    Ok(reports)
}

async fn positions(client: &Client, gateway: &Gateway, account: &str) -> Result<Answer, String> {
    let asked = client.positions().await.map_err(words)?;
    let rows = until(asked, |row| matches!(row, PositionUpdate::PositionEnd)).await?;
    let mut held: BTreeMap<ConId, Quantity> = BTreeMap::new();
    for row in rows {
        let PositionUpdate::Position(row) = row else { continue };
        if row.account != account {
            continue;
        }
        let contract = translate::our_contract(&row.contract);
        let Contract::Single(con_id) = contract.map_err(|error| error.to_string())? else {
            return Err("a position in a combo".to_owned());
        };
        let size = translate::whole("a position", row.position);
        held.insert(con_id, size.map_err(|error| error.to_string())?);
    }
    // The end of that subscription is a message too, and so is the end of the next.
    for _ in 0..3 {
        gateway.pace.wait(Lane::Data).await;
    }
    let group = AccountGroup::from("All");
    let tags = [AccountSummaryTags::TOTAL_CASH_VALUE];
    let asked = client.account_summary(&group, &tags).await.map_err(words)?;
    let rows = until(asked, |row| matches!(row, AccountSummaryResult::End)).await?;
    let mut cash: BTreeMap<Currency, Money> = BTreeMap::new();
    for row in rows {
        let AccountSummaryResult::Summary(row) = row else { continue };
        if row.account != account || row.tag != AccountSummaryTags::TOTAL_CASH_VALUE {
            continue;
        }
        let currency = Currency::try_from(row.currency.clone());
        let (Ok(currency), Ok(amount)) = (currency, Money::parse(&row.value)) else {
            return Err(format!("cash of `{}` {}", row.value, row.currency));
        };
        cash.insert(currency, amount);
    }
    let positions = held.into_iter().collect();
    Ok(Answer::Positions { positions, cash: cash.into_iter().collect() })
}

/// All rows of a subscription until the one that ends its first picture; it is then cancelled. A
/// notice between them (dropped rows) is no complete answer.
async fn until<T>(
    mut rows: impl futures::Stream<Item = Result<SubscriptionItem<T>, ibapi::Error>> + Unpin,
    is_end: impl Fn(&T) -> bool,
) -> Result<Vec<T>, String> {
    let mut all = Vec::new();
    while let Some(item) = rows.next().await {
        match item.map_err(words)? {
            SubscriptionItem::Data(row) if is_end(&row) => return Ok(all),
            SubscriptionItem::Data(row) => all.push(row),
            SubscriptionItem::Notice(notice) => return Err(notice.to_string()),
        }
    }
    Err("an answer ended without its end".to_owned())
}

/// What is made of rows without their end: no answer.
fn incomplete<T>(error: ibapi::Error) -> Result<Vec<T>, String> {
    if mutation::active("take_silence_for_empty") { Ok(Vec::new()) } else { Err(words(error)) }
}

fn words(error: ibapi::Error) -> String {
    error.to_string()
}
