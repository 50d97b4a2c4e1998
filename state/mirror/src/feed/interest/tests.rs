//! What reaches a node, and in which order.

use cox_objects::{Cause, Change as Kind, Object};
use serde_json::json;

use super::*;
use crate::state::State;
use crate::testing::{at, event, object};
use crate::{Change, Limits};

fn pod(node: &str, secret: &str, revision: Revision) -> Object {
    let spec = json!({"nodeName": node, "serviceAccountName": "default",
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [
            {"name": "v", "secret": {"secretName": secret}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {}}, {"configMap": {"name": "kube-root-ca.crt"}}]}}],
        "initContainers": [{"envFrom": [{"configMapRef": {"name": "env"}}]}],
        "containers": [{"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}]}]});
    object(&json!({"kind": "Pod", "apiVersion": "v1", "metadata": {}, "spec": spec}), revision)
}

fn plain(kind: &str, revision: Revision) -> Object {
    object(&json!({"kind": kind, "apiVersion": "v1", "metadata": {}}), revision)
}

struct Cluster {
    state: State,
    revision: Revision,
}

impl Cluster {
    fn new() -> Self {
        let mut state = State::new(Limits::default());
        state.reset(at(0), []);
        Cluster { state, revision: 0 }
    }

    /// Changes an object and returns the change.
    fn put(&mut self, key: &Key, make: impl FnOnce(Revision) -> Option<Object>) -> Change {
        self.revision += 1;
        let old = self.state.get(key);
        let new = make(self.revision);
        let (kind, shown) = match (&old, &new) {
            (_, None) => (Kind::Deleted, old.clone().unwrap()),
            (None, Some(new)) => (Kind::Added, new.clone()),
            (Some(_), Some(new)) => (Kind::Modified, new.clone()),
        };
        self.state.offer(event(self.revision, (self.revision, self.revision), key.clone(), kind, shown)).unwrap();
        Change { key: key.clone(), old, new, position: at(self.revision), cause: Cause::default().into() }
    }
}

fn key(resource: Resource, name: &str) -> Key {
    Key::new(resource, "ns", name)
}

fn told(puts: &[Put]) -> Vec<String> {
    puts.iter().map(|put| format!("{}{}", if put.object.is_some() { "+" } else { "-" }, put.key)).collect()
}

const NAMED: [&str; 7] = [
    "+configmaps/ns/env",
    "+configmaps/ns/kube-root-ca.crt",
    "+namespaces/ns",
    "+secrets/ns/key",
    "+secrets/ns/pull",
    "+secrets/ns/s1",
    "+serviceaccounts/ns/default",
];

/// A cluster with everything that the pods name, and things that nobody names.
fn filled() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.put(&Key::new(Resource::NAMESPACES, "", "ns"), |r| Some(plain("Namespace", r)));
    cluster.put(&Key::new(Resource::NAMESPACES, "", "other"), |r| Some(plain("Namespace", r)));
    for name in ["env", "kube-root-ca.crt", "unnamed"] {
        cluster.put(&key(Resource::CONFIGMAPS, name), |r| Some(plain("ConfigMap", r)));
    }
    for name in ["s1", "s2", "pull", "key", "unnamed"] {
        cluster.put(&key(Resource::SECRETS, name), |r| Some(plain("Secret", r)));
    }
    cluster.put(&key(Resource::SERVICEACCOUNTS, "default"), |r| Some(plain("ServiceAccount", r)));
    for node in ["n1", "n2"] {
        cluster.put(&Key::new(Resource::NODES, "", node), |r| Some(plain("Node", r)));
        cluster.put(&Key::new(Resource::LEASES, "kube-node-lease", node), |r| Some(plain("Lease", r)));
    }
    cluster.put(&key(Resource::SERVICES, "web"), |r| Some(plain("Service", r)));
    cluster
}

