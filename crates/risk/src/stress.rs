//! Worst-case revaluation: what a symbol's positions and pending orders can lose on a grid of moves
//! of the underlying and shifts of volatility, and whether an order makes that loss smaller.
//!
//! An option is revalued by delta, gamma and vega from its mark, then clamped to the bounds that no
//! option leaves: at least its discounted intrinsic value, at most the forward (call) or the strike
//! (put), discounted. The expansion is poor far from the mark (it misses the change of gamma); the
//! clamp keeps it from inventing profits or losses beyond what can be paid out. It orders
//! portfolios by risk, it is no value at risk. A spread that is paid when trading isn't in it; the
//! collar bounds that.
//!
//! Per scenario the worst subset of fills is the position's result plus every pending order's loss
//! (an order that gains there may not fill), so no search is needed. The worst loss is a minimum of
//! functions that are affine in the filled part of one order, hence concave in it: what a whole
//! fill improves, every partial fill improves in proportion, and no fill changes nothing.

use crate::setting::LimitsError;
use crate::valuing::{Unavailable, Valuing};
use crate::worst_case::{Fills, clamped, milli};
use market::instrument::{ConId, Right};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use valuation::view::{ChainView, Line, OptionLine};

/// The scenarios: every spot move with every volatility shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StressGrid {
    /// Relative moves of the underlying, such as -0.1.
    pub spot_moves: Vec<f64>,
    /// Shifts of every implied volatility, in points (hundredths).
    pub vol_shifts_points: Vec<f64>,
}

impl Default for StressGrid {
    fn default() -> Self {
        Self {
            spot_moves: vec![-0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2],
            vol_shifts_points: vec![-5.0, 0.0, 10.0],
        }
    }
}

impl StressGrid {
    pub(crate) fn validate(&self) -> Result<(), LimitsError> {
        let fits = |values: &[f64], most: usize, bound: f64| {
            (1..=most).contains(&values.len()) && values.iter().all(|value| value.abs() <= bound)
        };
        let both_signs = |values: &[f64]| {
            values.iter().any(|value| *value < 0.0) && values.iter().any(|value| *value > 0.0)
        };
        let still = |values: &[f64]| values.iter().all(|value| *value == 0.0);
        let (moves, shifts) = (&self.spot_moves, &self.vol_shifts_points);
        let signs = both_signs(moves) && (both_signs(shifts) || still(shifts));
        if fits(moves, 25, 0.9) && fits(shifts, 9, 100.0) && signs {
            Ok(())
        } else {
            Err(LimitsError::Stress)
        }
    }

    fn scenarios(&self) -> Vec<(f64, f64)> {
        let with_shifts = |spot: &f64| {
            let spot = *spot;
            self.vol_shifts_points.iter().map(move |points| (spot, points / 100.0))
        };
        self.spot_moves.iter().flat_map(with_shifts).collect()
    }
}

/// The result of the worst scenario and subset of fills, in thousandths of a unit of currency (a
/// loss is negative), before an order and with it filled whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StressResult {
    /// Without the order.
    pub before_milli: i64,
    /// With it filled whole.
    pub after_milli: i64,
}

/// Revalues `fills` without and with `order`. Everything must be of one symbol.
pub fn revalue(
    valuing: Valuing<'_>,
    grid: &StressGrid,
    fills: &Fills,
    order: &[(ConId, i64)],
) -> Result<StressResult, Unavailable> {
    let scenarios = grid.scenarios();
    let mut unit_results = BTreeMap::new();
    for con_id in fills.instruments().chain(order.iter().map(|(con_id, _)| *con_id)) {
        if let std::collections::btree_map::Entry::Vacant(entry) = unit_results.entry(con_id) {
            entry.insert(contract_results(valuing, &scenarios, con_id)?);
        }
    }
    let result = |legs: &[(ConId, i64)], scenario: usize| -> i128 {
        let of_leg = |(con_id, quantity): &(ConId, i64)| {
            i128::from(*quantity) * i128::from(unit_results[con_id][scenario])
        };
        legs.iter().map(of_leg).sum()
    };
    let mut worst = (i128::MAX, i128::MAX);
    for scenario in 0..scenarios.len() {
        let losses = fills.possible.iter().map(|legs| result(legs, scenario).min(0));
        let before = result(&fills.held, scenario) + losses.sum::<i128>();
        worst.0 = worst.0.min(before);
        worst.1 = worst.1.min(before + result(order, scenario));
    }
    Ok(StressResult { before_milli: clamped(worst.0), after_milli: clamped(worst.1) })
}

