//! The decoder against recorded requests and answers.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kinds;
use crate::schema::{Type, decode, excerpt, identify, patched_text, schema};

/// All areas but those of custom resources and server-side apply, which have other decoders.
const AREAS: [&str; 19] = [
    "admission",
    "auth",
    "configmaps",
    "content",
    "controllers",
    "delete",
    "discovery",
    "errors",
    "kinds",
    "lists",
    "listwatch",
    "patch",
    "pods",
    "scheduling",
    "services",
    "subresources",
    "validation",
    "watch",
    "workloads",
];

pub(super) fn cases(area: &str) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases").join(area);
    let paths = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    paths.map(|p| (p.clone(), serde_json::from_slice(&std::fs::read(&p).unwrap()).unwrap())).collect()
}

fn body_of(step: &Value) -> Option<String> {
    match step.get("body")? {
        Value::Object(o) if o.contains_key("$text") => Some(o["$text"].as_str()?.to_owned()),
        body => Some(body.to_string()),
    }
}

fn is_json(step: &Value) -> bool {
    step["headers"].get("Content-Type").and_then(Value::as_str).is_none_or(|t| t == "application/json")
}

/// The kind that a request path is about, for plain collections.
fn kind_at(table: &crate::Kinds, path: &str) -> Option<std::sync::Arc<crate::Kind>> {
    let path = path.split('?').next()?.trim_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let plural = match rest {
        ["namespaces", _, plural] | ["namespaces", _, plural, _] | [plural] => plural,
        _ => return None,
    };
    table.at(group, version, plural).cloned()
}

/// Every recorded refusal of a body by its form is refused in the same words.
#[test]
fn refusals_are_worded_as_recorded() {
    let table = kinds::builtin();
    let mut seen = 0;
    for (path, case) in AREAS.iter().flat_map(|a| cases(a)) {
        for step in case["steps"].as_array().unwrap().iter().filter(|s| is_json(s)) {
            let message = step["response"]["body"]["message"].as_str().unwrap_or("");
            let (Some(body), Some(kind)) = (body_of(step), kind_at(&table, step["path"].as_str().unwrap())) else {
                continue;
            };
            let what = format!("{} {}", path.display(), step["id"]);
            if let Some((_, why)) = message.split_once(&format!("(must be of type {}): ", kind.kind)) {
                let error = identify(body.as_bytes()).unwrap_err();
                match step["body"].get("$text") {
                    Some(_) => assert_eq!(format!("{error} ({})", excerpt(body.as_bytes())), why, "{what}"),
                    // The recorder spaced this one's text otherwise.
                    None => assert!(why.starts_with(&error.to_string()), "{what}: {error}"),
                }
                seen += 1;
            } else if let Some((_, why)) = message.split_once(&format!("cannot be handled as a {}: ", kind.kind)) {
                if why.contains("is registered") || why.contains("unknown conversion") {
                    continue;
                }
                let read = decode(body.as_bytes(), schema().named(&kind.api_version(), &kind.kind).unwrap());
                let ours = match read {
                    Ok(read) => in_order(why, &read.strict),
                    Err(error) => error.to_string(),
                };
                assert_eq!(ours, why.replace("<microtime>", "2006-01-02T15:04:05.000000Z"), "{what}");
                seen += 1;
            }
        }
    }
    assert!(seen > 25, "only {seen} refusals were recorded");
}

/// The strict findings as one text; in the recorded order if they are the same, as a parsed case has lost the text's.
fn in_order(recorded: &str, found: &[String]) -> String {
    let mut order: Vec<&str> = recorded.trim_start_matches("strict decoding error: ").split(", ").collect();
    let mut sorted = found.to_vec();
    order.sort_unstable();
    sorted.sort();
    if order == sorted { recorded.to_owned() } else { format!("strict decoding error: {}", found.join(", ")) }
}

