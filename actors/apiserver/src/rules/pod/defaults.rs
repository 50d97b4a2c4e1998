//! The defaults of pods and pod templates.

use serde_json::{Map, Value, json};

use super::super::read::{Fill, Read};
use super::super::resources;

/// The lists of a pod spec that hold containers.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of a pod: those of its spec, and what only a real pod gets.
pub(crate) fn pod(object: &mut Value) {
    let spec = object.object("spec");
    spec.fill_unset("enableServiceLinks", true);
    if spec.flag("hostNetwork") {
        host_ports(spec);
    }
    // Requests of a pod that names only limits, after the templates' defaults have made quantities canonical.
    pod_spec(spec);
    for list in ["initContainers", "containers"] {
        for container in spec.items(list) {
            requests_from_limits(container);
        }
    }
    resources::default_pod_requests(spec);
}

/// Defaults of a pod template.
pub(crate) fn template(template: &mut Value) {
    pod_spec(template.object("spec"));
}

fn pod_spec(spec: &mut Value) {
    spec.fill("restartPolicy", "Always");
    spec.fill("dnsPolicy", "ClusterFirst");
    spec.fill_unset("securityContext", Map::new());
    spec.fill_unset("terminationGracePeriodSeconds", 30);
    spec.fill("schedulerName", "default-scheduler");
    service_account(spec);
    for list in CONTAINERS {
        for item in spec.items(list) {
            container(item);
        }
    }
    for item in spec.items("volumes") {
        volume(item);
    }
    resources::canonical(spec, "overhead");
    if let Some(own) = spec.inner("resources") {
        resources::canonical(own, "limits");
        resources::canonical(own, "requests");
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`: both always say the same.
fn service_account(spec: &mut Value) {
    let name = match spec.text("serviceAccountName") {
        "" => spec.text("serviceAccount").to_owned(),
        name => name.to_owned(),
    };
    if name.is_empty() {
        spec.drop_field("serviceAccount");
        spec.drop_field("serviceAccountName");
    } else {
        spec.set("serviceAccountName", name.clone());
        spec.set("serviceAccount", name);
    }
}

fn host_ports(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in spec.items(list) {
            for port in container.items("ports") {
                let number = port.at("containerPort").clone();
                port.fill("hostPort", number);
            }
        }
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(container.text("image"));
    container.fill("imagePullPolicy", policy);
    container.fill("terminationMessagePath", "/dev/termination-log");
    container.fill("terminationMessagePolicy", "File");
    for port in container.items("ports") {
        port.fill("protocol", "TCP");
    }
    for env in container.items("env") {
        if let Some(source) = env.inner("valueFrom") {
            field_source(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.inner(probe) {
            probe_defaults(probe);
        }
    }
    if let Some(lifecycle) = container.inner("lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(get) = lifecycle.inner(hook).and_then(|h| h.inner("httpGet")) {
                http_get(get);
            }
        }
    }
    let resources = container.object("resources");
    resources::canonical(resources, "limits");
    resources::canonical(resources, "requests");
}

/// `Always` for an image without a tag or with `latest`, else `IfNotPresent`.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

fn probe_defaults(probe: &mut Value) {
    probe.fill("timeoutSeconds", 1);
    probe.fill("periodSeconds", 10);
    probe.fill("successThreshold", 1);
    probe.fill("failureThreshold", 3);
    if let Some(get) = probe.inner("httpGet") {
        http_get(get);
    }
    if let Some(grpc) = probe.inner("grpc") {
        grpc.fill_unset("service", "");
    }
}

fn http_get(get: &mut Value) {
    get.fill("path", "/");
    get.fill("scheme", "HTTP");
}

fn field_source(source: &mut Value) {
    if let Some(field) = source.inner("fieldRef") {
        field.fill("apiVersion", "v1");
    }
    if let Some(resource) = source.inner("resourceFieldRef") {
        resource.fill("divisor", "0");
    }
}

fn requests_from_limits(container: &mut Value) {
    let limits: Vec<(String, Value)> =
        container.at("resources").entries("limits").map(|(k, v)| (k.to_owned(), v.clone())).collect();
    if limits.is_empty() {
        return;
    }
    let requests = container.object("resources").object("requests");
    for (name, quantity) in limits {
        requests.fill_unset(&name, quantity);
    }
}

fn volume(volume: &mut Value) {
    let named = volume.as_object().is_some_and(|fields| fields.iter().any(|(k, v)| k != "name" && !v.is_null()));
    if !named {
        volume.set("emptyDir", Map::new());
        return;
    }
    for (source, field, value) in [
        ("secret", "defaultMode", json!(420)),
        ("configMap", "defaultMode", json!(420)),
        ("downwardAPI", "defaultMode", json!(420)),
        ("projected", "defaultMode", json!(420)),
        ("hostPath", "type", json!("")),
        ("azureDisk", "cachingMode", json!("ReadWrite")),
        ("azureDisk", "kind", json!("Shared")),
        ("azureDisk", "fsType", json!("ext4")),
        ("azureDisk", "readOnly", json!(false)),
    ] {
        if let Some(source) = volume.inner(source) {
            source.fill_unset(field, value);
        }
    }
    for (source, field, value) in [
        ("iscsi", "iscsiInterface", "default"),
        ("rbd", "pool", "rbd"),
        ("rbd", "user", "admin"),
        ("rbd", "keyring", "/etc/ceph/keyring"),
        ("scaleIO", "storageMode", "ThinProvisioned"),
        ("scaleIO", "fsType", "xfs"),
    ] {
        if let Some(source) = volume.inner(source) {
            source.fill(field, value);
        }
    }
    if let Some(image) = volume.inner("image") {
        let policy = pull_policy(image.text("reference"));
        image.fill("pullPolicy", policy);
    }
    if let Some(downward) = volume.inner("downwardAPI") {
        downward.items("items").iter_mut().for_each(field_source);
    }
    if let Some(projected) = volume.inner("projected") {
        projected.items("sources").iter_mut().for_each(projection);
    }
    if let Some(spec) =
        volume.inner("ephemeral").and_then(|e| e.inner("volumeClaimTemplate")).and_then(|t| t.inner("spec"))
    {
        claim_spec(spec);
    }
}

fn projection(source: &mut Value) {
    if let Some(token) = source.inner("serviceAccountToken") {
        token.fill_unset("expirationSeconds", 3600);
    }
    if let Some(downward) = source.inner("downwardAPI") {
        downward.items("items").iter_mut().for_each(field_source);
    }
}

/// Defaults of a claim's spec, wherever it stands.
pub(crate) fn claim_spec(spec: &mut Value) {
    spec.fill_unset("volumeMode", "Filesystem");
    if let Some(resources) = spec.inner("resources") {
        resources::canonical(resources, "limits");
        resources::canonical(resources, "requests");
    }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn an_image_is_always_pulled_only_if_its_tag_may_move() {
        assert_eq!(pull_policy("nginx"), "Always");
        assert_eq!(pull_policy("nginx:latest"), "Always");
        assert_eq!(pull_policy("nginx:1.2"), "IfNotPresent");
        assert_eq!(pull_policy("host:5000/nginx"), "Always");
        assert_eq!(pull_policy("host:5000/nginx:1"), "IfNotPresent");
        assert_eq!(pull_policy("nginx@sha256:00"), "IfNotPresent");
    }
}
