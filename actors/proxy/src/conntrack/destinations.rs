//! Where UDP flows to Services may go, and which flows go elsewhere. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::message::Flow;
use crate::services::{Forward, Protocol, Target};

/// The targets of the UDP Services of a node, by what their clients send to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    addresses: BTreeMap<(Ipv4Addr, u16), BTreeSet<Target>>,
    node_ports: BTreeMap<u16, BTreeSet<Target>>,
}

impl Destinations {
    /// Those of these Services.
    pub fn of(forwards: &[Forward]) -> Self {
        let mut all = Destinations::default();
        for forward in forwards.iter().filter(|forward| forward.protocol == Protocol::Udp) {
            for address in &forward.addresses {
                all.addresses.insert((*address, forward.port), forward.internal.clone());
            }
            if let Some(port) = forward.node_port {
                all.node_ports.insert(port, forward.external.clone());
            }
        }
        all
    }

    /// These, and those that there were before and that lead nowhere now.
    #[must_use]
    pub fn after(&self, before: &Destinations) -> Destinations {
        let mut all = self.clone();
        for address in before.addresses.keys() {
            all.addresses.entry(*address).or_default();
        }
        for port in before.node_ports.keys() {
            all.node_ports.entry(*port).or_default();
        }
        all
    }

    /// Whether a flow goes to one of these destinations, but is answered by something that is not, or no longer, a target of it.
    pub(super) fn are_left_by(&self, flow: &Flow) -> bool {
        let (to, from) = (flow.destination, flow.answers_from);
        let is = |targets: &BTreeSet<Target>, from: SocketAddrV4| {
            targets.contains(&Target { address: *from.ip(), port: from.port() })
        };
        match self.addresses.get(&(*to.ip(), to.port())) {
            Some(targets) => !is(targets, from),
            // A flow to the same port of another host, or to a process of this one, is not translated.
            None => self.node_ports.get(&to.port()).is_some_and(|targets| from != to && !is(targets, from)),
        }
    }
}

#[cfg(test)]
mod tests;
