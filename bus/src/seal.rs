//! Secrets are sealed on the bus: AES-256-GCM over the whole object, because annotations hold the data too.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cox_objects::{Key, Resource};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// The key of a cluster's sealed objects. Cheap to clone; its `Debug` form shows the id only.
#[derive(Clone)]
pub struct SealingKey(Arc<Inner>);

struct Inner {
    id: String,
    raw: [u8; 32],
    key: LessSafeKey,
    random: SystemRandom,
}

/// Why something was not sealed or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The text is not 32 bytes in base64.
    #[error("a sealing key is 32 bytes in base64")]
    Key,
    /// The object was sealed with another key.
    #[error("sealed with key {0}, which is not ours")]
    OtherKey(String),
    /// It was altered, moved from another place, or truncated.
    #[error("the sealed object does not open: altered, or not the one of this place")]
    Broken,
    /// The system gave no random numbers.
    #[error("no random numbers to seal with")]
    NoRandom,
}

impl SealingKey {
    /// A new random key.
    ///
    pub fn generate() -> Self {
        let mut raw = [0; 32];
        rand::fill(&mut raw);
        Self::new(raw)
    }

    fn new(raw: [u8; 32]) -> Self {
        let id = digest(&SHA256, &raw).as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect();
        #[expect(clippy::expect_used, reason = "the one error is a wrong length, and the array has the right one")]
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &raw).expect("32 bytes"));
        SealingKey(Arc::new(Inner { id, raw, key, random: SystemRandom::new() }))
    }

    /// Reads the text that [`SealingKey::to_text`] gave.
    ///
    /// # Errors
    /// If it is not a key.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let raw = STANDARD.decode(text.trim()).map_err(|_| SealError::Key)?;
        Ok(Self::new(raw.try_into().map_err(|_| SealError::Key)?))
    }

    /// The key itself, for a file that only its owner can read.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0.raw)
    }

    /// What names the key in public.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Seals `plain` so that it opens only with the same `place` (for an event: its position and key).
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Bytes, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.0.random.fill(&mut nonce).map_err(|_| SealError::NoRandom)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.key.seal_in_place_append_tag(nonce, Aad::from(place), &mut body).map_err(|_| SealError::Broken)?;
        sealed.extend_from_slice(&body);
        Ok(sealed.into())
    }

    /// Opens what was sealed at `place` with the key of this id.
    ///
    /// # Errors
    /// If it was sealed with another key or elsewhere, or was altered.
    pub fn open(&self, id: &str, place: &str, sealed: &[u8]) -> Result<Bytes, SealError> {
        if id != self.id() {
            return Err(SealError::OtherKey(id.to_owned()));
        }
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Broken)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.key.open_in_place(nonce, Aad::from(place), &mut body).map_err(|_| SealError::Broken)?.len();
        body.truncate(length);
        Ok(body.into())
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.id())
    }
}

/// Whether objects under this key travel sealed.
pub fn is_sealed(key: &Key) -> bool {
    key.resource == Resource::SECRETS
}

#[cfg(test)]
mod tests;
