//! The images that a container mounts besides the one that it is made from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::snapshot::{mount_rootfs, unmount};
use crate::images::ImageStore;
use crate::port::container::{ContainerSpec, MountSource};
use crate::port::error::ContainerError;

/// The folder for them in a container's folder.
const FOLDER: &str = "images";

/// Where images are mounted, by id.
pub(super) type ImagePlaces = BTreeMap<String, PathBuf>;

/// The ids of the images that a container mounts.
pub(super) fn mounted(spec: &ContainerSpec) -> impl Iterator<Item = &str> {
    spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Image { id } => Some(id.as_str()),
        _ => None,
    })
}

/// Mounts them below the container's folder.
///
/// # Errors
/// [`ContainerError::NoImage`], or the machine's.
pub(super) fn mount_images(
    store: &ImageStore,
    spec: &ContainerSpec,
    folder: &Path,
) -> Result<ImagePlaces, ContainerError> {
    let mut places = ImagePlaces::new();
    for id in mounted(spec) {
        if places.contains_key(id) {
            continue;
        }
        let layers = store.layers(id).ok().flatten().ok_or_else(|| ContainerError::NoImage(id.to_owned()))?;
        let own = folder.join(FOLDER).join(places.len().to_string());
        mount_rootfs(&layers, &own)
            .map_err(|source| ContainerError::Io { attempt: format!("mount image {id}"), source })?;
        places.insert(id.to_owned(), own.join("rootfs"));
    }
    Ok(places)
}

/// Unmounts them. Fine if there are none.
///
/// # Errors
/// The kernel's.
pub(super) fn unmount_images(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder.join(FOLDER)).into_iter().flatten().flatten() {
        unmount(&entry.path().join("rootfs"))?;
    }
    Ok(())
}
