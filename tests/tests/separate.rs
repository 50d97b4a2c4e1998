//! Components as processes of their own beside one nats-server: the cluster works as one, and each may be killed.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cox_tests::apart::Apart;
use cox_tests::process::Process;
use cox_tests::wait::{Look, until};
use cox_tests::{Cluster, Node, image, machine};

const PATIENCE: Duration = Duration::from_secs(60);

/// A node that nobody runs, and pods for it.
const NODE: &str = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "far"}}"#;
const STATUS: &str = r#"{"status": {
    "allocatable": {"cpu": "4", "memory": "4Gi", "pods": "10"}, "capacity": {"cpu": "4", "memory": "4Gi", "pods": "10"},
    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}]}}"#;

fn component(cluster: &Cluster, name: &str) -> Result<Process> {
    let file = std::fs::read_to_string(cluster.credentials(name))?;
    let file: serde_json::Value = serde_json::from_str(&file)?;
    let url = file.get("url").and_then(serde_json::Value::as_str).context("no url")?;
    let credentials = cluster.data().join("bus").join("creds");
    let (credentials, data) = (credentials.to_string_lossy(), cluster.data().to_string_lossy().into_owned());
    let arguments = ["component", name, "--nats-url", url, "--creds", &*credentials, "--data-dir", &data];
    let process = Process::start(&arguments.map(str::to_owned), &cluster.scratch().join(format!("{name}.log")))?;
    process.ready()?;
    Ok(process)
}

#[test]
fn controllers_and_scheduler_of_their_own_make_a_deployment() -> Result<()> {
    let cluster = Cluster::without_node(&["--without", "scheduler", "--without", "controllers"])?;
    cluster.kubectl_with(&["create", "-f", "-"], NODE)?;
    cluster.kubectl(&["patch", "node", "far", "--subresource=status", "--type=merge", "-p", STATUS])?;
    cluster.kubectl(&["create", "deployment", "web", "--image=i", "--replicas=2"])?;
    let pods = || cluster.kubectl(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}"]);
    assert_eq!(pods()?, "", "nobody makes pods yet");

    let controllers = component(&cluster, "controllers")?;
    let scheduler = component(&cluster, "scheduler")?;
    let bound = |nodes: &str| {
        until("the pods are bound", PATIENCE, || {
            let found = pods()?;
            Ok(Look::at(found == nodes, || format!("their nodes are {found:?}")))
        })
    };
    bound("far far")?;

    // Those that stop in order give their Leases up, so that the next lead at once.
    controllers.stop()?;
    scheduler.stop()?;
    cluster.kubectl(&["scale", "deployment", "web", "--replicas=3"])?;
    assert_eq!(pods()?, "far far", "nobody makes pods any more");
    let _controllers = component(&cluster, "controllers")?;
    let _scheduler = component(&cluster, "scheduler")?;
    bound("far far far")
}

fn web() -> String {
    format!(
        r#"---
{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "web"}},
  "spec": {{"replicas": 1, "selector": {{"matchLabels": {{"app": "web"}}}},
    "template": {{"metadata": {{"labels": {{"app": "web"}}}},
      "spec": {{"terminationGracePeriodSeconds": 1, "containers": [{{"name": "c", "image": "{}"}}]}}}}}}}}
---
{{"apiVersion": "v1", "kind": "Service", "metadata": {{"name": "web"}},
  "spec": {{"type": "NodePort", "selector": {{"app": "web"}},
    "ports": [{{"port": 80, "targetPort": 3000, "nodePort": 31519}}]}}}}
"#,
        image::NAME
    )
}

/// Scales to so many pods, and waits until each of them answers through the Service.
fn answer(apart: &Apart, count: usize) -> Result<()> {
    apart.kubectl(&["scale", "deployment", "web", &format!("--replicas={count}")], "")?;
    let mut heard = BTreeSet::new();
    until(&format!("{count} pods answer"), PATIENCE, || {
        let curl = std::process::Command::new("curl").args(["-s", "-m", "2", "http://127.0.0.1:31519/"]).output()?;
        let name = String::from_utf8_lossy(&curl.stdout).trim().to_owned();
        if name.starts_with("web-") {
            heard.insert(name);
        }
        Ok(Look::at(heard.len() == count, || format!("{heard:?}")))
    })
}

#[test]
fn all_components_apart_are_one_cluster_and_each_may_be_killed() -> Result<()> {
    let mut apart = Apart::start(Node { slot: 109 })?;
    apart.kubectl(&["create", "-f", "-"], &web())?;
    answer(&apart, 1)?;
    let status = apart.cox(&["status"])?;
    for name in ["apiserver", "gateway", "scheduler", "controllers", "feed", "node:apart", "proxy:apart"] {
        ensure!(status.contains(&format!("● {name} pid ")), "{name} is not among them:\n{status}");
    }

    let mut count = 1;
    for killed in
        [&["apiserver"][..], &["gateway"], &["feeds"], &["kubelet"], &["proxy"], &["scheduler", "controllers"]]
    {
        apart.kill(killed)?;
        apart.run(killed).with_context(|| format!("{killed:?}"))?;
        count += 1;
        answer(&apart, count).with_context(|| format!("after the kill of {killed:?}"))?;
    }
    let restarts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}";
    let restarts = apart.kubectl(&["get", "pods", "-o", restarts], "")?;
    assert_eq!(restarts, ["0"; 7].join(" "), "no container was started twice");

    apart.stop()?;
    apart.cox(&["down"])?;
    let id = std::fs::read_to_string(apart.data().join("cluster"))?;
    let left: Vec<String> = machine::traces(id.trim(), &apart.data())?;
    assert_eq!(left, Vec::<String>::new(), "a stopped cluster leaves nothing");
    Ok(())
}
