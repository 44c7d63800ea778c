//! Complex numbers as far as a characteristic function needs them, on `libm` and not the platform.
//!
//! Exists to keep the same bits on every machine without another dependency.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// re + i im.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Complex {
    pub re: f64,
    pub im: f64,
}

impl Complex {
    pub const ONE: Self = Self { re: 1.0, im: 0.0 };

    pub fn exp(self) -> Self {
        let size = libm::exp(self.re);
        Self { re: size * libm::cos(self.im), im: size * libm::sin(self.im) }
    }

    /// Principal branch.
    pub fn ln(self) -> Self {
        Self { re: libm::log(libm::hypot(self.re, self.im)), im: libm::atan2(self.im, self.re) }
    }

    /// ln(1 + self), also relative to a result near zero. Principal branch.
    pub fn ln_1p(self) -> Self {
        if libm::fmax(self.re.abs(), self.im.abs()) > 0.25 {
            return (Self::ONE + self).ln();
        }
        let beyond = 2.0 * self.re + (self.re * self.re + self.im * self.im);
        Self { re: 0.5 * libm::log1p(beyond), im: libm::atan2(self.im, 1.0 + self.re) }
    }

    /// Principal branch: the real part is not negative.
    pub fn sqrt(self) -> Self {
        let size = libm::hypot(self.re, self.im);
        if size == 0.0 {
            return Self { re: 0.0, im: 0.0 };
        }
        if self.re >= 0.0 {
            let re = (0.5 * (size + self.re)).sqrt();
            Self { re, im: 0.5 * self.im / re }
        } else {
            let im = (0.5 * (size - self.re)).sqrt();
            let im = if self.im < 0.0 { -im } else { im };
            Self { re: 0.5 * self.im / im, im }
        }
    }
}

impl Add for Complex {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Sub for Complex {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
}

impl Neg for Complex {
    type Output = Self;
    fn neg(self) -> Self {
        Self { re: -self.re, im: -self.im }
    }
}

impl Mul for Complex {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

impl Mul<f64> for Complex {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self { re: self.re * factor, im: self.im * factor }
    }
}

impl Div for Complex {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        // Scaled, so that the square of the size can't overflow.
        let scale = 1.0 / libm::fmax(other.re.abs(), other.im.abs());
        let (re, im) = (other.re * scale, other.im * scale);
        let inverse = scale / (re * re + im * im);
        Self {
            re: (self.re * re + self.im * im) * inverse,
            im: (self.im * re - self.re * im) * inverse,
        }
    }
}
