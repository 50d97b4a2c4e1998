//! A pod that names its node goes nowhere else.

use super::{Plugin, Rejection};
use crate::node::Node;
use crate::pod::Pod;

pub(super) fn check(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    match &pod.node {
        Some(name) if *name != node.name => {
            Err(Rejection::of_node(Plugin::NodeName, "node(s) didn't match the requested node name"))
        }
        _ => Ok(()),
    }
}
