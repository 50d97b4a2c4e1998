//! Conversion between the served versions of a kind and the one that is stored.
//!
//! Nearly every kind is stored as it is served. The two that are not: `events.k8s.io/v1` Event, whose fields have other
//! names than core's, and `autoscaling/v1` HorizontalPodAutoscaler, which keeps in annotations what only `v2` has fields for.

mod autoscaler;

use serde_json::{Map, Value};

use crate::Kind;

/// The fields of an Event that have another name: in core, in `events.k8s.io`.
const EVENT: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Whether objects of a kind are stored in another form than they are served in.
pub fn differs(kind: &Kind) -> bool {
    event(kind) || autoscaler(kind)
}

/// The stored form of an object that was sent as `kind`.
pub fn to_stored(kind: &Kind, mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut().filter(|_| differs(kind)) {
        if event(kind) {
            rename(fields, EVENT.iter().map(|(core, events)| (*events, *core)));
            fields.insert("apiVersion".to_owned(), Value::from("v1"));
        } else {
            autoscaler::to_v2(fields);
            fields.insert("apiVersion".to_owned(), Value::from("autoscaling/v2"));
        }
    }
    value
}

/// A stored object as `kind` serves it.
pub fn from_stored(kind: &Kind, mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut().filter(|_| differs(kind)) {
        if event(kind) {
            rename(fields, EVENT);
            for reporter in ["reportingController", "reportingInstance"] {
                if fields.get(reporter).is_some_and(|value| value == "") {
                    fields.remove(reporter);
                }
            }
        } else {
            autoscaler::to_v1(fields);
        }
        fields.insert("apiVersion".to_owned(), Value::from(kind.api_version()));
    }
    value
}

/// The annotation in which `apps/v1` shows a field of DaemonSets that it has no other place for.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The metadata of a stored object where only metadata is shown. Kubernetes takes it from its internal form, in which what
/// a version keeps in annotations is fields.
pub fn metadata(kind: &Kind, stored: &Value) -> Value {
    let mut metadata = stored.get("metadata").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if kind.group == "apps" && kind.kind == "DaemonSet" {
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        let left = annotations.map(|all| {
            all.remove(TEMPLATE_GENERATION);
            all.len()
        });
        if let (Some(0), Some(fields)) = (left, metadata.as_object_mut()) {
            fields.remove("annotations");
        }
    }
    metadata
}

fn event(kind: &Kind) -> bool {
    kind.group == "events.k8s.io"
}

fn autoscaler(kind: &Kind) -> bool {
    kind.group == "autoscaling" && kind.version == "v1" && kind.kind == "HorizontalPodAutoscaler"
}

/// Gives fields their new names. Core always writes its reporters, also empty ones; `events.k8s.io` only those that are set,
/// so [`from_stored`] leaves the empty ones out, and [`crate::schema::check`] adds what a version always has.
fn rename(fields: &mut Map<String, Value>, names: impl IntoIterator<Item = (&'static str, &'static str)>) {
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests;
