//! The limited figures of one root symbol, worst case over all subsets of fills.

use crate::uncovered::worst_uncovered_shares;
use crate::valuing::{Unavailable, Valuing};
use crate::worst_case::{Fills, Interval};
use market::instrument::ConId;
use std::collections::BTreeSet;

/// Delta, vega and uncovered shares of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Thousandths of a share.
    pub delta: Interval,
    /// Thousandths of a unit of currency per point of volatility.
    pub vega: Interval,
    /// Shares that short options leave uncovered.
    pub uncovered_shares: i64,
}

impl Figures {
    /// Of `fills`, all of one symbol.
    pub fn of(valuing: Valuing<'_>, fills: &Fills) -> Result<Self, Unavailable> {
        let mut groups = BTreeSet::new();
        for con_id in fills.instruments() {
            groups.insert(valuing.group(con_id)?);
        }
        let mut uncovered_shares = 0_i64;
        for underlying in groups {
            let shares = worst_uncovered_shares(valuing, fills, underlying)?;
            uncovered_shares = uncovered_shares.saturating_add(shares);
        }
        Ok(Self {
            delta: fills.interval(|con_id| valuing.delta_milli(con_id))?,
            vega: fills.interval(|con_id| valuing.vega_milli(con_id))?,
            uncovered_shares,
        })
    }
}

/// The part of `legs` in `symbol`.
pub(crate) fn legs_of(
    valuing: Valuing<'_>,
    legs: &[(ConId, i64)],
    symbol: &str,
) -> Result<Vec<(ConId, i64)>, Unavailable> {
    let mut part = Vec::new();
    for leg in legs {
        if valuing.symbol(leg.0)? == symbol {
            part.push(*leg);
        }
    }
    Ok(part)
}

/// The part of `fills` in `symbol`; orders without a leg in it vanish.
pub(crate) fn fills_of(
    valuing: Valuing<'_>,
    fills: &Fills,
    symbol: &str,
) -> Result<Fills, Unavailable> {
    let mut possible = Vec::new();
    for order in &fills.possible {
        let legs = legs_of(valuing, order, symbol)?;
        if !legs.is_empty() {
            possible.push(legs);
        }
    }
    Ok(Fills { held: legs_of(valuing, &fills.held, symbol)?, possible })
}
