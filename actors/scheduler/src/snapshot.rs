//! The nodes and what pods use of them, kept up to date change by change; pods that were just placed count before the mirror shows it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use cox_objects::Key;

use crate::node::Node;
use crate::pod::{HostPort, Pod};
use crate::resources::Resources;
use crate::term::LabelMap;

/// What the pods of a node use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// What they ask for.
    pub used: Resources,
    /// The same for scores.
    pub assumed: Resources,
    /// The pods.
    pub pods: BTreeMap<Key, Arc<Pod>>,
    /// How many of them have terms about other pods.
    pub relating: usize,
    /// How many of them must not be with certain other pods.
    pub repelling: usize,
    ports: Vec<HostPort>,
}

impl Load {
    /// Puts a pod there, instead of an earlier version of it.
    pub fn add(&mut self, pod: Arc<Pod>) {
        self.remove(&pod.key);
        self.used.add(&pod.requests);
        self.assumed.add(&pod.assumed);
        self.relating += usize::from(pod.relates());
        self.repelling += usize::from(!pod.anti_affinity.required.is_empty());
        self.ports.extend(pod.ports.iter().cloned());
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Takes a pod away.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Pod>> {
        let pod = self.pods.remove(key)?;
        self.used.subtract(&pod.requests);
        self.assumed.subtract(&pod.assumed);
        self.relating -= usize::from(pod.relates());
        self.repelling -= usize::from(!pod.anti_affinity.required.is_empty());
        for port in &pod.ports {
            if let Some(at) = self.ports.iter().position(|p| p == port) {
                self.ports.swap_remove(at);
            }
        }
        Some(pod)
    }

    /// Whether none of these ports is taken.
    pub fn has_free(&self, ports: &[HostPort]) -> bool {
        !ports.iter().any(|wanted| self.ports.iter().any(|taken| taken.conflicts(wanted)))
    }
}

/// A node with its load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node.
    pub node: Arc<Node>,
    /// What is used of it.
    pub load: Load,
}

/// All that decisions are made from.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    places: BTreeMap<Arc<str>, Place>,
    /// Loads of nodes that are not known (yet, or no longer).
    elsewhere: HashMap<Arc<str>, Load>,
    placed: HashMap<Key, Arc<str>>,
    nominated: BTreeMap<Key, (Arc<str>, Arc<Pod>)>,
    namespaces: HashMap<String, LabelMap>,
    /// On how many nodes each image is.
    images: HashMap<String, i64>,
    repelling: usize,
    relating: usize,
    /// The nodes on which there are pods with terms about others.
    relating_at: BTreeSet<Arc<str>>,
    touched: Touched,
}

/// Which nodes have changed, for those who keep what they found out about each.
#[derive(Clone, Debug, Default)]
struct Touched {
    /// Counts the times that other nodes were there, or other images.
    roster: u64,
    /// The nodes whose load, or whose object, changed last.
    order: VecDeque<Arc<str>>,
    /// How many changes there were before those.
    before: u64,
}

/// How many changes of nodes are remembered.
const REMEMBERED: usize = 8192;

impl Touched {
    fn node(&mut self, name: &Arc<str>) {
        self.order.push_back(name.clone());
        if self.order.len() > REMEMBERED {
            self.order.pop_front();
            self.before += 1;
        }
    }
}

/// How far somebody has seen a snapshot's nodes change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Another number is about other nodes.
    pub(crate) roster: u64,
    changes: u64,
}

impl Snapshot {
    /// How far the nodes have changed.
    pub(crate) fn now(&self) -> Seen {
        let Touched { roster, order, before } = &self.touched;
        Seen { roster: *roster, changes: before + order.len() as u64 }
    }

    /// The nodes that have changed since; none if that is not remembered, or if there are other nodes.
    pub(crate) fn touched_since(&self, seen: Seen) -> Option<impl Iterator<Item = &Arc<str>>> {
        let Touched { roster, order, before } = &self.touched;
        let skipped = seen.changes.checked_sub(*before).filter(|_| seen.roster == *roster)?;
        Some(order.iter().skip(usize::try_from(skipped).ok()?))
    }

    /// The nodes on which there are pods with terms about others.
    pub(crate) fn relating_places(&self) -> impl Iterator<Item = &Place> {
        self.relating_at.iter().filter_map(|name| self.places.get(name))
    }

    /// The nodes in the order of their names.
    pub fn places(&self) -> impl ExactSizeIterator<Item = &Place> + Clone {
        self.places.values()
    }

