//! How long kubelets may keep Secrets and ConfigMaps: the larger the cluster, the longer, said in an annotation of each node.

use cox_kit::feed::Change;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Meta as Stored, Resource};
use jiff::Timestamp;
use serde_json::json;

const TTL: &str = "node.alpha.kubernetes.io/ttl";
/// Up to how many nodes, how many seconds.
const STEPS: [(usize, u32); 4] = [(100, 0), (500, 15), (1000, 30), (2000, 60)];
const LARGEST: u32 = 300;

/// The controller.
#[derive(Default)]
pub(crate) struct Ttl {
    seconds: Option<u32>,
}

impl Reconciler for Ttl {
    const NAME: &'static str = "ttl-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::NODES]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        if change.old.is_some() && change.new.is_some() {
            return vec![change.key.clone()];
        }
        let nodes = view.raw_list(&Resource::NODES, "");
        let step = STEPS.iter().find(|(most, _)| nodes.len() <= *most);
        let seconds = Some(step.map_or(LARGEST, |(_, seconds)| *seconds));
        if seconds == self.seconds {
            return vec![change.key.clone()];
        }
        self.seconds = seconds;
        nodes.into_iter().map(|(key, _)| key).collect()
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let (Some(node), Some(seconds)) = (view.raw(key), self.seconds) else { return Decision::none() };
        let wanted = seconds.to_string();
        let right = Stored::of(&node).is_ok_and(|meta| meta.annotation(TTL).as_deref() == Some(wanted.as_str()));
        if right {
            return Decision::none();
        }
        let patch = json!({"metadata": {"annotations": {TTL: wanted}}});
        Decision::of(vec![Command::Patch { key: key.clone(), subresource: "", patch }])
    }
}
