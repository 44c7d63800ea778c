//! Cash dividends against exact quadrature and against finite differences made elsewhere.

use pricing::american::{Accuracy, ErrorClass};
use pricing::black::{OptionKind, SpotContract};
use pricing::dividends::{CashDividend, Exercise, implied_vol, price_and_greeks};
use proptest::prelude::*;

fn schedule(text: &str, separator: char) -> Vec<CashDividend> {
    let dividend = |item: &str| {
        let (years, cash) = item.split_once(':').expect("years:cash");
        CashDividend { years: years.parse().expect("years"), cash: cash.parse().expect("cash") }
    };
    text.split(separator).map(dividend).collect()
}

fn lines(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|l| l.split(',').collect())
}

#[test]
fn calls_and_europeans_agree_with_exact_quadrature() {
    let mut count = 0;
    for fields in lines(include_str!("reference/discrete_dividend_calls_exact.csv")) {
        let number = |index: usize| fields[index].parse::<f64>().unwrap();
        let dividends = schedule(fields[7], ' ');
        let call = SpotContract {
            spot: number(2),
            strike: number(3),
            rate: number(4),
            dividend_yield: 0.0,
            years: number(5),
            vol: number(6),
            kind: OptionKind::Call,
        };
        let exercise =
            if fields[0] == "american" { Exercise::American } else { Exercise::European };
        let greeks = price_and_greeks(exercise, &call, &dividends, Accuracy::Tight).unwrap();
        assert!((greeks.price - number(8)).abs() < 1e-9, "{fields:?} {}", greeks.price);
        // the table's own derivatives are differences: 1e-5 for one dividend, 1e-4 x 3 for two
        let tolerance = if dividends.len() == 1 { 1e-5 } else { 4e-4 };
        assert!((greeks.delta - number(9)).abs() < tolerance, "{fields:?}");
        assert!((greeks.gamma - number(10)).abs() < tolerance, "{fields:?}");
        assert_eq!(greeks.error, ErrorClass::Tight);
        if exercise == Exercise::European {
            let put = SpotContract { kind: OptionKind::Put, ..call };
            let put = price_and_greeks(exercise, &put, &dividends, Accuracy::Tight).unwrap();
            let present: f64 =
                dividends.iter().map(|d| d.cash * (-call.rate * d.years).exp()).sum();
            let forward = call.spot - present - call.strike * (-call.rate * call.years).exp();
            assert!((greeks.price - put.price - forward).abs() < 1e-10, "{fields:?}");
        }
        count += 1;
    }
    assert_eq!(count, 24);
}

#[test]
fn puts_agree_with_finite_differences_within_their_class() {
    let (mut squares, mut count) = (0.0, 0.0);
    for fields in lines(include_str!("reference/dividend_puts_fd.csv")) {
        let number = |index: usize| fields[index].parse::<f64>().unwrap();
        // without a yield the boundary engine answers; the grid is tested on a few
        if number(3) > 0.0 && !(count as usize).is_multiple_of(6) {
            count += 1.0;
            continue;
        }
        let put = SpotContract {
            spot: number(0),
            strike: number(1),
            rate: number(2),
            dividend_yield: number(3),
            years: number(4),
            vol: number(5),
            kind: OptionKind::Put,
        };
        let dividends = schedule(fields[6], ';');
        let greeks =
            price_and_greeks(Exercise::American, &put, &dividends, Accuracy::Tight).unwrap();
        let error = (greeks.price - number(7)).abs();
        let class = greeks.error.per_hundred();
        assert!(error <= 10.0 * class + number(10), "{fields:?} {} {error:e}", greeks.price);
        assert!((greeks.delta - number(8)).abs() < 3e-4, "{fields:?} {}", greeks.delta);
        if greeks.error == ErrorClass::Dividend {
            squares += error * error;
        }
        count += 1.0;
    }
    assert_eq!(count, 90.0);
    assert!(f64::sqrt(squares / count) < ErrorClass::Dividend.per_hundred());
}

