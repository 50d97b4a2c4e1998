//! The whole scheduler with a real apiserver, log, mirror and nats-server: pods are bound, and told why if not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use cox_bus::{Bus, Identity};
use cox_kit::{Registry, Running};
use cox_mirror::Mirror;
use cox_objects::{Key, Resource, Source, kinds};
use cox_scheduler::{DECISIONS, Deps};
use cox_test_support::{Core, deadline};
use serde_json::{Value, json};

struct Cluster {
    core: Core,
    ops: Bus,
    scheduler: Running,
}

async fn start(dir: &Path) -> Cluster {
    let core = Core::start(dir, &[]).await;
    let (bus, kinds) = (core.connect(Identity::Scheduler).await, Arc::new(kinds::builtin()));
    let deps =
        Deps { bus, kinds, feed: core.mirror.clone(), holder: "test_1".to_owned(), metrics: Registry::default() };
    let scheduler = cox_scheduler::start(deps).await.unwrap();
    let ops = core.connect(Identity::Ops).await;
    Cluster { core, ops, scheduler }
}

impl Cluster {
    async fn node(&self, name: &str) {
        let amounts = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        let status = json!({"capacity": amounts, "allocatable": amounts});
        self.core.create("nodes", "", &json!({"metadata": {"name": name}, "status": status})).await;
    }

    async fn pod(&self, name: &str, cpu: &str) {
        let container = json!({"name": "c", "image": "nginx", "resources": {"requests": {"cpu": cpu}}});
        // New nodes are tainted as not ready until a controller, which is not here, has looked at them.
        let anywhere = json!([{"operator": "Exists"}]);
        let spec = json!({"containers": [container], "tolerations": anywhere, "automountServiceAccountToken": false});
        self.core.create("pods", "default", &json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    async fn until(&self, what: &str, holds: impl FnMut(&Mirror) -> bool) {
        self.core.until(what, holds).await;
    }

    fn get(mirror: &Mirror, pod: &str) -> Value {
        let key = Key::new(Resource::PODS, "default", pod);
        Source::get(mirror, &key).map_or(Value::Null, |object| object.value())
    }

    async fn stop(self) {
        self.scheduler.stop().await;
        drop(self.ops);
        self.core.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_bound_and_told_why_if_not() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    cluster.node("n1").await;
    cluster.pod("fits", "1").await;
    cluster.pod("large", "5").await;
    cluster
        .until("the binding", |mirror| Cluster::get(mirror, "fits").pointer("/spec/nodeName") == Some(&json!("n1")))
        .await;
    let bound = Cluster::get(&cluster.core.mirror, "fits");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(bound["status"]["conditions"][0]["status"], "True");

    cluster
        .until("the condition", |mirror| Cluster::get(mirror, "large").pointer("/status/conditions/0").is_some())
        .await;
    let large = Cluster::get(&cluster.core.mirror, "large");
    let condition = &large["status"]["conditions"][0];
    let message = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
                   available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(
        (&condition["status"], &condition["reason"], &condition["message"], &condition["observedGeneration"]),
        (&json!("False"), &json!("Unschedulable"), &json!(message), &json!(1)),
    );

    let event = |mirror: &Mirror, pod: &str, reason: &str, message: &str| {
        let events = Source::list(mirror, &Resource::EVENTS, "default");
        events.iter().map(|(_, event)| event.value()).any(|event| {
            event["involvedObject"]["name"] == pod && event["reason"] == reason && event["message"] == message
        })
    };
    let said = "Successfully assigned default/fits to n1";
    cluster.until("the event of the bound pod", |mirror| event(mirror, "fits", "Scheduled", said)).await;
    cluster.until("the event of the other", |mirror| event(mirror, "large", "FailedScheduling", message)).await;

    let subject = cluster.ops.subjects().ctl(&Identity::Scheduler, DECISIONS);
    let question = json!({"namespace": "default", "name": "fits"});
    let why: Value = cluster.ops.request_json(&subject, &question, deadline()).await.unwrap();
    assert_eq!((&why[0]["outcome"], &why[0]["attempt"]), (&json!({"node": "n1"}), &json!(1)), "{why}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods_are_bound_and_no_node_gets_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    for name in ["n1", "n2", "n3"] {
        cluster.node(name).await;
    }
    // There is room for 120 of them, 40 on each node.
    let names: Vec<String> = (0..130).map(|i| format!("p{i}")).collect();
    futures::future::join_all(names.iter().map(|name| cluster.pod(name, "100m"))).await;
    let on = |mirror: &Mirror, node: Option<&str>| {
        names
            .iter()
            .filter(|name| Cluster::get(mirror, name).pointer("/spec/nodeName").and_then(Value::as_str) == node)
            .count()
    };
    let told = |mirror: &Mirror| {
        let told = |name: &&String| Cluster::get(mirror, name).pointer("/status/conditions/0/message").is_some();
        names.iter().filter(told).count()
    };
    cluster.until("all decided", |mirror| on(mirror, None) == 10 && told(mirror) == 10).await;
    assert_eq!(["n1", "n2", "n3"].map(|node| on(&cluster.core.mirror, Some(node))), [40, 40, 40]);
    cluster.stop().await;
}