    /// A node by its name.
    pub fn place(&self, node: &str) -> Option<&Place> {
        self.places.get(node)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Labels of a namespace; one that is not known has none.
    pub fn namespace(&self, name: &str) -> &LabelMap {
        static NONE: LabelMap = LabelMap::new();
        self.namespaces.get(name).unwrap_or(&NONE)
    }

    /// Whether any pod on a node must not be with certain other pods.
    pub fn has_repelling(&self) -> bool {
        self.repelling > 0
    }

    /// Whether any pod on a node has terms about other pods.
    pub fn has_relating(&self) -> bool {
        self.relating > 0
    }

    /// On how many nodes an image is.
    pub fn image_spread(&self, image: &str) -> i64 {
        self.images.get(image).copied().unwrap_or(0)
    }

    /// The node of a pod that is placed, or assumed to be.
    pub fn node_of(&self, pod: &Key) -> Option<&Arc<str>> {
        self.placed.get(pod)
    }

    /// Pods that wait for room that is being made on a node for them.
    pub fn nominated(&self, node: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.nominated.values().filter(move |(at, _)| **at == *node).map(|(_, pod)| pod)
    }

    /// Whether room is being made for any pod.
    pub fn has_nominated(&self) -> bool {
        !self.nominated.is_empty()
    }

    /// A node is there, or has changed.
    pub fn set_node(&mut self, node: Node) {
        let node = Arc::new(node);
        if let Some(place) = self.places.get_mut(&node.name) {
            if place.node == node {
                return;
            }
            let old = std::mem::replace(&mut place.node, node.clone());
            self.touched.node(&node.name);
            if old.images != node.images {
                self.count_images(&old, -1);
                self.count_images(&node, 1);
                self.touched.roster += 1;
            }
            return;
        }
        self.count_images(&node, 1);
        let load = self.elsewhere.remove(&node.name).unwrap_or_default();
        self.repelling += load.repelling;
        self.relating += load.relating;
        if load.relating > 0 {
            self.relating_at.insert(node.name.clone());
        }
        self.touched.roster += 1;
        self.places.insert(node.name.clone(), Place { node, load });
    }

    /// A node is gone; the pods that are bound to it are remembered, as it may come back.
    pub fn remove_node(&mut self, name: &str) {
        let Some(place) = self.places.remove(name) else { return };
        self.count_images(&place.node, -1);
        self.repelling -= place.load.repelling;
        self.relating -= place.load.relating;
        self.relating_at.remove(name);
        self.touched.roster += 1;
        if !place.load.pods.is_empty() {
            self.elsewhere.insert(place.node.name.clone(), place.load);
        }
    }

    /// A pod is on a node, or assumed to be.
    pub fn put(&mut self, pod: Arc<Pod>, node: &Arc<str>) {
        self.nominated.remove(&pod.key);
        if self.placed.get(&pod.key).is_some_and(|at| at != node) {
            self.take(&pod.key);
        }
        self.placed.insert(pod.key.clone(), node.clone());
        self.change_load(node, |load| load.add(pod));
    }

    /// A pod is on no node any more. Returns it with its node, if it was on one.
    pub fn take(&mut self, pod: &Key) -> Option<(Arc<str>, Arc<Pod>)> {
        let node = self.placed.remove(pod)?;
        let mut taken = None;
        self.change_load(&node, |load| taken = load.remove(pod));
        Some((node, taken?))
    }

    /// Room is being made for a pod on a node, or no longer.
    pub fn nominate(&mut self, pod: &Arc<Pod>, node: Option<Arc<str>>) {
        match node {
            Some(node) => drop(self.nominated.insert(pod.key.clone(), (node, pod.clone()))),
            None => self.forget_nomination(&pod.key),
        }
    }

    /// A pod waits for no room any more.
    pub fn forget_nomination(&mut self, pod: &Key) {
        self.nominated.remove(pod);
    }

    /// A namespace has these labels.
    pub fn set_namespace(&mut self, name: &str, labels: LabelMap) {
        self.namespaces.insert(name.to_owned(), labels);
    }

    /// A namespace is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    fn change_load(&mut self, node: &Arc<str>, change: impl FnOnce(&mut Load)) {
        match self.places.get_mut(node) {
            Some(place) => {
                let load = &mut place.load;
                self.repelling -= load.repelling;
                self.relating -= load.relating;
                let related = load.relating > 0;
                change(load);
                self.repelling += load.repelling;
                self.relating += load.relating;
                match (related, load.relating > 0) {
                    (false, true) => drop(self.relating_at.insert(node.clone())),
                    (true, false) => drop(self.relating_at.remove(node)),
                    _ => {}
                }
                self.touched.node(node);
            }
            None => {
                let load = self.elsewhere.entry(node.clone()).or_default();
                change(load);
                if load.pods.is_empty() {
                    self.elsewhere.remove(node);
                }
            }
        }
    }

    fn count_images(&mut self, node: &Node, by: i64) {
        for image in node.images.keys() {
            let count = self.images.entry(image.clone()).or_default();
            *count += by;
            if *count <= 0 {
                self.images.remove(image);
            }
        }
    }
}

#[cfg(test)]
mod tests;
