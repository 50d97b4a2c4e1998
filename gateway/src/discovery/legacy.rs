//! `/api`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION` and the list of paths at `/`.

use cox_objects::{Kind, Kinds};
use serde_json::{Map, Value, json};

use crate::json::put;

use super::{groups, kinds_of};

/// `/api`; clients are told the address they came to.
pub fn versions(server: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}]})
}

/// `/apis`
pub fn group_list(kinds: &Kinds) -> Value {
    let all: Vec<Value> =
        groups(kinds).into_iter().map(|(name, versions)| Value::Object(describe(name, &versions))).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
}

/// `/apis/GROUP`
pub fn group(kinds: &Kinds, name: &str) -> Option<Value> {
    let (name, versions) = groups(kinds).into_iter().find(|(n, _)| *n == name)?;
    let mut group = Map::from_iter([("kind".to_owned(), json!("APIGroup")), ("apiVersion".to_owned(), json!("v1"))]);
    group.extend(describe(name, &versions));
    Some(Value::Object(group))
}

fn describe(name: &str, versions: &[&str]) -> Map<String, Value> {
    let entry = |version: &&str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let all: Vec<Value> = versions.iter().map(entry).collect();
    let preferred = all.first().cloned().unwrap_or_default();
    Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("versions".to_owned(), Value::Array(all)),
        ("preferredVersion".to_owned(), preferred),
    ])
}

/// `/api/v1`, `/apis/GROUP/VERSION`. The core document is older than its own apiVersion and has none.
pub fn group_version(kinds: &Kinds, group: &str, version: &str) -> Value {
    let resources: Vec<Value> = kinds_of(kinds, group, version).flat_map(|kind| resources(kind)).collect();
    let mut list = json!({"kind": "APIResourceList"});
    if !group.is_empty() {
        put(&mut list, "apiVersion", json!("v1"));
    }
    put(&mut list, "groupVersion", if group.is_empty() { json!(version) } else { json!(format!("{group}/{version}")) });
    put(&mut list, "resources", json!(resources));
    list
}

fn resources(kind: &Kind) -> Vec<Value> {
    let mut main = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs});
    if !kind.short_names.is_empty() {
        put(&mut main, "shortNames", json!(kind.short_names));
    }
    if !kind.categories.is_empty() {
        put(&mut main, "categories", json!(kind.categories));
    }
    if !kind.storage_hash.is_empty() {
        put(&mut main, "storageVersionHash", json!(kind.storage_hash));
    }
    let mut all = vec![main];
    for sub in &kind.subresources {
        let mut entry = json!({"name": format!("{}/{}", kind.plural, sub.name), "singularName": "",
            "namespaced": kind.namespaced});
        if (&sub.group, &sub.version) != (&kind.group, &kind.version) && !sub.version.is_empty() {
            if !sub.group.is_empty() {
                put(&mut entry, "group", json!(sub.group));
            }
            put(&mut entry, "version", json!(sub.version));
        }
        put(&mut entry, "kind", json!(sub.kind));
        put(&mut entry, "verbs", json!(sub.verbs));
        all.push(entry);
    }
    all
}

/// `/`: the paths that there are; `checks` are those below the health endpoints.
pub fn paths(kinds: &Kinds, checks: &[String]) -> Value {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/",
        "/metrics",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/version",
    ]
    .map(str::to_owned)
    .into();
    for (group, versions) in groups(kinds) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    for endpoint in ["/healthz", "/livez", "/readyz"] {
        paths.push(endpoint.to_owned());
        paths.extend(checks.iter().map(|check| format!("{endpoint}/{check}")));
    }
    paths.sort();
    json!({ "paths": paths })
}
