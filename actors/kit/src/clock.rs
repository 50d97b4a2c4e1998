//! The wall clock, read in shells only: cores get the time as an argument.

use jiff::Timestamp;

pub use cox_bus::now_ms;

/// The time now.
pub fn now() -> Timestamp {
    Timestamp::now()
}
