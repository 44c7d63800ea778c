//! The exponent of the characteristic function of ln(S / forward) and its slopes in the parameters.
//!
//! Exists because prices need the exponent and a calibration its slopes, which share nearly all of
//! their work. The form without jumps of the logarithm (Albrecher, Mayer, Schoutens, Tistaert, "The
//! little Heston trap", Wilmott, 2007); analytic slopes after the idea of Cui, del Bano Rollin,
//! Germano, "Full and fast calibration of the Heston stochastic volatility model", European Journal
//! of Operational Research 263, 2017, derived anew for this form.

use super::Heston;
use super::complex::Complex;

/// The parts at one argument: exponent = reversion mean `level` + variance `slope`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transform {
    heston: Heston,
    years: f64,
    i_u: Complex,
    /// u^2 + i u: what the variance is charged with.
    charge: Complex,
    b: Complex,
    d: Complex,
    /// 1 / (b + d).
    inverse: Complex,
    /// (b - d) / vol of variance^2, without cancellation.
    lower: Complex,
    /// (b - d) / (b + d).
    g: Complex,
    /// e^(-d years).
    decay: Complex,
    /// 1 - g decay.
    rest: Complex,
    /// ln(rest / (1 - g)).
    log: Complex,
    level: Complex,
    slope: Complex,
}

impl Transform {
    pub fn at(heston: &Heston, u: Complex, years: f64) -> Self {
        let vol = heston.vol_of_variance;
        let square = vol * vol;
        let i_u = Complex { re: -u.im, im: u.re };
        let b = Complex { re: heston.reversion, im: 0.0 } - i_u * (heston.correlation * vol);
        let charge = u * u + i_u;
        let d = (b * b + charge * square).sqrt();
        let inverse = Complex::ONE / (b + d);
        let lower = -(charge * inverse);
        let g = lower * inverse * square;
        let decay = (d * -years).exp();
        let rest = Complex::ONE - g * decay;
        // rest / (1 - g) is near one where the vol of variance is small.
        let log = (g * (Complex::ONE - decay) / (Complex::ONE - g)).ln_1p();
        let level = lower * years - log * (2.0 / square);
        let slope = lower * ((Complex::ONE - decay) / rest);
        Self {
            heston: *heston,
            years,
            i_u,
            charge,
            b,
            d,
            inverse,
            lower,
            g,
            decay,
            rest,
            log,
            level,
            slope,
        }
    }

    /// ln E[exp(i u ln(S / forward))].
    pub fn exponent(&self) -> Complex {
        self.level * (self.heston.reversion * self.heston.mean) + self.slope * self.heston.variance
    }

    /// Slopes of the exponent in variance, reversion, mean, vol of variance, correlation.
    pub fn slopes(&self) -> [Complex; 5] {
        let Heston { variance, reversion, mean, vol_of_variance: vol, correlation } = self.heston;
        let over_d = Complex::ONE / self.d;
        let over_rest = Complex::ONE / self.rest;
        let over_one_g = Complex::ONE / (Complex::ONE - self.g);
        let gone = Complex::ONE - self.decay;
        // How the level and the slope move with b, and directly with the vol of variance.
        let moved = |of_b: Complex, of_vol: f64| {
            let of_d = (self.b * of_b + self.charge * (vol * of_vol)) * over_d;
            let of_sum = (of_b + of_d) * self.inverse;
            let of_lower = -(self.lower * of_sum);
            let of_g = self.g * (Complex { re: of_vol / vol, im: 0.0 } - of_sum) * 2.0;
            let of_decay = self.decay * of_d * -self.years;
            let of_rest = -(of_g * self.decay + self.g * of_decay);
            let of_log = of_rest * over_rest + of_g * over_one_g;
            let square = vol * vol;
            let of_level =
                of_lower * self.years - (of_log - self.log * (2.0 * of_vol / vol)) * (2.0 / square);
            let of_slope =
                (of_lower * gone - self.lower * of_decay - self.slope * of_rest) * over_rest;
            of_level * (reversion * mean) + of_slope * variance
        };
        [
            self.slope,
            self.level * mean + moved(Complex::ONE, 0.0),
            self.level * reversion,
            moved(-(self.i_u * correlation), 1.0),
            moved(-(self.i_u * vol), 0.0),
        ]
    }
}
