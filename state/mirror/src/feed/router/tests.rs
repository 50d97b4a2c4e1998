//! A feed is told what it would be told if it looked at every change itself.

use std::sync::Arc;

use cox_objects::{Cause, Change as Kind, Revision};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::feed::Scope;
use crate::state::State;
use crate::testing::{at, event, object};
use crate::{Change, Limits};

#[derive(Clone, Debug)]
enum Move {
    /// A pod is (bound to this node, names this Secret), or goes.
    Pod(usize, Option<(usize, usize)>),
    Secret(usize, bool),
    Service(bool),
    Slice(bool),
    Node(usize),
    Join(usize, bool),
    Leave(usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        5 => (0..4usize, prop::option::weighted(0.8, (0..4usize, 0..3usize))).prop_map(|(pod, form)| Move::Pod(pod, form)),
        3 => (0..3usize, any::<bool>()).prop_map(|(secret, there)| Move::Secret(secret, there)),
        1 => any::<bool>().prop_map(Move::Service),
        1 => any::<bool>().prop_map(Move::Slice),
        1 => (0..3usize).prop_map(Move::Node),
        3 => (0..3usize, any::<bool>()).prop_map(|(node, proxy)| Move::Join(node, proxy)),
        1 => (0..6usize).prop_map(Move::Leave),
    ]
}

/// The nodes that have feeds; a pod of node 3 is not bound.
fn node_name(index: usize) -> &'static str {
    ["n0", "n1", "n2", ""][index]
}

fn change(state: &mut State, revision: Revision, key: &Key, new: Option<Object>) -> Option<Change> {
    let old = state.get(key);
    let (kind, shown) = match (&old, &new) {
        (None, None) => return None,
        (Some(old), None) => (Kind::Deleted, old.clone()),
        (None, Some(new)) => (Kind::Added, new.clone()),
        (Some(_), Some(new)) => (Kind::Modified, new.clone()),
    };
    state.offer(event(revision, (revision, revision), key.clone(), kind, shown)).unwrap();
    Some(Change { key: key.clone(), old, new, position: at(revision), cause: Arc::new(Cause::default()) })
}

fn pod(node: usize, secret: usize, revision: Revision) -> Object {
    let spec = json!({"nodeName": node_name(node), "volumes": [{"name": "v", "secret": {"secretName": format!("s{secret}")}}]});
    object(&json!({"kind": "Pod", "apiVersion": "v1", "metadata": {}, "spec": spec}), revision)
}

fn plain(revision: Revision) -> Object {
    object(&json!({"kind": "Any", "apiVersion": "v1", "metadata": {}}), revision)
}

fn told(puts: &[Put]) -> Vec<(String, Option<Revision>, Revision)> {
    puts.iter().map(|put| (put.key.to_string(), put.object.as_ref().map(Object::revision), put.at)).collect()
}

proptest! {
    #[test]
    fn nobody_misses_what_concerns_them(moves in prop::collection::vec(any_move(), 1..80)) {
        let mut state = State::new(Limits::default());
        state.reset(at(0), []);
        let mut router = Router::default();
        // Each looks at everything itself.
        let mut alone: BTreeMap<FeedId, Interest> = BTreeMap::new();
        let mut revision = 0;
        for (number, then) in moves.into_iter().enumerate() {
            let id = number as FeedId;
            let namespaced = |resource, name: &str| Key::new(resource, "ns", name);
            let next = revision + 1;
            let made = match then {
                Move::Pod(name, form) => {
                    let made = form.map(|(node, secret)| pod(node, secret, next));
                    change(&mut state, next, &namespaced(Resource::PODS, &format!("p{name}")), made)
                }
                Move::Secret(name, there) => {
                    let key = namespaced(Resource::SECRETS, &format!("s{name}"));
                    change(&mut state, next, &key, there.then(|| plain(next)))
                }
                Move::Service(there) => {
                    change(&mut state, next, &namespaced(Resource::SERVICES, "web"), there.then(|| plain(next)))
                }
                Move::Slice(there) => {
                    change(&mut state, next, &namespaced(Resource::ENDPOINTSLICES, "web"), there.then(|| plain(next)))
                }
                Move::Node(name) => {
                    change(&mut state, next, &Key::new(Resource::NODES, "", node_name(name)), Some(plain(next)))
                }
                Move::Join(node, proxy) => {
                    let scope = if proxy { Scope::Proxy } else { Scope::Kubelet };
                    let mut own = Interest::new(node_name(node), scope);
                    let pods: Vec<Key> = Source::list(&state, &Resource::PODS, "").into_iter().map(|(key, _)| key).collect();
                    let whole = own.whole(&state, &pods);
                    let joined = router.join(id, Interest::new(node_name(node), scope), &state);
                    prop_assert_eq!(told(&joined), told(&whole));
                    alone.insert(id, own);
                    None
                }
                Move::Leave(at) => {
                    if let Some(id) = alone.keys().nth(at).copied() {
                        alone.remove(&id);
                        router.leave(id);
                    }
                    None
                }
            };
            let Some(made) = made else { continue };
            revision = next;
            let mut routed: BTreeMap<FeedId, Vec<Put>> = router.take(&made, &state).into_iter().collect();
            for (id, interest) in &mut alone {
                let expected = interest.take(&made, &state);
                let got = routed.remove(id).unwrap_or_default();
                prop_assert_eq!(told(&got), told(&expected), "feed {}", id);
            }
            prop_assert!(routed.is_empty(), "told others: {:?}", routed.keys());
        }
        for id in alone.keys() {
            router.leave(*id);
        }
        prop_assert!(router.feeds.is_empty() && router.of_node.is_empty() && router.naming.is_empty());
    }
}
