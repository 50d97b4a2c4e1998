//! Cordoned nodes take no pods, but those that tolerate it.

use super::{Plugin, Rejection};
use crate::node::{Effect, Node, Taint};
use crate::pod::Pod;

const TAINT: &str = "node.kubernetes.io/unschedulable";

pub(super) fn check(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    if !node.unschedulable {
        return Ok(());
    }
    let taint = Taint { key: TAINT.to_owned(), value: String::new(), effect: Effect::NoSchedule };
    match pod.tolerates(&taint) {
        true => Ok(()),
        false => Err(Rejection::of_node(Plugin::NodeUnschedulable, "node(s) were unschedulable")),
    }
}
