//! What must hold for every option, not only for those in a table.

use pricing::black::{
    EuropeanGreeks, EuropeanInputs, ForwardContract, ForwardGreeks, Input, OptionKind,
    PricingError, Refusal, SpotContract, SpotGreeks,
};
use pricing::implied::{ImpliedInputs, NoVol, implied_vol, implied_vols};
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = OptionKind> {
    prop_oneof![Just(OptionKind::Call), Just(OptionKind::Put)]
}

prop_compose! {
    fn contract()(
        forward in 1.0..5000.0f64,
        log_moneyness in -0.7..0.7f64,
        years in 0.003..3.0f64,
        vol in 0.03..1.5f64,
        discount in 0.8..1.02f64,
        kind in kind(),
    ) -> ForwardContract {
        let strike = forward * log_moneyness.exp();
        ForwardContract { forward, strike, years, vol, discount, kind }
    }
}

fn greeks(contract: &ForwardContract) -> ForwardGreeks {
    contract.price_and_greeks().expect("the strategy makes priceable contracts")
}

fn price(contract: &ForwardContract) -> f64 {
    greeks(contract).price
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MIN_POSITIVE),
        Just(f64::MAX),
        0.01..200.0f64,
    ]
}

proptest! {
    #[test]
    fn calls_less_puts_are_worth_the_forward(of in contract()) {
        let call = greeks(&ForwardContract { kind: OptionKind::Call, ..of });
        let put = greeks(&ForwardContract { kind: OptionKind::Put, ..of });
        let difference = of.discount * (of.forward - of.strike);
        let scale = of.forward + of.strike;
        prop_assert!((call.price - put.price - difference).abs() <= 1e-15 * scale);
        prop_assert!((call.delta - put.delta - of.discount).abs() <= 1e-14);
        prop_assert_eq!(call.gamma.to_bits(), put.gamma.to_bits());
        prop_assert_eq!(call.vega.to_bits(), put.vega.to_bits());
    }

    #[test]
    fn prices_stay_between_intrinsic_and_cap(of in contract()) {
        let sign = if of.kind.is_call() { 1.0 } else { -1.0 };
        let cap = if of.kind.is_call() { of.forward } else { of.strike };
        let value = greeks(&of);
        let intrinsic = of.discount * (sign * (of.forward - of.strike)).max(0.0);
        prop_assert!(value.price >= intrinsic && value.price <= of.discount * cap);
        prop_assert!(sign * value.delta >= 0.0 && sign * value.delta <= of.discount);
        prop_assert!(value.gamma >= 0.0 && value.vega >= 0.0);
    }

    #[test]
    fn prices_rise_with_vol_and_move_with_the_forward(of in contract(), more in 1.0001..1.5f64) {
        let sign = if of.kind.is_call() { 1.0 } else { -1.0 };
        let slack = 1e-13 * price(&of);
        let wilder = price(&ForwardContract { vol: of.vol * more, ..of });
        prop_assert!(wilder >= price(&of) - slack);
        let higher = price(&ForwardContract { forward: of.forward * more, ..of });
        prop_assert!(sign * (higher - price(&of)) >= -slack);
    }

    #[test]
    fn prices_are_convex_in_the_strike(of in contract(), width in 0.001..0.3f64) {
        let at = |strike: f64| price(&ForwardContract { strike, ..of });
        let (low, high) = (of.strike * (1.0 - width), of.strike * (1.0 + width));
        let slack = 1e-13 * (of.forward + of.strike);
        prop_assert!(at(low) + at(high) >= 2.0 * at(of.strike) - slack);
        // And a strike further out is worth no more, by no more than its distance.
        let sign = if of.kind.is_call() { 1.0 } else { -1.0 };
        let fall = sign * (at(low) - at(high));
        prop_assert!(fall >= -slack && fall <= of.discount * (high - low) + slack);
    }

    #[test]
    fn a_change_of_currency_changes_nothing_else(of in contract(), power in -40i32..40) {
        // Powers of two scale exactly, so the bits must follow.
        let unit = 2f64.powi(power);
        let other = ForwardContract { forward: of.forward * unit, strike: of.strike * unit, ..of };
        let (one, other) = (greeks(&of), greeks(&other));
        // Below the smallest normal number bits are lost before they can be scaled.
        let lost = f64::MIN_POSITIVE * unit.max(1.0 / unit);
        for (scaled, plain) in [
            (other.price, one.price * unit),
            (other.delta, one.delta),
            (other.gamma, one.gamma / unit),
            (other.vega, one.vega * unit),
            (other.theta, one.theta * unit),
            (other.rho, one.rho * unit),
        ] {
            prop_assert!((scaled - plain).abs() <= 4.0 * f64::EPSILON * plain.abs() + lost);
        }
        let price = one.price / of.discount;
        let vol = implied_vol(price, of.forward, of.strike, of.years, of.kind);
        let price = price * unit;
        prop_assume!(one.price.is_normal() && price.is_normal());
        let again =
            implied_vol(price, of.forward * unit, of.strike * unit, of.years, of.kind);
        prop_assert_eq!(vol, again);
    }

    #[test]
    fn higher_greeks_are_finite_differences_of_the_first(
        of in contract(), rate in -0.02..0.12f64, dividend_yield in -0.02..0.08f64,
    ) {
        let of = SpotContract {
            spot: of.forward, strike: of.strike, years: of.years, vol: of.vol.max(0.1),
            rate, dividend_yield, kind: of.kind,
        };
        let value = |of: SpotContract| of.price_and_greeks().unwrap();
        let analytic = of.higher_order().unwrap();
        let total_vol = of.vol * of.years.sqrt();
        let peak = 0.4 / (of.spot * total_vol);
        let (step, bump, day) = (1e-4 * total_vol * of.spot, 1e-4 * of.vol, 1e-4 * of.years);
        let spot = |by: f64| value(SpotContract { spot: of.spot + by, ..of });
        let vol = |by: f64| value(SpotContract { vol: of.vol + by, ..of });
        let later = |by: f64| value(SpotContract { years: of.years - by, ..of });
        let slope = |of: fn(SpotGreeks) -> f64, at: &dyn Fn(f64) -> SpotGreeks, step: f64| {
            (of(at(step)) - of(at(-step))) / (2.0 * step)
        };
        for (name, value, difference, scale) in [
            ("vanna", analytic.vanna, slope(|of| of.delta, &vol, bump), 1.0 / of.vol),
            ("volga", analytic.volga, slope(|of| of.vega, &vol, bump),
                of.spot * of.years.sqrt() / of.vol),
            ("charm", analytic.charm, slope(|of| of.delta, &later, day), 1.0 / of.years + 1.0),
            ("speed", analytic.speed, slope(|of| of.gamma, &spot, step),
                peak / (of.spot * total_vol)),
            ("zomma", analytic.zomma, slope(|of| of.gamma, &vol, bump), peak / of.vol),
            ("color", analytic.color, slope(|of| of.gamma, &later, day),
                peak * (1.0 / of.years + 1.0)),
        ] {
            let allowed = 1e-5 * scale * (1.0 + 1.0 / total_vol.min(1.0));
            prop_assert!((value - difference).abs() <= allowed, "{name} {value} {difference}");
        }
    }

    #[test]
    fn forward_greeks_are_finite_differences(of in contract()) {
        let analytic = greeks(&of);
        let total_vol = of.vol * of.years.sqrt();
        let step = 1e-3 * total_vol * of.forward;
        let at = |shift: f64| greeks(&ForwardContract { forward: of.forward + shift, ..of });
        let (up, down) = (at(step), at(-step));
        prop_assert!(((up.price - down.price) / (2.0 * step) - analytic.delta).abs() < 3e-6);
        let gamma = (up.delta - down.delta) / (2.0 * step);
        let peak = 0.4 / (of.forward * total_vol);
        prop_assert!((gamma - analytic.gamma).abs() < 1e-5 * peak);

        let bump = 1e-4 * of.vol;
        let vol = |shift: f64| price(&ForwardContract { vol: of.vol + shift, ..of });
        let vega = (vol(bump) - vol(-bump)) / (2.0 * bump);
        prop_assert!((vega - analytic.vega).abs() < 1e-5 * of.forward * of.years.sqrt());

        // Rate held: the discount factor shrinks with the time that is left.
        let rate = -of.discount.ln() / of.years;
        let day = 1e-4 * of.years;
        let later = |shift: f64| {
            let years = of.years - shift;
            price(&ForwardContract { years, discount: (-rate * years).exp(), ..of })
        };
        let theta = (later(day) - later(-day)) / (2.0 * day);
        let scale = of.forward * (of.vol / of.years.sqrt() + rate.abs());
        prop_assert!((theta - analytic.theta).abs() < 1e-5 * scale);

        let rates = |shift: f64| {
            price(&ForwardContract { discount: (-(rate + shift) * of.years).exp(), ..of })
        };
        let rho = (rates(1e-4) - rates(-1e-4)) / 2e-4;
        prop_assert!((rho - analytic.rho).abs() < 1e-6 * of.forward.max(of.strike));
    }

    #[test]
    fn spot_greeks_are_finite_differences(
        of in contract(), rate in -0.02..0.12f64, dividend_yield in -0.02..0.08f64,
    ) {
        let of = SpotContract {
            spot: of.forward, strike: of.strike, years: of.years, vol: of.vol,
            rate, dividend_yield, kind: of.kind,
        };
        let value = |of: SpotContract| of.price_and_greeks().unwrap();
        let analytic = value(of);
        let total_vol = of.vol * of.years.sqrt();
        let step = 1e-3 * total_vol * of.spot;
        let up = value(SpotContract { spot: of.spot + step, ..of });
        let down = value(SpotContract { spot: of.spot - step, ..of });
        prop_assert!(((up.price - down.price) / (2.0 * step) - analytic.delta).abs() < 5e-6);
        let gamma = (up.delta - down.delta) / (2.0 * step);
        prop_assert!((gamma - analytic.gamma).abs() < 1e-5 / (of.spot * total_vol));
        let at = |years: f64| value(SpotContract { years, ..of }).price;
        let day = 1e-4 * of.years;
        let theta = (at(of.years - day) - at(of.years + day)) / (2.0 * day);
        let scale = of.spot * (of.vol / of.years.sqrt() + 0.2);
        prop_assert!((theta - analytic.theta).abs() < 1e-5 * scale);
        let bumped = |rate: f64| value(SpotContract { rate, ..of }).price;
        let nudge = 1e-4 * total_vol / of.years.max(0.1);
        let rho = (bumped(rate + nudge) - bumped(rate - nudge)) / (2.0 * nudge);
        let scale = of.spot.max(of.strike) * of.years.max(0.1);
        prop_assert!((rho - analytic.rho).abs() < 1e-5 * scale);
    }

    #[test]
    fn price_to_vol_and_back_is_a_round_trip(of in contract()) {
        let of = ForwardContract { discount: 1.0, ..of };
        let value = greeks(&of);
        let sign = if of.kind.is_call() { 1.0 } else { -1.0 };
        let time_value = value.price - (sign * (of.forward - of.strike)).max(0.0);
        prop_assume!(time_value > 1e-250);
        match implied_vol(value.price, of.forward, of.strike, of.years, of.kind) {
            Ok(vol) => {
                // The vol can be no better than what rounding of the inputs does to the price.
                let distance = (of.forward / of.strike).ln().abs();
                let depth = distance / (of.vol * of.years.sqrt());
                let rounding = 8.0 * f64::EPSILON
                    * (value.price + (1.0 + depth * (1.0 + depth)) * time_value
                        + value.delta.abs() * of.forward);
                prop_assert!((vol - of.vol).abs() <= rounding / value.vega + 1e-14 * of.vol);
            }
            Err(reason) => {
                prop_assert_eq!(reason, NoVol::BelowIntrinsic);
                prop_assert!(time_value <= 8.0 * f64::EPSILON * value.price);
            }
        }
    }

    #[test]
    fn a_lane_has_the_same_bits_alone_turned_round_and_split(
        lanes in prop::collection::vec(contract(), 1..40), cut in 0usize..40,
    ) {
        let batch = |lanes: &[ForwardContract]| {
            let column = |of: fn(&ForwardContract) -> f64| lanes.iter().map(of).collect::<Vec<_>>();
            let is_call: Vec<bool> = lanes.iter().map(|lane| lane.kind.is_call()).collect();
            let mut out = EuropeanGreeks::default();
            out.fill(&EuropeanInputs {
                forward: &column(|lane| lane.forward),
                strike: &column(|lane| lane.strike),
                years: &column(|lane| lane.years),
                vol: &column(|lane| lane.vol),
                discount: &column(|lane| lane.discount),
                is_call: &is_call,
            }).unwrap();
            (0..lanes.len())
                .map(|lane| [
                    out.price[lane], out.delta[lane], out.gamma[lane],
                    out.vega[lane], out.theta[lane], out.rho[lane],
                ].map(f64::to_bits))
                .collect::<Vec<_>>()
        };
        let whole = batch(&lanes);
        let mut turned: Vec<_> = lanes.clone();
        turned.reverse();
        let mut back = batch(&turned);
        back.reverse();
        prop_assert_eq!(&whole, &back);
        let cut = cut.min(lanes.len());
        let mut joined = batch(&lanes[..cut]);
        joined.extend(batch(&lanes[cut..]));
        prop_assert_eq!(&whole, &joined);
    }

    #[test]
    fn no_input_panics_and_no_answer_is_nan(
        forward in any_number(), strike in any_number(), years in any_number(),
        vol in any_number(), discount in any_number(), kind in kind(),
    ) {
        let of = ForwardContract { forward, strike, years, vol, discount, kind };
        if let Ok(value) = of.price_and_greeks() {
            for number in [value.price, value.delta, value.gamma, value.vega, value.theta] {
                prop_assert!(number.is_finite(), "{:?} {:?}", of, value);
            }
            prop_assert!(value.price >= 0.0);
        }
        let on_spot = SpotContract {
            spot: forward, strike, years, vol, rate: discount, dividend_yield: vol, kind,
        };
        if let Ok(value) = on_spot.price_and_greeks() {
            prop_assert!(value.price.is_finite() && value.rho.is_finite());
        }
        if let Ok(vol) = implied_vol(discount, forward, strike, years, kind) {
            prop_assert!(vol > 0.0);
        }
    }
}

