//! A container's root file system: an overlay of its image's layers and a writable layer of its own.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::images::Layers;

/// Mounts the overlay at `folder/rootfs`, with the writable layer beside it.
///
/// # Errors
/// The machine's, naming the step.
pub(super) fn mount_rootfs(layers: &Layers, folder: &Path) -> io::Result<()> {
    for name in ["upper", "work", "rootfs"] {
        fs::create_dir_all(folder.join(name))?;
    }
    // The writable layer's root is what the container sees as `/`: it looks like the image's.
    let look = match layers.names.last() {
        Some(top) => Some(fs::metadata(layers.dir.join(top))?),
        None => None,
    };
    let mode = look.as_ref().map_or(0o755, |m| m.mode() & 0o7777);
    if let Some(m) = &look {
        std::os::unix::fs::chown(folder.join("upper"), Some(m.uid()), Some(m.gid()))?;
    }
    fs::set_permissions(folder.join("upper"), fs::Permissions::from_mode(mode))?;

    let (layers, folder) = (layers.clone(), folder.to_owned());
    // The names of up to 127 layers must fit into a page: they are relative, and the working directory that
    // they are relative to belongs to a thread that ends with the mount.
    let thread = std::thread::Builder::new().name("mount".to_owned()).spawn(move || overlay(&layers, &folder))?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the mounting thread panicked")))
}

fn overlay(layers: &Layers, folder: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    std::env::set_current_dir(&layers.dir)?;
    let target = folder.join("rootfs");
    let empty = folder.join("empty");
    let mut options = OsString::from("lowerdir=");
    match layers.names.as_slice() {
        // An image without layers: an overlay needs one.
        [] => {
            fs::create_dir_all(&empty)?;
            options.push(&empty);
        }
        names => options.push(names.iter().rev().map(String::as_str).collect::<Vec<_>>().join(":")),
    }
    options.push(",upperdir=");
    options.push(folder.join("upper"));
    options.push(",workdir=");
    options.push(folder.join("work"));
    // Nothing here outlives the machine's run, so nothing needs to reach the disk.
    let mut fast = options.clone();
    fast.push(",volatile");
    let attempt = |options: &OsString| {
        mount(Some("overlay"), &target, Some("overlay"), MsFlags::empty(), Some(options.as_os_str()))
    };
    match attempt(&fast) {
        // Before Linux 5.10.
        Err(Errno::EINVAL) => attempt(&options)?,
        other => other?,
    }
    Ok(())
}

/// Unmounts a path; fine if nothing is mounted there or there is no such path.
///
/// # Errors
/// The kernel's.
pub(super) fn unmount(path: &Path) -> io::Result<()> {
    loop {
        match umount2(path, MntFlags::MNT_DETACH) {
            // Mounted once more on top? Until nothing is.
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => return Ok(()),
            Err(e) => return Err(io::Error::from(e)),
        }
    }
}
