//! Exotics against published tables (each row within its printed digits), against quadrature in 24
//! digits, and against what must hold whatever the inputs. Citations are the first lines of the
//! tables in `tests/reference/`.

use pricing::black::OptionKind::{self, Call, Put};
use pricing::exotics::asian::{self, Average};
use pricing::exotics::barrier::{self, Barrier, DoubleBarrier, Knock, Side};
use pricing::exotics::spread::{self, Asset};
use pricing::exotics::{ExoticRefusal, Payoff, Price, Underlying, european, lookback};
use proptest::prelude::*;

struct Row<'a> {
    header: &'a [&'a str],
    fields: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn text(&self, column: &str) -> &'a str {
        let index = self.header.iter().position(|name| *name == column).expect(column);
        self.fields[index]
    }

    fn number(&self, column: &str) -> f64 {
        self.text(column).parse().unwrap_or_else(|error| panic!("{column}: {error}"))
    }

    fn kind(&self) -> OptionKind {
        if self.text("type") == "call" { Call } else { Put }
    }

    fn underlying(&self) -> Underlying {
        Underlying {
            spot: self.number("S"),
            years: self.number("T"),
            vol: self.number("vol"),
            rate: self.number("r"),
            dividend_yield: self.number("q"),
        }
    }

    /// Whether the column's value is within one unit of its last printed digit: the books cut some
    /// digits instead of rounding them.
    fn prints(&self, column: &str, value: f64) -> bool {
        let decimals = self.text(column).split('.').nth(1).map_or(0, str::len) as i32;
        // Trailing zeros are not printed in these tables: 8.4 may stand for 8.4000.
        let unit = 10f64.powi(-decimals.max(4));
        (value - self.number(column)).abs() <= unit * (1.0 + 1e-9)
    }
}

