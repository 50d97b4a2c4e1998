//! What the scheduler knows of a pod: read once a version, compiled for many matches.

pub mod requests;

use std::sync::Arc;

use cox_objects::selector::LabelSelector;
use cox_objects::{Key, Resource, Revision};
use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;

use crate::node::{Effect, Taint};
use crate::resources::Resources;
use crate::term::{self, LabelMap, NodeTerm, PodTerm};

/// A port of the node that a container takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address; `0.0.0.0` for all.
    pub address: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The number.
    pub port: i32,
}

impl HostPort {
    /// Whether two pods cannot have both.
    pub fn conflicts(&self, other: &HostPort) -> bool {
        let all = "0.0.0.0";
        let meet = self.address == other.address || self.address == all || other.address == all;
        self.port == other.port && self.protocol == other.protocol && meet
    }
}

/// What a pod tolerates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
}

impl Toleration {
    /// Whether it covers a taint.
    pub fn covers(&self, taint: &Taint) -> bool {
        if !self.effect.is_empty() && Effect::read(&self.effect) != Some(taint.effect) {
            return false;
        }
        if !self.key.is_empty() && self.key != taint.key {
            return false;
        }
        let number = |text: &str| text.parse::<i64>().ok();
        let compares = |holds: fn(i64, i64) -> bool| {
            number(&taint.value).zip(number(&self.value)).is_some_and(|(taint, own)| holds(taint, own))
        };
        match self.operator.as_str() {
            "" | "Equal" => self.value == taint.value,
            "Exists" => true,
            "Gt" => compares(|taint, own| taint > own),
            "Lt" => compares(|taint, own| taint < own),
            _ => false,
        }
    }
}

/// Terms about other pods, required and preferred with their weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTerms {
    /// All must hold.
    pub required: Vec<PodTerm>,
    /// The more weight holds, the better.
    pub preferred: Vec<(i64, PodTerm)>,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// By how much a place may exceed the emptiest one.
    pub max_skew: i64,
    /// The node label whose value is the place.
    pub topology_key: Arc<str>,
    /// Whether it must hold (`DoNotSchedule`) or should.
    pub required: bool,
    /// Which pods of the namespace count.
    pub selector: LabelSelector,
    /// Below so many places the emptiest one counts as empty.
    pub min_domains: i64,
    /// Only nodes that the pod's node affinity admits count.
    pub honors_affinity: bool,
    /// Only nodes whose taints the pod tolerates count.
    pub honors_taints: bool,
}

/// A pod, as far as placing it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its key.
    pub key: Key,
    /// Its uid.
    pub uid: String,
    /// The revision that it was read at.
    pub revision: Revision,
    /// `metadata.generation`
    pub generation: i64,
    /// When it was made.
    pub created: Timestamp,
    /// Its labels.
    pub labels: LabelMap,
    /// `spec.priority`
    pub priority: i32,
    /// Whether it may push out pods of lower priority.
    pub preempts: bool,
    /// Who places it.
    pub scheduler: String,
    /// The node that it is bound to.
    pub node: Option<Arc<str>>,
    /// The node that pods were pushed out of for it.
    pub nominated: Option<Arc<str>>,
    /// When it started to run there.
    pub started: Option<Timestamp>,
    /// Whether gates hold it back.
    pub gated: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it has ended, and uses nothing any more.
    pub finished: bool,
    /// What it asks for.
    pub requests: Resources,
    /// The same for scores.
    pub assumed: Resources,
    /// The node ports that it takes.
    pub ports: Vec<HostPort>,
    /// Labels that its node must have.
    pub node_selector: LabelMap,
    /// Of these one must match its node.
    pub node_required: Option<Vec<NodeTerm>>,
    /// The more weight of these matches, the better.
    pub node_preferred: Vec<(i64, NodeTerm)>,
    /// What it tolerates.
    pub tolerations: Vec<Toleration>,
    /// Pods that it wants to be with.
    pub affinity: PodTerms,
    /// Pods that it does not want to be with.
    pub anti_affinity: PodTerms,
    /// How it is spread.
    pub spread: Vec<Spread>,
    /// The images of its containers, with tag.
    pub images: Vec<String>,
    /// The claims that it mounts.
    pub claims: Vec<String>,
}

