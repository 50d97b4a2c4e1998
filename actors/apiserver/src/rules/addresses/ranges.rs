//! IPAddresses and ServiceCIDRs: the addresses of services as objects.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;

/// An IPAddress says which object holds it.
pub(crate) fn validate_address(errors: &mut Errors, object: &Value) {
    let parent = object.at("spec").at("parentRef");
    let path = Path::new("spec").child("parentRef");
    if parent.is_null() {
        errors.push(FieldError::required(&path, ""));
        return;
    }
    let group = parent.text("group");
    if !group.is_empty() {
        check::dns_subdomain(errors, &path.child("group"), group);
    }
    segment(errors, parent, "resource", true, &path);
    segment(errors, parent, "name", true, &path);
    segment(errors, parent, "namespace", false, &path);
}

fn segment(errors: &mut Errors, parent: &Value, field: &str, needed: bool, path: &Path) {
    let own = parent.text(field);
    if own.is_empty() {
        if needed {
            errors.push(FieldError::required(&path.child(field), ""));
        }
        return;
    }
    check::texts(errors, &path.child(field), own, name::is_path_segment_name(own));
}

/// An IPAddress keeps its parent.
pub(crate) fn validate_address_update(errors: &mut Errors, object: &Value, old: &Value) {
    validate_address(errors, object);
    let path = Path::new("spec").child("parentRef");
    check::immutable(errors, &path, object.at("spec").at("parentRef"), old.at("spec").at("parentRef"));
}

/// A ServiceCIDR has one range of each family at most.
pub(crate) fn validate_cidr(errors: &mut Errors, object: &Value) {
    let ranges = object.at("spec").texts("cidrs");
    let path = Path::new("spec").child("cidrs");
    if ranges.is_empty() {
        errors.push(FieldError::required(&path, "at least one CIDR required"));
        return;
    }
    if ranges.len() > 2 {
        let shown = object.at("spec").at("cidrs").clone();
        errors.push(FieldError::invalid(&path, shown, "may only hold up to 2 values"));
        return;
    }
    for (i, range) in ranges.iter().enumerate() {
        check::texts(errors, &path.index(i), range, name::is_cidr_strict(range));
    }
    if let [first, second] = ranges.as_slice()
        && first.contains(':') == second.contains(':')
    {
        let shown = object.at("spec").at("cidrs").clone();
        errors.push(FieldError::invalid(&path, shown, "may specify no more than one IP for each IP family"));
    }
}

/// A ServiceCIDR keeps its ranges; a second family may be added.
pub(crate) fn validate_cidr_update(errors: &mut Errors, object: &Value, old: &Value) {
    validate_cidr(errors, object);
    let (new, before) = (object.at("spec").texts("cidrs"), old.at("spec").texts("cidrs"));
    let path = Path::new("spec").child("cidrs");
    let grown = before.len() == 1 && new.len() == 2;
    if !grown || new.first() != before.first() {
        check::immutable(errors, &path, object.at("spec").at("cidrs"), old.at("spec").at("cidrs"));
    }
}
