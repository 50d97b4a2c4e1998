//! What a `subPath` leads to: resolved inside its volume by the kernel, and held fast by a mount.
//!
//! A container may change links in its volume at any time, also between a check of a path and its use. So the path is opened once
//! (`openat2`, beneath the volume), and what was opened is mounted; what is mounted into the container is that mount.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

/// Mounts what `sub` leads to in `volume` at `place`; it is made (a folder with the volume's permissions) if it is not there.
///
/// # Errors
/// If it leads out of the volume; of the file system.
pub fn hold(volume: &Path, sub: &str, place: &Path) -> io::Result<()> {
    let root = open(volume, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let found = match beneath(&root, Path::new(sub)) {
        Err(Errno::ENOENT) => make(&root, Path::new(sub))?,
        other => other.map_err(named)?,
    };
    let is_folder = SFlag::from_bits_truncate(fstat(&found)?.st_mode).contains(SFlag::S_IFDIR);
    // An earlier start of the container may have left its mount.
    while umount2(place, MntFlags::MNT_DETACH).is_ok() {}
    if is_folder {
        fs::create_dir_all(place)?;
    } else {
        fs::create_dir_all(place.parent().unwrap_or(place))?;
        fs::OpenOptions::new().create(true).append(true).open(place)?;
    }
    let source = format!("/proc/self/fd/{}", found.as_raw_fd());
    Ok(mount(Some(source.as_str()), place, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
}

/// Opens a path below a folder. Links are followed as long as they stay below it.
fn beneath(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root.as_fd(), path, how)
}

/// Makes the folders of a path that are not there, and opens the last.
fn make(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let mode = Mode::from_bits_truncate(fstat(root)?.st_mode & 0o777);
    let mut so_far = std::path::PathBuf::new();
    let mut folder = root.try_clone()?;
    for part in path.components() {
        let Component::Normal(name) = part else {
            return Err(named(Errno::EXDEV));
        };
        so_far.push(name);
        folder = match beneath(root, &so_far) {
            Err(Errno::ENOENT) => {
                let made = match mkdirat(&folder, name, mode) {
                    Ok(()) => true,
                    // Somebody else was quicker, or it is a link to nothing, which the next line tells.
                    Err(Errno::EEXIST) => false,
                    Err(error) => return Err(error.into()),
                };
                let found = beneath(root, &so_far).map_err(named)?;
                if made {
                    // The process' own mask does not count.
                    let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
                    fs::set_permissions(itself, fs::Permissions::from_mode(mode.bits()))?;
                }
                found
            }
            other => other.map_err(named)?,
        };
    }
    Ok(folder)
}

fn named(error: Errno) -> io::Error {
    match error {
        Errno::EXDEV | Errno::ELOOP => io::Error::other("subPath leads out of the volume"),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::volumes::manager::tear_down;

    struct Held {
        dir: tempfile::TempDir,
    }

    impl Held {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("volume")).unwrap();
            fs::create_dir(dir.path().join("outside")).unwrap();
            fs::write(dir.path().join("outside/secret"), "s").unwrap();
            Held { dir }
        }

        fn at(&self, path: &str) -> std::path::PathBuf {
            self.dir.path().join(path)
        }

        fn hold(&self, sub: &str) -> io::Result<()> {
            hold(&self.at("volume"), sub, &self.at("held/0"))
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            tear_down(&self.at("held")).unwrap();
        }
    }

    #[test]
    fn files_and_folders_are_held_and_missing_folders_are_made() {
        let held = Held::new();
        held.hold("a/b").unwrap();
        fs::write(held.at("held/0/x"), "1").unwrap();
        assert_eq!(fs::read_to_string(held.at("volume/a/b/x")).unwrap(), "1");
        // Again, for the next start of the container.
        held.hold("a").unwrap();
        assert!(held.at("held/0/b/x").exists());
        let file = Held::new();
        fs::write(file.at("volume/f"), "2").unwrap();
        symlink("f", file.at("volume/link")).unwrap();
        file.hold("link").unwrap();
        assert_eq!(fs::read_to_string(file.at("held/0")).unwrap(), "2");
    }

    #[test]
    fn nothing_outside_is_reached() {
        let held = Held::new();
        symlink("../outside", held.at("volume/relative")).unwrap();
        symlink(held.at("outside"), held.at("volume/absolute")).unwrap();
        symlink("../nowhere", held.at("volume/dangling")).unwrap();
        for sub in [
            "relative",
            "relative/new",
            "absolute",
            "absolute/secret",
            "dangling/x",
            "../outside",
            "a/../../outside/new",
        ] {
            assert!(held.hold(sub).is_err(), "{sub}");
        }
        assert!(!held.at("outside/new").exists() && !held.at("nowhere").exists());
    }

    #[test]
    fn a_link_that_comes_later_changes_nothing() {
        let held = Held::new();
        fs::create_dir(held.at("volume/a")).unwrap();
        fs::write(held.at("volume/a/x"), "mine").unwrap();
        held.hold("a").unwrap();
        fs::rename(held.at("volume/a"), held.at("volume/b")).unwrap();
        symlink("../outside", held.at("volume/a")).unwrap();
        assert_eq!(fs::read_to_string(held.at("held/0/x")).unwrap(), "mine");
        assert!(!held.at("held/0/secret").exists());
    }
}
