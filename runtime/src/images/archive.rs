//! Image archives: `docker save` and OCI layouts, in a tar (plain, gzip, zstd) or as a folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::digest::sha256;
use super::layer::decompressed;
use super::manifest::{Descriptor, Document, for_this_machine};
use super::{Limits, damaged, store};
use crate::port::error::ImageError;

/// An archive that can be read at any place.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    name: String,
    form: Form,
    limits: &'a Limits,
}

#[derive(Debug)]
enum Form {
    Folder(PathBuf),
    /// Where each member's content lies in the file.
    Tar {
        file: File,
        members: BTreeMap<String, Member>,
    },
}

#[derive(Debug, Clone)]
enum Member {
    Content { at: u64, size: u64 },
    Link(String),
}

/// An image in an archive.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) config: Vec<u8>,
    /// Members with the layers, the lowest first.
    pub(super) layers: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) size: u64,
}

impl<'a> Archive<'a> {
    /// Opens an archive or folder; a compressed archive is unpacked into an unnamed file in `scratch`.
    pub(super) fn open(path: &Path, scratch: &Path, limits: &'a Limits) -> Result<Self, ImageError> {
        let name = path.display().to_string();
        let failed = |e| store(format!("open {name}"), e);
        if path.is_dir() {
            return Ok(Self { name, form: Form::Folder(path.to_owned()), limits });
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut head = [0_u8; 4];
        let n = file.read(&mut head).and_then(|n| file.rewind().map(|()| n)).map_err(failed)?;
        if matches!(head.get(..n), Some([0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd])) {
            let mut plain = tempfile::tempfile_in(scratch).map_err(failed)?;
            let read = decompressed(file)
                .and_then(|stream| io::copy(&mut stream.take(limits.layer_bytes), &mut plain))
                .and_then(|_| plain.rewind());
            read.map_err(|e| damaged(&name, format!("decompression: {e}")))?;
            file = plain;
        }
        let members = members(&file).map_err(|e| damaged(&name, format!("not a tar archive: {e}")))?;
        Ok(Self { name, form: Form::Tar { file, members }, limits })
    }

    /// The images in it that this machine can run.
    pub(super) fn images(&self) -> Result<Vec<Found>, ImageError> {
        let found = match (self.document("manifest.json")?, self.document("index.json")?) {
            (Some(docker), _) => self.docker_images(&docker)?,
            (None, Some(index)) => self.oci_images(&index)?,
            (None, None) => {
                return Err(self.damaged("neither manifest.json nor index.json: not an image archive".to_owned()));
            }
        };
        if found.is_empty() {
            return Err(self.damaged("no image for this machine's platform".to_owned()));
        }
        Ok(found)
    }

    fn docker_images(&self, manifest: &[u8]) -> Result<Vec<Found>, ImageError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Entry {
            config: String,
            repo_tags: Option<Vec<String>>,
            layers: Option<Vec<String>>,
        }
        let entries: Vec<Entry> =
            serde_json::from_slice(manifest).map_err(|e| self.damaged(format!("manifest.json: {e}")))?;
        let image = |entry: Entry| {
            let config = self.required(&entry.config)?;
            let layers = entry.layers.unwrap_or_default();
            let mut size = config.len() as u64;
            for layer in &layers {
                size += self.locate(layer)?.1;
            }
            Ok(Found { config, layers, tags: entry.repo_tags.unwrap_or_default(), size })
        };
        entries.into_iter().map(image).collect()
    }

    fn oci_images(&self, index: &[u8]) -> Result<Vec<Found>, ImageError> {
        let Document::Index(entries) = Document::parse(index).map_err(|e| self.damaged(e))? else {
            return Err(self.damaged("index.json is not an index".to_owned()));
        };
        let mut found = Vec::new();
        for entry in &entries {
            if let Some(mut image) = self.oci_image(entry, 0)? {
                image.tags = tag(&entry.annotations).into_iter().collect();
                found.push(image);
            }
        }
        Ok(found)
    }

    fn oci_image(&self, entry: &Descriptor, depth: u8) -> Result<Option<Found>, ImageError> {
        let bytes = self.verified(entry)?;
        match Document::parse(&bytes).map_err(|e| self.damaged(e))? {
            Document::Index(entries) if depth < 3 => match for_this_machine(&entries) {
                Some(entry) => self.oci_image(entry, depth + 1),
                None => Ok(None),
            },
            Document::Index(_) => Err(self.damaged("indexes nested too deep".to_owned())),
            Document::Manifest { config, layers } => {
                let size = layers.iter().map(|l| l.size).sum::<u64>() + config.size + entry.size;
                let layers = layers.iter().map(|l| self.blob_name(l)).collect::<Result<_, _>>()?;
                Ok(Some(Found { config: self.verified(&config)?, layers, tags: Vec::new(), size }))
            }
        }
    }

