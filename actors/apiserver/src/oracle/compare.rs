//! Comparing an answer with the recorded one: placeholders by their form, masked places not at all.

use std::collections::BTreeMap;

use serde_json::Value;

/// What numbered placeholders stand for in this run.
pub(super) type Bound = BTreeMap<String, Value>;

/// The places where an answer differs from the recorded one.
pub(super) fn compare(
    bound: &mut Bound,
    expected: &Value,
    masks: &[&Value],
    code: u16,
    body: &Value,
    warnings: &[String],
    namespace: &str,
) -> Vec<String> {
    let wanted = expected["status"].as_u64().unwrap_or(0);
    if wanted != u64::from(code) {
        let message = body.get("message").map(Value::to_string).unwrap_or_default();
        let said = expected["body"].get("message").map(Value::to_string).unwrap_or_default();
        return vec![format!("status {code} instead of {wanted}: {message}, not {said}")];
    }
    let mut pointers: Vec<Vec<String>> = Vec::new();
    for mask in masks {
        for pointer in mask.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let parts = pointer.split('/').skip(1).map(|p| p.replace("~1", "/").replace("~0", "~"));
            pointers.push(parts.collect());
        }
    }
    pointers.push(vec!["**".into(), "managedFields".into()]);
    let mut differences = Vec::new();
    if let Some(text) = expected["headers"].get("warning").map(Value::to_string) {
        for warning in warnings.iter().filter(|w| !text.contains(&w.replace('"', "\\\\\\\""))) {
            differences.push(format!("warning {warning}"));
        }
        if warnings.is_empty() {
            differences.push(format!("no warning {text}"));
        }
    } else if let [first, ..] = warnings {
        differences.push(format!("warning {first}"));
    }
    walk(bound, &expected["body"], body, &mut Vec::new(), &pointers, namespace, &mut differences);
    differences.truncate(6);
    differences
}

fn masked(path: &[String], pointers: &[Vec<String>]) -> bool {
    pointers.iter().any(|pointer| fits(pointer, path))
}

fn fits(pointer: &[String], path: &[String]) -> bool {
    match (pointer.first().map(String::as_str), path.first()) {
        (None, None) => true,
        (Some("**"), _) => fits(&pointer[1..], path) || (!path.is_empty() && fits(pointer, &path[1..])),
        (Some("*"), Some(_)) => fits(&pointer[1..], &path[1..]),
        (Some(part), Some(said)) if part == said => fits(&pointer[1..], &path[1..]),
        _ => false,
    }
}

fn walk(
    bound: &mut Bound,
    expected: &Value,
    live: &Value,
    path: &mut Vec<String>,
    pointers: &[Vec<String>],
    namespace: &str,
    out: &mut Vec<String>,
) {
    if masked(path, pointers) {
        return;
    }
    match (expected, live) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                let key = key.replace("{{ns}}", namespace);
                path.push(key.clone());
                match b.get(&key) {
                    Some(other) => walk(bound, value, other, path, pointers, namespace, out),
                    None if masked(path, pointers) || key == "selfLink" => {}
                    None => out.push(format!("/{} missing, is {value}", path.join("/"))),
                }
                path.pop();
            }
            for (key, value) in b {
                path.push(key.clone());
                let known = a.keys().any(|k| k.replace("{{ns}}", namespace) == *key);
                if !known && !masked(path, pointers) {
                    out.push(format!("/{} too much: {value}", path.join("/")));
                }
                path.pop();
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let (mut a, mut b) = (a.clone(), b.clone());
            if path.last().is_some_and(|p| p == "causes") {
                let by = |v: &Value| (v["field"].to_string(), v["reason"].to_string(), v["message"].to_string());
                a.sort_by_key(by);
                b.sort_by_key(by);
            }
            for (index, (x, y)) in a.iter().zip(&b).enumerate() {
                path.push(index.to_string());
                walk(bound, x, y, path, pointers, namespace, out);
                path.pop();
            }
        }
        (Value::String(text), live) => {
            let text = text.replace("{{ns}}", namespace);
            if !same(bound, &text, live) {
                out.push(format!("/{} is {live}, not {text:?}", path.join("/")));
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push(format!("/{} is {b}, not {a}", path.join("/"))),
    }
}

/// Whether a live value is what a text with placeholders stands for.
fn same(bound: &mut Bound, text: &str, live: &Value) -> bool {
    if text == "<any>" || *live == text {
        return true;
    }
    if text.starts_with('<') && text.ends_with('>') && !text.contains(' ') && text.matches('<').count() == 1 {
        if !text.contains(':') {
            return !live.is_null();
        }
        return bound.entry(text.to_owned()).or_insert_with(|| live.clone()) == live;
    }
    // Placeholders inside a text: compare what stands between them.
    let Some(live) = live.as_str() else { return false };
    if !text.contains('<') {
        return false;
    }
    let mut rest = live;
    let mut pieces = Vec::new();
    let mut tail = text;
    while let Some(start) = tail.find('<') {
        let Some(end) = tail[start..].find('>') else { break };
        pieces.push(&tail[..start]);
        tail = &tail[start + end + 1..];
    }
    pieces.push(tail);
    for (index, piece) in pieces.iter().enumerate() {
        match rest.find(piece) {
            Some(at) if index > 0 || at == 0 => rest = &rest[at + piece.len()..],
            _ => return false,
        }
    }
    true
}
