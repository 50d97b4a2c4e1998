//! The nftables rules of a node, as one transaction's text. Pure; every rule of ours is in one table named for the cluster.
//!
//! A connection to a Service is looked up in a verdict map (address, protocol, port), or by its node port if it is addressed to the node,
//! and translated to one of the endpoints at random. The transaction empties the table and fills it again, so that the kernel moves from
//! one state to the next in one step; the sets that remember clients (`sessionAffinity`) stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::services::{Forward, Protocol, Target};

/// Marks connections from outside that must be masqueraded: bit 14, as kube-proxy uses it.
const MASQUERADE: &str = "0x4000";

/// What the rules need to know of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The table's name.
    pub table: String,
    /// Addresses of pods, `10.244.0.0/16`: connections from them to a Service keep their source.
    pub pod_cidr: String,
}

/// A rule set: its text, and the names in it that a later one may have to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Chains per Service port and direction.
    chains: BTreeMap<String, String>,
    /// Sets that remember clients, with their timeouts in seconds.
    affinity: BTreeMap<String, u32>,
    services: BTreeSet<String>,
    node_ports: BTreeSet<String>,
    refused: BTreeSet<String>,
    refused_ports: BTreeSet<String>,
    hairpins: BTreeSet<Ipv4Addr>,
}

impl Ruleset {
    /// The rules for these Services.
    pub fn new(forwards: &[Forward]) -> Self {
        let mut rules = Ruleset::default();
        for forward in forwards {
            rules.add(forward);
        }
        rules
    }

    fn add(&mut self, forward: &Forward) {
        let protocol = match forward.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        self.hairpins.extend(forward.internal.iter().chain(&forward.external).map(|t| t.address));
        let internal = self.chain("in", forward, &forward.internal, false);
        for address in &forward.addresses {
            let key = format!("{address} . {protocol} . {}", forward.port);
            match &internal {
                Some(chain) => self.services.insert(format!("{key} : goto {chain}")),
                None => self.refused.insert(key),
            };
        }
        if let Some(port) = forward.node_port {
            let key = format!("{protocol} . {port}");
            match self.chain("ex", forward, &forward.external, !forward.keeps_source) {
                Some(chain) => self.node_ports.insert(format!("{key} : goto {chain}")),
                None => self.refused_ports.insert(key),
            };
        }
    }

    /// Adds the chain that translates to these targets; none if there are none.
    fn chain(&mut self, prefix: &str, forward: &Forward, targets: &BTreeSet<Target>, mark: bool) -> Option<String> {
        if targets.is_empty() {
            return None;
        }
        let name = format!("{prefix}_{}", identifier(&forward.name, forward.protocol));
        let mut body = format!("    comment \"{}\"\n", forward.name);
        if mark {
            let _ = writeln!(body, "    meta mark set meta mark or {MASQUERADE}");
        }
        match forward.affinity {
            None => {
                let elements: Vec<String> =
                    targets.iter().enumerate().map(|(i, t)| format!("{i} : {} . {}", t.address, t.port)).collect();
                let _ = writeln!(
                    body,
                    "    {} dnat ip to numgen random mod {} map {{ {} }}",
                    transport(forward.protocol),
                    targets.len(),
                    elements.join(", ")
                );
            }
            Some(seconds) => {
                let mut choices = Vec::new();
                for (index, target) in targets.iter().enumerate() {
                    let own = format!("{name}_{}_{}", target.address.to_string().replace('.', "_"), target.port);
                    let _ = writeln!(body, "    ip saddr @{own} goto {own}_to");
                    choices.push(format!("{index} : goto {own}_to"));
                    let chain = format!(
                        "    update @{own} {{ ip saddr }}\n    {} dnat ip to {}:{}\n",
                        transport(forward.protocol),
                        target.address,
                        target.port
                    );
                    self.chains.insert(format!("{own}_to"), chain);
                    self.affinity.insert(own, seconds);
                }
                let _ = writeln!(body, "    numgen random mod {} vmap {{ {} }}", choices.len(), choices.join(", "));
            }
        }
        self.chains.insert(name.clone(), body);
        Some(name)
    }

