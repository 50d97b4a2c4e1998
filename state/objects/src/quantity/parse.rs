//! Reading quantities, with the leniencies of Kubernetes' reader: `.5`, `1.`, `+1`, and `1e3` beside `1E3`.

use super::decimal::Decimal;
use super::{Format, Quantity, QuantityError};

const NANO: i32 = -9;
const SIGNIFICANT: usize = 36;
// The digits that Kubernetes reads into an int64; texts within it may be kept as they are.
const SHORT: i64 = 18;

struct Parts<'a> {
    negative: bool,
    /// Digits before the point without leading zeros; `0` if there are none.
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let negative = text.starts_with('-');
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
    let exponent = suffix.get(letters..).unwrap_or_default();
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if digits(exponent) != exponent.len() {
        return Err(QuantityError::Form);
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    Ok(Parts { negative, whole, fraction, suffix })
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The base, the exponent and the format that a suffix means.
fn interpret(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    if let Some(i) = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].iter().position(|s| *s == suffix) {
        return Ok((10, i as i32 * 3 + NANO, Format::Decimal));
    }
    if let Some(i) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix) {
        return Ok((2, (i as i32 + 1) * 10, Format::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    Ok((10, exponent, Format::Exponent))
}

pub(super) fn parse(text: &str) -> Result<Quantity, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Form);
    }
    let parts = split(text)?;
    let (base, exponent, mut format) = interpret(parts.suffix)?;
    let mut amount = number(&parts, base, exponent);
    let kept = is_canonical(&parts, exponent, format).then(|| text.into());
    if format == Format::Binary {
        let max = Decimal::new(i128::from(i64::MAX), 0);
        amount = amount.min(max);
        if !amount.is_zero() && amount < Decimal::new(1, 0) {
            format = Format::Decimal;
        }
    }
    if parts.negative {
        amount = amount.negated();
    }
    Ok(Quantity { amount, format, text: kept })
}

fn number(parts: &Parts<'_>, base: u32, exponent: i32) -> Decimal {
    let shift = if base == 10 { exponent } else { 0 };
    let scale = shift.saturating_sub(i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX));
    let digits = [parts.whole, parts.fraction].concat();
    let digits = digits.trim_start_matches('0');
    if base == 10 {
        return leading(digits, SIGNIFICANT, scale).round_to(NANO);
    }
    let factor = 1i128 << exponent.clamp(0, 62);
    // 18 digits times 2^60 always fit; more digits than that are beyond the cap or below a nano.
    let exact = leading(digits, SIGNIFICANT, scale).times(factor);
    exact.unwrap_or_else(|| leading(digits, 18, scale).times(factor).unwrap_or(Decimal::ZERO)).round_to(NANO)
}

/// The number of the first `count` digits, rounded up for what follows them.
fn leading(digits: &str, count: usize, scale: i32) -> Decimal {
    let (head, tail) = digits.split_at(count.min(digits.len()));
    let up = i128::from(tail.bytes().any(|b| b != b'0'));
    let number: i128 = head.bytes().fold(0, |n, b| n * 10 + i128::from(b - b'0'));
    Decimal::new(number + up, scale.saturating_add(i32::try_from(tail.len()).unwrap_or(i32::MAX)))
}

/// Whether Kubernetes keeps the text as it came: a short number whose exponent is a multiple of three and that has no
/// factor to give to its suffix.
fn is_canonical(parts: &Parts<'_>, exponent: i32, format: Format) -> bool {
    let (whole, fraction) = (parts.whole, parts.fraction);
    match format {
        Format::Binary => {
            let room = 15 - whole.len() as i64 - i64::from(exponent) * 3 / 10 - 1;
            let odd = whole.parse::<i64>().is_ok_and(|n| n & 7 != 0);
            fraction.is_empty() && room >= 0 && odd
        }
        Format::Decimal | Format::Exponent => {
            let scale = i64::from(exponent) - fraction.len() as i64;
            let short = (whole.len() + fraction.len()) as i64 <= SHORT && scale >= i64::from(NANO);
            short && scale % 3 == 0 && ![whole, fraction].concat().ends_with("000") && !whole.starts_with('0')
        }
    }
}
