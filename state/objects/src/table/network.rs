//! The rows of what is about the network.

pub(super) mod service;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{list, scalar, text, text_or};
use super::cells::{NONE, UNSET, age, name, selector};

/// The most items that a cell lists before it says how many more there are.
const SHOWN: usize = 3;

fn shorten(items: &[String]) -> String {
    let shown: Vec<&str> = items.iter().take(SHOWN).map(String::as_str).collect();
    match items.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} + {more} more...", shown.join(",")),
        _ => shown.join(","),
    }
}

fn unset_if_empty(text: String) -> String {
    if text.is_empty() { UNSET.to_owned() } else { text }
}

pub(super) fn endpoints(endpoints: &Value, now: Timestamp) -> Vec<Value> {
    let mut items = Vec::new();
    for subset in list(endpoints, "subsets") {
        let addresses = list(subset, "addresses").iter().map(|a| text(a, "ip"));
        match list(subset, "ports") {
            [] => items.extend(addresses.map(str::to_owned)),
            ports => {
                for port in ports.iter().filter_map(|port| scalar(port, "port")) {
                    items.extend(addresses.clone().map(|ip| host_port(ip, &port)));
                }
            }
        }
    }
    let cell = match list(endpoints, "subsets") {
        [] => NONE.to_owned(),
        _ => shorten(&items),
    };
    vec![json!(name(endpoints)), json!(cell), json!(age(endpoints, now))]
}

fn host_port(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

pub(super) fn endpoint_slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| scalar(port, "port").or_else(|| scalar(port, "name")).unwrap_or_else(|| "*".to_owned());
    let ports: Vec<String> = list(slice, "ports").iter().map(port).collect();
    let addresses: Vec<String> = list(slice, "endpoints")
        .iter()
        .flat_map(|endpoint| list(endpoint, "addresses"))
        .filter_map(|address| address.as_str().map(str::to_owned))
        .collect();
    vec![
        json!(name(slice)),
        json!(text(slice, "addressType")),
        json!(unset_if_empty(shorten(&ports))),
        json!(unset_if_empty(shorten(&addresses))),
        json!(age(slice, now)),
    ]
}

pub(super) fn ingress(ingress: &Value, now: Timestamp) -> Vec<Value> {
    let rules = list(ingress, "spec.rules");
    let hosted = |rule: &&Value| !text(rule, "host").is_empty();
    let hosts: Vec<&str> = rules.iter().filter(hosted).take(SHOWN).map(|rule| text(rule, "host")).collect();
    // Any rule after the last host shown counts, with a host or without one.
    let shown = rules.iter().enumerate().filter(|(_, rule)| hosted(rule)).nth(SHOWN - 1);
    let hosts = match (hosts.as_slice(), shown) {
        ([], _) => "*".to_owned(),
        (hosts, Some((last, _))) if last + 1 < rules.len() => {
            format!("{} + {} more...", hosts.join(","), rules.len() - SHOWN)
        }
        (hosts, _) => hosts.join(","),
    };
    let ports = if list(ingress, "spec.tls").is_empty() { "80" } else { "80, 443" };
    vec![
        json!(name(ingress)),
        json!(text_or(ingress, "spec.ingressClassName", NONE)),
        json!(hosts),
        json!(service::load_balancer(ingress)),
        json!(ports),
        json!(age(ingress, now)),
    ]
}

pub(super) fn ingress_class(class: &Value, now: Timestamp) -> Vec<Value> {
    let kind = match (text(class, "spec.parameters.kind"), text(class, "spec.parameters.apiGroup")) {
        (kind, "") => kind.to_owned(),
        (kind, group) => format!("{kind}.{group}"),
    };
    let parameters = match text(class, "spec.parameters.name") {
        "" => NONE.to_owned(),
        name => format!("{kind}/{name}"),
    };
    vec![json!(name(class)), json!(text(class, "spec.controller")), json!(parameters), json!(age(class, now))]
}

pub(super) fn network_policy(policy: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(policy)), json!(selector(policy, "spec.podSelector")), json!(age(policy, now))]
}

pub(super) fn ip_address(address: &Value, now: Timestamp) -> Vec<Value> {
    let parts = ["resource", "namespace", "name"].map(|part| text(address, &format!("spec.parentRef.{part}")));
    let group = text(address, "spec.parentRef.group");
    let [resource, namespace, parent] = parts;
    let resource =
        if group.is_empty() { resource.to_lowercase() } else { format!("{resource}.{group}").to_lowercase() };
    let reference = match (parent, namespace) {
        ("", _) => NONE.to_owned(),
        (parent, "") => format!("{resource}/{parent}"),
        (parent, namespace) => format!("{resource}/{namespace}/{parent}"),
    };
    vec![json!(name(address)), json!(reference), json!(age(address, now))]
}

pub(super) fn service_cidr(cidr: &Value, now: Timestamp) -> Vec<Value> {
    let ranges: Vec<&str> = list(cidr, "spec.cidrs").iter().filter_map(Value::as_str).collect();
    vec![json!(name(cidr)), json!(ranges.join(",")), json!(age(cidr, now))]
}
