//! Short options that nothing covers, in the worst case over all subsets of fills.
//!
//! The rule, per underlying instrument, in shares (contracts times what one delivers):
//! - a short call is covered by a long call of any strike, or by a held unit of the underlying;
//! - a short put is covered by a long put of any strike;
//! - a long option covers only shorts that stop trading no later than itself;
//! - each share covers once. Cash, futures of another expiry and short underlyings cover nothing.
//!
//! Any strike will do because the loss of such a pair is bounded by the distance of the strikes,
//! which is the margin estimate's business; "naked" is the loss that nothing bounds.
//!
//! Because a long option covers everything that ends before it, the shares left uncovered are the
//! largest, over all ends T, of the net short in options that end at T or later, less underlying
//! units held (Hall's theorem on nested sets). The net short is linear in quantities, so its worst
//! case over subsets is an interval's end. Only the underlying's "units held, if any" isn't linear:
//! there the smaller of two bounds (with and without counting the underlying) is taken. It is exact
//! unless one order trades calls and the underlying at once; then it can only err upwards.

use crate::valuing::{Unavailable, Valuing};
use crate::worst_case::Fills;
use market::instrument::{ConId, Right};
use std::collections::BTreeSet;

/// The most shares of `underlying` that short calls plus short puts can leave uncovered.
pub fn worst_uncovered_shares(
    valuing: Valuing<'_>,
    fills: &Fills,
    underlying: ConId,
) -> Result<i64, Unavailable> {
    let mut ends = BTreeSet::new();
    for con_id in fills.instruments() {
        let option = valuing.instrument(con_id)?.option();
        ends.extend(option.filter(|terms| terms.underlying == underlying).map(|o| o.last_trade));
    }
    let (mut calls, mut puts) = (0, 0);
    for end in ends {
        // Shares of one contract if it is such an option and ends at `end` or later.
        let late = |con_id: ConId, right: Right| -> Result<i64, Unavailable> {
            let option = valuing.instrument(con_id)?.option();
            let counts = option.is_some_and(|terms| {
                terms.underlying == underlying && terms.right == right && terms.last_trade >= end
            });
            if counts { valuing.units(con_id) } else { Ok(0) }
        };
        let alone = fills.interval(|con_id| late(con_id, Right::Call))?;
        let with_underlying = fills.interval(|con_id| {
            if con_id == underlying { valuing.units(con_id) } else { late(con_id, Right::Call) }
        })?;
        let short = |low: i64| low.saturating_neg();
        calls = calls.max(short(alone.low).min(short(with_underlying.low)));
        let net_puts = fills.interval(|con_id| late(con_id, Right::Put))?;
        puts = puts.max(short(net_puts.low));
    }
    Ok(calls.saturating_add(puts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, CALL_100, CALL_110, FUTURE, LATE_CALL, PUT_90, PUT_100};
    use proptest::prelude::*;

    fn uncovered(held: &[(ConId, i64)], possible: &[&[(ConId, i64)]]) -> i64 {
        let (catalog, markets) = (sample::catalog(), sample::markets());
        let fills = Fills {
            held: held.to_vec(),
            possible: possible.iter().map(|legs| legs.to_vec()).collect(),
        };
        let valuing = Valuing { catalog: &catalog, markets: &markets };
        worst_uncovered_shares(valuing, &fills, FUTURE).unwrap()
    }

    #[test]
    fn the_rule_row_by_row() {
        type Legs<'a> = &'a [(ConId, i64)];
        let rows: &[(&str, Legs<'_>, &[Legs<'_>], i64)] = &[
            ("flat", &[], &[], 0),
            ("long options", &[(CALL_100, 3), (PUT_90, 2)], &[], 0),
            ("naked call", &[(CALL_100, -1)], &[], 50),
            ("naked put", &[(PUT_100, -2)], &[], 100),
            ("credit call spread", &[(CALL_100, -1), (CALL_110, 1)], &[], 0),
            ("debit call spread", &[(CALL_100, 1), (CALL_110, -1)], &[], 0),
            ("ratio call spread", &[(CALL_100, 1), (CALL_110, -2)], &[], 50),
            ("put spread", &[(PUT_100, -1), (PUT_90, 1)], &[], 0),
            ("a put covers no call", &[(CALL_100, -1), (PUT_90, 1)], &[], 50),
            ("covered call", &[(CALL_100, -1), (FUTURE, 1)], &[], 0),
            ("a short future covers no put", &[(PUT_100, -1), (FUTURE, -1)], &[], 50),
            ("calendar, long ends later", &[(CALL_100, -1), (LATE_CALL, 1)], &[], 0),
            ("calendar, long ends first", &[(CALL_100, 1), (LATE_CALL, -1)], &[], 50),
            ("one future, two calls", &[(CALL_100, -2), (FUTURE, 1)], &[], 50),
            ("a pending spread stays together", &[], &[&[(CALL_100, -1), (CALL_110, 1)]], 0),
            ("a pending sale may fill", &[(CALL_110, 1)], &[&[(CALL_110, -1)]], 0),
            ("cover may be sold", &[(CALL_100, -1), (CALL_110, 1)], &[&[(CALL_110, -1)]], 50),
            ("cover may be sold, future", &[(CALL_100, -1), (FUTURE, 1)], &[&[(FUTURE, -1)]], 50),
            ("a pending cover may not fill", &[], &[&[(CALL_100, -1)], &[(CALL_110, 1)]], 50),
        ];
        for (name, held, possible, expected) in rows {
            assert_eq!(uncovered(held, possible), *expected, "{name}");
        }
    }

    /// Covers greedily: the latest long for the latest short, the underlying last.
    fn uncovered_by_hand(position: &[i64; 6]) -> i64 {
        let [call_100, call_110, late, put_100, put_90, future] = *position;
        let early = call_100 + call_110;
        let late_short = (-late).max(0);
        let early_short = (-early - late.max(0)).max(0);
        let calls = (late_short + early_short.max(-early.max(0)) - future.max(0)).max(0);
        (calls + (-(put_100 + put_90)).max(0)) * 50
    }

    proptest! {
        #[test]
        fn no_subset_of_fills_leaves_more_uncovered(
            held in prop::array::uniform6(-3_i64..4),
            possible in prop::collection::vec(prop::array::uniform6(-2_i64..3), 0..6),
            mixed in any::<bool>(),
        ) {
            let names = [CALL_100, CALL_110, LATE_CALL, PUT_100, PUT_90, FUTURE];
            let mut possible = possible;
            if !mixed {
                // Orders in options or in the underlying, never in both.
                for order in &mut possible {
                    if order[5] < 0 {
                        order[..5].fill(0);
                    } else {
                        order[5] = 0;
                    }
                }
            }
            let legs = |q: &[i64; 6]| -> Vec<(ConId, i64)> {
                names.into_iter().zip(q.iter().copied()).collect()
            };
            let orders: Vec<_> = possible.iter().map(legs).collect();
            let views: Vec<&[(ConId, i64)]> = orders.iter().map(Vec::as_slice).collect();
            let bound = uncovered(&legs(&held), &views);
            let mut worst_calls = 0;
            let mut worst_puts = 0;
            for subset in 0_u32..1 << possible.len() {
                let mut position = held;
                for (index, order) in possible.iter().enumerate() {
                    if subset & (1 << index) != 0 {
                        for (slot, quantity) in position.iter_mut().zip(order) {
                            *slot += quantity;
                        }
                    }
                }
                let puts = [0, 0, 0, position[3], position[4], 0];
                worst_puts = worst_puts.max(uncovered_by_hand(&puts));
                let calls = [position[0], position[1], position[2], 0, 0, position[5]];
                worst_calls = worst_calls.max(uncovered_by_hand(&calls));
            }
            prop_assert!(bound >= worst_calls + worst_puts);
            if !mixed {
                prop_assert_eq!(bound, worst_calls + worst_puts);
            }
        }
    }
}
