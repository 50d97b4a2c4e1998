//! The core of the scheduler: facts in, steps out. It keeps the snapshot and the queue, and assumes its own placements. Pure.
//!
//! Guarantees: a pod has one attempt at a time; a placement counts from the moment that it is decided until the mirror shows it, or it is
//! said to have failed. Assumptions: facts come in the order of their revisions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cox_kit::Reason;
use cox_objects::Key;

use crate::filter::{Plugin, Plugins};
use crate::intake::Fact;
use crate::memo::Memo;
use crate::message;
use crate::node::Node;
use crate::pod::Pod;
use crate::preempt::{Ineligible, Preemption};
use crate::queue::Queue;
use crate::schedule::{Decision, Outcome};
use crate::snapshot::Snapshot;

/// What a pod that leaves a node makes room for.
const ON_ROOM: Plugins =
    Plugins::of(&[Plugin::NodeResourcesFit, Plugin::NodePorts, Plugin::InterPodAffinity, Plugin::PodTopologySpread]);
/// What a pod that comes to a node, or changes its labels there, changes for others.
const ON_COMPANY: Plugins = Plugins::of(&[Plugin::InterPodAffinity, Plugin::PodTopologySpread]);

/// What to do about a pod.
#[derive(Clone, Debug)]
pub enum Step {
    /// Bind it to a node.
    Bind {
        /// The pod.
        pod: Arc<Pod>,
        /// The node.
        node: Arc<str>,
    },
    /// Tell that it found no node, and make room for it if that helps.
    Tell {
        /// The pod.
        pod: Arc<Pod>,
        /// Why.
        message: String,
        /// Where room is made for it from now on, or, with none, that this is nowhere any more; if that has changed.
        nominate: Option<Option<Arc<str>>>,
        /// The pods that go for it.
        victims: Vec<Arc<Pod>>,
    },
}

/// A pod whose turn it is.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What led to it, the newest first; the pod's own change is the last.
    pub reasons: Vec<Reason>,
    /// The how-manieth attempt it is.
    pub number: u32,
}

/// A step with how it came about.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What to do.
    pub step: Step,
    /// The decision.
    pub decision: Decision,
    /// What led to it, the newest first; the pod's own change is the last.
    pub reasons: Vec<Reason>,
    /// The how-manieth attempt it is.
    pub number: u32,
}

/// The core.
pub struct Planner {
    name: String,
    snapshot: Snapshot,
    memo: Memo,
    queue: Queue,
    /// Pods of ours without a node, as they are.
    waiting: HashMap<Key, Arc<Pod>>,
    /// Pods that are bound as far as we know, but not yet in the mirror.
    assumed: HashMap<Key, Arc<Pod>>,
}

impl Planner {
    /// A planner for the pods that name this scheduler.
    pub fn new(name: &str) -> Self {
        Planner {
            name: name.to_owned(),
            snapshot: Snapshot::default(),
            memo: Memo::default(),
            queue: Queue::default(),
            waiting: HashMap::new(),
            assumed: HashMap::new(),
        }
    }

    /// What it knows.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Takes in a fact; the reason is the event that told it.
    pub fn take_in(&mut self, fact: Fact, reason: &Reason, now: Duration) {
        match fact {
            Fact::Pod(pod) => self.pod(Arc::new(*pod), reason, now),
            Fact::PodGone(key) => self.gone(&key, reason, now),
            Fact::Node(node) => {
                let changes = node_changes(self.snapshot.place(&node.name).map(|place| &*place.node), &node);
                self.snapshot.set_node(*node);
                if !changes.is_empty() {
                    self.queue.changed(changes, reason, now);
                }
            }
            Fact::NodeGone(name) => {
                self.snapshot.remove_node(&name);
                // With its places gone, the others may be even, or the emptiest again.
                self.queue.changed(ON_COMPANY, reason, now);
            }
            Fact::Namespace(name, labels) => {
                if *self.snapshot.namespace(&name) != labels {
                    self.snapshot.set_namespace(&name, labels);
                    self.queue.changed(Plugins::of(&[Plugin::InterPodAffinity]), reason, now);
                }
            }
            Fact::NamespaceGone(name) => self.snapshot.remove_namespace(&name),
        }
    }

