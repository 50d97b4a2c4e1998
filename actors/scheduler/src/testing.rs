//! Short ways to make pods and nodes, and a small world in which the planner's steps come true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_kit::Reason;
use cox_objects::{Key, Resource};
use serde_json::{Value, json};

use crate::commands::SCHEDULER;
use crate::intake::Fact;
use crate::node::Node;
use crate::planner::{Attempt, Planner, Step};
use crate::pod::Pod;
use crate::snapshot::Snapshot;

/// A node of 4 CPUs, 8 GiB and 110 pods, with its own name as host name; `more` is merged into it.
pub(crate) fn node(name: &str, more: Value) -> Node {
    let mut object = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "20Gi"}},
    });
    merge(&mut object, more);
    Node::read(&serde_json::from_value(object).unwrap())
}

/// The JSON of a pod with one container in namespace `ns`; `spec` is merged into its spec.
pub(crate) fn manifest(name: &str, spec: Value) -> Value {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"schedulerName": SCHEDULER, "containers": [{"name": "c", "image": "nginx"}]},
        "status": {"phase": "Pending"},
    });
    merge(&mut object, json!({"spec": spec}));
    object
}

/// The same, read.
pub(crate) fn pod(name: &str, spec: Value) -> Pod {
    read(&manifest(name, spec))
}

/// The same with labels.
pub(crate) fn labelled(name: &str, labels: Value, spec: Value) -> Pod {
    let mut object = manifest(name, spec);
    merge(&mut object, json!({"metadata": {"labels": labels}}));
    read(&object)
}

/// A spec whose container asks for this.
pub(crate) fn asks(cpu: &str, memory: &str) -> Value {
    json!({"containers": [{"name": "c", "image": "nginx", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]})
}

pub(crate) fn read(object: &Value) -> Pod {
    Pod::read(&serde_json::from_value(object.clone()).unwrap())
}

/// Merges as a JSON merge patch does.
pub(crate) fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                match value {
                    Value::Null => drop(into.remove(&name)),
                    value => merge(into.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (into, patch) => *into = patch,
    }
}

/// A snapshot of nodes without pods.
pub(crate) fn nodes(list: impl IntoIterator<Item = Node>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    list.into_iter().for_each(|node| snapshot.set_node(node));
    snapshot
}

/// Puts a pod on a node.
pub(crate) fn put(snapshot: &mut Snapshot, node: &str, pod: Pod) {
    snapshot.put(Arc::new(pod), &node.into());
}

impl Planner {
    /// The next step, if a pod is to be tried now.
    pub(crate) fn next(&mut self, now: Duration, tie_break: u64) -> Option<Attempt> {
        let turn = self.take(now)?;
        let decided = self.decide(&turn, tie_break);
        Some(self.go(turn, decided, now))
    }
}

/// A cluster: what the planner decides happens at once.
pub(crate) struct World {
    pub(crate) planner: Planner,
    pub(crate) now: Duration,
    objects: BTreeMap<String, Value>,
    /// What was told of each pod last.
    pub(crate) told: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn new(nodes: impl IntoIterator<Item = Node>) -> Self {
        let planner = Planner::new(SCHEDULER);
        let mut world = World { planner, now: Duration::ZERO, objects: BTreeMap::new(), told: BTreeMap::new() };
        nodes.into_iter().for_each(|node| world.node(node));
        world
    }

    pub(crate) fn node(&mut self, node: Node) {
        self.fact(Fact::Node(Box::new(node)));
    }

    pub(crate) fn fact(&mut self, fact: Fact) {
        self.planner.take_in(fact, &Reason::timer("test"), self.now);
    }

    /// A pod is created or changed; then all happens that can.
    pub(crate) fn pod(&mut self, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.fact(Fact::Pod(Box::new(read(&object))));
        self.objects.insert(name, object);
        self.run();
    }

    /// A change of a pod.
    pub(crate) fn patch(&mut self, name: &str, patch: Value) {
        let mut object = self.objects[name].clone();
        merge(&mut object, patch);
        self.pod(object);
    }

    /// A pod is deleted and gone.
    pub(crate) fn delete(&mut self, name: &str) {
        self.objects.remove(name);
        self.fact(Fact::PodGone(key(name)));
        self.run();
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.run();
    }

    pub(crate) fn run(&mut self) {
        while let Some(attempt) = self.planner.next(self.now, 0) {
            match attempt.step {
                Step::Bind { pod, node } => {
                    self.told.remove(pod.key.name());
                    let object = self.objects.get_mut(pod.key.name()).unwrap();
                    merge(object, json!({"spec": {"nodeName": &*node}, "status": {"nominatedNodeName": null}}));
                    let bound = read(object);
                    self.fact(Fact::Pod(Box::new(bound)));
                }
                Step::Tell { pod, message, nominate, victims } => {
                    self.told.insert(pod.key.name().to_owned(), message);
                    for victim in victims {
                        self.change(
                            victim.key.name(),
                            json!({"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}}),
                        );
                    }
                    if let Some(node) = nominate {
                        let node = node.map_or(Value::Null, |node| (&*node).into());
                        self.change(pod.key.name(), json!({"status": {"nominatedNodeName": node}}));
                    }
                }
            }
        }
    }

    fn change(&mut self, name: &str, patch: Value) {
        let object = self.objects.get_mut(name).unwrap();
        merge(object, patch);
        let pod = read(object);
        self.fact(Fact::Pod(Box::new(pod)));
    }

    /// The node of a pod.
    pub(crate) fn at(&self, name: &str) -> Option<&str> {
        self.objects.get(name)?.pointer("/spec/nodeName")?.as_str()
    }

    /// Where room is made for a pod.
    pub(crate) fn nominated(&self, name: &str) -> Option<&str> {
        self.objects.get(name)?.pointer("/status/nominatedNodeName")?.as_str()
    }

    pub(crate) fn is_going(&self, name: &str) -> bool {
        self.objects.get(name).is_some_and(|object| object.pointer("/metadata/deletionTimestamp").is_some())
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(Resource::PODS, "ns", name)
}
