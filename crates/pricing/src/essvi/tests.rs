//! The surface: closed forms against differences, recovery, and no arbitrage whatever the quotes.

use super::domain::{Map, OWN};
use super::*;
use crate::arbitrage::{Grid, prove};
use proptest::prelude::*;

fn slice(theta: f64, rho: f64, psi: f64) -> Slice {
    Slice { theta, rho, psi }
}

/// Twelve expiries that look like an index: steep and short to flat and long.
pub(crate) fn index_surface() -> (Vec<f64>, Vec<Slice>) {
    let years: Vec<f64> = [1, 2, 3, 5, 8, 13, 26, 39, 52, 78, 104, 130]
        .iter()
        .map(|weeks| f64::from(*weeks) / 52.0)
        .collect();
    let slices = years.iter().map(|&own| {
        let vol = 0.13 + 0.05 * own.sqrt().min(1.0);
        slice(vol * vol * own, -0.55 - 0.05 * own.min(1.0), 0.2 * own.sqrt() / (1.0 + 0.3 * own))
    });
    (years.clone(), slices.collect())
}

struct Quotes {
    years: Vec<f64>,
    columns: Vec<[Vec<f64>; 3]>,
}

impl Quotes {
    /// `count` strikes per expiry within four deviations; vols moved by `noise(expiry, lane)`.
    fn of(surface: &Surface, count: usize, noise: impl Fn(usize, usize) -> f64) -> Self {
        let years = surface.years().to_vec();
        let columns = years.iter().zip(surface.slices()).enumerate().map(|(at, (own, slice))| {
            let k: Vec<f64> = (0..count)
                .map(|lane| slice.theta.sqrt() * (5.5 * lane as f64 / (count - 1) as f64 - 3.5))
                .collect();
            let vol = |(lane, k): (usize, &f64)| {
                (slice.total_variance(*k) / own).sqrt() + noise(at, lane)
            };
            [k.clone(), k.iter().enumerate().map(vol).collect(), vec![0.002; count]]
        });
        Self { years: years.clone(), columns: columns.collect() }
    }

    fn slices(&self) -> Vec<SliceQuotes<'_>> {
        let both = self.years.iter().zip(&self.columns).enumerate();
        both.map(|(at, (&years, [k, vol, half]))| SliceQuotes {
            key: at as i64,
            years,
            log_moneyness: k,
            vol,
            half_width: half,
        })
        .collect()
    }
}

fn worst_vol_error(fitted: &Fitted, truth: &Surface, quotes: &Quotes) -> f64 {
    let mut worst: f64 = 0.0;
    for (report, [k, ..]) in fitted.slices.iter().zip(&quotes.columns) {
        let years = quotes.years[report.expiry];
        for &k in k {
            worst = worst.max((fitted.surface.vol(k, years) - truth.vol(k, years)).abs());
        }
    }
    worst
}

#[test]
fn derivatives_are_those_of_the_formula() {
    let own = slice(0.04, -0.6, 0.3);
    let h = 1e-5;
    for k in [-0.8, -0.1, 0.0, 0.05, 0.7] {
        let curve = own.curve(k);
        let (up, down) = (own.curve(k + h), own.curve(k - h));
        assert!((curve.value - own.total_variance(k)).abs() < 1e-15);
        assert!((curve.slope - (up.value - down.value) / (2.0 * h)).abs() < 1e-8);
        assert!((curve.curvature - (up.slope - down.slope) / (2.0 * h)).abs() < 1e-6);
        let (value, by) = own.gradient(k);
        assert!((value - curve.value).abs() < 1e-15);
        for (at, by) in by.into_iter().enumerate() {
            let moved = |step: f64| {
                let mut slice = own;
                *[&mut slice.theta, &mut slice.rho, &mut slice.psi][at] += step;
                slice.total_variance(k)
            };
            let slope = (moved(1e-7) - moved(-1e-7)) / 2e-7;
            assert!((by - slope).abs() < 1e-6, "{k} {at}: {by} {slope}");
        }
    }
}

