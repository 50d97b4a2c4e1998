//! Selectors compiled for many matches: terms about nodes, terms about other pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cox_objects::selector::{LabelSelector, Operator, Requirement};
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use crate::node::Node;

/// Labels of an object.
pub type LabelMap = BTreeMap<String, String>;

/// One term of a node affinity: all its conditions hold, or it does not match. One without conditions matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTerm {
    labels: Vec<Requirement>,
    names: Vec<Requirement>,
}

impl NodeTerm {
    /// Compiles a term.
    pub fn new(term: &api::NodeSelectorTerm) -> Self {
        let all = |list: &Option<Vec<api::NodeSelectorRequirement>>| list.iter().flatten().map(requirement).collect();
        NodeTerm { labels: all(&term.match_expressions), names: all(&term.match_fields) }
    }

    /// Whether a node matches.
    pub fn matches(&self, node: &Node) -> bool {
        if self.labels.is_empty() && self.names.is_empty() {
            return false;
        }
        // `metadata.name` is the only field that validation admits.
        let name = |r: &Requirement| r.key == "metadata.name" && named(r, &node.name);
        self.labels.iter().all(|r| r.matches(&node.labels)) && self.names.iter().all(name)
    }

    /// The only nodes that can match, if it names them.
    pub fn names(&self) -> Option<BTreeSet<&str>> {
        let named = self.names.iter().filter(|r| r.operator == Operator::In);
        let sets = named.map(|r| r.values.iter().map(String::as_str).collect::<BTreeSet<&str>>());
        sets.reduce(|a, b| a.intersection(&b).copied().collect())
    }
}

fn named(requirement: &Requirement, name: &str) -> bool {
    let listed = requirement.values.iter().any(|v| v == name);
    listed == (requirement.operator == Operator::In)
}

/// Values are taken as they are: validation has admitted them, or the condition matches nothing.
fn requirement(written: &api::NodeSelectorRequirement) -> Requirement {
    let operator = match written.operator.as_str() {
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => Operator::In,
    };
    Requirement { key: written.key.clone(), operator, values: written.values.clone().unwrap_or_default() }
}

/// A label selector of an object; an absent one selects nothing, an empty one everything.
pub fn selector(written: Option<&meta::LabelSelector>) -> LabelSelector {
    let Some(written) = written else { return LabelSelector::Nothing };
    let equals = |(key, value): (&String, &String)| Requirement {
        key: key.clone(),
        operator: Operator::Equals,
        values: vec![value.clone()],
    };
    let mut all: Vec<Requirement> = written.match_labels.iter().flatten().map(equals).collect();
    for expression in written.match_expressions.iter().flatten() {
        let operator = match expression.operator.as_str() {
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => Operator::In,
        };
        let values = expression.values.clone().unwrap_or_default();
        all.push(Requirement { key: expression.key.clone(), operator, values });
    }
    LabelSelector::All(all)
}

/// The selector, and with it the pod's own values of some labels (`matchLabelKeys`), or others than them (`mismatchLabelKeys`).
/// Merging twice, here and at admission, changes nothing.
pub fn merged(
    mut selector: LabelSelector,
    own: &LabelMap,
    same: Option<&Vec<String>>,
    other: Option<&Vec<String>>,
) -> LabelSelector {
    if let LabelSelector::All(all) = &mut selector {
        let with = |keys: Option<&Vec<String>>, operator: Operator| {
            let keys: Vec<String> = keys.into_iter().flatten().cloned().collect();
            keys.into_iter().filter_map(move |key| {
                let value = own.get(&key)?.clone();
                Some(Requirement { key, operator, values: vec![value] })
            })
        };
        all.extend(with(same, Operator::In));
        all.extend(with(other, Operator::NotIn));
    }
    selector
}

/// A term about other pods: which, in which namespaces, and what counts as the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodTerm {
    /// The pods.
    pub selector: LabelSelector,
    /// The namespaces by name.
    pub namespaces: Vec<String>,
    /// The namespaces by their labels.
    pub namespace_selector: LabelSelector,
    /// The node label whose value is the place.
    pub topology_key: Arc<str>,
}

impl PodTerm {
    /// Compiles a term of a pod; without namespaces it is about the pod's own.
    pub fn new(term: &api::PodAffinityTerm, own_namespace: &str, own_labels: &LabelMap) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(own_namespace.to_owned());
        }
        let pods = selector(term.label_selector.as_ref());
        PodTerm {
            selector: merged(pods, own_labels, term.match_label_keys.as_ref(), term.mismatch_label_keys.as_ref()),
            namespaces,
            namespace_selector: selector(term.namespace_selector.as_ref()),
            topology_key: term.topology_key.as_str().into(),
        }
    }

    /// Whether it is about a pod with these labels in a namespace with those.
    pub fn matches(&self, namespace: &str, labels: &LabelMap, namespace_labels: &LabelMap) -> bool {
        let here = self.namespaces.iter().any(|n| n == namespace) || self.namespace_selector.matches(namespace_labels);
        here && self.selector.matches(labels)
    }
}
