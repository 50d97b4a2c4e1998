//! Small files that hold state: written whole or not at all, read as JSON, locked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a file so that readers see the old content or the new, never a part; durable when `sync`.
///
/// # Errors
/// The file system's.
pub(crate) fn write_atomic(path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // Leaves no litter; if even that fails the first error is what matters.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    if sync && let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Writes a value as JSON, atomically.
///
/// # Errors
/// The file system's.
pub(crate) fn write_json(path: &Path, value: &impl Serialize, sync: bool) -> io::Result<()> {
    write_atomic(path, &serde_json::to_vec(value)?, sync)
}

/// Reads a JSON file; none if there is no such file.
///
/// # Errors
/// The file system's; `InvalidData` for malformed content, naming the file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    serde_json::from_slice(&content)
        .map(Some)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display())))
}

/// Removes a folder with all it holds; fine if there is none.
///
/// # Errors
/// The file system's.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a file; fine if there is none.
///
/// # Errors
/// The file system's.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes a folder that only its owner may enter, with its parents.
///
/// # Errors
/// The file system's.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Waits for the exclusive lock on a file (made if missing); dropping the guard releases it.
///
/// # Errors
/// The file system's.
pub(crate) fn lock(path: &Path) -> io::Result<Flock<File>> {
    flock(path, FlockArg::LockExclusive)
}

/// As [`lock`], but fails with `WouldBlock` when another holds it.
///
/// # Errors
/// The file system's.
pub(crate) fn try_lock(path: &Path) -> io::Result<Flock<File>> {
    flock(path, FlockArg::LockExclusiveNonblock)
}

/// As [`lock`], but shared with others that only want nobody to hold it exclusively.
///
/// # Errors
/// The file system's.
pub(crate) fn lock_shared(path: &Path) -> io::Result<Flock<File>> {
    flock(path, FlockArg::LockShared)
}

fn flock(path: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    Flock::lock(file, how).map_err(|(_, e)| e.into())
}
