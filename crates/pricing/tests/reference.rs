//! Every row of the European reference tables in `tests/reference/`, each with the tolerance that
//! its own precision allows. Citations are the first lines of the tables.

use pricing::black::{ForwardContract, OptionKind, SpotContract};
use pricing::implied::{implied_vol, total_vol_of_normalised_price};
use pricing::normal::{normal_cdf, normal_density};

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

    fn contract(&self) -> SpotContract {
        SpotContract {
            spot: self.number("S"),
            strike: self.number("K"),
            years: self.number("T"),
            vol: self.number("vol"),
            rate: self.number("r"),
            dividend_yield: self.number("q"),
            kind: match self.text("type") {
                "call" => OptionKind::Call,
                "put" => OptionKind::Put,
                other => panic!("option type {other}"),
            },
        }
    }
}

/// Calls `check` with every row and demands that there are `rows` of them.
fn for_each_row(table: &str, rows: usize, mut check: impl FnMut(&Row<'_>)) {
    let mut lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let header: Vec<&str> = lines.next().expect("header").split(',').collect();
    let mut seen = 0;
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), header.len(), "{line}");
        check(&Row { header: &header, fields });
        seen += 1;
    }
    assert_eq!(seen, rows);
}

/// Published prices whose last digit is wrong; QuantLib's analytic engine, in the same row, agrees
/// with ours to rounding.
const MISPRINTS: [&str; 2] = ["1.8734", "1.8734"];

/// Half a unit of the last printed digit, and a hair for values printed as a tie.
fn printed_precision(text: &str) -> f64 {
    let decimals = text.split('.').nth(1).map_or(0, str::len) as i32;
    0.5 * 10f64.powi(-decimals) * (1.0 + 1e-9)
}

#[test]
fn haug_prices_agree_to_the_printed_digits_and_quantlib_to_rounding() {
    let mut misprints = Vec::new();
    for_each_row(include_str!("reference/european_haug1998.csv"), 43, |row| {
        let price = row.contract().price_and_greeks().unwrap().price;
        let exact = row.number("quantlib_analytic");
        assert!((price - exact).abs() <= 2e-13 * exact.max(1.0), "{:?} {price}", row.fields);
        let published = row.text("published");
        if (price - row.number("published")).abs() > printed_precision(published) {
            misprints.push(published.to_owned());
        }
    });
    assert_eq!(misprints, MISPRINTS);
}

#[test]
fn haug_greeks_agree_to_the_printed_digits() {
    for_each_row(include_str!("reference/european_greeks_haug1998.csv"), 8, |row| {
        let contract = row.contract();
        let greeks = contract.price_and_greeks().unwrap();
        let value = match row.text("greek") {
            "delta" => greeks.delta,
            "gamma" => greeks.gamma,
            "vega" => greeks.vega,
            "theta" => greeks.theta,
            "rho" => greeks.rho,
            "elasticity" => greeks.delta * contract.spot / greeks.price,
            // d price / d yield = -T S delta, for only the forward depends on the yield.
            "dividend_rho" => -contract.years * contract.spot * greeks.delta,
            other => panic!("greek {other}"),
        };
        let tolerance = printed_precision(row.text("published"));
        assert!((value - row.number("published")).abs() <= tolerance, "{:?} {value}", row.fields);
    });
}

/// Tolerance of a row: rounding of the forward (four epsilons, moved on by the derivative in the
/// spot that the table itself gives), and rounding of d1, which moves the logarithm of the result
/// by
/// |d1| / s and d1^2 epsilons. What underflows is compared absolutely.
#[test]
fn prices_and_all_greeks_agree_with_forty_digit_values_also_in_the_tails() {
    for_each_row(include_str!("reference/european_greeks_mpmath.csv"), 60, |row| {
        let contract = row.contract();
        let greeks = contract.price_and_greeks().unwrap();
        let total_vol = contract.vol * contract.years.sqrt();
        let carry = (contract.rate - contract.dividend_yield) * contract.years;
        let d1 = ((contract.spot / contract.strike).ln() + carry) / total_vol + 0.5 * total_vol;
        let relative = 8.0 * f64::EPSILON * (1.0 + d1.abs() / total_vol + d1 * d1);
        // Theta and rho are sums whose terms may cancel: they are judged against the terms.
        let decay = 0.5 * greeks.vega * contract.vol / contract.years;
        let forward_part = contract.spot * greeks.delta.abs();
        let theta_terms = decay
            + (contract.rate - contract.dividend_yield).abs() * forward_part
            + contract.rate.abs() * greeks.price;
        let rho_terms = contract.years * (greeks.price + forward_part);
        let higher = contract.higher_order().unwrap();
        let sensitive = 1.0 + d1.abs() / total_vol + d1 * d1;
        let terms = sensitive / total_vol;
        let per_year = contract.rate.abs() + contract.dividend_yield.abs() + 1.0 / contract.years;
        let drift = per_year + carry.abs() / (contract.years * total_vol);
        let per_spot = greeks.gamma / contract.spot;
        for (name, value, scale) in [
            ("vanna", higher.vanna, greeks.vega / contract.spot * terms),
            ("volga", higher.volga, greeks.vega / contract.vol * sensitive),
            ("charm", higher.charm, (greeks.delta.abs() + greeks.gamma * contract.spot) * drift),
            ("speed", higher.speed, per_spot * terms),
            ("zomma", higher.zomma, greeks.gamma / contract.vol * sensitive),
            ("color", higher.color, greeks.gamma * drift * sensitive),
        ] {
            let exact = row.number(name);
            // The table's higher derivatives are numerical: 18 digits of the largest term.
            let tolerance = 4.0 * relative * scale + 1e-16 * scale + 1e-40;
            assert!(
                (value - exact).abs() <= tolerance,
                "{name}: {value} for {exact}, tolerance {tolerance:e}, {:?}",
                row.fields
            );
        }
        for (name, value, scale, per_spot) in [
            ("price", greeks.price, greeks.price, greeks.delta),
            ("delta", greeks.delta, greeks.delta.abs(), greeks.gamma),
            ("gamma", greeks.gamma, greeks.gamma, row.number("speed")),
            ("vega", greeks.vega, greeks.vega, row.number("vanna")),
            ("theta", greeks.theta, theta_terms, row.number("charm")),
            ("rho", greeks.rho, rho_terms, contract.years * contract.spot * greeks.gamma),
        ] {
            let exact = row.number(name);
            // The table's own derivatives carry 18 digits, and zero for what cancelled there.
            let moved = 4.0 * f64::EPSILON * contract.spot * per_spot.abs();
            let tolerance = relative * scale + moved + 1e-40;
            assert!(
                (value - exact).abs() <= tolerance,
                "{name}: {value} for {exact}, off {:e}, tolerance {tolerance:e}, {:?}",
                (value - exact).abs(),
                row.fields
            );
        }
    });
}

