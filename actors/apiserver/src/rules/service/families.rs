//! The address families of a Service, on a cluster whose services have IPv4 addresses only.

use cox_objects::{FieldError, Path};
use serde_json::{Value, json};

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::is_headless;

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// Sets `ipFamilies` and `ipFamilyPolicy`, or says why the cluster cannot serve what is asked for.
pub(super) fn choose(object: &mut Value) -> Errors {
    let mut errors = Vec::new();
    related(&mut errors, object.at("spec"));
    if !errors.is_empty() || object.at("spec").text("type") == "ExternalName" {
        return errors;
    }
    let spec = object.object("spec");
    from_addresses(&mut errors, spec);
    if !errors.is_empty() {
        return errors;
    }
    if is_headless(spec) && !spec.filled("selector") {
        // Nothing is allocated for it, and whoever writes its endpoints may use any family.
        spec.fill("ipFamilyPolicy", "RequireDualStack");
        if !spec.filled("ipFamilies") {
            spec.set("ipFamilies", json!(["IPv4"]));
        }
        let families = spec.texts("ipFamilies");
        if spec.text("ipFamilyPolicy") != "SingleStack" && families.len() == 1 {
            let both = if families == ["IPv4"] { json!(["IPv4", "IPv6"]) } else { json!(["IPv6", "IPv4"]) };
            spec.set("ipFamilies", both);
        }
        return errors;
    }
    let (addresses, families) = (spec.list("clusterIPs").len(), spec.list("ipFamilies").len());
    let policy = if addresses > 1 || families > 1 { "RequireDualStack" } else { "SingleStack" };
    spec.fill("ipFamilyPolicy", policy);
    refuse(&mut errors, spec, addresses, families);
    if errors.is_empty() && families == 0 {
        spec.set("ipFamilies", json!(["IPv4"]));
    }
    errors
}

fn refuse(errors: &mut Errors, spec: &Value, addresses: usize, families: usize) {
    let path = Path::new("spec");
    let at = path.child("ipFamilyPolicy");
    let policy = spec.text("ipFamilyPolicy");
    if policy == "RequireDualStack" {
        errors.push(FieldError::invalid(&at, policy, "this cluster is not configured for dual-stack services"));
    }
    if policy == "SingleStack" {
        for (count, what) in [(addresses, "cluster IPs"), (families, "IP families")] {
            if count > 1 {
                let detail =
                    format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
                errors.push(FieldError::invalid(&at, policy, &detail));
            }
        }
    }
    if !errors.is_empty() {
        return;
    }
    for (i, family) in spec.texts("ipFamilies").into_iter().enumerate() {
        if family != "IPv4" {
            errors.push(FieldError::invalid(
                &path.child("ipFamilies").index(i),
                family,
                "not configured on this cluster",
            ));
        }
    }
}

/// The family of an address that the client chose goes without saying.
fn from_addresses(errors: &mut Errors, spec: &mut Value) {
    let named = spec.list("ipFamilies").len();
    let path = Path::new("spec").child("clusterIPs");
    let mut families: Vec<Value> = spec.list("ipFamilies").to_vec();
    for (i, address) in spec.texts("clusterIPs").into_iter().enumerate().skip(named) {
        match check::parse_ip(address) {
            Some(ip) if ip.is_ipv6() => {
                let detail = "IPv6 is not configured on this cluster";
                errors.push(FieldError::invalid(&path.index(i), spec.at("clusterIPs").clone(), detail));
            }
            Some(_) => families.push(json!("IPv4")),
            None => {}
        }
    }
    if !families.is_empty() {
        spec.set("ipFamilies", families);
    }
}

/// How `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` must fit together.
pub(super) fn related(errors: &mut Errors, spec: &Value) {
    if spec.text("type") == "ExternalName" {
        return;
    }
    let start = errors.len();
    let path = Path::new("spec");
    let (ips_at, families_at) = (path.child("clusterIPs"), path.child("ipFamilies"));
    let (ip, ips) = (spec.text("clusterIP"), spec.texts("clusterIPs"));
    let invalid = |detail: &str| FieldError::invalid(&ips_at, spec.at("clusterIPs").clone(), detail);
    match (ip.is_empty(), ips.first()) {
        (false, None) => errors.push(FieldError::required(&ips_at, "")),
        (false, Some(first)) if *first != ip => errors.push(invalid("first value must match `clusterIP`")),
        (true, Some(_)) => errors.push(invalid("must be empty when `clusterIP` is not specified")),
        _ => {}
    }
    let families = spec.texts("ipFamilies");
    for (i, family) in families.iter().enumerate() {
        check::one_of(errors, &families_at.index(i), family, &FAMILIES);
        if families.iter().take(i).any(|earlier| earlier == family) {
            errors.push(FieldError::duplicate(&families_at.index(i), *family));
        }
    }
    if spec.has("ipFamilyPolicy") {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        check::one_of(errors, &path.child("ipFamilyPolicy"), spec.text("ipFamilyPolicy"), &supported);
    }
    let mut parsed = Vec::new();
    let mut faulty = false;
    for (i, address) in ips.iter().enumerate() {
        if i == 0 && *address == "None" {
            if ips.len() > 1 {
                faulty = true;
                errors.push(invalid("'None' must be the first and only value"));
            }
            continue;
        }
        match check::ip(errors, &ips_at.index(i), address) {
            Some(ip) => parsed.push((i, ip)),
            None => faulty = true,
        }
    }
    if ips.len() > 2 {
        errors.push(invalid("may only hold up to 2 values"));
    }
    if faulty {
        return;
    }
    let four = parsed.iter().filter(|(_, ip)| ip.is_ipv4()).count();
    if four > 1 || parsed.len() - four > 1 {
        errors.push(invalid("may specify no more than one IP for each IP family"));
    }
    if errors.len() > start {
        return;
    }
    for ((i, ip), family) in parsed.iter().zip(&families) {
        let own = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        if own != *family {
            let address = ips.get(*i).copied().unwrap_or_default();
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            errors.push(FieldError::invalid(&ips_at.index(*i), address, &detail));
        }
    }
}
