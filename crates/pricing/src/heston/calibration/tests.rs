//! Slopes against finite differences, known parameters found again, standard errors that mean
//! something, refusals, and garbage.

use super::*;
use crate::black::OptionKind::{Call, Put};
use crate::heston::contour;
use crate::implied::implied_vol;
use crate::lanes::{Level, at_level};
use proptest::prelude::*;

/// One expiry's columns.
#[derive(Debug, Clone)]
struct Quotes {
    forward: f64,
    years: f64,
    strike: Vec<f64>,
    vol: Vec<f64>,
    half_width: Vec<f64>,
}

fn fit(quotes: &[Quotes], settings: &HestonSettings) -> Result<Calibrated, NotCalibrated> {
    let expiries: Vec<ExpiryQuotes<'_>> = quotes
        .iter()
        .map(|own| ExpiryQuotes {
            forward: own.forward,
            years: own.years,
            strike: &own.strike,
            vol: &own.vol,
            half_width: &own.half_width,
        })
        .collect();
    calibrate(&expiries, settings)
}

/// Vols of prices by the contour, which shares no sum with what is calibrated by, two deviations
/// to either side.
fn surface(heston: &Heston, years: &[f64], strikes: usize) -> Vec<Quotes> {
    let forward = 4000.0;
    let of = |years: &f64| {
        let level = (heston.mean
            + (heston.variance - heston.mean) * (-heston.reversion * years).exp())
        .sqrt();
        let mut own = Quotes {
            forward,
            years: *years,
            strike: Vec::new(),
            vol: Vec::new(),
            half_width: vec![0.002; strikes],
        };
        for index in 0..strikes {
            let deviations = -2.0 + 4.0 * index as f64 / (strikes - 1) as f64;
            let strike = forward * (deviations * level * years.sqrt()).exp();
            let kind = if strike > forward { Call } else { Put };
            let price = contour(heston, forward, strike, *years, kind).unwrap();
            own.vol.push(implied_vol(price, forward, strike, *years, kind).unwrap());
            own.strike.push(strike);
        }
        own
    };
    years.iter().map(of).collect()
}

const YEARS: [f64; 6] = [0.05, 0.15, 0.35, 0.75, 1.5, 2.5];
const INDEX: Heston =
    Heston { variance: 0.03, reversion: 2.0, mean: 0.05, vol_of_variance: 0.6, correlation: -0.7 };

fn as_array(heston: &Heston) -> [f64; 5] {
    let Heston { variance, reversion, mean, vol_of_variance, correlation } = *heston;
    [variance, reversion, mean, vol_of_variance, correlation]
}

fn of_array(numbers: [f64; 5]) -> Heston {
    let [variance, reversion, mean, vol_of_variance, correlation] = numbers;
    Heston { variance, reversion, mean, vol_of_variance, correlation }
}

/// What an equity surface may have.
fn models() -> impl Strategy<Value = Heston> {
    (0.01..0.25f64, 0.5..6.0f64, 0.02..0.25f64, 0.2..1.2f64, -0.9..0.3f64)
        .prop_map(|(a, b, c, d, e)| of_array([a, b, c, d, e]))
}

fn puts(heston: &Heston, years: f64, log_strike: &[f64]) -> Option<[Vec<f64>; WITH_SLOPES]> {
    let mut series = Series::<WITH_SLOPES>::new();
    series.fill(heston, years, MOMENTS).ok()?;
    let mut out: [Vec<f64>; WITH_SLOPES] = std::array::from_fn(|_| vec![0.0; log_strike.len()]);
    series.puts(log_strike, out.each_mut().map(Vec::as_mut_slice));
    Some(out)
}

