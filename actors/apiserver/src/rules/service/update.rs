//! What an update of a Service inherits from the old one, drops, and may not change.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::Errors;
use super::super::read::{Fill, Read, same};
use super::{is_external, is_headless, needs_cluster_ip, needs_health_check, needs_node_port};

/// Whether a Service's spec has a use for something.
type Need = fn(&Value) -> bool;

/// Fills in allocated values that the client left out, makes `clusterIP` and `clusterIPs` agree, and drops what the new type has no
/// use for (if the client did not set it anew).
pub(super) fn inherit(object: &mut Value, old: Option<&Value>) {
    let spec = object.object("spec");
    let Some(before) = old.map(|o| o.at("spec")) else {
        if spec.filled("clusterIP") && !spec.filled("clusterIPs") {
            let own = spec.at("clusterIP").clone();
            spec.set("clusterIPs", json!([own]));
        }
        return;
    };
    if needs_cluster_ip(spec) && needs_cluster_ip(before) {
        spec.fill("clusterIP", before.at("clusterIP").clone());
        if !spec.filled("clusterIPs") && spec.at("clusterIP") == before.at("clusterIP") {
            spec.set("clusterIPs", before.at("clusterIPs").clone());
        }
    }
    if needs_node_port(spec) && needs_node_port(before) {
        node_ports(spec, before);
    }
    if needs_health_check(spec) && needs_health_check(before) {
        spec.fill("healthCheckNodePort", before.at("healthCheckNodePort").clone());
    }
    agree(spec, before);
    drop_unused(spec, before);
}

/// Ports that have the name of an old one keep its node port, unless another port took it.
fn node_ports(spec: &mut Value, before: &Value) {
    let numbers = |spec: &Value| -> BTreeSet<i64> {
        spec.list("ports").iter().filter_map(|p| p.int("nodePort")).filter(|n| *n != 0).collect()
    };
    let mut used: BTreeSet<i64> = numbers(spec).intersection(&numbers(before)).copied().collect();
    for port in spec.items("ports") {
        if port.int("nodePort").unwrap_or(0) != 0 {
            continue;
        }
        let old = before.list("ports").iter().rfind(|p| p.text("name") == port.text("name"));
        if let Some(number) = old.and_then(|p| p.int("nodePort")).filter(|n| *n != 0)
            && used.insert(number)
        {
            port.set("nodePort", number);
        }
    }
}

/// Old clients know `clusterIP` only.
fn agree(spec: &mut Value, before: &Value) {
    let unchanged = same(spec.at("clusterIP"), before.at("clusterIP"));
    if unchanged && !spec.filled("clusterIPs") && before.filled("clusterIPs") {
        spec.set("clusterIPs", before.at("clusterIPs").clone());
    }
    if !unchanged && same(spec.at("clusterIPs"), before.at("clusterIPs")) {
        match spec.text("clusterIP").to_owned() {
            own if own.is_empty() => spec.drop_field("clusterIPs"),
            own => spec.set("clusterIPs", json!([own])),
        }
    }
}

fn drop_unused(spec: &mut Value, before: &Value) {
    let kept = |spec: &Value, field: &str| same(spec.at(field), before.at(field));
    if needs_cluster_ip(before) && !needs_cluster_ip(spec) {
        let same_ips = kept(spec, "clusterIPs");
        for field in ["clusterIP", "clusterIPs"] {
            if same_ips {
                spec.drop_field(field);
            }
        }
        for field in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if kept(spec, field) {
                spec.drop_field(field);
            }
        }
    }
    if needs_node_port(before) && !needs_node_port(spec) {
        let ports = |spec: &Value| spec.list("ports").iter().map(|p| p.at("nodePort").clone()).collect::<Vec<_>>();
        if ports(spec) == ports(before) {
            spec.items("ports").iter_mut().for_each(|p| p.drop_field("nodePort"));
        }
    }
    let balanced: Need = |spec| spec.text("type") == "LoadBalancer";
    let named: Need = |spec| spec.text("type") == "ExternalName";
    let rules: [(&str, Need); 5] = [
        ("healthCheckNodePort", needs_health_check),
        ("allocateLoadBalancerNodePorts", balanced),
        ("loadBalancerClass", balanced),
        ("externalTrafficPolicy", is_external),
        ("externalName", named),
    ];
    for (field, needed) in rules {
        if needed(before) && !needed(spec) && kept(spec, field) {
            spec.drop_field(field);
        }
    }
}

/// Addresses and families stay while the Service has any; a load balancer's class stays for good.
pub(super) fn unchanged(errors: &mut Errors, object: &Value, old: &Value) {
    const SET_ONCE: &str = "may not change once set";
    let (spec, before) = (object.at("spec"), old.at("spec"));
    let path = Path::new("spec");
    if needs_cluster_ip(spec) && needs_cluster_ip(before) && !(is_headless(spec) && is_headless(before)) {
        kept_list(errors, spec, before, "clusterIPs", &path);
        kept_list(errors, spec, before, "ipFamilies", &path);
    }
    let class = spec.at("loadBalancerClass");
    let both = spec.text("type") == "LoadBalancer" && before.text("type") == "LoadBalancer";
    if both && class != before.at("loadBalancerClass") {
        errors.push(FieldError::invalid(&path.child("loadBalancerClass"), class.clone(), SET_ONCE));
    }
}

/// The first entry stays; a second one may come and go, and going must be asked for by the policy.
fn kept_list(errors: &mut Errors, spec: &Value, before: &Value, field: &str, path: &Path) {
    const SET_ONCE: &str = "may not change once set";
    let (new, old) = (spec.texts(field), before.texts(field));
    let at = path.child(field);
    let shown = || spec.at(field).clone();
    if old.is_empty() {
        return;
    }
    if new.is_empty() {
        let noun = if field == "clusterIPs" { "clusterIP" } else { "ipFamily" };
        let detail = format!("primary {noun} can not be unset");
        errors.push(FieldError::invalid(&at.index(0), json!([]), &detail));
        return;
    }
    for (i, (now, then)) in new.iter().zip(&old).enumerate() {
        if now != then {
            errors.push(FieldError::invalid(&at.index(i), shown(), SET_ONCE));
        }
    }
    if old.len() > new.len() && spec.text("ipFamilyPolicy") != "SingleStack" {
        let noun = if field == "clusterIPs" { "clusterIP" } else { "ipFamily" };
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {noun}");
        errors.push(FieldError::invalid(&path.child("ipFamilyPolicy"), spec.at("ipFamilyPolicy").clone(), &detail));
    }
}
