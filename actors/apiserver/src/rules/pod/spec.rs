//! Validation of a pod's spec, as pods and pod templates share it.

use std::collections::BTreeMap;

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::super::resources;
use super::{affinity, containers, dns, os, security, spread, volumes};

/// What the checks of containers need to know of the pod around them.
pub(crate) struct Around<'a> {
    /// Valid volumes by name.
    pub(crate) volumes: BTreeMap<&'a str, &'a Value>,
    /// The names under which the pod claims resources.
    pub(crate) claims: Vec<&'a str>,
    /// `terminationGracePeriodSeconds`
    pub(crate) grace: i64,
    /// `restartPolicy`
    pub(crate) restart_policy: &'a str,
    /// `os.name`; empty if it is not set.
    pub(crate) os: &'a str,
}

/// The spec of a pod or a pod template, in the order in which Kubernetes checks its fields.
pub(crate) fn validate(errors: &mut Errors, spec: &Value, path: &Path) {
    let volumes = volumes::validate(errors, spec.list("volumes"), &path.child("volumes"));
    resource_claims(errors, spec, &path.child("resourceClaims"));
    let around = Around {
        volumes,
        claims: spec.list("resourceClaims").iter().map(|c| c.text("name")).collect(),
        grace: spec.int("terminationGracePeriodSeconds").unwrap_or(0),
        restart_policy: spec.text("restartPolicy"),
        os: spec.at("os").text("name"),
    };
    containers::regular(errors, spec, &around, &path.child("containers"));
    containers::init(errors, spec, &around, &path.child("initContainers"));
    containers::ephemeral(errors, spec, &around, &path.child("ephemeralContainers"));
    resources::pod_level(errors, spec, &path.child("resources"));
    check::required_one_of(
        errors,
        &path.child("restartPolicy"),
        spec.text("restartPolicy"),
        &["Always", "OnFailure", "Never"],
    );
    check::required_one_of(
        errors,
        &path.child("dnsPolicy"),
        spec.text("dnsPolicy"),
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    check::labels(errors, &path.child("nodeSelector"), spec.at("nodeSelector"));
    security::pod(errors, spec, path);
    affinity::validate(errors, spec.at("affinity"), &path.child("affinity"));
    dns::config(errors, spec, &path.child("dnsConfig"));
    for (i, gate) in spec.list("readinessGates").iter().enumerate() {
        check::qualified_name(
            errors,
            &path.child("readinessGates").index(i).child("conditionType"),
            gate.text("conditionType"),
        );
    }
    scheduling_gates(errors, spec, &path.child("schedulingGates"));
    spread::constraints(errors, spec, &path.child("topologySpreadConstraints"));
    host_users(errors, spec, path);
    names(errors, spec, path);
    spread::tolerations(errors, spec.list("tolerations"), &path.child("tolerations"));
    dns::host_aliases(errors, spec, &path.child("hostAliases"));
    for field in ["priorityClassName", "runtimeClassName"] {
        let value = spec.text(field);
        if !value.is_empty() {
            check::dns_subdomain(errors, &path.child(field), value);
        }
    }
    if spec.has("preemptionPolicy") {
        check::required_one_of(
            errors,
            &path.child("preemptionPolicy"),
            spec.text("preemptionPolicy"),
            &["PreemptLowerPriority", "Never"],
        );
    }
    resources::overhead(errors, spec.at("overhead"), &path.child("overhead"));
    os::validate(errors, spec, path);
}

fn names(errors: &mut Errors, spec: &Value, path: &Path) {
    for field in ["serviceAccountName", "nodeName"] {
        let value = spec.text(field);
        if !value.is_empty() {
            check::dns_subdomain(errors, &path.child(field), value);
        }
    }
    if let Some(seconds) = spec.int("activeDeadlineSeconds") {
        check::in_range(errors, &path.child("activeDeadlineSeconds"), seconds, 1, i64::from(i32::MAX));
    }
    for field in ["hostname", "subdomain"] {
        let value = spec.text(field);
        if !value.is_empty() {
            check::dns_label(errors, &path.child(field), value);
        }
    }
    if spec.has("hostnameOverride") {
        let at = path.child("hostnameOverride");
        let value = spec.text("hostnameOverride");
        check::dns_subdomain(errors, &at, value);
        if value.len() > 64 {
            errors.push(FieldError::invalid(&at, value, "must be no more than 64 bytes"));
        }
        if spec.flag("hostNetwork") {
            errors.push(FieldError::forbidden(&at, "may not be specified when hostNetwork is true"));
        }
    }
}

fn resource_claims(errors: &mut Errors, spec: &Value, path: &Path) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, claim) in spec.list("resourceClaims").iter().enumerate() {
        let at = path.index(i);
        let own = claim.text("name");
        if own.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if seen.contains(&own) {
            errors.push(FieldError::duplicate(&at.child("name"), own));
        } else {
            check::dns_label(errors, &at.child("name"), own);
            seen.push(own);
        }
        let (direct, template) = (claim.has("resourceClaimName"), claim.has("resourceClaimTemplateName"));
        if direct && template {
            let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            errors.push(FieldError::invalid(&at, claim.clone(), detail));
        } else if !direct && !template {
            let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            errors.push(FieldError::invalid(&at, claim.clone(), detail));
        }
        for field in ["resourceClaimName", "resourceClaimTemplateName"] {
            if claim.has(field) {
                check::texts(
                    errors,
                    &at.child(field),
                    claim.text(field),
                    name::is_dns1123_subdomain(claim.text(field)),
                );
            }
        }
    }
}

fn scheduling_gates(errors: &mut Errors, spec: &Value, path: &Path) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, gate) in spec.list("schedulingGates").iter().enumerate() {
        let at = path.index(i);
        let own = gate.text("name");
        if own.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else {
            check::qualified_name(errors, &at.child("name"), own);
        }
        if seen.contains(&own) {
            errors.push(FieldError::duplicate(&at, own));
        }
        seen.push(own);
    }
}

/// A pod with users of its own cannot share the host's namespaces.
fn host_users(errors: &mut Errors, spec: &Value, path: &Path) {
    if spec.at("hostUsers").as_bool() != Some(false) {
        return;
    }
    for (field, shared) in [
        ("hostNetwork", spec.flag("hostNetwork")),
        ("hostPID", spec.flag("hostPID")),
        ("hostIPC", spec.flag("hostIPC")),
    ] {
        if shared {
            errors.push(FieldError::forbidden(&path.child(field), "when `hostUsers` is false"));
        }
    }
    for (i, container) in spec.list("containers").iter().enumerate() {
        if container.filled("volumeDevices") {
            let at = path.child("containers").index(i).child("volumeDevices");
            errors.push(FieldError::forbidden(&at, "when `hostUsers` is false"));
        }
    }
}
