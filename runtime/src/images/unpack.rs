//! Unpacks a layer's archive below one folder and nowhere else.
//!
//! Every path is looked up with `openat2(RESOLVE_IN_ROOT)`: links inside the layer, absolute ones too, lead
//! inside it. Device nodes are left out. Whiteouts become what overlayfs understands: `.wh.x` a 0:0 character
//! device `x`, `.wh..wh..opq` the attribute `trusted.overlay.opaque` on its folder.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use tar::{Entry, EntryType};

use crate::sys;

/// Bounds besides the bytes, which the reader counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) entries: u64,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const XATTR: &str = "SCHILY.xattr.";

/// Unpacks `stream` into the empty folder `target`. `below` are the layers under it, the nearest first: a
/// folder that the archive only implies looks as it does there.
pub(super) fn unpack(stream: impl Read, target: &Path, below: Vec<PathBuf>, bounds: Bounds) -> io::Result<()> {
    fs::set_permissions(target, fs::Permissions::from_mode(0o755))?;
    let root = open(target, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut layer = Layer { root, below, last: None, folder_times: Vec::new() };
    let mut archive = tar::Archive::new(stream);
    let mut count = 0;
    for entry in archive.entries()? {
        count += 1;
        if count > bounds.entries {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {} files", bounds.entries)));
        }
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        layer.take(&mut entry, &path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    }
    layer.finish()
}

struct Layer {
    root: OwnedFd,
    below: Vec<PathBuf>,
    /// The folder of the entry before: archives go folder by folder.
    last: Option<(PathBuf, OwnedFd)>,
    /// Set at the end, because what is put into a folder changes its time.
    folder_times: Vec<(PathBuf, TimeSpec)>,
}

impl Layer {
    fn take(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let parts: Vec<&OsStr> = parts(path)?;
        let Some((name, folder)) = parts.split_last() else {
            // "./" itself: what the image says of its root.
            return self.folder_attributes(entry, Path::new("."));
        };
        let folder: PathBuf = folder.iter().collect();
        let parent = self.folder(&folder)?;
        if name.as_bytes() == OPAQUE {
            return sys::set_xattr(&via(&parent, OsStr::new(".")), b"trusted.overlay.opaque", b"y");
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            if hidden.starts_with(WHITEOUT) || matches!(hidden, b"" | b"." | b"..") {
                // Bookkeeping of aufs.
                return Ok(());
            }
            let at = via(&parent, OsStr::from_bytes(hidden));
            remove(&at)?;
            return Ok(mknod(&at, SFlag::S_IFCHR, Mode::empty(), 0)?);
        }
        let at = via(&parent, name);
        let kind = entry.header().entry_type();
        let relative = folder.join(name);
        match kind {
            EntryType::Directory => {
                match fs::symlink_metadata(&at) {
                    Ok(m) if m.is_dir() => {}
                    Ok(_) => {
                        remove(&at)?;
                        fs::create_dir(&at)?;
                    }
                    Err(_) => fs::create_dir(&at)?,
                }
                self.last = None;
                self.folder_attributes(entry, &relative)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                remove(&at)?;
                let mut file = File::options().write(true).create_new(true).open(&at)?;
                io::copy(entry, &mut file)?;
                attributes(entry, &at, false)?;
                Ok(())
            }
            EntryType::Symlink => {
                let to = entry.link_name()?.ok_or_else(|| invalid("a link without a target"))?.into_owned();
                remove(&at)?;
                symlink(to, &at)?;
                attributes(entry, &at, true)
            }
            EntryType::Link => {
                let to = entry.link_name()?.ok_or_else(|| invalid("a link without a target"))?.into_owned();
                let to_parts = self::parts(&to)?;
                let Some((to_name, to_folder)) = to_parts.split_last() else {
                    return Err(invalid("a hard link to the root"));
                };
                let to_folder = self.lookup(&to_folder.iter().collect::<PathBuf>())?;
                let from = via(&to_folder, to_name);
                if same(&from, &at) {
                    return Ok(());
                }
                remove(&at)?;
                fs::hard_link(from, at)
            }
            EntryType::Fifo => {
                remove(&at)?;
                mknod(&at, SFlag::S_IFIFO, Mode::from_bits_truncate(0o600), 0)?;
                attributes(entry, &at, false)
            }
            // Device nodes are the runtime's to give; the rest is bookkeeping of the archive.
            _ => Ok(()),
        }
    }

    /// An open folder of the layer, made with its parents if missing.
    fn folder(&mut self, path: &Path) -> io::Result<OwnedFd> {
        if let Some((known, fd)) = &self.last
            && known == path
        {
            return fd.try_clone();
        }
        let fd = match self.lookup(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let parent = self.folder(path.parent().unwrap_or(Path::new("")))?;
                let name = path.file_name().ok_or_else(|| invalid("an empty name"))?;
                let at = via(&parent, name);
                // What hides the folder of a lower layer has to give way to a folder.
                remove(&at)?;
                fs::create_dir(&at)?;
                self.look_like_below(path, &at)?;
                self.lookup(path)?
            }
            Err(e) if e.raw_os_error() == Some(Errno::ENOTDIR as i32) => {
                return Err(invalid("its folder is not a folder"));
            }
            other => other?,
        };
        self.last = Some((path.to_owned(), fd.try_clone()?));
        Ok(fd)
    }

    fn lookup(&self, path: &Path) -> io::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Ok(openat2(self.root.as_fd(), path, how)?)
    }

    fn look_like_below(&self, path: &Path, at: &Path) -> io::Result<()> {
        // Without following links out of the layer: a folder that is behind a link there has no look here.
        let found = self.below.iter().find_map(|layer| fs::symlink_metadata(layer.join(path)).ok());
        let (mode, uid, gid) = match found.filter(fs::Metadata::is_dir) {
            Some(m) => (m.mode() & 0o7777, m.uid(), m.gid()),
            None => (0o755, 0, 0),
        };
        own(at, uid, gid)?;
        fs::set_permissions(at, fs::Permissions::from_mode(mode))
    }

    fn folder_attributes(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        let fd = self.lookup(path)?;
        attributes(entry, &via(&fd, OsStr::new(".")), false)?;
        self.folder_times.push((path.to_owned(), modified(entry)));
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        for (path, time) in self.folder_times.iter().rev() {
            // It may have been replaced by something else later in the archive.
            if let Ok(fd) = self.lookup(path) {
                let at = via(&fd, OsStr::new("."));
                utimensat(nix::fcntl::AT_FDCWD, &at, time, time, UtimensatFlags::FollowSymlink)?;
            }
        }
        Ok(())
    }
}

