//! What a pod asks for must be left, of every resource, and a place among the node's number of pods.

use std::borrow::Cow;

use super::{Plugin, Rejection};
use crate::node::Node;
use crate::pod::Pod;
use crate::snapshot::Load;

pub(super) fn check(pod: &Pod, node: &Node, load: &Load) -> Result<(), Rejection> {
    let mut reasons: Vec<Cow<'static, str>> = Vec::new();
    let mut resolvable = true;
    if i64::try_from(load.pods.len()).unwrap_or(i64::MAX) >= node.pods {
        reasons.push("Too many pods".into());
    }
    let (asks, all, used) = (&pod.requests, &node.allocatable, &load.used);
    let mut need = |name: Cow<'static, str>, asked: i64, all: i64, used: i64| {
        if asked > 0 && asked > all.saturating_sub(used) {
            reasons.push(name);
            resolvable &= asked <= all;
        }
    };
    need("Insufficient cpu".into(), asks.milli_cpu, all.milli_cpu, used.milli_cpu);
    need("Insufficient memory".into(), asks.memory, all.memory, used.memory);
    let (asked, all_of_it, used_of_it) = (asks.ephemeral_storage, all.ephemeral_storage, used.ephemeral_storage);
    need("Insufficient ephemeral-storage".into(), asked, all_of_it, used_of_it);
    for (name, asked) in &asks.others {
        let of = |list: &crate::resources::Resources| list.others.get(name).copied().unwrap_or(0);
        if *asked > 0 {
            need(format!("Insufficient {name}").into(), *asked, of(all), of(used));
        }
    }
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(Rejection { plugin: Plugin::NodeResourcesFit, reasons, resolvable }),
    }
}