proptest! {
    #[test]
    fn slopes_are_finite_differences(heston in models(), years in 0.05..3.0f64) {
        let log_strike: Vec<f64> =
            (-4..=4).map(|index| 0.5 * f64::from(index) * (heston.mean * years).sqrt()).collect();
        let Some(exact) = puts(&heston, years, &log_strike) else { return Ok(()) };
        for parameter in 0..5 {
            let moved = |steps: f64| {
                let mut numbers = as_array(&heston);
                numbers[parameter] += steps * 1e-3 * numbers[parameter].abs().max(0.05);
                let found = puts(&of_array(numbers), years, &log_strike).unwrap();
                (numbers[parameter], found[0].clone())
            };
            // Five points: the error is the fifth derivative's.
            let [(_, a), (at_b, b), (at_c, c), (_, d)] = [-2.0, -1.0, 1.0, 2.0].map(moved);
            let step = 0.5 * (at_c - at_b);
            for lane in 0..log_strike.len() {
                let slope = (8.0 * (c[lane] - b[lane]) - (d[lane] - a[lane])) / (12.0 * step);
                let found = exact[1 + parameter][lane];
                let off = (found - slope).abs();
                prop_assert!(off <= 2e-7 * (1.0 + found.abs()), "{parameter} {found} {slope}");
            }
        }
    }

    #[test]
    fn garbage_never_panics(
        numbers in prop::collection::vec(
            prop_oneof![
                any::<f64>(), Just(f64::NAN), Just(0.0), -1.0..1.0f64, 0.05..0.5f64, 50.0..200.0f64,
            ],
            30..60,
        ),
        years in prop_oneof![any::<f64>(), Just(0.0), 0.01..2.0f64],
        forward in prop_oneof![any::<f64>(), Just(-1.0), Just(100.0)],
        start in prop::option::of(models()),
    ) {
        let third = numbers.len() / 3;
        let quotes = |years: f64, forward: f64| Quotes {
            forward,
            years,
            strike: numbers[..third].to_vec(),
            vol: numbers[third..2 * third].to_vec(),
            half_width: numbers[2 * third..3 * third].to_vec(),
        };
        let settings = HestonSettings { max_steps: 5, min_quotes: 0, start };
        let all = [quotes(years, forward), quotes(0.5, 100.0), quotes(1.0, forward)];
        if let Ok(found) = fit(&all, &settings) {
            prop_assert_eq!(found.quotes + found.refused.len(), 3 * third);
            prop_assert!(found.rms_vol.is_finite() && found.rms_half_widths.is_finite());
            prop_assert!(found.heston.check(1.0, 1.0).is_ok());
        }
    }
}

#[test]
fn known_parameters_are_found_again() {
    let (sets, strikes) = if cfg!(debug_assertions) { (4, 9) } else { (150, 15) };
    let mut draw = 7u64;
    let mut uniform = |low: f64, high: f64| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (high - low) * (draw >> 11) as f64 / (1u64 << 53) as f64
    };
    for set in 0..sets {
        let heston = Heston {
            variance: uniform(0.01, 0.2),
            reversion: uniform(0.5, 6.0),
            mean: uniform(0.02, 0.2),
            vol_of_variance: uniform(0.2, 1.2),
            correlation: uniform(-0.9, 0.3),
        };
        let quotes = surface(&heston, &YEARS, strikes);
        let found = fit(&quotes, &HestonSettings::default()).unwrap();
        assert_eq!(found.verdict, Verdict::Converged, "{set} {heston:?} {found:?}");
        for (own, exact) in as_array(&found.heston).iter().zip(as_array(&heston)) {
            assert!(
                (own - exact).abs() <= 1e-6 * exact.abs().max(0.1),
                "{set} {heston:?} {found:?}"
            );
        }
        assert!(found.rms_half_widths < 1e-6 && found.rms_vol < 1e-8, "{found:?}");
        assert_eq!(found.satisfies_feller, heston.satisfies_feller());
        assert_eq!((found.quotes, found.refused.len()), (6 * strikes, 0));
    }
}