/// The parts of a path; `..` is refused rather than followed.
fn parts(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => return Err(invalid("a path with ..")),
            _ => {}
        }
    }
    Ok(parts)
}

/// The path of a name in an open folder: nothing on the way can be exchanged for a link.
fn via(folder: &OwnedFd, name: &OsStr) -> PathBuf {
    let mut path = OsString::from(format!("/proc/self/fd/{}/", folder.as_raw_fd()));
    path.push(name);
    PathBuf::from(path)
}

fn remove(at: &Path) -> io::Result<()> {
    match fs::symlink_metadata(at) {
        Ok(m) if m.is_dir() => fs::remove_dir_all(at),
        Ok(_) => fs::remove_file(at),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn same(a: &Path, b: &Path) -> bool {
    match (fs::symlink_metadata(a), fs::symlink_metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn own(at: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(fchownat(nix::fcntl::AT_FDCWD, at, Some(uid), Some(gid), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?)
}

fn modified(entry: &Entry<'_, impl Read>) -> TimeSpec {
    let seconds = entry.header().mtime().ok().and_then(|t| i64::try_from(t).ok()).unwrap_or(0);
    TimeSpec::new(seconds, 0)
}

/// Owner, then permissions (a change of owner clears set-id bits), then attributes and time.
fn attributes(entry: &mut Entry<'_, impl Read>, at: &Path, is_link: bool) -> io::Result<()> {
    let number = |n: io::Result<u64>| n.and_then(|n| u32::try_from(n).map_err(|_| invalid("an owner out of range")));
    let header = entry.header();
    own(at, number(header.uid())?, number(header.gid())?)?;
    let (mode, time) = (header.mode()? & 0o7777, modified(entry));
    if !is_link {
        fs::set_permissions(at, fs::Permissions::from_mode(mode))?;
    }
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            let Some(name) = extension.key().ok().and_then(|k| k.strip_prefix(XATTR)) else { continue };
            // Never what would change the meaning of the overlay; what this file system lacks is left out.
            if name.starts_with("trusted.") {
                continue;
            }
            match sys::set_xattr(at, name.as_bytes(), extension.value_bytes()) {
                Err(e) if e.raw_os_error() == Some(Errno::ENOTSUP as i32) => {}
                other => other?,
            }
        }
    }
    utimensat(nix::fcntl::AT_FDCWD, at, &time, &time, UtimensatFlags::NoFollowSymlink)?;
    Ok(())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests;
