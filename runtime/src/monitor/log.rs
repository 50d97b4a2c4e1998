//! A container's log file in the CRI's text form: `time stream P|F line`, rotated by size.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::clock;

/// Longest line that is written as one entry; longer ones become several, all but the last marked `P`.
const LINE: usize = 16 * 1024;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// The text before each entry's content.
fn prefix(nanos: i64, stream: Stream, whole: bool) -> String {
    let stream = if stream == Stream::Stdout { "stdout" } else { "stderr" };
    format!("{} {stream} {} ", clock::rfc3339(nanos), if whole { 'F' } else { 'P' })
}

/// Cuts one stream's bytes into entries.
#[derive(Debug)]
pub(super) struct Lines {
    stream: Stream,
    /// The beginning of a line whose end has not come yet; shorter than [`LINE`].
    begun: Vec<u8>,
}

impl Lines {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, begun: Vec::new() }
    }

    /// Takes bytes as they came at `nanos` and appends the entries that are complete.
    pub(super) fn feed(&mut self, nanos: i64, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = LINE - self.begun.len();
            let end = bytes.iter().take(room + 1).position(|b| *b == b'\n');
            let (taken, rest, whole) = match end {
                Some(end) => (bytes.get(..end), bytes.get(end + 1..), true),
                None if bytes.len() > room => (bytes.get(..room), bytes.get(room..), false),
                None => {
                    self.begun.extend_from_slice(bytes);
                    return;
                }
            };
            self.entry(nanos, taken.unwrap_or_default(), whole, out);
            bytes = rest.unwrap_or_default();
        }
    }

    /// The stream has ended: what has begun is an entry as well.
    pub(super) fn finish(&mut self, nanos: i64, out: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            // Marked as partial, because no line end came.
            self.entry(nanos, &[], false, out);
        }
    }

    fn entry(&mut self, nanos: i64, more: &[u8], whole: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(prefix(nanos, self.stream, whole).as_bytes());
        out.append(&mut self.begun);
        out.extend_from_slice(more);
        out.push(b'\n');
    }
}

/// The file, with its rotation.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    max_bytes: u64,
    max_files: usize,
}

impl LogFile {
    /// Opens the file for appending, making it and its folder if missing.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn open(path: &Path, max_bytes: u64, max_files: usize) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, max_bytes, max_files: max_files.max(1) })
    }

    /// Appends entries. A disk that is full loses log lines, never the container.
    pub(super) fn write(&mut self, nanos: i64, entries: &[u8]) {
        if self.bytes > 0 && self.bytes + entries.len() as u64 > self.max_bytes {
            let _ = self.rotate(nanos);
        }
        if self.file.write_all(entries).is_ok() {
            self.bytes += entries.len() as u64;
        }
    }

    /// Closes the file and opens the one that now has its name.
    ///
    /// # Errors
    /// The file system's; the old file stays open then.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }

    fn rotate(&mut self, nanos: i64) -> io::Result<()> {
        let mut name = self.path.as_os_str().to_owned();
        // The time with its fraction: names sort by age and never meet.
        let [year, month, day, hour, minute, second] = clock::civil(nanos);
        let fraction = nanos.rem_euclid(1_000_000_000);
        name.push(format!(".{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}.{fraction:09}"));
        fs::rename(&self.path, &name)?;
        self.reopen()?;
        let old = crate::logs::rotated(&self.path)?;
        for excess in old.iter().take((old.len() + 1).saturating_sub(self.max_files)) {
            fs::remove_file(excess)?;
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests;