    fn pod(&mut self, pod: Arc<Pod>, reason: &Reason, now: Duration) {
        if pod.finished {
            self.gone(&pod.key, reason, now);
            return;
        }
        match &pod.node {
            Some(node) => self.placed(&pod, &node.clone(), reason, now),
            None => self.unplaced(pod, reason, now),
        }
    }

    fn placed(&mut self, pod: &Arc<Pod>, node: &Arc<str>, reason: &Reason, now: Duration) {
        self.waiting.remove(&pod.key);
        self.queue.remove(&pod.key);
        let assumed = self.assumed.remove(&pod.key);
        let before = self.snapshot.take(&pod.key);
        self.snapshot.put(pod.clone(), node);
        let changes = match &before {
            // Its own placement told the others already that it comes, when it was decided.
            Some((at, old)) if at == node => {
                let mut changes = Plugins::default();
                if old.labels != pod.labels || (assumed.is_none() && old.deleting != pod.deleting) {
                    changes = changes.and(ON_COMPANY);
                }
                if old.requests != pod.requests {
                    changes.insert(Plugin::NodeResourcesFit);
                }
                changes
            }
            Some(_) => ON_ROOM,
            None => ON_COMPANY,
        };
        if !changes.is_empty() {
            self.queue.changed(changes, reason, now);
        }
    }

    fn unplaced(&mut self, pod: Arc<Pod>, reason: &Reason, now: Duration) {
        if pod.scheduler != self.name || pod.deleting || pod.gated {
            self.waiting.remove(&pod.key);
            self.queue.remove(&pod.key);
            self.snapshot.forget_nomination(&pod.key);
            return;
        }
        // One of the same name was there and nobody told that it went: it is not this one that was placed.
        if self.assumed.get(&pod.key).is_some_and(|assumed| assumed.uid != pod.uid) {
            self.assumed.remove(&pod.key);
            self.snapshot.take(&pod.key);
        }
        let old = self.waiting.insert(pod.key.clone(), pod.clone());
        if self.assumed.contains_key(&pod.key) {
            return;
        }
        self.snapshot.nominate(&pod, pod.nominated.clone());
        // Its status is what we write ourselves: only what it needs is worth another attempt. Of one that led to a panic anything may be.
        if old.is_none_or(|old| !old.needs_the_same(&pod)) || self.queue.left_alone().contains(&pod.key) {
            self.queue.add(&pod.key, pod.priority, Some(reason.clone()), now);
        }
    }

    fn gone(&mut self, key: &Key, reason: &Reason, now: Duration) {
        self.waiting.remove(key);
        self.assumed.remove(key);
        self.queue.remove(key);
        self.snapshot.forget_nomination(key);
        if self.snapshot.take(key).is_some() {
            self.queue.changed(ON_ROOM, reason, now);
        }
    }

    /// The pod to try now, if there is one. It is in hand until [`Planner::go`] or [`Planner::panicked`].
    pub fn take(&mut self, now: Duration) -> Option<Turn> {
        loop {
            let (key, reasons, number) = self.queue.take(now)?;
            match self.waiting.get(&key).cloned() {
                Some(pod) => return Some(Turn { pod, reasons, number }),
                None => self.queue.remove(&key),
            }
        }
    }

    /// Decides where a pod goes, and what to say if that is nowhere. Of equally good nodes `tie_break` chooses. Nothing that counts has changed
    /// should this panic.
    pub fn decide(&mut self, turn: &Turn, tie_break: u64) -> (Decision, String) {
        let decision = self.memo.schedule(&self.snapshot, &turn.pod, tie_break);
        #[cfg(debug_assertions)]
        if let Some(node) = decision.node()
            && let Err(fault) = crate::check::check(&self.snapshot, &turn.pod, node)
        {
            debug_assert!(false, "{} must not go to {node}: {fault}", turn.pod.key);
        }
        let message = message::unschedulable(&decision, self.snapshot.len()).unwrap_or_default();
        (decision, message)
    }