fn any_contract() -> impl Strategy<Value = (SpotContract, Vec<CashDividend>)> {
    let terms = (70.0f64..140.0, 0.0..0.08, 0.05..1.5, 0.1..0.7, any::<bool>());
    (terms, prop::collection::vec((0.02f64..0.98, 0.1f64..4.0), 1..4)).prop_map(
        |((spot, rate, years, vol, is_call), mut list)| {
            list.sort_by(|a, b| a.0.total_cmp(&b.0));
            let kind = if is_call { OptionKind::Call } else { OptionKind::Put };
            let contract =
                SpotContract { spot, strike: 100.0, years, vol, rate, dividend_yield: 0.0, kind };
            let dividend =
                |(share, cash): &(f64, f64)| CashDividend { years: share * years, cash: *cash };
            (contract, list.iter().map(dividend).collect())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn american_is_worth_no_less_than_european_and_than_exercise(
        (contract, dividends) in any_contract(),
    ) {
        let of = |exercise| price_and_greeks(exercise, &contract, &dividends, Accuracy::Tight);
        let american = of(Exercise::American).unwrap();
        let european = of(Exercise::European).unwrap();
        let sign = if contract.kind.is_call() { 1.0 } else { -1.0 };
        let slack = 10.0 * american.error.per_hundred();
        prop_assert!(american.price >= european.price - slack);
        prop_assert!(american.price >= sign * (contract.spot - contract.strike) - slack);
    }

    #[test]
    fn prices_scale_with_spot_strike_and_cash(
        (contract, dividends) in any_contract(),
        scale in 0.01f64..50.0,
    ) {
        let scaled =
            SpotContract {
                spot: contract.spot * scale,
                strike: contract.strike * scale,
                ..contract
            };
        let larger: Vec<_> =
            dividends.iter().map(|d| CashDividend { cash: d.cash * scale, ..*d }).collect();
        let of = |contract: &SpotContract, dividends: &[CashDividend]| {
            price_and_greeks(Exercise::American, contract, dividends, Accuracy::Tight).unwrap()
        };
        let (one, other) = (of(&contract, &dividends), of(&scaled, &larger));
        prop_assert!(
            (one.price - other.price / scale).abs() < 1e-6,
            "{} {}", one.price, other.price / scale
        );
        prop_assert!((one.delta - other.delta).abs() < 1e-5);
    }

    #[test]
    fn a_price_gives_its_vol_back((contract, dividends) in any_contract()) {
        let of =
            |exercise| price_and_greeks(exercise, &contract, &dividends, Accuracy::Tight).unwrap();
        for exercise in [Exercise::European, Exercise::American] {
            let greeks = of(exercise);
            if greeks.vega < 1.0 || greeks.exercise_now || greeks.error == ErrorClass::Grid {
                continue;
            }
            let vol =
                implied_vol(exercise, greeks.price, &contract, &dividends, Accuracy::Tight)
                    .unwrap();
            prop_assert!((vol - contract.vol).abs() < 1e-6, "{vol} {}", contract.vol);
        }
    }

    #[test]
    fn no_bits_make_it_panic(
        bits in prop::array::uniform8(any::<u64>()),
        is_call in any::<bool>(),
        american in any::<bool>(),
    ) {
        let [spot, strike, years, vol, rate, dividend_yield, date, cash] = bits.map(f64::from_bits);
        let kind = if is_call { OptionKind::Call } else { OptionKind::Put };
        let contract = SpotContract { spot, strike, years, vol, rate, dividend_yield, kind };
        let exercise = if american { Exercise::American } else { Exercise::European };
        let dividends = [CashDividend { years: date, cash }];
        if let Ok(greeks) = price_and_greeks(exercise, &contract, &dividends, Accuracy::Fast) {
            prop_assert!(greeks.price.is_finite() && greeks.gamma.is_finite());
        }
        let _ = implied_vol(exercise, cash, &contract, &dividends, Accuracy::Fast);
    }
}
