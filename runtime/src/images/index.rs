//! `index.json`: which images are there, under which names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::reference::Reference;
use crate::port::image::{Image, ImageConfig};

/// Images by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) images: BTreeMap<String, Record>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    /// Normalized names with tag.
    pub(super) names: BTreeSet<String>,
    /// Normalized names with digest.
    pub(super) digests: BTreeSet<String>,
    pub(super) size: u64,
    pub(super) last_used: i64,
    /// Names of its layers' folders, the lowest first.
    pub(super) layers: Vec<String>,
    pub(super) config: ImageConfig,
}

impl Record {
    pub(super) fn to_image(&self) -> Image {
        Image {
            id: self.id.clone(),
            repo_tags: self.names.iter().cloned().collect(),
            repo_digests: self.digests.iter().cloned().collect(),
            size: self.size,
            last_used: self.last_used,
            config: self.config.clone(),
        }
    }
}

impl Index {
    /// The image of a name; a digest decides alone, whatever the tag beside it.
    pub(super) fn find(&self, reference: &Reference) -> Option<&Record> {
        let name = reference.to_string();
        self.images.values().find(|record| match &reference.digest {
            // A configuration's digest after the repository's name is an id, as docker accepts it.
            Some(digest) => record.digests.contains(&name) || record.id == *digest,
            None => record.names.contains(&name),
        })
    }
}

/// Tells one content of the index file from another: it is only ever replaced whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, i64, i64, u64)>);

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(m) => Ok(Self(Some((m.ino(), m.mtime(), m.mtime_nsec(), m.len())))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(e) => Err(e),
        }
    }
}
