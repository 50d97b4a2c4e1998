//! Rollouts as users see them: which sets there are, how many pods each has at each moment, and what the status says of it.

use cox_kit::Reconciler;
use cox_objects::{Key, Resource};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Deployments;
use crate::replicas::{ReplicaSets, Replicas};
use crate::testing::Cluster;

fn web(replicas: i32, strategy: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "annotations": {
            "note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "strategy": strategy,
            "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "template": template("a")}})
}

fn template(version: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web", "v": version}}, "spec": {"containers": [{"name": "c", "image": version}]}})
}

fn rolling(surge: Value, unavailable: Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

/// A cluster with the controllers of Deployments and of ReplicaSets, whose pods become ready when told to.
struct World {
    cluster: Cluster,
    deployments: Deployments,
    sets: Replicas<ReplicaSets>,
    deployment: Key,
}

impl World {
    fn new(deployment: Value) -> Self {
        let mut cluster = Cluster::new();
        let deployment = cluster.create(deployment);
        World { cluster, deployments: Deployments, sets: Replicas::default(), deployment }
    }

    /// Lets both controllers work until neither has anything to do.
    fn settle(&mut self) {
        for _ in 0..50 {
            let before = cox_objects::Source::revision(&self.cluster);
            self.cluster.settle(&mut self.deployments);
            self.cluster.settle(&mut self.sets);
            if cox_objects::Source::revision(&self.cluster) == before {
                return;
            }
        }
        panic!("the controllers do not come to an end");
    }

    fn pods(&self) -> Vec<Value> {
        self.cluster.list_values(&Resource::PODS)
    }

    fn make_ready(&mut self, pod: &Value) {
        let key = Key::new(Resource::PODS, "n", pod["metadata"]["name"].as_str().unwrap());
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]);
        self.cluster.merge(&key, &json!({"status": {"phase": "Running", "conditions": ready}}));
    }

    fn roll_out(&mut self) {
        for _ in 0..50 {
            self.settle();
            let all = self.pods();
            let Some(pod) = all.iter().find(|pod| !is_ready(pod)) else { return };
            self.make_ready(pod);
        }
        panic!("the rollout does not come to an end");
    }

    fn change(&mut self, spec: &Value) {
        self.cluster.merge(&self.deployment, &json!({"spec": spec}));
    }

    fn status(&self) -> Value {
        self.cluster.value(&self.deployment)["status"].clone()
    }

    fn set(&self, version: &str) -> Value {
        let of = |set: &Value| set["spec"]["template"]["metadata"]["labels"]["v"] == version;
        self.cluster.list_values(&Resource::REPLICASETS).into_iter().find(of).unwrap_or_default()
    }

    fn sizes(&self) -> (i64, i64) {
        let size = |version| self.set(version)["spec"]["replicas"].as_i64().unwrap_or(-1);
        (size("a"), size("b"))
    }
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"][0]["status"] == "True"
}

#[test]
fn a_first_rollout_makes_a_set_and_becomes_complete() {
    let mut world = World::new(web(2, rolling(json!("25%"), json!("25%"))));
    world.settle();
    let set = world.set("a");
    let hash = set["metadata"]["labels"]["pod-template-hash"].as_str().unwrap().to_owned();
    assert_eq!(set["metadata"]["name"], format!("web-{hash}"));
    assert_eq!(set["spec"]["selector"]["matchLabels"], json!({"app": "web", "pod-template-hash": hash}));
    assert_eq!(
        set["metadata"]["annotations"],
        json!({"deployment.kubernetes.io/desired-replicas": "2", "deployment.kubernetes.io/max-replicas": "3",
               "deployment.kubernetes.io/revision": "1", "note": "x"})
    );
    let mut status = world.status();
    let conditions = status.as_object_mut().unwrap().remove("conditions").unwrap();
    assert_eq!(
        status,
        json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "unavailableReplicas": 2,
               "terminatingReplicas": 0})
    );
    assert_eq!(conditions[0]["reason"], "MinimumReplicasUnavailable");
    assert_eq!(conditions[1]["message"], format!("ReplicaSet \"web-{hash}\" is progressing."));

    world.roll_out();
    let status = world.status();
    assert_eq!(status["availableReplicas"], 2);
    assert_eq!(status.get("unavailableReplicas"), None);
    assert_eq!(status["conditions"][0]["reason"], "MinimumReplicasAvailable");
    assert_eq!(status["conditions"][1]["message"], format!("ReplicaSet \"web-{hash}\" has successfully progressed."));
    let scaled: Vec<_> = world.cluster.notes.iter().filter(|(reason, _)| reason == "ScalingReplicaSet").collect();
    assert_eq!(scaled.len(), 1);
    assert_eq!(scaled[0].1, format!("Scaled up replica set web-{hash} from 0 to 2"));
    let annotations = &world.cluster.value(&world.deployment)["metadata"]["annotations"];
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "1");
}