/// The error class of the closed formula: 1e-13 to 25 standard deviations; beyond, what 0.6 ulp of
/// ln(F/K) make of the tail, and the rounding of everything else.
#[test]
fn a_dense_grid_is_exact_to_1e_13_and_its_vols_come_back() {
    for_each_row(include_str!("reference/european_dense_mpmath.csv"), 400, |row| {
        let kind = if row.text("type") == "call" { OptionKind::Call } else { OptionKind::Put };
        let (strike, years, vol) = (row.number("K"), row.number("T"), row.number("vol"));
        let contract = ForwardContract { forward: 100.0, strike, years, vol, discount: 1.0, kind };
        let greeks = contract.price_and_greeks().unwrap();
        let total_vol = vol * years.sqrt();
        let d1 = (100.0 / strike).ln() / total_vol + 0.5 * total_vol;
        let tolerance = 1e-13f64.max(0.7 * d1 * d1 * f64::EPSILON);
        for (name, value) in [
            ("price", greeks.price),
            ("delta", greeks.delta),
            ("gamma", greeks.gamma),
            ("vega", greeks.vega),
        ] {
            let error = (value / row.number(name) - 1.0).abs();
            assert!(error <= tolerance, "{name} {value:e} off {error:e}: {:?}", row.fields);
        }
        let price = row.number("price");
        let back = implied_vol(price, 100.0, strike, years, kind).unwrap();
        // What half an epsilon of the price, and one of the total vol's parts, do to the vol.
        let attainable = (1.0 + price / (vol * row.number("vega"))) * f64::EPSILON;
        let error = (back / vol - 1.0).abs();
        assert!(error <= 4.0 * attainable, "{error:e} over {attainable:e}: {:?}", row.fields);
    });
}

#[test]
fn implied_vol_reaches_attainable_accuracy_everywhere() {
    for_each_row(include_str!("reference/implied_vol_extremes.csv"), 136, |row| {
        let moneyness = row.number("x_ln_F_over_K");
        let root = row.number("s_root_22digits");
        let total_vol = total_vol_of_normalised_price(moneyness, row.number("beta_f64")).unwrap();
        let error = (total_vol / root - 1.0).abs();
        let attainable = row.number("attainable_rel_accuracy");
        assert!(error <= 2.0 * attainable, "{error:e} over {attainable:e}: {:?}", row.fields);
        if moneyness == 0.0 {
            // Through the public door as well: at the money no rounding of ln(F/K) comes in.
            let vol = implied_vol(row.number("beta_f64"), 1.0, 1.0, 1.0, OptionKind::Call).unwrap();
            assert_eq!(vol.to_bits(), total_vol.to_bits());
        }
    });
}

/// Half an epsilon of the argument moves ln(cdf) by x^2 halves; subnormals have fewer digits.
#[test]
fn normal_distribution_keeps_relative_accuracy_to_minus_38() {
    for_each_row(include_str!("reference/normal_cdf_mpmath.csv"), 95, |row| {
        let x = row.number("x");
        let subnormal = f64::from_bits(2);
        let exact = row.number("cdf_25digits");
        let tolerance = f64::EPSILON * (4.0 + x * x) * exact + subnormal;
        assert!(
            (normal_cdf(x) - exact).abs() <= tolerance,
            "{x}: {:e}",
            normal_cdf(x) / exact - 1.0
        );
        let exact = row.number("pdf");
        let tolerance = 4.0 * f64::EPSILON * exact + subnormal;
        assert!((normal_density(x) - exact).abs() <= tolerance, "{x}: {}", normal_density(x));
    });
}
