//! Sobol's sequence in base 2 with Owen's nested scrambling by hashing.
//!
//! Exists because paths drawn evenly need far fewer of them. A point is a pure function of
//! (seed, dimension, index), so neither batches nor lanes nor the number of paths can change it.
//! Scrambling permutes each digit by all digits above it (Laine, Karras 2011 with the constants of
//! Vegdahl 2021, as Burley, JCGT 9, 2020 does it), which keeps every net property and makes
//! independent
//! seeds independent estimates. Turning points into paths is left to `paths`.

use super::directions::DIRECTIONS;

/// Dimensions there are numbers for.
pub const DIMENSIONS_MAX: usize = DIRECTIONS.len() + 1;
/// Digits, so at most 2^32 points.
pub(super) const DIGITS: usize = 32;

/// The direction numbers of one dimension, reversed: digit 0 of a point is its highest.
#[must_use]
pub(super) fn reversed_directions(dimension: usize) -> [u32; DIGITS] {
    let mut numbers = [0u32; DIGITS];
    if dimension == 0 {
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = 1 << index;
        }
        return numbers;
    }
    let (coefficients, initial) = DIRECTIONS[dimension - 1];
    let degree = initial.len();
    let mut plain = [0u32; DIGITS];
    for (index, first) in initial.iter().enumerate() {
        plain[index] = first << (DIGITS - 1 - index);
    }
    for index in degree..DIGITS {
        let mut number = plain[index - degree] ^ (plain[index - degree] >> degree);
        for bit in 1..degree {
            if (coefficients >> (degree - 1 - bit)) & 1 == 1 {
                number ^= plain[index - bit];
            }
        }
        plain[index] = number;
    }
    plain.map(u32::reverse_bits)
}

/// A good hash of a seed and a number (the finaliser of splitmix64, Steele et al. 2014).
#[must_use]
pub(super) fn mixed(seed: u64, number: u64) -> u64 {
    let mut state = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Owen's scrambling of a point whose digits are reversed: each bit is flipped by lower bits only.
#[inline(always)]
#[must_use]
pub(super) fn scrambled(reversed: u32, seed: u32) -> u32 {
    let mut x = reversed ^ reversed.wrapping_mul(0x3d20_adea);
    x = x.wrapping_add(seed);
    x = x.wrapping_mul((seed >> 16) | 1);
    x ^= x.wrapping_mul(0x0552_6c56);
    x ^= x.wrapping_mul(0x53a2_2864);
    x
}

/// Highest digits back in front, in (0, 1), never its ends.
#[inline(always)]
#[must_use]
pub(super) fn unit(reversed: u32) -> f64 {
    let x = reversed.reverse_bits();
    (f64::from(x) + 0.5) * (1.0 / 4_294_967_296.0)
}

/// The point `index` of one dimension, scrambled by `seed`, in (0, 1).
#[must_use]
pub fn point(dimension: usize, index: u32, seed: u64) -> f64 {
    let directions = reversed_directions(dimension.min(DIMENSIONS_MAX - 1));
    let mut reversed = 0;
    for (digit, direction) in directions.iter().enumerate() {
        if (index >> digit) & 1 == 1 {
            reversed ^= direction;
        }
    }
    unit(scrambled(reversed, mixed(seed, dimension as u64) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_points_are_those_of_joe_and_kuo() {
        // Their example of three dimensions, points 1, 2 and 3 in the order of plain binary.
        let plain = |dimension: usize, index: u32| {
            let directions = reversed_directions(dimension);
            let digits = (0..DIGITS).filter(|digit| (index >> digit) & 1 == 1);
            let reversed = digits.fold(0, |sum, digit| sum ^ directions[digit]);
            f64::from(reversed.reverse_bits()) / 4_294_967_296.0
        };
        let point = |index| [plain(0, index), plain(1, index), plain(2, index)];
        assert_eq!(point(1), [0.5, 0.5, 0.5]);
        assert_eq!(point(2), [0.25, 0.75, 0.75]);
        assert_eq!(point(3), [0.75, 0.25, 0.25]);
        assert_eq!(point(4), [0.125, 0.625, 0.375]);
    }

    #[test]
    fn every_scrambled_dimension_stays_stratified() {
        for dimension in 0..DIMENSIONS_MAX {
            for seed in [1, 7] {
                let mut seen = [false; 256];
                for index in 0..256 {
                    seen[(point(dimension, index, seed) * 256.0) as usize] = true;
                }
                assert!(seen.iter().all(|cell| *cell), "dimension {dimension}");
            }
        }
    }

    #[test]
    fn pairs_of_the_first_dimensions_stay_a_net() {
        // Dimensions 0 and 1 are a (0, 2)-sequence: every elementary interval holds one point.
        for shape in 0..=8u32 {
            let mut seen = [false; 256];
            for index in 0..256 {
                let x = (point(0, index, 3) * f64::from(1u32 << shape)) as usize;
                let y = (point(1, index, 3) * f64::from(1u32 << (8 - shape))) as usize;
                seen[(x << (8 - shape)) + y] = true;
            }
            assert!(seen.iter().all(|cell| *cell), "shape {shape}");
        }
    }
}
