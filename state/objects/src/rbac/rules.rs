//! Roles and bindings as they are read from objects.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::User;
use crate::selector::LabelSelector;

/// One rule of a role: some verbs on some resources, or on some paths that are not resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// The verbs; `*` means all.
    #[serde(deserialize_with = "list")]
    pub verbs: Vec<String>,
    /// The API groups; `*` means all.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// The resources (`pods`, `pods/log`, `*/scale`); `*` means all.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The only names to which the rule applies; none means all.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths; one that ends in `*` means all that begin so.
    #[serde(rename = "nonResourceURLs", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// Lists of objects may be null.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The role that a binding gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// To whom a binding gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The namespace of a ServiceAccount.
    pub namespace: String,
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// Its namespace; empty for a ClusterRoleBinding.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The role it gives.
    pub role: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

/// Why an object is not a role or a binding, which is checked before it is stored.
#[derive(Debug, thiserror::Error)]
#[error("not a role or binding: {0}")]
pub struct ReadError(#[from] serde_json::Error);

/// The rules of a Role or ClusterRole.
///
/// # Errors
/// If they do not have the form of rules.
pub fn rules_in(role: &Value) -> Result<Arc<[Rule]>, ReadError> {
    let rules: Option<Vec<Rule>> = role.get("rules").map(Option::deserialize).transpose()?.flatten();
    Ok(rules.unwrap_or_default().into())
}

/// A RoleBinding or ClusterRoleBinding.
///
/// # Errors
/// If it does not have the form of one.
pub fn binding_of(object: &Value) -> Result<Binding, ReadError> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Parts {
        role_ref: RoleRef,
        #[serde(deserialize_with = "list")]
        subjects: Vec<Subject>,
    }
    let parts = Parts::deserialize(object)?;
    let text = |path| crate::meta::text(object, path).to_owned();
    Ok(Binding {
        namespace: text("metadata.namespace"),
        name: text("metadata.name"),
        role: parts.role_ref,
        subjects: parts.subjects,
    })
}

/// The selectors by which a ClusterRole gathers the rules of others; nothing if it has rules of its own.
pub fn aggregation_of(role: &Value) -> Option<Vec<LabelSelector>> {
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors")?.as_array()?;
    // A selector that cannot be read selects nothing.
    Some(selectors.iter().map(|s| LabelSelector::from_value(s).unwrap_or(LabelSelector::Nothing)).collect())
}

fn any(list: &[String], value: &str) -> bool {
    list.iter().any(|item| item == "*" || item == value)
}

/// Whether `pattern` is a path, or the beginning of paths behind which a `*` stands.
pub(super) fn path_matches(pattern: &str, path: &str) -> bool {
    pattern == path || (pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*')))
}

impl Rule {
    /// Whether it allows a verb on a resource (`subresource` and `name` may be empty).
    pub fn allows(&self, verb: &str, group: &str, resource: &str, subresource: &str, name: &str) -> bool {
        any(&self.verbs, verb)
            && any(&self.api_groups, group)
            && self.resources.iter().any(|r| resource_matches(r, resource, subresource))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == name))
    }

    /// Whether it allows a verb on a path that is not a resource.
    pub fn allows_path(&self, verb: &str, path: &str) -> bool {
        any(&self.verbs, verb) && self.non_resource_urls.iter().any(|url| path_matches(url, path))
    }
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    match rule.split_once('/') {
        _ if rule == "*" => true,
        Some((parent, sub)) => !subresource.is_empty() && sub == subresource && (parent == "*" || parent == resource),
        None => subresource.is_empty() && rule == resource,
    }
}

impl Subject {
    /// Whether it means this user; a ServiceAccount without a namespace is of the binding's.
    pub fn is(&self, user: &User, binding_namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { binding_namespace } else { &self.namespace };
                let account = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
                !namespace.is_empty() && account == Some((namespace, self.name.as_str()))
            }
            _ => false,
        }
    }

    /// The subject as the reasons of decisions name it.
    pub(super) fn describe(&self) -> String {
        match self.kind.as_str() {
            "ServiceAccount" => format!("ServiceAccount {:?}", format!("{}/{}", self.name, self.namespace)),
            kind => format!("{kind} {:?}", self.name),
        }
    }
}

impl Binding {
    /// The subject that means this user, if one does.
    pub fn subject_for(&self, user: &User) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.is(user, &self.namespace))
    }

    /// The binding as the reasons of decisions name it.
    pub(super) fn describe(&self, subject: &Subject) -> String {
        let (kind, name) = match self.namespace.as_str() {
            "" => ("ClusterRoleBinding", self.name.clone()),
            namespace => ("RoleBinding", format!("{}/{namespace}", self.name)),
        };
        format!("{kind} {name:?} of {} {:?} to {}", self.role.kind, self.role.name, subject.describe())
    }
}