    /// Goes on with what was decided.
    pub fn go(&mut self, turn: Turn, (decision, message): (Decision, String), now: Duration) -> Attempt {
        let Turn { pod, reasons, number } = turn;
        let step = match decision.node().cloned() {
            Some(node) => self.assume(pod, node),
            None => self.park(pod, &decision, message, now),
        };
        Attempt { step, decision, reasons, number }
    }

    /// The decision about a pod panicked. Returns whether the pod is left alone from now on, until it changes.
    pub fn panicked(&mut self, turn: &Turn, now: Duration) -> bool {
        // It may have been changed halfway; it is made again from the snapshot.
        self.memo = Memo::default();
        self.queue.panicked(&turn.pod.key, now)
    }

    fn assume(&mut self, pod: Arc<Pod>, node: Arc<str>) -> Step {
        self.snapshot.put(pod.clone(), &node);
        self.assumed.insert(pod.key.clone(), pod.clone());
        Step::Bind { pod, node }
    }

    fn park(&mut self, pod: Arc<Pod>, decision: &Decision, message: String, now: Duration) -> Step {
        self.queue.park(&pod.key, decision.rejected_by(), now);
        let (node, victims) = match &decision.outcome {
            Outcome::Nowhere(Preemption::Victims { node, pods }) => (Some(node.clone()), pods.clone()),
            // What it waits for is still on its way.
            Outcome::Nowhere(Preemption::Ineligible(Ineligible::Waits)) => (pod.nominated.clone(), Vec::new()),
            _ => (None, Vec::new()),
        };
        self.snapshot.nominate(&pod, node.clone());
        let nominate = (node != pod.nominated).then_some(node);
        Step::Tell { pod, message, nominate, victims }
    }

    /// A binding was written, or not; the mirror will show the first. The second is tried again.
    pub fn settle_binding(&mut self, pod: &Pod, bound: bool, reason: &Reason, now: Duration) {
        if bound || self.assumed.get(&pod.key).is_none_or(|assumed| assumed.uid != pod.uid) {
            return;
        }
        self.assumed.remove(&pod.key);
        self.snapshot.take(&pod.key);
        self.queue.changed(ON_ROOM, reason, now);
        match self.waiting.get(&pod.key).cloned() {
            Some(waiting) => {
                self.snapshot.nominate(&waiting, waiting.nominated.clone());
                self.queue.retry(&pod.key, now);
            }
            None => self.queue.remove(&pod.key),
        }
    }

    /// What was to be told of a pod was not written: it is tried again, and told then.
    pub fn settle_telling(&mut self, pod: &Pod, told: bool, now: Duration) {
        let same = |waiting: &Arc<Pod>| waiting.uid == pod.uid;
        if !told && self.waiting.get(&pod.key).is_some_and(same) && !self.assumed.contains_key(&pod.key) {
            self.queue.retry(&pod.key, now);
        }
    }
}

/// Which rejections a node's change may lift.
fn node_changes(old: Option<&Node>, new: &Node) -> Plugins {
    let Some(old) = old else { return Plugins::ALL };
    let mut changes = Plugins::default();
    if old.allocatable != new.allocatable || old.pods != new.pods {
        changes.insert(Plugin::NodeResourcesFit);
    }
    if old.labels != new.labels {
        changes = changes.and(ON_COMPANY).and(Plugins::of(&[Plugin::NodeAffinity]));
    }
    if old.taints != new.taints {
        changes = changes.and(Plugins::of(&[Plugin::TaintToleration, Plugin::PodTopologySpread]));
    }
    if old.unschedulable != new.unschedulable {
        changes.insert(Plugin::NodeUnschedulable);
    }
    changes
}

#[cfg(test)]
mod tests;