    /// The transaction that replaces `before` (nothing: whatever is in the table) by these rules.
    pub fn transaction(&self, before: Option<&Ruleset>, network: &Network) -> String {
        let table = &network.table;
        let mut text = format!("add table ip {table}\n");
        match before {
            None => {
                let _ = writeln!(text, "delete table ip {table}");
            }
            Some(before) => {
                let _ = writeln!(text, "flush table ip {table}");
                for map in ["services", "node_ports"] {
                    let _ = writeln!(text, "flush map ip {table} {map}");
                }
                for set in ["refused", "refused_ports", "hairpins"] {
                    let _ = writeln!(text, "flush set ip {table} {set}");
                }
                for chain in before.chains.keys().filter(|chain| !self.chains.contains_key(*chain)) {
                    let _ = writeln!(text, "delete chain ip {table} {chain}");
                }
                for set in before.affinity.keys().filter(|set| self.affinity.get(*set) != before.affinity.get(*set)) {
                    let _ = writeln!(text, "delete set ip {table} {set}");
                }
            }
        }
        let _ = writeln!(text, "table ip {table} {{");
        self.write_sets(&mut text);
        self.write_chains(&mut text, network);
        text.push_str("}\n");
        text
    }

    fn write_sets(&self, text: &mut String) {
        let tuple = "ipv4_addr . inet_proto . inet_service";
        block(text, "map services", &format!("type {tuple} : verdict"), self.services.iter());
        block(text, "map node_ports", "type inet_proto . inet_service : verdict", self.node_ports.iter());
        block(text, "set refused", &format!("type {tuple}"), self.refused.iter());
        block(text, "set refused_ports", "type inet_proto . inet_service", self.refused_ports.iter());
        let pairs: Vec<String> = self.hairpins.iter().map(|ip| format!("{ip} . {ip}")).collect();
        block(text, "set hairpins", "type ipv4_addr . ipv4_addr", pairs.iter());
        for (name, seconds) in &self.affinity {
            let facts = format!("type ipv4_addr; size 65535; flags dynamic,timeout; timeout {seconds}s");
            block(text, &format!("set {name}"), &facts, std::iter::empty());
        }
    }

    fn write_chains(&self, text: &mut String, network: &Network) {
        // Chains that others go to come first.
        let (leaves, roots): (Vec<_>, Vec<_>) = self.chains.iter().partition(|(name, _)| name.ends_with("_to"));
        for (name, body) in leaves.into_iter().chain(roots) {
            let _ = writeln!(text, "  chain {name} {{\n{body}  }}");
        }
        let pods = &network.pod_cidr;
        let _ = write!(
            text,
            "  chain dispatch {{
    ip daddr . meta l4proto . th dport vmap @services
    fib daddr type local meta l4proto . th dport vmap @node_ports
  }}
  chain from_elsewhere {{
    type nat hook prerouting priority dstnat; policy accept;
    goto dispatch
  }}
  chain from_here {{
    type nat hook output priority -100; policy accept;
    goto dispatch
  }}
  chain sources {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark and {MASQUERADE} == {MASQUERADE} masquerade
    ct status dnat ip saddr . ip daddr @hairpins masquerade
    ct status dnat ip saddr != {pods} ip daddr {pods} fib saddr type local masquerade
  }}
  chain refuse {{
    ip daddr . meta l4proto . th dport @refused reject
    fib daddr type local meta l4proto . th dport @refused_ports reject
  }}
  chain refuse_in {{
    type filter hook input priority filter; policy accept;
    ct state new jump refuse
  }}
  chain refuse_through {{
    type filter hook forward priority filter; policy accept;
    ct state new jump refuse
  }}
  chain refuse_out {{
    type filter hook output priority filter; policy accept;
    ct state new jump refuse
  }}
  chain loopback_guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname != \"lo\" ip daddr 127.0.0.0/8 drop
  }}
"
        );
    }
}

/// The transaction that takes all our rules away.
pub fn removal(table: &str) -> String {
    format!("add table ip {table}\ndelete table ip {table}\n")
}

fn block<'a>(text: &mut String, head: &str, facts: &str, elements: impl Iterator<Item = &'a String>) {
    let elements: Vec<&str> = elements.map(String::as_str).collect();
    let _ = write!(text, "  {head} {{\n    {facts}\n");
    if !elements.is_empty() {
        let _ = writeln!(text, "    elements = {{ {} }}", elements.join(", "));
    }
    text.push_str("  }\n");
}

fn transport(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "meta l4proto tcp",
        Protocol::Udp => "meta l4proto udp",
    }
}

/// A name that nftables takes, unique per Service port: readable as far as it goes, then a hash.
fn identifier(name: &str, protocol: Protocol) -> String {
    let readable: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    // FNV-1a: names need a spread, not a secret.
    let seed = match protocol {
        Protocol::Tcp => 0xcbf2_9ce4_8422_2325_u64,
        Protocol::Udp => 0x8422_2325_cbf2_9ce4,
    };
    let hash = name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{readable}_{:08x}", hash as u32)
}

#[cfg(test)]
mod tests;
