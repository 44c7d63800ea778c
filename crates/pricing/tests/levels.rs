//! The batches of prices and implied vols: the same bits at every instruction level, in every order
//! and split, for anything that fits into an f64.

use pricing::black::{
    EuropeanGreeks, EuropeanInputs, ForwardContract, HigherGreeks, OptionKind, SpotContract,
    SpotInputs,
};
use pricing::implied::{ImpliedInputs, NoVol, QuoteInputs, QuoteVols, implied_vol, implied_vols};
use pricing::lanes::{Level, at_level};
use proptest::prelude::*;

/// Forward or spot, strike, years, vol or price, discount or rate, yield, is it a call.
type Lane = ([f64; 6], bool);

fn any_bits() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX,
            5e-324, 1e-80, 1e80, 1.0, 100.0,
        ]),
        3 => 0.001..300.0f64,
    ]
}

fn wild_lane() -> impl Strategy<Value = Lane> {
    (prop::array::uniform6(any_bits()), any::<bool>())
}

fn sane_lane() -> impl Strategy<Value = Lane> {
    (50.0..200.0f64, -0.6..0.6f64, 0.003..3.0f64, 0.05..1.2f64, 0.001..0.1f64, any::<bool>())
        .prop_map(|(underlying, moneyness, years, vol, rate, is_call)| {
            ([underlying, underlying * moneyness.exp(), years, vol, rate, 0.02], is_call)
        })
}

/// Batches of sane lanes with some wild ones among them.
fn lanes() -> impl Strategy<Value = Vec<Lane>> {
    prop::collection::vec(prop_oneof![4 => sane_lane(), 1 => wild_lane()], 0..150)
}

fn column(lanes: &[Lane], index: usize) -> Vec<f64> {
    lanes.iter().map(|lane| lane.0[index]).collect()
}

/// Everything that the batches answer for each lane, as bits; refusals as text.
fn answers(lanes: &[Lane]) -> Vec<Vec<String>> {
    let columns: [Vec<f64>; 6] = std::array::from_fn(|index| column(lanes, index));
    let [underlying, strike, years, vol, financing, dividend_yield] = &columns;
    let is_call: Vec<bool> = lanes.iter().map(|lane| lane.1).collect();
    let (mut on_forward, mut on_spot) = (EuropeanGreeks::default(), EuropeanGreeks::default());
    let (mut higher, mut higher_on_spot) = (HigherGreeks::default(), HigherGreeks::default());
    let forwards = EuropeanInputs {
        forward: underlying,
        strike,
        years,
        vol,
        discount: financing,
        is_call: &is_call,
    };
    on_forward.fill_with_higher(&forwards, &mut higher).expect("columns of one length");
    let spots = SpotInputs {
        spot: underlying,
        strike,
        years,
        vol,
        rate: financing,
        dividend_yield,
        is_call: &is_call,
    };
    on_spot.fill_on_spot_with_higher(&spots, &mut higher_on_spot).expect("columns of one length");
    let mut vols = vec![Err(NoVol::NoPrice); lanes.len()];
    let inputs = ImpliedInputs {
        undiscounted_price: vol,
        forward: underlying,
        strike,
        years,
        is_call: &is_call,
    };
    implied_vols(&inputs, &mut vols).expect("columns of one length");
    let text = |value: f64| format!("{:x}", value.to_bits());
    (0..lanes.len())
        .map(|lane| {
            let mut answer = Vec::new();
            for (greeks, higher) in [(&on_forward, &higher), (&on_spot, &higher_on_spot)] {
                let GreeksRow(row) = GreeksRow::of(greeks, higher, lane);
                answer.extend(row.map(text));
                answer.push(format!("{:?}", greeks.refusal[lane]));
            }
            answer.push(vols[lane].map_or_else(|reason| format!("{reason:?}"), text));
            answer
        })
        .collect()
}

struct GreeksRow([f64; 12]);

impl GreeksRow {
    fn of(greeks: &EuropeanGreeks, higher: &HigherGreeks, lane: usize) -> Self {
        Self(
            [
                &greeks.price,
                &greeks.delta,
                &greeks.gamma,
                &greeks.vega,
                &greeks.theta,
                &greeks.rho,
                &higher.vanna,
                &higher.volga,
                &higher.charm,
                &higher.speed,
                &higher.zomma,
                &higher.color,
            ]
            .map(|column| column[lane]),
        )
    }
}

