//! exp and ln as lane functions: no branch, no table, below one unit in the last place.
//!
//! Exists because the platform's functions differ between machines and don't vectorise. Arguments
//! are reduced by powers of two, and what is left goes through a minimax polynomial (Remez by
//! reweighted least squares in 60 digits; its error is given beside it). The rules that make the
//! bits the same everywhere are in `lanes`.

use std::f64::consts::{LN_2, LOG2_E};

/// Adding it rounds to an integer, which then stands in the low bits of the sum.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// The same with the bias of an exponent already added.
const SHIFT_BIASED: f64 = SHIFT + 1023.0;
/// ln 2 less its f64.
const LN_2_TAIL: f64 = 2.319_046_813_846_299_6e-17;
/// exp rounds to zero here, even as a subnormal.
const EXP_UNDERFLOWS: f64 = -746.0;
/// exp is infinite here.
const EXP_OVERFLOWS: f64 = 710.0;
/// Bits of the exponent and the sign.
const UPPER: u64 = 0xfff << 52;
/// 2^52 as bits: an integer below 2^52 put into its mantissa is that much more.
const TWO_52: u64 = 0x433 << 52;
/// 2^54, which makes every subnormal normal.
const TWO_54: f64 = 18_014_398_509_481_984.0;

/// e^x for every x, subnormal results included. Error below 0.8 ulp.
#[inline(always)]
#[must_use]
pub fn exp(x: f64) -> f64 {
    exp_of_sum(x, 0.0)
}

/// e^(x + tail) for a |tail| below an ulp or so of x (at most 1e-6): what rounding has cut off an
/// argument comes back in. Error below 0.8 ulp.
#[inline(always)]
#[must_use]
pub fn exp_of_sum(x: f64, tail: f64) -> f64 {
    let x = if x < EXP_UNDERFLOWS { EXP_UNDERFLOWS } else { x };
    let x = if x > EXP_OVERFLOWS { EXP_OVERFLOWS } else { x };
    let doublings = x.mul_add(LOG2_E, SHIFT) - SHIFT;
    let r = doublings.mul_add(-LN_2, x);
    let r = doublings.mul_add(-LN_2_TAIL, r) + tail;
    // (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2: 3.5e-18 of e^r.
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let q0 = 0.166_666_666_666_666_93f64.mul_add(r, 0.500_000_000_000_001_3);
    let q2 = 0.008_333_333_333_310_727f64.mul_add(r, 0.041_666_666_666_514_72);
    let q4 = 0.000_198_412_699_102_822_16f64.mul_add(r, 0.001_388_888_894_716_128_7);
    let q6 = 2.755_722_231_340_244_3e-6f64.mul_add(r, 2.480_148_981_524_009_8e-5);
    let q8 = 2.511_603_664_181_074e-8f64.mul_add(r, 2.763_131_991_927_968e-7);
    let low = q2.mul_add(r2, q0);
    let high = q8.mul_add(r4, q6.mul_add(r2, q4));
    let value = 1.0 + high.mul_add(r4, low).mul_add(r2, r);
    // Two scalings, so that neither leaves the normal range and a subnormal rounds only once.
    let half = doublings.mul_add(0.5, SHIFT_BIASED);
    let rest = (doublings - (half - SHIFT_BIASED)) + SHIFT_BIASED;
    value * f64::from_bits(half.to_bits() << 52) * f64::from_bits(rest.to_bits() << 52)
}

/// ln x: -inf at zero, NaN below it. Error below 0.6 ulp.
#[inline(always)]
#[must_use]
pub fn ln(x: f64) -> f64 {
    let (is_small, is_large) = (x < 1e-290, x > 1e290);
    let scaled = if is_small { x * TWO_54 } else { x };
    let scaled = if is_large { x * (1.0 / TWO_54) } else { scaled };
    let doublings = if is_small { -54.0 } else { 0.0 };
    let doublings = if is_large { 54.0 } else { doublings };
    let value = ln_ratio_scaled(scaled, 1.0, doublings);
    let value = if x > f64::MAX { f64::INFINITY } else { value };
    let value = if x > 0.0 { value } else { f64::NAN };
    if x == 0.0 { f64::NEG_INFINITY } else { value }
}

/// ln(a / b) for a and b from 1e-300 to 1e300, also relative to a result near zero: the quotient is
/// never formed. Error below 0.6 ulp.
#[inline(always)]
#[must_use]
pub fn ln_ratio(a: f64, b: f64) -> f64 {
    ln_ratio_scaled(a, b, 0.0)
}

/// ln(a / b) + doublings ln 2.
#[inline(always)]
fn ln_ratio_scaled(a: f64, b: f64, doublings: f64) -> f64 {
    // The difference of the bits is log2(a / b) up to 0.086; rounded (with a bias that keeps it
    // positive) it is the power of two that leaves a / b' within [0.66, 1.51].
    let difference = a.to_bits().wrapping_sub(b.to_bits()).wrapping_add((1 << 63) | (1 << 51));
    let biased = f64::from_bits((difference >> 52) | TWO_52);
    let doublings = (biased - (f64::from_bits(TWO_52) + 2048.0)) + doublings;
    let scaling = (difference & UPPER).wrapping_sub(1 << 63);
    let b = f64::from_bits(b.to_bits().wrapping_add(scaling));
    // s = (a - b) / (a + b), its difference exact (Sterbenz) and its rounding errors kept.
    let difference = a - b;
    let sum = a + b;
    let sum_tail = difference - (sum - 2.0 * b);
    let inverse = 1.0 / sum;
    let s = difference * inverse;
    let left = (-s).mul_add(sum_tail, (-s).mul_add(sum, difference));
    // ln(a / b) = 2 atanh s; 2 (atanh s / s - 1) / s^2 on |s| <= 0.201: 1.5e-19 of the result.
    let z = s * s;
    let (z2, z4) = (z * z, (z * z) * (z * z));
    let p0 = 0.400_000_000_000_601_1f64.mul_add(z, 0.666_666_666_666_665_9);
    let p2 = 0.222_222_243_855_687_55f64.mul_add(z, 0.285_714_285_550_221_9);
    let p4 = 0.153_912_799_476_032_84f64.mul_add(z, 0.181_816_606_422_352_47);
    let p6 = 0.138_616_137_958_590_23f64.mul_add(z, 0.131_708_177_706_768);
    let p = p6.mul_add(z2, p4).mul_add(z4, p2.mul_add(z2, p0));
    let small = (s * z).mul_add(p, 2.0 * (left * inverse));
    let near = 2.0f64.mul_add(s, doublings.mul_add(LN_2_TAIL, small));
    doublings.mul_add(LN_2, near)
}