#[test]
fn garbage_is_refused_by_name() {
    let good = ForwardContract {
        forward: 100.0,
        strike: 95.0,
        years: 0.5,
        vol: 0.2,
        discount: 0.99,
        kind: OptionKind::Call,
    };
    let refusal = |of: ForwardContract| of.price_and_greeks().unwrap_err();
    assert_eq!(
        refusal(ForwardContract { forward: f64::NAN, ..good }),
        Refusal::NotFinite { input: Input::Forward }
    );
    assert_eq!(
        refusal(ForwardContract { vol: f64::INFINITY, ..good }),
        Refusal::NotFinite { input: Input::Vol }
    );
    assert_eq!(
        refusal(ForwardContract { strike: 0.0, ..good }),
        Refusal::NotPositive { input: Input::Strike }
    );
    assert_eq!(
        refusal(ForwardContract { discount: -1.0, ..good }),
        Refusal::NotPositive { input: Input::Discount }
    );
    assert_eq!(refusal(ForwardContract { vol: -0.1, ..good }), Refusal::NegativeVol);
    assert_eq!(refusal(ForwardContract { years: -0.1, ..good }), Refusal::NegativeYears);
    assert_eq!(
        refusal(ForwardContract { years: 0.0, ..good }),
        Refusal::Expired { intrinsic: 5.0 }
    );
    let at_the_kink = ForwardContract { vol: 0.0, strike: 100.0, ..good };
    assert_eq!(refusal(at_the_kink), Refusal::NotRepresentable);
    let certain = ForwardContract { vol: 0.0, ..good }.price_and_greeks().unwrap();
    assert_eq!((certain.price, certain.delta, certain.gamma), (0.99 * 5.0, 0.99, 0.0));
}

