//! A decimal number with room for 36 digits, which is what quantities are made of.

use std::cmp::Ordering;

/// `mantissa × 10^scale`, without trailing zeros in the mantissa; nothing is `0 × 10^0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    scale: i32,
}

fn power_of_ten(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// Divides by a power of ten, away from zero if there is a remainder.
fn shift_down(n: i128, places: u32) -> i128 {
    match power_of_ten(places) {
        Some(power) => n / power + if n % power == 0 { 0 } else { n.signum() },
        None => n.signum(),
    }
}

impl Decimal {
    pub(super) const ZERO: Decimal = Decimal { mantissa: 0, scale: 0 };

    pub(super) fn new(mut mantissa: i128, mut scale: i32) -> Self {
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            scale = scale.saturating_add(1);
        }
        Decimal { mantissa, scale }
    }

    /// The same, rounded away from zero to a multiple of `10^scale`.
    pub(super) fn round_to(self, scale: i32) -> Self {
        if self.scale >= scale {
            return self;
        }
        Self::new(shift_down(self.mantissa, scale.abs_diff(self.scale)), scale)
    }

    /// The product, if it fits.
    pub(super) fn times(self, factor: i128) -> Option<Self> {
        Some(Self::new(self.mantissa.checked_mul(factor)?, self.scale))
    }

    pub(super) fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    pub(super) fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    pub(super) fn is_integer(self) -> bool {
        self.scale >= 0
    }

    pub(super) fn negated(self) -> Self {
        Decimal { mantissa: self.mantissa.saturating_neg(), ..self }
    }

    /// The number itself, if it is whole and fits.
    pub(super) fn as_i128(self) -> Option<i128> {
        let places = u32::try_from(self.scale).ok()?;
        self.mantissa.checked_mul(power_of_ten(places)?)
    }

    pub(super) fn as_f64(self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.scale)
    }

    /// The number in units of `10^scale`, rounded away from zero, held to the bounds of `i64`.
    pub(super) fn scaled(self, scale: i32) -> i64 {
        let rounded = self.round_to(scale);
        let places = rounded.scale.abs_diff(scale);
        let exact = power_of_ten(places).and_then(|power| rounded.mantissa.checked_mul(power));
        match exact.map(i64::try_from) {
            Some(Ok(n)) => n,
            _ if self.is_negative() => i64::MIN,
            _ => i64::MAX,
        }
    }

    /// Adds; where the digits do not fit, the finest are rounded away.
    pub(super) fn plus(self, other: Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return if self.is_zero() { other } else { self };
        }
        let (high, low) = if self.scale >= other.scale { (self, other) } else { (other, self) };
        let places = high.scale.abs_diff(low.scale);
        let aligned = power_of_ten(places).and_then(|power| high.mantissa.checked_mul(power));
        if let Some(sum) = aligned.and_then(|n| n.checked_add(low.mantissa)) {
            return Self::new(sum, low.scale);
        }
        // Too far apart to be exact: give the larger one as many places as it has room for.
        let room = 36u32.saturating_sub(digits(high.mantissa)).min(places);
        let scale = high.scale.saturating_sub_unsigned(room);
        let widened = power_of_ten(room).and_then(|power| high.mantissa.checked_mul(power)).unwrap_or(high.mantissa);
        Self::new(widened.saturating_add(shift_down(low.mantissa, scale.abs_diff(low.scale))), scale)
    }

    /// Digits and an exponent that is a multiple of three and at most `max`.
    pub(super) fn in_thousands(self, max: i32) -> (String, i32) {
        let exponent = (self.scale - self.scale.rem_euclid(3)).min(max - max.rem_euclid(3));
        let zeros = usize::try_from(self.scale.abs_diff(exponent)).unwrap_or(0);
        (format!("{}{}", self.mantissa, "0".repeat(zeros)), exponent)
    }

    fn magnitude(self) -> i64 {
        i64::from(digits(self.mantissa)) + i64::from(self.scale)
    }

    fn cmp_abs(self, other: Self) -> Ordering {
        self.magnitude().cmp(&other.magnitude()).then_with(|| {
            // Equally long when written out, so the shift below is at most the other's number of digits.
            let (a, b) = (self.mantissa.unsigned_abs(), other.mantissa.unsigned_abs());
            let power = 10u128.checked_pow(self.scale.abs_diff(other.scale));
            match self.scale >= other.scale {
                true => power.and_then(|p| a.checked_mul(p)).map_or(Ordering::Greater, |a| a.cmp(&b)),
                false => power.and_then(|p| b.checked_mul(p)).map_or(Ordering::Less, |b| a.cmp(&b)),
            }
        })
    }
}

fn digits(n: i128) -> u32 {
    n.unsigned_abs().checked_ilog10().map_or(0, |n| n + 1)
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.mantissa.signum().cmp(&other.mantissa.signum()).then_with(|| match self.mantissa.signum() {
            1 => self.cmp_abs(*other),
            -1 => other.cmp_abs(*self),
            _ => Ordering::Equal,
        })
    }
}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
