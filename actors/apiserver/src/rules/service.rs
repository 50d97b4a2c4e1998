//! Services: defaults, what an update inherits, validation. Addresses and node ports are allocated elsewhere.

mod families;
mod update;
mod validate;

use cox_objects::Path;
use serde_json::{Value, json};

pub(crate) use validate::load_balancer_ingress;

use super::check::Errors;
use super::print;
use super::read::{Fill, Read};

/// Seconds for which a client sticks to a pod, unless it says otherwise: three hours.
const AFFINITY_SECONDS: i64 = 10_800;

/// Defaults of the spec, and of addresses in the status.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    spec.fill("sessionAffinity", "None");
    match spec.text("sessionAffinity") {
        "None" => spec.drop_field("sessionAffinityConfig"),
        "ClientIP" => {
            spec.object("sessionAffinityConfig").object("clientIP").fill_unset("timeoutSeconds", AFFINITY_SECONDS);
        }
        _ => {}
    }
    spec.fill("type", "ClusterIP");
    for port in spec.items("ports") {
        port.fill("protocol", "TCP");
        let number = port.at("port").clone();
        port.fill("targetPort", number);
    }
    if is_external(spec) {
        spec.fill("externalTrafficPolicy", "Cluster");
    }
    if spec.text("type") != "ExternalName" {
        spec.fill_unset("internalTrafficPolicy", "Cluster");
    }
    if spec.text("type") == "LoadBalancer" {
        spec.fill_unset("allocateLoadBalancerNodePorts", true);
        if let Some(balancer) = object.inner("status").and_then(|s| s.inner("loadBalancer")) {
            for ingress in balancer.items("ingress").iter_mut().filter(|i| i.filled("ip")) {
                ingress.fill_unset("ipMode", "VIP");
            }
        }
    }
}

/// A new Service has no status of its own.
pub(crate) fn prepare_create(object: &mut Value) {
    object.set("status", json!({"loadBalancer": {}}));
}

/// What must be done before addresses and ports are allocated: what the update left out is taken from the old Service, and families
/// are chosen for a cluster whose services have IPv4 addresses only. Kubernetes answers errors found here before all others.
pub(crate) fn prepare_allocation(object: &mut Value, old: Option<&Value>) -> Errors {
    update::inherit(object, old);
    families::choose(object)
}

/// Keeps the other half of the object, and drops what the new type has no use for.
pub(crate) fn prepare_update(subresource: &str, object: &mut Value, old: &Value) {
    if subresource == "status" {
        object.set("spec", old.at("spec").clone());
        return;
    }
    object.set("status", old.at("status").clone());
    update::inherit(object, Some(old));
    if object.at("spec").text("type") != "LoadBalancer" {
        object.object("status").set("loadBalancer", json!({}));
    }
}

/// A new Service, after its metadata.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    validate::service(errors, object, None);
}

/// An updated Service, after its metadata.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value, old: &Value) {
    if subresource == "status" {
        validate::status(errors, object);
        return;
    }
    update::unchanged(errors, object, old);
    validate::service(errors, object, Some(old));
}

/// What is legal in a Service, but hardly meant.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let spec = object.at("spec");
    let mut found = Vec::new();
    if object.at("metadata").at("annotations").has(HINTS) {
        found.push(format!("annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"));
    }
    let path = Path::new("spec");
    for list in ["clusterIPs", "externalIPs"] {
        for (i, address) in spec.texts(list).into_iter().enumerate().filter(|(_, address)| *address != "None") {
            found.extend(print::doubtful_address(&path.child(list).index(i), address));
        }
    }
    if spec.filled("loadBalancerIP") {
        found.extend(print::doubtful_address(&path.child("loadBalancerIP"), spec.text("loadBalancerIP")));
    }
    if is_headless(spec) {
        for field in ["loadBalancerIP", "externalIPs"] {
            if spec.filled(field) {
                found.push(format!("spec.{field} is ignored when spec.clusterIP is \"None\""));
            }
        }
        if spec.text("sessionAffinity") != "None" {
            found.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    if spec.filled("externalIPs") && spec.text("type") == "ExternalName" {
        found.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if spec.text("trafficDistribution") == "PreferClose" {
        found.push("spec.trafficDistribution: PreferClose is deprecated in favor of PreferSameZone".to_owned());
    }
    if spec.filled("externalIPs") {
        found.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    if spec.text("type") == "ExternalName" && spec.text("externalName").parse::<std::net::IpAddr>().is_ok() {
        let name = spec.text("externalName");
        found.push(format!("spec.externalName: {name:?} is an IP address, which most clients cannot resolve"));
    }
    found
}

/// Whether the Service can be reached from outside the cluster.
fn is_external(spec: &Value) -> bool {
    match spec.text("type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => spec.filled("externalIPs"),
        _ => false,
    }
}

fn needs_cluster_ip(spec: &Value) -> bool {
    matches!(spec.text("type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn needs_node_port(spec: &Value) -> bool {
    match spec.text("type") {
        "NodePort" => true,
        "LoadBalancer" => spec.at("allocateLoadBalancerNodePorts").as_bool() != Some(false),
        _ => false,
    }
}

fn needs_health_check(spec: &Value) -> bool {
    spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local"
}

fn is_headless(spec: &Value) -> bool {
    spec.texts("clusterIPs") == ["None"]
}

#[cfg(test)]
mod tests;
