//! Free space on the disk, asked now and then, so that the log stops before the disk is full.

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

fn enough(free: u64, reserve: u64) -> Result<(), String> {
    if free >= reserve {
        return Ok(());
    }
    Err(format!("the disk has {} MiB left, {} MiB are kept free", free >> 20, reserve >> 20))
}

#[cfg(test)]
mod tests;