/// The errors over their standard errors must have a root mean square of one: with 5 x 40 of them
/// (correlated within a fit) it is known to about a tenth.
#[test]
fn noise_moves_parameters_by_their_standard_errors() {
    let clean = surface(&INDEX, &YEARS, 11);
    let mut draw = 11u64;
    let mut uniform = || {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut squares = [0.0; 5];
    let fits = 40;
    for _ in 0..fits {
        let mut noisy = clean.clone();
        for own in &mut noisy {
            for vol in &mut own.vol {
                // A sum of twelve uniforms is normal enough; half a half width of deviation.
                *vol += 0.001 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
            }
        }
        let found = fit(&noisy, &HestonSettings::default()).unwrap();
        assert_eq!(found.verdict, Verdict::Converged);
        assert!((0.35..0.65).contains(&found.rms_half_widths), "{found:?}");
        let errors = found.standard_errors.unwrap();
        let errors = [
            errors.variance,
            errors.reversion,
            errors.mean,
            errors.vol_of_variance,
            errors.correlation,
        ];
        let pairs = as_array(&found.heston).into_iter().zip(as_array(&INDEX));
        for ((square, (own, exact)), error) in squares.iter_mut().zip(pairs).zip(errors) {
            *square += ((own - exact) / error).powi(2);
        }
    }
    for square in squares {
        let size = (square / f64::from(fits)).sqrt();
        assert!((0.65..1.4).contains(&size), "{squares:?}");
    }
}

#[test]
fn the_size_of_the_residuals_in_vol_is_that_of_vols() {
    let mut quotes = surface(&INDEX, &YEARS[1..4], 9);
    let mut shift = 0.004;
    for vol in quotes.iter_mut().flat_map(|own| own.vol.iter_mut()) {
        *vol += shift;
        shift = -shift;
    }
    let found = fit(&quotes, &HestonSettings::default()).unwrap();
    let mut squares = 0.0;
    for own in &quotes {
        for (strike, vol) in own.strike.iter().zip(&own.vol) {
            let price = contour(&found.heston, own.forward, *strike, own.years, Call).unwrap();
            let model = implied_vol(price, own.forward, *strike, own.years, Call).unwrap();
            squares += (model - vol).powi(2);
        }
    }
    let size = (squares / found.quotes as f64).sqrt();
    assert!((found.rms_vol / size - 1.0).abs() < 0.05, "{size} {found:?}");
}

#[test]
fn the_same_quotes_give_the_same_bits_at_every_level() {
    let quotes = surface(&INDEX, &YEARS[..3], 9);
    let best = fit(&quotes, &HestonSettings::default()).unwrap();
    for level in Level::supported() {
        let found = at_level(level, || fit(&quotes, &HestonSettings::default())).unwrap().unwrap();
        let bits = |own: &Heston| as_array(own).map(f64::to_bits);
        assert_eq!(bits(&found.heston), bits(&best.heston), "{level:?}");
        assert_eq!(found.rms_vol.to_bits(), best.rms_vol.to_bits(), "{level:?}");
    }
}

#[test]
fn a_start_nearby_needs_fewer_steps_and_ends_at_the_same_place() {
    let quotes = surface(&INDEX, &YEARS, 9);
    let cold = fit(&quotes, &HestonSettings::default()).unwrap();
    let start = Some(Heston { variance: 0.031, correlation: -0.69, ..INDEX });
    let warm = fit(&quotes, &HestonSettings { start, ..HestonSettings::default() }).unwrap();
    assert!(warm.steps < cold.steps, "{warm:?} {cold:?}");
    for (own, other) in as_array(&warm.heston).iter().zip(as_array(&cold.heston)) {
        assert!((own - other).abs() <= 1e-6, "{warm:?} {cold:?}");
    }
    let stopped = fit(&quotes, &HestonSettings { max_steps: 1, ..HestonSettings::default() });
    assert_eq!(stopped.unwrap().verdict, Verdict::StepLimit);
}

#[test]
fn one_expiry_leaves_parameters_open_and_says_so() {
    let mut flat = surface(&INDEX, &[0.5], 9);
    flat[0].vol.fill(0.2);
    let found = fit(&flat, &HestonSettings::default()).unwrap();
    assert!(found.rms_vol < 1e-3, "{found:?}");
    let vague = found.standard_errors.is_none_or(|errors| errors.reversion > 0.01);
    assert!(vague, "{found:?}");
}

#[test]
fn refusals_name_their_quote() {
    let mut quotes = surface(&INDEX, &YEARS[1..4], 9);
    quotes[0].vol[0] = f64::NAN;
    quotes[0].half_width[1] = 0.0;
    quotes[1].strike[2] = -5.0;
    quotes[1].vol[3] = 7.0;
    quotes[1].strike[8] = 40_000.0;
    let mut expired = quotes[2].clone();
    expired.years = 0.0;
    quotes.push(expired);
    let found = fit(&quotes, &HestonSettings::default()).unwrap();
    let mut expected = vec![
        (0, 0, QuoteRefusal::NotFinite),
        (0, 1, QuoteRefusal::NotPositive),
        (1, 2, QuoteRefusal::NotPositive),
        (1, 3, QuoteRefusal::TooExtreme),
        (1, 8, QuoteRefusal::WorthTooLittle),
    ];
    expected.extend((0..9).map(|lane| (3, lane, QuoteRefusal::Expiry)));
    let refused: Vec<_> =
        found.refused.iter().map(|own| (own.expiry, own.lane, own.reason)).collect();
    assert_eq!(refused, expected);
    assert_eq!(found.quotes, 22);
    for (own, exact) in as_array(&found.heston).iter().zip(as_array(&INDEX)) {
        assert!((own - exact).abs() <= 1e-6, "{found:?}");
    }

    let few = fit(&quotes[..1], &HestonSettings::default());
    assert_eq!(few, Err(NotCalibrated::NotEnoughQuotes { usable: 7, needed: 8 }));
    quotes[1].vol.pop();
    let mismatch = fit(&quotes, &HestonSettings::default());
    assert_eq!(mismatch, Err(NotCalibrated::LengthMismatch { expiry: 1 }));
    let many: Vec<Quotes> = std::iter::repeat_n(quotes[0].clone(), 257).collect();
    assert_eq!(fit(&many, &HestonSettings::default()), Err(NotCalibrated::TooMany));
    let start = Some(Heston { variance: -1.0, ..INDEX });
    let bad = fit(&quotes[2..3], &HestonSettings { start, ..HestonSettings::default() });
    assert!(matches!(bad, Err(NotCalibrated::Start(_))), "{bad:?}");
}
