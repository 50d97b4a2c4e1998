//! Reads a log entry by entry across rotation, and waits for more without polling.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::{LogEntry, rotated, tail};
use crate::sys;

/// Longest line that is taken for an entry; the monitor writes none above about 16 KiB.
const MAX_LINE: usize = 1 << 20;

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Only the last lines.
    pub tail: Option<u64>,
    /// Only entries from this moment on (Unix nanoseconds).
    pub since: Option<i64>,
    /// Wait for more at the end, until this is cancelled (when the container has ended): then read to the end.
    pub follow: Option<CancellationToken>,
}

/// A log that is being read, from its oldest file that is still there.
pub struct LogReader {
    path: PathBuf,
    options: LogOptions,
    file: Option<BufReader<File>>,
    /// A line that has begun; its end is not written yet.
    begun: Vec<u8>,
    changes: Option<Changes>,
    ending: bool,
}

/// Tells that something in the log's folder has changed.
struct Changes {
    inotify: Inotify,
    ready: AsyncFd<OwnedFd>,
}

impl LogReader {
    /// Opens a log, which need not exist yet if it is followed. Call it within a tokio runtime.
    ///
    /// # Errors
    /// The file system's; `NotFound` if there is no such log and it is not followed.
    pub fn open(path: &Path, options: LogOptions) -> io::Result<Self> {
        let changes = match (&options.follow, path.parent()) {
            (Some(_), Some(folder)) => Some(watch(folder)?),
            _ => None,
        };
        let files = files(path)?;
        let file = match options.tail {
            _ if files.is_empty() => None,
            Some(lines) => {
                let (i, offset) = tail::start(&files, lines)?;
                let mut file = files.get(i).map(File::open).transpose()?;
                if let Some(file) = &mut file {
                    file.seek(SeekFrom::Start(offset))?;
                }
                file
            }
            None => files.first().map(File::open).transpose()?,
        };
        if file.is_none() && changes.is_none() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no log file {}", path.display())));
        }
        let file = file.map(BufReader::new);
        Ok(Self { path: path.to_owned(), options, file, begun: Vec::new(), changes, ending: false })
    }

    /// The next entry; none at the end (when following: at the end after the cancellation).
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// The file system's.
    pub async fn next(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            if let Some(entry) = self.read()? {
                return Ok(Some(entry));
            }
            let (Some(changes), Some(stop)) = (&self.changes, &self.options.follow) else { return Ok(None) };
            if self.ending {
                return Ok(None);
            }
            tokio::select! {
                // What was written before the cancellation is read once more.
                () = stop.cancelled() => self.ending = true,
                ready = changes.ready.readable() => {
                    let mut ready = ready?;
                    while changes.inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
                    ready.clear_ready();
                },
            }
        }
    }

    /// The next entry that is there.
    fn read(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            let Some(file) = &mut self.file else {
                if !self.open_next(None)? {
                    return Ok(None);
                }
                continue;
            };
            let n = io::Read::take(&mut *file, (MAX_LINE - self.begun.len().min(MAX_LINE)) as u64 + 1)
                .read_until(b'\n', &mut self.begun)?;
            if n == 0 {
                let m = file.get_ref().metadata()?;
                if !self.open_next(Some((m.dev(), m.ino())))? {
                    return Ok(None);
                }
                continue;
            }
            if self.begun.last() != Some(&b'\n') && self.begun.len() <= MAX_LINE {
                // The writer is in the middle of it, or this is the end of a file that was cut.
                continue;
            }
            let line = std::mem::take(&mut self.begun);
            let entry = LogEntry::parse(line.strip_suffix(b"\n").unwrap_or(&line));
            if let Some(entry) = entry
                && self.options.since.is_none_or(|since| entry.at >= since)
            {
                return Ok(Some(entry));
            }
        }
    }

    /// Goes on with the file after the one that has been read to its end; false if that is the newest.
    fn open_next(&mut self, current: Option<(u64, u64)>) -> io::Result<bool> {
        let files = files(&self.path)?;
        let is_current = |path: &PathBuf| fs::metadata(path).is_ok_and(|m| Some((m.dev(), m.ino())) == current);
        // A file that is gone was the oldest: what is oldest now comes after it.
        let next = files.iter().position(is_current).map_or(0, |i| i + 1);
        let Some(path) = files.get(next) else { return Ok(false) };
        match File::open(path) {
            Ok(file) => {
                // Lines written between the last read and the rotation are still in the old file.
                if let Some(old) = &mut self.file
                    && !old.fill_buf()?.is_empty()
                {
                    return Ok(true);
                }
                self.begun.clear();
                self.file = Some(BufReader::new(file));
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = rotated(path)?;
    if path.is_file() {
        files.push(path.to_owned());
    }
    Ok(files)
}

fn watch(folder: &Path) -> io::Result<Changes> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    fs::create_dir_all(folder)?;
    inotify.add_watch(folder, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)?;
    let ready = sys::async_fd(inotify.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
    Ok(Changes { inotify, ready })
}
