//! Denials, coalesced: the first of its kind is recorded at once, repeats are counted and recorded
//! every so many or after a time. A strategy that storms must not fill the journal.

use crate::record::Record;
use market::time::ProcessTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use trading::denial::{Denial, DenialCode};
use trading::id::{IntentKey, StrategyId};
use trading::intent::Intent;

/// How many kinds of denial are counted apart; beyond it each denial is recorded by itself, which
/// needs more strategies and contracts than the node runs.
const KINDS_MAX: usize = 256;

/// How repeats are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenialPolicy {
    /// After this many repeats.
    pub repeats: u32,
    /// And after this time in any case.
    pub interval: Duration,
}

impl Default for DenialPolicy {
    fn default() -> Self {
        Self { repeats: 100, interval: Duration::from_secs(10) }
    }
}

#[derive(Debug)]
struct Repeats {
    key: IntentKey,
    sentence: String,
    count: u32,
    flush_at: ProcessTime,
}

type Kind = (StrategyId, DenialCode, String);

#[derive(Debug)]
pub(super) struct Denials {
    policy: DenialPolicy,
    repeats: BTreeMap<Kind, Repeats>,
}

impl Denials {
    pub(super) const fn new(policy: DenialPolicy) -> Self {
        Self { policy, repeats: BTreeMap::new() }
    }

    /// Counts a denial; answers the record if one is due at once.
    pub(super) fn note(
        &mut self,
        intent: &Intent,
        denial: &Denial,
        now: ProcessTime,
    ) -> Option<Record> {
        let contract = intent.target.contract().to_string();
        let kind = (intent.strategy().clone(), denial.code, contract);
        let flush_at = now + self.policy.interval;
        let full = self.repeats.len() >= KINDS_MAX;
        let Some(repeats) = self.repeats.get_mut(&kind) else {
            if !full {
                let first = Repeats {
                    key: intent.key.clone(),
                    sentence: denial.sentence.clone(),
                    count: 0,
                    flush_at,
                };
                self.repeats.insert(kind, first);
            }
            return Some(Record::IntentDenied {
                key: intent.key.clone(),
                code: denial.code,
                sentence: denial.sentence.clone(),
                count: 1,
            });
        };
        if repeats.count == 0 {
            repeats.key = intent.key.clone();
            repeats.sentence.clone_from(&denial.sentence);
        }
        repeats.count += 1;
        if repeats.count < self.policy.repeats {
            return None;
        }
        repeats.flush_at = flush_at;
        Some(take(denial.code, repeats))
    }

    /// The records that are due; kinds without a repeat for an interval are forgotten.
    pub(super) fn flush(&mut self, now: ProcessTime) -> Vec<Record> {
        let interval = self.policy.interval;
        let mut due = Vec::new();
        self.repeats.retain(|kind, repeats| {
            if repeats.flush_at > now {
                return true;
            }
            if repeats.count == 0 {
                return false;
            }
            due.push(take(kind.1, repeats));
            repeats.flush_at = now + interval;
            true
        });
        due
    }

    pub(super) fn next_flush(&self) -> Option<ProcessTime> {
        self.repeats.values().map(|repeats| repeats.flush_at).min()
    }
}

fn take(code: DenialCode, repeats: &mut Repeats) -> Record {
    Record::IntentDenied {
        key: repeats.key.clone(),
        code,
        sentence: repeats.sentence.clone(),
        count: std::mem::take(&mut repeats.count),
    }
}
