//! Writes JSON as YAML, in the layout that Kubernetes gives: sorted keys, lists not indented.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::scalar::resolve;

/// The YAML text of a value, ending with a line feed.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => mapping(&mut out, members, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        flat => {
            scalar(&mut out, flat, 0);
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, members: &Map<String, Value>, indent: usize) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(key, _)| key.as_str());
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        // The first member of a mapping in a list stands on the line of the dash.
        if index > 0 || !out.ends_with("- ") {
            pad(out, indent);
        }
        text(out, key, indent, false);
        out.push(':');
        below(out, value, indent);
    }
}

fn below(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            mapping(out, members, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(out, items, indent);
        }
        flat => {
            out.push(' ');
            scalar(out, flat, indent + 2);
            out.push('\n');
        }
    }
}

fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !out.ends_with("- ") {
            pad(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => mapping(out, members, indent + 2),
            Value::Array(inner) if !inner.is_empty() => sequence(out, inner, indent + 2),
            flat => {
                scalar(out, flat, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(string) => text(out, string, indent, true),
        // An empty list or mapping, a number, a truth value, null: as in JSON.
        other => out.push_str(&other.to_string()),
    }
}

fn text(out: &mut String, string: &str, indent: usize, block: bool) {
    if block && is_block(string) {
        let end = if !string.ends_with('\n') {
            "-"
        } else if string.ends_with("\n\n") || string == "\n" {
            "+"
        } else {
            ""
        };
        // A text that begins with a space needs its indentation said.
        let hint = if string.starts_with(' ') { "2" } else { "" };
        let _ = write!(out, "|{hint}{end}");
        for line in string.strip_suffix('\n').unwrap_or(string).split('\n') {
            out.push('\n');
            if !line.is_empty() {
                pad(out, indent);
                out.push_str(line);
            }
        }
    } else if is_plain(string) {
        out.push_str(string);
    } else if resolve(string).is_string() && !string.is_empty() && string.chars().all(is_printable) {
        let _ = write!(out, "'{}'", string.replace('\'', "''"));
    } else {
        // JSON's quoting is a subset of YAML's.
        out.push_str(&Value::from(string).to_string());
    }
}

fn is_block(string: &str) -> bool {
    string.contains('\n')
        && string.chars().all(|c| c == '\n' || is_printable(c))
        && !string.starts_with('\n')
        && !string.lines().any(|line| line.ends_with(' '))
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{85}')
}

fn is_plain(string: &str) -> bool {
    let Some(first) = string.chars().next() else { return false };
    let indicator = "-?:,[]{}#&*!|>'\"%@`".contains(first);
    let starts_word = matches!(first, '-' | '?' | ':') && string.chars().nth(1).is_some_and(|c| c != ' ');
    resolve(string).is_string()
        && (!indicator || starts_word)
        && !(string.starts_with("---") || string.starts_with("...") || string == "<<" || string == "=")
        && !string.starts_with(' ')
        && !string.ends_with([' ', ':'])
        && !string.contains(": ")
        && !string.contains(" #")
        && string.chars().all(is_printable)
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}