#[test]
fn the_box_maps_to_surfaces_and_its_derivatives_are_right() {
    let (_, mut slices) = index_surface();
    let mut map = Map::default();
    assert!(map.start_at(&slices), "a surface without arbitrage is in the box");
    for (own, wanted) in map.slices.iter().zip(&slices) {
        assert!((own.psi / wanted.psi - 1.0).abs() < 1e-6);
        assert!((own.theta / wanted.theta - 1.0).abs() < 1e-9);
    }
    // Away from the kinks, where neighbours have the same rho.
    for (index, own) in slices.iter_mut().enumerate() {
        own.rho += [0.0, 0.004, -0.003][index % 3];
    }
    map.start_at(&slices);
    map.update();
    let width = map.point.len();
    for coordinate in 0..width {
        let step = 1e-6 * map.point[coordinate].abs().max(1e-3);
        let at = |sign: f64| {
            let mut moved = map.clone();
            moved.point[coordinate] += sign * step;
            moved.update();
            moved.slices
        };
        let (up, down) = (at(1.0), at(-1.0));
        for index in 0..width / OWN {
            let theta = (up[index].theta - down[index].theta) / (2.0 * step);
            let psi = (up[index].psi - down[index].psi) / (2.0 * step);
            let (by_theta, by_psi) =
                (map.by_theta[index * width + coordinate], map.by_psi[index * width + coordinate]);
            assert!((theta - by_theta).abs() < 1e-4 * (1.0 + by_theta.abs()));
            assert!((psi - by_psi).abs() < 1e-4 * (1.0 + by_psi.abs()), "{index} {coordinate}");
        }
    }
}

#[test]
fn a_surface_is_recovered_from_its_own_vols_cold_and_warm() {
    let (years, slices) = index_surface();
    let truth = Surface::new(years, slices).unwrap();
    let quotes = Quotes::of(&truth, 40, |_, _| 0.0);
    let mut calibrator = Calibrator::new(CalibrationSettings::default());
    let cold = calibrator.fit(&quotes.slices()).unwrap();
    assert!(worst_vol_error(&cold, &truth, &quotes) < 1e-5, "{cold:?}");
    let warm = calibrator.fit(&quotes.slices()).unwrap();
    assert!(worst_vol_error(&warm, &truth, &quotes) < 1e-5);
    assert!(warm.steps < cold.steps);
}

#[test]
fn a_tenth_of_the_quotes_gone_mad_moves_the_surface_by_less_than_a_spread() {
    let (years, slices) = index_surface();
    let truth = Surface::new(years, slices).unwrap();
    let quotes = Quotes::of(&truth, 40, |expiry, lane| match (3 * expiry + lane) % 10 {
        0 => 0.3,
        odd if odd % 2 == 1 => 0.0005,
        _ => -0.0005,
    });
    let fitted = Calibrator::new(CalibrationSettings::default()).fit(&quotes.slices()).unwrap();
    let worst = worst_vol_error(&fitted, &truth, &quotes);
    assert!(worst < 0.002, "{worst} {:?}", fitted.slices);
}

#[test]
fn crossed_expiries_are_fitted_without_arbitrage_and_close() {
    // The second expiry is quoted with less total variance than the first.
    let truth =
        Surface::new(vec![0.1, 0.2], vec![slice(0.004, -0.5, 0.08), slice(0.0042, -0.5, 0.08)])
            .unwrap();
    let quotes = Quotes::of(&truth, 40, |expiry, _| if expiry == 1 { -0.01 } else { 0.0 });
    let fitted = Calibrator::new(CalibrationSettings::default()).fit(&quotes.slices()).unwrap();
    assert!(fitted.constrained);
    let [near, far] = fitted.surface.slices() else { panic!("two expiries") };
    assert!(far.is_above(near));
    assert!(worst_vol_error(&fitted, &truth, &quotes) < 0.02);
}

#[test]
fn what_allows_arbitrage_is_refused_with_its_place() {
    let good = slice(0.04, -0.5, 0.3);
    let of = |years: &[f64], slices: &[Slice]| Surface::new(years.to_vec(), slices.to_vec());
    assert_eq!(of(&[], &[]), Err(NoSurface::Empty));
    assert_eq!(of(&[0.5, 0.5], &[good, good]), Err(NoSurface::BadYears { index: 1 }));
    assert_eq!(of(&[f64::NAN], &[good]), Err(NoSurface::BadYears { index: 0 }));
    assert_eq!(of(&[0.5], &[slice(0.04, 1.0, 0.3)]), Err(NoSurface::BadSlice { index: 0 }));
    assert_eq!(of(&[0.5], &[slice(0.01, -0.5, 0.5)]), Err(NoSurface::Butterfly { index: 0 }));
    let later = slice(0.039, -0.5, 0.3);
    assert_eq!(of(&[0.5, 1.0], &[good, later]), Err(NoSurface::Calendar { index: 1 }));
    let turned = slice(0.041, 0.3, 0.3);
    assert_eq!(of(&[0.5, 1.0], &[good, turned]), Err(NoSurface::Calendar { index: 1 }));
    // The grid finds both by itself.
    let unchecked = |slices: &[Slice]| Surface { years: vec![0.5, 1.0], slices: slices.to_vec() };
    let bent = slice(0.0400001, -0.9, 1.9);
    assert!(matches!(
        prove(&unchecked(&[bent, bent]), Grid::default()),
        Err(NoSurface::NegativeDensity { index: 0, .. })
    ));
    assert!(matches!(
        prove(&unchecked(&[good, turned]), Grid::default()),
        Err(NoSurface::FallingVariance { index: 1, .. })
    ));
}

