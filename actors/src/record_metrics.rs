//! Counts records as they are appended: orders, fills, intents, denials, halts,
//! reconciliations.

use crate::runtime::metrics;
use desk::record::Record;
use trading::report::EndState;
use trading::trading_state::TradingState;

/// Counts one record.
pub fn count(record: &Record) {
    let order = |event: &str| metrics::ORDERS.counter(&[event]).increment(1);
    match record {
        Record::IntentApproved { .. } => {
            metrics::INTENTS.counter(&["approved"]).increment(1);
        }
        Record::IntentDenied { code, count, .. } => {
            metrics::INTENTS.counter(&["denied"]).increment(u64::from(*count));
            metrics::DENIALS.counter(&[code.code()]).increment(u64::from(*count));
        }
        Record::Sent { .. } => order("sent"),
        Record::SendRefused { .. } => order("send_refused"),
        Record::Acknowledged { .. } => order("acknowledged"),
        Record::Modified { .. } => order("modified"),
        Record::CancelRequested { .. } => order("cancel_requested"),
        Record::Unknown { .. } => order("unknown"),
        Record::Abandoned { .. } => order("abandoned"),
        Record::Reappeared { .. } => order("reappeared"),
        Record::Ended { end, .. } => order(match end {
            EndState::Filled => "filled",
            EndState::Canceled => "canceled",
            EndState::Expired => "expired",
            EndState::Rejected => "rejected",
            EndState::Inactive => "inactive",
        }),
        Record::Filled { .. } => metrics::FILLS.counter(&[]).increment(1),
        Record::Tripped { state: TradingState::Halted, .. } => {
            metrics::HALTS.counter(&[]).increment(1);
        }
        Record::Reconciled { report } => {
            let outcome = match (report.complete, report.unresolved.is_empty()) {
                (true, true) => "balanced",
                (true, false) => "unresolved",
                (false, _) if report.stirred => "stirred",
                (false, _) => "incomplete",
            };
            metrics::RECONCILIATIONS.counter(&[outcome]).increment(1);
            // What is incomplete compares nothing.
            if report.complete {
                metrics::BREAKS.gauge(&[]).set(report.unresolved.len() as f64);
            }
        }
        _ => {}
    }
}
