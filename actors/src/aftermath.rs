//! What follows when a role fails: who hears of a restart, and what a role that stays down means
//! for what it traded.
//!
//! One piece for the running node and the simulation, so that what is proved of the one holds for
//! the other. What an event leads to is [`of`], a pure function; telling is [`follow`]. Not here:
//! whether a role is restarted (runtime), what a restart counts for (risk), what a quarantine does
//! (desk, strategy).

use crate::auditor::Audit;
use crate::messages::{BreakerMessage, KillSwitchMessage};
use crate::node::NodeParts;
use crate::runtime::board::Status;
use crate::runtime::tree::{Happening, Tree, TreeEvent};
use ::risk::breaker::BreakerEvent;
use desk::record::Latch;
use market::time::Timestamp;
use trading::id::StrategyId;
use trading::trading_state::TradingState;

/// What an event of the tree leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing.
    Nothing,
    /// A role starts again: the technical breaker counts it.
    Restarted,
    /// A role stays down until it is revived.
    Down {
        /// Why.
        reason: String,
        /// The strategy that is quarantined with it, if it is a strategy.
        quarantined: Option<StrategyId>,
    },
}

/// What an event leads to.
#[must_use]
pub fn of(event: &TreeEvent) -> Aftermath {
    match &event.what {
        Happening::Restarting { .. } => Aftermath::Restarted,
        Happening::Benched { reason, .. } => {
            let name = event.role.as_str().strip_prefix("strategy/");
            let quarantined = name.and_then(|name| StrategyId::new(name).ok());
            Aftermath::Down { reason: reason.clone(), quarantined }
        }
        Happening::Starting { .. }
        | Happening::Started { .. }
        | Happening::Readiness { .. }
        | Happening::Exited { .. }
        | Happening::Rests
        | Happening::Unkillable
        | Happening::SeatTaken { .. }
        | Happening::Halting { .. }
        | Happening::Escalating { .. }
        | Happening::Exhausted { .. } => Aftermath::Nothing,
    }
}

/// Tells whom it concerns.
pub fn follow(parts: &NodeParts, event: &TreeEvent, now: Timestamp) {
    let role = event.role.clone();
    match of(event) {
        Aftermath::Nothing => {}
        Aftermath::Restarted => {
            parts.audit.tell(move |auditor| auditor.on_restart(role.as_str(), now));
            BreakerMessage::tell(&parts.breakers, &BreakerEvent::Restarted);
        }
        Aftermath::Down { reason, quarantined } => {
            parts.audit.tell(move |auditor| auditor.on_exhausted(role.as_str(), true, now));
            if let Some(strategy) = quarantined {
                let (latch, state) = (Latch::Quarantine(strategy), TradingState::ReduceOnly);
                // Parked while the kill switch restarts.
                let _ = parts.kill_switch.send(KillSwitchMessage::Trip { latch, state, reason });
            }
        }
    }
}

/// After a resume: what was quarantined starts again; a role that runs is left alone.
pub fn revive(tree: &Tree, audit: &Audit) {
    for row in tree.board().view() {
        if row.status == Status::Quarantined {
            // Its supervisor is down only while everything restarts anyway.
            let _ = tree.revive(&row.role);
            audit.tell(move |auditor| auditor.on_revived(row.role.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::policy::Beyond;
    use crate::runtime::role::RolePath;
    use market::time::ProcessTime;
    use std::time::Duration;

    #[track_caller]
    fn check(role: &str, what: Happening, expected: &Aftermath) {
        let event = TreeEvent { at: ProcessTime::ZERO, role: RolePath::new(role), what };
        assert_eq!(of(&event), *expected);
    }

    fn benched() -> Happening {
        Happening::Benched { beyond: Beyond::Quarantine, reason: "why".to_owned() }
    }

    #[test]
    fn a_restart_is_counted_and_an_exit_alone_is_not() {
        let (after, reason) = (Duration::ZERO, "why".to_owned());
        check("desk", Happening::Restarting { after, reason }, &Aftermath::Restarted);
        check("desk", Happening::Started { generation: 2 }, &Aftermath::Nothing);
    }

    #[test]
    fn only_a_strategy_that_stays_down_is_quarantined() {
        let reason = || "why".to_owned();
        let alpha = Some(StrategyId::new("alpha").unwrap());
        let down = Aftermath::Down { reason: reason(), quarantined: alpha };
        check("strategy/alpha", benched(), &down);
        let down = Aftermath::Down { reason: reason(), quarantined: None };
        check("ops", benched(), &down);
        check("caretaker", benched(), &down);
    }
}
