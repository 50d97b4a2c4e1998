//! The rows of what runs pods and keeps them running.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{int, list, text};
use super::cells::{NONE, age, containers, labels, name, selector};

fn wide(object: &Value, mut cells: Vec<Value>, selector: Option<String>) -> Vec<Value> {
    cells.extend(containers(object, "spec.template.spec"));
    cells.extend(selector.map(Value::from));
    cells
}

/// Desired, current and ready replicas.
fn replicas(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(object)),
        json!(int(object, "spec.replicas")),
        json!(int(object, "status.replicas")),
        json!(int(object, "status.readyReplicas")),
        json!(age(object, now)),
    ]
}

pub(super) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    wide(object, replicas(object, now), Some(selector(object, "spec.selector")))
}

pub(super) fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    wide(object, replicas(object, now), Some(labels(object, "spec.selector")))
}

pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let cells = vec![
        json!(name(object)),
        json!(format!("{}/{}", int(object, "status.readyReplicas"), int(object, "spec.replicas"))),
        json!(int(object, "status.updatedReplicas")),
        json!(int(object, "status.availableReplicas")),
        json!(age(object, now)),
    ];
    wide(object, cells, Some(selector(object, "spec.selector")))
}

pub(super) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let cells = vec![
        json!(name(object)),
        json!(format!("{}/{}", int(object, "status.readyReplicas"), int(object, "spec.replicas"))),
        json!(age(object, now)),
    ];
    wide(object, cells, None)
}

pub(super) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![json!(name(object))];
    for field in
        ["desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable"]
    {
        cells.push(json!(int(object, &format!("status.{field}"))));
    }
    cells.push(json!(labels(object, "spec.template.spec.nodeSelector")));
    cells.push(json!(age(object, now)));
    wide(object, cells, Some(selector(object, "spec.selector")))
}

pub(super) fn pod_template(object: &Value, _now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(object, "template.spec");
    vec![json!(name(object)), names, images, json!(labels(object, "template.metadata.labels"))]
}

pub(super) fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller =
        list(object, "metadata.ownerReferences").iter().find(|o| o.get("controller") == Some(&json!(true)));
    let controller = controller.map_or(NONE.to_owned(), |owner| {
        let (group, kind) =
            (text(owner, "apiVersion").split_once('/').map_or("", |(group, _)| group), text(owner, "kind"));
        let kind = kind.to_lowercase();
        let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
        format!("{kind}/{}", text(owner, "name"))
    });
    vec![json!(name(object)), json!(controller), json!(int(object, "revision")), json!(age(object, now))]
}
