//! The normal quantile as a lane function, relative error about 1e-15.
//!
//! Exists because evenly drawn points become paths through it, and because it must have the same
//! bits everywhere. Coefficients: M. J. Wichura, algorithm AS 241 (PPND16), Applied Statistics 37,
//! 1988.

use crate::lanes::elementary::ln;

const CENTRE_TOP: [f64; 8] = [
    3.387_132_872_796_366_5,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];
const CENTRE_BOTTOM: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_545,
];
const TAIL_TOP: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];
const TAIL_BOTTOM: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_TOP: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    0.001_242_660_947_388_078_4,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_BOTTOM: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

#[inline(always)]
fn horner(coefficients: &[f64; 8], x: f64) -> f64 {
    let mut sum = coefficients[7];
    let mut index = 7;
    while index > 0 {
        index -= 1;
        sum = sum.mul_add(x, coefficients[index]);
    }
    sum
}

/// The z with N(z) = p for p from 1e-11 to 1 - 1e-11: what 32 digits can say.
#[inline(always)]
#[must_use]
pub fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    let r = (-q).mul_add(q, 0.180_625);
    let smaller = if q < 0.0 { p } else { 1.0 - p };
    let t = (-ln(smaller)).sqrt() - 1.6;
    let is_centre = r >= 0.0;
    let x = if is_centre { r } else { t };
    // Selecting coefficients costs less than a second rational function.
    let pick = |centre: &[f64; 8], tail: &[f64; 8]| {
        let at = |index: usize| if is_centre { centre[index] } else { tail[index] };
        let mut sum = at(7);
        let mut index = 7;
        while index > 0 {
            index -= 1;
            sum = sum.mul_add(x, at(index));
        }
        sum
    };
    let ratio = pick(&CENTRE_TOP, &TAIL_TOP) / pick(&CENTRE_BOTTOM, &TAIL_BOTTOM);
    let tail = if q < 0.0 { -ratio } else { ratio };
    if is_centre { q * ratio } else { tail }
}

/// The same for every p in (0, 1), subnormal ones included.
#[inline(always)]
#[must_use]
pub fn quantile_of_any(p: f64) -> f64 {
    let smaller = if p < 0.5 { p } else { 1.0 - p };
    let t = (-ln(smaller)).sqrt();
    let far = horner(&FAR_TOP, t - 5.0) / horner(&FAR_BOTTOM, t - 5.0);
    let far = if p < 0.5 { -far } else { far };
    if t > 5.0 { far } else { quantile(p) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::scalar::{normal_cdf, normal_density};

    #[test]
    fn the_cdf_leads_back() {
        for index in -3700..=3700 {
            let z = f64::from(index) * 0.01;
            let size = -z.abs();
            let p = normal_cdf(size);
            let found = quantile_of_any(p);
            // What rounding of p alone does to z.
            let attainable = f64::EPSILON * p / normal_density(size);
            assert!((found - size).abs() <= 4.0 * attainable + 2e-15 * size.abs(), "{z} {found}");
            if p > 2e-11 {
                assert_eq!(quantile(p), found);
                assert!((quantile(1.0 - p) + found).abs() < 1e-5 + 1e-16 / p);
            }
        }
    }
}
