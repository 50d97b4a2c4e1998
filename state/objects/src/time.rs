//! Times and durations in the forms of the API: RFC 3339 to seconds or microseconds, Go's durations, ages for people.

mod duration;
mod parse;

use jiff::Timestamp;

pub use duration::{DurationError, format_duration, human_age, human_duration, parse_duration};
pub use parse::TimeError;

/// Reads the time of most fields, `2026-11-21T10:04:55Z`: any offset, and a fraction of a second, are taken.
///
/// # Errors
/// With the text of Go's parser, which Kubernetes passes on.
pub fn parse(text: &str) -> Result<Timestamp, TimeError> {
    parse::parse(text, false)
}

/// Reads a micro time, `2026-11-21T10:04:55.000000Z`: the fraction must have six digits (more are cut off).
///
/// # Errors
/// With the text of Go's parser, which Kubernetes passes on.
pub fn parse_micro(text: &str) -> Result<Timestamp, TimeError> {
    parse::parse(text, true)
}

/// A time in UTC, cut to seconds: `2026-11-21T10:04:55Z`.
pub fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time in UTC, cut to microseconds: `2026-11-21T10:04:55.000000Z`.
pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Whether it is Go's zero time, which the API writes as null.
pub fn is_zero(time: Timestamp) -> bool {
    const YEAR_ONE: i64 = -62_135_596_800;
    time.as_second() == YEAR_ONE && time.subsec_nanosecond() == 0
}

#[cfg(test)]
mod tests;
