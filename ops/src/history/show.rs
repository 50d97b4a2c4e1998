//! An event of an object's history as text or JSON, with what it changed.

use cox_objects::{Event, Object, Resource};
use serde_json::{Map, Value};

use super::diff::{Edit, Path, Step, diff};
use crate::events::line::{self, LAST_APPLIED, REDACTED};

/// The version before an event.
pub enum Before {
    /// There was none.
    Nothing,
    /// This one.
    Version(Object),
    /// It is no longer kept.
    Unknown,
}

/// How events are shown.
pub struct Printer {
    /// As JSON.
    pub json: bool,
    /// With what Secrets hold.
    pub secrets: bool,
    /// In colours.
    pub colours: bool,
}

impl Printer {
    /// The lines of an event.
    pub fn event(&self, event: &Event, before: Option<&Before>) -> String {
        let edits = before.map(|before| self.edits(event, before));
        if self.json {
            let mut members = line::members(event, self.secrets);
            if let Some(edits) = edits {
                let list = |edits: Vec<Edit>| Value::from(edits.into_iter().map(json).collect::<Vec<_>>());
                members.insert("diff".to_owned(), edits.map_or(Value::Null, list));
            }
            return format!("{}\n", Value::Object(members));
        }
        let mut text = line::text(event, self.colours);
        if let Some(chain) = event.cause.correlation {
            text.push_str(&format!("  chain {chain}"));
        }
        text.push('\n');
        match edits {
            None => {}
            Some(None) => text.push_str("          (the version before is no longer kept)\n"),
            Some(Some(edits)) => edits.iter().for_each(|edit| text.push_str(&self.edit(edit))),
        }
        text
    }

    /// What an event changed, but for the version, which each changes.
    fn edits(&self, event: &Event, before: &Before) -> Option<Vec<Edit>> {
        let before = match before {
            Before::Nothing => None,
            Before::Version(object) => Some(object.value()),
            Before::Unknown => return None,
        };
        let mut edits = diff(before.as_ref(), Some(&event.object.value()));
        edits.retain(|edit| edit.path.to_string() != "metadata.resourceVersion");
        if event.key.resource == Resource::SECRETS && !self.secrets {
            edits.iter_mut().filter(|edit| is_secret(&edit.path)).for_each(redact);
        }
        Some(edits)
    }

    fn edit(&self, Edit { path, before, after }: &Edit) -> String {
        let (sign, code, values) = match (before, after) {
            (None, Some(after)) => ('+', "32", after.to_string()),
            (Some(before), None) => ('-', "31", before.to_string()),
            (before, after) => {
                let side = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
                ('~', "33", format!("{} → {}", side(before), side(after)))
            }
        };
        let line = format!("{sign} {path}: {values}");
        if self.colours { format!("          \x1b[{code}m{line}\x1b[0m\n") } else { format!("          {line}\n") }
    }
}

fn json(edit: Edit) -> Value {
    let sides = [("path", Some(edit.path.to_string().into())), ("before", edit.before), ("after", edit.after)];
    Value::Object(sides.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>())
}

/// Whether what is there in a Secret is not to be seen: its entries, and the annotation in which kubectl repeats them.
fn is_secret(path: &Path) -> bool {
    let member = |index: usize| match path.0.get(index) {
        Some(Step::Member(name)) => name.as_str(),
        _ => "",
    };
    matches!(member(0), "data" | "stringData")
        || (member(0), member(1), member(2)) == ("metadata", "annotations", LAST_APPLIED)
}

fn redact(edit: &mut Edit) {
    for side in [&mut edit.before, &mut edit.after].into_iter().flatten() {
        *side = REDACTED.into();
    }
}

#[cfg(test)]
mod tests {
    use cox_objects::{Cause, Change, Draft, Epoch, Key, Position, RequestId};
    use serde_json::json;

    use super::*;

    const PLAIN: Printer = Printer { json: false, secrets: false, colours: false };

    fn object(revision: u64, data: Value) -> Object {
        let value = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "data": data});
        Draft::encode(&value).unwrap().seal(revision)
    }

    fn event(resource: Resource, data: Value) -> Event {
        let cause = Cause { user: "someone".into(), correlation: Some(RequestId(7)), ..Cause::default() };
        Event {
            position: Position { epoch: Epoch(1), revision: 42 },
            transaction: (42, 42),
            time: 1_790_000_000_123,
            key: Key::new(resource, "default", "x"),
            change: Change::Modified,
            object: object(42, data),
            cause,
        }
    }

    #[test]
    fn a_change_shows_its_fields_and_its_chain_but_not_the_version() {
        let event = event(Resource::CONFIGMAPS, json!({"a": "2", "c": "\u{1b}[31m"}));
        let text = PLAIN.event(&event, Some(&Before::Version(object(41, json!({"a": "1", "b": "1"})))));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("someone  chain 00000000000000000000000000000007"), "{text}");
        let edits = [r#"~ data.a: "1" → "2""#, r#"- data.b: "1""#, r#"+ data.c: "\u001b[31m""#];
        assert_eq!(lines[1..].iter().map(|line| line.trim()).collect::<Vec<_>>(), edits);
        let coloured = Printer { colours: true, ..PLAIN }.event(&event, Some(&Before::Nothing));
        assert!(
            coloured.contains("\x1b[32m+ data.a: \"2\"\x1b[0m") && coloured.contains("+ kind: \"X\""),
            "{coloured}"
        );
        assert!(PLAIN.event(&event, Some(&Before::Unknown)).contains("no longer kept"));
    }

    #[test]
    fn that_a_secret_changed_is_shown_and_not_how() {
        let event = event(Resource::SECRETS, json!({"password": "bmV3"}));
        let before = Before::Version(object(41, json!({"password": "b2xk"})));
        for json in [false, true] {
            let hidden = Printer { json, ..PLAIN }.event(&event, Some(&before));
            assert!(
                !hidden.contains("bmV3") && !hidden.contains("b2xk") && hidden.contains("data.password"),
                "{hidden}"
            );
            let shown = Printer { json, secrets: true, ..PLAIN }.event(&event, Some(&before));
            assert!(shown.contains("bmV3") && shown.contains("b2xk"), "{shown}");
        }
    }

    #[test]
    fn json_has_the_edits() {
        let event = event(Resource::CONFIGMAPS, json!({"a": "2"}));
        let printer = Printer { json: true, ..PLAIN };
        let read = |before: Option<&Before>| -> Value { serde_json::from_str(&printer.event(&event, before)).unwrap() };
        let diff = &read(Some(&Before::Version(object(41, json!({"a": "1"})))))["diff"];
        assert_eq!(diff, &json!([{"path": "data.a", "before": "1", "after": "2"}]));
        assert_eq!(read(Some(&Before::Unknown))["diff"], Value::Null);
        assert_eq!(read(None).get("diff"), None);
    }
}
