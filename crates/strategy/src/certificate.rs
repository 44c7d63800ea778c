//! Certificates: a tested result for exactly one code, one set of parameters and one data set.
//!
//! The file lies next to the tome and is named in it. A strategy without a valid one may trade in
//! paper, marked so, and never live; that rule is the performance layer's. Here: the format and the
//! check.

use market::money::Money;
use market::time::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use trading::id::StrategyId;

/// The one schema that this version reads.
pub const SCHEMA_VERSION: u32 = 1;

/// blake3 of something, in 64 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Over parts, each with its length, so that no two lists of parts share one.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().to_hex().to_string())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a strategy may trade on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Simulation and paper accounts.
    Paper,
    /// Real money (and everything below).
    Live,
}

/// What was tested and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    /// The first day of the data.
    pub from: Date,
    /// The last day.
    pub until: Date,
    /// Orders sent.
    pub orders: u64,
    /// Executions.
    pub fills: u64,
    /// Result after fees, in micro-units of the product's currency.
    pub net_result: Money,
    /// Largest fall from a peak, positive, likewise.
    pub drawdown_max: Money,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// For which instance.
    pub strategy: StrategyId,
    /// Of its kind, version and parameters (`Tome::fingerprint`).
    pub fingerprint: Fingerprint,
    /// Of the data that it was tested on.
    pub data_fingerprint: Fingerprint,
    /// What was tested.
    pub tested: Tested,
    /// Valid from this day on.
    pub issued: Date,
    /// Through this day.
    pub expires: Date,
    /// Up to which environment.
    pub environment: Environment,
}

/// Why a certificate does not cover a strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not readable.
    #[error("{file} is not a certificate: {reason}")]
    Shape {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Written by another version.
    #[error("the certificate has schema {found}, this version reads {SCHEMA_VERSION}")]
    Schema {
        /// Its schema.
        found: u32,
    },
    /// It speaks of another strategy.
    #[error("the certificate is for {found}, not for {wanted}")]
    Strategy {
        /// Whom it covers.
        found: StrategyId,
        /// Who asked.
        wanted: StrategyId,
    },
    /// Code or parameters changed since the test.
    #[error("the certificate covers {found}, the tome is {wanted}; test the strategy again")]
    Fingerprint {
        /// What it covers.
        found: Fingerprint,
        /// What is to run.
        wanted: Fingerprint,
    },
    /// Outside its days.
    #[error("the certificate is valid from {issued} through {expires}, today is {today}")]
    Dates {
        /// First valid day.
        issued: Date,
        /// Last valid day.
        expires: Date,
        /// The day asked for.
        today: Date,
    },
    /// Tested for paper only.
    #[error("the certificate allows paper trading only")]
    Environment,
}

impl Certificate {
    /// Reads the text of `file` (a name for errors).
    pub fn parse(file: &str, text: &str) -> Result<Self, CertificateFault> {
        serde_json::from_str(text).map_err(|error| CertificateFault::Shape {
            file: file.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Whether it covers this strategy, as fingerprinted, in this environment, today.
    pub fn check(
        &self,
        strategy: &StrategyId,
        fingerprint: &Fingerprint,
        environment: Environment,
        today: Date,
    ) -> Result<(), CertificateFault> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(CertificateFault::Schema { found: self.schema_version });
        }
        if self.strategy != *strategy {
            let (found, wanted) = (self.strategy.clone(), strategy.clone());
            return Err(CertificateFault::Strategy { found, wanted });
        }
        if self.fingerprint != *fingerprint {
            let (found, wanted) = (self.fingerprint.clone(), fingerprint.clone());
            return Err(CertificateFault::Fingerprint { found, wanted });
        }
        if !(self.issued..=self.expires).contains(&today) {
            let (issued, expires) = (self.issued, self.expires);
            return Err(CertificateFault::Dates { issued, expires, today });
        }
        if environment > self.environment {
            return Err(CertificateFault::Environment);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn a_certificate_covers_one_strategy_as_tested_and_nothing_else() {
        let (own, other) = (Fingerprint::of(&[b"a"]), Fingerprint::of(&[b"b"]));
        let id = |name: &str| StrategyId::new(name).unwrap();
        let certificate = Certificate {
            schema_version: 1,
            strategy: id("one"),
            fingerprint: own.clone(),
            data_fingerprint: other.clone(),
            tested: Tested {
                from: day("2020-01-06"),
                until: day("2020-01-06"),
                orders: 10,
                fills: 9,
                net_result: Money::from_units(120),
                drawdown_max: Money::from_units(40),
            },
            issued: day("2020-02-01"),
            expires: day("2020-03-01"),
            environment: Environment::Paper,
        };
        let text = serde_json::to_string(&certificate).unwrap();
        let read = Certificate::parse("one.json", &text).unwrap();
        assert_eq!(read, certificate);
        let paper = Environment::Paper;
        let check = |strategy: &str, fingerprint, environment, today| {
            read.check(&id(strategy), fingerprint, environment, day(today))
        };
        assert_eq!(check("one", &own, paper, "2020-03-01"), Ok(()));
        assert!(matches!(
            check("two", &own, paper, "2020-03-01"),
            Err(CertificateFault::Strategy { .. })
        ));
        assert!(matches!(
            check("one", &other, paper, "2020-03-01"),
            Err(CertificateFault::Fingerprint { .. })
        ));
        assert!(matches!(
            check("one", &own, paper, "2020-03-02"),
            Err(CertificateFault::Dates { .. })
        ));
        assert_eq!(
            check("one", &own, Environment::Live, "2020-03-01"),
            Err(CertificateFault::Environment)
        );
        assert!(Certificate::parse("x", "{}").is_err());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    }
}
