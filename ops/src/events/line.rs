//! One line for an event, for people or as JSON; what Secrets hold is left out.

use cox_objects::at::time_text;
use cox_objects::{Change, Event, Key, Resource, Revision, Trigger};
use serde_json::{Map, Value, json};

/// What stands in the place of a secret.
pub const REDACTED: &str = "<redacted>";
/// The annotation in which kubectl keeps the whole manifest, secrets included.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Revision, time, change, resource, namespace/name, who.
pub fn text(event: &Event, colours: bool) -> String {
    let (word, code) = match event.change {
        Change::Added => ("added", "32"),
        Change::Modified => ("modified", "33"),
        Change::Deleted => ("deleted", "31"),
    };
    let word = format!("{word:8}");
    let word = if colours { format!("\x1b[{code}m{word}\x1b[0m") } else { word };
    let (revision, time, key) = (event.revision(), time_text(event.time), &event.key);
    let mut line =
        format!("{revision:>8}  {time}  {word}  {:28}  {:44}  {}", key.resource.as_str(), key.path(), event.cause.user);
    if let Some(trigger) = &event.cause.trigger {
        line.push_str(&match trigger {
            Trigger::Event(position) => format!(" ← {}", position.revision),
            Trigger::Timer(name) => format!(" ← {name}"),
        });
    }
    line
}

/// The event with its object, as one line.
pub fn json(event: &Event) -> String {
    Value::Object(members(event, false)).to_string()
}

/// The event with its object; what a Secret holds only if it is to be shown.
pub fn members(event: &Event, show_secrets: bool) -> Map<String, Value> {
    let Event { position, transaction, time, key, change, object, cause } = event;
    let mut object = object.value();
    if key.resource == Resource::SECRETS && !show_secrets {
        redact(&mut object);
    }
    let mut line = place(position.revision, key);
    let rest = json!({
        "epoch": position.epoch.to_string(),
        "transaction": [transaction.0, transaction.1],
        "time": time_text(*time),
        "change": change,
        "user": cause.user,
        "component": cause.component,
        "request": cause.request.to_string(),
        "observed": cause.observed,
        "trigger": cause.trigger.as_ref().map(trigger),
        "folded": cause.folded.iter().map(trigger).collect::<Vec<_>>(),
        "correlation": cause.correlation.map(|id| id.to_string()),
        "traceparent": cause.traceparent,
        "object": object,
    });
    if let Value::Object(rest) = rest {
        line.extend(rest);
    }
    line
}

/// An event whose object cannot be read with the keys that we have.
pub fn sealed_text(revision: Revision, key: &Key) -> String {
    format!(
        "{revision:>8}  sealed with a key that these credentials do not have: {} {}",
        key.resource.as_str(),
        key.path()
    )
}

/// The same as JSON.
pub fn sealed_json(revision: Revision, key: &Key) -> String {
    let mut line = place(revision, key);
    line.insert("sealed".to_owned(), true.into());
    Value::Object(line).to_string()
}

fn place(revision: Revision, key: &Key) -> Map<String, Value> {
    let place = [
        ("revision", json!(revision)),
        ("group", json!(key.resource.group())),
        ("resource", json!(key.resource.plural())),
        ("namespace", json!(key.namespace())),
        ("name", json!(key.name())),
    ];
    place.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn trigger(trigger: &Trigger) -> Value {
    match trigger {
        Trigger::Event(position) => json!({"event": position.to_string()}),
        Trigger::Timer(name) => json!({"timer": name}),
    }
}

/// Leaves the names of a Secret's entries and takes what they hold.
fn redact(secret: &mut Value) {
    for field in ["data", "stringData"] {
        if let Some(Value::Object(entries)) = secret.get_mut(field) {
            entries.values_mut().for_each(|value| *value = REDACTED.into());
        }
    }
    if let Some(Value::Object(annotations)) = secret.pointer_mut("/metadata/annotations")
        && let Some(manifest) = annotations.get_mut(LAST_APPLIED)
    {
        *manifest = REDACTED.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cox_objects::{Cause, Draft, Epoch, Position, RequestId};

    fn event(resource: Resource, object: &Value) -> Event {
        let cause = Cause {
            user: "system:kube-scheduler".into(),
            request: RequestId(7),
            trigger: Some(Trigger::Event(Position { epoch: Epoch(1), revision: 41 })),
            ..Cause::default()
        };
        Event {
            position: Position { epoch: Epoch(1), revision: 42 },
            transaction: (42, 42),
            time: 1_790_000_000_123,
            key: Key::new(resource, "default", "x"),
            change: Change::Modified,
            object: Draft::encode(object).unwrap().seal(42),
            cause,
        }
    }

    #[test]
    fn a_line_says_revision_time_change_object_and_who() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "default"}});
        let line = text(&event(Resource::PODS, &pod), false);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words,
            ["42", "2026-09-21T14:13:20.123Z", "modified", "pods", "default/x", "system:kube-scheduler", "←", "41"]
        );
    }

    #[test]
    fn nothing_that_a_secret_holds_is_printed() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "x", "namespace": "default", "annotations": {LAST_APPLIED: "{\"data\":{\"password\":\"aHVzaA==\"}}", "note": "kept"}},
            "data": {"password": "aHVzaA=="}, "stringData": {"password": "hush"},
        });
        let event = event(Resource::SECRETS, &secret);
        let (line, text) = (json(&event), text(&event, false));
        assert!(!line.contains("aHVzaA==") && !line.contains("hush") && !text.contains("aHVzaA=="), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["object"]["data"]["password"], REDACTED);
        assert_eq!(line["object"]["metadata"]["annotations"]["note"], "kept");
        assert_eq!(
            (&line["resource"], &line["revision"], &line["change"]),
            (&json!("secrets"), &json!(42), &json!("modified"))
        );
    }
}
