//! `cox restore`: a new data directory from a backup, in a new epoch, as it was then or at an earlier moment.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use cox_log::{LEAP, Log, Options, Until};
use jiff::{SignedDuration, Timestamp};

use crate::backup::{KEPT, LOG, Manifest};
use crate::cli::Restore;
use crate::folder::{self, Fresh};
use crate::{output, verify};

/// A revision, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A revision.
    Revision(u64),
    /// A point in time.
    Time(Timestamp),
    /// So long before now.
    Ago(SignedDuration),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(revision) = text.parse() {
            return Ok(Moment::Revision(revision));
        }
        if let Ok(time) = text.parse() {
            return Ok(Moment::Time(time));
        }
        match text.parse::<SignedDuration>() {
            Ok(ago) if ago.is_positive() => Ok(Moment::Ago(ago)),
            _ => Err("give a revision, a time as 2027-01-31T08:00:00Z, or how long ago as 90m or 1h".to_owned()),
        }
    }
}

impl Moment {
    /// Until where a log has to be kept to be as it was then.
    fn until(self, now: Timestamp) -> Result<Until> {
        let time = match self {
            Moment::Revision(revision) => return Ok(Until::Revision(revision)),
            Moment::Time(time) => time,
            Moment::Ago(ago) => now.checked_sub(ago).context("that is too long ago")?,
        };
        // Before 1970 there was nothing.
        Ok(Until::Time(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }
}

/// Makes the data directory. The backup stays as it is.
///
/// # Errors
/// One line that says what to do. Then there is no data directory.
pub fn run(options: &Restore) -> Result<()> {
    let Restore { backup, to, data_dir } = options;
    let manifest = Manifest::read(backup)?;
    let fresh = Fresh::new(data_dir)?;
    folder::copy(&backup.join(LOG), &fresh.path().join(LOG))?;
    let report = verify::log(fresh.path(), manifest.revision)?;
    for part in KEPT {
        let place = fresh.path().join(part);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        folder::copy(&backup.join(part), &place)?;
    }
    let head = match to {
        None => report.head,
        Some(moment) => cox_log::cut(fresh.path(), &Options::default(), moment.until(Timestamp::now())?)?,
    };
    let base = report.head + leap(&manifest, Timestamp::now());
    Log::begin_epoch(fresh.path(), &Options::default(), base)?;
    let report = verify::log(fresh.path(), head).context("what was restored does not pass; nothing is left of it")?;
    fresh.finish()?;
    output::line(&said(data_dir, &manifest, head, &verify::summary(&report)))
}

/// How far past the whole backup the new epoch begins, also where less of it is restored: past all that can have followed it, and past all that
/// a cluster can have written that was restored from it before. No log takes a write every microsecond.
fn leap(manifest: &Manifest, now: Timestamp) -> u64 {
    let since = manifest.time.parse::<Timestamp>().map_or(0, |made| now.as_microsecond() - made.as_microsecond());
    LEAP + u64::try_from(since).unwrap_or(0)
}

fn said(data_dir: &Path, manifest: &Manifest, head: u64, summary: &str) -> String {
    let Manifest { cluster, revision, .. } = manifest;
    let dir = data_dir.display();
    format!(
        "{dir}: cluster {cluster} as it was at revision {head} (the backup ends at {revision}), {summary}; start it with `cox up --data-dir {dir}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_restore_goes_past_the_first() {
        let manifest = Manifest {
            format: 1,
            cluster: "c".into(),
            epoch: "1".into(),
            revision: 9,
            time: "2027-01-31T08:00:00Z".into(),
        };
        let at = |text: &str| leap(&manifest, text.parse().unwrap());
        assert_eq!(at("2027-01-31T08:00:00Z"), LEAP);
        assert_eq!(at("2027-01-31T08:00:03Z"), LEAP + 3_000_000);
        assert_eq!(at("2027-01-31T07:00:00Z"), LEAP, "the clock went back");
    }

    #[test]
    fn a_moment_is_a_revision_or_a_time() {
        let now: Timestamp = "2027-01-31T08:00:00Z".parse().unwrap();
        let until = |text: &str| text.parse::<Moment>().map(|moment| moment.until(now).unwrap());
        let hour = 3_600_000;
        let millis = now.as_millisecond() as u64;
        assert_eq!(until("17"), Ok(Until::Revision(17)));
        assert_eq!(until("2027-01-31T08:00:00Z"), Ok(Until::Time(millis)));
        assert_eq!(until("2027-01-31T09:00:00+02:00"), Ok(Until::Time(millis - hour)));
        assert_eq!(until("1h"), Ok(Until::Time(millis - hour)));
        assert_eq!(until("90m"), Ok(Until::Time(millis - hour * 3 / 2)));
        assert_eq!(until("1960-01-01T00:00:00Z"), Ok(Until::Time(0)));
        for wrong in ["", "-1", "-1h", "yesterday", "1.5"] {
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }
}
