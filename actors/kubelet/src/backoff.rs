//! The delay before a crashed container (or an image that could not be pulled) is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The first delay.
pub const BASE: Duration = Duration::from_secs(10);
/// The longest delay.
pub const MAX: Duration = Duration::from_secs(300);
/// After so long without a failure the next one begins anew.
const FORGET: SignedDuration = SignedDuration::from_secs(600);

/// A backoff that stands: the delay, and when it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How long after a failure the next try waits.
    pub delay: Duration,
    /// When this delay was set.
    pub since: Timestamp,
}

impl Backoff {
    /// How long is still to wait after a failure at `failed`; none if the next try may be now.
    pub fn remaining(backoff: Option<&Backoff>, failed: Timestamp, now: Timestamp) -> Option<Duration> {
        let backoff = backoff.filter(|b| failed.duration_since(b.since) <= FORGET)?;
        let passed = Duration::try_from(now.duration_since(failed)).unwrap_or_default();
        backoff.delay.checked_sub(passed).filter(|rest| !rest.is_zero())
    }

    /// The backoff after another try at `now` of what failed at `failed`: the first try after the first failure is immediate, and sets the
    /// base for the next.
    pub fn next(backoff: Option<&Backoff>, failed: Timestamp, now: Timestamp) -> Backoff {
        let delay = match backoff.filter(|b| failed.duration_since(b.since) <= FORGET) {
            None => BASE,
            Some(b) => b.delay.saturating_mul(2).min(MAX),
        };
        Backoff { delay, since: now }
    }
}

/// A delay as messages have it (`10s`, `2m40s`, `5m0s`).
pub fn print(delay: Duration) -> String {
    let seconds = delay.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn delays_double_up_to_five_minutes() {
        let mut backoff = None;
        let mut seen = Vec::new();
        for round in 0..7 {
            backoff = Some(Backoff::next(backoff.as_ref(), at(round), at(round)));
            seen.push(print(backoff.unwrap().delay));
        }
        assert_eq!(seen, ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]);
    }

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_wait_from_the_failure_on() {
        assert_eq!(Backoff::remaining(None, at(0), at(0)), None);
        let backoff = Backoff::next(None, at(0), at(0));
        assert_eq!(Backoff::remaining(Some(&backoff), at(1), at(3)), Some(Duration::from_secs(8)));
        assert_eq!(Backoff::remaining(Some(&backoff), at(1), at(11)), None);
    }

    #[test]
    fn a_long_good_time_is_forgiven() {
        let backoff = Backoff { delay: MAX, since: at(0) };
        assert_eq!(Backoff::remaining(Some(&backoff), at(700), at(701)), None);
        assert_eq!(Backoff::next(Some(&backoff), at(700), at(701)).delay, BASE);
    }

    #[test]
    fn what_was_waited_does_not_count_as_good_time() {
        let backoff = Backoff { delay: MAX, since: at(0) };
        // It ran for 400 s and failed: the whole delay is waited, and the next one is no shorter.
        assert_eq!(Backoff::remaining(Some(&backoff), at(400), at(650)), Some(Duration::from_secs(50)));
        assert_eq!(Backoff::next(Some(&backoff), at(400), at(700)).delay, MAX);
    }
}
