//! SHA-256 digests: of bytes, of streams that are read, and their text.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// The digest's 64 hex digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether a text is 64 lower-case hex digits.
pub(crate) fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The hex digits of `sha256:<hex>`.
pub(crate) fn hex_of(digest: &str) -> Option<&str> {
    digest.strip_prefix("sha256:").filter(|hex| is_hex(hex))
}

/// Hashes and counts what is read through it, and fails beyond a bound.
pub(super) struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    pub(super) bytes: u64,
    limit: u64,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0, limit }
    }

    /// Reads the rest (archives may end before their stream does) and gives the hex digits of all.
    pub(super) fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(hex::encode(self.hasher.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        if self.bytes > self.limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} bytes", self.limit)));
        }
        Ok(n)
    }
}
