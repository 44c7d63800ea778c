//! The lane functions against sixty-digit values, and every level, position and split against each
//! other by bits.

use super::*;
use proptest::prelude::*;

type OnSlices = fn(&[f64], &mut [f64]);
type OnOne = fn(f64) -> f64;

const FUNCTIONS: [(&str, OnSlices, OnOne, u64); 6] = [
    ("exp", slices::exp, scalar::exp, 1),
    ("ln", slices::ln, scalar::ln, 1),
    ("normal_cdf", slices::normal_cdf, scalar::normal_cdf, 4),
    ("normal_density", slices::normal_density, scalar::normal_density, 2),
    ("erfc", slices::erfc, scalar::erfc, 4),
    ("erfcx", slices::erfcx, scalar::erfcx, 4),
];

/// Representable numbers between two of one sign.
fn ulps_between(a: f64, b: f64) -> u64 {
    a.to_bits().abs_diff(b.to_bits())
}

#[test]
fn every_function_is_within_its_ulps_of_sixty_digit_values_at_every_level() {
    let table = include_str!("../../tests/reference/elementary_mpmath.csv");
    let rows = || table.lines().filter(|line| !line.starts_with('#')).skip(1);
    assert_eq!(rows().count(), 685);
    for (name, on_slices, on_one, allowed) in FUNCTIONS {
        let (mut x, mut exact) = (Vec::new(), Vec::new());
        for row in rows() {
            let fields: Vec<&str> = row.split(',').collect();
            if fields[0] == name {
                x.push(fields[1].parse::<f64>().unwrap());
                exact.push(fields[2].parse::<f64>().unwrap());
            }
        }
        let mut out = vec![0.0; x.len()];
        for level in Level::supported() {
            at_level(level, || on_slices(&x, &mut out)).unwrap();
            for (lane, (&value, &exact)) in out.iter().zip(&exact).enumerate() {
                let off = ulps_between(value, exact);
                assert!(off <= allowed, "{name}({}) = {value:e}, {off} ulp off {exact:e}", x[lane]);
                assert_eq!(on_one(x[lane]).to_bits(), value.to_bits(), "{name}({})", x[lane]);
            }
        }
    }
}

#[test]
fn limits_are_exact() {
    let inf = f64::INFINITY;
    for (function, x, limit) in [
        (scalar::exp as OnOne, 0.0, 1.0),
        (scalar::exp, -inf, 0.0),
        (scalar::exp, inf, inf),
        (scalar::exp, 709.79, inf),
        (scalar::ln, 1.0, 0.0),
        (scalar::ln, 0.0, -inf),
        (scalar::ln, inf, inf),
        (scalar::normal_cdf, -inf, 0.0),
        (scalar::normal_cdf, 0.0, 0.5),
        (scalar::normal_cdf, inf, 1.0),
        (scalar::normal_density, inf, 0.0),
        (scalar::erfc, inf, 0.0),
        (scalar::erfc, -inf, 2.0),
        (scalar::erfcx, 0.0, 1.0),
        (scalar::erfcx, -inf, inf),
    ] {
        assert_eq!(function(x), limit, "at {x}");
    }
    assert!(scalar::ln(-1.0).is_nan() && scalar::exp(f64::NAN).is_nan());
    assert!(scalar::normal_cdf(f64::NAN).is_nan() && scalar::erfcx(f64::NAN).is_nan());
}

#[test]
fn a_forced_level_ends_with_its_scope() {
    struct Nested;
    impl Kernel for Nested {
        type Output = u32;
        #[inline(always)]
        fn run(self) -> u32 {
            7
        }
    }
    let answers = at_level(Level::Portable, || (dispatch(Nested), scalar::exp(1.0))).unwrap();
    assert_eq!(answers.0, dispatch(Nested));
    assert_eq!(answers.1.to_bits(), scalar::exp(1.0).to_bits());
    for level in [Level::Avx2, Level::Avx512] {
        let forced = at_level(level, || ());
        assert_eq!(forced.is_ok(), level.is_supported());
    }
}

fn any_bits() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), -50.0..50.0f64, 0.5..2.0f64]
}

proptest! {
    #[test]
    fn bits_depend_on_neither_level_nor_position_nor_split(
        x in prop::collection::vec(any_bits(), 0..40), cut in 0usize..40, turn in 0usize..40,
    ) {
        let cut = cut.min(x.len());
        for (name, on_slices, on_one, _) in FUNCTIONS {
            let expected: Vec<u64> = x.iter().map(|x| on_one(*x).to_bits()).collect();
            for level in Level::supported() {
                at_level(level, || {
                    let mut out = vec![0.0; x.len()];
                    let (head, tail) = out.split_at_mut(cut);
                    on_slices(&x[..cut], head);
                    on_slices(&x[cut..], tail);
                    let split: Vec<u64> = out.iter().map(|value| value.to_bits()).collect();
                    prop_assert_eq!(&split, &expected, "{} split at {:?}", name, level);
                    let mut turned = x.clone();
                    turned.rotate_left(turn % x.len().max(1));
                    on_slices(&turned, &mut out);
                    out.rotate_right(turn % x.len().max(1));
                    let back: Vec<u64> = out.iter().map(|value| value.to_bits()).collect();
                    prop_assert_eq!(&back, &expected, "{} turned at {:?}", name, level);
                    Ok(())
                }).unwrap()?;
            }
        }
    }

    #[test]
    fn ln_ratio_is_the_logarithm_also_close_to_one(b in 1e-90..1e90f64, shift in -40.0..1.0f64) {
        let a = b * (1.0 + f64::exp2(shift));
        let exact = libm::log1p((a - b) / b);
        prop_assert!((elementary::ln_ratio(a, b) / exact - 1.0).abs() < 1e-15);
        prop_assert_eq!(elementary::ln_ratio(b, a), -elementary::ln_ratio(a, b));
    }
}