#[test]
fn between_and_beyond_the_expiries_nothing_can_be_gained() {
    let (years, slices) = index_surface();
    let surface = Surface::new(years, slices).unwrap();
    let times: Vec<f64> = (1..150).map(|at| 0.02 * f64::from(at)).collect();
    let sampled = times.iter().map(|&own| surface.slice_at(own)).collect();
    let dense = Surface::new(times, sampled).unwrap();
    let report = prove(&dense, Grid::default()).unwrap();
    assert!(report.density_least > 0.0 && report.rise_least >= 0.0);
    assert!((surface.vol(-0.1, 0.001) - surface.vol(-0.1, 1.0 / 52.0)).abs() < 1e-12);
    assert!(surface.forward_variance(0.0, 0.4) > 0.0);
    assert!(surface.forward_variance(2.6, 3.0) > 0.0);
}

#[test]
fn too_few_quotes_leave_an_expiry_out_and_none_at_all_is_refused() {
    let mut calibrator = Calibrator::new(CalibrationSettings::default());
    assert_eq!(calibrator.fit(&[]), Err(NoSurface::Empty));
    let columns = [[-0.1, 0.0, 0.1], [0.2, f64::NAN, 0.2], [0.001; 3]];
    let thin = SliceQuotes {
        key: 1,
        years: 0.5,
        log_moneyness: &columns[0],
        vol: &columns[1],
        half_width: &columns[2],
    };
    assert_eq!(calibrator.fit(&[thin]), Err(NoSurface::Empty));
    let short = SliceQuotes { half_width: &columns[2][..2], ..thin };
    assert_eq!(calibrator.fit(&[short]), Err(NoSurface::LengthMismatch { index: 0 }));
    assert_eq!(calibrator.fit(&[thin, thin]), Err(NoSurface::BadYears { index: 1 }));
}

fn wild() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.05..1.5f64,
        1 => any::<f64>(),
        1 => Just(0.0),
        1 => Just(f64::NAN),
        1 => 1e-6..50.0f64,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_quotes_make_arbitrage_or_a_panic(
        rows in proptest::collection::vec(
            proptest::collection::vec((-1.0..1.0f64, wild(), wild()), 0..24), 1..7),
        steps in proptest::collection::vec(1e-3..1.0f64, 7),
    ) {
        let mut years = 0.0;
        let mut quotes = Quotes { years: vec![], columns: vec![] };
        for (row, step) in rows.iter().zip(steps) {
            years += step;
            quotes.years.push(years);
            let column = |at: usize| row.iter().map(|own| [own.0, own.1, own.2][at]).collect();
            quotes.columns.push([column(0), column(1), column(2)]);
        }
        let mut calibrator = Calibrator::new(CalibrationSettings::default());
        let cold = calibrator.fit(&quotes.slices());
        for fitted in [cold.clone(), calibrator.fit(&quotes.slices())] {
            match fitted {
                // A fit has passed `Surface::new` and `prove`; a finer grid agrees.
                Ok(fitted) => {
                    let grid = Grid { points: 301, reach: 15.0 };
                    prop_assert!(prove(&fitted.surface, grid).is_ok());
                }
                Err(refusal) => prop_assert!(
                    matches!(refusal, NoSurface::Empty), "{refusal}"
                ),
            }
        }
        // The order of quotes does not matter, to the bit.
        for columns in &mut quotes.columns {
            columns.iter_mut().for_each(|column| column.reverse());
        }
        let turned = Calibrator::new(CalibrationSettings::default()).fit(&quotes.slices());
        prop_assert_eq!(cold.map(|own| own.surface), turned.map(|own| own.surface));
    }
}
