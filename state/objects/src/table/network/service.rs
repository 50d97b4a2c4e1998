//! The row of a service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::table::access::{int, list, text, text_or};
use crate::table::cells::{NONE, UNKNOWN, age, labels, name};

pub(in crate::table) fn service(service: &Value, now: Timestamp) -> Vec<Value> {
    let address = list(service, "spec.clusterIPs").first().and_then(Value::as_str).unwrap_or(NONE);
    vec![
        json!(name(service)),
        json!(text(service, "spec.type")),
        json!(address),
        json!(external(service)),
        json!(ports(service)),
        json!(age(service, now)),
        json!(labels(service, "spec.selector")),
    ]
}

fn external(service: &Value) -> String {
    let given: Vec<&str> = list(service, "spec.externalIPs").iter().filter_map(Value::as_str).collect();
    match text(service, "spec.type") {
        "ClusterIP" | "NodePort" if given.is_empty() => NONE.to_owned(),
        "ClusterIP" | "NodePort" => given.join(","),
        "LoadBalancer" => {
            let balancer = load_balancer(service);
            let all: Vec<&str> = balancer.split(',').filter(|ip| !ip.is_empty()).chain(given).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => text(service, "spec.externalName").to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

/// The addresses or names of the load balancer before a service or ingress.
pub(in crate::table) fn load_balancer(object: &Value) -> String {
    let points = list(object, "status.loadBalancer.ingress");
    let points: BTreeSet<&str> =
        points.iter().map(|point| text_or(point, "ip", text(point, "hostname"))).filter(|p| !p.is_empty()).collect();
    points.into_iter().collect::<Vec<_>>().join(",")
}

fn ports(service: &Value) -> String {
    let port = |port: &Value| {
        let (number, protocol) = (int(port, "port"), text(port, "protocol"));
        match int(port, "nodePort") {
            0 => format!("{number}/{protocol}"),
            node_port => format!("{number}:{node_port}/{protocol}"),
        }
    };
    match list(service, "spec.ports") {
        [] => NONE.to_owned(),
        ports => ports.iter().map(port).collect::<Vec<_>>().join(","),
    }
}
