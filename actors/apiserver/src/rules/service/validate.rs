//! Validation of a Service's spec and status.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::addresses;
use super::super::check::{self, Errors};
use super::super::print;
use super::super::read::Read;
use super::{families, is_external, is_headless, needs_health_check};

/// The kubelet's own port, which some clouds would open to the world.
const KUBELET_PORT: i64 = 10_250;
const BALANCER_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

/// The spec, in the order in which Kubernetes checks it.
pub(super) fn service(errors: &mut Errors, object: &Value, old: Option<&Value>) {
    topology_mode(errors, object);
    let spec = object.at("spec");
    let path = Path::new("spec");
    let kind = spec.text("type");
    let ports = spec.list("ports");
    if ports.is_empty() && !is_headless(spec) && kind != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    by_type(errors, spec, &path);
    let mut names = BTreeSet::new();
    for (i, own) in ports.iter().enumerate() {
        port(errors, own, ports.len() > 1, &mut names, &path.child("ports").index(i));
    }
    check::labels(errors, &path.child("selector"), spec.at("selector"));
    affinity(errors, spec, &path);
    families::related(errors, spec);
    for (i, address) in spec.texts("externalIPs").into_iter().enumerate() {
        let at = path.child("externalIPs").index(i);
        if let Some(ip) = check::ip(errors, &at, address) {
            addresses::not_special(errors, ip, address, &at);
        }
    }
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    check::required_one_of(errors, &path.child("type"), kind, &kinds);
    repeated_ports(errors, spec, &path.child("ports"));
    balancer(errors, object, old, &path);
    traffic(errors, spec, &path);
}

/// Two annotations, an old and a new one, that mean the same.
fn topology_mode(errors: &mut Errors, object: &Value) {
    const MODE: &str = "service.kubernetes.io/topology-mode";
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let annotations = object.at("metadata").at("annotations");
    if annotations.has(MODE) && annotations.has(HINTS) && annotations.text(MODE) != annotations.text(HINTS) {
        let at = Path::new("metadata").child("annotations").key(MODE);
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(FieldError::invalid(&at, annotations.text(MODE), &detail));
    }
}

fn by_type(errors: &mut Errors, spec: &Value, path: &Path) {
    let ports_at = path.child("ports");
    match spec.text("type") {
        "LoadBalancer" => {
            for (i, own) in spec.list("ports").iter().enumerate() {
                if own.int("port") == Some(KUBELET_PORT) {
                    let detail = "may not expose port 10250 externally since it is used by kubelet";
                    errors.push(FieldError::invalid(&ports_at.index(i), own.clone(), detail));
                }
            }
            headless(errors, spec, "LoadBalancer", path);
        }
        "NodePort" => headless(errors, spec, "NodePort", path),
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if spec.filled(field) {
                    errors.push(FieldError::forbidden(&path.child(field), "may not be set for ExternalName services"));
                }
            }
            let target = spec.text("externalName");
            match target.strip_suffix('.').unwrap_or(target) {
                "" => errors.push(FieldError::required(&path.child("externalName"), "")),
                own => check::dns_subdomain(errors, &path.child("externalName"), own),
            }
        }
        _ => {}
    }
}

fn headless(errors: &mut Errors, spec: &Value, kind: &str, path: &Path) {
    if is_headless(spec) {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", &detail));
    }
}

fn port<'a>(errors: &mut Errors, port: &'a Value, named: bool, names: &mut BTreeSet<&'a str>, path: &Path) {
    let own = port.text("name");
    if named && own.is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    } else if !own.is_empty() {
        check::dns_label(errors, &path.child("name"), own);
        if !names.insert(own) {
            errors.push(FieldError::duplicate(&path.child("name"), own));
        }
    }
    check::port(errors, &path.child("port"), port.int("port").unwrap_or(0));
    check::required_one_of(errors, &path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    check::port_or_name(errors, &path.child("targetPort"), port.at("targetPort"));
    if port.has("appProtocol") {
        check::qualified_name(errors, &path.child("appProtocol"), port.text("appProtocol"));
    }
}

