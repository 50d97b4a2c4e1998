//! Cluster addresses of Services: an address is taken while its IPAddress object is there, so the log itself keeps it single.

use std::net::Ipv4Addr;

use cox_log::Existence;
use cox_objects::{Key, Resource};
use serde_json::{Value, json};

use crate::context::Context;
use crate::plan::Change;
use crate::value::{text, texts};

/// How often a random address is tried before the range is searched in order.
const RANDOM_TRIES: u32 = 32;

/// The smallest and largest addresses of a range, and how many of the first are kept for those who choose their own: up to 256, a
/// sixteenth of the range, at least 16.
struct Range {
    base: u32,
    size: u32,
    chosen: u32,
}

fn range(ctx: &Context<'_>) -> Range {
    let cidr = ctx.config.service_cidr;
    let hosts = 1u32.checked_shl(32 - u32::from(cidr.prefix_len())).unwrap_or(u32::MAX);
    // The network's and the broadcast address are nobody's.
    let size = hosts.saturating_sub(2);
    let chosen = if size < 16 { 0 } else { (size / 16).clamp(16, 256) };
    Range { base: u32::from(cidr.network()) + 1, size, chosen }
}

/// Whether an address lies in the range that Services get theirs from.
pub(super) fn in_range(ctx: &Context<'_>, address: Ipv4Addr) -> bool {
    let range = range(ctx);
    u32::from(address).checked_sub(range.base).is_some_and(|offset| offset < range.size)
}

/// Whether nobody has the address.
pub(super) fn free(ctx: &Context<'_>, address: Ipv4Addr) -> bool {
    ctx.state.get(&key(&address.to_string())).is_none()
}

/// A free address; none if the range is full. The upper part of the range goes first.
pub(super) fn choose(ctx: &Context<'_>) -> Option<Ipv4Addr> {
    let range = range(ctx);
    let at = |offset: u32| Ipv4Addr::from(range.base + offset);
    let upper = range.size.saturating_sub(range.chosen);
    for _ in 0..RANDOM_TRIES {
        let address = at(range.chosen + ctx.below(upper));
        if free(ctx, address) {
            return Some(address);
        }
    }
    let in_order = (range.chosen..range.size).chain(0..range.chosen);
    in_order.map(at).find(|address| free(ctx, *address))
}

/// The IPAddress object that takes an address for a Service.
pub(super) fn take(ctx: &Context<'_>, address: Ipv4Addr, namespace: &str, name: &str) -> Change {
    let object = json!({
        "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address.to_string(), "uid": ctx.uid(), "creationTimestamp": ctx.time(),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    });
    Change::Put { key: key(&address.to_string()), object, must: Existence::Absent }
}

/// The ends of the addresses that a Service had.
pub(super) fn release(ctx: &Context<'_>, service: &Value) -> Vec<Change> {
    let owner = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
    texts(service, "/spec/clusterIPs").into_iter().filter_map(|address| give_back(ctx, address, owner)).collect()
}

/// The end of one address, if it is the Service's.
pub(super) fn give_back(ctx: &Context<'_>, address: &str, (namespace, name): (&str, &str)) -> Option<Change> {
    let key = key(address);
    let parent = ctx.state.get(&key)?.value();
    let own = text(&parent, "/spec/parentRef/namespace") == namespace && text(&parent, "/spec/parentRef/name") == name;
    own.then_some(Change::Delete { key, last: None })
}

fn key(address: &str) -> Key {
    Key::new(Resource::IPADDRESSES, "", address)
}
