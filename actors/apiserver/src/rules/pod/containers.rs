//! Containers: what all three kinds of them must fulfil, and what each allows.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::super::resources;
use super::spec::Around;
use super::{env, mounts, probes, security};

const SIDECAR_ONLY: &str = "may not be set for init containers without restartPolicy=Always";

/// `spec.containers`
pub(super) fn regular(errors: &mut Errors, spec: &Value, around: &Around<'_>, path: &Path) {
    let containers = spec.list("containers");
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut names = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        let at = path.index(i);
        common(errors, container, around, &at);
        unique_name(errors, container, &mut names, &at);
        lifecycle_and_probes(errors, container, around, &at);
        restart_policy(errors, container, &at);
    }
    host_port_conflicts(errors, containers, path);
}

/// `spec.initContainers`
pub(super) fn init(errors: &mut Errors, spec: &Value, around: &Around<'_>, path: &Path) {
    let mut names: BTreeSet<&str> = spec.list("containers").iter().map(|c| c.text("name")).collect();
    for (i, container) in spec.list("initContainers").iter().enumerate() {
        let at = path.index(i);
        common(errors, container, around, &at);
        restart_policy(errors, container, &at);
        unique_name(errors, container, &mut names, &at);
        // They run one by one, so only the ports of one container can clash.
        host_port_conflicts(errors, std::slice::from_ref(container), path);
        if container.text("restartPolicy") == "Always" {
            lifecycle_and_probes(errors, container, around, &at);
        } else {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.has(field) {
                    errors.push(FieldError::forbidden(&at.child(field), SIDECAR_ONLY));
                }
            }
        }
    }
}

/// `spec.ephemeralContainers`
pub(super) fn ephemeral(errors: &mut Errors, spec: &Value, around: &Around<'_>, path: &Path) {
    const FORBIDDEN: &str = "cannot be set for an Ephemeral Container";
    let others: BTreeSet<&str> =
        spec.list("containers").iter().chain(spec.list("initContainers")).map(|c| c.text("name")).collect();
    let mut names = others.clone();
    for (i, container) in spec.list("ephemeralContainers").iter().enumerate() {
        let at = path.index(i);
        common(errors, container, around, &at);
        image_spaces(errors, container, &at);
        unique_name(errors, container, &mut names, &at);
        let target = container.text("targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(&at.child("targetContainerName"), target));
        }
        let unsupported = [
            "ports",
            "resources",
            "resizePolicy",
            "restartPolicy",
            "restartPolicyRules",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle",
        ];
        for field in unsupported {
            let set = if field == "resources" { has_resources(container) } else { container.filled(field) };
            if set {
                errors.push(FieldError::forbidden(&at.child(field), FORBIDDEN));
            }
        }
        for (j, mount) in container.list("volumeMounts").iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if mount.filled(field) {
                    errors.push(FieldError::forbidden(&at.child("volumeMounts").index(j).child(field), FORBIDDEN));
                }
            }
        }
    }
}

fn has_resources(container: &Value) -> bool {
    let resources = container.at("resources");
    ["limits", "requests", "claims"].iter().any(|f| resources.filled(f))
}

/// Only pods, not templates, are held to this.
pub(crate) fn only_for_pods(errors: &mut Errors, spec: &Value, path: &Path) {
    for field in ["containers", "initContainers"] {
        for (i, container) in spec.list(field).iter().enumerate() {
            image_spaces(errors, container, &path.child(field).index(i));
        }
    }
}

fn image_spaces(errors: &mut Errors, container: &Value, path: &Path) {
    let image = container.text("image");
    if image != image.trim() {
        errors.push(FieldError::invalid(&path.child("image"), image, "must not have leading or trailing whitespace"));
    }
}

fn unique_name<'a>(errors: &mut Errors, container: &'a Value, names: &mut BTreeSet<&'a str>, path: &Path) {
    let own = container.text("name");
    if !own.is_empty() && !names.insert(own) {
        errors.push(FieldError::duplicate(&path.child("name"), own));
    }
}

fn common(errors: &mut Errors, container: &Value, around: &Around<'_>, path: &Path) {
    let own = container.text("name");
    if own.is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    } else {
        check::dns_label(errors, &path.child("name"), own);
    }
    check::required(errors, &path.child("image"), container.text("image"));
    check::required_one_of(
        errors,
        &path.child("terminationMessagePolicy"),
        container.text("terminationMessagePolicy"),
        &["File", "FallbackToLogsOnError"],
    );
    ports(errors, container, &path.child("ports"));
    env::variables(errors, container, &path.child("env"));
    env::sources(errors, container, &path.child("envFrom"));
    mounts::volume_mounts(errors, container, around, &path.child("volumeMounts"));
    mounts::volume_devices(errors, container, around, &path.child("volumeDevices"));
    pull_policy(errors, &path.child("imagePullPolicy"), container.text("imagePullPolicy"));
    resources::container(errors, container.at("resources"), &around.claims, &path.child("resources"));
    resize_policy(errors, container, around, &path.child("resizePolicy"));
    security::container(errors, container.at("securityContext"), &path.child("securityContext"));
}