impl Pod {
    /// Reads a pod.
    pub fn read(pod: &api::Pod) -> Self {
        let none = api::PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&none);
        let meta = &pod.metadata;
        let status = pod.status.as_ref();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let labels = meta.labels.clone().unwrap_or_default();
        let affinity = spec.affinity.as_ref();
        let nodes = affinity.and_then(|a| a.node_affinity.as_ref());
        let required = nodes.and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred = nodes.and_then(|n| n.preferred_during_scheduling_ignored_during_execution.as_ref());
        let terms = |required: Option<&Vec<api::PodAffinityTerm>>,
                     preferred: Option<&Vec<api::WeightedPodAffinityTerm>>| PodTerms {
            required: required.into_iter().flatten().map(|t| PodTerm::new(t, namespace, &labels)).collect(),
            preferred: preferred
                .into_iter()
                .flatten()
                .map(|t| (t.weight.into(), PodTerm::new(&t.pod_affinity_term, namespace, &labels)))
                .collect(),
        };
        let with = affinity.and_then(|a| a.pod_affinity.as_ref());
        let apart = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
        let text = |option: Option<&String>| option.filter(|t| !t.is_empty()).map(|t| Arc::from(t.as_str()));
        Pod {
            key: Key::new(Resource::PODS, namespace, meta.name.as_deref().unwrap_or_default()),
            uid: meta.uid.clone().unwrap_or_default(),
            revision: meta.resource_version.as_ref().and_then(|v| v.parse().ok()).unwrap_or(0),
            generation: meta.generation.unwrap_or(0),
            created: meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0),
            priority: spec.priority.unwrap_or(0),
            preempts: spec.preemption_policy.as_deref() != Some("Never"),
            scheduler: spec.scheduler_name.clone().unwrap_or_default(),
            node: text(spec.node_name.as_ref()),
            nominated: text(status.and_then(|s| s.nominated_node_name.as_ref())),
            started: status.and_then(|s| s.start_time.as_ref()).map(|t| t.0),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            deleting: meta.deletion_timestamp.is_some(),
            finished: matches!(status.and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed")),
            requests: requests::of(spec),
            assumed: requests::assumed(spec),
            ports: host_ports(spec),
            node_selector: spec.node_selector.clone().unwrap_or_default(),
            node_required: required.map(|r| r.node_selector_terms.iter().map(NodeTerm::new).collect()),
            node_preferred: preferred
                .into_iter()
                .flatten()
                .map(|t| (t.weight.into(), NodeTerm::new(&t.preference)))
                .collect(),
            tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
            affinity: terms(
                with.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
                with.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
            anti_affinity: terms(
                apart.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
                apart.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
            spread: spec.topology_spread_constraints.iter().flatten().map(|c| spread(c, &labels)).collect(),
            images: containers(spec).filter_map(|c| c.image.as_deref()).map(with_tag).collect(),
            claims: claims(spec, meta.name.as_deref().unwrap_or_default()),
            labels,
        }
    }

    /// Whether it tolerates a taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|t| t.covers(taint))
    }

    /// Whether it has terms about other pods.
    pub fn relates(&self) -> bool {
        let any = |terms: &PodTerms| !terms.required.is_empty() || !terms.preferred.is_empty();
        any(&self.affinity) || any(&self.anti_affinity)
    }

    /// Whether another version of it asks for the same, whatever its status says.
    pub fn needs_the_same(&self, other: &Pod) -> bool {
        let status = |pod: &Pod| Pod { revision: 0, generation: 0, nominated: None, started: None, ..pod.clone() };
        status(self) == status(other)
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.key.namespace()
    }
}

fn containers(spec: &api::PodSpec) -> impl Iterator<Item = &api::Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// Of init containers only sidecars hold ports.
fn host_ports(spec: &api::PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|c| c.ports.iter().flatten());
    let held = ports.filter_map(|port| {
        let or = |text: &Option<String>, default: &str| match text.as_deref() {
            None | Some("") => default.to_owned(),
            Some(text) => text.to_owned(),
        };
        let number = port.host_port.filter(|number| *number > 0)?;
        Some(HostPort { address: or(&port.host_ip, "0.0.0.0"), protocol: or(&port.protocol, "TCP"), port: number })
    });
    held.collect()
}

fn toleration(written: &api::Toleration) -> Toleration {
    let text = |option: &Option<String>| option.clone().unwrap_or_default();
    Toleration {
        key: text(&written.key),
        operator: text(&written.operator),
        value: text(&written.value),
        effect: text(&written.effect),
    }
}

fn spread(written: &api::TopologySpreadConstraint, labels: &LabelMap) -> Spread {
    let selector = term::selector(written.label_selector.as_ref());
    Spread {
        max_skew: written.max_skew.into(),
        topology_key: written.topology_key.as_str().into(),
        required: written.when_unsatisfiable == "DoNotSchedule",
        selector: term::merged(selector, labels, written.match_label_keys.as_ref(), None),
        min_domains: written.min_domains.unwrap_or(1).into(),
        honors_affinity: written.node_affinity_policy.as_deref() != Some("Ignore"),
        honors_taints: written.node_taints_policy.as_deref() == Some("Honor"),
    }
}

/// Nodes name their images with tags.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

/// Ephemeral volumes have claims named after pod and volume.
fn claims(spec: &api::PodSpec, pod: &str) -> Vec<String> {
    let claim = |volume: &api::Volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(claim.claim_name.clone()),
        (None, Some(_)) => Some(format!("{pod}-{}", volume.name)),
        (None, None) => None,
    };
    spec.volumes.iter().flatten().filter_map(claim).collect()
}

#[cfg(test)]
mod tests;
