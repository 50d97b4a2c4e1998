//! Pods go to the nodes that their selector and affinity match.

use std::collections::BTreeSet;

use super::{Plugin, Refusal, Rejection};
use crate::node::Node;
use crate::pod::Pod;

/// The only nodes that can match, if every term names some.
pub(super) fn only(pod: &Pod) -> Result<Option<BTreeSet<&str>>, Refusal> {
    let Some(terms) = pod.node_required.as_ref().filter(|terms| !terms.is_empty()) else { return Ok(None) };
    let mut names = BTreeSet::new();
    for term in terms {
        match term.names() {
            Some(named) => names.extend(named),
            None => return Ok(None),
        }
    }
    if names.is_empty() {
        let reason = "pod affinity terms conflict".to_owned();
        return Err(Refusal { plugin: Plugin::NodeAffinity, reason });
    }
    Ok(Some(names))
}

/// Whether selector and required affinity match.
pub(crate) fn matches(pod: &Pod, node: &Node) -> bool {
    pod.node_selector.iter().all(|(key, value)| node.label(key) == Some(value))
        && pod.node_required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
}

pub(super) fn check(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    match matches(pod, node) {
        true => Ok(()),
        false => {
            let reason = "node(s) didn't match Pod's node affinity/selector";
            Err(Rejection::of_node(Plugin::NodeAffinity, reason))
        }
    }
}
