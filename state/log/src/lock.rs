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
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(io)?;
            Err(OpenError::Held { dir: dir.to_owned(), pid: pid.trim().to_owned() })
        }
        Err((_, errno)) => Err(io(errno.into())),
    }
}
