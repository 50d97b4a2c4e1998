//! Who asks: the identity that authentication found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An authenticated user, as RBAC and admission see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `system:anonymous`, `system:serviceaccount:ns:name`, `kubernetes-admin`, …
    pub name: String,
    /// Unique id, where the authenticator knows one (that of the ServiceAccount).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups, including `system:authenticated` or `system:unauthenticated`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Further facts (`authentication.kubernetes.io/pod-name`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whether the user is a member of a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}
