//! The image store: configurations and unpacked layers of one folder, shared by processes through a lock.
//!
//! It works without a running runtime (`cox image load`): every change is made under `lock` and becomes
//! visible by replacing `index.json`; readers look at the index anew whenever it changed.
//!
//! ```text
//! index.json            what is there (images.rs, index.rs)
//! blobs/sha256/DIGEST   configurations
//! layers/NAME           an unpacked layer, named by the first digits of its chain id
//! tmp/                  what is under way; emptied when the store is opened by its only user
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

mod archive;
pub(crate) mod digest;
mod index;
mod layer;
mod manifest;
pub mod reference;
mod registry;
mod unpack;

use crate::clock;
use crate::files;
use crate::port::error::ImageError;
use crate::port::image::{FsUsage, Image, ImageConfig, RegistryAuth};
use index::{Index, Record};
use manifest::ConfigFile;
pub use reference::Reference;

/// An image's last use is noted again after this time, in nanoseconds.
const LAST_USED: i64 = 60_000_000_000;

/// Bounds on what is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a manifest, an index or a configuration.
    pub document_bytes: u64,
    /// Bytes of one layer, unpacked.
    pub layer_bytes: u64,
    /// Files of one layer.
    pub layer_entries: u64,
    /// Layers of an image.
    pub layers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { document_bytes: 8 << 20, layer_bytes: 64 << 30, layer_entries: 4 << 20, layers: 127 }
    }
}

/// Images of one folder.
#[derive(Debug)]
pub struct ImageStore {
    dir: PathBuf,
    limits: Limits,
    cache: Mutex<Option<(index::Stamp, Arc<Index>)>>,
}

/// What a container's root file system is made from.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    /// The folder that the names are relative to.
    pub(crate) dir: PathBuf,
    /// The layers' names, the lowest first.
    pub(crate) names: Vec<String>,
}

