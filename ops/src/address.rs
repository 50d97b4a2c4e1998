//! Which addresses this machine has, and by which the cluster reaches it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// The IPv4 addresses of interfaces that are up, loopback and bridges of ours left out.
pub fn own() -> Vec<Ipv4Addr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let usable = interfaces.filter(|interface| {
        let flags = interface.flags;
        flags.contains(InterfaceFlags::IFF_UP)
            && !flags.contains(InterfaceFlags::IFF_LOOPBACK)
            && !interface.interface_name.starts_with("cox-")
    });
    let addresses = usable.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    addresses.filter(|ip| !ip.is_link_local()).collect()
}

/// An interface of this machine, other than `except`, whose network has addresses of this one: packets for them go there.
pub fn overlapping(network: Ipv4Net, except: &str) -> Option<(String, Ipv4Net)> {
    let networks = getifaddrs().ok()?.filter_map(|interface| {
        let ip = interface.address?.as_sockaddr_in()?.ip();
        let mask = interface.netmask?.as_sockaddr_in()?.ip();
        Some((interface.interface_name, Ipv4Net::with_netmask(ip, mask).ok()?.trunc()))
    });
    networks.into_iter().find(|(name, other)| name != except && (other.contains(&network) || network.contains(other)))
}

/// The address by which others reach this machine: the one that leads outside, else the first there is.
pub fn primary() -> Option<Ipv4Addr> {
    // Connecting a datagram socket sends nothing: it asks the routing table which address would be used.
    let routed = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.255:9")?;
        socket.local_addr()
    });
    match routed.map(|address| address.ip()) {
        Ok(IpAddr::V4(ip)) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip),
        _ => own().into_iter().next(),
    }
}

/// The address that is listened on: the one given, with a free port if that is 0. It is tried before anything is started: a port in use
/// is said at once, and nothing is left behind.
///
/// # Errors
/// One line that says what to do.
pub fn free(listen: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("cannot listen on {listen}: choose another address with --listen, or stop what holds this one")
    })?;
    Ok(listener.local_addr()?)
}

/// The URL under which this machine itself reaches what listens there.
pub fn server(listen: SocketAddr) -> String {
    let local = match listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port())),
        _ => listen,
    };
    format!("https://{local}")
}

/// This machine's name, as a node's name must be: lower case.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let name = name.to_lowercase();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() { "node".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_where_its_network_is_wanted() {
        let wanted = |text: &str| text.parse::<Ipv4Net>().unwrap();
        let found = overlapping(wanted("127.3.0.0/16"), "cox-0").unwrap();
        assert_eq!(found, ("lo".to_owned(), wanted("127.0.0.0/8")));
        assert!(overlapping(wanted("127.3.0.0/16"), "lo").is_none_or(|(name, _)| name != "lo"));
        assert_eq!(overlapping(wanted("240.1.2.0/24"), "cox-0"), None);
    }
}
