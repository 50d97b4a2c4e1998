//! A value as its JSON: of what a hollow node keeps, most is seldom looked at and takes several times as much room as a value.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A packed value.
#[derive(Debug)]
pub(super) struct Packed<T> {
    json: Box<str>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs a value.
    ///
    /// # Errors
    /// If JSON cannot hold it: a path that is not text.
    pub(super) fn new(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Packed { json: serde_json::to_string(value)?.into(), of: PhantomData })
    }

    /// The value.
    #[expect(clippy::expect_used, reason = "these types read what they write, and nobody else writes here")]
    pub(super) fn get(&self) -> T {
        serde_json::from_str(&self.json).expect("what was packed can be unpacked")
    }
}
