//! Black's formula lane by lane: prices and Greeks of checked numbers, vectorised.
//!
//! With low = min(F, K), distance h = |ln(F/K)| / s and half vol t = s / 2 of the total vol
//! s = vol sqrt(T), the out-of-the-money option is worth, undiscounted,
//!
//! - weight (R(h - t) - R(h + t)) where h >= t,
//! - low - weight (R(t - h) + R(t + h)) where h < t,
//!
//! with weight = low n(t - h) = F n(d1) and the Mills ratio R: one exponential serves price and
//! Greeks, and deep tails keep their relative accuracy (see `black`). Below
//! `SERIES_VOL`, where the two ratios cancel, their difference is taken by its Taylor series about
//! the midpoint. Refusals are left to `batch`.

use crate::lanes::elementary::{exp, ln, ln_ratio};
use crate::normal::{DENSITY_AT_ZERO, exp_minus_half_square_of_sum, mills_fraction};

/// Total vol below which the difference of Mills ratios is taken by its series, provided that
/// |ln(F/K)| is below `SERIES_MONEYNESS`: beyond, its recursion loses more than the difference.
const SERIES_VOL: f64 = 0.125;
const SERIES_MONEYNESS: f64 = 1.0;
/// Terms of it behind the first: the next is below 1e-16 of the sum.
const SERIES_TERMS: usize = 4;
/// A total vol of zero is replaced by this: with any distance at all nothing of it remains.
const TOTAL_VOL_MIN: f64 = 1e-200;
/// Forwards and strikes outside of this are refused: their products must stay in the range of f64.
pub(crate) const PRICE_RANGE: std::ops::RangeInclusive<f64> = 1e-80..=1e80;
/// Discount factors outside of this are refused.
pub(super) const DISCOUNT_RANGE: std::ops::RangeInclusive<f64> = 1e-300..=1e300;
/// Beyond this distance the weight is zero to the last bit.
const DISTANCE_MAX: f64 = 40.0;
/// 1 / 3!, 1 / 5!, ...
const INVERSE_ODD_FACTORIALS: [f64; 10] = {
    let mut inverse = [0.0; 10];
    let (mut term, mut factorial) = (0, 1.0);
    while term < 10 {
        factorial *= ((2 * term + 2) * (2 * term + 3)) as f64;
        inverse[term] = 1.0 / factorial;
        term += 1;
    }
    inverse
};

/// Checked inputs of up to N lanes. Lanes that are refused or padding hold ones.
pub(super) struct Terms<const N: usize> {
    /// Forward, or spot.
    pub underlying: [f64; N],
    /// Strike.
    pub strike: [f64; N],
    /// Years to expiry.
    pub years: [f64; N],
    /// Annual vol.
    pub vol: [f64; N],
    /// Discount factor with a forward, rate with a spot.
    pub discount_or_rate: [f64; N],
    /// Dividend yield with a spot.
    pub dividend_yield: [f64; N],
    /// +1 for calls, -1 for puts.
    pub sign: [f64; N],
}

/// Price and Greeks of up to N lanes, in the conventions of `black`.
pub(super) struct Values<const N: usize> {
    /// Price, delta, gamma, vega, theta, rho.
    pub first: [[f64; N]; 6],
    /// Vanna, volga, charm, speed, zomma, color.
    pub higher: [[f64; N]; 6],
    forward: [f64; N],
    growth: [f64; N],
    discount: [f64; N],
    root_years: [f64; N],
    per_forward: [f64; N],
    per_year: [f64; N],
    per_vol: [f64; N],
    total_vol: [f64; N],
    distance: [f64; N],
    near_tail: [f64; N],
    weight: [f64; N],
    time_value: [f64; N],
    delta: [f64; N],
}

impl<const N: usize> Terms<N> {
    pub(super) const fn of_ones() -> Self {
        Self {
            underlying: [1.0; N],
            strike: [1.0; N],
            years: [1.0; N],
            vol: [1.0; N],
            discount_or_rate: [1.0; N],
            dividend_yield: [1.0; N],
            sign: [1.0; N],
        }
    }

