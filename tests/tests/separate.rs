//! Components as processes of their own beside one nats-server: the cluster works as one.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use cox_tests::wait::{Look, until};
use cox_tests::{Cluster, cluster};

const PATIENCE: Duration = Duration::from_secs(60);

const NODE: &str = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "far"}}"#;
const STATUS: &str = r#"{"status": {
    "allocatable": {"cpu": "4", "memory": "4Gi", "pods": "10"}, "capacity": {"cpu": "4", "memory": "4Gi", "pods": "10"},
    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}]}}"#;

/// A component's process, which ends with the test.
struct Component(Child);

impl Component {
    fn start(cluster: &Cluster, name: &str) -> Result<Component> {
        let credentials = cluster.data().join("bus").join("creds");
        let file = std::fs::read_to_string(cluster.credentials(name))?;
        let file: serde_json::Value = serde_json::from_str(&file)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(cluster::binary()?).args(["component", name]);
        command
            .args(["--nats-url", file.get("url").and_then(serde_json::Value::as_str).context("no url")?])
            .arg("--creds")
            .arg(credentials);
        command.arg("--data-dir").arg(cluster.data()).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Component(command.spawn()?))
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pod(name: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}"}}, "spec": {{"tolerations": [{{"operator": "Exists"}}],
            "containers": [{{"name": "c", "image": "i"}}]}}}}"#
    )
}

fn node_of(cluster: &Cluster, pod: &str) -> Result<String> {
    cluster.kubectl(&["get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"])
}

fn bound(cluster: &Cluster, pod: &str) -> Result<()> {
    until(&format!("{pod} is bound"), PATIENCE, || {
        let node = node_of(cluster, pod)?;
        Ok(Look::at(node == "far", || format!("its node is {node:?}")))
    })
}

#[test]
fn a_scheduler_of_its_own_binds_pods() -> Result<()> {
    let cluster = Cluster::without_node(&["--without", "scheduler"])?;
    cluster.kubectl_with(&["create", "-f", "-"], NODE)?;
    cluster.kubectl(&["patch", "node", "far", "--subresource=status", "--type=merge", "-p", STATUS])?;
    cluster.kubectl_with(&["create", "-f", "-"], &pod("first"))?;
    assert_eq!(node_of(&cluster, "first")?, "", "nobody schedules yet");

    let scheduler = Component::start(&cluster, "scheduler")?;
    bound(&cluster, "first")?;
    drop(scheduler);
    cluster.kubectl_with(&["create", "-f", "-"], &pod("second"))?;
    assert_eq!(node_of(&cluster, "second")?, "", "nobody schedules any more");
    let _scheduler = Component::start(&cluster, "scheduler")?;
    bound(&cluster, "second")
}

#[test]
fn controllers_and_scheduler_of_their_own_make_a_deployment() -> Result<()> {
    let cluster = Cluster::without_node(&["--without", "scheduler", "--without", "controllers"])?;
    let _controllers = Component::start(&cluster, "controllers")?;
    let _scheduler = Component::start(&cluster, "scheduler")?;
    cluster.kubectl_with(&["create", "-f", "-"], NODE)?;
    cluster.kubectl(&["patch", "node", "far", "--subresource=status", "--type=merge", "-p", STATUS])?;
    cluster.kubectl(&["create", "deployment", "web", "--image=i", "--replicas=2"])?;
    until("both pods are bound", PATIENCE, || {
        let nodes = cluster.kubectl(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}"])?;
        Ok(Look::at(nodes == "far far", || format!("their nodes are {nodes:?}")))
    })
}