fn rows(table: &str, count: usize, mut check: impl FnMut(&Row<'_>)) {
    let mut lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let header: Vec<&str> = lines.next().expect("header").split(',').collect();
    let mut seen = 0;
    for line in lines {
        check(&Row { header: &header, fields: line.split(',').collect() });
        seen += 1;
    }
    assert_eq!(seen, count);
}

fn near(found: &Price, expected: f64, also: f64) {
    let difference = (found.value - expected).abs();
    assert!(difference <= found.error.reach() + also, "{found:?} expected {expected}");
}

fn barrier_of(row: &Row<'_>, rebate: f64) -> Barrier {
    let (side, knock) = match row.text("barrier_type") {
        "DownIn" => (Side::Down, Knock::In),
        "DownOut" => (Side::Down, Knock::Out),
        "UpIn" => (Side::Up, Knock::In),
        "UpOut" => (Side::Up, Knock::Out),
        other => panic!("{other}"),
    };
    Barrier { level: row.number("barrier"), side, knock, rebate }
}

#[test]
fn barriers_of_reiner_and_rubinstein() {
    rows(include_str!("reference/barrier_haug.csv"), 72, |row| {
        let payoff = Payoff::Vanilla { strike: row.number("K"), kind: row.kind() };
        let barrier = barrier_of(row, row.number("rebate"));
        let price = barrier::single(&row.underlying(), &payoff, &barrier).unwrap();
        near(&price, row.number("quantlib_analytic"), 2e-13 * price.value);
        assert!(row.prints("published", price.value), "{:?} {price:?}", row.fields);
    });
}

#[test]
fn binary_barriers_of_reiner_and_rubinstein() {
    rows(include_str!("reference/binary_barrier_haug2007.csv"), 42, |row| {
        let (strike, kind) = (row.number("K"), row.kind());
        let payoff = match row.text("kind") {
            "cash" => Payoff::CashOrNothing { strike, cash: row.number("cash"), kind },
            _ => Payoff::AssetOrNothing { strike, kind },
        };
        let price = barrier::single(&row.underlying(), &payoff, &barrier_of(row, 0.0)).unwrap();
        near(&price, row.number("quantlib"), 2e-12);
        assert!(row.prints("published", price.value), "{:?} {price:?}", row.fields);
    });
}

#[test]
fn double_barriers_of_ikeda_and_kunitomo() {
    rows(include_str!("reference/double_barrier_haug.csv"), 90, |row| {
        let payoff = Payoff::Vanilla { strike: row.number("K"), kind: row.kind() };
        let knock = if row.text("barrier_type") == "KnockIn" { Knock::In } else { Knock::Out };
        let barriers =
            DoubleBarrier { lower: row.number("lower"), upper: row.number("upper"), knock };
        let price = barrier::double(&row.underlying(), &payoff, &barriers).unwrap();
        near(&price, row.number("quantlib_analytic"), 1e-9);
        assert!(row.prints("published", price.value), "{:?} {price:?}", row.fields);
    });
}

#[test]
fn digitals() {
    rows(include_str!("reference/digital_haug.csv"), 3, |row| {
        let (strike, kind) = (row.number("K"), row.kind());
        let payoff = match row.text("kind") {
            "cash_or_nothing_10" => Payoff::CashOrNothing { strike, cash: 10.0, kind },
            "asset_or_nothing" => Payoff::AssetOrNothing { strike, kind },
            _ => Payoff::Gap { strike, paid_strike: 57.0, kind },
        };
        let price = european(&row.underlying(), &payoff).unwrap();
        near(&price, row.number("quantlib_analytic"), 1e-13);
        assert!(row.prints("published", price.value), "{:?} {price:?}", row.fields);
    });
}

#[test]
fn lookbacks() {
    rows(include_str!("reference/lookback_haug_bgk.csv"), 43, |row| {
        let (kind, extreme) = (row.kind(), row.number("minmax"));
        let price = if row.text("kind") == "floating" {
            lookback::floating(&row.underlying(), kind, extreme)
        } else {
            lookback::fixed(&row.underlying(), kind, row.number("K"), extreme)
        }
        .unwrap();
        near(&price, row.number("quantlib"), 1e-12);
        assert!(row.prints("published", price.value), "{:?} {price:?}", row.fields);
    });
}

#[test]
fn geometric_averages() {
    rows(include_str!("reference/asian_geometric.csv"), 2, |row| {
        let fixings = row.number("fixings") as usize;
        let underlying = row.underlying();
        let first = underlying.years / fixings.max(1) as f64;
        let average = Average { first, fixings, strike: row.number("K"), kind: row.kind() };
        let price = if fixings == 0 {
            asian::geometric_continuous(&underlying, &average).unwrap()
        } else {
            asian::geometric(&underlying, &average).unwrap()
        };
        assert!(row.prints("published", price.value), "{:?} {price:?}", row.fields);
    });
}

#[test]
fn arithmetic_averages_by_moments_and_between_bounds() {
    rows(include_str!("reference/asian_turnbull_wakeman_haug.csv"), 10, |row| {
        let rate = row.number("r");
        let underlying = Underlying {
            spot: row.number("S"),
            years: row.number("T"),
            vol: row.number("vol"),
            rate,
            dividend_yield: rate - row.number("b_carry"),
        };
        let average = Average {
            first: row.number("t_first"),
            fixings: row.number("fixings") as usize,
            strike: row.number("K"),
            kind: row.kind(),
        };
        let price = asian::by_moments(&underlying, &average).unwrap();
        assert!((price.value - row.number("recomputed_TW")).abs() < 1e-10, "{price:?}");
        assert!(row.prints("published_TW_approx", price.value), "{:?}", row.fields);
        let bounded = asian::conditioned(&underlying, &average).unwrap();
        near(&price, bounded.value, bounded.error.reach());
    });
}

/// Levy's values are Monte Carlo themselves: QuantLib's reproduces them to 2e-3.
#[test]
fn arithmetic_averages_of_levy() {
    rows(include_str!("reference/asian_discrete_arithmetic_levy1997.csv"), 30, |row| {
        let (first, length) = (row.number("first"), row.number("length"));
        let underlying = Underlying {
            spot: row.number("S"),
            years: first + length,
            vol: row.number("vol"),
            rate: row.number("r"),
            dividend_yield: row.number("q"),
        };
        let fixings = row.number("fixings") as usize;
        let average = Average { first, fixings, strike: row.number("K"), kind: row.kind() };
        let price = asian::conditioned(&underlying, &average).unwrap();
        near(&price, row.number("published"), 2e-3);
    });
}

fn asset(spot: f64, quantity: f64, dividend_yield: f64, vol: f64) -> Asset {
    Asset { spot, quantity, dividend_yield, vol }
}

#[test]
fn exchanges_of_margrabe() {
    rows(include_str!("reference/margrabe_haug.csv"), 21, |row| {
        let n = |column: &str| row.number(column);
        let assets =
            [asset(n("s1"), n("Q1"), n("q1"), n("v1")), asset(n("s2"), n("Q2"), n("q2"), n("v2"))];
        let price = spread::exchange(&assets, n("rho"), n("T")).unwrap();
        near(&price, n("bs_equivalent"), 1e-12);
        // Three decimals are published; the half unit is Haug's rounding.
        assert!((price.value - n("published")).abs() <= 1e-3, "{:?} {price:?}", row.fields);
    });
}

#[test]
fn spreads_of_kirk() {
    rows(include_str!("reference/spread_kirk_haug.csv"), 18, |row| {
        let n = |column: &str| row.number(column);
        let assets = [asset(n("s1"), 1.0, n("r"), n("v1")), asset(n("s2"), 1.0, n("r"), n("v2"))];
        let price = spread::kirk(&assets, n("rho"), n("T"), n("r"), n("K"), row.kind()).unwrap();
        assert!((price.value - n("quantlib")).abs() <= 1e-11, "{:?} {price:?}", row.fields);
        assert!(row.prints("published", price.value), "{:?} {price:?}", row.fields);
    });
}

#[test]
fn quadrature_in_many_digits_agrees_within_the_stated_errors() {
    rows(include_str!("reference/exotics_quadrature.csv"), 66, |row| {
        let value = row.number("value");
        let kind = if row.number("sign") > 0.0 { Call } else { Put };
        let (strike, level) = (row.number("K"), row.number("level"));
        let price = match row.text("kind") {
            "knock_in" => {
                let underlying = row.underlying();
                let side = if level < underlying.spot { Side::Down } else { Side::Up };
                let barrier = Barrier { level, side, knock: Knock::In, rebate: 0.0 };
                let payoff = Payoff::Vanilla { strike, kind };
                barrier::single(&underlying, &payoff, &barrier).unwrap()
            }
            "fixed_call" => lookback::fixed(&row.underlying(), Call, strike, level).unwrap(),
            _ => {
                let rate = row.number("r");
                let assets = [
                    asset(row.number("S"), 1.0, rate, row.number("vol")),
                    asset(level, 1.0, rate, row.number("extra")),
                ];
                spread::kirk(&assets, row.number("q"), row.number("T"), rate, strike, Call).unwrap()
            }
        };
        near(&price, value, 0.0);
    });
}

#[test]
fn the_price_does_not_jump_where_the_carry_vanishes() {
    let at = |dividend_yield: f64| {
        let underlying =
            Underlying { spot: 100.0, years: 1.0, vol: 0.3, rate: 0.05, dividend_yield };
        lookback::floating(&underlying, Put, 105.0).unwrap().value
    };
    // The interpolation ends where 2 carry / vol^2 is 0.0025.
    let edge = 0.05 - 0.5 * 0.0025 * 0.09;
    assert!((at(edge - 1e-13) - at(edge + 1e-13)).abs() < 1e-9);
    assert!((at(0.05) - at(0.05 + 1e-12)).abs() < 1e-9);
}

fn markets() -> impl Strategy<Value = Underlying> {
    (20.0..500.0f64, 0.02..4.0f64, 0.05..0.9f64, -0.05..0.12f64, -0.05..0.12f64).prop_map(
        |(spot, years, vol, rate, dividend_yield)| Underlying {
            spot,
            years,
            vol,
            rate,
            dividend_yield,
        },
    )
}

fn kinds() -> impl Strategy<Value = OptionKind> {
    prop_oneof![Just(Call), Just(Put)]
}

fn wild() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(1e-300),
        -2.0..2.0f64,
        1e-6..1e6f64,
    ]
}

