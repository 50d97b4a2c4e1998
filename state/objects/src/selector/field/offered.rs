//! Which fields each kind offers to selectors, and the words for one that it does not.

use super::FieldSelectorError;
use crate::{Kind, Resource};

const GENERIC: &[&str] = &["metadata.name", "metadata.namespace"];
const PODS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];
const EVENTS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// The fields by which objects of a resource can be selected.
pub fn fields_of(resource: &Resource) -> &'static [&'static str] {
    match resource.as_str() {
        "pods" => PODS,
        "events" => EVENTS,
        "nodes" => &["metadata.name", "spec.unschedulable"],
        "namespaces" => &["metadata.name", "status.phase"],
        "secrets" => &["metadata.name", "metadata.namespace", "type"],
        "services" => &["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"],
        "replicationcontrollers" => &["metadata.name", "metadata.namespace", "status.replicas"],
        "jobs.batch" => &["metadata.name", "metadata.namespace", "status.successful"],
        "certificatesigningrequests.certificates.k8s.io" => &["metadata.name", "spec.signerName"],
        "resourceslices.resource.k8s.io" => &["metadata.name", "spec.nodeName", "spec.driver"],
        _ => GENERIC,
    }
}

/// The stored resource's name for a field that a kind offers.
pub(super) fn translate<'a>(kind: &Kind, field: &'a str) -> Result<&'a str, FieldSelectorError> {
    let field = match (kind.resource.as_str(), kind.group.as_str(), field) {
        ("events", "events.k8s.io", _) => regarding(field),
        ("pods", _, "spec.host") => Some("spec.nodeName"),
        _ => Some(field),
    }
    .filter(|name| fields_of(&kind.resource).contains(name))
    .ok_or_else(|| FieldSelectorError::NotOffered(refusal(kind, field)))?;
    Ok(field)
}

/// `events.k8s.io` has its own names for the fields of an Event.
fn regarding(field: &str) -> Option<&str> {
    Some(match field {
        "regarding.kind" => "involvedObject.kind",
        "regarding.namespace" => "involvedObject.namespace",
        "regarding.name" => "involvedObject.name",
        "regarding.uid" => "involvedObject.uid",
        "regarding.apiVersion" => "involvedObject.apiVersion",
        "regarding.resourceVersion" => "involvedObject.resourceVersion",
        "regarding.fieldPath" => "involvedObject.fieldPath",
        "reportingController" => "reportingComponent",
        "reason" | "type" | "metadata.name" | "metadata.namespace" => field,
        _ => return None,
    })
}

fn refusal(kind: &Kind, field: &str) -> String {
    match kind.resource.as_str() {
        "jobs.batch" => format!("field label {field:?} not supported for Job"),
        "resourceslices.resource.k8s.io" => {
            format!("field label not supported for {}, Kind={}: {field}", kind.api_version(), kind.kind)
        }
        "pods"
        | "events"
        | "nodes"
        | "namespaces"
        | "secrets"
        | "services"
        | "replicationcontrollers"
        | "certificatesigningrequests.certificates.k8s.io" => format!("field label not supported: {field}"),
        _ => format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
    }
}

/// What an absent field counts as.
pub(super) fn unset(field: &str) -> &'static str {
    match field {
        "spec.hostNetwork" | "spec.unschedulable" => "false",
        "status.replicas" | "status.successful" => "0",
        _ => "",
    }
}
