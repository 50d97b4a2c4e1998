//! IP addresses and CIDR ranges, read as the API's older fields are read (leading zeros allowed) and strictly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NOT_A_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address, where leading zeros in IPv4 numbers are read as decimal, as Go did before 1.17. No zone.
pub fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    if value.contains(':') {
        return match value.rsplit_once(':') {
            // An IPv4 tail may have leading zeros too.
            Some((head, tail)) if tail.contains('.') => {
                format!("{head}:{}", sloppy_v4(tail)?).parse::<Ipv6Addr>().ok().map(IpAddr::V6)
            }
            _ => value.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        };
    }
    sloppy_v4(value).map(IpAddr::V4)
}

fn sloppy_v4(value: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = value.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))?;
        let significant = part.trim_start_matches('0');
        *octet = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// The address as Kubernetes prints it: IPv4 mapped into IPv6 as IPv4.
pub fn canonical_ip(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// An IP address of either family.
pub fn is_ip(value: &str) -> Vec<String> {
    match parse_ip_sloppy(value) {
        Some(_) => Vec::new(),
        None => vec![NOT_AN_IP.to_owned()],
    }
}

/// An IP address without leading zeros, not IPv4 mapped into IPv6 (KEP-4858).
pub fn is_ip_strict(value: &str) -> Vec<String> {
    let Some(address) = parse_ip_sloppy(value) else { return vec![NOT_AN_IP.to_owned()] };
    let mut faults = Vec::new();
    if value.parse::<IpAddr>().is_err() {
        faults.push("must not have leading 0s".to_owned());
    }
    if value.contains(':') && address.to_canonical().is_ipv4() {
        faults.push("must not be an IPv4-mapped IPv6 address".to_owned());
    }
    faults
}

fn split_cidr(value: &str) -> Option<(IpAddr, u32, bool)> {
    let (address, length) = value.split_once('/')?;
    let parsed = parse_ip_sloppy(address)?;
    let max = if address.contains(':') { 128 } else { 32 };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let bits: u32 = length.parse().ok().filter(|n| digits && *n <= max)?;
    let zeros = address.parse::<IpAddr>().is_err() || (length.len() > 1 && length.starts_with('0'));
    Some((parsed, bits, zeros))
}

/// A range `address/length` of either family.
pub fn is_cidr(value: &str) -> Vec<String> {
    match split_cidr(value) {
        Some(_) => Vec::new(),
        None => vec![NOT_A_CIDR.to_owned()],
    }
}

/// A range without leading zeros, without bits beyond its length, not IPv4 mapped into IPv6 (KEP-4858).
pub fn is_cidr_strict(value: &str) -> Vec<String> {
    let Some((address, bits, zeros)) = split_cidr(value) else { return vec![NOT_A_CIDR.to_owned()] };
    let mut faults = Vec::new();
    if zeros {
        faults.push("must not have leading 0s in IP or prefix length".to_owned());
    }
    if value.contains(':') && address.to_canonical().is_ipv4() {
        faults.push("must not have an IPv4-mapped IPv6 address".to_owned());
    }
    let beyond = match address {
        IpAddr::V4(v4) => u32::from(v4).checked_shl(bits).unwrap_or(0) != 0,
        IpAddr::V6(v6) => u128::from(v6).checked_shl(bits).unwrap_or(0) != 0,
    };
    if beyond {
        faults.push("must not have bits set beyond the prefix length".to_owned());
    }
    faults
}
