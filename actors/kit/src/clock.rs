//! The wall clock, read in shells only: cores get the time as an argument.

use jiff::Timestamp;

/// The time now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Milliseconds since the Unix epoch, as deadlines and log records have it.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