proptest! {
    #[test]
    fn bits_depend_on_neither_level_nor_order_nor_split(
        lanes in lanes(), cut in 0usize..150, turn in 0usize..150,
    ) {
        let expected = answers(&lanes);
        let cut = cut.min(lanes.len());
        let turn = turn % lanes.len().max(1);
        for level in Level::supported() {
            at_level(level, || {
                let mut split = answers(&lanes[..cut]);
                split.extend(answers(&lanes[cut..]));
                prop_assert_eq!(&split, &expected, "split at {:?}", level);
                let mut turned = lanes.clone();
                turned.rotate_left(turn);
                turned.reverse();
                let mut back = answers(&turned);
                back.reverse();
                back.rotate_right(turn);
                prop_assert_eq!(&back, &expected, "turned at {:?}", level);
                Ok(())
            }).unwrap()?;
        }
    }

    #[test]
    fn a_batch_answers_as_single_options_do(lanes in lanes()) {
        let answers = answers(&lanes);
        for (&([underlying, strike, years, vol, financing, dividend_yield], is_call), answer)
            in lanes.iter().zip(&answers)
        {
            let kind = if is_call { OptionKind::Call } else { OptionKind::Put };
            let text = |value: f64| format!("{:x}", value.to_bits());
            let (forward, discount) = (underlying, financing);
            let forward = ForwardContract { forward, strike, years, vol, discount, kind };
            if let Ok(greeks) = forward.price_and_greeks()
                && vol > 0.0
                && forward.higher_order().is_ok()
            {
                prop_assert_eq!(&answer[0], &text(greeks.price));
                prop_assert_eq!(&answer[4], &text(greeks.theta));
            }
            let spot = SpotContract {
                spot: underlying, strike, years, vol, rate: financing, dividend_yield, kind,
            };
            match spot.higher_order() {
                Ok(higher) => {
                    prop_assert_eq!(&answer[13], &text(spot.price_and_greeks().unwrap().price));
                    prop_assert_eq!(&answer[21], &text(higher.charm));
                }
                Err(refusal) => prop_assert_eq!(&answer[25], &format!("{:?}", Some(refusal))),
            }
            let alone = implied_vol(vol, underlying, strike, years, kind)
                .map_or_else(|reason| format!("{reason:?}"), text);
            prop_assert_eq!(&answer[26], &alone);
        }
    }

    #[test]
    fn bid_mid_and_ask_are_what_three_batches_would_give(lanes in lanes(), width in 0.0..0.5f64) {
        let [forward, strike, years, bid] = [0, 1, 2, 3].map(|index| column(&lanes, index));
        let ask: Vec<f64> = bid.iter().map(|bid| bid * (1.0 + width)).collect();
        let mid: Vec<f64> = bid.iter().zip(&ask).map(|(bid, ask)| 0.5 * (bid + ask)).collect();
        let is_call: Vec<bool> = lanes.iter().map(|lane| lane.1).collect();
        let mut quotes = QuoteVols::default();
        quotes.fill(&QuoteInputs {
            undiscounted_bid: &bid,
            undiscounted_ask: &ask,
            forward: &forward,
            strike: &strike,
            years: &years,
            is_call: &is_call,
        }).unwrap();
        for (price, vols) in [(&bid, &quotes.bid), (&mid, &quotes.mid), (&ask, &quotes.ask)] {
            let mut alone = vec![Err(NoVol::NoPrice); lanes.len()];
            let inputs = ImpliedInputs {
                undiscounted_price: price,
                forward: &forward,
                strike: &strike,
                years: &years,
                is_call: &is_call,
            };
            implied_vols(&inputs, &mut alone).unwrap();
            prop_assert_eq!(vols, &alone);
        }
        for lane in 0..lanes.len() {
            if let (Ok(bid), Ok(mid), Ok(ask)) =
                (quotes.bid[lane], quotes.mid[lane], quotes.ask[lane])
            {
                prop_assert!(bid <= mid * (1.0 + 1e-13) && mid <= ask * (1.0 + 1e-13));
            }
        }
    }
}

#[test]
fn columns_of_different_length_are_refused_by_name() {
    let one = [1.0];
    let inputs = QuoteInputs {
        undiscounted_bid: &one,
        undiscounted_ask: &[],
        forward: &one,
        strike: &one,
        years: &one,
        is_call: &[true],
    };
    let refusal = QuoteVols::default().fill(&inputs).unwrap_err();
    assert!(refusal.to_string().starts_with("undiscounted_ask has 0 lanes"), "{refusal}");
    let spots = SpotInputs {
        spot: &one,
        strike: &one,
        years: &one,
        vol: &one,
        rate: &one,
        dividend_yield: &[],
        is_call: &[true],
    };
    let refusal = EuropeanGreeks::default().fill_on_spot(&spots).unwrap_err();
    assert!(refusal.to_string().starts_with("dividend_yield has 0 lanes"), "{refusal}");
}
