//! Opening a log: the lock, the format, the epoch, and what is checked before anything is served.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cox_objects::{Epoch, Revision};
use rocksdb::{ErrorKind, WriteBatch};

use crate::db::Db;
use crate::floors::Swept;
use crate::format::{self, FORMAT, Family};
use crate::{LogError, OpenError, Options};

/// What an open database says about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) epoch: Epoch,
    /// The revision before the epoch's first.
    pub(crate) base: Revision,
    /// The newest revision of the epochs before: between it and `base` there is nothing, and what clients know from there was lost.
    pub(crate) kept: Revision,
    pub(crate) head: Revision,
    pub(crate) dense_from: Revision,
}

/// The folder of the database in a data directory.
pub(crate) fn folder(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// Makes the data directory if it is not there; nobody else may look into it.
pub(crate) fn make(dir: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| OpenError::Io { dir: dir.to_owned(), source })
}

/// Opens the database of a data directory for reading only. It must be there, and its format be known.
pub(crate) fn open_to_read(dir: &Path, options: &Options) -> Result<Db, OpenError> {
    let damaged = |detail: String| OpenError::Damaged { dir: dir.to_owned(), detail };
    let folder = folder(dir);
    if !folder.exists() {
        return Err(OpenError::Absent { dir: dir.to_owned() });
    }
    if !folder.join("CURRENT").exists() {
        return Err(damaged("log/CURRENT is missing".to_owned()));
    }
    let db = Db::open_to_read(&folder, options).map_err(|error| refused(dir, error))?;
    let format = db.meta(format::META_FORMAT).map_err(|error| damaged(error.to_string()))?;
    match format.as_deref().map(format::parse_u32) {
        Some(Some(found)) if found > FORMAT => Err(OpenError::Newer { dir: dir.to_owned(), found, known: FORMAT }),
        Some(Some(_)) => Ok(db),
        Some(None) | None => Err(damaged("there is no format".to_owned())),
    }
}

/// Opens the database of a data directory whose lock is held.
pub(crate) fn open(dir: &Path, options: &Options) -> Result<(Db, Facts), OpenError> {
    let folder = folder(dir);
    // RocksDB would start an empty database beside the remains, and the next opening would take it for the log.
    let remains = std::fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some());
    if remains && !folder.join("CURRENT").exists() {
        return Err(OpenError::Damaged { dir: dir.to_owned(), detail: "log/CURRENT is missing".to_owned() });
    }
    let db = Db::open(&folder, options).map_err(|error| refused(dir, error))?;
    let facts = facts(dir, &db)?;
    // RocksDB syncs what is in its folder; that the folder is there has to last too.
    let sync = |dir: &Path| std::fs::File::open(dir).and_then(|file| file.sync_all());
    sync(dir).map_err(|source| OpenError::Io { dir: dir.to_owned(), source })?;
    if let Some(parent) = dir.parent()
        && let Err(error) = sync(parent)
    {
        // It may not be ours to open, and the data directory has been there for a while then.
        tracing::debug!(%error, parent = %parent.display(), "not synced");
    }
    Ok((db, facts))
}

fn facts(dir: &Path, db: &Db) -> Result<Facts, OpenError> {
    let unreadable = |error: LogError| match error {
        LogError::Io(detail) => OpenError::Io { dir: dir.to_owned(), source: std::io::Error::other(detail) },
        error => OpenError::Damaged { dir: dir.to_owned(), detail: error.to_string() },
    };
    let damaged = |detail: &str| OpenError::Damaged { dir: dir.to_owned(), detail: detail.to_owned() };
    match db.meta(format::META_FORMAT).map_err(unreadable)? {
        None => {
            if db.newest_before(Revision::MAX).map_err(unreadable)?.is_some() {
                return Err(damaged("there are events, but no format"));
            }
            initialize(db).map_err(unreadable)?;
        }
        Some(value) => {
            let found = format::parse_u32(&value).ok_or_else(|| damaged("the format is not a number"))?;
            if found > FORMAT {
                return Err(OpenError::Newer { dir: dir.to_owned(), found, known: FORMAT });
            }
        }
    }
    let epoch = db.meta_u64(format::META_EPOCH).map_err(unreadable)?.ok_or_else(|| damaged("there is no epoch"))?;
    let base = db.meta_u64(format::META_BASE).map_err(unreadable)?.unwrap_or(0);
    let dense_from = db.meta_u64(format::META_DENSE_FROM).map_err(unreadable)?.unwrap_or(base + 1);
    let newest = db.newest_before(Revision::MAX).map_err(unreadable)?.unwrap_or(0);
    let kept = db.newest_before(base).map_err(unreadable)?.unwrap_or(0);
    if newest > 0 {
        whole(db, Epoch(epoch), newest, dense_from).map_err(unreadable)?;
    }
    Ok(Facts { epoch: Epoch(epoch), base, kept, head: newest.max(base), dense_from })
}