#[test]
fn a_batch_keeps_refusals_in_their_lanes() {
    let mut out = EuropeanGreeks::default();
    let inputs = EuropeanInputs {
        forward: &[100.0, f64::NAN, 103.0],
        strike: &[100.0, 100.0, 100.0],
        years: &[1.0, 1.0, 0.0],
        vol: &[0.2, 0.2, 0.2],
        discount: &[1.0, 1.0, 1.0],
        is_call: &[true, true, true],
    };
    out.fill(&inputs).unwrap();
    assert!(out.price[0] > 7.9 && out.refusal[0].is_none());
    assert!(out.price[1].is_nan());
    assert_eq!(out.refusal[1], Some(Refusal::NotFinite { input: Input::Forward }));
    assert_eq!((out.price[2], out.refusal[2]), (3.0, Some(Refusal::Expired { intrinsic: 3.0 })));
    assert!(out.delta[2].is_nan());
    let short = EuropeanInputs { vol: &[0.2], ..inputs };
    let mismatch = PricingError::LengthMismatch { column: "vol", expected: 3, found: 1 };
    assert_eq!(out.fill(&short), Err(mismatch));
}

#[test]
fn bid_mid_and_ask_go_through_one_batch() {
    let inputs = ImpliedInputs {
        undiscounted_price: &[0.0, 7.9, 8.1, 101.0],
        forward: &[100.0; 4],
        strike: &[100.0; 4],
        years: &[1.0; 4],
        is_call: &[true; 4],
    };
    let mut vols = [Err(NoVol::Expired); 4];
    implied_vols(&inputs, &mut vols).unwrap();
    assert_eq!((vols[0], vols[3]), (Err(NoVol::NoPrice), Err(NoVol::AboveCap)));
    assert!(vols[1].unwrap() < vols[2].unwrap());
}
