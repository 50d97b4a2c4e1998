//! The facts of a kind: what the API serves, under which names, with which verbs and subresources.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Resource;

/// A served version of a resource. Built-in kinds come from the table in `kinds`; custom ones will be added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Where its objects are stored: several kinds (versions, or `events` of two groups) may share one.
    pub resource: Resource,
    /// API group; empty for core.
    pub group: String,
    /// API version (`v1`).
    pub version: String,
    /// The version of the stored form; objects of another version are converted on the way in and out.
    pub storage_version: String,
    /// `Pod`
    pub kind: String,
    /// `pods`
    pub plural: String,
    /// `pod`
    pub singular: String,
    /// `po`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// The verbs that discovery lists; a verb that is not there answers 405.
    pub verbs: Vec<String>,
    /// `status`, `scale`, `log`, …
    pub subresources: Vec<Subresource>,
    /// Whether objects are kept (false for reviews, which are only answered).
    pub stored: bool,
    /// Whether the API serves it at all. CustomResourceDefinition and APIService are known for their facts, but nothing
    /// acts on them yet, so discovery leaves them out and their paths answer 404.
    pub served: bool,
    /// The `storageVersionHash` of discovery.
    pub storage_hash: String,
    /// What every answer about it warns of, if this version is deprecated; empty otherwise.
    pub deprecation: String,
}

/// A subresource that a kind serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// `status`, `scale`, `binding`, `exec`, …
    pub name: String,
    /// Group of the kind that goes over the wire, if not the kind's own (`autoscaling` of Scale).
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: String,
    /// The verbs that discovery lists.
    pub verbs: Vec<String>,
}

impl Kind {
    /// `group/version`, or the version alone in the core group: the `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether discovery lists the verb.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
}

/// All kinds that are served; immutable, so that a change (a custom kind) is a new table.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    all: Vec<Arc<Kind>>,
    by_path: HashMap<(String, String, String), Arc<Kind>>,
    by_kind: HashMap<(String, String, String), Arc<Kind>>,
    by_resource: HashMap<Resource, Arc<Kind>>,
}

impl Kinds {
    /// A table of these kinds, in discovery order.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let mut table = Kinds::default();
        for kind in kinds.into_iter().map(Arc::new) {
            table.by_path.insert((kind.group.clone(), kind.version.clone(), kind.plural.clone()), kind.clone());
            table.by_kind.insert((kind.group.clone(), kind.version.clone(), kind.kind.clone()), kind.clone());
            let own = kind.resource == Resource::new(&kind.group, &kind.plural) && kind.version == kind.storage_version;
            if own {
                table.by_resource.insert(kind.resource.clone(), kind.clone());
            }
            table.all.push(kind);
        }
        table
    }

    /// All kinds, in discovery order.
    pub fn all(&self) -> &[Arc<Kind>] {
        &self.all
    }

    /// The kind that a URL names.
    pub fn at(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.by_path.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The kind that an object's `apiVersion` and `kind` name.
    pub fn named(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.by_kind.get(&(group.to_owned(), version.to_owned(), kind.to_owned()))
    }

    /// The kind in whose form a resource's objects are stored.
    pub fn stored(&self, resource: &Resource) -> Option<&Arc<Kind>> {
        self.by_resource.get(resource)
    }
}
