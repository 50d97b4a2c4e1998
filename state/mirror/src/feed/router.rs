//! Which feeds a change concerns: found by what the change is about, not by asking each feed. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cox_objects::{Key, Object, Resource, Source};
use serde::Deserialize;

use super::{Interest, interest::RUNTIMECLASSES};
use crate::Change;
use crate::state::Put;

/// Tells the feeds of one server apart.
pub(super) type FeedId = u64;

/// The resources whose changes concern feeds; pods come last, so that what a pod names is there when it is looked at.
pub(super) const ROUTED: [Resource; 9] = [
    Resource::NODES,
    Resource::SERVICES,
    Resource::ENDPOINTSLICES,
    Resource::NAMESPACES,
    Resource::SERVICEACCOUNTS,
    Resource::SECRETS,
    Resource::CONFIGMAPS,
    RUNTIMECLASSES,
    Resource::PODS,
];

/// All feeds, found by what concerns them.
#[derive(Debug, Default)]
pub(super) struct Router {
    feeds: BTreeMap<FeedId, Interest>,
    of_node: HashMap<String, BTreeSet<FeedId>>,
    /// The feeds in which a pod names an object.
    naming: HashMap<Key, BTreeSet<FeedId>>,
    /// The pods that are bound to a node, whether or not it has a feed.
    bound: HashMap<String, BTreeSet<Key>>,
    node_of: HashMap<Key, String>,
}

impl Router {
    /// A router that knows of these pods.
    pub(super) fn new(pods: impl IntoIterator<Item = (Key, Object)>) -> Self {
        let mut router = Router::default();
        for (key, pod) in pods {
            router.bind(&key, node_of(Some(&pod)));
        }
        router
    }

    /// A feed begins; gives everything that concerns it.
    pub(super) fn join(&mut self, id: FeedId, mut interest: Interest, state: &dyn Source) -> Vec<Put> {
        let pods = self.bound.get(interest.node()).into_iter().flatten();
        let puts = interest.whole(state, pods);
        let news = interest.take_news();
        self.of_node.entry(interest.node().to_owned()).or_default().insert(id);
        self.feeds.insert(id, interest);
        self.note(id, news);
        puts
    }

    /// A feed has ended.
    pub(super) fn leave(&mut self, id: FeedId) {
        let Some(interest) = self.feeds.remove(&id) else { return };
        remove_from(&mut self.of_node, interest.node(), id);
        for key in interest.names() {
            remove_from(&mut self.naming, key, id);
        }
    }

    /// What a change means for which feeds.
    pub(super) fn take(&mut self, change: &Change, state: &dyn Source) -> Vec<(FeedId, Vec<Put>)> {
        let concerned = self.concerned(change);
        let mut all = Vec::with_capacity(concerned.len());
        for id in concerned {
            let Some(interest) = self.feeds.get_mut(&id) else { continue };
            let puts = interest.take(change, state);
            let news = interest.take_news();
            self.note(id, news);
            if !puts.is_empty() {
                all.push((id, puts));
            }
        }
        all
    }

    fn concerned(&mut self, change: &Change) -> Vec<FeedId> {
        let key = &change.key;
        let on = |node: &str| self.of_node.get(node).into_iter().flatten().copied();
        match &key.resource {
            resource if *resource == Resource::PODS => {
                let now = node_of(change.new.as_ref());
                let before = self.node_of.get(key).filter(|before| **before != now);
                let concerned = before.into_iter().flat_map(|before| on(before)).chain(on(&now)).collect();
                self.bind(key, now);
                concerned
            }
            resource if *resource == Resource::NODES => on(key.name()).collect(),
            resource if *resource == Resource::SERVICES || *resource == Resource::ENDPOINTSLICES => {
                let wants = |(id, interest): (&FeedId, &Interest)| interest.wants_all(resource).then_some(*id);
                self.feeds.iter().filter_map(wants).collect()
            }
            _ => self.naming.get(key).into_iter().flatten().copied().collect(),
        }
    }

    /// A pod is bound to a node; with an empty name to none.
    fn bind(&mut self, key: &Key, node: String) {
        if self.node_of.get(key).map(String::as_str).unwrap_or_default() == node {
            return;
        }
        if let Some(before) = self.node_of.remove(key)
            && let Some(pods) = self.bound.get_mut(&before)
        {
            pods.remove(key);
            if pods.is_empty() {
                self.bound.remove(&before);
            }
        }
        if !node.is_empty() {
            self.bound.entry(node.clone()).or_default().insert(key.clone());
            self.node_of.insert(key.clone(), node);
        }
    }

    fn note(&mut self, id: FeedId, news: Vec<(Key, bool)>) {
        for (key, named) in news {
            if named {
                self.naming.entry(key).or_default().insert(id);
            } else {
                remove_from(&mut self.naming, &key, id);
            }
        }
    }
}

fn remove_from<K, Q>(map: &mut HashMap<K, BTreeSet<FeedId>>, key: &Q, id: FeedId)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(feeds) = map.get_mut(key) {
        feeds.remove(&id);
        if feeds.is_empty() {
            map.remove(key);
        }
    }
}

/// The node that a pod is bound to; empty if to none.
fn node_of(pod: Option<&Object>) -> String {
    #[derive(Default, Deserialize)]
    struct Pod {
        #[serde(default)]
        spec: Spec,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        node_name: Option<String>,
    }
    pod.and_then(|pod| pod.parse::<Pod>().ok()?.spec.node_name).unwrap_or_default()
}

#[cfg(test)]
mod tests;