#[test]
fn a_surge_waits_for_its_new_pod() {
    let mut world = World::new(web(2, rolling(json!(1), json!(0))));
    world.roll_out();
    world.change(&json!({"template": template("b")}));
    world.settle();
    assert_eq!(world.sizes(), (2, 1));
    let new = world.pods().into_iter().find(|pod| !is_ready(pod)).unwrap();
    world.make_ready(&new);
    world.settle();
    assert_eq!(world.sizes(), (1, 2));
    world.roll_out();
    assert_eq!(world.sizes(), (0, 2));
    assert_eq!(world.status()["conditions"][1]["reason"], "NewReplicaSetAvailable");
}

#[test]
fn going_back_brings_the_old_set_back_under_a_new_revision() {
    let mut world = World::new(web(1, json!({"type": "Recreate"})));
    world.roll_out();
    world.change(&json!({"template": template("b")}));
    world.roll_out();
    world.change(&json!({"template": template("a")}));
    world.roll_out();
    assert_eq!(world.sizes(), (1, 0));
    let annotations = world.set("a")["metadata"]["annotations"].clone();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(annotations["deployment.kubernetes.io/max-replicas"], "1");
}

#[test]
fn recreation_waits_until_the_last_old_pod_has_ended() {
    let mut world = World::new(web(1, json!({"type": "Recreate"})));
    world.roll_out();
    let pod = world.pods().remove(0);
    let key = Key::new(Resource::PODS, "n", pod["metadata"]["name"].as_str().unwrap());
    world.cluster.merge(&key, &json!({"spec": {"nodeName": "node"}}));
    world.change(&json!({"template": template("b")}));
    world.settle();
    assert_eq!(world.sizes(), (0, -1));
    world.cluster.remove(&key);
    let keys = world.cluster.news(&mut world.deployments);
    assert!(keys.contains(&world.deployment), "the end of a pod is noticed");
    world.settle();
    assert_eq!(world.sizes(), (0, 1));
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_shared() {
    let mut world = World::new(web(4, rolling(json!(2), json!(0))));
    world.roll_out();
    world.change(&json!({"template": template("b")}));
    world.settle();
    assert_eq!(world.sizes(), (4, 2));
    world.change(&json!({"replicas": 8}));
    world.settle();
    assert_eq!(world.sizes(), (7, 3));
}

#[test]
fn a_paused_deployment_scales_and_does_not_roll_out() {
    let mut world = World::new(web(1, rolling(json!("25%"), json!("25%"))));
    world.settle();
    world.change(&json!({"paused": true, "template": template("b")}));
    world.change(&json!({"replicas": 3}));
    world.settle();
    assert_eq!(world.sizes(), (3, -1));
    let conditions = world.status()["conditions"].clone();
    let paused = conditions.as_array().unwrap().iter().find(|c| c["type"] == "Progressing").unwrap();
    assert_eq!((paused["status"].as_str(), paused["reason"].as_str()), (Some("Unknown"), Some("DeploymentPaused")));
    world.change(&json!({"paused": false}));
    world.roll_out();
    assert_eq!(world.sizes(), (0, 3));
}

#[test]
fn revisions_beyond_the_limit_go() {
    let mut world = World::new(web(0, rolling(json!(1), json!(0))));
    world.change(&json!({"revisionHistoryLimit": 1}));
    for version in ["a", "b", "c"] {
        world.change(&json!({"template": template(version)}));
        world.settle();
    }
    assert!(world.set("a").is_null());
    assert!(!world.set("b").is_null() && !world.set("c").is_null());
}

#[test]
fn a_rollout_that_stands_still_is_told() {
    let mut world = World::new(web(1, rolling(json!(1), json!(0))));
    world.settle();
    let again = world.cluster.decide(&mut world.deployments, &world.deployment).again.unwrap();
    assert_eq!(again.0.as_secs(), 601);
    world.cluster.now = "2026-11-21T12:10:01Z".parse().unwrap();
    world.settle();
    let condition = world.status()["conditions"][1].clone();
    assert_eq!(
        (condition["status"].as_str(), condition["reason"].as_str()),
        (Some("False"), Some("ProgressDeadlineExceeded"))
    );
    assert!(world.cluster.decide(&mut world.deployments, &world.deployment).again.is_none());
}

#[test]
fn a_set_of_the_same_template_is_adopted_and_one_of_the_same_name_avoided() {
    let mut world = World::new(web(1, rolling(json!(1), json!(0))));
    world.settle();
    let set = world.set("a");
    let key = Key::new(Resource::REPLICASETS, "n", set["metadata"]["name"].as_str().unwrap());
    world.cluster.merge(&key, &json!({"metadata": {"ownerReferences": null}}));
    world.settle();
    assert_eq!(world.set("a")["metadata"]["ownerReferences"][0]["name"], "web");
    // The same name, but another template, and nobody's that it selects.
    let strange =
        json!({"metadata": {"ownerReferences": null, "labels": null}, "spec": {"template": {"spec": {"x": 1}}}});
    world.cluster.merge(&key, &strange);
    world.settle();
    assert_eq!(world.status()["collisionCount"], 1);
    assert_eq!(world.cluster.list_values(&Resource::REPLICASETS).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever the bounds and the order in which pods become ready: no moment has too many pods, or too few that are available.
    #[test]
    fn a_rolling_update_keeps_its_bounds(
        replicas in 1i32..9, surge in 0i32..4, unavailable in 0i32..4, order in proptest::collection::vec(0usize..64, 40)
    ) {
        let mut world = World::new(web(replicas, rolling(json!(surge), json!(unavailable))));
        world.roll_out();
        world.change(&json!({"template": template("b")}));
        let (most, least) = match (surge, unavailable) {
            (0, 0) => (replicas, replicas - 1),
            _ => (replicas + surge, (replicas - unavailable).max(0)),
        };
        let mut order = order.into_iter();
        for _ in 0..100 {
            let keys = world.cluster.start(&mut world.deployments);
            let sets = world.cluster.start(&mut world.sets);
            let before = cox_objects::Source::revision(&world.cluster);
            // The controllers take turns, so that each sees the other's work half done.
            for key in &keys {
                let commands = world.deployments.reconcile(world.cluster.view(), key, world.cluster.now).commands;
                world.cluster.run(commands);
            }
            for key in &sets {
                let commands = world.sets.reconcile(world.cluster.view(), key, world.cluster.now).commands;
                world.cluster.run(commands);
                let pods = world.pods();
                let ready = pods.iter().filter(|pod| is_ready(pod)).count();
                prop_assert!(pods.len() <= usize::try_from(most).unwrap(), "{} pods, {most} allowed", pods.len());
                prop_assert!(ready >= usize::try_from(least).unwrap(), "{ready} available, {least} needed");
            }
            if cox_objects::Source::revision(&world.cluster) == before {
                let waiting: Vec<Value> = world.pods().into_iter().filter(|pod| !is_ready(pod)).collect();
                if waiting.is_empty() {
                    break;
                }
                let next = order.next().unwrap_or(0) % waiting.len();
                world.make_ready(&waiting[next]);
            }
        }
        prop_assert_eq!(world.sizes(), (0, i64::from(replicas)));
        prop_assert_eq!(&world.status()["availableReplicas"], &json!(replicas));
    }
}
