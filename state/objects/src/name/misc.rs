//! Environment variables, keys of ConfigMaps, ports, users and the other small forms.

use super::{SUBDOMAIN_MAX, form_fault, is_dns1123_label, is_dns1123_subdomain, too_long};

/// A C identifier.
pub fn is_c_identifier(value: &str) -> Vec<String> {
    let head = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let good = head && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    fault_unless(good, || {
        let fault = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
             alphanumeric characters or '_'";
        form_fault(fault, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])
    })
}

/// The name of an environment variable, as it was before Kubernetes relaxed it.
pub fn is_env_var_name(value: &str) -> Vec<String> {
    let good = !value.is_empty() && !value.starts_with(|c: char| c.is_ascii_digit()) && value.bytes().all(key_byte);
    let mut faults = fault_unless(good, || {
        let fault = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or \
             '.', and must not start with a digit";
        form_fault(fault, "[-._a-zA-Z][-._a-zA-Z0-9]*", &["my.env-name", "MY_ENV.NAME", "MyEnvName1"])
    });
    faults.extend(dots(value));
    faults
}

/// The name of an environment variable: any printable ASCII character but `=` (KEP-4369).
pub fn is_env_var_name_relaxed(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    fault_unless(value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'='), || {
        "a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()
    })
}

/// A key in a ConfigMap or Secret, which becomes a file name: at most 253 bytes.
pub fn is_config_key(value: &str) -> Vec<String> {
    let mut faults = fault_unless(value.len() <= SUBDOMAIN_MAX, || too_long(SUBDOMAIN_MAX));
    faults.extend(fault_unless(!value.is_empty() && value.bytes().all(key_byte), || {
        let fault = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        form_fault(fault, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"])
    }));
    faults.extend(dots(value));
    faults
}

fn key_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

fn dots(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ if value.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

/// The name of a port: an IANA service name (RFC 6335), at most 15 bytes.
pub fn is_port_name(value: &str) -> Vec<String> {
    let mut faults = fault_unless(value.len() <= 15, || too_long(15));
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    faults.extend(fault_unless(!value.is_empty() && value.bytes().all(allowed), || {
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned()
    }));
    faults.extend(fault_unless(value.bytes().any(|b| b.is_ascii_lowercase()), || {
        "must contain at least one letter (a-z)".to_owned()
    }));
    faults.extend(fault_unless(!value.contains("--"), || "must not contain consecutive hyphens".to_owned()));
    faults.extend(fault_unless(!value.starts_with('-') && !value.ends_with('-'), || {
        "must not begin or end with a hyphen".to_owned()
    }));
    faults
}

/// A port number, 1 to 65535.
pub fn is_port_number(value: i64) -> Vec<String> {
    in_range(value, 1, 65535)
}

/// A numeric user, 0 to 2³¹−1.
pub fn is_user_id(value: i64) -> Vec<String> {
    in_range(value, 0, i64::from(i32::MAX))
}

/// A numeric group, 0 to 2³¹−1.
pub fn is_group_id(value: i64) -> Vec<String> {
    in_range(value, 0, i64::from(i32::MAX))
}

fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    fault_unless((low..=high).contains(&value), || format!("must be between {low} and {high}, inclusive"))
}

/// A percentage: digits and `%`.
pub fn is_percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    fault_unless(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()), || {
        let fault = "a valid percent string must be a numeric string followed by an ending '%'";
        form_fault(fault, "[0-9]+%", &["1%", "93%"])
    })
}

/// The name of an HTTP header, as Kubernetes allows it in probes.
pub fn is_http_header_name(value: &str) -> Vec<String> {
    let good = !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fault_unless(good, || {
        form_fault(
            "a valid HTTP header must consist of alphanumeric characters or '-'",
            "[-A-Za-z0-9]+",
            &["X-Header-Name"],
        )
    })
}

/// A domain with at least three labels (a signer's or a finalizer's owner). All faults come as one text.
pub fn is_fully_qualified_name(value: &str) -> Vec<String> {
    match is_dns1123_subdomain(value) {
        faults if !faults.is_empty() => vec![faults.join(",")],
        _ => fault_unless(value.split('.').count() >= 3, || {
            "should be a domain with at least three segments separated by dots".to_owned()
        }),
    }
}

/// A domain with at least two labels; one dot at its end is allowed.
pub fn is_fully_qualified_domain_name(value: &str) -> Vec<String> {
    let name = value.strip_suffix('.').unwrap_or(value);
    match is_dns1123_subdomain(name) {
        faults if !faults.is_empty() => return vec![faults.join(",")],
        _ if name.split('.').count() < 2 => {
            return vec!["should be a domain with at least two segments separated by dots".to_owned()];
        }
        _ => {}
    }
    let label = name.split('.').map(is_dns1123_label).find(|faults| !faults.is_empty());
    label.map(|faults| vec![faults.join(",")]).unwrap_or_default()
}

/// `domain/path`, as `acme.io/foo` (a signer's name, a Job's `managedBy`).
pub fn is_domain_prefixed_path(value: &str) -> Vec<String> {
    let Some((host, path)) = value.split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty()) else {
        return vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()];
    };
    let mut faults = is_dns1123_subdomain(host);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    faults.extend(fault_unless(path.bytes().all(allowed), || {
        "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')".to_owned()
    }));
    faults
}

fn fault_unless(good: bool, fault: impl FnOnce() -> String) -> Vec<String> {
    if good { Vec::new() } else { vec![fault()] }
}