    fn blob_name(&self, descriptor: &Descriptor) -> Result<String, ImageError> {
        Ok(format!("blobs/sha256/{}", descriptor.hex().map_err(|e| self.damaged(e))?))
    }

    fn verified(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let bytes = self.required(&self.blob_name(descriptor)?)?;
        let found = sha256(&bytes);
        if Ok(found.as_str()) != descriptor.hex() {
            return Err(self.damaged(format!("blob {} has digest sha256:{found}", descriptor.digest)));
        }
        Ok(bytes)
    }

    fn required(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        self.document(name)?.ok_or_else(|| self.damaged(format!("{name} is missing")))
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        if !self.has(name) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = self.blob(name)?.take(self.limits.document_bytes + 1).read_to_end(&mut bytes);
        read.map_err(|e| store(format!("read {name} of {}", self.name), e))?;
        if bytes.len() as u64 > self.limits.document_bytes {
            return Err(self.damaged(format!("{name} is larger than {} bytes", self.limits.document_bytes)));
        }
        Ok(Some(bytes))
    }

    fn has(&self, name: &str) -> bool {
        match &self.form {
            Form::Folder(folder) => folder.join(name).is_file(),
            Form::Tar { members, .. } => members.contains_key(name),
        }
    }

    fn locate(&self, name: &str) -> Result<(u64, u64), ImageError> {
        let missing = || self.damaged(format!("{name} is missing"));
        match &self.form {
            Form::Folder(folder) => {
                // A name from a manifest must not lead out of the folder.
                if !Path::new(name).components().all(|c| matches!(c, Component::Normal(_))) {
                    return Err(missing());
                }
                let size = folder.join(name).metadata().map_err(|_| missing())?.len();
                Ok((0, size))
            }
            Form::Tar { members, .. } => {
                let mut member = members.get(name);
                // docker saved a layer that occurs twice as a link to the first.
                for _ in 0..8 {
                    match member {
                        Some(Member::Content { at, size }) => return Ok((*at, *size)),
                        Some(Member::Link(to)) => member = members.get(to),
                        None => break,
                    }
                }
                Err(missing())
            }
        }
    }

    /// A member's content.
    pub(super) fn blob(&self, name: &str) -> Result<impl Read + use<>, ImageError> {
        let (at, size) = self.locate(name)?;
        let open = || -> io::Result<io::Take<File>> {
            let mut file = match &self.form {
                Form::Folder(folder) => File::open(folder.join(name))?,
                // A description of its own, so that positions do not interfere.
                Form::Tar { file, .. } => {
                    use std::os::fd::AsRawFd;
                    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?
                }
            };
            file.seek(SeekFrom::Start(at))?;
            Ok(file.take(size))
        };
        open().map_err(|e| store(format!("read {name} of {}", self.name), e))
    }

    fn damaged(&self, reason: String) -> ImageError {
        damaged(&self.name, reason)
    }
}

/// The name in an OCI index: containerd's annotation, else the standard's if it is a whole name.
fn tag(annotations: &BTreeMap<String, String>) -> Option<String> {
    let standard = annotations.get("org.opencontainers.image.ref.name").filter(|n| n.contains(['/', ':']));
    annotations.get("io.containerd.image.name").or(standard).cloned()
}

fn members(file: &File) -> io::Result<BTreeMap<String, Member>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(file).entries_with_seek()? {
        let entry = entry?;
        let name = normal(&entry.path()?);
        let kind = entry.header().entry_type();
        if kind.is_file() || kind == tar::EntryType::Continuous {
            members.insert(name, Member::Content { at: entry.raw_file_position(), size: entry.size() });
        } else if let (true, Some(link)) = (kind.is_symlink() || kind.is_hard_link(), entry.link_name()?) {
            let base = if kind.is_symlink() { Path::new(&name).parent().map(Path::to_owned) } else { None };
            members.insert(name, Member::Link(normal(&base.unwrap_or_default().join(link))));
        }
    }
    Ok(members)
}

/// Without `.` and with `..` resolved by text: these names are keys, not paths of a file system.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts.join("/")
}
