//! The roles and bindings that every cluster begins with, as Kubernetes 1.36 makes them.
//!
//! They are kept in `data/rbac.jsonl` (made by `ops/generate/rbac.py`), one object a line, without what all of them have in
//! common.

use serde_json::{Map, Value, json};

use super::{GROUP, Rule, aggregate, aggregation_of, rules_cover, rules_in};

static DATA: &str = include_str!("../../data/rbac.jsonl");

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// All default objects, ready to be created: ClusterRoles (aggregated ones with the rules they gather), Roles,
/// ClusterRoleBindings, RoleBindings, each family in the order of its names.
pub fn objects() -> Vec<Value> {
    let mut objects: Vec<Value> = DATA.lines().filter_map(|line| serde_json::from_str(line).ok()).map(object).collect();
    // A role may gather from one that gathers itself: `admin` from `edit` from `view`.
    while gather(&mut objects) {}
    objects
}

fn object(line: Map<String, Value>) -> Value {
    let mut object = Map::new();
    object.insert("apiVersion".into(), format!("{GROUP}/v1").into());
    let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    let mut metadata = json!({"annotations": {AUTOUPDATE: "true"}});
    for (field, value) in line {
        match (field.as_str(), value) {
            ("labels", Value::Object(more)) => labels.as_object_mut().into_iter().for_each(|l| l.extend(more.clone())),
            ("name" | "namespace", value) => crate::meta::set(&mut metadata, &field, value),
            (_, value) => drop(object.insert(field, value)),
        }
    }
    crate::meta::set(&mut metadata, "labels", labels);
    object.insert("metadata".into(), metadata);
    Value::Object(object)
}

/// Gathers the rules of aggregated roles once; tells whether anything changed.
fn gather(objects: &mut [Value]) -> bool {
    let roles: Vec<(String, Value, Vec<Rule>)> = objects
        .iter()
        .filter(|o| o.get("kind").is_some_and(|kind| kind == "ClusterRole"))
        .map(|o| {
            let rules = rules_in(o).map(|rules| rules.to_vec()).unwrap_or_default();
            (crate::meta::text(o, "metadata.name").to_owned(), crate::meta::get(o, "metadata.labels").clone(), rules)
        })
        .collect();
    let mut changed = false;
    for object in objects.iter_mut() {
        let Some(selectors) = aggregation_of(object) else { continue };
        let name = crate::meta::text(object, "metadata.name").to_owned();
        let roles = roles.iter().map(|(name, labels, rules)| (name.as_str(), labels, rules.as_slice()));
        let rules = json!(aggregate(&name, &selectors, roles));
        if object.get("rules") != Some(&rules) {
            crate::meta::set(object, "rules", rules);
            changed = true;
        }
    }
    changed
}

/// What a default object that is already stored lacks (after an upgrade, or because somebody took it away): the stored
/// object with the missing labels, annotations, rules and subjects added. Nothing if it lacks nothing, or if its owner
/// turned the updates off by annotation.
///
/// A binding that names another role is answered with the default itself: a reference cannot be changed, so the
/// stored one is to be deleted first.
pub fn reconcile(stored: &Value, default: &Value) -> Option<Value> {
    let annotation = crate::meta::get(stored, "metadata.annotations").get(AUTOUPDATE);
    if annotation.is_some_and(|value| value == "false") {
        return None;
    }
    if stored.get("roleRef") != default.get("roleRef") {
        return Some(default.clone());
    }
    let mut updated = stored.clone();
    for path in ["metadata.labels", "metadata.annotations"] {
        let mut merged = crate::meta::get(default, path).as_object().cloned().unwrap_or_default();
        merged.extend(crate::meta::get(stored, path).as_object().cloned().unwrap_or_default());
        crate::meta::set(&mut updated, path, merged);
    }
    // Rules of aggregated roles are gathered, not given.
    if default.get("aggregationRule").is_some() {
        crate::meta::set(&mut updated, "aggregationRule", crate::meta::get(default, "aggregationRule").clone());
    } else if let (Ok(held), Ok(wanted)) = (rules_in(stored), rules_in(default)) {
        let missing = rules_cover(&held, &wanted);
        if !missing.is_empty() {
            crate::meta::set(&mut updated, "rules", json!([held.to_vec(), missing].concat()));
        }
    }
    if let Some(wanted) = default.get("subjects").and_then(Value::as_array) {
        let mut subjects = stored.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
        subjects.extend(wanted.iter().filter(|s| !subjects.contains(s)).cloned().collect::<Vec<_>>());
        crate::meta::set(&mut updated, "subjects", subjects);
    }
    (updated != *stored).then_some(updated)
}
