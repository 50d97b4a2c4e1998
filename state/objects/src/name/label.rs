//! Label keys and label values.

use super::{SUBDOMAIN_FAULT, SUBDOMAIN_FORM, SUBDOMAIN_MAX, form_fault, framed, subdomain_form};

const KEY_FORM: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const KEY_FAULT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character";
const KEY_EXAMPLES: &[&str] = &["MyName", "my.name", "123-abc"];
const VALUE_FORM: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const VALUE_FAULT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
     '.', and must start and end with an alphanumeric character";
const MAX: usize = 63;

// The checks of labels count in bytes and say so; those of names say "characters".
fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn word(text: &str) -> bool {
    framed(text, |b| b.is_ascii_alphanumeric(), |b| matches!(b, b'-' | b'_' | b'.'))
}

/// A label key, also called qualified name: `name` or `dns.subdomain/name`, the name at most 63 bytes.
pub fn is_label_key(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let (prefix, name) = match value.split_once('/') {
        None => (None, value),
        Some((prefix, name)) if !name.contains('/') => (Some(prefix), name),
        Some(_) => {
            let fault = form_fault(&format!("a valid label key {KEY_FAULT}"), KEY_FORM, KEY_EXAMPLES);
            return vec![format!("{fault} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    match prefix {
        Some("") => faults.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            if prefix.len() > SUBDOMAIN_MAX {
                faults.push(format!("prefix part {}", too_long(SUBDOMAIN_MAX)));
            }
            if !subdomain_form(prefix) {
                faults.push(format!("prefix part {}", form_fault(SUBDOMAIN_FAULT, SUBDOMAIN_FORM, &["example.com"])));
            }
        }
        None => {}
    }
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX {
        faults.push(format!("name part {}", too_long(MAX)));
    }
    if !word(name) {
        faults.push(format!("name part {}", form_fault(KEY_FAULT, KEY_FORM, KEY_EXAMPLES)));
    }
    faults
}

/// A label value: empty, or letters, digits, `-`, `_` and `.` with a letter or digit at both ends, at most 63 bytes.
pub fn is_label_value(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > MAX {
        faults.push(too_long(MAX));
    }
    if !value.is_empty() && !word(value) {
        faults.push(form_fault(VALUE_FAULT, VALUE_FORM, &["MyValue", "my_value", "12345"]));
    }
    faults
}
