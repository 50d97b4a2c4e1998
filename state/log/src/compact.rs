//! Compaction: floors rise as the policy says, and what they let go of is dropped, a few events at a time.
//!
//! Flow: [`Log::retain`] moves the floors, durably; [`Log::sweep`] goes through the events that have come to lie below them, oldest first, and drops
//! the event before each one of the same object, and deletions. Guarantees: floors only rise; a floor stands on the disk before anything goes that
//! it lets go of; nothing of the dense window is touched; what is dropped and how far that is are one write, so that a crash repeats nothing and
//! forgets nothing. The writer is never waited for, and waits for one small write at most. Caveats: the disk space comes back when RocksDB merges
//! its files, which many deletions in one make it do.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cox_objects::{Change, Key, Resource, Revision};
use rocksdb::WriteBatch;

use crate::db::{Db, damaged};
use crate::floors::Floors;
use crate::format::{self, Family};
use crate::retention::{self, Seen};
use crate::{Log, LogError, Retention, open};

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How many events it looked at.
    pub seen: usize,
    /// How many it dropped.
    pub dropped: usize,
    /// How many revisions the floors have let go of that it has not come to, of the resources that are the furthest behind.
    pub behind: u64,
    /// Whether there is nothing left to drop.
    pub done: bool,
}

/// What a log takes and holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its files.
    pub disk: u64,
    /// When the event of the oldest revision was at which all but what has a floor of its own can be read, in milliseconds since the Unix
    /// epoch; none without events.
    pub readable_since: Option<u64>,
    /// Events a day, by those of the last day, or of the last minutes of a younger log; none if it is younger.
    pub daily: Option<u64>,
}

/// The shortest time that says how many events a day brings.
const TELLING: u64 = 60_000;
const DAY: u64 = 86_400_000;

impl Log {
    /// The floors as they are.
    pub fn floors(&self) -> Arc<Floors> {
        self.store.floors.read().clone()
    }

