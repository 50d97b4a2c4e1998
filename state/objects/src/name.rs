//! The forms that names, label keys, ports and addresses must have, with Kubernetes' wording of what is wrong.
//!
//! Every check returns the texts of all faults, and nothing for a good value; a caller puts them behind a field path.

mod address;
mod label;
mod misc;

pub use address::{canonical_ip, is_cidr, is_cidr_strict, is_ip, is_ip_strict, parse_ip_sloppy};
pub use label::{is_label_key, is_label_value};
pub use misc::{
    is_c_identifier, is_config_key, is_domain_prefixed_path, is_env_var_name, is_env_var_name_relaxed,
    is_fully_qualified_domain_name, is_fully_qualified_name, is_group_id, is_http_header_name, is_percent,
    is_port_name, is_port_number, is_user_id,
};

const LABEL_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_FAULT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
     and must start and end with an alphanumeric character";
const SUBDOMAIN_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_FAULT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
     '-' or '.', and must start and end with an alphanumeric character";
const SUBDOMAIN_UNDERSCORE_FORM: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_UNDERSCORE_FAULT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '_', '-' or '.', and must start and end with an alphanumeric character";
const RFC1035_FORM: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const RFC1035_FAULT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with \
     an alphabetic character, and end with an alphanumeric character";
const WILDCARD_FORM: &str = "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const WILDCARD_FAULT: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, \
     which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";

/// The greatest length of a DNS label, in bytes.
pub const LABEL_MAX: usize = 63;
/// The greatest length of a DNS subdomain, in bytes.
pub const SUBDOMAIN_MAX: usize = 253;

/// `fault (e.g. 'a',  or 'b', regex used for validation is 'form')`; the doubled spaces are Kubernetes' own.
pub(crate) fn form_fault(fault: &str, form: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    format!("{fault} (e.g. {}regex used for validation is '{form}')", examples.join(" or "))
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Whether `text` is `edge (middle* edge)?`.
pub(crate) fn framed(text: &str, edge: fn(u8) -> bool, middle: fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => edge(*only),
        [first, inner @ .., last] => edge(*first) && edge(*last) && inner.iter().all(|b| edge(*b) || middle(*b)),
    }
}

fn label_form(text: &str) -> bool {
    framed(text, lower_alnum, |b| b == b'-')
}

pub(crate) fn subdomain_form(text: &str) -> bool {
    text.split('.').all(label_form)
}

/// A DNS label after RFC 1123: lower case letters, digits and dashes, at most 63 bytes.
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > LABEL_MAX {
        faults.push(too_long(LABEL_MAX));
    }
    if !label_form(value) {
        faults.push(match subdomain_form(value) {
            true => "must not contain dots".to_owned(),
            false => form_fault(LABEL_FAULT, LABEL_FORM, &["my-name", "123-abc"]),
        });
    }
    faults
}

/// A DNS subdomain after RFC 1123: labels joined by dots, at most 253 bytes. The form of most objects' names.
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    bounded(value, subdomain_form(value), || form_fault(SUBDOMAIN_FAULT, SUBDOMAIN_FORM, &["example.com"]))
}

/// A DNS subdomain whose labels may hold underscores (the names in a pod's `dnsConfig.searches`).
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let good = value
        .split('.')
        .all(|part| framed(part.strip_prefix('_').unwrap_or(part), lower_alnum, |b| matches!(b, b'-' | b'_')));
    bounded(value, good, || form_fault(SUBDOMAIN_UNDERSCORE_FAULT, SUBDOMAIN_UNDERSCORE_FORM, &["example.com"]))
}

/// A DNS subdomain behind `*.`, as an Ingress host may be.
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let good = value.strip_prefix("*.").is_some_and(subdomain_form);
    bounded(value, good, || form_fault(WILDCARD_FAULT, WILDCARD_FORM, &["*.example.com"]))
}

/// A DNS label after RFC 1035, which begins with a letter: the form of a Service's name up to 1.33, and of some others'.
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > LABEL_MAX {
        faults.push(too_long(LABEL_MAX));
    }
    if !(label_form(value) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        faults.push(form_fault(RFC1035_FAULT, RFC1035_FORM, &["my-name", "abc-123"]));
    }
    faults
}

fn bounded(value: &str, good: bool, fault: impl FnOnce() -> String) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > SUBDOMAIN_MAX {
        faults.push(too_long(SUBDOMAIN_MAX));
    }
    if !good {
        faults.push(fault());
    }
    faults
}

/// A name that can stand as one segment of a URL path; RBAC objects and a few others need no more than this.
pub fn is_path_segment_name(value: &str) -> Vec<String> {
    match value {
        "." => vec!["may not be '.'".to_owned()],
        ".." => vec!["may not be '..'".to_owned()],
        _ => is_path_segment_prefix(value),
    }
}

/// A beginning of a name that can stand as one segment of a URL path (a `generateName`).
pub fn is_path_segment_prefix(value: &str) -> Vec<String> {
    ["/", "%"].into_iter().filter(|s| value.contains(s)).map(|s| format!("may not contain '{s}'")).collect()
}

#[cfg(test)]
mod tests;