/// What one contract gains in each scenario, in thousandths of a unit of currency.
fn contract_results(
    valuing: Valuing<'_>,
    scenarios: &[(f64, f64)],
    con_id: ConId,
) -> Result<Vec<i64>, Unavailable> {
    let instrument = valuing.instrument(con_id)?;
    let fail = || Unavailable(format!("{} can't be revalued", instrument.local_symbol));
    let mark = valuing.mark(con_id)?.to_f64();
    let line = valuing.line(con_id)?;
    let spot = match line {
        Line::Underlying(_) => mark,
        Line::Option(_, chain) => valuing.mark(chain.underlying)?.to_f64(),
    };
    let multiplier = f64::from(instrument.multiplier.0);
    let of_scenario = |(relative, shift): &(f64, f64)| {
        let change = spot * relative;
        let gain = match line {
            Line::Underlying(_) => change,
            Line::Option(option, chain) => option_gain(option, chain, mark, change, *shift)?,
        };
        milli(gain * multiplier)
    };
    scenarios.iter().map(|scenario| of_scenario(scenario).ok_or_else(fail)).collect()
}

fn option_gain(
    option: &OptionLine,
    chain: &ChainView,
    mark: f64,
    change: f64,
    shift: f64,
) -> Option<f64> {
    let greeks = option.greeks?;
    let expansion =
        greeks.delta * change + 0.5 * greeks.gamma * change * change + greeks.vega * shift;
    let forward = (chain.forward + change).max(0.0);
    let strike = option.strike.to_f64();
    let (intrinsic, most) = match option.right {
        Right::Call => (forward - strike, forward),
        Right::Put => (strike - forward, strike),
    };
    let (lowest, highest) = (chain.discount * intrinsic.max(0.0), chain.discount * most);
    // f64::max and min swallow a NaN, so it has to be caught here.
    let usable = expansion.is_finite() && lowest.is_finite() && highest.is_finite();
    usable.then(|| (mark + expansion).max(lowest).min(highest) - mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, CALL_100, FUTURE, PUT_100};

    fn revalued(held: &[(ConId, i64)], order: &[(ConId, i64)]) -> StressResult {
        let (catalog, markets) = (sample::catalog(), sample::markets());
        let valuing = Valuing { catalog: &catalog, markets: &markets };
        let fills = Fills { held: held.to_vec(), possible: vec![] };
        revalue(valuing, &StressGrid::default(), &fills, order).unwrap()
    }

    #[test]
    fn a_future_loses_its_move() {
        let result = revalued(&[(FUTURE, 2)], &[(FUTURE, -2)]);
        assert_eq!(result.before_milli, -2 * 50 * 20 * 1000);
        assert_eq!(result.after_milli, 0);
    }

    #[test]
    fn a_long_option_never_loses_more_than_its_mark() {
        let result = revalued(&[(PUT_100, 1)], &[]);
        let mark = sample::mid(PUT_100) * 50_000.0;
        assert!(result.before_milli < 0 && result.before_milli as f64 >= -mark - 1.0);
    }

    #[test]
    fn buying_the_delta_of_short_calls_helps_and_selling_it_harms() {
        let hedged = revalued(&[(CALL_100, -4)], &[(FUTURE, 2)]);
        assert!(hedged.after_milli > hedged.before_milli);
        let worse = revalued(&[(CALL_100, -4)], &[(FUTURE, -2)]);
        assert!(worse.after_milli < worse.before_milli);
    }

    #[test]
    fn a_grid_needs_both_directions() {
        assert_eq!(StressGrid::default().validate(), Ok(()));
        let upwards = StressGrid { spot_moves: vec![0.1], ..StressGrid::default() };
        assert_eq!(upwards.validate(), Err(LimitsError::Stress));
        let unreal =
            StressGrid { vol_shifts_points: vec![f64::NAN, -1.0, 1.0], ..StressGrid::default() };
        assert_eq!(unreal.validate(), Err(LimitsError::Stress));
    }
}
