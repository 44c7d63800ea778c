//! Exact decimal money and prices in fixed point: whole micro-units of a currency.
//!
//! Why fixed point: ledgers, journals and state hashes need the same number on every machine, and a
//! millionth of a unit holds every tick size and every published fee rate that the house trades.
//! Not here: f64 prices, which live in `pricing` alone.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

/// Micro-units in one unit of currency.
pub const MICROS: i64 = 1_000_000;

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");

    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

/// A text that is not an amount or a currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number, or one with more than six decimals.
    #[error("`{0}` is not a decimal number with at most six decimals")]
    Decimal(String),
    /// Not three capital letters.
    #[error("`{0}` is not a currency, write its ISO 4217 code, three capital letters")]
    Currency(String),
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            [a, b, c] if text.bytes().all(|l| l.is_ascii_uppercase()) => Ok(Self([*a, *b, *c])),
            _ => Err(MoneyError::Currency(text)),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

macro_rules! fixed_point {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// From whole micro-units.
            #[must_use]
            pub const fn from_micros(micros: i64) -> Self {
                Self(micros)
            }

            /// From whole units of currency.
            #[must_use]
            pub const fn from_units(units: i64) -> Self {
                Self(units * MICROS)
            }

            /// The nearest micro-unit to `value`; `None` if it is not finite or out of range.
            #[must_use]
            pub fn from_f64(value: f64) -> Option<Self> {
                let micros = value * MICROS as f64;
                // 2^53: beyond it an f64 no longer holds every whole micro-unit.
                (micros.abs() <= 9_007_199_254_740_992.0).then(|| Self(micros.round() as i64))
            }

            /// Whole micro-units.
            #[must_use]
            pub const fn micros(self) -> i64 {
                self.0
            }

            /// As a float, for pricing and display only.
            #[must_use]
            pub fn to_f64(self) -> f64 {
                self.0 as f64 / MICROS as f64
            }

            /// Without its sign.
            #[must_use]
            pub const fn abs(self) -> Self {
                Self(self.0.abs())
            }

            /// Below zero.
            #[must_use]
            pub const fn is_negative(self) -> bool {
                self.0 < 0
            }

            /// Exactly zero.
            #[must_use]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// From decimal text such as `-3217.25`.
            pub fn parse(text: &str) -> Result<Self, MoneyError> {
                parse_micros(text).map(Self).ok_or_else(|| MoneyError::Decimal(text.to_owned()))
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.checked_add(other.0).expect("an amount within 9.2e12 units"))
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.checked_sub(other.0).expect("an amount within 9.2e12 units"))
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                amounts.fold(Self::ZERO, Add::add)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_micros(self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_micros(self.0, f)
            }
        }
    };
}

fixed_point! {
    /// A price per unit of the underlying (per share, per index point), in micro-units. A combo's
    /// net price may be negative (a credit).
    Price
}
fixed_point! {
    /// An amount of one currency, in micro-units.
    Money
}

/// How many units of the underlying one contract stands for (100 for US equity options, 50 for ES).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Multiplier(pub u32);

/// A signed number of contracts or shares: positive is long or bought.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Quantity(pub i64);

impl Quantity {
    /// None.
    pub const ZERO: Self = Self(0);

    /// Without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// Exactly none.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("a quantity within 9.2e18"))
    }
}
impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("a quantity within 9.2e18"))
    }
}
impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}
impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, Add::add)
    }
}
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Price {
    /// The value of `quantity` contracts of `multiplier` at this price, exactly.
    ///
    /// # Panics
    /// When the value exceeds 9.2e12 units of currency, which no account of this node holds.
    #[must_use]
    pub fn value(self, quantity: Quantity, multiplier: Multiplier) -> Money {
        let micros = i128::from(self.0) * i128::from(quantity.0) * i128::from(multiplier.0);
        Money(i64::try_from(micros).expect("a value within 9.2e12 units of currency"))
    }

    /// This price times a whole number, for the net price of combo legs.
    ///
    /// # Panics
    /// When the product exceeds 9.2e12.
    #[must_use]
    pub fn times(self, factor: i64) -> Self {
        Self(self.0.checked_mul(factor).expect("a price within 9.2e12"))
    }
}

fn parse_micros(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (units, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let too_precise = decimals.len() > 6 && decimals[6..].bytes().any(|b| b != b'0');
    if units.is_empty() || !plain(units) || !plain(decimals) || too_precise {
        return None;
    }
    let units: i64 = units.parse().ok()?;
    let padded = format!("{decimals:0<6}");
    let micros: i64 = padded[..6].parse().ok()?;
    units.checked_mul(MICROS)?.checked_add(micros).map(|total| sign * total)
}

fn write_micros(micros: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if micros < 0 { "-" } else { "" };
    let magnitude = micros.unsigned_abs();
    let (units, decimals) = (magnitude / MICROS as u64, magnitude % MICROS as u64);
    let text = format!("{decimals:06}");
    let trimmed = text.trim_end_matches('0');
    // Money is read in cents: two decimals at least.
    let kept = &text[..trimmed.len().max(2)];
    write!(f, "{sign}{units}.{kept}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_in_both_directions() {
        for text in ["3217.25", "-0.05", "0.000001", "100.00", "-3.335"] {
            assert_eq!(Price::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "-", ".5", "1.0000001", "1e3", "1,0", "99999999999999999999"] {
            assert!(Price::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn value_is_price_times_quantity_times_multiplier() {
        let price = Price::parse("1.35").unwrap();
        assert_eq!(price.value(Quantity(-2), Multiplier(100)), Money::from_units(-270));
    }

    #[test]
    fn floats_out_of_range_are_refused() {
        assert_eq!(Price::from_f64(f64::NAN), None);
        assert_eq!(Price::from_f64(f64::INFINITY), None);
        assert_eq!(Price::from_f64(3217.25), Some(Price::from_micros(3_217_250_000)));
    }
}