/// Warnings about fields are those that were recorded. (Their order is that of the text, which a parsed case has lost.)
#[test]
fn warnings_are_as_recorded() {
    let table = kinds::builtin();
    let mut seen = 0;
    for (path, case) in AREAS.iter().flat_map(|a| cases(a)) {
        for step in case["steps"].as_array().unwrap().iter().filter(|s| is_json(s)) {
            let warnings: Vec<String> = match &step["response"]["headers"]["warning"] {
                Value::String(one) => vec![one.clone()],
                Value::Array(many) => many.iter().map(|w| w.as_str().unwrap().to_owned()).collect(),
                _ => continue,
            };
            let mut fields: Vec<String> = warnings.into_iter().filter(|w| w.contains("field \\\"")).collect();
            let (Some(body), Some(kind)) = (body_of(step), kind_at(&table, step["path"].as_str().unwrap())) else {
                continue;
            };
            if fields.is_empty() || !matches!(step["method"].as_str(), Some("POST" | "PUT")) {
                continue;
            }
            let read = decode(body.as_bytes(), schema().named(&kind.api_version(), &kind.kind).unwrap()).unwrap();
            let mut ours: Vec<String> = read.strict.iter().map(|s| format!("299 - {s:?}")).collect();
            if step["body"].get("$text").is_none() {
                ours.sort();
                fields.sort();
            }
            assert_eq!(ours, fields, "{} {}", path.display(), step["id"]);
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} warnings were recorded");
}

/// What a patch made is quoted as recorded: sorted where the patch went, in declared order elsewhere.
#[test]
fn patched_objects_are_quoted_as_recorded() {
    let mut seen = 0;
    for (path, case) in cases("patch") {
        for step in case["steps"].as_array().unwrap() {
            let message = step["response"]["body"]["message"].as_str().unwrap_or("");
            let quoted = message.strip_prefix(" \"\" is invalid: patch: Invalid value: ").unwrap_or("");
            let Some(end) = quoted.rfind("}\": ").filter(|_| quoted.starts_with("\"{")) else { continue };
            let text: String = serde_json::from_str(&quoted[..end + 2]).unwrap();
            let after: Value = serde_json::from_str(&text).unwrap();
            let (version, kind) = (after["apiVersion"].as_str().unwrap(), after["kind"].as_str().unwrap());
            let Some(owner) = schema().named(version, kind) else { continue };
            let what = format!("{} {}", path.display(), step["id"]);
            let before = before(&after, step);
            assert_eq!(patched_text(&before, &after, owner), text, "{what}");
            seen += 1;
        }
    }
    assert!(seen > 4, "only {seen} quotes were recorded");
}

/// An object that differs from the patched one where the patch went.
fn before(after: &Value, step: &Value) -> Value {
    fn differ(value: &mut Value, patch: &Value) {
        match (value, patch) {
            (Value::Object(fields), Value::Object(changes)) => {
                for (name, change) in changes {
                    match change.as_object().is_some_and(|c| !c.is_empty()) {
                        true => fields.get_mut(name).into_iter().for_each(|value| differ(value, change)),
                        false => drop(fields.remove(name)),
                    }
                }
            }
            (value, _) => *value = Value::from("before"),
        }
    }
    let mut before = after.clone();
    match &step["body"] {
        Value::Array(operations) => {
            for path in operations.iter().filter_map(|o| o["path"].as_str()) {
                before.pointer_mut(path).into_iter().for_each(|value| *value = Value::from("before"));
            }
        }
        body => match body.get("$text").and_then(Value::as_str) {
            Some(text) => differ(&mut before, &serde_json::from_str(text).unwrap()),
            None => differ(&mut before, body),
        },
    }
    before
}

/// Objects that the server answered are what reading them makes of them: what may be empty, what is always there.
#[test]
fn answers_are_their_own_round_trip() {
    let mut seen = 0;
    for (path, case) in AREAS.iter().flat_map(|a| cases(a)) {
        for step in case["steps"].as_array().unwrap() {
            for (owner, answer) in objects(&step["response"]["body"]) {
                let what = format!("{} {}", path.display(), step["id"]);
                let read = decode(answer.to_string().as_bytes(), owner).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(read.strict, Vec::<String>::new(), "{what}");
                assert!(
                    read.value == answer,
                    "{what}:\n{}",
                    differences(&answer, &read.value, String::new()).join("\n")
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "only {seen} answers were recorded");
}

/// The objects of an answer: itself, the items of a list, those of a watch's events.
fn objects(body: &Value) -> Vec<(&'static Type, Value)> {
    let (version, kind) = (body["apiVersion"].as_str().unwrap_or(""), body["kind"].as_str().unwrap_or(""));
    if let Some(events) = body["$events"].as_array() {
        return events.iter().flat_map(|event| objects(&event["object"])).collect();
    }
    if let (Some(item), Some(items)) = (kind.strip_suffix("List"), body["items"].as_array()) {
        let owner = schema().named(version, item);
        return items.iter().filter_map(|i| Some((owner?, live(i)?))).collect();
    }
    let owner = schema().named(version, kind).filter(|o| o.name() != "Status");
    owner.and_then(|owner| Some((owner, live(body)?))).into_iter().collect()
}

/// Puts values where a recording has placeholders; nothing for one with masked parts.
fn live(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) if text == "<any>" => return None,
        Value::String(text) if text.contains("<microtime>") => Value::from("2026-01-01T00:00:00.000000Z"),
        Value::String(text) if text.contains("<time>") => Value::from("2026-01-01T00:00:00Z"),
        Value::String(text) if text.starts_with("<port:") => Value::from(30000),
        Value::String(text) if text.ends_with("64>") => Value::from("YQ=="),
        Value::Array(items) => Value::Array(items.iter().map(live).collect::<Option<_>>()?),
        Value::Object(fields) => {
            // These are masked in most recordings, and may be absent as well.
            let known = fields.iter().filter(|(k, v)| !(*k == "managedFields" && **v == "<any>"));
            Value::Object(known.map(|(k, v)| Some((k.clone(), live(v)?))).collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

pub(super) fn differences(a: &Value, b: &Value, at: String) -> Vec<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: std::collections::BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            let null = Value::from("(absent)");
            keys.into_iter()
                .flat_map(|k| differences(x.get(k).unwrap_or(&null), y.get(k).unwrap_or(&null), format!("{at}.{k}")))
                .collect()
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().flat_map(|(i, (x, y))| differences(x, y, format!("{at}[{i}]"))).collect()
        }
        _ if a == b => Vec::new(),
        _ => vec![format!("{at}: recorded {a}, ours {b}")],
    }
}
