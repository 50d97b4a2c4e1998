//! `cox restore`: a new data directory from a backup, in a new epoch, as it was then or at an earlier moment.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cox_log::{LEAP, Log, Options, Until};
use cox_objects::{At, Moment};
use jiff::Timestamp;

use crate::backup::{KEPT, LOG, Manifest};
use crate::cli::Restore;
use crate::folder::{self, Fresh};
use crate::{output, verify};

/// Until where a log has to be kept to be as it was then, by a clock that shows `now` in milliseconds since the Unix epoch.
fn until(at: At, now: u64) -> Until {
    match at.moment(now) {
        Moment::Revision(revision) => Until::Revision(revision),
        Moment::Time(time) => Until::Time(time),
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
        Some(at) => cox_log::cut(fresh.path(), &Options::default(), until(*at, cox_bus::now_ms()))?,
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
    fn a_point_in_the_past_is_a_revision_or_a_time() {
        let (hour, now) = (3_600_000, 1_800_000_000_000);
        let until = |text: &str| until(text.parse().unwrap(), now);
        assert_eq!(until("17"), Until::Revision(17));
        assert_eq!(until("2027-01-15T08:00:00Z"), Until::Time(now));
        assert_eq!(until("2027-01-15T09:00:00+02:00"), Until::Time(now - hour));
        assert_eq!(until("90m"), Until::Time(now - hour * 3 / 2));
        assert_eq!(until("1960-01-01T00:00:00Z"), Until::Time(0));
    }
}
