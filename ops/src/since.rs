//! `--since`: after what the first event is that is shown.

use anyhow::{Result, bail};
use cox_bus::replay::ReadError;
use cox_bus::{Bus, StreamError, now_ms};
use cox_objects::at::NoMoment;
use cox_objects::{At, Moment, Revision};

/// Reads it; 0 is before everything.
///
/// # Errors
/// If it names no point in the past.
pub fn parse(text: &str) -> Result<At, NoMoment> {
    if text == "0" { Ok(At::Revision(0)) } else { text.parse() }
}

/// The first revision after it, in a log whose newest is `head`; none if all that is kept came after.
///
/// # Errors
/// If it is still to come, or the log cannot be asked when it was.
pub async fn first(bus: &Bus, since: At, head: Revision) -> Result<Option<Revision>> {
    match since.moment(now_ms()) {
        Moment::Revision(0) => Ok(None),
        Moment::Revision(revision) if revision > head => {
            bail!("revision {revision} is not reached yet; the log is at {head}")
        }
        Moment::Revision(revision) => Ok(Some(revision + 1)),
        Moment::Time(time) => match cox_bus::position_at(bus, time).await {
            Ok(position) => Ok(Some(position.revision + 1)),
            Err(ReadError::Stream(StreamError::Refused(status))) if status.code == 410 => Ok(None),
            Err(ReadError::Stream(StreamError::Refused(status))) => bail!("{}", status.message),
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_kept_can_be_asked_for() {
        assert_eq!(parse("0").unwrap(), At::Revision(0));
        assert_eq!(parse("7").unwrap(), At::Revision(7));
        assert_eq!(parse("1m").unwrap(), At::Ago(60_000));
        assert!(parse("-1").is_err() && parse("").is_err() && parse("yesterday").is_err());
    }
}
