//! An object's metadata, read from stored bytes without reading the rest, and helpers to reach into JSON values.

mod text;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::Object;
pub use text::Text;
pub use value::{get, int, remove, set, text};

/// The metadata of an object, borrowed from its JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta<'a> {
    /// The name.
    #[serde(borrow, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The namespace; empty for a cluster-scoped object.
    #[serde(borrow, deserialize_with = "or_default")]
    pub namespace: Text<'a>,
    /// The prefix from which the name was made.
    #[serde(borrow, deserialize_with = "or_default")]
    pub generate_name: Text<'a>,
    /// The unique id.
    #[serde(borrow, deserialize_with = "or_default")]
    pub uid: Text<'a>,
    /// The version, as the text that clients see.
    #[serde(borrow, deserialize_with = "or_default")]
    pub resource_version: Text<'a>,
    /// How often the desired state changed; 0 where the kind does not count.
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
    /// When it was created, RFC 3339.
    #[serde(borrow, deserialize_with = "or_default")]
    pub creation_timestamp: Text<'a>,
    /// When it is (or was) due to be gone, RFC 3339; absent while nobody deleted it.
    #[serde(borrow)]
    pub deletion_timestamp: Option<Text<'a>>,
    /// The seconds it was given to go.
    pub deletion_grace_period_seconds: Option<i64>,
    /// Its labels.
    #[serde(borrow, deserialize_with = "or_default")]
    pub labels: BTreeMap<Text<'a>, Text<'a>>,
    /// Who owns it.
    #[serde(borrow, deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference<'a>>,
    /// Who must agree before it goes.
    #[serde(borrow, deserialize_with = "or_default")]
    pub finalizers: Vec<Text<'a>>,
    // Annotations can be large and are rarely looked at.
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

/// A reference to an owner.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference<'a> {
    /// The owner's `group/version`.
    #[serde(borrow, deserialize_with = "or_default")]
    pub api_version: Text<'a>,
    /// The owner's kind.
    #[serde(borrow, deserialize_with = "or_default")]
    pub kind: Text<'a>,
    /// The owner's name, in the same namespace or cluster-scoped.
    #[serde(borrow, deserialize_with = "or_default")]
    pub name: Text<'a>,
    /// The owner's unique id.
    #[serde(borrow, deserialize_with = "or_default")]
    pub uid: Text<'a>,
    /// Whether it is the one owner that manages the object.
    #[serde(deserialize_with = "or_default")]
    pub controller: bool,
    /// Whether a foreground deletion of the owner waits for this object.
    #[serde(deserialize_with = "or_default")]
    pub block_owner_deletion: bool,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    metadata: Meta<'a>,
}

/// Null counts as absent, as everywhere in the API.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<'a> Meta<'a> {
    /// Reads the metadata of a stored object.
    ///
    /// # Errors
    /// If its metadata do not have the form of metadata, which is checked before an object is stored.
    pub fn of(object: &'a Object) -> Result<Self, serde_json::Error> {
        object.parse_metadata()
    }

    /// Reads the metadata of an object's JSON text.
    ///
    /// # Errors
    /// If it is not JSON, or its metadata do not have the form of metadata.
    pub fn from_slice(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Envelope<'a>>(bytes).map(|e| e.metadata)
    }

    /// Whether somebody deleted it and it is still there.
    pub fn is_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// The owner that manages it.
    pub fn controller(&self) -> Option<&OwnerReference<'a>> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether an owner has this unique id.
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.owner_references.iter().any(|owner| *owner.uid == *uid)
    }

    /// Whether it has a finalizer.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| **finalizer == *name)
    }

    /// Its annotations, read on demand.
    pub fn annotations(&self) -> BTreeMap<Text<'a>, Text<'a>> {
        // Stored annotations were checked to be strings by strings.
        self.annotations.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// One annotation.
    pub fn annotation(&self, key: &str) -> Option<String> {
        self.annotations().get(key).map(|value| value.to_string())
    }
}

#[cfg(test)]
mod tests;
