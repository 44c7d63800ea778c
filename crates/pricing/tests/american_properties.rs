//! Laws of American prices: bounds, shape, symmetry, scaling, Greeks against differences, bits.

use pricing::american::chain::{Chain, ChainInputs, Expiry};
use pricing::american::implied::{VolCurve, implied_vol};
use pricing::american::{Accuracy, Boundary, ErrorClass, price_and_greeks};
use pricing::black::{OptionKind, SpotContract};
use pricing::implied::NoVol;
use pricing::lanes::{Level, at_level};
use proptest::prelude::*;

fn any_contract() -> impl Strategy<Value = SpotContract> {
    (60.0f64..160.0, -0.02..0.12, -0.03..0.1, 0.02..3.0, 0.08..0.9, any::<bool>()).prop_map(
        |(spot, rate, dividend_yield, years, vol, is_call)| {
            let kind = if is_call { OptionKind::Call } else { OptionKind::Put };
            SpotContract { spot, strike: 100.0, years, vol, rate, dividend_yield, kind }
        },
    )
}

/// Contracts whose boundary is single or absent.
fn solvable() -> impl Strategy<Value = SpotContract> {
    any_contract().prop_filter("two boundaries", |c| {
        let (r, q) =
            if c.kind.is_call() { (c.dividend_yield, c.rate) } else { (c.rate, c.dividend_yield) };
        r > 0.001 || (r <= 0.0 && q >= r)
    })
}

fn tight(contract: &SpotContract) -> f64 {
    price_and_greeks(contract, Accuracy::Tight).expect("a solvable contract").price
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn american_is_worth_no_less_than_european_and_than_exercise(contract in solvable()) {
        let sign = if contract.kind.is_call() { 1.0 } else { -1.0 };
        let price = tight(&contract);
        let slack = 2e-5;
        prop_assert!(price >= contract.price_and_greeks().unwrap().price - slack);
        prop_assert!(price >= sign * (contract.spot - contract.strike) - 1e-12);
    }

    #[test]
    fn price_rises_with_vol_and_years_and_is_convex_in_spot(contract in solvable()) {
        let price = tight(&contract);
        let slack = 4e-5;
        let more_vol = tight(&SpotContract { vol: contract.vol * 1.05, ..contract });
        let longer = tight(&SpotContract { years: contract.years * 1.05, ..contract });
        prop_assert!(more_vol >= price - slack);
        prop_assert!(longer >= price - slack);
        let (low, high) = (contract.spot * 0.98, contract.spot * 1.02);
        let wings =
            tight(&SpotContract { spot: low, ..contract })
                + tight(&SpotContract { spot: high, ..contract });
        prop_assert!(wings >= 2.0 * price - slack);
    }

    #[test]
    fn a_call_is_a_put_with_everything_exchanged(contract in solvable()) {
        let mirrored = SpotContract {
            spot: contract.strike,
            strike: contract.spot,
            rate: contract.dividend_yield,
            dividend_yield: contract.rate,
            kind: if contract.kind.is_call() { OptionKind::Put } else { OptionKind::Call },
            ..contract
        };
        prop_assert!((tight(&contract) - tight(&mirrored)).abs() < 1e-10);
    }

    #[test]
    fn prices_scale(contract in solvable(), scale in 0.001f64..1000.0) {
        let scaled =
            SpotContract {
                spot: contract.spot * scale,
                strike: contract.strike * scale,
                ..contract
            };
        prop_assert!((tight(&scaled) / scale - tight(&contract)).abs() < 1e-10);
    }

    #[test]
    fn greeks_are_the_slopes_of_the_price(contract in solvable()) {
        let greeks = price_and_greeks(&contract, Accuracy::Reference).unwrap();
        prop_assume!(greeks.error == ErrorClass::Reference || greeks.error == ErrorClass::Exact);
        prop_assume!(!greeks.exercise_now);
        let price =
            |contract: SpotContract| price_and_greeks(&contract, Accuracy::Reference).unwrap();
        let h = 1e-4;
        let moved = |change: &dyn Fn(&mut SpotContract, f64)| {
            let (mut up, mut down) = (contract, contract);
            change(&mut up, h);
            change(&mut down, -h);
            (price(up), price(down))
        };
        // not across the boundary, where second derivatives jump
        let pairs = [
            (greeks.vega, moved(&|c, h| c.vol += h)),
            (greeks.rho, moved(&|c, h| c.rate += h)),
            (greeks.yield_rho.unwrap(), moved(&|c, h| c.dividend_yield += h)),
            (-greeks.theta, moved(&|c, h| c.years += h)),
            (greeks.delta, moved(&|c, h| c.spot += h)),
        ];
        for (slope, (up, down)) in pairs {
            prop_assume!(!up.exercise_now && !down.exercise_now && up.error == down.error);
            let difference = (up.price - down.price) / (2.0 * h);
            prop_assert!(
                (slope - difference).abs() < 2e-3 * (1.0 + slope.abs()),
                "{slope} {difference}"
            );
        }
        // the equation of Black and Scholes ties four of them together
        let SpotContract { spot, vol, rate, dividend_yield, .. } = contract;
        let equation = rate * greeks.price
            - (rate - dividend_yield) * spot * greeks.delta
            - 0.5 * vol * vol * spot * spot * greeks.gamma;
        prop_assert!(
            (greeks.theta - equation).abs() < 2e-3 * (1.0 + equation.abs()),
            "{} {equation}", greeks.theta
        );
    }

    #[test]
    fn value_and_slope_meet_exercise_at_the_boundary(contract in solvable()) {
        let SpotContract { strike, years, vol, rate, dividend_yield, kind, .. } = contract;
        let boundary =
            Boundary::solve(kind, rate, dividend_yield, vol, years, Accuracy::Tight).unwrap();
        if let Some(spot) = boundary.exercise_spot(strike) {
            let (sign, beside) =
                if kind.is_call() { (1.0, spot * 0.9999) } else { (-1.0, spot * 1.0001) };
            let tick = boundary.tick(beside, strike);
            prop_assert!((tick.price - sign * (beside - strike)).abs() < 1e-5 * spot.max(strike));
            prop_assert!((tick.delta - sign).abs() < 0.02);
        }
    }

    #[test]
    fn a_price_gives_its_vol_back_directly_and_by_the_curve(contract in solvable()) {
        let greeks = price_and_greeks(&contract, Accuracy::Fast).unwrap();
        prop_assume!(greeks.vega > 0.1 && !greeks.exercise_now);
        let vol = implied_vol(greeks.price, &contract, Accuracy::Fast).unwrap();
        prop_assert!((vol - contract.vol).abs() < 1e-7, "{vol} {}", contract.vol);
        let SpotContract { spot, strike, years, rate, dividend_yield, kind, .. } = contract;
        let span = (0.6 * contract.vol, 1.6 * contract.vol);
        if let Some(curve) = VolCurve::new(kind, rate, dividend_yield, years, span) {
            let vol = curve.implied_vol(greeks.price, spot, strike).unwrap();
            prop_assert!((vol - contract.vol).abs() * greeks.vega < 2e-5, "{vol} {}", contract.vol);
        }
    }

    #[test]
    fn no_bits_make_it_panic(
        bits in prop::array::uniform7(any::<u64>()),
        is_call in any::<bool>(),
    ) {
        let [spot, strike, years, vol, rate, dividend_yield, price] = bits.map(f64::from_bits);
        let kind = if is_call { OptionKind::Call } else { OptionKind::Put };
        let contract = SpotContract { spot, strike, years, vol, rate, dividend_yield, kind };
        if let Ok(greeks) = price_and_greeks(&contract, Accuracy::Fast) {
            prop_assert!(greeks.price.is_finite() && greeks.rho.is_finite());
        }
        let _ = implied_vol(price, &contract, Accuracy::Fast);
    }
}

