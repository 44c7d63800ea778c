//! What the running node hears from its tree and its fault gates, and whom it tells.

use super::{Ending, PartsCell};
use actors::aftermath;
use actors::messages::KillSwitchMessage;
use actors::node::NodeParts;
use actors::runtime::clock::Clock;
use actors::runtime::fault::FaultBoard;
use actors::runtime::tree::{Happening, Hooks, TreeEvent};
use broker::wire_fence::WireFence;
use desk::record::Record;
use std::sync::{Arc, PoisonError};
use tokio::sync::mpsc;

pub(super) fn hooks(
    cell: &PartsCell,
    clock: &Clock,
    fence: &Arc<WireFence>,
    endings: mpsc::UnboundedSender<Ending>,
) -> Hooks {
    let parts = |cell: &PartsCell| cell.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (cell, events) = (Arc::clone(cell), clock.clone());
    let (halting, fence) = (Arc::clone(&cell), Arc::clone(fence));
    Hooks::default()
        .on_event(move |event: &TreeEvent| {
            let Some(parts) = parts(&cell) else { return };
            match &event.what {
                Happening::Restarting { reason, .. } => {
                    tracing::warn!(role = %event.role, reason, "restarting");
                }
                Happening::Benched { reason, .. } => {
                    tracing::error!(role = %event.role, reason, "down until revived");
                }
                Happening::Unkillable | Happening::SeatTaken { .. } => {
                    tracing::error!(role = %event.role, what = ?event.what, "alarm");
                }
                _ => {}
            }
            aftermath::follow(&parts, event, events.now().market);
        })
        .on_halt(move |reason: &str| {
            fence.halt(reason);
            let parts = halting.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(parts) = parts {
                let reason = reason.to_owned();
                let _ = parts.kill_switch.send(KillSwitchMessage::Fenced { reason });
            }
        })
        .on_exhausted(move |reason: &str| {
            // Received until the process ends.
            let _ = endings.send(Ending::Exhausted(reason.to_owned()));
        })
}

/// Every injected fault is a record.
pub(super) fn record_faults(faults: &FaultBoard, parts: &NodeParts, clock: &Clock) {
    let (journal, clock) = (parts.journal.clone(), clock.clone());
    let Ok(tag) = actors::journal::writer_tag("chaos", 1) else { return };
    let numbers = std::sync::atomic::AtomicU64::new(1);
    faults.report_to(move |injection| {
        let record = Record::Fault {
            id: numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            role: injection.role.as_str().to_owned(),
            fault: injection.fault.label().to_owned(),
            by: injection.rule.map_or("operator".to_owned(), |rule| format!("rule {rule}")),
        };
        if let Err(error) = journal.append(&tag, clock.now().market, &[record]) {
            tracing::warn!(%error, "an injected fault could not be recorded");
        }
    });
}
