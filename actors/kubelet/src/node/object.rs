//! The Node object: what it says at registration, and its status. Pure.

use cox_objects::quantity::{Format, Quantity};
use cox_runtime::{Image, RuntimeInfo};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeStatus;
use serde_json::{Value, json};

use super::facts::Machine;
use crate::config::Config;

/// How many images a Node lists at most.
const MAX_IMAGES: usize = 50;

/// The Node to register: labels and spec; its status comes with the first update.
pub fn registration(config: &Config, machine: &Machine) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": config.node_name,
            "labels": labels(config, machine),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": config.pod_cidr, "podCIDRs": [config.pod_cidr]},
    })
}

/// The labels that the kubelet keeps right.
pub fn labels(config: &Config, machine: &Machine) -> Value {
    let mut labels = json!({
        "beta.kubernetes.io/arch": machine.architecture, "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture, "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": config.node_name,
    });
    if let Some(labels) = labels.as_object_mut().filter(|_| config.hollow.is_some()) {
        labels.insert("node.kubernetes.io/instance-type".to_owned(), "hollow".into());
    }
    labels
}

/// What the node's health is judged by.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Why the node is not ready; none if it is.
    pub not_ready: Option<String>,
}

/// The whole status. Conditions that hold as before keep their transition time.
pub fn status(
    config: &Config,
    machine: &Machine,
    runtime: &RuntimeInfo,
    images: &[Image],
    health: &Health,
    before: Option<&NodeStatus>,
    now: Timestamp,
) -> Value {
    // As they are stored: written otherwise, each look would find another status than the one it told.
    let binary = |bytes: i64| Quantity::new(bytes, Format::Binary).to_string();
    let amounts = json!({
        "cpu": machine.cpus.to_string(),
        "ephemeral-storage": binary(machine.disk_bytes / 1024 * 1024),
        "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": binary(machine.memory_bytes / 1024 * 1024),
        "pods": config.max_pods.to_string(),
    });
    let mut addresses: Vec<Value> =
        config.node_ips.iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
    addresses.push(json!({"type": "Hostname", "address": config.node_name}));
    json!({
        "capacity": amounts,
        "allocatable": amounts,
        "conditions": conditions(health, before, now),
        "addresses": addresses,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": {
            "machineID": machine.machine_id, "systemUUID": machine.system_uuid, "bootID": machine.boot_id,
            "kernelVersion": machine.kernel, "osImage": machine.os_image,
            "containerRuntimeVersion": format!("cox://{} ({} {})", config.version.rsplit("cox.").next().unwrap_or_default(), runtime.name, runtime.version),
            "kubeletVersion": config.version, "kubeProxyVersion": "",
            "operatingSystem": "linux", "architecture": machine.architecture,
        },
        "images": listed(images),
    })
}

fn conditions(health: &Health, before: Option<&NodeStatus>, now: Timestamp) -> Value {
    let ready = match &health.not_ready {
        None => ("Ready", "True", "KubeletReady", "kubelet is posting ready status".to_owned()),
        Some(why) => ("Ready", "False", "KubeletNotReady", why.clone()),
    };
    let fine = |kind, reason, message: &str| (kind, "False", reason, message.to_owned());
    let all = [
        fine("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        fine("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        fine("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ready,
    ];
    let told = before.and_then(|s| s.conditions.as_ref());
    let list = all.into_iter().map(|(kind, status, reason, message)| {
        let same = told.into_iter().flatten().find(|c| c.type_ == kind && c.status == status);
        let since = same.and_then(|c| c.last_transition_time.as_ref()).map_or(now, |t| t.0);
        json!({
            "type": kind, "status": status, "lastHeartbeatTime": cox_objects::time::format(now),
            "lastTransitionTime": cox_objects::time::format(since), "reason": reason, "message": message,
        })
    });
    list.collect()
}

fn listed(images: &[Image]) -> Value {
    let mut images: Vec<&Image> = images.iter().collect();
    images.sort_by_key(|image| std::cmp::Reverse(image.size));
    let list = images.into_iter().take(MAX_IMAGES).map(|image| {
        let names: Vec<&String> = image.repo_digests.iter().chain(&image.repo_tags).collect();
        json!({"names": names, "sizeBytes": image.size})
    });
    list.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            node_name: "n1".into(),
            node_ips: vec!["192.0.2.2".into()],
            pod_cidr: "10.244.0.0/24".into(),
            root: "/x".into(),
            log_root: "/l".into(),
            dns: crate::spec::sandbox::NodeDns::default(),
            version: "v1.36.2+cox.0.1.0".into(),
            max_pods: 110,
            request_timeout: crate::config::REQUEST_TIMEOUT,
            hollow: None,
        }
    }

    #[test]
    fn amounts_are_told_as_they_are_stored() {
        let runtime = RuntimeInfo { name: "crun".into(), version: "1.8.1".into() };
        let machine =
            Machine { cpus: 32, memory_bytes: 128 << 30, disk_bytes: (1 << 40) + 1024 + 7, ..Machine::default() };
        let status = status(&config(), &machine, &runtime, &[], &Health::default(), None, Timestamp::UNIX_EPOCH);
        assert_eq!(
            (&status["capacity"]["memory"], &status["capacity"]["ephemeral-storage"]),
            (&json!("128Gi"), &json!("1073741825Ki"))
        );
        for amount in status["capacity"].as_object().unwrap().values().filter_map(Value::as_str) {
            assert_eq!(Quantity::parse(amount).unwrap().to_string(), amount);
        }
    }

    #[test]
    fn a_ready_node_says_so_and_keeps_its_times() {
        let runtime = RuntimeInfo { name: "crun".into(), version: "1.8.1".into() };
        let machine = Machine { cpus: 2, memory_bytes: 4096, ..Machine::default() };
        let at = |s: i64| Timestamp::from_second(1_700_000_000 + s).unwrap();
        let read = |health: &Health, before: Option<&NodeStatus>, now| {
            status(&config(), &machine, &runtime, &[], health, before, now)
        };
        let first = read(&Health::default(), None, at(0));
        let told: NodeStatus = serde_json::from_value(first.clone()).unwrap();
        let second = read(&Health::default(), Some(&told), at(10));
        assert_eq!(second["conditions"][3]["lastTransitionTime"], first["conditions"][3]["lastTransitionTime"]);
        assert_ne!(second["conditions"][3]["lastHeartbeatTime"], first["conditions"][3]["lastHeartbeatTime"]);
        let sick = read(&Health { not_ready: Some("no runtime".into()) }, Some(&told), at(20));
        assert_eq!(
            (&sick["conditions"][3]["status"], &sick["conditions"][3]["reason"]),
            (&json!("False"), &json!("KubeletNotReady"))
        );
        assert_eq!(sick["nodeInfo"]["containerRuntimeVersion"], "cox://0.1.0 (crun 1.8.1)");
        assert_eq!(sick["capacity"]["memory"], "4Ki");
    }
}
