//! What users see of ReplicaSets: how many pods there are, which ones go, whose they are, and what the status says.

use cox_kit::{Command, Reconciler};
use cox_objects::{Key, Resource, Status};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::Cluster;

type Core = Replicas<ReplicaSets>;

fn web(replicas: i32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

fn pod(name: &str, label: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": label}}, "spec": {},
           "status": {"phase": "Pending"}})
}

fn pods(cluster: &Cluster) -> Vec<Value> {
    cluster.list_values(&Resource::PODS)
}

fn key_of(pod: &Value) -> Key {
    Key::new(Resource::PODS, "n", pod["metadata"]["name"].as_str().unwrap())
}

fn make_ready(cluster: &mut Cluster, pod: &Value, since: &str) {
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
    cluster.merge(&key_of(pod), &json!({"status": {"phase": "Running", "conditions": ready}}));
}

#[test]
fn pods_are_made_from_the_template_and_counted() {
    let (mut cluster, mut core) = (Cluster::new(), Core::default());
    let set = cluster.create(web(3));
    cluster.settle(&mut core);
    let made = pods(&cluster);
    assert_eq!(made.len(), 3);
    let uid = cluster.value(&set)["metadata"]["uid"].clone();
    for pod in &made {
        let metadata = &pod["metadata"];
        assert!(metadata["name"].as_str().unwrap().strip_prefix("web-").is_some_and(|end| end.len() == 5));
        assert_eq!(metadata["generateName"], "web-");
        assert_eq!(metadata["labels"], json!({"app": "web"}));
        assert_eq!(
            metadata["ownerReferences"],
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true,
                    "blockOwnerDeletion": true}])
        );
    }
    assert_eq!(
        cluster.value(&set)["status"],
        json!({"replicas": 3, "fullyLabeledReplicas": 3, "terminatingReplicas": 0, "observedGeneration": 1})
    );
    assert_eq!(cluster.notes.iter().filter(|(reason, _)| reason == "SuccessfulCreate").count(), 3);
}

#[test]
fn a_pod_is_available_only_after_it_was_ready_long_enough() {
    let (mut cluster, mut core) = (Cluster::new(), Core::default());
    let mut object = web(1);
    object["spec"]["minReadySeconds"] = json!(60);
    let set = cluster.create(object);
    cluster.settle(&mut core);
    let made = pods(&cluster);
    make_ready(&mut cluster, &made[0], "2026-11-21T11:59:30Z");
    cluster.settle(&mut core);
    assert_eq!(cluster.value(&set)["status"]["readyReplicas"], 1);
    assert_eq!(cluster.value(&set)["status"]["availableReplicas"], Value::Null);
    let again = cluster.decide(&mut core, &set).again.unwrap();
    assert_eq!(again.0.as_secs(), 30);
    cluster.now = "2026-11-21T12:00:30Z".parse().unwrap();
    cluster.settle(&mut core);
    assert_eq!(cluster.value(&set)["status"]["availableReplicas"], 1);
}

#[test]
fn orphans_are_adopted_and_strangers_released() {
    let (mut cluster, mut core) = (Cluster::new(), Core::default());
    let orphan = cluster.create(pod("orphan", "web"));
    cluster.create(pod("other", "else"));
    let set = cluster.create(web(1));
    cluster.settle(&mut core);
    assert_eq!(pods(&cluster).len(), 2);
    assert_eq!(cluster.value(&orphan)["metadata"]["ownerReferences"][0]["name"], "web");

    cluster.merge(&orphan, &json!({"metadata": {"labels": {"app": "other"}}}));
    let keys = cluster.news(&mut core);
    assert_eq!(keys, [set]);
    cluster.settle(&mut core);
    assert_eq!(cluster.value(&orphan)["metadata"].get("ownerReferences"), None);
    assert_eq!(pods(&cluster).len(), 3);
}

#[test]
fn the_least_useful_pods_go_first() {
    let (mut cluster, mut core) = (Cluster::new(), Core::default());
    let set = cluster.create(web(4));
    cluster.settle(&mut core);
    let made = pods(&cluster);
    for (pod, change) in [
        (&made[0], json!({"spec": {"nodeName": "a"}, "status": {"phase": "Running"}})),
        (&made[2], json!({"spec": {"nodeName": "a"}, "metadata": {"annotations": {DELETION_COST: "-1"}}})),
        (&made[3], json!({"spec": {"nodeName": "b"}})),
    ] {
        cluster.merge(&key_of(pod), &change);
    }
    for pod in [&made[2], &made[3]] {
        make_ready(&mut cluster, pod, "2020-01-01T00:00:00Z");
    }
    // First the one without a node, then the one that is not ready, then the cheap one.
    for (replicas, gone) in [(3, &made[1]), (2, &made[0]), (1, &made[2])] {
        cluster.merge(&set, &json!({"spec": {"replicas": replicas}}));
        cluster.settle(&mut core);
        let pod = cluster.value(&key_of(gone));
        assert!(pod.is_null() || !pod["metadata"]["deletionTimestamp"].is_null(), "{replicas}: {pod}");
        let left = pods(&cluster).iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null()).count();
        assert_eq!(left, replicas);
    }
    assert_eq!(cluster.value(&set)["status"]["terminatingReplicas"], 2);
}

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

