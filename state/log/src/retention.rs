//! How long the past is kept: the policy, and where it puts the floors. Pure; the log says what there is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use cox_objects::{Resource, Revision, at};

use crate::floors::{ByResource, Floors};

/// What only machines write, all the time, and nobody misses from the past.
pub const TRANSIENT: [Resource; 2] = [Resource::LEASES, Resource::EVENTS];

/// How long the past of objects is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As long as the log: nothing is dropped.
    Forever,
    /// What was within this time can be read.
    For(Duration),
    /// Only what the objects are, below the dense window.
    Newest,
}

/// A text that says no time to keep the past for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a time, as 7d or 12h, nor newest, nor forever")]
pub struct NoKeep(String);

impl FromStr for Keep {
    type Err = NoKeep;

    fn from_str(text: &str) -> Result<Self, NoKeep> {
        match text {
            "forever" => Ok(Keep::Forever),
            "newest" => Ok(Keep::Newest),
            _ => {
                at::duration_ms(text).map(|ms| Keep::For(Duration::from_millis(ms))).ok_or_else(|| NoKeep(text.into()))
            }
        }
    }
}

impl fmt::Display for Keep {
    /// In the form that is read again as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keep::Forever => f.write_str("forever"),
            Keep::Newest => f.write_str("newest"),
            Keep::For(time) => {
                let ms = time.as_millis();
                let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
                match units.into_iter().find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit)) {
                    Some((unit, name)) => write!(f, "{}{name}", ms / unit),
                    None => write!(f, "{ms}ms"),
                }
            }
        }
    }
}

/// What of the past is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The past of objects of which nothing else is said.
    pub keep: Keep,
    /// The past of these objects.
    pub by_resource: BTreeMap<Resource, Keep>,
    /// Nothing younger is dropped, so that whoever is that close can follow without a gap; a bound of the disk may shorten it.
    pub window: Duration,
    /// Nothing of so many newest revisions is dropped, ever.
    pub window_revisions: u64,
    /// How much of the disk the log may take, in bytes: beyond it less is kept.
    pub max_disk: Option<u64>,
}

impl Default for Retention {
    /// A week of what users write; of what only machines write, what it is.
    fn default() -> Self {
        Retention {
            keep: Keep::For(Duration::from_secs(7 * 86_400)),
            by_resource: TRANSIENT.map(|resource| (resource, Keep::Newest)).into(),
            window: Duration::from_secs(15 * 60),
            window_revisions: 100_000,
            max_disk: None,
        }
    }
}

/// What the log knows when floors are decided.
pub(crate) struct Seen {
    /// Its newest revision.
    pub(crate) head: Revision,
    /// The newest revision that has to go so that the log fits on its part of the disk; 0 if it does.
    pub(crate) over: Revision,
}

/// Where the floors are to be: never below where they are, and below the dense window. `until` gives the newest revision that is older than a
/// time, `begins` the first revision of the transaction of another.
///
/// # Errors
/// Those of the questions.
pub(crate) fn decide<E>(
    retention: &Retention,
    now: &Floors,
    seen: &Seen,
    mut until: impl FnMut(Duration) -> Result<Revision, E>,
    begins: impl FnOnce(Revision) -> Result<Revision, E>,
) -> Result<Floors, E> {
    let counted = seen.head.saturating_sub(retention.window_revisions);
    let old = until(retention.window)?.max(seen.over).min(counted);
    // Followers take transactions whole.
    let dense_from = if old >= now.dense_from { begins(old + 1)?.max(now.dense_from) } else { now.dense_from };
    let highest = dense_from.saturating_sub(1);
    let mut floor = |keep: Keep, floor: Revision| {
        let wanted = match keep {
            Keep::Forever => 0,
            Keep::For(time) => until(time)?,
            Keep::Newest => highest,
        };
        Ok(wanted.max(seen.over).min(highest).max(floor))
    };
    let all = floor(retention.keep, now.kept.all)?;
    let mut own = BTreeMap::new();
    for resource in now.kept.own.keys().chain(retention.by_resource.keys()) {
        let keep = retention.by_resource.get(resource).copied().unwrap_or(retention.keep);
        own.insert(resource.clone(), floor(keep, now.kept.of(resource))?);
    }
    Ok(Floors { dense_from, kept: ByResource { all, own } })
}

#[cfg(test)]
mod tests;
