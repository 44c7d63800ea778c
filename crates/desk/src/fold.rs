//! The fold of the whole node: what the journal adds up to. Checkpoint plus tail and everything
//! from the beginning give the same [`Books`], bit for bit, and a live role compares its own
//! part's hash.
//!
//! Hashed is the MessagePack encoding of ordered maps, integers and texts: no float, no wall time,
//! no generation.

use crate::record::{Latch, Record, RecordError};
use crate::state::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use store::Seq;
use trading::id::StrategyId;
use trading::trading_state::{HaltEpoch, TradingState, TradingStates};

/// A tripped latch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tripped {
    /// What it leads to.
    pub state: TradingState,
    /// Why.
    pub reason: String,
}

/// All latches that are tripped.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latches {
    /// By latch; absent is released.
    pub tripped: BTreeMap<Latch, Tripped>,
    /// The halt epoch.
    pub halt_epoch: HaltEpoch,
}

impl Latches {
    /// The effect of one record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Tripped { latch, state, reason, halt_epoch } => {
                let state = *state;
                let reason = reason.clone();
                self.tripped.insert(latch.clone(), Tripped { state, reason });
                self.halt_epoch = self.halt_epoch.max(*halt_epoch);
            }
            Record::Released { latch, halt_epoch, .. } => {
                self.tripped.remove(latch);
                self.halt_epoch = self.halt_epoch.max(*halt_epoch);
            }
            _ => {}
        }
    }

    /// The trading states that they lead to, the strictest per scope.
    #[must_use]
    pub fn trading_states(&self) -> TradingStates {
        let mut states = TradingStates { halt_epoch: self.halt_epoch, ..TradingStates::default() };
        for (latch, tripped) in &self.tripped {
            let state = match latch {
                Latch::Halt => &mut states.account,
                Latch::Breaker { scope, .. } if scope == "account" => &mut states.account,
                Latch::Breaker { scope, .. } => {
                    states.underlyings.entry(scope.clone()).or_default()
                }
                Latch::Quarantine(strategy) => {
                    states.strategies.entry(strategy.clone()).or_default()
                }
            };
            *state = (*state).max(tripped.state);
        }
        states
    }
}

/// Everything durable that the node is.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Books {
    /// The last record that is folded in.
    pub seq: Seq,
    /// The last process life that wrote.
    pub epoch: u32,
    /// The desk's.
    pub desk: State,
    /// The latches.
    pub latches: Latches,
    /// Strategies' durable parts, in their own encodings.
    pub strategies: BTreeMap<StrategyId, serde_bytes::ByteBuf>,
    /// The environment that the account is traded in, by the last `Started`.
    pub environment: String,
}

/// The hashes of the parts and of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHash {
    /// Of all.
    pub whole: String,
    /// Of the desk's state.
    pub desk: String,
    /// Of the latches.
    pub latches: String,
    /// Of the strategies' durable parts.
    pub strategies: String,
}

/// The journal does not fold.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// A record can't be read.
    #[error("record {seq}: {source}")]
    Record {
        /// Which.
        seq: Seq,
        /// Why.
        source: RecordError,
    },
    /// Numbers skip.
    #[error("record {found} follows {last}; the journal has a gap, verify it")]
    Gap {
        /// The last one folded.
        last: Seq,
        /// The one that came.
        found: Seq,
    },
    /// A checkpoint's state can't be read.
    #[error("checkpoint can't be decoded: {0}; fold from an older one")]
    Checkpoint(rmp_serde::decode::Error),
    /// A checkpoint's state is not what its hash says.
    #[error("checkpoint says hash {expected}, its state has {found}; fold from an older one")]
    Hash {
        /// By the record.
        expected: String,
        /// By the state.
        found: String,
    },
}

impl Books {
    /// Folds one record of the journal in, by its envelope.
    pub fn apply(
        &mut self,
        seq: Seq,
        epoch: u32,
        kind: u16,
        schema_version: u16,
        payload: &[u8],
    ) -> Result<(), FoldError> {
        if self.seq != Seq::ZERO && seq != self.seq.next() {
            let last = self.seq;
            return Err(FoldError::Gap { last, found: seq });
        }
        // Kind 0 is the store's own: it only counts.
        if kind != 0 {
            let record = Record::decode(kind, schema_version, payload)
                .map_err(|source| FoldError::Record { seq, source })?;
            self.apply_record(&record);
        }
        self.seq = seq;
        self.epoch = epoch;
        Ok(())
    }

    /// The effect of one record on every part.
    pub fn apply_record(&mut self, record: &Record) {
        self.desk.apply(record);
        self.latches.apply(record);
        match record {
            Record::StrategyDurable { strategy, payload } => {
                let payload = serde_bytes::ByteBuf::from(payload.clone());
                self.strategies.insert(strategy.clone(), payload);
            }
            Record::Started { environment, .. } => self.environment.clone_from(environment),
            _ => {}
        }
    }

    /// The state that a checkpoint record holds, checked against its hash.
    pub fn from_checkpoint(record: &Record) -> Result<Option<Self>, FoldError> {
        let Record::Checkpoint { state_hash, state } = record else {
            return Ok(None);
        };
        let books: Self = rmp_serde::from_slice(state).map_err(FoldError::Checkpoint)?;
        let found = books.state_hash().whole;
        if found == *state_hash {
            Ok(Some(books))
        } else {
            let expected = state_hash.clone();
            Err(FoldError::Hash { expected, found })
        }
    }

    /// The books as bytes, for a snapshot.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The books of a snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Self, FoldError> {
        rmp_serde::from_slice(bytes).map_err(FoldError::Checkpoint)
    }

    /// A checkpoint of this state. It describes the journal up to [`Books::seq`]; the record itself
    /// gets a later number and changes nothing.
    #[must_use]
    pub fn checkpoint_record(&self) -> Record {
        Record::Checkpoint { state_hash: self.state_hash().whole, state: encode(self) }
    }

    /// The hashes of this state.
    #[must_use]
    pub fn state_hash(&self) -> StateHash {
        let desk = hash_of(&self.desk);
        let latches = hash_of(&self.latches);
        let strategies = hash_of(&self.strategies);
        let whole = hash_of(&(&desk, &latches, &strategies, &self.environment));
        StateHash { whole, desk, latches, strategies }
    }
}

/// blake3 of a part's canonical encoding: what a live role compares with its part of the fold.
#[must_use]
pub fn hash_of<T: Serialize>(part: &T) -> String {
    let mut hashed = io::BufWriter::new(blake3::Hasher::new());
    rmp_serde::encode::write_named(&mut hashed, part).expect("states hold only encodable types");
    let hasher = hashed.into_inner().expect("a hasher takes every byte");
    hasher.finalize().to_hex().to_string()
}

fn encode<T: Serialize>(part: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(part).expect("states hold only encodable types")
}