#[test]
fn a_chain_has_the_same_bits_at_every_level_and_split() {
    let strike: Vec<f64> = (0..23).map(|lane| 70.0 + 3.0 * f64::from(lane)).collect();
    let vol: Vec<f64> = (0..23).map(|lane| 0.1 + 0.02 * f64::from(lane)).collect();
    let is_call: Vec<bool> = (0..23).map(|lane| lane % 2 == 0).collect();
    let expiry = Expiry { years: 0.4, rate: 0.05, dividend_yield: 0.02, accuracy: Accuracy::Fast };
    let bits = |from: usize, to: usize| -> Vec<[u64; 6]> {
        let inputs = ChainInputs {
            strike: &strike[from..to],
            vol: &vol[from..to],
            is_call: &is_call[from..to],
        };
        let chain = Chain::solve(&expiry, &inputs).unwrap();
        let (mut ticks, mut greeks) = (Vec::new(), Vec::new());
        chain.tick(100.0, &mut ticks);
        chain.greeks(100.0, &mut greeks);
        ticks
            .iter()
            .zip(&greeks)
            .map(|(tick, greeks)| {
                let (tick, greeks) = (tick.unwrap(), greeks.unwrap());
                [tick.price, tick.delta, tick.gamma, greeks.vega, greeks.theta, greeks.rho]
                    .map(f64::to_bits)
            })
            .collect()
    };
    let whole = bits(0, 23);
    let split: Vec<_> = bits(0, 5).into_iter().chain(bits(5, 23)).collect();
    assert_eq!(whole, split);
    for level in Level::supported() {
        assert_eq!(at_level(level, || bits(0, 23)).unwrap(), whole, "{level:?}");
    }
}

#[test]
fn two_boundaries_are_priced_by_the_grid() {
    // yield < rate < 0: Andersen and Lake (2021); values by finite differences of dividends.py
    for (spot, price, delta) in [
        (90.0, 11.197_469, -0.745_141),
        (100.0, 5.262_753, -0.444_483),
        (110.0, 2.074_613, -0.210_439),
    ] {
        let put = SpotContract {
            spot,
            strike: 100.0,
            years: 1.0,
            vol: 0.15,
            rate: -0.01,
            dividend_yield: -0.03,
            kind: OptionKind::Put,
        };
        let greeks = price_and_greeks(&put, Accuracy::Tight).unwrap();
        assert_eq!(greeks.error, ErrorClass::Grid);
        assert!((greeks.price - price).abs() < ErrorClass::Grid.per_hundred(), "{greeks:?}");
        assert!((greeks.delta - delta).abs() < 1e-4, "{greeks:?}");
    }
}

#[test]
fn prices_without_a_vol_have_their_reason() {
    let put = SpotContract {
        spot: 80.0,
        strike: 100.0,
        years: 1.0,
        vol: 0.0,
        rate: 0.05,
        dividend_yield: 0.0,
        kind: OptionKind::Put,
    };
    let of = |price| implied_vol(price, &put, Accuracy::Fast);
    assert_eq!(of(f64::NAN), Err(NoVol::NotFinite));
    assert_eq!(of(0.0), Err(NoVol::NoPrice));
    assert_eq!(of(19.0), Err(NoVol::BelowIntrinsic));
    assert_eq!(of(20.0), Err(NoVol::BelowIntrinsic));
    assert_eq!(of(100.0), Err(NoVol::AboveCap));
    assert!(of(20.5).is_ok() && of(99.0).is_ok());
}
