//! The node's nftables table: what leaves the cluster is masqueraded, and ports of the host lead into sandboxes. Pure: the whole as
//! one transaction's text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use crate::config::NetworkConfig;
use crate::port::sandbox::{PortMapping, Protocol};

/// Marks connections to a port of the host that come from this node or its sandboxes, whose answers would otherwise not pass here again:
/// bit 13, as CNI's portmap uses it.
const MASQUERADE: &str = "0x2000";

/// Ports of the host that lead to an address, by the sandbox that has it.
pub(super) type Forwards = BTreeMap<String, (Ipv4Addr, Vec<PortMapping>)>;

/// The table's name.
pub(super) fn name(config: &NetworkConfig) -> String {
    format!("{}-net", config.bridge)
}

/// The transaction that removes the table. Declared first, so that deleting it never fails.
pub(super) fn removal(config: &NetworkConfig) -> String {
    let table = name(config);
    format!("table ip {table} {{}}\ndelete table ip {table}\n")
}

/// The transaction that puts the table in the place of what was there.
pub(super) fn replacement(config: &NetworkConfig, forwards: &Forwards) -> String {
    let (table, bridge, own, whole) = (name(config), &config.bridge, &config.subnet, &config.cluster_subnet);
    let mut text = removal(config);
    let _ = writeln!(text, "table ip {table} {{\n  chain host_ports {{");
    for (address, mappings) in forwards.values() {
        for mapping in mappings {
            rule(&mut text, config, *address, mapping);
        }
    }
    let _ = write!(
        text,
        "  }}
  chain from_elsewhere {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local goto host_ports
  }}
  chain from_here {{
    type nat hook output priority -100; policy accept;
    fib daddr type local goto host_ports
  }}
  chain out {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark and {MASQUERADE} == {MASQUERADE} masquerade
    ip saddr {own} ip daddr != {whole} ip daddr != 224.0.0.0/4 masquerade
  }}
  chain loopback_guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname \"{bridge}\" ip daddr 127.0.0.0/8 drop
  }}
}}
"
    );
    text
}

/// The rules of one port. Those of IPv6 addresses have none: sandboxes have no such address to lead to.
fn rule(text: &mut String, config: &NetworkConfig, to: Ipv4Addr, mapping: &PortMapping) {
    let on = match mapping.host_ip {
        None => String::new(),
        Some(IpAddr::V4(any)) if any.is_unspecified() => String::new(),
        Some(IpAddr::V4(own)) => format!("ip daddr {own} "),
        Some(IpAddr::V6(_)) => return,
    };
    let transport = match mapping.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let port = format!("{on}{transport} dport {}", mapping.host_port);
    let _ = writeln!(
        text,
        "    {port} ip saddr {{ 127.0.0.0/8, {} }} meta mark set meta mark or {MASQUERADE}\n    {port} dnat to {to}:{}",
        config.subnet, mapping.container_port
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host_ip: Option<&str>, protocol: Protocol) -> PortMapping {
        PortMapping { host_port: 8080, container_port: 80, protocol, host_ip: host_ip.map(|ip| ip.parse().unwrap()) }
    }

    fn rules_of(mappings: Vec<PortMapping>) -> Vec<String> {
        let config = NetworkConfig::new("br", "10.1.2.0/24".parse().unwrap(), "10.1.0.0/16".parse().unwrap());
        let forwards = Forwards::from([("s".to_owned(), (Ipv4Addr::new(10, 1, 2, 3), mappings))]);
        let text = replacement(&config, &forwards);
        text.lines().filter(|line| line.contains("dport")).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_port_leads_to_its_sandbox_and_near_connections_are_masqueraded() {
        assert_eq!(
            rules_of(vec![mapping(None, Protocol::Tcp)]),
            [
                "tcp dport 8080 ip saddr { 127.0.0.0/8, 10.1.2.0/24 } meta mark set meta mark or 0x2000",
                "tcp dport 8080 dnat to 10.1.2.3:80",
            ]
        );
    }

    #[test]
    fn a_host_address_narrows_a_port_down() {
        let narrow = rules_of(vec![mapping(Some("127.0.0.1"), Protocol::Udp)]);
        assert_eq!(narrow[1], "ip daddr 127.0.0.1 udp dport 8080 dnat to 10.1.2.3:80");
        assert_eq!(
            rules_of(vec![mapping(Some("0.0.0.0"), Protocol::Tcp)]),
            rules_of(vec![mapping(None, Protocol::Tcp)])
        );
        assert!(rules_of(vec![mapping(Some("::1"), Protocol::Tcp)]).is_empty());
    }
}