    /// Puts ones into a lane, which makes it harmless.
    pub(super) fn clear(&mut self, lane: usize) {
        for column in [
            &mut self.underlying,
            &mut self.strike,
            &mut self.years,
            &mut self.vol,
            &mut self.discount_or_rate,
            &mut self.dividend_yield,
            &mut self.sign,
        ] {
            column[lane] = 1.0;
        }
    }
}

impl<const N: usize> Values<N> {
    pub(super) const fn of_zeros() -> Self {
        Self {
            first: [[0.0; N]; 6],
            higher: [[0.0; N]; 6],
            forward: [0.0; N],
            growth: [0.0; N],
            discount: [0.0; N],
            root_years: [0.0; N],
            per_forward: [0.0; N],
            per_year: [0.0; N],
            per_vol: [0.0; N],
            total_vol: [0.0; N],
            distance: [0.0; N],
            near_tail: [0.0; N],
            weight: [0.0; N],
            time_value: [0.0; N],
            delta: [0.0; N],
        }
    }

    /// Whether a lane computed by `compute` is finite, and was at a forward and discount in range.
    pub(super) fn is_sound<const HIGHER: bool>(&self, lane: usize) -> bool {
        let columns = self.first.iter().chain(if HIGHER { &self.higher[..] } else { &[] });
        PRICE_RANGE.contains(&self.forward[lane])
            && DISCOUNT_RANGE.contains(&self.discount[lane])
            && columns.map(|column| column[lane]).all(f64::is_finite)
    }

    /// Computes the first `lanes` (a whole number of vectors) of `terms`; answers whether every
    /// lane is sound.
    #[inline(always)]
    pub(super) fn compute<const SPOT: bool, const HIGHER: bool>(
        &mut self,
        terms: &Terms<N>,
        lanes: usize,
    ) -> bool {
        let lanes = if lanes < N { lanes } else { N };
        self.financing::<SPOT>(terms, lanes);
        let needs_series = self.standardise(terms, lanes);
        self.direct(terms, lanes);
        if needs_series {
            self.series(lanes);
        }
        let mut finite = self.first_order::<SPOT>(terms, lanes);
        if HIGHER {
            finite &= self.higher_order::<SPOT>(terms, lanes);
        }
        finite
    }

    #[inline(always)]
    fn financing<const SPOT: bool>(&mut self, terms: &Terms<N>, lanes: usize) {
        for i in 0..lanes {
            if SPOT {
                let (rate, years) = (terms.discount_or_rate[i], terms.years[i]);
                self.discount[i] = exp(-rate * years);
                let growth = exp((rate - terms.dividend_yield[i]) * years);
                self.growth[i] = growth;
                self.forward[i] = terms.underlying[i] * growth;
            } else {
                self.discount[i] = terms.discount_or_rate[i];
                self.forward[i] = terms.underlying[i];
            }
        }
    }

    /// Total vol, distance and weight. A loop per chain of operations: short ones overlap in the
    /// processor, one long one does not. Answers whether some lane needs the series.
    #[inline(always)]
    fn standardise(&mut self, terms: &Terms<N>, lanes: usize) -> bool {
        for i in 0..lanes {
            self.distance[i] = ln_ratio(self.forward[i], terms.strike[i]).abs();
        }
        let mut small = 0_u64;
        for i in 0..lanes {
            let (forward, vol, years) = (self.forward[i], terms.vol[i], terms.years[i]);
            let root_years = years.sqrt();
            let total_vol = vol * root_years;
            let total_vol = if total_vol < TOTAL_VOL_MIN { TOTAL_VOL_MIN } else { total_vol };
            // One division for three reciprocals.
            let inverse = 1.0 / (forward * total_vol * years);
            let per_forward = total_vol * years * inverse;
            let per_year = forward * total_vol * inverse;
            let per_vol = forward * years * inverse;
            // What the root, the product, the quotient and the difference round off goes into the
            // exponential, where d1 would multiply it.
            let root_tail =
                (-root_years).mul_add(root_years, years) * (0.5 * root_years * per_year);
            let vol_tail = vol.mul_add(root_years, -total_vol) + vol * root_tail;
            let x = self.distance[i];
            let rough = x * per_vol;
            let correction = ((-rough).mul_add(total_vol, x) - rough * vol_tail) * per_vol;
            let distance = rough + correction;
            let distance_tail = (rough - distance) + correction;
            let half_vol = 0.5 * total_vol;
            let near = half_vol - distance;
            self.root_years[i] = root_years;
            self.per_forward[i] = per_forward;
            self.per_year[i] = per_year;
            self.per_vol[i] = per_vol;
            self.total_vol[i] = total_vol;
            self.distance[i] = distance;
            self.near_tail[i] = ((distance + near) - half_vol) + distance_tail;
            small |= u64::from(total_vol < SERIES_VOL);
        }
        for i in 0..lanes {
            let (forward, strike) = (self.forward[i], terms.strike[i]);
            let low = if forward < strike { forward } else { strike };
            let beyond = self.distance[i] - 0.5 * self.total_vol[i];
            let density = exp_minus_half_square_of_sum(beyond, self.near_tail[i]);
            self.weight[i] = low * (DENSITY_AT_ZERO * density);
        }
        small != 0
    }

