//! The judgement of failures: who is restarted with whom, who is benched, when it is too much.
//!
//! The other half of the machine, starting and stopping in order, is in `supervision.rs`.

use super::events::{Action, Exit};
use super::{End, Group, Mode, State, Supervision};
use crate::runtime::policy::{Beyond, Restart, Strategy};
use market::time::ProcessTime;
use std::collections::BTreeSet;
use std::time::Duration;

impl Supervision {
    /// Judges every child that is gone, all at once.
    pub(super) fn settle(&mut self, now: ProcessTime, actions: &mut Vec<Action>) {
        if self.mode != Mode::Up || self.exhausted {
            return;
        }
        let mut failed = Vec::new();
        for index in 0..self.children.len() {
            if let State::Gone { exit, ran } = self.children[index].state.clone() {
                if self.group.as_ref().is_some_and(|group| group.members.contains(&index)) {
                    // It went while its group was being stopped: part of that restart.
                    self.children[index].state = State::Held;
                } else if let Some(failure) = self.judge(index, exit, ran, now, actions) {
                    failed.push((index, failure));
                }
            }
        }
        if failed.is_empty() || self.mode != Mode::Up || self.exhausted {
            return;
        }
        let counts =
            |(index, _): &(usize, String)| !self.children[*index].policy.contains_failures();
        let counted = failed.iter().filter(|failed| counts(failed)).count();
        // Where all of a batch are restarted together, the batch is one failure.
        let failures = if self.strategy == Strategy::OneForOne { counted } else { counted.min(1) };
        let first = failed.iter().position(counts);
        let mut exceeded = false;
        for _ in 0..failures {
            exceeded |= self.failures.exceeds(self.intensity, now);
        }
        if let Some(first) = first.filter(|_| exceeded) {
            let (index, reason) = failed.swap_remove(first);
            self.exceed(index, reason, actions);
            return;
        }
        self.restart(failed, now, actions);
    }

    /// One child that is gone: its failure if it is to be restarted.
    fn judge(
        &mut self,
        index: usize,
        exit: Exit,
        ran: Duration,
        now: ProcessTime,
        actions: &mut Vec<Action>,
    ) -> Option<String> {
        let child = &mut self.children[index];
        let (restarts, reason) = match (exit, child.policy.restart) {
            (Exit::GaveUp(reason), _) => {
                self.go_beyond(index, reason, actions);
                return None;
            }
            (Exit::Normal, Restart::Permanent) => (true, "stopped".to_owned()),
            (Exit::Normal, Restart::Transient | Restart::Temporary) => (false, String::new()),
            (Exit::Abnormal(reason), Restart::Permanent | Restart::Transient) => (true, reason),
            (Exit::Abnormal(reason), Restart::Temporary) => (false, reason),
        };
        if !restarts {
            child.state = State::Finished;
            actions.push(Action::Rests { child: index });
            return None;
        }
        if ran >= child.policy.backoff.reset_after {
            child.streak = 0;
        }
        child.streak = child.streak.saturating_add(1);
        if !child.failures.exceeds(child.policy.intensity, now) {
            return Some(reason);
        }
        self.go_beyond(index, reason, actions);
        None
    }

    /// What happens to a child that isn't restarted any more.
    fn go_beyond(&mut self, index: usize, reason: String, actions: &mut Vec<Action>) {
        match self.children[index].policy.beyond {
            Beyond::Escalate => self.escalate(index, reason, actions),
            beyond @ (Beyond::Quarantine | Beyond::Halt | Beyond::Drop) => {
                self.children[index].state = State::Benched(beyond);
                if beyond == Beyond::Halt {
                    actions.push(Action::Halt { child: index, reason: reason.clone() });
                }
                actions.push(Action::Benched { child: index, beyond, reason });
            }
        }
    }

    fn restart(
        &mut self,
        failed: Vec<(usize, String)>,
        now: ProcessTime,
        actions: &mut Vec<Action>,
    ) {
        let first = failed.iter().map(|(index, _)| *index).min().unwrap_or(0);
        let mut longest = Duration::ZERO;
        for (index, reason) in failed {
            let child = &mut self.children[index];
            let after = child.policy.backoff.wait(child.streak, &mut self.random);
            longest = longest.max(after);
            child.state = State::Waiting { not_before: now + after };
            actions.push(Action::Restarting { child: index, after, reason });
        }
        match self.strategy {
            Strategy::OneForOne => {}
            Strategy::OneForAll => self.join_group(0, longest),
            Strategy::RestForOne => self.join_group(first, longest),
        }
    }

    /// All children from `first` on are stopped and started again together.
    fn join_group(&mut self, first: usize, after: Duration) {
        let members = (first..self.children.len())
            .filter(|index| self.children[*index].state.is_member())
            .collect::<BTreeSet<_>>();
        self.gather(members, after);
    }

    fn gather(&mut self, members: BTreeSet<usize>, after: Duration) {
        for index in &members {
            let child = &mut self.children[*index];
            if !child.state.is_alive() {
                child.state = State::Held;
            }
        }
        let group =
            self.group.get_or_insert(Group { members: BTreeSet::new(), after: Duration::ZERO });
        group.members.extend(members);
        group.after = group.after.max(after);
    }

    pub(super) fn revive(&mut self, index: usize, now: ProcessTime) {
        let Some(child) = self.children.get_mut(index) else {
            return;
        };
        if self.mode != Mode::Up || self.exhausted {
            return;
        }
        if matches!(child.state, State::Benched(_) | State::Finished | State::Waiting { .. }) {
            child.failures.clear();
            child.streak = 0;
            child.state = State::Waiting { not_before: now };
            return;
        }
        match self.strategy {
            Strategy::OneForOne => self.gather(BTreeSet::from([index]), Duration::ZERO),
            Strategy::OneForAll => self.join_group(0, Duration::ZERO),
            Strategy::RestForOne => self.join_group(index, Duration::ZERO),
        }
    }

    fn exceed(&mut self, child: usize, reason: String, actions: &mut Vec<Action>) {
        match self.beyond {
            Beyond::Escalate => self.escalate(child, reason, actions),
            beyond @ (Beyond::Quarantine | Beyond::Halt | Beyond::Drop) => {
                if beyond == Beyond::Halt {
                    actions.push(Action::Halt { child, reason: reason.clone() });
                }
                self.mode = Mode::Stopping(End::Bench(beyond, reason));
            }
        }
    }

    fn escalate(&mut self, child: usize, reason: String, actions: &mut Vec<Action>) {
        if self.is_root {
            // The session must live on to cancel what works: the node stops the tree itself.
            if !std::mem::replace(&mut self.exhausted, true) {
                actions.push(Action::Exhausted { child, reason });
            }
        } else if self.mode == Mode::Up {
            self.mode = Mode::Stopping(End::Escalate(child, reason));
        }
    }
}