#[test]
fn the_whole_set_is_what_concerns_the_node() {
    let mut cluster = filled();
    cluster.put(&key(Resource::PODS, "p"), |r| Some(pod("n1", "s1", r)));
    cluster.put(&key(Resource::PODS, "q"), |r| Some(pod("n2", "s2", r)));
    cluster.put(&key(Resource::ENDPOINTSLICES, "web-1"), |r| Some(plain("EndpointSlice", r)));
    let pods = [key(Resource::PODS, "p"), key(Resource::PODS, "q")];
    let whole = told(&Interest::new("n1", Scope::Kubelet).whole(&cluster.state, &pods));
    let own = ["+nodes/n1", "+services/ns/web"];
    let expected: Vec<&str> = own.into_iter().chain(NAMED).chain(["+pods/ns/p"]).collect();
    assert_eq!(whole, expected);
    let network = told(&Interest::new("n1", Scope::Proxy).whole(&cluster.state, &pods));
    let slices = "+endpointslices.discovery.k8s.io/ns/web-1";
    assert_eq!(network, ["+nodes/n1", "+services/ns/web", slices], "a proxy is shown no Secret");
}

#[test]
fn what_a_pod_names_comes_before_it_and_goes_after_it() {
    let mut cluster = filled();
    let mut interest = Interest::new("n1", Scope::Kubelet);
    interest.whole(&cluster.state, []);
    let place = key(Resource::PODS, "p");
    let mut take = |cluster: &mut Cluster, key: &Key, make: &dyn Fn(Revision) -> Option<Object>| {
        let change = cluster.put(key, make);
        told(&interest.take(&change, &cluster.state))
    };
    assert!(take(&mut cluster, &place, &|r| Some(pod("", "s1", r))).is_empty(), "not bound yet");
    let bound = take(&mut cluster, &place, &|r| Some(pod("n1", "s1", r)));
    assert_eq!(bound, NAMED.into_iter().chain(["+pods/ns/p"]).collect::<Vec<_>>());
    let secret = key(Resource::SECRETS, "s1");
    assert_eq!(take(&mut cluster, &secret, &|r| Some(plain("Secret", r))), ["+secrets/ns/s1"]);
    assert_eq!(take(&mut cluster, &secret, &|_| None), ["-secrets/ns/s1"]);
    assert_eq!(take(&mut cluster, &secret, &|r| Some(plain("Secret", r))), ["+secrets/ns/s1"]);
    assert!(take(&mut cluster, &key(Resource::SECRETS, "unnamed"), &|r| Some(plain("Secret", r))).is_empty());
    let renamed = take(&mut cluster, &place, &|r| Some(pod("n1", "s2", r)));
    assert_eq!(renamed, ["+secrets/ns/s2", "+pods/ns/p", "-secrets/ns/s1"]);
    // A second pod names the same: they stay until the last one is gone.
    let second = key(Resource::PODS, "q");
    assert_eq!(take(&mut cluster, &second, &|r| Some(pod("n1", "s2", r))), ["+pods/ns/q"]);
    assert_eq!(take(&mut cluster, &place, &|_| None), ["-pods/ns/p"]);
    let last = take(&mut cluster, &second, &|_| None);
    assert_eq!((last.len(), last[0].as_str()), (NAMED.len() + 1, "-pods/ns/q"));
}

#[test]
fn an_older_change_of_what_was_sent_newer_is_left_out() {
    let mut cluster = filled();
    let mut interest = Interest::new("n1", Scope::Kubelet);
    interest.whole(&cluster.state, []);
    // The pod's change is taken in late: the Secret has changed again in the meantime.
    let bound = cluster.put(&key(Resource::PODS, "p"), |r| Some(pod("n1", "s1", r)));
    let changed = cluster.put(&key(Resource::SECRETS, "s1"), |r| Some(plain("Secret", r)));
    assert_eq!(told(&interest.take(&bound, &cluster.state)).len(), 8);
    assert!(interest.take(&changed, &cluster.state).is_empty());
}

#[test]
fn another_nodes_objects_do_not_come() {
    let mut cluster = filled();
    let mut interest = Interest::new("n1", Scope::Kubelet);
    interest.whole(&cluster.state, []);
    for (place, make) in [
        (Key::new(Resource::NODES, "", "n2"), plain("Node", 90)),
        (Key::new(Resource::LEASES, "kube-node-lease", "n2"), plain("Lease", 91)),
        (Key::new(Resource::LEASES, "kube-system", "n1"), plain("Lease", 92)),
        (key(Resource::PODS, "q"), pod("n2", "s2", 93)),
        (Key::new(Resource::NAMESPACES, "", "other"), plain("Namespace", 94)),
    ] {
        let change = cluster.put(&place, |_| Some(make));
        assert!(interest.take(&change, &cluster.state).is_empty(), "{place}");
    }
}
