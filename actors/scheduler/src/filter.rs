//! Which nodes a pod may be placed on, and why not on the others.
//!
//! One file a filter. The order, the reasons, and which of them pushing out other pods could change, are those of Kubernetes' default profile.

mod inter_pod;
pub(crate) mod node_affinity;
mod node_name;
mod ports;
mod resources;
pub(crate) mod spread;
mod taints;
mod unschedulable;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::node::Node;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

pub use taints::untolerated;

/// Who rejects; the names are those of Kubernetes' plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Plugin {
    /// The node is cordoned.
    NodeUnschedulable,
    /// The pod names another node.
    NodeName,
    /// The node has taints.
    TaintToleration,
    /// The pod selects other nodes.
    NodeAffinity,
    /// Node ports are taken.
    NodePorts,
    /// There is not enough of something.
    NodeResourcesFit,
    /// Claims are not there.
    VolumeBinding,
    /// Pods would be spread too unevenly.
    PodTopologySpread,
    /// Pods must be, or must not be, together.
    InterPodAffinity,
}

/// Some plugins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plugins(u16);

impl Plugins {
    /// Every one.
    pub const ALL: Plugins = Plugins(u16::MAX);

    /// These.
    pub const fn of(list: &[Plugin]) -> Self {
        let (mut bits, mut rest) = (0, list);
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u16;
            rest = others;
        }
        Plugins(bits)
    }

    /// One more.
    pub fn insert(&mut self, plugin: Plugin) {
        self.0 |= 1 << plugin as u16;
    }

    /// Those and others.
    #[must_use]
    pub fn and(self, others: Plugins) -> Self {
        Plugins(self.0 | others.0)
    }

    /// Whether they have one in common.
    pub fn meets(self, others: Plugins) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Why a node does not take a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Who says so.
    pub plugin: Plugin,
    /// The reasons, as people read them.
    pub reasons: Vec<Cow<'static, str>>,
    /// Whether it could be another if other pods were not there.
    pub resolvable: bool,
}

impl Rejection {
    /// One that other pods are the cause of.
    pub(crate) fn of_load(plugin: Plugin, reason: &'static str) -> Self {
        Rejection { plugin, reasons: vec![reason.into()], resolvable: true }
    }

    /// One that stays, whatever pods go.
    pub(crate) fn of_node(plugin: Plugin, reason: &'static str) -> Self {
        Rejection { plugin, reasons: vec![reason.into()], resolvable: false }
    }
}

/// A pod that cannot be placed anywhere, whatever the nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Who says so.
    pub plugin: Plugin,
    /// The reason.
    pub reason: String,
}

/// One pod's look at a snapshot: what is the same for all nodes is worked out once.
#[derive(Clone)]
pub struct Context<'a> {
    pod: &'a Pod,
    only: Option<BTreeSet<&'a str>>,
    spread: spread::Counts<'a>,
    inter_pod: inter_pod::Counts,
}

impl<'a> Context<'a> {
    /// Works it out.
    ///
    /// # Errors
    /// If no node can ever take the pod.
    pub fn new(snapshot: &'a Snapshot, pod: &'a Pod) -> Result<Self, Refusal> {
        Ok(Context {
            pod,
            only: node_affinity::only(pod)?,
            spread: spread::Counts::new(snapshot, pod),
            inter_pod: inter_pod::Counts::new(snapshot, pod),
        })
    }

    /// The same for a pod that no term, its own or another's, relates to others: nothing is counted.
    ///
    /// # Errors
    /// If no node can ever take the pod.
    pub(crate) fn alone(pod: &'a Pod) -> Result<Self, Refusal> {
        let (spread, inter_pod) = (spread::Counts::default(), inter_pod::Counts::default());
        Ok(Context { pod, only: node_affinity::only(pod)?, spread, inter_pod })
    }

    /// Whether a node takes the pod.
    ///
    /// # Errors
    /// With the first filter that rejects it.
    pub fn check(&self, place: &Place) -> Result<(), Rejection> {
        let (pod, node) = (self.pod, &*place.node);
        if self.only.as_ref().is_some_and(|names| !names.contains(&*node.name)) {
            let reason = "node(s) didn't satisfy plugin(s) [NodeAffinity]";
            return Err(Rejection::of_node(Plugin::NodeAffinity, reason));
        }
        unschedulable::check(pod, node)?;
        node_name::check(pod, node)?;
        taints::check(pod, node)?;
        node_affinity::check(pod, node)?;
        ports::check(pod, &place.load)?;
        resources::check(pod, node, &place.load)?;
        self.spread.check(pod, node)?;
        self.inter_pod.check(pod, node)
    }

    /// Counts as if a pod were on a node (or, with `present` false, were not).
    pub fn suppose(&mut self, snapshot: &Snapshot, other: &Pod, node: &Node, present: bool) {
        let by = if present { 1 } else { -1 };
        self.spread.count(self.pod, other, node, by);
        self.inter_pod.count(snapshot, self.pod, other, node, by);
    }

    /// The same, and whether the node takes the pod also if those come that room is being made for there: pods of lower
    /// priority than they must not take that room.
    ///
    /// # Errors
    /// With the first filter that rejects it.
    pub fn check_with_nominated(&self, snapshot: &Snapshot, place: &Place) -> Result<(), Rejection> {
        self.check(place)?;
        if !snapshot.has_nominated() {
            return Ok(());
        }
        let first = |other: &&Arc<Pod>| other.priority >= self.pod.priority && other.key != self.pod.key;
        let mut coming = snapshot.nominated(&place.node.name).filter(first).peekable();
        if coming.peek().is_none() {
            return Ok(());
        }
        let (mut context, mut then) = (self.clone(), place.clone());
        for other in coming {
            context.suppose(snapshot, other, &place.node, true);
            then.load.add(other.clone());
        }
        context.check(&then)
    }
}

#[cfg(test)]
mod tests;