/// `imagePullPolicy` of a container, `pullPolicy` of an image volume.
pub(super) fn pull_policy(errors: &mut Errors, path: &Path, policy: &str) {
    check::required_one_of(errors, path, policy, &["Always", "IfNotPresent", "Never"]);
}

fn lifecycle_and_probes(errors: &mut Errors, container: &Value, around: &Around<'_>, path: &Path) {
    probes::lifecycle(errors, container, around, &path.child("lifecycle"));
    probes::liveness(errors, container, around.grace, "livenessProbe", path);
    probes::readiness(errors, container, around.grace, path);
    probes::liveness(errors, container, around.grace, "startupProbe", path);
}

fn ports(errors: &mut Errors, container: &Value, path: &Path) {
    let mut names = BTreeSet::new();
    for (i, port) in container.list("ports").iter().enumerate() {
        let at = path.index(i);
        let own = port.text("name");
        if !own.is_empty() {
            let found = cox_objects::name::is_port_name(own);
            if !found.is_empty() {
                check::texts(errors, &at.child("name"), own, found);
            } else if !names.insert(own) {
                errors.push(FieldError::duplicate(&at.child("name"), own));
            }
        }
        match port.int("containerPort").unwrap_or(0) {
            0 => errors.push(FieldError::required(&at.child("containerPort"), "")),
            number => check::port(errors, &at.child("containerPort"), number),
        }
        if let Some(number) = port.int("hostPort").filter(|n| *n != 0) {
            check::port(errors, &at.child("hostPort"), number);
        }
        check::required_one_of(errors, &at.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

fn host_port_conflicts(errors: &mut Errors, containers: &[Value], path: &Path) {
    let mut taken = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in container.list("ports").iter().enumerate() {
            let Some(number) = port.int("hostPort").filter(|n| *n != 0) else { continue };
            let place = format!("{}/{}/{number}", port.text("protocol"), port.text("hostIP"));
            if !taken.insert(place.clone()) {
                errors.push(FieldError::duplicate(&path.index(i).child("ports").index(j).child("hostPort"), place));
            }
        }
    }
}

/// On the host's network a host port is the container's port.
pub(super) fn host_network_ports(errors: &mut Errors, spec: &Value, path: &Path) {
    for (i, container) in spec.list("containers").iter().enumerate() {
        for (j, port) in container.list("ports").iter().enumerate() {
            let host = port.int("hostPort").unwrap_or(0);
            if host != port.int("containerPort").unwrap_or(0) {
                let at = path.index(i).child("ports").index(j).child("hostPort");
                errors.push(FieldError::invalid(&at, host, "must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}

fn resize_policy(errors: &mut Errors, container: &Value, around: &Around<'_>, path: &Path) {
    let mut seen = BTreeSet::new();
    for (i, policy) in container.list("resizePolicy").iter().enumerate() {
        let resource = policy.text("resourceName");
        if !seen.insert(resource) {
            errors.push(FieldError::duplicate(&path.index(i), resource));
        }
        check::required_one_of(errors, path, resource, &["cpu", "memory"]);
        let restart = policy.text("restartPolicy");
        check::required_one_of(errors, path, restart, &["NotRequired", "RestartContainer"]);
        if around.restart_policy == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, restart, detail));
        }
    }
}

fn restart_policy(errors: &mut Errors, container: &Value, path: &Path) {
    let rules = container.list("restartPolicyRules");
    if !container.has("restartPolicy") {
        if !rules.is_empty() {
            let detail = "must specify restartPolicy when restart rules are used";
            errors.push(FieldError::required(&path.child("restartPolicy"), detail));
        }
    } else {
        let policy = container.text("restartPolicy");
        check::one_of(errors, &path.child("restartPolicy"), policy, &["Always", "Never", "OnFailure"]);
    }
    let at = path.child("restartPolicyRules");
    if rules.len() > 20 {
        errors.push(FieldError::too_many(&at, rules.len(), 20));
    }
    for (i, rule) in rules.iter().enumerate() {
        let at = at.index(i);
        check::required_one_of(errors, &at.child("action"), rule.text("action"), &["Restart", "RestartAllContainers"]);
        if !rule.has("exitCodes") {
            errors.push(FieldError::required(&at.child("exitCodes"), "must be specified"));
            continue;
        }
        let codes = rule.at("exitCodes");
        let at = at.child("exitCodes");
        check::required_one_of(errors, &at.child("operator"), codes.text("operator"), &["In", "NotIn"]);
        let values = codes.list("values").len();
        if values > 255 {
            errors.push(FieldError::too_many(&at.child("values"), values, 255));
        }
    }
}
