//! Pulls an image from its registry: documents and layers checked against their digests, layers got a few at
//! a time and unpacked in order.

use std::collections::HashSet;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    OciDescriptor,
};
use oci_client::secrets::RegistryAuth as ClientAuth;
use oci_client::{Client, Reference as ClientReference};

use super::digest::sha256;
use super::layer::Stack;
use super::manifest::{ConfigFile, Descriptor, Document, chain_ids, for_this_machine};
use super::reference::Reference;
use super::{ImageStore, damaged, store};
use crate::port::error::ImageError;
use crate::port::image::{Image, RegistryAuth};

/// Layers that are downloaded at the same time.
const DOWNLOADS: usize = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// A registry that sends nothing for this long has broken off.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const ACCEPTED: [&str; 4] =
    [IMAGE_MANIFEST_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE];

struct Pull<'a> {
    store: &'a Arc<ImageStore>,
    reference: &'a Reference,
    name: String,
    client: Client,
    auth: ClientAuth,
}

pub(super) async fn pull(
    store: &Arc<ImageStore>,
    reference: &Reference,
    auth: Option<&RegistryAuth>,
) -> Result<Image, ImageError> {
    // Fails when the program has chosen one before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ClientConfig {
        protocol: if reference.is_local() { ClientProtocol::Http } else { ClientProtocol::Https },
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        ..ClientConfig::default()
    };
    let auth = match auth {
        None => ClientAuth::Anonymous,
        Some(RegistryAuth::Basic { username, password }) => ClientAuth::Basic(username.clone(), password.clone()),
        Some(RegistryAuth::Bearer(token)) => ClientAuth::Bearer(token.clone()),
    };
    let name = reference.to_string();
    Pull { store, reference, name, client: Client::new(config), auth }.run().await
}