#[test]
fn what_keeps_pods_from_being_made_is_told_and_forgotten_once_they_are() {
    let (mut cluster, mut core) = (Cluster::new(), Core::default());
    let set = cluster.create(web(9));
    cluster.start(&mut core);
    let decision = cluster.decide(&mut core, &set);
    // Slow start: the first refusal comes before many are sent.
    let first = decision.commands.iter().take_while(|c| matches!(c, Command::Create(_))).count();
    assert_eq!(first, 1);
    let refusal = Status::new(403, "Forbidden", "exceeded quota");
    let notes = core.refused(cluster.view(), &set, &decision.commands[0], &refusal);
    assert_eq!(
        (notes[0].reason.as_str(), notes[0].message.as_str()),
        ("FailedCreate", "Error creating: exceeded quota")
    );
    let mut again = cluster.decide(&mut core, &set).commands;
    again.truncate(1);
    cluster.run(again);
    let condition = cluster.value(&set)["status"]["conditions"][0].clone();
    assert_eq!(condition["type"], "ReplicaFailure");
    assert_eq!(condition["reason"], "FailedCreate");
    assert_eq!(condition["message"], "exceeded quota");
    cluster.settle(&mut core);
    assert_eq!(pods(&cluster).len(), 9);
    assert_eq!(cluster.value(&set)["status"].get("conditions"), None);
}

#[test]
fn a_replication_controller_does_the_same() {
    let (mut cluster, mut core) = (Cluster::new(), Replicas::<ReplicationControllers>::default());
    let mut object = web(2);
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("ReplicationController");
    object["spec"]["selector"] = json!({"app": "web"});
    let key = cluster.create(object);
    cluster.settle(&mut core);
    assert_eq!(pods(&cluster)[0]["metadata"]["ownerReferences"][0]["kind"], "ReplicationController");
    assert_eq!(
        cluster.value(&key)["status"],
        json!({"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1})
    );
}

#[derive(Clone, Debug)]
enum Happens {
    Scale(i32),
    Fails(usize),
    Deleted(usize),
    Ready(usize),
    Relabelled(usize),
    Stranger,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (0..12).prop_map(Happens::Scale),
        (0usize..12).prop_map(Happens::Fails),
        (0usize..12).prop_map(Happens::Deleted),
        (0usize..12).prop_map(Happens::Ready),
        (0usize..12).prop_map(Happens::Relabelled),
        Just(Happens::Stranger),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens to pods, there are as many active ones as wanted in the end, and the status counts them.
    #[test]
    fn there_are_always_as_many_as_wanted_in_the_end(story in proptest::collection::vec(happens(), 0..24)) {
        let (mut cluster, mut core) = (Cluster::new(), Core::default());
        let set = cluster.create(web(3));
        let mut wanted = 3;
        for (turn, event) in story.into_iter().enumerate() {
            let all = pods(&cluster);
            let nth = |n: usize| all.get(n % all.len().max(1)).map(key_of);
            match event {
                Happens::Scale(n) => {
                    wanted = n;
                    cluster.merge(&set, &json!({"spec": {"replicas": n}}));
                }
                Happens::Fails(n) => if let Some(key) = nth(n) {
                    cluster.merge(&key, &json!({"status": {"phase": "Failed"}}));
                },
                Happens::Deleted(n) => if let Some(key) = nth(n) { cluster.delete(&key); },
                Happens::Ready(n) => if let Some(pod) = all.get(n % all.len().max(1)) {
                    make_ready(&mut cluster, pod, "2020-01-01T00:00:00Z");
                },
                Happens::Relabelled(n) => if let Some(key) = nth(n) {
                    cluster.merge(&key, &json!({"metadata": {"labels": {"app": "x"}}}));
                },
                Happens::Stranger => drop(cluster.create(pod(&format!("stranger-{turn}"), "web"))),
            }
            if turn % 2 == 0 {
                cluster.settle(&mut core);
            }
        }
        cluster.settle(&mut core);
        let uid = cluster.value(&set)["metadata"]["uid"].clone();
        let mine: Vec<Pod> = pods(&cluster)
            .into_iter()
            .filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == uid)
            .map(|pod| serde_json::from_value(pod).unwrap())
            .collect();
        let active: Vec<&Pod> = mine.iter().filter(|pod| pod.is_active()).collect();
        prop_assert_eq!(active.len(), usize::try_from(wanted).unwrap());
        prop_assert!(active.iter().all(|pod| pod.metadata.labels["app"] == "web"));
        let status = &cluster.value(&set)["status"];
        prop_assert_eq!(&status["replicas"], &json!(wanted));
        let ready = active.iter().filter(|pod| pod.is_ready()).count();
        prop_assert_eq!(status["readyReplicas"].as_u64().unwrap_or(0), ready as u64);
    }
}
