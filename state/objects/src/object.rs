//! The stored form of an object: its JSON, encoded once, with the resourceVersion spliced in at commit.
//!
//! The bytes always begin `{"kind":K,"apiVersion":V,"metadata":{"resourceVersion":"N"`, so the version is written into place
//! without another encoding, and a list item (which Kubernetes sends without kind and apiVersion) is a slice of the same bytes.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Revision, json};

/// The size in bytes that most objects stay below.
const USUAL: usize = 2048;

/// An object encoded for the store, still without its resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// `{"kind":…,"apiVersion":…,"metadata":{"resourceVersion":"`
    head: Vec<u8>,
    /// `"…`, from the closing quote of the resourceVersion to the end.
    tail: Vec<u8>,
    item_at: u32,
}

/// Why a value cannot be stored as an object.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// It is not a JSON object with string `kind` and `apiVersion` and an object `metadata`.
    #[error("an object needs kind, apiVersion and metadata")]
    Shape,
}

impl Draft {
    /// Encodes an object; a resourceVersion and a selfLink in its metadata are dropped.
    ///
    /// # Errors
    /// If kind, apiVersion or metadata are missing.
    pub fn encode(object: &Value) -> Result<Self, DraftError> {
        let fields = object.as_object().ok_or(DraftError::Shape)?;
        let kind = fields.get("kind").filter(|v| v.is_string()).ok_or(DraftError::Shape)?;
        let api_version = fields.get("apiVersion").filter(|v| v.is_string()).ok_or(DraftError::Shape)?;
        let metadata = fields.get("metadata").and_then(Value::as_object).ok_or(DraftError::Shape)?;
        let mut head = Vec::with_capacity(128);
        head.extend_from_slice(b"{\"kind\":");
        json::append(&mut head, kind);
        head.extend_from_slice(b",\"apiVersion\":");
        json::append(&mut head, api_version);
        head.push(b',');
        let item_at = head.len() as u32;
        head.extend_from_slice(b"\"metadata\":{\"resourceVersion\":\"");
        let mut tail = Vec::with_capacity(USUAL);
        tail.push(b'"');
        push_members(&mut tail, metadata, &["resourceVersion", "selfLink"]);
        tail.push(b'}');
        push_members(&mut tail, fields, &["kind", "apiVersion", "metadata"]);
        tail.push(b'}');
        Ok(Draft { head, tail, item_at })
    }

    /// Encodes a stored object again as a draft, bytes unchanged but for the resourceVersion.
    pub fn of(object: &Object) -> Self {
        let start = object.version_at();
        let end = object.version_end();
        Draft {
            head: object.bytes.get(..start).unwrap_or_default().to_vec(),
            tail: object.bytes.get(end..).unwrap_or_default().to_vec(),
            item_at: object.item_at,
        }
    }

    /// The size in bytes, without the resourceVersion's digits.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Never: an object has at least kind, apiVersion and metadata.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The object at a revision.
    pub fn seal(&self, revision: Revision) -> Object {
        let digits = revision.to_string();
        let mut bytes = Vec::with_capacity(self.len() + digits.len());
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(digits.as_bytes());
        bytes.extend_from_slice(&self.tail);
        Object { bytes: bytes.into(), item_at: self.item_at }
    }

    /// Whether this draft says the same as a stored object (their versions aside).
    pub fn same_as(&self, stored: &Object) -> bool {
        let (start, end) = (stored.version_at(), stored.version_end());
        stored.bytes.get(..start) == Some(self.head.as_slice()) && stored.bytes.get(end..) == Some(self.tail.as_slice())
    }
}

fn push_members(out: &mut Vec<u8>, members: &Map<String, Value>, except: &[&str]) {
    for (name, value) in members {
        if !except.contains(&name.as_str()) {
            out.push(b',');
            json::append(out, name.as_str());
            out.push(b':');
            json::append(out, value);
        }
    }
}

/// A stored object: immutable bytes, cheap to clone and to share.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    bytes: Bytes,
    item_at: u32,
}

/// Why bytes are not a stored object.
#[derive(Debug, thiserror::Error)]
#[error("not the stored form of an object: {0:?}…")]
pub struct ObjectError(String);

const METADATA: &[u8] = b"\"metadata\":";
const VERSION: &[u8] = b"\"metadata\":{\"resourceVersion\":\"";

impl Object {
    /// Takes bytes that [`Draft::seal`] made (from the log or the bus).
    ///
    /// # Errors
    /// If they do not begin as stored objects do.
    pub fn from_stored(bytes: Bytes) -> Result<Self, ObjectError> {
        let item_at = find(&bytes, VERSION).filter(|_| bytes.starts_with(b"{\"kind\":"));
        match item_at {
            Some(at) => Ok(Object { bytes, item_at: at as u32 }),
            None => Err(ObjectError(String::from_utf8_lossy(bytes.get(..60).unwrap_or(&bytes)).into_owned())),
        }
    }

    /// The whole JSON text.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The JSON text from `"metadata"` on: `{` before it makes a list item, which has no kind and apiVersion.
    pub fn item_tail(&self) -> Bytes {
        self.bytes.slice(self.item_at as usize..)
    }

    /// The revision of the event that made this object.
    pub fn revision(&self) -> Revision {
        let digits = self.bytes.get(self.version_at()..self.version_end()).unwrap_or_default();
        digits.iter().fold(0, |n, d| n * 10 + u64::from(d.wrapping_sub(b'0')))
    }

    /// Parses the object.
    ///
    /// # Errors
    /// If the type does not fit the object.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }

    /// Parses the parts that borrow from the bytes.
    ///
    /// # Errors
    /// If the type does not fit the object.
    pub fn parse_ref<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }

    /// Parses the metadata, which come first: the rest is not read.
    ///
    /// # Errors
    /// If the type does not fit them.
    pub fn parse_metadata<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        let text = self.bytes.get(self.item_at as usize + METADATA.len()..).unwrap_or_default();
        T::deserialize(&mut serde_json::Deserializer::from_slice(text))
    }

    /// The object as a JSON value. Stored bytes are JSON by construction, so this does not fail; damaged ones read as null.
    pub fn value(&self) -> Value {
        self.parse().unwrap_or(Value::Null)
    }

    fn version_at(&self) -> usize {
        self.item_at as usize + VERSION.len()
    }

    fn version_end(&self) -> usize {
        let start = self.version_at();
        let digits = self.bytes.get(start..).unwrap_or_default();
        start + digits.iter().take_while(|b| b.is_ascii_digit()).count()
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).take(512).position(|w| w == needle)
}

#[cfg(test)]
mod tests;
