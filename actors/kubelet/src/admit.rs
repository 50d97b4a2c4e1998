//! Whether the node can take a pod that was bound to it: pure, apart from what it is told of the node.

mod fields;

use std::collections::{BTreeMap, BTreeSet};

use cox_kit::Feed;
use cox_objects::{Key, Object, Resource};
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, Pod, PodSpec};
use serde::Deserialize;

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

/// What a pod takes of its node's room. It is what admission has to know of the other pods of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    milli_cpu: i64,
    memory: i64,
    /// Address, protocol and port.
    ports: Vec<(String, String, i32)>,
}

impl Claim {
    /// That of a pod; one that has ended takes nothing, and is not counted.
    pub fn of(pod: &Pod) -> Option<Self> {
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        pod.spec.as_ref().filter(|_| !matches!(phase, Some("Succeeded" | "Failed"))).map(Claim::of_spec)
    }

    fn of_spec(spec: &PodSpec) -> Self {
        Claim {
            milli_cpu: pod_total(spec, "cpu", true, milli),
            memory: pod_total(spec, "memory", true, bytes),
            ports: host_ports(spec),
        }
    }
}

/// Refuses a pod that does not fit beside the others; a pod that has begun here is never refused.
pub fn admit<F: Feed>(pod: &Pod, others: &[Claim], context: &Context<F>) -> Option<Verdict> {
    let begun = pod.status.as_ref().is_some_and(|s| s.start_time.is_some());
    let spec = pod.spec.as_ref().filter(|_| !begun && pod.metadata.deletion_timestamp.is_none())?;
    let node = context.feed.get(&Key::new(Resource::NODES, "", &context.config.node_name));
    let node = node.and_then(|node| NodeNames::of(&node));
    let room = Room {
        milli_cpu: context.machine.milli_cpu(),
        memory: context.machine.memory_bytes,
        pods: context.config.max_pods.into(),
    };
    fields::unsupported(spec)
        .or_else(|| fits(spec, others, &room))
        .or_else(|| node.as_ref().and_then(|node| selects(spec, node)))
        .or_else(|| sysctls(spec))
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

fn fits(spec: &PodSpec, others: &[Claim], room: &Room) -> Option<Verdict> {
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
    let own = Claim::of_spec(spec);
    let used_cpu: i64 = others.iter().map(|other| other.milli_cpu).sum();
    if own.milli_cpu > 0 && own.milli_cpu + used_cpu > room.milli_cpu {
        return out_of("cpu", own.milli_cpu, used_cpu, room.milli_cpu);
    }
    let used_memory: i64 = others.iter().map(|other| other.memory).sum();
    if own.memory > 0 && own.memory + used_memory > room.memory {
        return out_of("memory", own.memory, used_memory, room.memory);
    }
    for name in others_requested(spec) {
        // Devices, huge pages and the like: the node has none.
        let asked = pod_total(spec, &name, true, bytes);
        if asked > 0 {
            return out_of(&name, asked, 0, 0);
        }
    }
    let mut taken = others.iter().flat_map(|other| &other.ports);
    let clash = taken.any(|(other, protocol, port)| {
        let same = |ip: &String| ip == other || ip == "0.0.0.0" || other == "0.0.0.0";
        own.ports.iter().any(|(ip, p, n)| p == protocol && n == port && same(ip))
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

/// What a node can be selected by.
#[derive(Deserialize)]
struct NodeNames {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl NodeNames {
    /// Those of a stored Node, of which the rest is not read.
    fn of(node: &Object) -> Option<Self> {
        node.parse_metadata().ok()
    }
}

fn selects(spec: &PodSpec, node: &NodeNames) -> Option<Verdict> {
    let label = |key: &str| node.labels.get(key);
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
                && fields.into_iter().all(|r| holds(r, Some(&node.name)))
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
    use k8s_openapi::api::core::v1::PodStatus;
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
        let claim = Claim::of_spec;
        assert_eq!(fits(&port, &[claim(&port)], &ROOM).unwrap().reason, "NodePorts");
        let small = spec(json!({"containers": [{"name": "c"}]}));
        assert_eq!(fits(&small, &[claim(&small)], &ROOM), None);
        assert_eq!(fits(&small, &[claim(&small), claim(&small)], &ROOM).unwrap().reason, "OutOfpods");
    }

    #[test]
    fn what_the_others_take_is_not_given_again() {
        let asks = |cpu: &str, memory: &str| {
            spec(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}))
        };
        let other = Claim::of_spec(&asks("1500m", "768Mi"));
        assert_eq!(fits(&asks("500m", "256Mi"), std::slice::from_ref(&other), &ROOM), None);
        let verdict = fits(&asks("501m", "1"), std::slice::from_ref(&other), &ROOM).unwrap();
        assert_eq!(
            verdict.message,
            "Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000"
        );
        assert_eq!(fits(&asks("1m", "257Mi"), &[other], &ROOM).unwrap().reason, "OutOfmemory");
        let pod = |phase: &str| Pod {
            spec: Some(asks("1", "1")),
            status: Some(PodStatus { phase: Some(phase.to_owned()), ..PodStatus::default() }),
            ..Pod::default()
        };
        assert_eq!(Claim::of(&pod("Running")).unwrap().milli_cpu, 1000);
        assert_eq!((Claim::of(&pod("Failed")), Claim::of(&pod("Succeeded"))), (None, None));
    }

    #[test]
    fn selectors_and_sysctls_are_checked() {
        let node: NodeNames = serde_json::from_value(json!({"name": "n1", "labels": {"a": "5"}})).unwrap();
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
