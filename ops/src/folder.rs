//! Folders that are there whole or not at all, and durable copies of what is in others.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// A folder in the making, beside where it will be; it is gone if it is not finished.
pub struct Fresh {
    making: TempDir,
    to: PathBuf,
}

impl Fresh {
    /// Begins a folder (0700) that will be `to`, which must be empty or not be there.
    ///
    /// # Errors
    /// One line that says what to do.
    pub fn new(to: &Path) -> Result<Self> {
        match fs::read_dir(to) {
            Ok(mut files) => {
                ensure!(files.next().is_none(), "{} is not empty; give a folder that is not there yet", to.display())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be used", to.display())),
        }
        let to = std::path::absolute(to)?;
        let Some(parent) = to.parent() else { bail!("{} cannot be used; give a folder in it", to.display()) };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.with_context(|| format!("{} cannot be made", parent.display()))?;
        let mut private = tempfile::Builder::new();
        private.prefix(".cox-").permissions(fs::Permissions::from_mode(0o700));
        let making = private.tempdir_in(parent);
        let making = making.with_context(|| format!("{} cannot be written", parent.display()))?;
        Ok(Fresh { making, to })
    }

    /// Where it is as long as it is not finished.
    pub fn path(&self) -> &Path {
        self.making.path()
    }

    /// Puts it where it belongs, durably.
    ///
    /// # Errors
    /// If something is there meanwhile, or it is a file system of its own.
    pub fn finish(self) -> Result<()> {
        let Fresh { making, to } = self;
        sync(making.path())?;
        fs::rename(making.path(), &to)
            .with_context(|| format!("{} cannot be made; give a folder that is not there yet", to.display()))?;
        // It is not there any more under its old name: nothing to remove.
        drop(making.keep());
        to.parent().map_or(Ok(()), sync)
    }
}

/// Copies a file, or a folder with all in it, durably and as private as it is; files that go away meanwhile are left out.
///
/// # Errors
/// If something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let about = || format!("{} cannot be copied to {}", from.display(), to.display());
    let facts = match fs::metadata(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        facts => facts.with_context(about)?,
    };
    if facts.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(to).with_context(about)?;
        for entry in fs::read_dir(from).with_context(about)? {
            let name = entry.with_context(about)?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
    } else {
        fs::copy(from, to).with_context(about)?;
    }
    sync(to)
}

fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.with_context(|| format!("{} cannot be written to the disk", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("keys")).unwrap();
        fs::write(from.join("keys").join("a"), "secret").unwrap();
        fs::set_permissions(from.join("keys").join("a"), fs::Permissions::from_mode(0o600)).unwrap();
        let to = dir.path().join("to");
        let given_up = Fresh::new(&to).unwrap();
        copy(&from, &given_up.path().join("x")).unwrap();
        drop(given_up);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left of it");

        fs::create_dir(&to).unwrap();
        let fresh = Fresh::new(&to).unwrap();
        copy(&from, &fresh.path().join("x")).unwrap();
        copy(&from.join("not there"), &fresh.path().join("y")).unwrap();
        fresh.finish().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&to), mode(&to.join("x").join("keys").join("a"))), (0o700, 0o600));
        assert_eq!(fs::read_to_string(to.join("x").join("keys").join("a")).unwrap(), "secret");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let refused = Fresh::new(&to).err().unwrap().to_string();
        assert!(refused.contains("is not empty"), "{refused}");
    }
}
