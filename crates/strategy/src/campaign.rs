//! The money side of one campaign: what its fills have paid and received so far.
//!
//! The durable part of the built-ins. Result = cash + value of the position now, for options,
//! shares and futures alike (a future's full value stands on both sides). All integers, so that a
//! record of it has one encoding. The books of account are the desk's ledger; this only steers
//! exits.

use market::instrument::ConId;
use market::money::{Multiplier, Price, Quantity};
use market::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use trading::report::Fill;

/// Executions remembered, so that a repeated one books once and a correction replaces.
const REMEMBERED: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Booked {
    stem: String,
    revision: u32,
    con_id: ConId,
    quantity: i64,
    cash_micros: i64,
}

/// Cash and position of the fills since the strategy was last flat.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Campaign {
    schema_version: u32,
    cash_micros: i64,
    /// The position that the cash has paid for.
    positions: BTreeMap<ConId, Quantity>,
    booked: Vec<Booked>,
    /// Credit per unit of the underlying of the spread as sold, once it is complete.
    pub(crate) credit_micros: Option<i64>,
    /// No new campaign before this.
    pub(crate) resume_at: Timestamp,
    /// A position was found that the cash does not explain; its basis becomes the market's mids.
    basis_unknown: bool,
    #[serde(skip)]
    pub(crate) changed: bool,
}

impl Campaign {
    pub(crate) fn fresh() -> Self {
        Self { schema_version: 1, ..Self::default() }
    }

    pub(crate) fn from_durable(bytes: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if read.schema_version == 1 {
            Ok(read)
        } else {
            Err(format!("schema {} is not known", read.schema_version))
        }
    }

    pub(crate) fn to_durable(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("integers, text and maps of them encode")
    }

    /// The desk has told the position: if fills were missed meanwhile, the basis is the market's.
    pub(crate) fn attach(&mut self, positions: &BTreeMap<ConId, Quantity>) {
        if self.positions != *positions {
            self.positions = positions.clone();
            self.booked.clear();
            self.cash_micros = 0;
            self.credit_micros = None;
            self.basis_unknown = !positions.is_empty();
            self.changed = true;
        }
    }

    /// Books an execution and answers by how much it changes the position: nothing for one that is
    /// booked already, the difference for a correction.
    pub(crate) fn book(&mut self, fill: &Fill, multiplier: Multiplier) -> i64 {
        let (stem, revision) = (fill.exec_id.stem(), fill.exec_id.revision());
        let mut change = 0;
        if let Some(at) = self.booked.iter().position(|booked| booked.stem == stem) {
            if self.booked[at].revision >= revision {
                return 0;
            }
            let old = self.booked.remove(at);
            change = -old.quantity;
            self.add(old.con_id, -old.quantity, old.cash_micros.saturating_neg());
        }
        let quantity = fill.side.sign() * fill.quantity.0;
        let cash = value_micros(fill.price, Quantity(quantity), multiplier);
        let cash_micros = cash.map_or(0, i64::saturating_neg);
        self.add(fill.con_id, quantity, cash_micros);
        if self.booked.len() == REMEMBERED {
            self.booked.remove(0);
        }
        self.booked.push(Booked {
            stem: stem.to_owned(),
            revision,
            con_id: fill.con_id,
            quantity,
            cash_micros,
        });
        self.changed = true;
        change + quantity
    }

    fn add(&mut self, con_id: ConId, quantity: i64, cash_micros: i64) {
        self.cash_micros = self.cash_micros.saturating_add(cash_micros);
        let position = self.positions.entry(con_id).or_default();
        position.0 = position.0.saturating_add(quantity);
        if position.is_zero() {
            self.positions.remove(&con_id);
        }
    }

    /// The fills so far leave no position.
    pub(crate) fn is_flat(&self) -> bool {
        self.positions.is_empty()
    }

    /// The strategy is flat and nothing of it works: the campaign is over.
    pub(crate) fn end(&mut self, resume_at: Timestamp) {
        let used = self.cash_micros != 0
            || !self.positions.is_empty()
            || self.credit_micros.is_some()
            || self.basis_unknown;
        if used {
            // Executions stay remembered: a late repeat of one must not open a phantom campaign.
            let booked = std::mem::take(&mut self.booked);
            *self = Self { booked, resume_at, changed: true, ..Self::fresh() };
        }
    }

    /// Result so far in micro-units, given what the position would bring now. The first one after
    /// an unexplained position is zero by definition.
    pub(crate) fn result_micros(&mut self, value_micros: i64) -> i64 {
        if self.basis_unknown {
            self.basis_unknown = false;
            self.cash_micros = value_micros.saturating_neg();
            self.changed = true;
        }
        self.cash_micros.saturating_add(value_micros)
    }

    pub(crate) fn set_credit(&mut self, credit_micros: i64) {
        self.credit_micros = Some(credit_micros);
        self.changed = true;
    }

    /// Cash of the fills so far, in micro-units; `None` as long as the basis is unknown.
    pub(crate) const fn cash_micros(&self) -> Option<i64> {
        if self.basis_unknown { None } else { Some(self.cash_micros) }
    }
}

/// Value of a position in micro-units, if it can be held in them.
pub(crate) fn value_micros(price: Price, quantity: Quantity, by: Multiplier) -> Option<i64> {
    price.micros().checked_mul(quantity.0)?.checked_mul(i64::from(by.0))
}
