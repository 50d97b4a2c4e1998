//! Nodes keep pods away that do not tolerate their taints.

use super::{Plugin, Rejection};
use crate::node::{Node, Taint};
use crate::pod::Pod;

/// The first taint that keeps the pod away.
pub fn untolerated<'a>(pod: &Pod, node: &'a Node) -> Option<&'a Taint> {
    node.taints.iter().find(|taint| taint.effect.forbids() && !pod.tolerates(taint))
}

pub(super) fn check(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    match untolerated(pod, node) {
        None => Ok(()),
        Some(_) => Err(Rejection::of_node(Plugin::TaintToleration, "node(s) had untolerated taint(s)")),
    }
}
