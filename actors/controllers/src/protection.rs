//! Volumes and claims are not taken from who uses them: their finalizer goes when they are being deleted and nobody does.
//!
//! The apiserver gives the finalizers when it admits them; without these controllers a deletion would never end.

use cox_kit::feed::Change;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Object, Resource};
use jiff::Timestamp;
use serde_json::{Value, json};

const CLAIMS: Resource = Resource::from_static("persistentvolumeclaims");
const VOLUMES: Resource = Resource::from_static("persistentvolumes");

/// Lets go of claims that no pod uses.
#[derive(Default)]
pub(crate) struct Claims;

impl Reconciler for Claims {
    const NAME: &'static str = "pvc-protection-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![CLAIMS, Resource::PODS]
    }

    fn keys(&mut self, _: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == CLAIMS {
            return vec![change.key.clone()];
        }
        // Most pods have no claims, and looking for the words is much cheaper than parsing.
        let versions = [&change.old, &change.new].into_iter().flatten().filter(|pod| may_claim(pod)).map(Object::value);
        let mut names: Vec<String> = versions.flat_map(|pod| claims(&pod, false)).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(|name| Key::new(CLAIMS, change.key.namespace(), &name)).collect()
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let Some(released) = released(view, key, "kubernetes.io/pvc-protection") else { return Decision::none() };
        let mut pods = view.raw_list(&Resource::PODS, key.namespace()).into_iter();
        let is_used = pods.any(|(_, pod)| claims(&pod.value(), true).iter().any(|name| name == key.name()));
        Decision::of((!is_used).then_some(released).into_iter().collect())
    }
}

/// Lets go of volumes that are bound to no claim.
#[derive(Default)]
pub(crate) struct Volumes;

impl Reconciler for Volumes {
    const NAME: &'static str = "pv-protection-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![VOLUMES]
    }

    fn keys(&mut self, _: View<'_>, change: &Change) -> Vec<Key> {
        vec![change.key.clone()]
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let bound = |volume: Object| volume.value().pointer("/status/phase") == Some(&json!("Bound"));
        if view.raw(key).is_none_or(bound) {
            return Decision::none();
        }
        Decision::of(released(view, key, "kubernetes.io/pv-protection").into_iter().collect())
    }
}

/// The write that takes a finalizer from an object that is being deleted; none if there is nothing to take.
fn released(view: View<'_>, key: &Key, finalizer: &str) -> Option<Command> {
    let mut object = view.raw(key)?.value();
    object.pointer("/metadata/deletionTimestamp")?;
    let finalizers = object.pointer_mut("/metadata/finalizers")?.as_array_mut()?;
    let before = finalizers.len();
    finalizers.retain(|name| name != finalizer);
    (finalizers.len() < before).then(|| Command::Update { key: key.clone(), subresource: "", object })
}

/// Whether there may be a volume with a claim in a pod.
fn may_claim(pod: &Object) -> bool {
    let text = std::str::from_utf8(pod.bytes()).unwrap_or_default();
    text.contains("\"persistentVolumeClaim\"") || text.contains("\"ephemeral\"")
}

/// The claims that a pod names; with `in_use`, those that it may use: a kubelet starts no pod whose claim is being deleted, so one without a
/// node never will, and the claims that were made for a pod's own volumes are let go once it has ended.
fn claims(pod: &Value, in_use: bool) -> Vec<String> {
    let has_node = pod.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty());
    if in_use && !has_node {
        return Vec::new();
    }
    let has_ended = pod.pointer("/metadata/deletionTimestamp").is_some()
        && pod.pointer("/metadata/deletionGracePeriodSeconds") == Some(&json!(0));
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let claim = |volume: &Value| {
        let named = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str).map(str::to_owned);
        let own = || {
            volume.get("ephemeral").filter(|_| !(in_use && has_ended))?;
            let text = |at: Option<&Value>| at.and_then(Value::as_str).map(str::to_owned);
            Some(format!("{}-{}", text(pod.pointer("/metadata/name"))?, text(volume.get("name"))?))
        };
        named.or_else(own)
    };
    volumes.filter_map(claim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cluster;

    fn claim(cluster: &mut Cluster) -> Key {
        cluster.create(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "c", "namespace": "n", "finalizers": ["kubernetes.io/pvc-protection", "mine"]},
        }))
    }

    fn pod(cluster: &mut Cluster, node: &str, volume: Value) -> Key {
        cluster.create(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"nodeName": node, "volumes": [volume]},
        }))
    }

    fn delete(cluster: &mut Cluster, key: &Key) {
        cluster.merge(key, &json!({"metadata": {"deletionTimestamp": "2026-11-21T12:00:00Z"}}));
    }

    fn finalizers(cluster: &Cluster, key: &Key) -> Value {
        cluster.value(key)["metadata"]["finalizers"].clone()
    }

    #[test]
    fn a_claim_stays_while_a_pod_uses_it() {
        let mut cluster = Cluster::new();
        let key = claim(&mut cluster);
        let user = pod(&mut cluster, "n1", json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}));
        cluster.settle(&mut Claims);
        delete(&mut cluster, &key);
        cluster.settle(&mut Claims);
        assert_eq!(finalizers(&cluster, &key), json!(["kubernetes.io/pvc-protection", "mine"]));
        cluster.remove(&user);
        cluster.settle(&mut Claims);
        assert_eq!(finalizers(&cluster, &key), json!(["mine"]), "the end of the pod is noticed");
    }

    #[test]
    fn a_pod_without_a_node_uses_no_claim() {
        let mut cluster = Cluster::new();
        let key = claim(&mut cluster);
        pod(&mut cluster, "", json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}}));
        cluster.settle(&mut Claims);
        assert_eq!(finalizers(&cluster, &key), json!(["kubernetes.io/pvc-protection", "mine"]), "it is not deleted");
        delete(&mut cluster, &key);
        cluster.settle(&mut Claims);
        assert_eq!(finalizers(&cluster, &key), json!(["mine"]));
    }

    #[test]
    fn a_pod_uses_the_claims_made_for_it_until_it_has_ended() {
        let pod = |grace: u32| {
            json!({
                "metadata": {"name": "p", "deletionTimestamp": "2026-11-21T12:00:00Z", "deletionGracePeriodSeconds": grace},
                "spec": {"nodeName": "n1", "volumes": [{"name": "v", "ephemeral": {}}, {"name": "w", "emptyDir": {}}]},
            })
        };
        assert_eq!(claims(&pod(30), true), ["p-v"]);
        assert!(claims(&pod(0), true).is_empty());
        assert_eq!(claims(&pod(0), false), ["p-v"], "its end concerns the claim");
    }

    #[test]
    fn a_volume_stays_while_it_is_bound() {
        let mut cluster = Cluster::new();
        let key = cluster.create(json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "status": {"phase": "Bound"},
            "metadata": {"name": "v", "finalizers": ["kubernetes.io/pv-protection", "mine"]},
        }));
        delete(&mut cluster, &key);
        cluster.settle(&mut Volumes);
        assert_eq!(finalizers(&cluster, &key), json!(["kubernetes.io/pv-protection", "mine"]));
        cluster.merge(&key, &json!({"status": {"phase": "Released"}}));
        cluster.settle(&mut Volumes);
        assert_eq!(finalizers(&cluster, &key), json!(["mine"]));
    }
}
