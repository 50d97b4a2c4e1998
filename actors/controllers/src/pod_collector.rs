//! Pods that nobody will end: those of nodes that are gone, deleted ones that never had a node, and ended ones beyond a limit.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cox_kit::feed::Change;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Resource};
use jiff::{SignedDuration, Timestamp};

use crate::node::{disrupted, pods_on};
use crate::pods::Pod;

/// How many ended pods are kept for people to look at.
const ENDED: usize = 12_500;
/// How long a node may be gone before its pods are: it may come back under the same name.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);

/// The controller. A restart loses since when nodes are gone: the time begins anew.
#[derive(Default)]
pub(crate) struct PodCollector {
    ended: BTreeSet<Key>,
    gone: HashMap<String, Timestamp>,
    keep: Option<usize>,
}

impl PodCollector {
    /// One that keeps another number of ended pods.
    #[cfg(test)]
    fn keeping(ended: usize) -> Self {
        PodCollector { keep: Some(ended), ..Self::default() }
    }

    /// The oldest ended pods that are too many.
    fn surplus(&self, view: View<'_>) -> Vec<Key> {
        let keep = self.keep.unwrap_or(ENDED);
        if self.ended.len() <= keep {
            return Vec::new();
        }
        // Only those that the view still has: others have been taken since.
        let pods = self.ended.iter().filter_map(|key| Some((view.at::<Pod>(key)?, key)));
        let there = pods.filter(|(pod, _)| !pod.metadata.is_deleted()).map(|(pod, key)| (pod.metadata.created(), key));
        let mut oldest: Vec<(Timestamp, &Key)> = there.collect();
        oldest.sort();
        let count = oldest.len().saturating_sub(keep);
        oldest.into_iter().take(count).map(|(_, key)| key.clone()).collect()
    }

    fn is_surplus(&self, view: View<'_>, key: &Key) -> bool {
        self.ended.contains(key) && self.surplus(view).contains(key)
    }
}

impl Reconciler for PodCollector {
    const NAME: &'static str = "pod-garbage-collector-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::PODS, Resource::NODES]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == Resource::NODES {
            let name = change.key.name();
            if change.new.is_some() {
                self.gone.remove(name);
                return Vec::new();
            }
            return pods_on(view, name).iter().map(|pod| pod.metadata.key(Resource::PODS)).collect();
        }
        let pod = view.at::<Pod>(&change.key);
        if !pod.is_some_and(|pod| pod.is_terminal() && !pod.metadata.is_deleted()) {
            self.ended.remove(&change.key);
            return vec![change.key.clone()];
        }
        self.ended.insert(change.key.clone());
        // One more may make another one too many.
        let mut keys = self.surplus(view);
        keys.push(change.key.clone());
        keys
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, now: Timestamp) -> Decision {
        let (Some(pod), Some(object)) = (view.at::<Pod>(key), view.raw(key)) else { return Decision::none() };
        let delete = Command::Delete {
            key: key.clone(),
            uid: Some(pod.metadata.uid.clone()),
            revision: None,
            grace: Some(0),
            propagation: None,
        };
        let node = pod.spec.node_name.as_str();
        if node.is_empty() {
            let stuck = pod.metadata.is_deleted();
            return if stuck || self.is_surplus(view, key) { Decision::of(vec![delete]) } else { Decision::none() };
        }
        if view.raw(&Key::new(Resource::NODES, "", node)).is_some() {
            return if self.is_surplus(view, key) { Decision::of(vec![delete]) } else { Decision::none() };
        }
        let since = *self.gone.entry(node.to_owned()).or_insert(now);
        let left = QUARANTINE - now.duration_since(since);
        if left.is_positive() {
            return Decision::none().again_in(Duration::try_from(left).unwrap_or_default(), "quarantine");
        }
        if pod.is_terminal() {
            return Decision::of(vec![delete]);
        }
        let why = "PodGC: node no longer exists";
        let patch = disrupted(&object, "DeletionByPodGC", why, Some("Failed"), now);
        Decision::of(vec![Command::Patch { key: key.clone(), subresource: "status", patch }, delete])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::Cluster;

    fn pod(name: &str, node: &str, phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node},
               "status": {"phase": phase}})
    }

    #[test]
    fn pods_go_some_time_after_their_node() {
        let (mut cluster, mut core) = (Cluster::new(), PodCollector::default());
        let node = cluster.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}));
        let pod = cluster.create(pod("p", "a", "Running"));
        cluster.settle(&mut core);
        cluster.remove(&node);
        assert_eq!(cluster.news(&mut core), std::slice::from_ref(&pod));
        assert_eq!(cluster.decide(&mut core, &pod).again.unwrap().0.as_secs(), 40);
        cluster.now += SignedDuration::from_secs(40);
        cluster.settle(&mut core);
        let pod = cluster.value(&pod);
        assert_eq!(
            (&pod["status"]["phase"], &pod["status"]["conditions"][0]["reason"]),
            (&json!("Failed"), &json!("DeletionByPodGC"))
        );
        assert!(!pod["metadata"]["deletionTimestamp"].is_null());
    }

    #[test]
    fn the_oldest_ended_pods_beyond_the_limit_go() {
        let (mut cluster, mut core) = (Cluster::new(), PodCollector::keeping(2));
        for name in ["a", "b", "c", "d"] {
            cluster.create(pod(name, "", "Succeeded"));
            cluster.now += SignedDuration::from_secs(1);
        }
        cluster.create(pod("e", "", "Running"));
        cluster.settle(&mut core);
        let left: Vec<Value> =
            cluster.list_values(&Resource::PODS).iter().map(|p| p["metadata"]["name"].clone()).collect();
        assert_eq!(left, ["c", "d", "e"]);
    }
}
