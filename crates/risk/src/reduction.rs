//! The proof that an order lowers risk, or its absence.
//!
//! An order is risk-reducing exactly when, in its one symbol and with it filled whole,
//! - the worst loss over the stress grid and all subsets of other fills gets strictly smaller, or
//!   stays as it is while the worst |delta| gets strictly smaller;
//! - the worst |delta| gets strictly smaller (or is and stays zero), so that it can't overshoot;
//! - the worst |vega| doesn't grow;
//!
//! and, as an order that may or may not fill, it leaves no limit of delta, vega or uncovered
//! shorts, goes no further outside one, and uncovers nothing. The first three are convex in the
//! filled part, so they hold for every partial fill as well. Partly hedged positions can need a
//! combo: closing the options alone would leave the hedge, and this says so.

use crate::evidence::LimitSeen;
use crate::figures::Figures;
use crate::limits::Limits;
use crate::stress;
use crate::valuing::{Unavailable, Valuing};
use crate::worst_case::Fills;
use market::instrument::ConId;

/// The figures of the proof, or `None` where there is none. `fills` and `legs` are of `symbol`
/// only.
pub(crate) fn prove(
    valuing: Valuing<'_>,
    limits: &Limits,
    symbol: &str,
    fills: &Fills,
    legs: &[(ConId, i64)],
) -> Result<Option<Vec<LimitSeen>>, Unavailable> {
    let before = Figures::of(valuing, fills)?;
    let after = Figures::of(valuing, &fills.with_possible(legs.to_vec()))?;
    let whole = Fills { held: legs.to_vec(), possible: vec![] };
    let filled = Figures::of(valuing, &whole)?;
    let (delta_before, vega_before) = (before.delta.worst(), before.vega.worst());
    let delta_filled = before.delta.shifted(filled.delta.low).worst();
    let vega_filled = before.vega.shifted(filled.vega.low).worst();
    let delta_bound = limits.delta_max_shares.of(symbol).saturating_mul(1000);
    let vega_bound = limits.vega_max_per_point.of(symbol).saturating_mul(1000);
    let naked_bound = limits.short_naked_max_shares.of(symbol).saturating_mul(1000);

    let no_overshoot = delta_filled < delta_before || (delta_before == 0 && delta_filled == 0);
    let keeps = no_overshoot
        && vega_filled <= vega_before
        && !after.delta.breaches(before.delta, delta_bound)
        && !after.vega.breaches(before.vega, vega_bound)
        && after.uncovered_shares <= before.uncovered_shares;
    if !keeps {
        return Ok(None);
    }
    let stress = stress::revalue(valuing, &limits.stress, fills, legs)?;
    let loses_less = stress.after_milli > stress.before_milli;
    // The worst of a long straddle is that nothing moves, which no hedge makes better.
    let hedges = stress.after_milli == stress.before_milli && delta_filled < delta_before;
    if !(loses_less || hedges) {
        return Ok(None);
    }
    let seen = |name: &str, before_milli, after_milli, bound_milli| LimitSeen {
        limit: format!("{name}/{symbol}"),
        before_milli,
        after_milli,
        bound_milli,
    };
    Ok(Some(vec![
        seen("stress_loss", -stress.before_milli, -stress.after_milli, 0),
        seen("delta", delta_before, after.delta.worst(), delta_bound),
        seen("delta_filled", delta_before, delta_filled, 0),
        seen("vega", vega_before, after.vega.worst(), vega_bound),
        seen(
            "short_naked",
            before.uncovered_shares.saturating_mul(1000),
            after.uncovered_shares.saturating_mul(1000),
            naked_bound,
        ),
    ]))
}
