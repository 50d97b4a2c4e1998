//! From Kubernetes' requests and limits to cgroup values, and who is killed first when memory runs out.

use std::collections::BTreeMap;

use cox_objects::quantity::Quantity as Amount;
use cox_runtime::Resources;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The quality-of-service class of a pod; the API server computed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Limits equal requests everywhere.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    BestEffort,
}

impl Qos {
    /// The class in the pod's status.
    pub fn of(pod: &Pod) -> Self {
        match pod.status.as_ref().and_then(|s| s.qos_class.as_deref()) {
            Some("Guaranteed") => Qos::Guaranteed,
            Some("Burstable") => Qos::Burstable,
            _ => Qos::BestEffort,
        }
    }
}

/// The pod's cgroup below the runtime's root.
pub fn cgroup_parent(pod: &Pod) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    match Qos::of(pod) {
        Qos::Guaranteed => format!("pod{uid}"),
        Qos::Burstable => format!("burstable/pod{uid}"),
        Qos::BestEffort => format!("besteffort/pod{uid}"),
    }
}

/// The cgroup values of a container. `node_memory` is the node's capacity in bytes.
pub fn container(pod: &Pod, container: &Container, node_memory: i64) -> Resources {
    let none = ResourceRequirements::default();
    let resources = container.resources.as_ref().unwrap_or(&none);
    let limit_cpu = milli(resources.limits.as_ref(), "cpu");
    let request_cpu = milli(resources.requests.as_ref(), "cpu").or(limit_cpu);
    let memory_limit = bytes(resources.limits.as_ref(), "memory").filter(|limit| *limit > 0);
    Resources {
        cpu_shares: Some(shares(request_cpu.unwrap_or(0))),
        cpu_quota: limit_cpu.filter(|milli| *milli > 0).map(quota),
        cpu_period: limit_cpu.filter(|milli| *milli > 0).map(|_| PERIOD),
        memory_limit,
        oom_score_adj: Some(oom_score_adj(pod, container, node_memory)),
        // Out of memory is the end of the whole container, not of one of its processes (the kubelet's `singleProcessOOMKill: false`).
        unified: BTreeMap::from([("memory.oom.group".to_owned(), "1".to_owned())]),
        ..Resources::default()
    }
}

/// The cgroup values of the pod as a whole: shares of all that is requested; bounds only where every container has them.
pub fn pod(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let request = pod_total(spec, "cpu", true, milli);
    let cpu_limit = all_limited(spec, "cpu").then(|| pod_total(spec, "cpu", false, milli));
    let memory_limit = all_limited(spec, "memory").then(|| pod_total(spec, "memory", false, bytes));
    Resources {
        cpu_shares: Some(shares(request)),
        cpu_quota: cpu_limit.filter(|milli| *milli > 0).map(quota),
        cpu_period: cpu_limit.filter(|milli| *milli > 0).map(|_| PERIOD),
        memory_limit: memory_limit.filter(|limit| *limit > 0),
        ..Resources::default()
    }
}

/// Microseconds of a CFS period.
const PERIOD: u64 = 100_000;

/// 1024 shares a CPU, at least the kernel's minimum of 2.
fn shares(milli: i64) -> u64 {
    (milli.max(0).unsigned_abs() * 1024 / 1000).clamp(2, 262_144)
}

/// Microseconds a period, at least the kernel's minimum of 1,000.
fn quota(milli: i64) -> i64 {
    (milli.saturating_mul(100)).max(1000)
}

type List = BTreeMap<String, Quantity>;

/// Thousandths of a CPU in a resource list.
pub fn milli(list: Option<&List>, name: &str) -> Option<i64> {
    Some(Amount::parse(&list?.get(name)?.0).ok()?.milli_value())
}

/// Bytes (or a count) in a resource list.
pub fn bytes(list: Option<&List>, name: &str) -> Option<i64> {
    quantity(list?.get(name)?)
}

/// A quantity in whole units.
pub fn quantity(quantity: &Quantity) -> Option<i64> {
    Some(Amount::parse(&quantity.0).ok()?.value())
}

