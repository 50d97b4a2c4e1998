//! Whether the node can take a pod that was bound to it: pure, apart from what it is told of the node.

mod fields;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cox_kit::Feed;
use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, Pod, PodSpec};

use crate::model::Verdict;
use crate::node::Context;
use crate::spec::resources::{bytes, milli, pod_total};

/// Sysctls that are namespaced and safe (Kubernetes' list); others need an allowance that this node does not give.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Refuses a pod that does not fit; a pod that has begun here is never refused.
pub fn admit<F: Feed>(pod: &Pod, others: &[Arc<Pod>], context: &Context<F>) -> Option<Verdict> {
    let begun = pod.status.as_ref().is_some_and(|s| s.start_time.is_some());
    let spec = pod.spec.as_ref().filter(|_| !begun && pod.metadata.deletion_timestamp.is_none())?;
    let node = context.view().get::<Node>("", &context.config.node_name);
    let living: Vec<&PodSpec> = others.iter().filter(|p| is_living(p)).filter_map(|p| p.spec.as_ref()).collect();
    let room = Room {
        milli_cpu: context.machine.milli_cpu(),
        memory: context.machine.memory_bytes,
        pods: context.config.max_pods.into(),
    };
    fields::unsupported(spec)
        .or_else(|| fits(spec, &living, &room))
        .or_else(|| node.as_deref().and_then(|node| selects(spec, node)))
        .or_else(|| sysctls(spec))
}

fn is_living(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// What the node has to give.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    milli_cpu: i64,
    memory: i64,
    pods: i64,
}

fn rejected(reason: &str, message: String) -> Option<Verdict> {
    Some(Verdict { reason: reason.to_owned(), message })
}

fn fits(spec: &PodSpec, others: &[&PodSpec], room: &Room) -> Option<Verdict> {
    let out_of = |name: &str, requested: i64, used: i64, capacity: i64| {
        let text = format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        rejected(&format!("OutOf{name}"), text)
    };
    let count = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if count + 1 > room.pods {
        return out_of("pods", 1, count, room.pods);
    }
    let cpu = |spec: &PodSpec| pod_total(spec, "cpu", true, milli);
    let memory = |spec: &PodSpec| pod_total(spec, "memory", true, bytes);
    let used_cpu: i64 = others.iter().map(|s| cpu(s)).sum();
    if cpu(spec) > 0 && cpu(spec) + used_cpu > room.milli_cpu {
        return out_of("cpu", cpu(spec), used_cpu, room.milli_cpu);
    }
    let used_memory: i64 = others.iter().map(|s| memory(s)).sum();
    if memory(spec) > 0 && memory(spec) + used_memory > room.memory {
        return out_of("memory", memory(spec), used_memory, room.memory);
    }
    for name in others_requested(spec) {
        // Devices, huge pages and the like: the node has none.
        let asked = pod_total(spec, &name, true, bytes);
        if asked > 0 {
            return out_of(&name, asked, 0, 0);
        }
    }
    let own = host_ports(spec);
    let taken: Vec<_> = others.iter().flat_map(|s| host_ports(s)).collect();
    let clash = own.iter().any(|(ip, protocol, port)| {
        taken
            .iter()
            .any(|(other, p, n)| p == protocol && n == port && (ip == other || ip == "0.0.0.0" || other == "0.0.0.0"))
    });
    if clash {
        return rejected(
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports".to_owned(),
        );
    }
    None
}

/// The resources that a pod requests besides those that the node gives.
fn others_requested(spec: &PodSpec) -> BTreeSet<String> {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let all = containers.filter_map(|c| c.resources.as_ref()).chain(spec.resources.as_ref());
    let names = all.flat_map(|r| [&r.requests, &r.limits]).flatten().flat_map(BTreeMap::keys);
    names.filter(|name| !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")).cloned().collect()
}

fn host_ports(spec: &PodSpec) -> Vec<(String, String, i32)> {
    let ports = spec.containers.iter().flat_map(|c| c.ports.iter().flatten());
    let host = ports.filter_map(|p| {
        let port = p.host_port.filter(|port| *port > 0)?;
        let ip = p.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
        Some((ip, p.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), port))
    });
    host.collect()
}