    /// Raises the floors to where the policy has them at a time, in milliseconds since the Unix epoch. One caller at a time. Blocks on the disk.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub fn retain(&self, retention: &Retention, now: u64) -> Result<(), LogError> {
        let db = self.store.db()?;
        let floors = self.floors();
        let seen = Seen { head: self.head(), over: self.over(&db, retention)? };
        let until = |ago: Duration| {
            let time = now.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
            newest_until(&db, seen.head, time)
        };
        let begins = |revision| Ok(db.event(self.epoch(), revision)?.map_or(revision, |event| event.transaction.0));
        let raised = retention::decide(retention, &floors, &seen, until, begins)?;
        if raised == *floors {
            return Ok(());
        }
        let mut swept = self.store.swept.lock();
        for resource in raised.kept.own.keys() {
            // Until now it was swept with all others.
            let all = swept.to.all;
            swept.to.own.entry(resource.clone()).or_insert(all);
        }
        let mut batch = WriteBatch::default();
        raised.write(&db, &mut batch)?;
        swept.write(&db, &mut batch)?;
        db.write(batch)?;
        *self.store.floors.write() = Arc::new(raised);
        Ok(())
    }

    /// Looks at so many events at most that the floors have let go of, and drops what has to go. Blocks on the disk, for a short time.
    ///
    /// # Errors
    /// If the log cannot be read or written. Nothing is lost by trying again.
    pub fn sweep(&self, most: usize) -> Result<Step, LogError> {
        let db = self.store.db()?;
        let floors = self.floors();
        let mut swept = self.store.swept.lock();
        let Some((classes, from, to)) = swept.next(&floors.kept) else {
            return Ok(Step { done: true, ..Step::default() });
        };
        let sweeps = |resource: &Resource| match floors.kept.own.contains_key(resource) {
            true => classes.contains(resource),
            false => classes.iter().any(|class| class.as_str().is_empty()),
        };
        let mut batch = WriteBatch::default();
        let (mut step, mut reached) = (Step::default(), to);
        // Those of this batch can still be read.
        let mut deletions = HashSet::new();
        for entry in db.between(Family::Log, &format::log_key(from + 1), &format::log_key(to + 1))? {
            if step.seen == most {
                break;
            }
            let (place, record) = entry?;
            let revision = format::parse_u64(&place).ok_or_else(|| damaged("log", &place))?;
            step.seen += 1;
            if step.seen == most {
                reached = revision;
            }
            let (key, change) = format::decode_subject(&record)?;
            if !sweeps(&key.resource) {
                continue;
            }
            if let Some(before) = db.before(&key, revision)?.filter(|before| !deletions.contains(before)) {
                drop_event(&db, &mut batch, &key, before)?;
                step.dropped += 1;
            }
            if change == Change::Deleted {
                drop_event(&db, &mut batch, &key, revision)?;
                deletions.insert(revision);
                step.dropped += 1;
            }
        }
        let mut after = swept.clone();
        classes.iter().for_each(|class| after.to.set(class, reached));
        after.missing = after.missing.map(|missing| missing + step.dropped as u64);
        after.write(&db, &mut batch)?;
        // Not synced: what a crash undoes of it is undone with how far it was.
        db.write_in_background(batch)?;
        *swept = after;
        let next = swept.next(&floors.kept);
        step.behind = next.as_ref().map_or(0, |(_, from, _)| floors.dense_from.saturating_sub(*from));
        step.done = next.is_none();
        Ok(step)
    }

    /// What the log takes and holds at a time. Blocks on the disk.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn usage(&self, now: u64) -> Result<Usage, LogError> {
        let db = self.store.db()?;
        let (head, floors) = (self.head(), self.floors());
        let time_at = |revision| db.first_from(revision, Revision::MAX).map(|first| first.map(|(_, time)| time));
        let readable_since = time_at(floors.kept.all.max(1))?;
        let daily = match time_at(1)? {
            Some(begun) if now.saturating_sub(begun) >= TELLING => {
                let span = (now - begun).min(DAY);
                // Between two epochs no revisions are used.
                let from = newest_until(&db, head, now - span)?.max(self.store.base);
                let events = head.saturating_sub(from);
                Some(u64::try_from(u128::from(events) * u128::from(DAY) / u128::from(span)).unwrap_or(u64::MAX))
            }
            _ => None,
        };
        Ok(Usage { disk: files(&open::folder(&self.store.dir)), readable_since, daily })
    }

    /// The newest revision that has to go so that the log fits on its part of the disk; 0 if it does. It goes by the size of an event, not by
    /// what the disk has, which comes back later than events go.
    fn over(&self, db: &Db, retention: &Retention) -> Result<Revision, LogError> {
        let Some(most) = retention.max_disk else { return Ok(0) };
        let taken = files(&open::folder(&self.store.dir));
        let (events, bytes) = (db.about(Family::Log)?.max(1), db.size(Family::Log)?);
        let beside = taken.saturating_sub(bytes);
        let allowed = u128::from(most.saturating_sub(beside)) * u128::from(events) / u128::from(bytes.max(1));
        let allowed = u64::try_from(allowed).unwrap_or(u64::MAX);
        Ok(if events > allowed { self.head().saturating_sub(allowed) } else { 0 })
    }
}

fn drop_event(db: &Db, batch: &mut WriteBatch, key: &Key, revision: Revision) -> Result<(), LogError> {
    batch.delete_cf(db.family(Family::Log)?, format::log_key(revision));
    batch.delete_cf(db.family(Family::History)?, format::history_key(key, revision));
    Ok(())
}

/// The newest revision up to `head` whose event, or the next one that is kept, was at a time or before; 0 if there is none.
fn newest_until(db: &Db, head: Revision, time: u64) -> Result<Revision, LogError> {
    let (mut low, mut high) = (1, head.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match db.first_from(middle, head)? {
            Some((_, at)) if at <= time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low - 1)
}

/// Bytes of the files in a folder; of what cannot be read, none.
fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).filter(|file| file.is_file()).map(|file| file.len()).sum()
}
