//! Cutting a log back to an earlier revision: what came later is gone, and every object is as it was.

use std::collections::HashSet;
use std::path::Path;

use cox_objects::{Change, Epoch, Key, Revision};
use rocksdb::WriteBatch;

use crate::db::{Db, damaged};
use crate::floors::{Floors, Swept};
use crate::format::{self, Family};
use crate::retention::TRANSIENT;
use crate::{LogError, OpenError, Options, lock, open};

/// Until where a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This revision, or the one before the transaction that it is in the middle of.
    Revision(Revision),
    /// The last transaction before the first one that is later, in milliseconds since the Unix epoch.
    Time(u64),
}

/// Why a log cannot be cut.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It ends before.
    #[error("revision {wanted} is above the newest one, {head}")]
    Future {
        /// Which was asked for.
        wanted: Revision,
        /// The newest one there is.
        head: Revision,
    },
    /// It begins after.
    #[error("the log begins later than that: its first revision is {0}")]
    Before(Revision),
    /// The past of some objects is not kept that long.
    #[error("the past of {of} is kept from revision {floor} on, and {wanted} is older")]
    Compacted {
        /// Which objects.
        of: String,
        /// The oldest revision at which they can be read.
        floor: Revision,
        /// Which was asked for.
        wanted: Revision,
    },
}

/// How many events are taken back with one write.
const AT_ONCE: usize = 1000;

/// Cuts the log of a data directory that nobody has open, and gives its newest revision then. Ended in the middle it leaves a log that does
/// not pass [`crate::verify()`]: it is for copies. No revision may be given out again after it, so a new epoch must begin.
///
/// # Errors
/// If the log does not reach there, or cannot be read or written.
pub fn cut(dir: &Path, options: &Options, until: Until) -> Result<Revision, CutError> {
    let _held = lock::take(dir)?;
    let (db, facts) = open::open(dir, options)?;
    let wanted = match until {
        Until::Revision(wanted) if wanted > facts.head => return Err(CutError::Future { wanted, head: facts.head }),
        Until::Revision(wanted) => wanted,
        Until::Time(time) => match first_later(&db, facts.epoch, time)? {
            None => return Ok(facts.head),
            Some(later) => later.saturating_sub(1),
        },
    };
    let wanted = whole_at(&db, facts.epoch, wanted)?;
    kept(&db, wanted)?;
    let Some(head) = db.newest_before(wanted)? else {
        let first = oldest(&db)?;
        return Err(CutError::Before(first));
    };
    let taken = take_back(&db, head)?;
    if let Some(missing) = Swept::read(&db, facts.base)?.missing {
        let missing = (missing + taken).saturating_sub(facts.head - head.max(facts.base));
        let mut batch = WriteBatch::default();
        batch.put_cf(db.family(Family::Meta)?, format::META_MISSING, missing.to_be_bytes());
        db.write(batch).map_err(LogError::from)?;
    }
    Ok(head)
}

fn oldest(db: &Db) -> Result<Revision, LogError> {
    match db.walk(Family::Log, &[])?.next() {
        None => Ok(0),
        Some(entry) => {
            let (place, _) = entry?;
            format::parse_u64(&place).ok_or_else(|| damaged("log", &place))
        }
    }
}

/// The revision, or the one before the transaction that it is in the middle of.
fn whole_at(db: &Db, epoch: Epoch, revision: Revision) -> Result<Revision, LogError> {
    let Some(newest) = db.newest_before(revision)? else { return Ok(revision) };
    match db.event(epoch, newest)?.map(|event| event.transaction) {
        // One whose end was dropped is whole all the same.
        Some((first, last)) if last > revision => Ok(first.saturating_sub(1)),
        _ => Ok(revision),
    }
}

/// The revision of the first event that is later than a time. Clocks can go back, so all before it are read.
fn first_later(db: &Db, epoch: Epoch, time: u64) -> Result<Option<Revision>, LogError> {
    for entry in db.walk(Family::Log, &[])? {
        let (place, record) = entry?;
        let revision = format::parse_u64(&place).ok_or_else(|| damaged("log", &place))?;
        if format::decode_event(epoch, revision, &record)?.time > time {
            return Ok(Some(revision));
        }
    }
    Ok(None)
}

/// That every resource's past is kept so far back, but of what machines write all the time: those objects are as they were, or not there.
fn kept(db: &Db, wanted: Revision) -> Result<(), CutError> {
    let floors = Floors::read(db, 0)?.kept;
    let lasting = floors.classes().filter(|(class, _)| !TRANSIENT.contains(class));
    match lasting.max_by_key(|(_, floor)| *floor).filter(|(_, floor)| *floor > wanted) {
        None => Ok(()),
        Some((class, floor)) => {
            let of = if class.as_str().is_empty() { "objects".to_owned() } else { class.to_string() };
            Err(CutError::Compacted { of, floor, wanted })
        }
    }
}

/// Takes back everything after `head`: objects first, then their events, then the outcomes. Gives how many events there were.
fn take_back(db: &Db, head: Revision) -> Result<u64, LogError> {
    let (current, history) = (db.family(Family::Current)?, db.family(Family::History)?);
    let mut seen: HashSet<Key> = HashSet::new();
    let mut batch = WriteBatch::default();
    let mut taken = 0;
    for entry in db.walk(Family::Log, &format::log_key(head + 1))? {
        let (place, record) = entry?;
        taken += 1;
        let revision = format::parse_u64(&place).ok_or_else(|| damaged("log", &place))?;
        let (key, _) = format::decode_subject(&record)?;
        batch.delete_cf(history, format::history_key(&key, revision));
        if !seen.contains(&key) {
            match made_by(db, &key, head)? {
                Some(made) => batch.put_cf(current, format::current_key(&key), made.to_be_bytes()),
                None => batch.delete_cf(current, format::current_key(&key)),
            }
            seen.insert(key);
        }
        if batch.len() >= AT_ONCE {
            db.write(std::mem::take(&mut batch))?;
        }
    }
    let requests = db.family(Family::Requests)?;
    for entry in db.walk(Family::Requests, &[])? {
        let (place, value) = entry?;
        if format::decode_outcome(&value)?.last > head {
            batch.delete_cf(requests, place);
        }
    }
    batch.delete_range_cf(db.family(Family::Log)?, format::log_key(head + 1), format::log_key(Revision::MAX));
    db.write(batch)?;
    Ok(taken)
}

/// The revision that made an object at a revision; none if it was not there.
fn made_by(db: &Db, key: &Key, at: Revision) -> Result<Option<Revision>, LogError> {
    let mut cursor = db.cursor(Family::History)?;
    cursor.seek_for_prev(format::history_key(key, at));
    cursor.status()?;
    let Some((of, made)) = cursor.key().and_then(format::parse_history_key) else { return Ok(None) };
    let there = of == *key && db.subject(made)?.is_some_and(|(_, change)| change != Change::Deleted);
    Ok(there.then_some(made))
}