fn all_limited(spec: &PodSpec, name: &str) -> bool {
    let limited =
        |c: &Container| c.resources.as_ref().and_then(|r| r.limits.as_ref()).is_some_and(|l| l.contains_key(name));
    let pod_level = spec.resources.as_ref().and_then(|r| r.limits.as_ref()).is_some_and(|l| l.contains_key(name));
    pod_level || spec.containers.iter().chain(spec.init_containers.iter().flatten()).all(limited)
}

/// What the pod as a whole requests (or may use): the greater of what runs together and of each init container on the way there (KEP-753).
pub fn pod_total(spec: &PodSpec, name: &str, requests: bool, read: fn(Option<&List>, &str) -> Option<i64>) -> i64 {
    let side = |r: Option<&ResourceRequirements>| {
        let r = r?;
        let own = read(if requests { r.requests.as_ref() } else { r.limits.as_ref() }, name);
        if requests { own.or_else(|| read(r.limits.as_ref(), name)) } else { own }
    };
    let overhead = read(spec.overhead.as_ref(), name).unwrap_or(0);
    if let Some(total) = side(spec.resources.as_ref()) {
        return total + overhead;
    }
    let of = |c: &Container| side(c.resources.as_ref()).unwrap_or(0);
    let mut sidecars = 0;
    let mut peak = 0;
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars += of(container);
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars + of(container));
        }
    }
    let together: i64 = sidecars + spec.containers.iter().map(of).sum::<i64>();
    peak.max(together) + overhead
}

/// `oom_score_adj` by class, as the kubelet documents it: the less of its request a burstable container is likely to use, the safer it is.
fn oom_score_adj(pod: &Pod, container: &Container, node_memory: i64) -> i32 {
    if pod.spec.as_ref().and_then(|s| s.priority).is_some_and(|priority| priority >= 2_000_000_000) {
        return -997;
    }
    match Qos::of(pod) {
        Qos::Guaranteed => -997,
        Qos::BestEffort => 1000,
        Qos::Burstable => {
            let resources = container.resources.as_ref();
            let request = bytes(resources.and_then(|r| r.requests.as_ref()), "memory").unwrap_or(0);
            let share = if node_memory > 0 { 1000 * i128::from(request) / i128::from(node_memory) } else { 0 };
            i32::try_from(1000 - share).unwrap_or(3).clamp(3, 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod_of(containers: serde_json::Value, init: serde_json::Value, qos: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"uid": "u"}, "status": {"qosClass": qos},
            "spec": {"containers": containers, "initContainers": init}}))
        .unwrap()
    }

    #[test]
    fn limits_become_cgroup_values() {
        let pod = pod_of(
            json!([{"name": "c", "resources": {"limits": {"cpu": "100m", "memory": "32Mi"}}}]),
            json!([]),
            "Guaranteed",
        );
        let got = container(&pod, &pod.spec.as_ref().unwrap().containers[0], 1 << 34);
        assert_eq!((got.cpu_shares, got.cpu_quota, got.memory_limit), (Some(102), Some(10_000), Some(32 << 20)));
        assert_eq!(got.oom_score_adj, Some(-997));
        assert_eq!(got.unified.get("memory.oom.group").map(String::as_str), Some("1"));
        assert_eq!(cgroup_parent(&pod), "podu");
    }

    #[test]
    fn nothing_asked_is_the_least_share() {
        let pod = pod_of(json!([{"name": "c"}]), json!([]), "BestEffort");
        let got = container(&pod, &pod.spec.as_ref().unwrap().containers[0], 1 << 34);
        assert_eq!(
            (got.cpu_shares, got.cpu_quota, got.memory_limit, got.oom_score_adj),
            (Some(2), None, None, Some(1000))
        );
        assert_eq!(super::pod(&pod).memory_limit, None);
    }

    #[test]
    fn init_containers_count_at_their_peak_and_sidecars_all_along() {
        let cpu = |n: &str| json!({"requests": {"cpu": n}});
        let init = json!([
            {"name": "s", "restartPolicy": "Always", "resources": cpu("100m")},
            {"name": "i", "resources": cpu("500m")},
        ]);
        let pod = pod_of(json!([{"name": "c", "resources": cpu("300m")}]), init, "Burstable");
        assert_eq!(pod_total(pod.spec.as_ref().unwrap(), "cpu", true, milli), 600);
    }
}
