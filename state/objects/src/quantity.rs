//! Amounts of resources: `100m`, `1.5Gi`, `2e3`, read and printed as Kubernetes reads and prints them.
//!
//! A quantity is a decimal number and the family of suffixes it was written with. Numbers finer than nano are rounded
//! up; binary ones stop at 2⁶³−1. Beyond 36 significant digits a number is rounded up (Kubernetes keeps them all).

mod decimal;
mod parse;

use std::cmp::Ordering;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use decimal::Decimal;

/// The family of suffixes in which a quantity is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`, powers of 1000.
    Decimal,
    /// `Ki Mi Gi Ti Pi Ei`, powers of 1024.
    Binary,
    /// `e3`, `e6`, …
    Exponent,
}

/// Why a text is not a quantity; the texts are Kubernetes'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It does not look like a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// The number in it cannot be read.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// There is no such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount of a resource. Two quantities are equal if their amounts are, however they are written.
#[derive(Clone, Debug)]
pub struct Quantity {
    amount: Decimal,
    format: Format,
    // A text that needs no rewriting is kept as it came (`+1`, `1.234`, `1E3`).
    text: Option<Box<str>>,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { amount: Decimal::ZERO, format: Format::Decimal, text: None };

    /// Reads a quantity.
    ///
    /// # Errors
    /// If the text is not one.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse::parse(text)
    }

    /// Reads a quantity from a JSON string or number, as the API takes both.
    ///
    /// # Errors
    /// If it is neither, or not a quantity.
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(QuantityError::Form),
        }
    }

    /// A whole number.
    pub fn new(value: i64, format: Format) -> Self {
        Quantity { amount: Decimal::new(i128::from(value), 0), format, text: None }
    }

    /// Thousandths, as CPU time is counted.
    pub fn from_milli(value: i64) -> Self {
        Quantity { amount: Decimal::new(i128::from(value), -3), format: Format::Decimal, text: None }
    }

    /// The family of suffixes it is printed with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.amount.is_zero()
    }

    /// Whether it is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.amount.is_negative()
    }

    /// The amount as a whole number, fractions rounded away from zero, held to the bounds of the type.
    pub fn value(&self) -> i64 {
        self.amount.scaled(0)
    }

    /// The amount in thousandths, finer fractions rounded away from zero, held to the bounds of the type.
    pub fn milli_value(&self) -> i64 {
        self.amount.scaled(-3)
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        self.amount.is_integer()
    }

    /// Rounded up to thousandths, as a list of resources in a manifest is; one that is no finer keeps its text.
    #[must_use]
    pub fn rounded_to_milli(&self) -> Quantity {
        match self.amount.round_to(-3) {
            same if same == self.amount => self.clone(),
            rounded => Quantity { amount: rounded, format: self.format, text: None },
        }
    }

    /// The amount, nearly.
    pub fn as_f64(&self) -> f64 {
        self.amount.as_f64()
    }

    /// The sum, in this quantity's format (in the other's, if this one is nothing).
    #[must_use]
    pub fn plus(&self, other: &Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { amount: self.amount.plus(other.amount), format, text: None }
    }

    /// The difference, in this quantity's format (in the other's, if this one is nothing).
    #[must_use]
    pub fn minus(&self, other: &Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { amount: self.amount.plus(other.amount.negated()), format, text: None }
    }

    fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        let whole = self.amount.as_i128().filter(|n| n.unsigned_abs() >= 1024);
        match (self.format, whole) {
            (Format::Binary, Some(mut n)) => {
                let mut power = 0;
                while n % 1024 == 0 && power < 6 {
                    n /= 1024;
                    power += 1;
                }
                format!("{n}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power).unwrap_or(&""))
            }
            (Format::Exponent, _) => match self.amount.in_thousands(i32::MAX) {
                (digits, 0) => digits,
                (digits, exponent) => format!("{digits}e{exponent}"),
            },
            // A binary amount that is small or not whole keeps its precision in decimal.
            (Format::Decimal | Format::Binary, _) => {
                let (digits, exponent) = self.amount.in_thousands(18);
                let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
                let suffix = usize::try_from(exponent / 3 + 3).ok().and_then(|i| suffixes.get(i));
                format!("{digits}{}", suffix.unwrap_or(&""))
            }
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.canonical()),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.amount.cmp(&other.amount)
    }
}

impl Default for Quantity {
    fn default() -> Self {
        Quantity::ZERO
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Quantity::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
