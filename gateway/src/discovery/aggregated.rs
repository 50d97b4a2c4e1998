//! Aggregated discovery: all groups of `/api` or `/apis` in one document, with an ETag.

use cox_objects::{Kind, Kinds};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::json::put;

use super::{groups, kinds_of};

/// Its media type.
pub const MEDIA_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The document of `/api` (core) or `/apis` (the others), and its ETag, quoted.
pub fn aggregated(kinds: &Kinds, core: bool) -> (String, String) {
    let items: Vec<Value> = if core {
        vec![item(kinds, "", &["v1"])]
    } else {
        groups(kinds).into_iter().map(|(group, versions)| item(kinds, group, &versions)).collect()
    };
    let document = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items});
    let text = document.to_string();
    let digest: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect();
    (text, format!("\"{digest}\""))
}

fn item(kinds: &Kinds, group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let resources: Vec<Value> = kinds_of(kinds, group, version).map(|kind| resource(kind)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({ "name": group }) };
    json!({"metadata": metadata, "versions": versions})
}

fn resource(kind: &Kind) -> Value {
    let mut entry = json!({
        "resource": kind.plural,
        // As Kubernetes has it: empty where it is the group and version of the document.
        "responseKind": {"group": "", "version": "", "kind": kind.kind},
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        put(&mut entry, "shortNames", json!(kind.short_names));
    }
    if !kind.categories.is_empty() {
        put(&mut entry, "categories", json!(kind.categories));
    }
    let subresources: Vec<Value> = kind
        .subresources
        .iter()
        .map(|sub| {
            let own = (&sub.group, &sub.version) == (&kind.group, &kind.version);
            let (group, version) = if own { ("", "") } else { (sub.group.as_str(), sub.version.as_str()) };
            json!({"subresource": sub.name, "verbs": sub.verbs,
                "responseKind": {"group": group, "version": version, "kind": sub.kind}})
        })
        .collect();
    if !subresources.is_empty() {
        put(&mut entry, "subresources", json!(subresources));
    }
    entry
}
