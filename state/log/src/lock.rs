//! One process owns a log: the lock file in the data directory, with the owner's pid.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::OpenError;

/// The lock, held until it is dropped or the process is gone.
pub(crate) struct Held {
    _file: Flock<File>,
}

/// Whether a process has the log of a data directory now.
///
/// # Errors
/// Which one, or that it cannot be known.
pub fn is_free(dir: &Path) -> Result<(), OpenError> {
    share(dir).map(drop)
}

/// Keeps others from taking the lock of a data directory while it is read, without writing anything; a backup has none.
pub(crate) fn share(dir: &Path) -> Result<Option<Held>, OpenError> {
    let io = |source| OpenError::Io { dir: dir.to_owned(), source };
    let file = match File::open(dir.join("lock")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io)?,
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(file) => Ok(Some(Held { _file: file })),
        Err((file, nix::errno::Errno::EWOULDBLOCK)) => Err(held(dir, file)),
        Err((_, errno)) => Err(io(errno.into())),
    }
}

fn held(dir: &Path, mut file: File) -> OpenError {
    let mut pid = String::new();
    match file.read_to_string(&mut pid) {
        Ok(_) => OpenError::Held { dir: dir.to_owned(), pid: pid.trim().to_owned() },
        Err(source) => OpenError::Io { dir: dir.to_owned(), source },
    }
}

/// Takes the lock of a data directory.
pub(crate) fn take(dir: &Path) -> Result<Held, OpenError> {
    let io = |source| OpenError::Io { dir: dir.to_owned(), source };
    let path = dir.join("lock");
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            file.set_len(0).map_err(io)?;
            file.rewind().map_err(io)?;
            writeln!(file, "{}", std::process::id()).map_err(io)?;
            Ok(Held { _file: file })
        }
        Err((file, nix::errno::Errno::EWOULDBLOCK)) => Err(held(dir, file)),
        Err((_, errno)) => Err(io(errno.into())),
    }
}