/// Prices of every formula here for one set of numbers.
fn everything(numbers: &[f64; 9], kind: OptionKind) -> Vec<Result<Price, ExoticRefusal>> {
    let [spot, years, vol, rate, dividend_yield, strike, level, upper, other] = *numbers;
    let underlying = Underlying { spot, years, vol, rate, dividend_yield };
    let average = Average { first: other, fixings: 7, strike, kind };
    let assets = [asset(spot, 1.0, dividend_yield, vol), asset(level, other, rate, other)];
    let payoffs = [
        Payoff::Vanilla { strike, kind },
        Payoff::CashOrNothing { strike, cash: other, kind },
        Payoff::AssetOrNothing { strike, kind },
        Payoff::Gap { strike, paid_strike: upper, kind },
    ];
    let mut all = vec![
        lookback::floating(&underlying, kind, level),
        lookback::fixed(&underlying, kind, strike, level),
        asian::geometric(&underlying, &average),
        asian::geometric_continuous(&underlying, &average),
        asian::by_moments(&underlying, &average),
        asian::conditioned(&underlying, &average),
        spread::exchange(&assets, other, years),
        spread::kirk(&assets, other, years, rate, strike, kind),
    ];
    for payoff in &payoffs {
        all.push(european(&underlying, payoff));
        for knock in [Knock::In, Knock::Out] {
            for side in [Side::Down, Side::Up] {
                let barrier = Barrier { level, side, knock, rebate: other };
                all.push(barrier::single(&underlying, payoff, &barrier));
                all.push(barrier::watched(&underlying, payoff, &barrier, 12));
            }
            let barriers = DoubleBarrier { lower: level, upper, knock };
            all.push(barrier::double(&underlying, payoff, &barriers));
        }
    }
    all
}

