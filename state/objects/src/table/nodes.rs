//! The row of a node.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{flag, list, map, text, text_or};
use super::cells::{NONE, UNKNOWN, age, name};

pub(super) fn node(node: &Value, now: Timestamp) -> Vec<Value> {
    let kernel = match (text(node, "status.nodeInfo.kernelVersion"), text(node, "status.nodeInfo.architecture")) {
        ("", _) => UNKNOWN.to_owned(),
        (kernel, "") => kernel.to_owned(),
        (kernel, architecture) => format!("{kernel} ({architecture})"),
    };
    vec![
        json!(name(node)),
        json!(status(node)),
        json!(roles(node)),
        json!(age(node, now)),
        json!(text(node, "status.nodeInfo.kubeletVersion")),
        json!(address(node, "InternalIP")),
        json!(address(node, "ExternalIP")),
        json!(text_or(node, "status.nodeInfo.osImage", UNKNOWN)),
        json!(kernel),
        json!(text_or(node, "status.nodeInfo.containerRuntimeVersion", UNKNOWN)),
    ]
}

fn status(node: &Value) -> String {
    let ready = list(node, "status.conditions").iter().rfind(|c| text(c, "type") == "Ready");
    let ready = match ready.map(|c| text(c, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let held_back = if flag(node, "spec.unschedulable") { ",SchedulingDisabled" } else { "" };
    format!("{ready}{held_back}")
}

fn roles(node: &Value) -> String {
    let labels = map(node, "metadata.labels").into_iter().flatten();
    let mut roles: Vec<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    list(node, "status.addresses").iter().find(|a| text(a, "type") == kind).map_or(NONE, |a| text(a, "address"))
}