/// Checks that the newest transaction is whole, as far as nothing of it may have been dropped, and is what its objects are made of.
fn whole(db: &Db, epoch: Epoch, head: Revision, dense_from: Revision) -> Result<(), LogError> {
    let missing = |revision| LogError::Damaged(format!("the event at revision {revision} is missing"));
    let newest = db.event(epoch, head)?.ok_or_else(|| missing(head))?;
    let (first, last) = newest.transaction;
    if last != head && last >= dense_from {
        return Err(LogError::Damaged(format!("the transaction of revisions {first} to {last} is cut off at {head}")));
    }
    for revision in first.max(dense_from)..last {
        db.event(epoch, revision)?.ok_or_else(|| missing(revision))?;
    }
    let gone = newest.change == cox_objects::Change::Deleted;
    if db.current(&newest.key)? != (!gone).then_some(head) {
        return Err(LogError::Damaged(format!("{} does not stand as revision {head} left it", newest.key)));
    }
    Ok(())
}

fn initialize(db: &Db) -> Result<(), LogError> {
    begin(db, 0, &[(format::META_FORMAT, &FORMAT.to_be_bytes())])
}

/// Begins a new epoch of a data directory's log whose first revision is the one after `base`.
pub(crate) fn begin_epoch(dir: &Path, options: &Options, base: Revision) -> Result<(), OpenError> {
    let (db, facts) = open(dir, options)?;
    let failed =
        |error: LogError| OpenError::Io { dir: dir.to_owned(), source: std::io::Error::other(error.to_string()) };
    let base = base.max(facts.head);
    let dense_from = (base + 1).to_be_bytes();
    let mut changed = vec![(format::META_DENSE_FROM, dense_from.as_slice())];
    // The revisions that are leapt over are missing too.
    let missing = Swept::read(&db, facts.base).map_err(failed)?.missing;
    let missing = missing.map(|missing| (missing + base - facts.head).to_be_bytes());
    changed.extend(missing.iter().map(|missing| (format::META_MISSING, missing.as_slice())));
    begin(&db, base, &changed).map_err(failed)
}

fn begin(db: &Db, base: Revision, facts: &[(&[u8], &[u8])]) -> Result<(), LogError> {
    // The low half of a random UUID has its variant bits in it, so it is never 0.
    let epoch = uuid::Uuid::new_v4().as_u64_pair().1;
    let meta = db.family(Family::Meta)?;
    let mut batch = WriteBatch::default();
    batch.put_cf(meta, format::META_EPOCH, epoch.to_be_bytes());
    batch.put_cf(meta, format::META_BASE, base.to_be_bytes());
    for (key, value) in facts {
        batch.put_cf(meta, key, value);
    }
    Ok(db.write(batch)?)
}

fn refused(dir: &Path, error: rocksdb::Error) -> OpenError {
    let dir = dir.to_owned();
    match error.kind() {
        ErrorKind::IOError => OpenError::Io { dir, source: std::io::Error::other(error.into_string()) },
        ErrorKind::InvalidArgument | ErrorKind::NotSupported => {
            OpenError::Damaged { dir, detail: format!("RocksDB cannot open it: {error}") }
        }
        _ => OpenError::Damaged { dir, detail: error.into_string() },
    }
}
