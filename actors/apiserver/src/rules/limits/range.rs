//! LimitRanges.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::super::resources;

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

/// Defaults: what containers get if they say nothing follows from the bounds.
pub(crate) fn defaults(object: &mut Value) {
    let Some(spec) = object.inner("spec") else { return };
    for limit in spec.items("limits") {
        for list in LISTS {
            resources::canonical(limit, list);
        }
        if limit.text("type") != "Container" {
            continue;
        }
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let known: Vec<(String, Value)> = limit.entries(from).map(|(k, v)| (k.to_owned(), v.clone())).collect();
            for (resource, quantity) in known {
                limit.object(to).fill_unset(&resource, quantity);
            }
        }
    }
}

/// The limits.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let mut types = BTreeSet::new();
    for (i, limit) in object.at("spec").list("limits").iter().enumerate() {
        let at = Path::new("spec").child("limits").index(i);
        let kind = limit.text("type");
        type_name(errors, kind, &at.child("type"));
        if !types.insert(kind) {
            errors.push(FieldError::duplicate(&at.child("type"), kind));
        }
        for list in ["max", "min"] {
            names(errors, limit, kind, list, &at);
        }
        for list in ["default", "defaultRequest"] {
            if kind != "Pod" {
                names(errors, limit, kind, list, &at);
            } else if limit.filled(list) {
                errors.push(FieldError::forbidden(&at.child(list), "may not be specified when `type` is 'Pod'"));
            }
        }
        if kind == "PersistentVolumeClaim" && !limit.at("min").has("storage") && !limit.at("max").has("storage") {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(FieldError::required(&at.child("limits"), detail));
        }
        names(errors, limit, kind, "maxLimitRequestRatio", &at);
        let keys: BTreeSet<&str> = LISTS.iter().flat_map(|list| limit.entries(list).map(|(k, _)| k)).collect();
        for key in keys {
            bounds(errors, limit, key, &at);
        }
    }
}

fn type_name(errors: &mut Errors, kind: &str, path: &Path) {
    let found = name::is_label_key(kind);
    if !found.is_empty() {
        check::texts(errors, path, kind, found);
    } else if !kind.contains('/') && !TYPES.contains(&kind) {
        errors.push(FieldError::invalid(path, kind, "must be a standard limit type or fully qualified"));
    }
}

fn names(errors: &mut Errors, limit: &Value, kind: &str, list: &str, path: &Path) {
    for (resource, _) in limit.entries(list) {
        let at = path.child(list).key(resource);
        if ["Pod", "Container"].contains(&kind) {
            resources::container_name(errors, resource, &at);
        } else {
            resources::resource_name(errors, resource, &at);
        }
    }
}

fn bounds(errors: &mut Errors, limit: &Value, key: &str, path: &Path) {
    let of = |list: &str| limit.at(list).get(key).map(|q| (q.clone(), resources::text(q)));
    let (min, max, ratio) = (of("min"), of("max"), of("maxLimitRequestRatio"));
    let (default, request) = (of("default"), of("defaultRequest"));
    let mut above = |list: &str,
                     shown: &Option<(Value, String)>,
                     left: (&str, &Option<(Value, String)>),
                     right: (&str, &Option<(Value, String)>)| {
        let (Some((a, a_text)), Some((b, b_text)), Some((_, shown))) = (left.1, right.1, shown) else { return };
        if resources::compare(a, b).is_gt() {
            let detail = format!("{} value {a_text} is greater than {} value {b_text}", left.0, right.0);
            errors.push(FieldError::invalid(&path.child(list).key(key), shown.as_str(), &detail));
        }
    };
    above("min", &min, ("min", &min), ("max", &max));
    above("defaultRequest", &request, ("min", &min), ("default request", &request));
    above("defaultRequest", &request, ("default request", &request), ("max", &max));
    above("defaultRequest", &request, ("default request", &request), ("default limit", &default));
    above("default", &min, ("min", &min), ("default", &default));
    above("default", &max, ("default", &default), ("max", &max));
    let Some((ratio, shown)) = ratio else { return };
    let at = path.child("maxLimitRequestRatio").key(key);
    if resources::compare(&ratio, &Value::from("1")).is_lt() {
        errors.push(FieldError::invalid(&at, shown.as_str(), &format!("ratio {shown} is less than 1")));
    }
    if let (Some((min, _)), Some((max, _))) = (min, max) {
        let most = resources::as_f64(&max) / resources::as_f64(&min);
        if resources::as_f64(&ratio) > most {
            let detail = format!("ratio {shown} is greater than max/min = {most:.6}");
            errors.push(FieldError::invalid(&at, shown.as_str(), &detail));
        }
    }
}
