//! What can go wrong with the log, each kind beside what it means for the caller.

use std::path::PathBuf;

use cox_objects::{Key, Object, Revision};

use crate::{Outcome, Refusal};

/// Why a log cannot be opened: each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{dir} is in use by process {pid}: stop it first, or choose another --data-dir", dir = .dir.display())]
    Held {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it, as its lock file says.
        pid: String,
    },
    /// A newer version wrote it.
    #[error("{dir} was written by a newer version (format {found}, this one knows up to {known}): upgrade cox, or choose another --data-dir", dir = .dir.display())]
    Newer {
        /// The data directory.
        dir: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest one that this program knows.
        known: u32,
    },
    /// There is no log.
    #[error("there is no log in {dir}: give the folder of a cluster or of a backup", dir = .dir.display())]
    Absent {
        /// The directory.
        dir: PathBuf,
    },
    /// It is damaged beyond a torn tail.
    #[error("the log in {dir} is damaged ({detail}): restore it from a backup, or move the directory away to start an empty cluster", dir = .dir.display())]
    Damaged {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file system refuses.
    #[error("cannot open the log in {dir}: {source}: check that the directory is writable and the disk has space", dir = .dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The revision is older than what is kept: 410.
    #[error("revision {revision} is no longer kept, the oldest one is {oldest}")]
    Expired {
        /// The revision asked for.
        revision: Revision,
        /// The oldest one that can be read.
        oldest: Revision,
    },
    /// The revision is newer than the head.
    #[error("revision {revision} is above the head, {head}")]
    Future {
        /// The revision asked for.
        revision: Revision,
        /// The newest one there is.
        head: Revision,
    },
    /// A record is damaged.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The disk does not answer.
    #[error("cannot read the log: {0}")]
    Io(String),
    /// The log is closed, or being opened again after the disk was full.
    #[error("the log is closed")]
    Closed,
}

/// Why a transaction was not committed. All but `Unknown` and `Repeated` say that it surely was not.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// There is an object already where one is to be created.
    #[error("{0} exists already")]
    Exists(Key),
    /// There is no object where one is to be changed or deleted.
    #[error("{0} does not exist")]
    Missing(Key),
    /// A precondition does not hold.
    #[error("{key} is not as the writer expected it")]
    Conflict {
        /// Which object.
        key: Key,
        /// As it is; none if it is not there.
        current: Option<Object>,
    },
    /// A guard does not hold.
    #[error("{}", .0.status.message)]
    Guard(Refusal),
    /// An object is too large.
    #[error("{key} has {size} bytes, {limit} are allowed")]
    TooLarge {
        /// Which.
        key: Key,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A key that cannot be stored (a NUL byte, an empty name), or a transaction without changes.
    #[error("{0} cannot be stored")]
    Invalid(String),
    /// Nothing can be written now (a full disk, a closing log). Surely not done.
    #[error("the log cannot be written: {0}")]
    NotWritable(String),
    /// The disk failed in the middle: perhaps done. Ask again with the same request id.
    #[error("the log failed while it wrote: whether it is done shows when it is open again")]
    Unknown,
    /// The request was carried out, or refused, before; this is how.
    #[error("the request was answered before")]
    Repeated(Outcome),
}
