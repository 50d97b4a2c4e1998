//! Device nodes of the host, for containers that ask for them.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::stat::{major, minor};

use super::bundle::DeviceNode;
use crate::port::container::Device;

/// A host's device under the name that the container shall see.
///
/// # Errors
/// The file system's; `InvalidInput` for what is no device.
pub(super) fn node(device: &Device) -> io::Result<DeviceNode> {
    node_at(&device.host_path, &device.container_path, &device.access)
}

fn node_at(host: &Path, container: &Path, access: &str) -> io::Result<DeviceNode> {
    let m = fs::metadata(host)?;
    let kind = match m.file_type() {
        t if t.is_char_device() => 'c',
        t if t.is_block_device() => 'b',
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no device", host.display()))),
    };
    Ok(DeviceNode {
        path: container.to_owned(),
        kind,
        major: major(m.rdev()),
        minor: minor(m.rdev()),
        mode: m.mode() & 0o777,
        uid: m.uid(),
        gid: m.gid(),
        access: access.to_owned(),
    })
}

/// Every device of the host, but for the terminals and what each container has of its own.
pub(super) fn all() -> Vec<DeviceNode> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), &mut found);
    found
}

fn collect(folder: &Path, found: &mut Vec<DeviceNode>) {
    const OWN: [&str; 7] = ["pts", "shm", "mqueue", "console", "ptmx", "fd", "lxd"];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let own = folder == Path::new("/dev") && entry.file_name().to_str().is_some_and(|n| OWN.contains(&n));
        match entry.file_type() {
            _ if own => {}
            Ok(t) if t.is_dir() => collect(&path, found),
            Ok(t) if t.is_char_device() || t.is_block_device() => found.extend(node_at(&path, &path, "rwm")),
            _ => {}
        }
    }
}
