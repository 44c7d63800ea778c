//! The node's word against the venue's own book: positions per strategy, cash, fees, realised
//! result, executions and working orders.

use super::node::{Client, Installation};
use super::venue_book::{self, Account};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A difference from the venue may last so long: what was sent without an answer is given up after
/// two answered rounds ten seconds apart, and each takes longer the more the day has traded.
pub const AGREEMENT: Duration = Duration::from_secs(60);

/// Orders that the venue has taken; none twice.
#[track_caller]
pub fn orders_accepted(installation: &Installation) -> u32 {
    let account = venue_book::recompute(&venue_book::read(installation.state()));
    for (reference, times) in &account.accepted {
        assert_eq!(*times, 1, "{reference} was sent twice");
    }
    account.accepted.values().sum()
}

/// What the node says differently from the venue's file; none while the file changes.
pub fn differences(installation: &Installation, client: &Client) -> Option<Vec<String>> {
    let before = venue_book::read(installation.state());
    let status = client.get("/status").ok()?;
    let positions = client.get("/positions").ok()?;
    let orders = client.get("/orders").ok()?;
    if venue_book::read(installation.state()) != before {
        return None;
    }
    let account = venue_book::recompute(&before);
    let mut found = Vec::new();
    let mut same = |what: &str, ours: i128, venues: i128, within: i128| {
        if (ours - venues).abs() > within {
            found.push(format!("{what}: the node has {ours}, the venue {venues}"));
        }
    };
    let pnl = &status["pnl"];
    let amount = |key: &str| venue_book::micros(pnl[key].as_str().unwrap_or("0"));
    same("cash", amount("cash"), account.cash, 0);
    same("fees", amount("fees"), account.fees, 0);
    // A part of a cost is cut to a micro-unit at each closing, in either arithmetic.
    same("realised", amount("realised"), account.realised(), 10_000);
    let executions = account.executions.len() as i128;
    same("fills", i128::from(status["fills"].as_i64().unwrap_or(-1)), executions, 0);
    let mut held = positions_by_strategy(&account);
    for row in positions.as_array()? {
        let key = (text(&row["strategy"]), row["con_id"].as_i64()?);
        let (quantity, realised) = held.remove(&key).unwrap_or_default();
        let what = format!("{} of {}", key.1, key.0);
        same(&what, i128::from(row["quantity"].as_i64()?), quantity, 0);
        let ours = venue_book::micros(row["realised"].as_str()?);
        same(&format!("realised in {what}"), ours, realised, 10_000);
    }
    found.extend(held.keys().map(|key| format!("{key:?} is held by the venue alone")));
    found.extend(order_differences(&account, orders.as_array()?));
    Some(found)
}

fn positions_by_strategy(account: &Account) -> BTreeMap<(String, i64), (i128, i128)> {
    let held = account.strategies.iter().filter(|(_, holding)| holding.quantity != 0);
    held.map(|(key, holding)| (key.clone(), (holding.quantity, holding.realised))).collect()
}

fn order_differences(account: &Account, orders: &[Value]) -> Vec<String> {
    let mut working = account.working.clone();
    let mut found = Vec::new();
    for row in orders {
        let state = text(&row["state"]);
        let ended = ["filled", "canceled", "expired", "rejected", "inactive", "abandoned"];
        if ended.contains(&state.as_str()) {
            continue;
        }
        let venues = row["perm_id"].as_i64().and_then(|perm_id| working.remove(&perm_id));
        let ours = venues.as_ref().is_some_and(|order| {
            order.reference == row["reference"]
                && row["side"] == *order.side
                && row["quantity"].as_i64().map(i128::from) == Some(order.quantity)
                && row["filled"].as_i64().map(i128::from) == Some(order.filled)
                && row["limit"].as_str().map(venue_book::micros) == Some(order.limit)
        });
        if !ours {
            found.push(format!("the node works {row}, the venue {venues:?}"));
        }
    }
    found.extend(working.values().map(|order| format!("the venue alone works {order:?}")));
    found
}

/// A JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
