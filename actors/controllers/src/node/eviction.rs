//! Pods that do not tolerate a NoExecute taint of their node go, at once or after the time that they tolerate it.

use std::collections::HashMap;
use std::time::Duration;

use cox_kit::feed::Change;
use cox_kit::recorder::Note;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Object, Resource};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::{Node, disrupted, pods_on};
use crate::pods::Pod;

/// The controller. A restart loses since when pods tolerate a taint: the time begins anew.
#[derive(Default)]
pub(crate) struct TaintEviction {
    since: HashMap<Key, (String, Timestamp)>,
}

/// How long a pod may stay.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// As long as it likes.
    Forever,
    /// This long, from when the taint is there.
    For(SignedDuration),
}

/// How long a pod with these tolerations may stay on a node with these taints.
pub(super) fn stay(taints: &[Taint], tolerations: &[Toleration]) -> Stay {
    let mut shortest = Stay::Forever;
    for taint in taints.iter().filter(|taint| taint.effect == "NoExecute") {
        let mut tolerating = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if tolerating.peek().is_none() {
            return Stay::For(SignedDuration::ZERO);
        }
        // A toleration without a time tolerates for ever, and another one for the same taint makes that shorter.
        for seconds in tolerating.filter_map(|toleration| toleration.toleration_seconds) {
            let stay = SignedDuration::from_secs(seconds.max(0));
            shortest = match shortest {
                Stay::For(before) if before <= stay => Stay::For(before),
                _ => Stay::For(stay),
            };
        }
    }
    shortest
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (effect, key, operator) = (text(&toleration.effect), text(&toleration.key), text(&toleration.operator));
    let fits = (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key);
    let (mine, its) = (text(&toleration.value), text(&taint.value));
    fits && match operator.as_str() {
        "Exists" => true,
        "Lt" | "Gt" => match (its.parse::<i64>(), mine.parse::<i64>()) {
            (Ok(its), Ok(mine)) => (operator == "Lt" && its < mine) || (operator == "Gt" && its > mine),
            _ => false,
        },
        _ => mine == its,
    }
}

fn evicts(node: &Option<Object>) -> Vec<Taint> {
    let node = node.as_ref().and_then(|node| node.parse::<Node>().ok()).unwrap_or_default();
    node.spec.taints.into_iter().filter(|taint| taint.effect == "NoExecute").collect()
}

impl Reconciler for TaintEviction {
    const NAME: &'static str = "taint-eviction-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::NODES, Resource::PODS]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == Resource::PODS {
            return vec![change.key.clone()];
        }
        if evicts(&change.old) == evicts(&change.new) {
            return Vec::new();
        }
        pods_on(view, change.key.name()).iter().map(|pod| pod.metadata.key(Resource::PODS)).collect()
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, now: Timestamp) -> Decision {
        let pod = view.at::<Pod>(key).filter(|pod| !pod.metadata.is_deleted() && !pod.spec.node_name.is_empty());
        let (Some(pod), Some(object)) = (pod, view.raw(key)) else {
            self.since.remove(key);
            return Decision::none();
        };
        let node = view.get::<Node>("", &pod.spec.node_name);
        let taints = node.as_ref().map(|node| node.spec.taints.as_slice()).unwrap_or_default();
        let about = || pod.metadata.about("v1", "Pod");
        let Stay::For(time) = stay(taints, &pod.spec.tolerations) else {
            let waited = self.since.remove(key).is_some();
            let note =
                || Note::normal(about(), "TaintManagerEviction", format!("Cancelling deletion of Pod {}", key.path()));
            return Decision::of(waited.then(|| Command::Record(note())).into_iter().collect());
        };
        let since = self.since.entry(key.clone()).or_insert_with(|| (pod.metadata.uid.clone(), now));
        if since.0 != pod.metadata.uid {
            *since = (pod.metadata.uid.clone(), now);
        }
        let left = time - now.duration_since(since.1);
        if left.is_positive() {
            return Decision::none().again_in(Duration::try_from(left).unwrap_or_default(), "toleration");
        }
        let message = format!("Marking for deletion Pod {}", key.path());
        let why = "Taint manager: deleting due to NoExecute taint";
        let patch = disrupted(&object, "DeletionByTaintManager", why, None, now);
        Decision::of(vec![
            Command::Record(Note::normal(about(), "TaintManagerEviction", message)),
            Command::Patch { key: key.clone(), subresource: "status", patch },
            Command::delete(key.clone(), &pod.metadata.uid),
        ])
    }
}
