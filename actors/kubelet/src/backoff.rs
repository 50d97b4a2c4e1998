//! The delay before a crashed container, an image that could not be pulled, or a call that the runtime failed at is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The first delay.
pub const BASE: Duration = Duration::from_secs(10);
/// The longest delay.
pub const MAX: Duration = Duration::from_secs(300);
/// After so long without a failure the next one begins anew.
const FORGET: SignedDuration = SignedDuration::from_secs(600);
/// How long a call that the runtime failed at, or did not answer, is left alone at first.
const REST: SignedDuration = SignedDuration::from_secs(2);
/// The longest such rest: about that of Kubernetes' volume manager. Shorter than a crash's, since it is not the pod's doing, and its end may wait for it.
const LONGEST_REST: SignedDuration = SignedDuration::from_secs(120);

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

    /// Whether the next failure begins anew.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) > FORGET
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

/// A failure, and until when it is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// From when on it may be tried again.
    pub until: Timestamp,
    /// The rest that it was given, if the next failure is given a longer one.
    rest: Option<SignedDuration>,
}

impl Held {
    /// Held back for a fixed time, however often that happens.
    pub fn back(rest: SignedDuration, now: Timestamp) -> Held {
        Held { until: now.saturating_add(rest).unwrap_or(now), rest: None }
    }

    /// Held back after a failure at `now`: twice as long as after the one before, unless that is long past.
    pub fn longer(before: Option<&Held>, now: Timestamp) -> Held {
        let before = before.filter(|held| now.duration_since(held.until) <= FORGET);
        let rest = before.and_then(|held| held.rest).map_or(REST, |rest| rest.saturating_mul(2).min(LONGEST_REST));
        Held { rest: Some(rest), ..Held::back(rest, now) }
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
    fn what_the_runtime_fails_at_rests_longer_each_time() {
        let (mut held, mut now, mut rests) = (None, at(0), Vec::new());
        for _ in 0..9 {
            held = Some(Held::longer(held.as_ref(), now));
            rests.push(held.unwrap().until.duration_since(now).as_secs());
            // Each try takes a minute to fail.
            now = held.unwrap().until + SignedDuration::from_secs(60);
        }
        assert_eq!(rests, [2, 4, 8, 16, 32, 64, 120, 120, 120]);
        let long_ago = now + SignedDuration::from_secs(600);
        assert_eq!(Held::longer(held.as_ref(), long_ago).until, long_ago + REST);
        let fixed = Held::back(SignedDuration::from_secs(10), now);
        assert_eq!(Held::longer(Some(&fixed), now).until, now + REST, "another kind of failure");
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
