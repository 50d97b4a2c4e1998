//! Connects sandboxes to the node's bridge by itself: a cable, an address, a route. What CNI's `bridge` and `host-local` plugins would do,
//! without two programs a sandbox.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;

use ipnet::Ipv4Net;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};

use super::INTERFACE;
use crate::config::NetworkConfig;
use crate::images::digest::sha256;
use crate::netlink::{Mac, Netlink, Veth};

/// The name of a sandbox's cable on the host: it follows from the bridge, which is the cluster's own, and the sandbox, so that it is found
/// again after a crash.
fn cable(bridge: &str, sandbox: &str) -> String {
    format!("cox{}", sha256(format!("{bridge}\n{sandbox}").as_bytes()).get(..12).unwrap_or_default())
}

/// The MAC address that goes with an IPv4 address: whoever remembers the one from before remembers right.
fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    // 0a: locally administered, and of one receiver.
    [0x0a, 0x58, a, b, c, d]
}

/// Makes the bridge, or completes it.
///
/// # Errors
/// The machine's.
pub(super) fn make(config: &NetworkConfig) -> io::Result<()> {
    let gateway = config.gateway();
    let mut netlink = Netlink::open()?;
    netlink.bridge(&config.bridge, mac(gateway), config.mtu)?;
    let index = if_nametoindex(config.bridge.as_str())?;
    netlink.address(index, within(config.subnet, gateway)?)?;
    netlink.up(index)?;
    let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
    if fs::read_to_string(forward)?.trim() != "1" {
        fs::write(forward, "1")?;
    }
    Ok(())
}

/// Lays a cable from the bridge into a sandbox whose address this is, on the calling thread, which must end afterwards.
///
/// # Errors
/// The machine's; half of it may be there then: [`disconnect`] undoes it.
pub(super) fn connect(config: &NetworkConfig, sandbox: &str, netns: &Path, address: Ipv4Addr) -> io::Result<()> {
    let namespace = File::open(netns)?;
    let mut host = Netlink::open()?;
    let bridge = match if_nametoindex(config.bridge.as_str()) {
        Ok(index) => index,
        // Not there yet, or somebody took it away.
        Err(_) => {
            make(config)?;
            if_nametoindex(config.bridge.as_str())?
        }
    };
    host.veth(&Veth {
        name: &cable(&config.bridge, sandbox),
        bridge,
        peer_namespace: namespace.as_fd(),
        peer_name: INTERFACE,
        peer_mac: mac(address),
        mtu: config.mtu,
    })?;
    setns(&namespace, CloneFlags::CLONE_NEWNET)?;
    let mut inside = Netlink::open()?;
    let index = if_nametoindex(INTERFACE)?;
    inside.address(index, within(config.subnet, address)?)?;
    inside.up(index)?;
    inside.default_route(config.gateway())
}

/// Takes a sandbox's cable away. Fine if there is none.
///
/// # Errors
/// The kernel's.
pub(super) fn disconnect(bridge: &str, sandbox: &str) -> io::Result<()> {
    Netlink::open()?.delete(&cable(bridge, sandbox))
}

fn within(subnet: Ipv4Net, address: Ipv4Addr) -> io::Result<Ipv4Net> {
    Ipv4Net::new(address, subnet.prefix_len()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_follow_from_the_sandbox() {
        let name = cable("cox-1f0c", "673bde30-0acf-4e8b-a8a2-9177bd8b6ee8-0");
        assert_eq!(name.len(), 15, "the kernel takes 15 bytes: {name}");
        assert_ne!(name, cable("cox-1f0c", "673bde30-0acf-4e8b-a8a2-9177bd8b6ee8-1"));
        assert_ne!(name, cable("cox-1f0d", "673bde30-0acf-4e8b-a8a2-9177bd8b6ee8-0"));
        assert_eq!(name, cable("cox-1f0c", "673bde30-0acf-4e8b-a8a2-9177bd8b6ee8-0"));
    }

    #[test]
    fn addresses_lead_to_macs() {
        assert_eq!(mac(Ipv4Addr::new(10, 244, 0, 7)), [0x0a, 0x58, 10, 244, 0, 7]);
    }
}
