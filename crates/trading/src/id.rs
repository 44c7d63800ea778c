//! Identities: of accounts, strategies, intents, orders and executions.
//!
//! Each is a newtype because IB has four numbers for one order (ours, its permanent one, the
//! reference and the execution's), and an order cancelled under the wrong one is a loss.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A text that is not a valid identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Strategy ids become role paths, file names and metric labels.
    #[error("`{0}` can't name a strategy, use 1 to 40 of a-z, 0-9 and _")]
    Strategy(String),
    /// An order reference of another program, or damaged.
    #[error("`{0}` is not an order reference of this node")]
    Reference(String),
}

/// A broker account, such as `DU1234567`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub String);

impl AccountId {
    /// IB's paper accounts begin with a D, and so do our own gateway's.
    #[must_use]
    pub fn is_paper(&self) -> bool {
        self.0.starts_with('D')
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A strategy instance, by the name of its tome: 1 to 40 of `a-z`, `0-9` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StrategyId(String);

impl StrategyId {
    /// The strategy called `name`.
    pub fn new(name: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if (1..=40).contains(&name.len()) && name.bytes().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(IdError::Strategy(name.to_owned()))
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StrategyId {
    type Error = IdError;
    fn try_from(name: String) -> Result<Self, IdError> {
        Self::new(&name)
    }
}

impl From<StrategyId> for String {
    fn from(id: StrategyId) -> Self {
        id.0
    }
}

impl fmt::Display for StrategyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One installation of the node: drawn once per state directory, so that two nodes on one account
/// never share an intent key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstallId(pub u32);

/// One life of the process; it rises by one, durably, before anything else at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// The identity of an intent, unique for ever; in text it is the order reference at the broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentKey {
    /// The installation.
    pub install: InstallId,
    /// The process life in which it was made.
    pub epoch: Epoch,
    /// Who wants it.
    pub strategy: StrategyId,
    /// Rising within one epoch and strategy.
    pub seq: u32,
}

impl IntentKey {
    /// Reads an order reference (`oib.<install>.<epoch>.<strategy>.<seq>`) back.
    pub fn parse(reference: &str) -> Result<Self, IdError> {
        let fail = || IdError::Reference(reference.to_owned());
        let mut parts = reference.split('.');
        let mut next = || parts.next().ok_or_else(fail);
        if next()? != "oib" {
            return Err(fail());
        }
        // As written by us and no other way: eight small hex digits, decimals without a leading
        // zero or sign. Asked for each execution of a reconciliation, so nothing is printed again.
        let install = next()?;
        let hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if install.len() != 8 || !install.bytes().all(hex) {
            return Err(fail());
        }
        let install = InstallId(u32::from_str_radix(install, 16).map_err(|_| fail())?);
        let epoch = Epoch(decimal(next()?).ok_or_else(fail)?);
        let strategy = StrategyId::new(next()?).map_err(|_| fail())?;
        let seq = decimal(next()?).ok_or_else(fail)?;
        if parts.next().is_some() {
            return Err(fail());
        }
        Ok(Self { install, epoch, strategy, seq })
    }
}

/// A number as we print it.
fn decimal(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    if canonical { text.parse().ok() } else { None }
}

impl fmt::Display for IntentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oib.{:08x}.{}.{}.{}", self.install.0, self.epoch.0, self.strategy, self.seq)
    }
}

/// Our number of an order, unique per client id at the broker; same id again means modify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub i64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The broker's account-wide, permanent number of an order (IB: permId).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PermId(pub i64);

/// The broker's number of an execution (IB: execId). A correction keeps the part before the last
/// dot and raises the part after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecId(pub String);

impl ExecId {
    /// What all corrections of one execution share: the text before the last dot.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(self.0.as_str(), |(stem, _)| stem)
    }

    /// Which correction this is: the number after the last dot.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.0.rsplit_once('.').and_then(|(_, revision)| revision.parse().ok()).unwrap_or(0)
    }
}

impl fmt::Display for ExecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_key_survives_the_trip_through_the_order_reference() {
        let key = IntentKey {
            install: InstallId(0xab),
            epoch: Epoch(7),
            strategy: StrategyId::new("gamma_scalper_1").unwrap(),
            seq: 41,
        };
        assert_eq!(key.to_string(), "oib.000000ab.7.gamma_scalper_1.41");
        assert_eq!(IntentKey::parse(&key.to_string()), Ok(key));
        for foreign in ["", "oib.1.2.x", "oib.ab.7.gamma_scalper_1.41", "abc.000000ab.7.x.1"] {
            assert!(IntentKey::parse(foreign).is_err(), "{foreign}");
        }
    }

    #[test]
    fn a_correction_shares_the_stem_of_its_execution() {
        let first = ExecId("0000e1a7.5f3b.01.01".into());
        let second = ExecId("0000e1a7.5f3b.01.02".into());
        assert_eq!(first.stem(), second.stem());
        assert_eq!((first.revision(), second.revision()), (1, 2));
    }
}
