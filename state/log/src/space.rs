//! Whether the disk has space, asked now and then so that the log stops before it is full, and whether it takes anything at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the file system is asked.
const EVERY: Duration = Duration::from_secs(1);

/// Watches the free space of one folder.
pub(crate) struct Space {
    reserve: u64,
    asked: Option<Instant>,
    enough: Result<(), String>,
}

impl Space {
    /// A watch that wants so many bytes free.
    pub(crate) fn new(reserve: u64) -> Self {
        Space { reserve, asked: None, enough: Ok(()) }
    }

    /// Whether there is enough space; the answer may be a second old.
    pub(crate) fn check(&mut self, folder: &Path) -> Result<(), String> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= EVERY) {
            self.asked = Some(Instant::now());
            self.enough = match nix::sys::statvfs::statvfs(folder) {
                Ok(stat) => enough(stat.blocks_available() * stat.fragment_size(), self.reserve),
                // Not knowing is no reason to stop; the write will tell.
                Err(_) => Ok(()),
            };
        }
        self.enough.clone()
    }
}

/// Writes a little to the disk and takes it away again: whether a log that failed there could be opened.
pub(crate) fn takes_writes(folder: &Path) -> Result<(), String> {
    let file = folder.join("probe");
    let written = File::create(&file).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => written,
    }
    .map_err(|error| format!("the disk cannot be written: {error}"))
}

fn enough(free: u64, reserve: u64) -> Result<(), String> {
    if free >= reserve {
        return Ok(());
    }
    Err(format!("the disk has {} MiB left, {} MiB are kept free", free >> 20, reserve >> 20))
}

#[cfg(test)]
mod tests;
