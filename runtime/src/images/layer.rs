//! An image's layers, unpacked one on the other; each is there once, however many images have it.

use std::fs;
use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::digest::Hashing;
use super::manifest::{ConfigFile, chain_ids};
use super::unpack::{Bounds, unpack};
use super::{ImageStore, damaged, store};
use crate::files;
use crate::port::error::ImageError;

/// Digits of a chain id in a layer's name: short, because the names of up to 127 layers go into one mount
/// option of at most a page.
const NAME: usize = 20;

/// The layers of one image while they are taken in, the lowest first.
pub(super) struct Stack<'a> {
    images: &'a ImageStore,
    image: &'a str,
    diff_ids: Vec<String>,
    names: Vec<String>,
    done: usize,
}

impl<'a> Stack<'a> {
    pub(super) fn new(images: &'a ImageStore, image: &'a str, config: &ConfigFile) -> Result<Self, ImageError> {
        let diff_ids = config.diff_ids().map_err(|reason| damaged(image, reason))?;
        if diff_ids.len() > images.limits.layers {
            return Err(damaged(image, format!("more than {} layers", images.limits.layers)));
        }
        let names = chain_ids(&diff_ids).iter().map(|id| id.chars().take(NAME).collect()).collect();
        Ok(Self { images, image, diff_ids, names, done: 0 })
    }

    /// Steps over the next layer if it is there already.
    pub(super) fn take_present(&mut self) -> Result<bool, ImageError> {
        let name = self.names.get(self.done).ok_or_else(|| self.too_many())?;
        let there = self.images.dir.join("layers").join(name).is_dir();
        self.done += usize::from(there);
        Ok(there)
    }

    /// Unpacks the next layer from its archive, compressed or not, and checks its digest.
    pub(super) fn unpack(&mut self, archive: impl Read) -> Result<(), ImageError> {
        let (Some(name), Some(diff_id)) = (self.names.get(self.done), self.diff_ids.get(self.done)) else {
            return Err(self.too_many());
        };
        let layers = self.images.dir.join("layers");
        let below = self.names.iter().take(self.done).rev().map(|name| layers.join(name)).collect();
        let limits = self.images.limits;
        let target = self.images.dir.join("tmp").join(format!("{name}.{}", uuid::Uuid::now_v7().simple()));
        let undo = |e| {
            // What failed is of no use; the next opening of the store tries again if this fails as well.
            let _ = files::remove_tree(&target);
            e
        };
        fs::create_dir(&target).map_err(|e| store(format!("make {}", target.display()), e))?;
        let read = (|| {
            let mut stream = Hashing::new(decompressed(archive)?, limits.layer_bytes);
            unpack(&mut stream, &target, below, Bounds { entries: limits.layer_entries })?;
            stream.finish()
        })();
        let found = read.map_err(|e| undo(damaged(self.image, format!("layer sha256:{diff_id}: {e}"))))?;
        if found != *diff_id {
            return Err(undo(damaged(self.image, format!("layer sha256:{diff_id} has digest sha256:{found}"))));
        }
        let finished = layers.join(name);
        match fs::rename(&target, &finished) {
            Ok(()) => {}
            // Another process was faster with the same layer.
            Err(_) if finished.is_dir() => files::remove_tree(&target).map_err(|e| store("tidy up".to_owned(), e))?,
            Err(e) => return Err(undo(store(format!("rename to {}", finished.display()), e))),
        }
        self.done += 1;
        Ok(())
    }

    /// The names of all layers, once all are there.
    pub(super) fn finish(self) -> Result<Vec<String>, ImageError> {
        if self.done == self.names.len() {
            return Ok(self.names);
        }
        Err(damaged(self.image, format!("{} layers, but {} in its configuration", self.done, self.names.len())))
    }

    fn too_many(&self) -> ImageError {
        damaged(self.image, format!("more layers than the {} of its configuration", self.diff_ids.len()))
    }
}

/// What a compressed stream holds, told by its first bytes.
pub(super) fn decompressed<'a>(stream: impl Read + 'a) -> std::io::Result<Box<dyn Read + 'a>> {
    let mut stream = BufReader::with_capacity(128 * 1024, stream);
    let head = std::io::BufRead::fill_buf(&mut stream)?;
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(128 * 1024, MultiGzDecoder::new(stream))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
        _ => Box::new(stream),
    })
}