fn affinity(errors: &mut Errors, spec: &Value, path: &Path) {
    const DAY: i64 = 86_400;
    let own = spec.text("sessionAffinity");
    check::required_one_of(errors, &path.child("sessionAffinity"), own, &["ClientIP", "None"]);
    let at = path.child("sessionAffinityConfig");
    if own == "ClientIP" {
        let seconds = spec.at("sessionAffinityConfig").at("clientIP").int("timeoutSeconds");
        match seconds {
            None => errors.push(FieldError::required(&at, "when session affinity type is ClientIP")),
            Some(seconds) if !(1..=DAY).contains(&seconds) => {
                let detail = format!("must be greater than 0 and less than {DAY}");
                errors.push(FieldError::invalid(&at.child("clientIP").child("timeoutSeconds"), seconds, &detail));
            }
            Some(_) => {}
        }
    } else if own == "None" && spec.has("sessionAffinityConfig") {
        errors.push(FieldError::forbidden(&at, "must not be set when session affinity is None"));
    }
}

fn repeated_ports(errors: &mut Errors, spec: &Value, path: &Path) {
    let ports = spec.list("ports");
    if spec.text("type") == "ClusterIP" {
        for (i, _) in ports.iter().enumerate().filter(|(_, p)| p.int("nodePort").unwrap_or(0) != 0) {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(&path.index(i).child("nodePort"), detail));
        }
    }
    let mut node_ports = BTreeSet::new();
    for (i, own) in ports.iter().enumerate() {
        let number = own.int("nodePort").unwrap_or(0);
        if number != 0 && !node_ports.insert((own.text("protocol"), number)) {
            errors.push(FieldError::duplicate(&path.index(i).child("nodePort"), number));
        }
    }
    let mut numbers = BTreeSet::new();
    for (i, own) in ports.iter().enumerate() {
        let number = own.int("port").unwrap_or(0);
        if !numbers.insert((own.text("protocol"), number)) {
            let shown = print::internal(
                &serde_json::json!({"protocol": own.text("protocol"), "port": number}),
                &[
                    ("Name", "name", "\"\""),
                    ("Protocol", "protocol", "\"\""),
                    ("AppProtocol", "appProtocol", "null"),
                    ("Port", "port", "0"),
                    ("TargetPort", "targetPort", "0"),
                    ("NodePort", "nodePort", "0"),
                ],
            );
            let mut error = FieldError::duplicate(&path.index(i), "");
            error.body = format!("Duplicate value: {shown}");
            errors.push(error);
        }
    }
}

/// The annotation that was there before `loadBalancerSourceRanges`.
const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

fn balancer(errors: &mut Errors, object: &Value, old: Option<&Value>, path: &Path) {
    let spec = object.at("spec");
    let balanced = spec.text("type") == "LoadBalancer";
    let ranges = path.child("loadBalancerSourceRanges");
    if spec.filled("loadBalancerSourceRanges") && !balanced {
        errors.push(FieldError::forbidden(&ranges, BALANCER_ONLY));
    }
    for (i, range) in spec.texts("loadBalancerSourceRanges").into_iter().enumerate() {
        check::texts(errors, &ranges.index(i), range, name::is_cidr(range.trim()));
    }
    let annotations = object.at("metadata").at("annotations");
    if annotations.has(RANGES) && !spec.filled("loadBalancerSourceRanges") {
        let at = Path::new("metadata").child("annotations").key(RANGES);
        if !balanced {
            errors.push(FieldError::forbidden(&at, BALANCER_ONLY));
        } else if !annotations.text(RANGES).trim().is_empty() {
            for range in annotations.text(RANGES).split(',').map(str::trim) {
                check::texts(errors, &at, range, name::is_cidr(range));
            }
        }
    }
    let allocate = path.child("allocateLoadBalancerNodePorts");
    match (balanced, spec.has("allocateLoadBalancerNodePorts")) {
        (true, false) => errors.push(FieldError::required(&allocate, "")),
        (false, true) => errors.push(FieldError::forbidden(&allocate, BALANCER_ONLY)),
        _ => {}
    }
    let class_at = path.child("loadBalancerClass");
    let class = spec.text("loadBalancerClass");
    // A class that did not change was checked when it came.
    let checked = old.is_some_and(|o| o.at("spec").text("loadBalancerClass") == class && balanced);
    if spec.has("loadBalancerClass") && !checked {
        if balanced {
            check::qualified_name(errors, &class_at, class);
        } else {
            errors.push(FieldError::forbidden(&class_at, BALANCER_ONLY));
        }
    }
}