    /// Time value and delta by the closed formula.
    #[inline(always)]
    fn direct(&mut self, terms: &Terms<N>, lanes: usize) {
        for i in 0..lanes {
            let (forward, strike, sign) = (self.forward[i], terms.strike[i], terms.sign[i]);
            let (distance, half_vol) = (self.distance[i], 0.5 * self.total_vol[i]);
            let (near, far) = (half_vol - distance, half_vol + distance);
            let (a, c) = (mills_fraction(near.abs()), mills_fraction(far));
            let inverse = 1.0 / (a.denominator * c.denominator);
            let at_near = a.ratio * (c.denominator * inverse);
            let at_far = c.ratio * (a.denominator * inverse);
            let is_out = forward < strike;
            let low = if is_out { forward } else { strike };
            let weight = self.weight[i];
            let is_inside = near > 0.0;
            let value = if is_inside {
                low - weight * (at_near + at_far)
            } else {
                weight * (at_near - at_far)
            };
            // N(-|d1|) is the density of d1 times the Mills ratio at |d1|.
            let tail = weight * self.per_forward[i] * if is_out { at_near } else { at_far };
            let is_d1_positive = !is_out | is_inside;
            let size = if is_d1_positive == (sign > 0.0) { 1.0 - tail } else { tail };
            self.delta[i] = sign * size;
            self.time_value[i] = if value > 0.0 { value } else { 0.0 };
        }
    }

    #[inline(always)]
    fn series(&mut self, lanes: usize) {
        for i in 0..lanes {
            let total_vol = self.total_vol[i];
            let distance = self.distance[i];
            let distance = if distance > DISTANCE_MAX { DISTANCE_MAX } else { distance };
            let slope = mills_slope::<SERIES_TERMS>(distance, 0.5 * total_vol);
            let value = self.weight[i] * (total_vol * slope);
            let value = if value > 0.0 { value } else { 0.0 };
            let cancels =
                (total_vol < SERIES_VOL) & (self.distance[i] * total_vol < SERIES_MONEYNESS);
            self.time_value[i] = if cancels { value } else { self.time_value[i] };
        }
    }

    #[inline(always)]
    fn first_order<const SPOT: bool>(&mut self, terms: &Terms<N>, lanes: usize) -> bool {
        let mut unsound = 0_u64;
        let [price_out, delta_out, gamma_out, vega_out, theta_out, rho_out] = &mut self.first;
        for i in 0..lanes {
            let (forward, years) = (self.forward[i], terms.years[i]);
            let per_year = self.per_year[i];
            let discount = self.discount[i];
            let exercise = terms.sign[i] * (forward - terms.strike[i]);
            let intrinsic = if exercise > 0.0 { exercise } else { 0.0 };
            let price = discount * (intrinsic + self.time_value[i]);
            let delta = discount * self.delta[i];
            let weight = discount * self.weight[i];
            let vega = weight * self.root_years[i];
            let gamma = weight * (self.per_forward[i] * self.per_vol[i]);
            let decay = 0.5 * terms.vol[i] * vega;
            if SPOT {
                let rate = terms.discount_or_rate[i];
                let carry = rate - terms.dividend_yield[i];
                let (growth, of_forward) = (self.growth[i], forward * delta);
                delta_out[i] = growth * delta;
                gamma_out[i] = gamma * (growth * growth * self.per_forward[i]);
                theta_out[i] = rate * price - decay * per_year - carry * of_forward;
                rho_out[i] = years * (of_forward - price);
            } else {
                delta_out[i] = delta;
                gamma_out[i] = gamma * self.per_forward[i];
                theta_out[i] = (-ln(discount) * price - decay) * per_year;
                rho_out[i] = -years * price;
            }
            price_out[i] = price;
            vega_out[i] = vega;
            let in_range = (forward >= *PRICE_RANGE.start())
                & (forward <= *PRICE_RANGE.end())
                & (discount >= *DISCOUNT_RANGE.start())
                & (discount <= *DISCOUNT_RANGE.end());
            let sum = price + delta_out[i] + gamma_out[i] + vega + theta_out[i] + rho_out[i];
            unsound |= u64::from(!(in_range & (sum.abs() <= f64::MAX)));
        }
        unsound == 0
    }

