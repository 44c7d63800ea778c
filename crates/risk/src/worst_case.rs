//! Worst cases over every subset of fills, by interval arithmetic in whole thousandths.
//!
//! A figure that is linear in quantities (delta, vega, units) changes by a fixed amount when one
//! order fills whole and by a part of it when it fills in part. Its extremes over all subsets are
//! therefore reached by adding every order that moves it the same way: no search over subsets is
//! needed. An order's legs are added up before its sign is looked at, because a combo's legs fill
//! in ratio.

use market::instrument::ConId;

/// The nearest whole thousandth; `None` for NaN, infinities and what an i64 can't hold exactly.
#[must_use]
pub fn milli(value: f64) -> Option<i64> {
    let thousandths = value * 1000.0;
    (thousandths.abs() <= 9_007_199_254_740_992.0).then(|| thousandths.round() as i64)
}

/// `value` as an i64, clamped: a figure that large is outside every limit anyway.
#[must_use]
pub fn clamped(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN + 1), i128::from(i64::MAX)) as i64
}

/// The lowest and the highest value that a figure can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Interval {
    /// Lowest.
    pub low: i64,
    /// Highest.
    pub high: i64,
}

impl Interval {
    /// One value.
    #[must_use]
    pub const fn point(value: i64) -> Self {
        Self { low: value, high: value }
    }

    /// With one more order that may or may not change the figure by `change`.
    #[must_use]
    pub const fn widened(self, change: i64) -> Self {
        if change < 0 {
            Self { low: self.low.saturating_add(change), high: self.high }
        } else {
            Self { low: self.low, high: self.high.saturating_add(change) }
        }
    }

    /// With a change that happens for certain.
    #[must_use]
    pub const fn shifted(self, change: i64) -> Self {
        Self { low: self.low.saturating_add(change), high: self.high.saturating_add(change) }
    }

    /// The largest magnitude that it contains.
    #[must_use]
    pub fn worst(self) -> i64 {
        self.high.max(self.low.saturating_neg())
    }

    /// Whether going from `before` to `self` leaves plus or minus `bound`, or goes further outside,
    /// on either side.
    #[must_use]
    pub const fn breaches(self, before: Self, bound: i64) -> bool {
        let above = self.high > bound && self.high > before.high;
        let below = self.low < -bound && self.low < before.low;
        above || below
    }
}

/// What is held for certain and what may fill on top: signed quantities per instrument.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fills {
    /// Held.
    pub held: Vec<(ConId, i64)>,
    /// One entry per order: its signed legs if it fills whole.
    pub possible: Vec<Vec<(ConId, i64)>>,
}

impl Fills {
    /// With one more order that may fill.
    #[must_use]
    pub fn with_possible(&self, legs: Vec<(ConId, i64)>) -> Self {
        let mut more = self.clone();
        more.possible.push(legs);
        more
    }

    /// Every instrument that occurs.
    pub fn instruments(&self) -> impl Iterator<Item = ConId> {
        let held = self.held.iter();
        held.chain(self.possible.iter().flatten()).map(|(con_id, _)| *con_id)
    }

    /// The extremes of a linear figure over all subsets of fills; `unit` is the figure of one
    /// contract, and
    /// its error is the answer's.
    pub fn interval<E>(
        &self,
        mut unit: impl FnMut(ConId) -> Result<i64, E>,
    ) -> Result<Interval, E> {
        let mut figure = |legs: &[(ConId, i64)]| -> Result<i64, E> {
            let mut sum = 0_i128;
            for (con_id, quantity) in legs {
                if *quantity != 0 {
                    sum += i128::from(*quantity) * i128::from(unit(*con_id)?);
                }
            }
            Ok(clamped(sum))
        };
        let mut interval = Interval::point(figure(&self.held)?);
        for legs in &self.possible {
            interval = interval.widened(figure(legs)?);
        }
        Ok(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    #[test]
    fn floats_that_are_not_figures_have_no_thousandths() {
        assert_eq!(milli(0.0015), Some(2));
        assert_eq!(milli(f64::NAN), None);
        assert_eq!(milli(f64::INFINITY), None);
    }

    #[test]
    fn a_breach_that_stands_may_not_grow_but_may_stay() {
        let outside = Interval { low: -5, high: 12 };
        assert!(!outside.widened(-3).breaches(outside, 10));
        assert!(outside.widened(1).breaches(outside, 10));
        assert!(outside.widened(-6).breaches(outside, 10));
    }

    proptest! {
        #[test]
        fn the_interval_is_what_brute_force_over_all_subsets_finds(
            held in prop::collection::vec((0_u32..6, -50_i64..50), 0..6),
            possible in prop::collection::vec(
                prop::collection::vec((0_u32..6, -20_i64..20), 1..4), 0..8),
            units in prop::collection::vec(-100_000_i64..100_000, 6),
        ) {
            let legs = |raw: &[(u32, i64)]| -> Vec<(ConId, i64)> {
                raw.iter().map(|(con_id, quantity)| (ConId(*con_id), *quantity)).collect()
            };
            let fills = Fills {
                held: legs(&held),
                possible: possible.iter().map(|order| legs(order)).collect(),
            };
            let unit = |con_id: ConId| units[con_id.0 as usize];
            let sum = |order: &[(ConId, i64)]| -> i64 {
                order.iter().map(|(con_id, quantity)| quantity * unit(*con_id)).sum()
            };
            let outcomes: Vec<i64> = (0_u32..1 << fills.possible.len())
                .map(|subset| {
                    let chosen = fills.possible.iter().enumerate();
                    let filled = chosen.filter(|(index, _)| subset & (1 << index) != 0);
                    sum(&fills.held) + filled.map(|(_, order)| sum(order)).sum::<i64>()
                })
                .collect();
            let interval = fills.interval(|con_id| Ok::<_, Infallible>(unit(con_id))).unwrap();
            prop_assert_eq!(interval.low, *outcomes.iter().min().unwrap());
            prop_assert_eq!(interval.high, *outcomes.iter().max().unwrap());
        }
    }
}
