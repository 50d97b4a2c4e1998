//! The `status` subresource of pods, as kubelets write it.

use std::net::IpAddr;

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors, IMMUTABLE};
use super::super::print;
use super::super::read::{Fill, Read};

/// Keeps the spec and the owners; makes `podIPs` follow `podIP`.
pub(super) fn prepare(object: &mut Value, old: &Value) {
    object.set("spec", old.at("spec").clone());
    let owners = old.at("metadata").at("ownerReferences");
    let metadata = object.object("metadata");
    if owners.is_null() {
        metadata.drop_field("ownerReferences");
    } else {
        metadata.set("ownerReferences", owners.clone());
    }
    if old.at("metadata").at("deletionTimestamp").is_null() {
        metadata.drop_field("deletionTimestamp");
    }
    let status = object.object("status");
    status.fill("qosClass", old.at("status").at("qosClass").clone());
    for (one, many) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
        let first = status.list(many).first().map(|ip| ip.text("ip").to_owned()).unwrap_or_default();
        let own = status.text(one).to_owned();
        if own.is_empty() && !first.is_empty() {
            status.set(one, first);
        } else if !own.is_empty() && own != first {
            status.set(many, json!([{"ip": own}]));
        }
    }
}

/// The status of a pod.
pub(super) fn validate(errors: &mut Errors, object: &Value, old: &Value) {
    let (status, before) = (object.at("status"), old.at("status"));
    let path = Path::new("status");
    check::conditions(errors, &path, status);
    if object.at("spec").text("nodeName") != old.at("spec").text("nodeName") {
        errors.push(FieldError::forbidden(&path.child("nodeName"), "may not be changed directly"));
    }
    let nominated = status.text("nominatedNodeName");
    if !nominated.is_empty() && nominated != before.text("nominatedNodeName") {
        check::dns_subdomain(errors, &path.child("nominatedNodeName"), nominated);
    }
    let policy = old.at("spec").text("restartPolicy");
    for (list, policy) in [
        ("containerStatuses", policy),
        ("initContainerStatuses", if policy == "Always" { "OnFailure" } else { policy }),
        ("ephemeralContainerStatuses", "Never"),
    ] {
        restarts(errors, object, old, list, policy, &path.child(list));
    }
    let class = before.text("qosClass");
    if !class.is_empty() && status.text("qosClass") != class {
        errors.push(FieldError::invalid(&path.child("qosClass"), status.text("qosClass"), IMMUTABLE));
    }
    for field in ["podIPs", "hostIPs"] {
        addresses(errors, status, field, &path.child(field));
    }
}

/// A container that ended for good does not run again.
fn restarts(errors: &mut Errors, object: &Value, old: &Value, list: &str, policy: &str, path: &Path) {
    if policy == "Always" {
        return;
    }
    let now = object.at("status").list(list);
    for before in old.at("status").list(list) {
        let ended = before.at("state").at("terminated");
        if ended.is_null() || own_policy(old, before.text("name")) {
            continue;
        }
        if policy == "OnFailure" && ended.int("exitCode").unwrap_or(0) != 0 {
            continue;
        }
        let found = now.iter().enumerate().find(|(_, s)| s.text("name") == before.text("name"));
        if let Some((i, _)) = found.filter(|(_, s)| !s.at("state").has("terminated")) {
            let detail = "may not be transitioned to non-terminated state";
            errors.push(FieldError::forbidden(&path.index(i).child("state"), detail));
        }
    }
}

/// Whether a container decides itself when it is started again.
fn own_policy(object: &Value, name: &str) -> bool {
    let spec = object.at("spec");
    let mut all = spec.list("containers").iter().chain(spec.list("initContainers"));
    all.any(|c| c.text("name") == name && (c.has("restartPolicy") || c.filled("restartPolicyRules")))
}

fn addresses(errors: &mut Errors, status: &Value, field: &str, path: &Path) {
    let list = status.list(field);
    let mut parsed = Vec::new();
    for (i, entry) in list.iter().enumerate() {
        parsed.extend(check::ip(errors, &path.index(i), entry.text("ip")));
    }
    let four = parsed.iter().filter(|ip: &&IpAddr| ip.is_ipv4()).count();
    if four > 1 || parsed.len() - four > 1 {
        let shown = print::list(list.iter().map(|e| print::internal(e, &[("IP", "ip", "\"\"")])));
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid_raw(path, &shown, detail));
    }
}
