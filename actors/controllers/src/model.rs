//! The parts of objects that controllers look at: small types, so that many of them can be kept parsed.

use std::collections::BTreeMap;

use cox_kit::Typed;
use cox_kit::recorder::About;
use cox_objects::{Key, Resource};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Metadata, as far as controllers need them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    #[serde(deserialize_with = "or_default")]
    pub resource_version: String,
    #[serde(deserialize_with = "or_default")]
    pub generation: i64,
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
    #[serde(deserialize_with = "or_default")]
    pub finalizers: Vec<String>,
    pub creation_timestamp: Option<Time>,
    pub deletion_timestamp: Option<Time>,
}

impl Meta {
    /// The owner that manages the object.
    pub(crate) fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }

    /// Whether the owner of this uid manages the object.
    pub(crate) fn is_controlled_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner.uid == uid)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    pub(crate) fn key(&self, resource: Resource) -> Key {
        Key::new(resource, &self.namespace, &self.name)
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    }

    pub(crate) fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// The reference with which dependents say that the object manages them.
    pub(crate) fn as_controller(&self, api_version: &str, kind: &str) -> OwnerReference {
        OwnerReference {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// The object, as an Event names it.
    pub(crate) fn about(&self, api_version: &str, kind: &str) -> About {
        About {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
            field_path: String::new(),
        }
    }

    /// A merge patch of the owners, which fails if the object is not as it was seen.
    pub(crate) fn own(&self, owners: &[OwnerReference]) -> Value {
        let owners = if owners.is_empty() { Value::Null } else { json!(owners) };
        json!({"metadata": {"uid": self.uid, "resourceVersion": self.resource_version, "ownerReferences": owners}})
    }
}

/// A condition of any kind's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub status: String,
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    pub last_transition_time: Option<Time>,
    pub last_update_time: Option<Time>,
}

/// The condition of a type.
pub(crate) fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// A ReplicaSet or ReplicationController.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Set {
    pub metadata: Meta,
    pub spec: SetSpec,
    #[serde(deserialize_with = "or_default")]
    pub status: SetStatus,
}

/// What is wanted of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SetSpec {
    pub replicas: Option<i32>,
    #[serde(deserialize_with = "or_default")]
    pub min_ready_seconds: i32,
    pub selector: Value,
    pub template: Value,
}

/// How it does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SetStatus {
    #[serde(deserialize_with = "or_default")]
    pub replicas: i32,
    #[serde(deserialize_with = "or_default")]
    pub ready_replicas: i32,
    #[serde(deserialize_with = "or_default")]
    pub available_replicas: i32,
    pub terminating_replicas: Option<i32>,
    #[serde(deserialize_with = "or_default")]
    pub observed_generation: i64,
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

impl Set {
    /// `spec.replicas`, one if it is not said.
    pub(crate) fn wanted(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }
}

impl Typed for Set {
    const RESOURCE: Resource = Resource::REPLICASETS;
}

/// Null counts as absent.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