    #[inline(always)]
    fn higher_order<const SPOT: bool>(&mut self, terms: &Terms<N>, lanes: usize) -> bool {
        let mut unsound = 0_u64;
        let [_, delta_in, gamma_in, vega_in, _, _] = &self.first;
        let [vanna_out, volga_out, charm_out, speed_out, zomma_out, color_out] = &mut self.higher;
        for i in 0..lanes {
            let (underlying, years, vol) = (terms.underlying[i], terms.years[i], terms.vol[i]);
            let (total_vol, half_vol) = (self.total_vol[i], 0.5 * self.total_vol[i]);
            let is_out = self.forward[i] < terms.strike[i];
            let log_distance = if is_out { -self.distance[i] } else { self.distance[i] };
            let (d1, d2) = (log_distance + half_vol, log_distance - half_vol);
            let (vega, gamma) = (vega_in[i], gamma_in[i]);
            // What delta and gamma lose by discounting at the underlying, and the carry of d1.
            let (fading, carry) = if SPOT {
                let dividend_yield = terms.dividend_yield[i];
                (dividend_yield, terms.discount_or_rate[i] - dividend_yield)
            } else {
                (-ln(self.discount[i]) / years, 0.0)
            };
            let drift = d2 / (2.0 * years) - carry / total_vol;
            vanna_out[i] = -vega * d2 / (underlying * total_vol);
            volga_out[i] = vega * d1 * d2 / vol;
            charm_out[i] = fading * delta_in[i] + gamma * underlying * total_vol * drift;
            speed_out[i] = -gamma / underlying * (d1 / total_vol + 1.0);
            zomma_out[i] = gamma * (d1 * d2 - 1.0) / vol;
            color_out[i] = gamma * (fading + 0.5 / years - d1 * drift);
            let sum = vanna_out[i] + volga_out[i] + charm_out[i] + speed_out[i];
            let sum = sum + zomma_out[i] + color_out[i];
            let is_finite = sum.abs() <= f64::MAX;
            unsound |= u64::from(!is_finite);
        }
        unsound == 0
    }
}

/// a / b with the reciprocal of b at hand, rounded as a division would (but for a last bit).
#[inline(always)]
pub(crate) fn quotient(a: f64, b: f64, per_b: f64) -> f64 {
    let rough = a * per_b;
    (-rough).mul_add(b, a).mul_add(per_b, rough)
}

/// (R(h - t) - R(h + t)) / (2 t) for the Mills ratio R at h >= 0 and small t, by the odd terms of
/// the series about h: with Y(h) = R(-h), Y' = 1 + h Y and Y^(n+1) = h Y^(n) + n Y^(n-1).
#[inline(always)]
pub(crate) fn mills_slope<const TERMS: usize>(h: f64, t: f64) -> f64 {
    let fraction = mills_fraction(h);
    let inverse = 1.0 / fraction.denominator;
    let mut even = fraction.ratio * inverse;
    let mut odd = fraction.slope * inverse;
    let mut sum = odd;
    let square = t * t;
    let mut power = square;
    let mut term = 0;
    while term < TERMS {
        let order = (2 * term + 1) as f64;
        even = (-h).mul_add(odd, order * even);
        odd = (-h).mul_add(even, (order + 1.0) * odd);
        sum = (power * INVERSE_ODD_FACTORIALS[term]).mul_add(odd, sum);
        power *= square;
        term += 1;
    }
    sum
}