impl Pull<'_> {
    async fn run(&self) -> Result<Image, ImageError> {
        let (top, top_digest) = self.document(&self.client_reference(self.reference)).await?;
        let mut bytes = top;
        for _ in 0..3 {
            match Document::parse(&bytes).map_err(|e| self.damaged(e))? {
                Document::Manifest { config, layers } => {
                    return self.image(&config, &layers, bytes.len() as u64, &top_digest).await;
                }
                Document::Index(entries) => {
                    let entry =
                        for_this_machine(&entries).ok_or_else(|| ImageError::NotFound { name: self.name.clone() })?;
                    let reference = self.reference.with_digest(&entry.digest);
                    bytes = self.document(&self.client_reference(&reference)).await?.0;
                }
            }
        }
        Err(self.damaged("indexes nested too deep".to_owned()))
    }

    fn client_reference(&self, reference: &Reference) -> ClientReference {
        let (registry, repository) = (reference.registry.clone(), reference.repository.clone());
        match (&reference.digest, &reference.tag) {
            (Some(digest), _) => ClientReference::with_digest(registry, repository, digest.clone()),
            (None, tag) => ClientReference::with_tag(registry, repository, tag.clone().unwrap_or_default()),
        }
    }

    /// A manifest or index and its digest, computed here.
    async fn document(&self, reference: &ClientReference) -> Result<(Vec<u8>, String), ImageError> {
        let (bytes, _) =
            self.client.pull_manifest_raw(reference, &self.auth, &ACCEPTED).await.map_err(|e| self.failed(&e))?;
        if bytes.len() as u64 > self.store.limits.document_bytes {
            return Err(self.damaged("the manifest is too large".to_owned()));
        }
        let digest = format!("sha256:{}", sha256(&bytes));
        if reference.digest().is_some_and(|wanted| wanted != digest) {
            return Err(self.damaged(format!("the manifest has digest {digest}")));
        }
        Ok((bytes.to_vec(), digest))
    }

    async fn image(
        &self,
        config: &Descriptor,
        layers: &[Descriptor],
        manifest_size: u64,
        digest: &str,
    ) -> Result<Image, ImageError> {
        let mut file = self.download(config, self.store.limits.document_bytes).await?;
        let mut bytes = Vec::new();
        let read = std::io::Read::read_to_end(&mut file, &mut bytes);
        read.map_err(|e| store("read a configuration".to_owned(), e))?;
        let parsed = ConfigFile::parse(&bytes).map_err(|e| self.damaged(e))?;
        // Only image layers: artifacts of other kinds have none of our business.
        let adding = self.store.adding()?;
        let diff_ids = parsed.diff_ids().map_err(|e| self.damaged(e))?;
        if diff_ids.len() != layers.len() {
            return Err(self.damaged(format!("{} layers, but {} in its configuration", layers.len(), diff_ids.len())));
        }
        let present: HashSet<String> = std::fs::read_dir(self.store.dir.join("layers"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        let is_there = |chain: &String| present.iter().any(|name| chain.starts_with(name.as_str()));
        let wanted: Vec<(Descriptor, bool)> =
            layers.iter().cloned().zip(chain_ids(&diff_ids).iter().map(is_there)).collect();
        let got: Vec<Option<std::fs::File>> = stream::iter(wanted)
            .map(|(layer, there)| async move {
                if there { Ok(None) } else { self.download(&layer, self.store.limits.layer_bytes).await.map(Some) }
            })
            .buffered(DOWNLOADS)
            .try_collect()
            .await?;

        let size = layers.iter().map(|l| l.size).sum::<u64>() + config.size + manifest_size;
        let tags: Vec<Reference> = self.reference.tag.is_some().then(|| self.reference.clone()).into_iter().collect();
        let (images, name) = (Arc::clone(self.store), self.name.clone());
        let digest = self.reference.with_digest(digest);
        let unpack = tokio::task::spawn_blocking(move || {
            let mut stack = Stack::new(&images, &name, &parsed)?;
            for file in got {
                match file {
                    None if stack.take_present()? => {}
                    Some(file) => stack.unpack(file)?,
                    None => return Err(damaged(&name, "a layer vanished from the store".to_owned())),
                }
            }
            let names = stack.finish()?;
            images.add(&bytes, &parsed, names, size, &tags, Some(&digest))
        });
        let image = unpack.await.map_err(|e| store("unpack".to_owned(), std::io::Error::other(e)))?;
        drop(adding);
        image
    }

    /// A blob in an unnamed file, at its beginning; the client has checked its digest.
    async fn download(&self, descriptor: &Descriptor, limit: u64) -> Result<std::fs::File, ImageError> {
        descriptor.hex().map_err(|e| self.damaged(e))?;
        if descriptor.size > limit {
            return Err(self.damaged(format!("{} is larger than {limit} bytes", descriptor.digest)));
        }
        let failed = |e| store("write a download".to_owned(), e);
        let mut file = tempfile::tempfile_in(self.store.dir.join("tmp")).map_err(failed)?;
        let wanted = OciDescriptor {
            digest: descriptor.digest.clone(),
            size: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let reference = self.client_reference(self.reference);
        let blob = self.client.pull_blob_stream(&reference, &wanted).await.map_err(|e| self.failed(&e))?;
        let mut chunks = blob.stream;
        let mut bytes = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|e| match e.kind() {
                // The client reports a wrong digest as an error of the stream's end.
                std::io::ErrorKind::Other => self.damaged(format!("{}: {e}", descriptor.digest)),
                _ => self.network(&e),
            })?;
            bytes += chunk.len() as u64;
            if bytes > descriptor.size {
                return Err(self.damaged(format!("{} is longer than announced", descriptor.digest)));
            }
            file.write_all(&chunk).map_err(failed)?;
        }
        if bytes != descriptor.size {
            return Err(self.damaged(format!("{} has {bytes} of {} bytes", descriptor.digest, descriptor.size)));
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(file)
    }

    fn failed(&self, error: &OciDistributionError) -> ImageError {
        let name = self.name.clone();
        let denied = |reason: String| ImageError::Unauthorized { name: self.name.clone(), reason };
        let anonymous = matches!(self.auth, ClientAuth::Anonymous);
        let refused = || {
            denied(if anonymous {
                "authorization failed: no basic auth credentials".to_owned()
            } else {
                "authorization failed: the registry refused the credentials".to_owned()
            })
        };
        match error {
            OciDistributionError::ImageManifestNotFoundError(_) => ImageError::NotFound { name },
            OciDistributionError::UnauthorizedError { .. } => refused(),
            OciDistributionError::AuthenticationFailure(_) => refused(),
            OciDistributionError::ServerError { code: 401 | 403, .. } => refused(),
            OciDistributionError::ServerError { code: 404, .. } => ImageError::NotFound { name },
            OciDistributionError::DigestError(e) => self.damaged(e.to_string()),
            OciDistributionError::RegistryError { envelope, .. } => {
                let is = |codes: &[OciErrorCode]| envelope.errors.iter().any(|e| codes.contains(&e.code));
                if is(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
                    ImageError::NotFound { name }
                } else if is(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                    refused()
                } else {
                    self.network(error)
                }
            }
            _ => self.network(error),
        }
    }

    fn network(&self, error: &dyn std::error::Error) -> ImageError {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            source = cause.source();
        }
        ImageError::Network { name: self.name.clone(), reason }
    }

    fn damaged(&self, reason: String) -> ImageError {
        damaged(&self.name, reason)
    }
}
