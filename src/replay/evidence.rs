//! `--fills FILE`: every execution, fee and lifecycle event of a replay as plain JSON, for a script
//! that recomputes cash and fees with none of our code.

use crate::failure::Failure;
use chaos::simulation::SimulatedDay;
use exchange::Exchange;
use exchange::report::EventKind;
use market::instrument::{Catalog, InstrumentKind};
use market::money::Money;
use market::quote::Side;
use market::time::Timestamp;
use serde_json::{Value, json};
use std::path::Path;

/// Writes the file.
pub fn write(path: &Path, day: &SimulatedDay, starting_cash: Money) -> Result<(), Failure> {
    let evidence = day.venue.with_exchange(|exchange| evidence(exchange, day, starting_cash));
    let text = serde_json::to_string_pretty(&evidence).expect("plain JSON values");
    std::fs::write(path, text).map_err(|error| {
        Failure::internal(format!("{} can't be written", path.display())).because(error)
    })
}

fn evidence(exchange: &Exchange, day: &SimulatedDay, starting_cash: Money) -> Value {
    let report = &day.report;
    json!({
        "starting_cash": starting_cash.to_string(),
        "expected": { "cash": report.pnl.cash, "fees": report.pnl.fees },
        "executions": day.folded.fills.iter().map(|fill| {
            let (kind, multiplier, symbol) = terms(&day.catalog, fill.con_id);
            json!({
                "exec_id": fill.exec_id.0,
                "order": fill.perm_id.0,
                "kind": kind,
                "symbol": symbol,
                "con_id": fill.con_id.0,
                "multiplier": multiplier,
                "side": match fill.side { Side::Buy => "buy", Side::Sell => "sell" },
                "quantity": fill.quantity.0,
                "price": fill.price.to_string(),
                "time": fill.time.nanos(),
                "fee": day.folded.fees.get(&fill.exec_id.0).map(ToString::to_string),
            })
        }).collect::<Vec<Value>>(),
        "lifecycle": exchange
            .events(Timestamp::EPOCH)
            .iter()
            .filter(|event| !is_opening(&event.kind, starting_cash))
            .map(|event| lifecycle(event, &day.catalog))
            .collect::<Vec<Value>>(),
    })
}

/// The opening deposit is the starting cash.
fn is_opening(kind: &EventKind, starting_cash: Money) -> bool {
    matches!(kind, EventKind::Cash { amount } if *amount == starting_cash)
}

fn lifecycle(event: &exchange::Event, catalog: &Catalog) -> Value {
    let base = json!({ "id": event.id, "time": event.time.nanos() });
    let with = |fields: Value| {
        let mut merged = base.clone();
        if let (Some(into), Some(from)) = (merged.as_object_mut(), fields.as_object()) {
            into.extend(from.clone());
        }
        merged
    };
    let delivered = |kind: &str, delivery: &exchange::Delivery| {
        let (delivered_kind, multiplier, _) = terms(catalog, delivery.con_id);
        with(json!({
            "kind": kind,
            "delivered_con_id": delivery.con_id.0,
            "delivered_quantity": delivery.quantity.0,
            "price": delivery.price.to_string(),
            "delivered_kind": delivered_kind,
            "multiplier": multiplier,
        }))
    };
    match &event.kind {
        EventKind::OptionExpired { .. } => with(json!({ "kind": "expired" })),
        EventKind::Exercised { delivery, .. } => delivered("exercised", delivery),
        EventKind::Assigned { delivery, .. } => delivered("assigned", delivery),
        EventKind::CashSettled { amount, .. } => {
            with(json!({ "kind": "cash_settled", "amount": amount.to_string() }))
        }
        EventKind::Dividend { amount, .. } => {
            with(json!({ "kind": "dividend", "amount": amount.to_string() }))
        }
        EventKind::Variation { con_id, mark, amount } => with(json!({
            "kind": "variation",
            "con_id": con_id.0,
            "mark": mark.to_string(),
            "amount": amount.to_string(),
        })),
        EventKind::Cash { amount } => with(json!({ "kind": "cash", "amount": amount.to_string() })),
    }
}

fn terms(catalog: &Catalog, con_id: market::instrument::ConId) -> (&'static str, u32, String) {
    let Ok(instrument) = catalog.get(con_id) else { return ("unknown", 0, con_id.to_string()) };
    let kind = match instrument.kind {
        InstrumentKind::Stock => "stock",
        InstrumentKind::Index => "index",
        InstrumentKind::Future(_) => "future",
        InstrumentKind::Option(_) => "option",
        InstrumentKind::FutureOption(_) => "future_option",
    };
    (kind, instrument.multiplier.0, instrument.symbol.clone())
}
