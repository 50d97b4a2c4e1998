//! Hollow nodes: many real kubelets in one process, whose pods run nowhere and are otherwise as any others.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cox_objects::At;
use cox_tests::wait::{Look, until};
use cox_tests::{Cluster, machine};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const NODES: usize = 20;
const REPLICAS: u64 = 100;

fn get(cluster: &Cluster, arguments: &[&str]) -> Result<Value> {
    let all: Vec<&str> = ["get", "-o", "json"].iter().chain(arguments).copied().collect();
    Ok(serde_json::from_str(&cluster.kubectl(&all)?)?)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.pointer("/items").and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn ready(cluster: &Cluster) -> Result<u64> {
    let deployment = get(cluster, &["deployment", "web"])?;
    Ok(deployment.pointer("/status/readyReplicas").and_then(Value::as_u64).unwrap_or_default())
}

/// Each node's Lease is renewed every ten seconds at most, however alive it is: one more for where in the ten seconds its first renewal was.
fn leases_are_rare(cluster: &Cluster) -> Result<()> {
    let mut writes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in cluster.cox(&["events", "--since", "0", "--json"])?.lines() {
        let event: Value = serde_json::from_str(line)?;
        if (text(&event, "/resource"), text(&event, "/namespace")) == ("leases", "kube-node-lease") {
            let At::Time(time) = text(&event, "/time").parse()? else { bail!("no time: {event}") };
            writes.entry(text(&event, "/name").to_owned()).or_default().push(time);
        }
    }
    assert_eq!(writes.len(), NODES);
    for (node, times) in writes {
        let span = times.iter().max().zip(times.iter().min()).map_or(0, |(last, first)| last - first);
        assert!(times.len() as u64 <= 2 + span / 10_000, "{node} wrote its Lease {} times in {span} ms", times.len());
    }
    Ok(())
}

#[test]
fn a_deployment_runs_on_hollow_nodes() -> Result<()> {
    let mut cluster = Cluster::without_node(&["--hollow-nodes", &NODES.to_string()])?;
    until("all hollow nodes take pods", PATIENCE, || {
        let nodes = get(&cluster, &["nodes"])?;
        let taken = items(&nodes).filter(|node| node.pointer("/spec/taints").is_none()).count();
        Ok(Look::at(taken == NODES, || format!("{taken} of {NODES}")))
    })?;
    let leases = get(&cluster, &["leases", "-n", "kube-node-lease"])?;
    assert_eq!(items(&leases).count(), NODES, "each kubelet gives signs of life of its own");

    // A ConfigMap that is not there yet holds its pods back, as on any node.
    let container = json!({"name": "c", "image": "registry.example/anything:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let labels = json!({"app": "web"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "volumes": [{"name": "v", "configMap": {"name": "later"}}],
                     "terminationGracePeriodSeconds": 1}}},
    });
    cluster.kubectl_with(&["apply", "-f", "-"], &deployment.to_string())?;
    until("a pod says what it waits for", PATIENCE, || {
        let events = get(&cluster, &["events"])?;
        let said = items(&events).any(|event| text(event, "/reason") == "FailedMount");
        Ok(Look::at(said, || format!("{} events", items(&events).count())))
    })?;
    assert_eq!(ready(&cluster)?, 0);
    cluster.kubectl(&["create", "configmap", "later", "--from-literal=a=b"])?;
    until("all replicas are ready", PATIENCE, || {
        let ready = ready(&cluster)?;
        Ok(Look::at(ready == REPLICAS, || format!("{ready} of {REPLICAS}")))
    })?;

    let pods = get(&cluster, &["pods"])?;
    let mut on: BTreeMap<&str, usize> = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for pod in items(&pods) {
        assert_eq!(text(pod, "/status/phase"), "Running", "{pod}");
        *on.entry(text(pod, "/spec/nodeName")).or_default() += 1;
        addresses.insert(text(pod, "/status/podIP"), text(pod, "/metadata/name"));
    }
    assert_eq!((on.len(), addresses.len()), (NODES, REPLICAS as usize), "{on:?}");

    let name = items(&pods).next().map(|pod| text(pod, "/metadata/name").to_owned()).context("no pod")?;
    cluster.kubectl(&["delete", "pod", &name])?;
    cluster.kubectl(&["delete", "deployment", "web"])?;
    until("all pods are gone", PATIENCE, || {
        let left = items(&get(&cluster, &["pods"])?).count();
        Ok(Look::at(left == 0, || format!("{left} are left")))
    })?;
    leases_are_rare(&cluster)?;
    let said = std::fs::read_to_string(cluster.scratch().join("cox.log"))?;
    let complaints = ["in a foreign place", "Permissions Violation", "malformed"];
    let refused: Vec<_> = said.lines().filter(|line| complaints.iter().any(|about| line.contains(about))).collect();
    assert!(refused.is_empty(), "components take each other for strangers: {refused:#?}");
    let data = cluster.data();
    cluster.stop()?;
    let left = machine::mentioning(&data.to_string_lossy())?;
    assert!(left.is_empty(), "processes that are left: {left:?}");
    Ok(())
}
