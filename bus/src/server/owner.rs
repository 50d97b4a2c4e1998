//! One process owns a server's directory: whoever else starts on it is told so, and does not touch the server that runs.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::ServerError;

/// The lock, held until it is dropped or the process is gone.
pub(super) struct Owner {
    _file: Flock<File>,
}

impl Owner {
    /// Takes the lock of a cluster's `bus` directory, and leaves this process's number in it.
    pub(super) fn of(data_dir: &Path, dir: &Path) -> Result<Owner, ServerError> {
        let path = dir.join("lock");
        let io = |source| ServerError::Io(path.clone(), source);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io)?;
                Ok(Owner { _file: file })
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(io)?;
                Err(ServerError::InUse { dir: data_dir.to_owned(), pid: pid.trim().to_owned() })
            }
            Err((_, errno)) => Err(io(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let data = Path::new("/data");
        let first = Owner::of(data, dir.path()).unwrap();
        let second = Owner::of(data, dir.path()).err().unwrap().to_string();
        let pid = std::process::id();
        assert_eq!(
            second,
            format!("/data is in use by process {pid}: stop it first, or choose another data directory")
        );
        drop(first);
        Owner::of(data, dir.path()).unwrap();
    }
}