proptest! {
    #[test]
    fn a_knock_in_and_a_knock_out_make_the_whole(
        market in markets(), kind in kinds(), moneyness in 0.6..1.6f64, distance in 0.4..2.2f64,
    ) {
        let payoff = Payoff::Vanilla { strike: moneyness * market.spot, kind };
        let side = if distance < 1.0 { Side::Down } else { Side::Up };
        let level = distance * market.spot;
        let of = |knock| {
            barrier::single(&market, &payoff, &Barrier { level, side, knock, rebate: 0.0 })
        };
        let (inside, outside) = (of(Knock::In).unwrap(), of(Knock::Out).unwrap());
        let whole = european(&market, &payoff).unwrap();
        near(&whole, inside.value + outside.value, inside.error.reach() + outside.error.reach());
        prop_assert!(inside.value >= 0.0 && outside.value >= 0.0);
    }

    #[test]
    fn a_far_second_barrier_does_not_matter(
        market in markets(), kind in kinds(), moneyness in 0.6..1.6f64, distance in 0.5..0.99f64,
    ) {
        let payoff = Payoff::Vanilla { strike: moneyness * market.spot, kind };
        let lower = distance * market.spot;
        // Twelve deviations and more away.
        let market = Underlying { years: market.years.min(1.0), ..market };
        let upper = market.spot * (12.0 * market.vol * market.years.sqrt() + 2.0).exp();
        let double = DoubleBarrier { lower, upper, knock: Knock::Out };
        let two = barrier::double(&market, &payoff, &double).unwrap();
        let single = Barrier { level: lower, side: Side::Down, knock: Knock::Out, rebate: 0.0 };
        let one = barrier::single(&market, &payoff, &single).unwrap();
        near(&two, one.value, one.error.reach());
    }

    #[test]
    fn narrower_corridors_are_worth_less(
        market in markets(), kind in kinds(), moneyness in 0.8..1.25f64,
        lower in 0.4..0.9f64, upper in 1.1..2.5f64, share in 0.01..0.99f64,
    ) {
        let payoff = Payoff::Vanilla { strike: moneyness * market.spot, kind };
        let of = |lower: f64, upper: f64| {
            let (lower, upper) = (lower * market.spot, upper * market.spot);
            let barriers = DoubleBarrier { lower, upper, knock: Knock::Out };
            barrier::double(&market, &payoff, &barriers).unwrap()
        };
        let wide = of(lower, upper);
        let narrow = of(lower + share * (1.0 - lower), upper - share * (upper - 1.0));
        let slack = wide.error.reach() + narrow.error.reach();
        prop_assert!(narrow.value <= wide.value + slack, "{narrow:?} {wide:?}");
    }

    #[test]
    fn a_digital_is_the_slope_of_a_vanilla_in_its_strike(
        market in markets(), kind in kinds(), moneyness in 0.7..1.4f64,
    ) {
        let strike = moneyness * market.spot;
        let step = 1e-4 * strike;
        let vanilla = |strike| european(&market, &Payoff::Vanilla { strike, kind }).unwrap().value;
        let slope = (vanilla(strike + step) - vanilla(strike - step)) / (2.0 * step);
        let sign = if kind == Call { -1.0 } else { 1.0 };
        let digital = Payoff::CashOrNothing { strike, cash: 1.0, kind };
        let value = european(&market, &digital).unwrap().value;
        // The difference quotient errs by step^2 / 6 times the third derivative, which is at most
        // (1 + 2 / deviation)^2 / (strike deviation) over strike.
        let deviation = market.vol * market.years.sqrt();
        let slack = 1e-8 * (1.0 + 2.0 / deviation).powi(2) / deviation + 1e-8;
        prop_assert!((sign * slope - value).abs() <= slack, "{slope} {value}");
    }

    #[test]
    fn prices_scale_with_the_currency(
        market in markets(), kind in kinds(), moneyness in 0.7..1.4f64, scale in 0.01..100.0f64,
    ) {
        let numbers = |unit: f64| [
            market.spot * unit, market.years, market.vol, market.rate, market.dividend_yield,
            market.spot * moneyness * unit, market.spot * 0.8 * unit, market.spot * 1.3 * unit, 0.0,
        ];
        let scaled = everything(&numbers(scale), kind);
        for (a, b) in everything(&numbers(1.0), kind).iter().zip(scaled) {
            match (a, &b) {
                (Ok(a), Ok(b)) => near(b, a.value * scale, a.error.reach() * scale),
                (a, b) => prop_assert_eq!(a.is_ok(), b.is_ok()),
            }
        }
    }

    #[test]
    fn arithmetic_averages_are_above_geometric_ones_and_one_fixing_is_a_vanilla(
        market in markets(), kind in kinds(), moneyness in 0.7..1.4f64,
        fixings in 2usize..60, share in 0.0..0.9f64,
    ) {
        let strike = moneyness * market.spot;
        let first = share * market.years;
        let average = Average { first, fixings, strike, kind };
        let bounded = asian::conditioned(&market, &average).unwrap();
        let geometric = asian::geometric(&market, &average).unwrap();
        let slack = bounded.error.reach() + geometric.error.reach();
        let sign = if kind == Call { 1.0 } else { -1.0 };
        prop_assert!(sign * (bounded.value - geometric.value) + slack >= 0.0);
        let once = Average { fixings: 1, ..average };
        let vanilla = european(&market, &Payoff::Vanilla { strike, kind }).unwrap();
        for method in [asian::geometric, asian::by_moments, asian::conditioned] {
            near(&vanilla, method(&market, &once).unwrap().value, 2e-12 * market.spot);
        }
    }

    #[test]
    fn lookbacks_dominate_and_grow_with_what_was_seen(
        market in markets(), kind in kinds(), seen in 0.0..0.4f64, moneyness in 0.7..1.4f64,
    ) {
        let sign = if kind == Call { -1.0 } else { 1.0 };
        let best = market.spot * (sign * seen).exp();
        let fresh = lookback::floating(&market, kind, market.spot).unwrap();
        let aged = lookback::floating(&market, kind, best).unwrap();
        let slack = fresh.error.reach() + aged.error.reach();
        prop_assert!(aged.value + slack >= fresh.value);
        let strike = moneyness * market.spot;
        let fixed = lookback::fixed(&market, kind, strike, market.spot).unwrap();
        let vanilla = european(&market, &Payoff::Vanilla { strike, kind }).unwrap();
        prop_assert!(fixed.value + fixed.error.reach() + vanilla.error.reach() >= vanilla.value);
    }

    #[test]
    fn no_input_panics_and_every_answer_is_finite(
        numbers in prop::array::uniform9(wild()), kind in kinds(),
    ) {
        for price in everything(&numbers, kind).into_iter().flatten() {
            prop_assert!(price.value.is_finite() && price.error.reach().is_finite());
        }
    }
}
