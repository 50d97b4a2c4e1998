//! EndpointSlices.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::meta;
use super::super::read::{Fill, Read, same};
use super::not_special;

const ENDPOINTS: usize = 1000;
const ADDRESSES: usize = 100;
const PORTS: usize = 20_000;
const HINTS: usize = 8;

/// Defaults: an unnamed TCP port.
pub(crate) fn defaults(object: &mut Value) {
    for port in object.items("ports") {
        port.fill_unset("name", "");
        port.fill("protocol", "TCP");
    }
}

/// A change of anything but annotations counts.
pub(crate) fn prepare_update(object: &mut Value, old: &Value) {
    let content = |o: &Value| {
        let mut content = o.clone();
        content.drop_field("metadata");
        content
    };
    let labels = |o: &Value| o.at("metadata").at("labels").clone();
    if !same(&content(object), &content(old)) || !same(&labels(object), &labels(old)) {
        meta::next_generation(object, old);
    }
}

/// The slice, after its metadata.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let kind = object.text("addressType");
    check::required_one_of(errors, &Path::new("addressType"), kind, &["FQDN", "IPv4", "IPv6"]);
    let endpoints = object.list("endpoints");
    if endpoints.len() > ENDPOINTS {
        errors.push(FieldError::too_many(&Path::new("endpoints"), endpoints.len(), ENDPOINTS));
        return;
    }
    for (i, endpoint) in endpoints.iter().enumerate() {
        self::endpoint(errors, endpoint, kind, &Path::new("endpoints").index(i));
    }
    ports(errors, object.list("ports"), &Path::new("ports"));
}

/// An update: the type of the addresses stays.
pub(crate) fn validate_update(errors: &mut Errors, object: &Value, old: &Value) {
    validate(errors, object);
    check::immutable(errors, &Path::new("addressType"), object.at("addressType"), old.at("addressType"));
}

fn endpoint(errors: &mut Errors, endpoint: &Value, kind: &str, path: &Path) {
    let addresses = endpoint.texts("addresses");
    let at = path.child("addresses");
    if addresses.is_empty() {
        errors.push(FieldError::required(&at, "must contain at least 1 address"));
    } else if addresses.len() > ADDRESSES {
        errors.push(FieldError::too_many(&at, addresses.len(), ADDRESSES));
    }
    for (i, own) in addresses.into_iter().enumerate() {
        address(errors, own, kind, &at.index(i), &at);
    }
    if endpoint.has("nodeName") {
        check::dns_subdomain(errors, &path.child("nodeName"), endpoint.text("nodeName"));
    }
    let topology = path.child("deprecatedTopology");
    check::labels(errors, &topology, endpoint.at("deprecatedTopology"));
    if endpoint.has("hostname") {
        check::dns_label(errors, &path.child("hostname"), endpoint.text("hostname"));
    }
    hints(errors, endpoint.at("hints"), &path.child("hints"));
}

fn address(errors: &mut Errors, own: &str, kind: &str, path: &Path, list: &Path) {
    if kind == "FQDN" {
        check::dns_subdomain(errors, path, own);
        return;
    }
    if !["IPv4", "IPv6"].contains(&kind) {
        return;
    }
    let Some(ip) = check::ip(errors, path, own) else { return };
    if ip.is_ipv4() != (kind == "IPv4") {
        errors.push(FieldError::invalid(list, own, &format!("must be an {kind} address")));
        return;
    }
    not_special(errors, ip, own, path);
}

fn hints(errors: &mut Errors, hints: &Value, path: &Path) {
    for field in ["forZones", "forNodes"] {
        let own = hints.list(field);
        let at = path.child(field);
        if own.len() > HINTS {
            errors.push(FieldError::too_many(&at, own.len(), HINTS));
            continue;
        }
        let mut seen = BTreeSet::new();
        for (i, hint) in own.iter().enumerate() {
            let name = hint.text("name");
            let at = at.index(i).child("name");
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(&at, name));
            }
            check::texts(errors, &at, name, cox_objects::name::is_label_value(name));
        }
    }
}

fn ports(errors: &mut Errors, ports: &[Value], path: &Path) {
    if ports.len() > PORTS {
        errors.push(FieldError::too_many(path, ports.len(), PORTS));
        return;
    }
    let mut names = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let at = path.index(i);
        let own = port.text("name");
        if !own.is_empty() {
            check::dns_label(errors, &at.child("name"), own);
        }
        if !names.insert(own) {
            errors.push(FieldError::duplicate(&at.child("name"), own));
        }
        check::required_one_of(errors, &at.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
        if port.has("appProtocol") {
            check::qualified_name(errors, &at.child("appProtocol"), port.text("appProtocol"));
        }
    }
}
