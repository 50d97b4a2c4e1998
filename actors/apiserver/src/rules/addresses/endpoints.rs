//! Endpoints, the old form of EndpointSlices.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::not_special;

/// Defaults: TCP.
pub(crate) fn defaults(object: &mut Value) {
    for subset in object.items("subsets") {
        for port in subset.items("ports") {
            port.fill("protocol", "TCP");
        }
    }
}

/// The subsets.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    for (i, subset) in object.list("subsets").iter().enumerate() {
        let at = Path::new("subsets").index(i);
        if !subset.filled("addresses") && !subset.filled("notReadyAddresses") {
            errors.push(FieldError::required(&at, "must specify `addresses` or `notReadyAddresses`"));
        }
        for field in ["addresses", "notReadyAddresses"] {
            for (j, address) in subset.list(field).iter().enumerate() {
                self::address(errors, address, &at.child(field).index(j));
            }
        }
        let ports = subset.list("ports");
        for (j, own) in ports.iter().enumerate() {
            port(errors, own, ports.len() > 1, &at.child("ports").index(j));
        }
    }
}

fn address(errors: &mut Errors, address: &Value, path: &Path) {
    let own = address.text("ip");
    let at = path.child("ip");
    match check::ip(errors, &at, own) {
        Some(ip) => not_special(errors, ip, own, &at),
        // Two checks find the same fault.
        None => errors.push(FieldError::invalid(&at, own, "must be a valid IP address")),
    }
    if address.filled("hostname") {
        check::dns_label(errors, &path.child("hostname"), address.text("hostname"));
    }
    if address.has("nodeName") {
        check::dns_subdomain(errors, &path.child("nodeName"), address.text("nodeName"));
    }
}

fn port(errors: &mut Errors, port: &Value, named: bool, path: &Path) {
    match port.text("name") {
        "" if named => errors.push(FieldError::required(&path.child("name"), "")),
        "" => {}
        own => check::dns_label(errors, &path.child("name"), own),
    }
    check::port(errors, &path.child("port"), port.int("port").unwrap_or(0));
    check::required_one_of(errors, &path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    if port.has("appProtocol") {
        check::qualified_name(errors, &path.child("appProtocol"), port.text("appProtocol"));
    }
}
