//! Which names each kind allows.

use cox_objects::{Kind, name};

use super::super::check;

/// The check of a kind's names: the name, and whether it is only the start of one (`generateName`).
pub(super) fn validator(kind: &Kind) -> fn(&str, bool) -> Vec<String> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => label,
        ("", "Service") | ("apps", "StatefulSet") => plain_label,
        ("", "Event")
        | ("events.k8s.io", _)
        | ("rbac.authorization.k8s.io", _)
        | ("apiregistration.k8s.io", _)
        | ("certificates.k8s.io", "ClusterTrustBundle") => segment,
        ("batch", "CronJob") => cron_job,
        ("networking.k8s.io", "IPAddress") => address,
        _ => subdomain,
    }
}

/// The start of a generated name may end in a dash; what is appended makes it good.
fn whole(text: &str, prefix: bool) -> String {
    if !prefix || !text.ends_with('-') || text.len() < 2 {
        return text.to_owned();
    }
    let mut chars: Vec<char> = text.chars().collect();
    chars.truncate(chars.len() - 2);
    chars.into_iter().chain(['a']).collect()
}

fn subdomain(text: &str, prefix: bool) -> Vec<String> {
    name::is_dns1123_subdomain(&whole(text, prefix))
}

fn label(text: &str, prefix: bool) -> Vec<String> {
    if text.contains('.') {
        return vec!["must not contain dots".to_owned()];
    }
    name::is_dns1123_label(&whole(text, prefix))
}

/// Of a Service a DNS name is made, of a StatefulSet the host names of its pods. Source for Services: KEP-5311.
fn plain_label(text: &str, prefix: bool) -> Vec<String> {
    name::is_dns1123_label(&whole(text, prefix))
}

/// A job's name adds eleven characters to its cron job's.
fn cron_job(text: &str, prefix: bool) -> Vec<String> {
    let mut found = subdomain(text, prefix);
    if text.len() > 52 {
        found.push("must be no more than 52 characters".to_owned());
    }
    found
}

/// A name that can stand in a URL: what every object must have at least.
pub(super) fn segment(text: &str, prefix: bool) -> Vec<String> {
    if prefix { name::is_path_segment_prefix(text) } else { name::is_path_segment_name(text) }
}

fn address(text: &str, _prefix: bool) -> Vec<String> {
    match check::parse_ip(text) {
        None => vec![check::NOT_AN_IP.to_owned()],
        Some(ip) if ip.to_string() != text => vec![format!("must be in canonical form ({:?})", ip.to_string())],
        Some(_) => Vec::new(),
    }
}
