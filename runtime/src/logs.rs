//! Reads containers' log files: the CRI's text form, rotated files, from the end, since a time, followed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock;

mod follow;
mod tail;

pub use follow::{LogOptions, LogReader};

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output (or the terminal).
    Stdout,
    /// Standard error.
    Stderr,
}

/// One entry of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was written (Unix nanoseconds).
    pub at: i64,
    /// From which stream.
    pub stream: LogStream,
    /// The content without its line end.
    pub content: Vec<u8>,
    /// The line ends here; otherwise its next entry goes on with it.
    pub whole: bool,
}

impl LogEntry {
    /// Parses a line of a log file, without its line end. None for what is not in the form.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(4, |b| *b == b' ');
        let at = clock::parse_rfc3339(std::str::from_utf8(fields.next()?).ok()?)?;
        let stream = match fields.next()? {
            b"stdout" => LogStream::Stdout,
            b"stderr" => LogStream::Stderr,
            _ => return None,
        };
        // Tags are separated by colons; the first says whether the line is whole.
        let whole = match fields.next()?.split(|b| *b == b':').next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Self { at, stream, content: fields.next()?.to_vec(), whole })
    }

    /// The time as log files have it.
    #[must_use]
    pub fn timestamp(&self) -> String {
        clock::rfc3339(self.at)
    }
}

/// The rotated files of a log, the oldest first; the current one is not among them.
///
/// # Errors
/// The file system's, but for a folder that is not there: then there are none.
pub fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Ok(Vec::new());
    };
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let is_time = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| {
            let other = e.file_name();
            other.to_str().and_then(|o| o.strip_prefix(name)?.strip_prefix('.')).is_some_and(is_time)
        })
        .map(|e| e.path())
        .collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