impl ImageStore {
    /// Opens the store in `dir`, making it if missing.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub fn open(dir: &Path) -> Result<Self, ImageError> {
        for folder in ["blobs/sha256", "layers", "tmp"] {
            let path = dir.join(folder);
            files::private_dir(&path).map_err(|e| store(format!("make {}", path.display()), e))?;
        }
        let opened = Self { dir: dir.to_owned(), limits: Limits::default(), cache: Mutex::new(None) };
        // Leftovers of a process that was killed; another process that is at work holds the lock.
        if let Ok(_lock) = files::try_lock(&opened.dir.join("lock")) {
            for entry in fs::read_dir(opened.dir.join("tmp")).into_iter().flatten().flatten() {
                let _ = fs::remove_file(entry.path()).or_else(|_| files::remove_tree(&entry.path()));
            }
        }
        Ok(opened)
    }

    /// With other bounds than the usual ones.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The image that a name or an id stands for.
    ///
    /// # Errors
    /// [`ImageError::BadName`], [`ImageError::Store`].
    pub fn resolve(&self, reference: &str) -> Result<Option<Image>, ImageError> {
        let index = self.index()?;
        let id = reference.strip_prefix("sha256:").unwrap_or(reference);
        if digest::is_hex(id) {
            return Ok(index.images.get(&format!("sha256:{id}")).map(Record::to_image));
        }
        let reference = Reference::parse(reference)?;
        Ok(index.find(&reference).map(Record::to_image))
    }

    /// Every image, in the order of their ids.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        Ok(self.index()?.images.values().map(Record::to_image).collect())
    }

    /// Takes in the images of an archive (OCI or docker, plain, gzip or zstd) or an OCI layout folder. Blocks.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] for content that is wrong, of which nothing is kept; [`ImageError::Store`].
    pub fn load(&self, source: &Path) -> Result<Vec<Image>, ImageError> {
        let _adding = self.adding()?;
        let opened = archive::Archive::open(source, &self.dir.join("tmp"), &self.limits)?;
        let mut loaded = Vec::new();
        for found in opened.images()? {
            let name = source.display().to_string();
            let parsed = ConfigFile::parse(&found.config).map_err(|reason| damaged(&name, reason))?;
            let mut layers = layer::Stack::new(self, &name, &parsed)?;
            for blob in &found.layers {
                if !layers.take_present()? {
                    layers.unpack(opened.blob(blob)?)?;
                }
            }
            let names = layers.finish()?;
            let tags = found.tags.iter().map(|t| Reference::parse(t)).collect::<Result<Vec<_>, _>>()?;
            loaded.push(self.add(&found.config, &parsed, names, found.size, &tags, None)?);
        }
        Ok(loaded)
    }

    /// Gets an image from its registry; a name's earlier image loses the name.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn pull(self: &Arc<Self>, reference: &str, auth: Option<&RegistryAuth>) -> Result<Image, ImageError> {
        registry::pull(self, &Reference::parse(reference)?, auth).await
    }

    /// Removes an image with all its names, and the layers that no other image has. Fine if there is none.
    /// Does not ask whether containers use it: the caller knows them.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub fn remove(&self, id: &str) -> Result<(), ImageError> {
        let mut gone = None;
        self.change(|index| gone = index.images.remove(id))?;
        if gone.is_some() { self.sweep() } else { Ok(()) }
    }

    /// Removes layers and configurations that no image has, unless images are being taken in: then a later
    /// sweep finds them.
    fn sweep(&self) -> Result<(), ImageError> {
        let Ok(_nobody_adds) = files::try_lock(&self.dir.join("adding")) else { return Ok(()) };
        let index = self.index()?;
        let layers: BTreeSet<&str> = index.images.values().flat_map(|r| &r.layers).map(String::as_str).collect();
        let blobs: BTreeSet<&str> = index.images.keys().filter_map(|id| digest::hex_of(id)).collect();
        for (folder, kept) in [("layers", layers), ("blobs/sha256", blobs)] {
            for entry in fs::read_dir(self.dir.join(folder)).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                    continue;
                }
                let removed = if path.is_dir() { files::remove_tree(&path) } else { files::remove_file(&path) };
                removed.map_err(|e| store(format!("remove {}", path.display()), e))?;
            }
        }
        Ok(())
    }

    /// Held while an image is taken in: what it finds present stays.
    fn adding(&self) -> Result<impl Drop + use<>, ImageError> {
        files::lock_shared(&self.dir.join("adding")).map_err(|e| store("lock".to_owned(), e))
    }

    /// How full the file system of the store is.
    ///
    /// # Errors
    /// [`ImageError::Store`].
    pub fn fs_usage(&self) -> Result<FsUsage, ImageError> {
        let s = nix::sys::statvfs::statvfs(&self.dir).map_err(|e| store("statvfs".to_owned(), e.into()))?;
        let unit = s.fragment_size();
        Ok(FsUsage {
            capacity: s.blocks() * unit,
            available: s.blocks_available() * unit,
            inodes: s.files(),
            inodes_free: s.files_free(),
        })
    }

    /// The layers of an image, and a note that it was used just now.
    pub(crate) fn layers(&self, id: &str) -> Result<Option<Layers>, ImageError> {
        let index = self.index()?;
        let Some(record) = index.images.get(id) else { return Ok(None) };
        Ok(Some(Layers { dir: self.dir.join("layers"), names: record.layers.clone() }))
    }

    /// Notes that an image is in use now, for garbage collection, to the minute.
    pub(crate) fn touch(&self, id: &str) -> Result<(), ImageError> {
        let lately = |record: &Record| clock::now().saturating_sub(record.last_used) < LAST_USED;
        if self.index()?.images.get(id).is_some_and(lately) {
            return Ok(());
        }
        self.change(|index| {
            if let Some(record) = index.images.get_mut(id) {
                record.last_used = clock::now();
            }
        })
    }

    /// Makes an image known: its layers are unpacked already.
    fn add(
        &self,
        config: &[u8],
        parsed: &ConfigFile,
        layers: Vec<String>,
        size: u64,
        tags: &[Reference],
        digest: Option<&Reference>,
    ) -> Result<Image, ImageError> {
        let hex = digest::sha256(config);
        let blob = self.blob_path(&hex);
        files::write_atomic(&blob, config, true).map_err(|e| store(format!("write {}", blob.display()), e))?;
        let id = format!("sha256:{hex}");
        let mut image = None;
        self.change(|index| {
            let record = index.images.entry(id.clone()).or_insert_with(|| Record {
                id: id.clone(),
                names: BTreeSet::new(),
                digests: BTreeSet::new(),
                size,
                last_used: 0,
                layers: layers.clone(),
                config: parsed.image_config(),
            });
            record.last_used = clock::now();
            record.digests.extend(digest.map(Reference::to_string));
            for tag in tags.iter().map(Reference::to_string) {
                for other in index.images.values_mut() {
                    other.names.remove(&tag);
                }
                if let Some(record) = index.images.get_mut(&id) {
                    record.names.insert(tag);
                }
            }
            image = index.images.get(&id).map(Record::to_image);
        })?;
        image.ok_or_else(|| damaged(&id, "the index lost it".to_owned()))
    }

    fn blob_path(&self, hex: &str) -> PathBuf {
        self.dir.join("blobs/sha256").join(hex)
    }

    fn lock(&self) -> Result<impl Drop + use<>, ImageError> {
        files::lock(&self.dir.join("lock")).map_err(|e| store("lock".to_owned(), e))
    }

    fn index(&self) -> Result<Arc<Index>, ImageError> {
        let path = self.dir.join("index.json");
        let read = || -> io::Result<Arc<Index>> {
            let stamp = index::Stamp::of(&path)?;
            let mut cache = self.cache.lock();
            if let Some((known, index)) = &*cache
                && *known == stamp
            {
                return Ok(Arc::clone(index));
            }
            let index: Arc<Index> = Arc::new(files::read_json(&path)?.unwrap_or_default());
            *cache = Some((stamp, Arc::clone(&index)));
            Ok(index)
        };
        read().map_err(|e| store(format!("read {}", path.display()), e))
    }

    fn change(&self, change: impl FnOnce(&mut Index)) -> Result<(), ImageError> {
        let _lock = self.lock()?;
        let mut index = Index::clone(&*self.index()?);
        change(&mut index);
        let path = self.dir.join("index.json");
        files::write_json(&path, &index, true).map_err(|e| store(format!("write {}", path.display()), e))
    }
}

fn store(attempt: String, source: io::Error) -> ImageError {
    ImageError::Store { attempt, source }
}

fn damaged(name: &str, reason: String) -> ImageError {
    ImageError::Damaged { name: name.to_owned(), reason }
}

/// Labels and the like of a configuration as the port shows them.
fn sorted(map: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    map.cloned().unwrap_or_default()
}

impl ConfigFile {
    fn image_config(&self) -> ImageConfig {
        let c = self.config.clone().unwrap_or_default();
        ImageConfig {
            entrypoint: c.entrypoint.unwrap_or_default(),
            cmd: c.cmd.unwrap_or_default(),
            env: c.env.unwrap_or_default(),
            working_dir: c.working_dir.unwrap_or_default(),
            user: c.user.unwrap_or_default(),
            stop_signal: c.stop_signal.filter(|s| !s.is_empty()),
            exposed_ports: c.exposed_ports.unwrap_or_default().into_keys().collect(),
            volumes: c.volumes.unwrap_or_default().into_keys().collect(),
            labels: sorted(c.labels.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests;