fn traffic(errors: &mut Errors, spec: &Value, path: &Path) {
    const POLICIES: [&str; 2] = ["Cluster", "Local"];
    let at = path.child("externalTrafficPolicy");
    let policy = spec.text("externalTrafficPolicy");
    if is_external(spec) {
        check::required_one_of(errors, &at, policy, &POLICIES);
    } else if !policy.is_empty() {
        errors.push(FieldError::invalid(&at, policy, "may only be set for externally-accessible services"));
    }
    let at = path.child("healthCheckNodePort");
    let number = spec.int("healthCheckNodePort").unwrap_or(0);
    match (needs_health_check(spec), number) {
        (true, 0) => errors.push(FieldError::required(&at, "")),
        (true, number) => check::port(errors, &at, number),
        (false, 0) => {}
        (false, number) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(&at, number, detail));
        }
    }
    if spec.has("internalTrafficPolicy") {
        check::one_of(errors, &path.child("internalTrafficPolicy"), spec.text("internalTrafficPolicy"), &POLICIES);
    }
    if spec.has("trafficDistribution") {
        let supported = ["PreferClose", "PreferSameNode", "PreferSameZone"];
        check::one_of(errors, &path.child("trafficDistribution"), spec.text("trafficDistribution"), &supported);
    }
}

/// What a load balancer reports.
pub(super) fn status(errors: &mut Errors, object: &Value) {
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let ingress = object.at("status").at("loadBalancer").list("ingress");
    if !ingress.is_empty() && object.at("spec").text("type") != "LoadBalancer" {
        let detail = "may only be used when `spec.type` is \"LoadBalancer\"";
        errors.push(FieldError::forbidden(&path, detail));
        return;
    }
    for (i, own) in ingress.iter().enumerate() {
        ip_mode(errors, own, &path.index(i).child("ipMode"));
        load_balancer_ingress(errors, own, &path.index(i));
    }
}

fn ip_mode(errors: &mut Errors, ingress: &Value, path: &Path) {
    match (ingress.filled("ip"), ingress.has("ipMode")) {
        (true, false) => errors.push(FieldError::required(path, "must be specified when `ip` is set")),
        (false, true) => errors.push(FieldError::forbidden(path, "may not be specified when `ip` is not set")),
        (true, true) => check::one_of(errors, path, ingress.text("ipMode"), &["Proxy", "VIP"]),
        (false, false) => {}
    }
}

/// An address under which a load balancer is reached.
pub(crate) fn load_balancer_ingress(errors: &mut Errors, ingress: &Value, path: &Path) {
    if ingress.filled("ip") {
        check::ip(errors, &path.child("ip"), ingress.text("ip"));
    }
    let host = ingress.text("hostname");
    if !host.is_empty() {
        check::texts(errors, &path.child("hostname"), host, name::is_dns1123_subdomain(host));
        if check::parse_ip(host).is_some() {
            let detail = "must be a DNS name, not an IP address";
            errors.push(FieldError::invalid(&path.child("hostname"), host, detail));
        }
    }
}
