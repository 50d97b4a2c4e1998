//! A port of a node is taken once for each protocol and address.

use super::{Plugin, Rejection};
use crate::pod::Pod;
use crate::snapshot::Load;

pub(super) fn check(pod: &Pod, load: &Load) -> Result<(), Rejection> {
    match load.has_free(&pod.ports) {
        true => Ok(()),
        false => {
            let reason = "node(s) didn't have free ports for the requested pod ports";
            Err(Rejection::of_load(Plugin::NodePorts, reason))
        }
    }
}
