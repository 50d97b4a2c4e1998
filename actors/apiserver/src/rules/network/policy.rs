//! NetworkPolicies.

use cox_objects::{FieldError, Path, name};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::super::selector;

/// Defaults: TCP, and the directions that the rules speak of.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    for list in ["ingress", "egress"] {
        for rule in spec.items(list) {
            for port in rule.items("ports") {
                port.fill_unset("protocol", "TCP");
            }
        }
    }
    if !spec.filled("policyTypes") {
        let types = if spec.filled("egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        spec.set("policyTypes", types);
    }
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    selector::labels(errors, spec.at("podSelector"), &path.child("podSelector"));
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in spec.list(list).iter().enumerate() {
            let at = path.child(list).index(i);
            for (j, port) in rule.list("ports").iter().enumerate() {
                self::port(errors, port, &at.child("ports").index(j));
            }
            for (j, peer) in rule.list(peers).iter().enumerate() {
                self::peer(errors, peer, &at.child(peers).index(j));
            }
        }
    }
    let types = spec.texts("policyTypes");
    let at = path.child("policyTypes");
    if types.len() > 2 {
        let shown = spec.at("policyTypes").clone();
        errors.push(FieldError::invalid(&at, shown, "may not specify more than two policyTypes"));
        return;
    }
    for (i, kind) in types.into_iter().enumerate() {
        check::one_of(errors, &at.index(i), kind, &["Ingress", "Egress"]);
    }
}

fn port(errors: &mut Errors, port: &Value, path: &Path) {
    let protocol = port.text("protocol");
    if port.has("protocol") {
        check::one_of(errors, &path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let end = port.int("endPort");
    let end_at = path.child("endPort");
    match port.at("port") {
        Value::Null => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is not specified";
                errors.push(FieldError::invalid(&end_at, end, detail));
            }
        }
        Value::String(own) => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is non-numeric";
                errors.push(FieldError::invalid(&end_at, end, detail));
            }
            check::texts(errors, &path.child("port"), own, name::is_port_name(own));
        }
        number => {
            let number = number.as_i64().unwrap_or(0);
            check::port(errors, &path.child("port"), number);
            if let Some(end) = end {
                if end < number {
                    // Kubernetes prints the port here, not the end.
                    errors.push(FieldError::invalid(&end_at, number, "must be greater than or equal to `port`"));
                }
                check::port(errors, &end_at, end);
            }
        }
    }
}

fn peer(errors: &mut Errors, peer: &Value, path: &Path) {
    let mut peers = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if peer.has(field) {
            peers += 1;
            selector::labels(errors, peer.at(field), &path.child(field));
        }
    }
    if peer.has("ipBlock") {
        block(errors, peer.at("ipBlock"), &path.child("ipBlock"));
        if peers > 0 {
            errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
        }
        peers += 1;
    }
    if peers == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    }
}

fn block(errors: &mut Errors, block: &Value, path: &Path) {
    let cidr = block.text("cidr");
    let at = path.child("cidr");
    if cidr.is_empty() {
        errors.push(FieldError::required(&at, ""));
        return;
    }
    let found = name::is_cidr_strict(cidr);
    let readable = found.is_empty();
    check::texts(errors, &at, cidr, found);
    for (i, except) in block.texts("except").into_iter().enumerate() {
        let at = path.child("except").index(i);
        let found = name::is_cidr_strict(except);
        if !found.is_empty() {
            check::texts(errors, &at, except, found);
        } else if readable && !is_strictly_inside(except, cidr) {
            errors.push(FieldError::invalid(&at, except, "must be a strict subset of `cidr`"));
        }
    }
}

/// Whether the first range is a part of the second, but not all of it.
fn is_strictly_inside(inner: &str, outer: &str) -> bool {
    let (Some((inner, inner_bits)), Some((outer, outer_bits))) = (range(inner), range(outer)) else { return false };
    let shift = 128 - outer_bits;
    let prefix = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
    inner_bits > outer_bits && prefix(inner) == prefix(outer)
}

/// The address of a range as 128 bits, and the length of its prefix in those.
fn range(cidr: &str) -> Option<(u128, u32)> {
    let (address, bits) = cidr.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    match address.parse().ok()? {
        // Not among IPv6 addresses that matter here.
        std::net::IpAddr::V4(four) => Some((u128::from(u32::from(four)) | 0xffff << 32, bits + 96)),
        std::net::IpAddr::V6(six) => Some((u128::from(six), bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_strictly_inside;

    #[test]
    fn an_exception_lies_inside_its_block() {
        assert!(is_strictly_inside("10.1.0.0/16", "10.0.0.0/8"));
        assert!(is_strictly_inside("10.1.0.0/16", "0.0.0.0/0"));
        assert!(!is_strictly_inside("10.0.0.0/8", "10.0.0.0/8"));
        assert!(!is_strictly_inside("11.0.0.0/16", "10.0.0.0/8"));
        assert!(is_strictly_inside("fd00:1::/32", "fd00::/8"));
        assert!(!is_strictly_inside("fd00::/8", "10.0.0.0/8"));
    }
}
