//! A point in the log's past as people write it: a revision, a time, or how long ago.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::Revision;

/// When something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Right after this revision.
    Revision(Revision),
    /// At this time, in milliseconds since the Unix epoch.
    Time(u64),
    /// So many milliseconds ago.
    Ago(u64),
}

/// A text that names no point in the past.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a revision, as 1234, nor a time, as 2026-01-31T12:00:00Z, nor how long ago, as 90s, 10m or 1h30m"
)]
pub struct NoMoment(String);

/// What a point in the past comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A revision.
    Revision(Revision),
    /// Milliseconds since the Unix epoch.
    Time(u64),
}

impl At {
    /// The revision or the time that is meant by someone whose clock shows `now` (milliseconds since the Unix epoch).
    pub fn moment(self, now: u64) -> Moment {
        match self {
            At::Revision(revision) => Moment::Revision(revision),
            At::Time(time) => Moment::Time(time),
            At::Ago(ago) => Moment::Time(now.saturating_sub(ago)),
        }
    }
}

impl FromStr for At {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let no = || NoMoment(text.to_owned());
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Revision 0 is before everything: nothing was there.
            return text.parse().ok().filter(|revision| *revision > 0).map(At::Revision).ok_or_else(no);
        }
        if let Some(ago) = duration_ms(text) {
            return Ok(At::Ago(ago));
        }
        let time = text.parse::<Timestamp>().map_err(|_| no())?;
        // Before 1970 there was nothing, as little as at its beginning.
        Ok(At::Time(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }
}

impl fmt::Display for At {
    /// In the form that is read again as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Revision(revision) => write!(f, "{revision}"),
            At::Ago(milliseconds) => write!(f, "{milliseconds}ms"),
            At::Time(time) => f.write_str(&time_text(*time)),
        }
    }
}

/// A time in RFC 3339, with milliseconds; the calendar's last one of those past it.
pub fn time_text(milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

/// The milliseconds of a duration as Go writes them, in whole units: `1h30m`, `10m`, `250ms`; and days.
pub fn duration_ms(text: &str) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let (number, unit) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = unit.split_at(unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len()));
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after;
    }
    Some(sum).filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn revisions_times_and_durations_are_told_apart() {
        assert_eq!("1234".parse(), Ok(At::Revision(1234)));
        assert_eq!("10m".parse(), Ok(At::Ago(600_000)));
        assert_eq!("1h30m".parse(), Ok(At::Ago(5_400_000)));
        assert_eq!("2d".parse(), Ok(At::Ago(172_800_000)));
        assert_eq!("1970-01-01T00:00:01.5Z".parse(), Ok(At::Time(1_500)));
        assert_eq!("2026-01-31T13:00:00+01:00".parse::<At>(), "2026-01-31T12:00:00Z".parse::<At>());
        for wrong in ["", "0", "-1", "m", "10x", "1h30", "10 m", "yesterday", "2026-01-31", "2026-13-01T00:00:00Z"] {
            assert_eq!(wrong.parse::<At>(), Err(NoMoment(wrong.to_owned())));
        }
        assert!("99999999999999999999".parse::<At>().is_err());
        assert_eq!("1960-01-01T00:00:00Z".parse(), Ok(At::Time(0)), "before 1970 there was nothing");
    }

    #[test]
    fn a_time_is_written_as_the_calendar_has_it() {
        assert_eq!(time_text(1_500), "1970-01-01T00:00:01.500Z");
        assert_eq!(time_text(u64::MAX), time_text(1 << 60), "what comes after its end is its end");
        assert!(time_text(u64::MAX).parse::<At>().is_ok());
    }

    #[test]
    fn how_long_ago_depends_on_the_clock() {
        assert_eq!(At::Ago(1_000).moment(5_000), Moment::Time(4_000));
        assert_eq!(At::Ago(9_000).moment(5_000), Moment::Time(0));
        assert_eq!(At::Revision(3).moment(5_000), Moment::Revision(3));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(revision in 1..u64::MAX, time in 0..4_000_000_000_000_u64, ago: u64) {
            for at in [At::Revision(revision), At::Time(time), At::Ago(ago)] {
                prop_assert_eq!(at.to_string().parse(), Ok(at));
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,30}|[0-9hmsd.:TZ+-]{0,30}") {
            let _ = text.parse::<At>();
        }
    }
}