fn selects(spec: &PodSpec, node: &Node) -> Option<Verdict> {
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let by_labels = spec.node_selector.iter().flatten().all(|(key, value)| label(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let by_affinity = required.is_none_or(|required| {
        required.node_selector_terms.iter().any(|term| {
            let expressions = term.match_expressions.iter().flatten();
            let fields = term.match_fields.iter().flatten();
            let empty = term.match_expressions.is_none() && term.match_fields.is_none();
            !empty
                && expressions.into_iter().all(|r| holds(r, label(&r.key).map(String::as_str)))
                && fields.into_iter().all(|r| holds(r, node.metadata.name.as_deref()))
        })
    });
    if by_labels && by_affinity {
        return None;
    }
    rejected(
        "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector".to_owned(),
    )
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = || requirement.values.iter().flatten();
    let listed = value.is_some_and(|value| values().any(|v| v == value));
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = values().next().and_then(|v| number(v));
    let own = value.and_then(number);
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => matches!((own, bound), (Some(own), Some(bound)) if own > bound),
        "Lt" => matches!((own, bound), (Some(own), Some(bound)) if own < bound),
        _ => false,
    }
}

fn sysctls(spec: &PodSpec) -> Option<Verdict> {
    let mut asked = spec.security_context.iter().flat_map(|c| c.sysctls.iter().flatten());
    let unsafe_one = asked.find(|s| !SAFE_SYSCTLS.contains(&s.name.replace('/', ".").as_str()))?;
    rejected("SysctlForbidden", format!("forbidden sysctl: {:?} not allowlisted", unsafe_one.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    const ROOM: Room = Room { milli_cpu: 2000, memory: 1 << 30, pods: 2 };

    #[test]
    fn what_does_not_fit_is_refused_as_recorded() {
        let hungry = spec(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "100"}}}]}));
        let verdict = fits(&hungry, &[], &ROOM).unwrap();
        assert_eq!(verdict.reason, "OutOfcpu");
        assert_eq!(
            verdict.message,
            "Node didn't have enough resource: cpu, requested: 100000, used: 0, capacity: 2000"
        );
        let device = spec(json!({"containers": [{"name": "c", "resources": {"limits": {"example.com/gpu": "1"}}}]}));
        assert_eq!(fits(&device, &[], &ROOM).unwrap().reason, "OutOfexample.com/gpu");
        let port = spec(json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]}));
        assert_eq!(fits(&port, &[&port], &ROOM).unwrap().reason, "NodePorts");
        let small = spec(json!({"containers": [{"name": "c"}]}));
        assert_eq!(fits(&small, &[&small], &ROOM), None);
        assert_eq!(fits(&small, &[&small, &small], &ROOM).unwrap().reason, "OutOfpods");
    }

    #[test]
    fn selectors_and_sysctls_are_checked() {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "n1", "labels": {"a": "5"}}})).unwrap();
        let with = |key: &str, op: &str, values: serde_json::Value| {
            let terms = json!([{"matchExpressions": [{"key": key, "operator": op, "values": values}]}]);
            let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
            selects(&spec(json!({"containers": [], "affinity": {"nodeAffinity": required}})), &node).is_none()
        };
        assert!(with("a", "Gt", json!(["4"])) && !with("a", "In", json!(["4"])) && with("b", "NotIn", json!(["1"])));
        assert!(selects(&spec(json!({"containers": [], "nodeSelector": {"x": "y"}})), &node).is_some());
        let bad =
            spec(json!({"containers": [], "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}));
        assert_eq!(sysctls(&bad).unwrap().message, "forbidden sysctl: \"kernel.msgmax\" not allowlisted");
    }
}
