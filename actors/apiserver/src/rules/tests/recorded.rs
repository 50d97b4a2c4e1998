//! The recorded scenarios, with placeholders replaced by values of their form.

use std::path::{Path, PathBuf};

use cox_objects::patch;
use cox_objects::schema::{self, Type};
use serde_json::{Value, json};

/// A scenario.
pub(super) struct Case {
    /// `area/name`
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
}

/// A request and its answer.
pub(super) struct Step {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    content_type: String,
    body: Value,
    pub(super) status: u64,
    pub(super) answer: Value,
    pub(super) warnings: Vec<String>,
}

/// All recorded scenarios.
pub(super) fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases");
    let mut files: Vec<PathBuf> = Vec::new();
    for area in std::fs::read_dir(root).unwrap() {
        files.extend(std::fs::read_dir(area.unwrap().path()).unwrap().map(|f| f.unwrap().path()));
    }
    files.sort();
    files.iter().filter(|f| f.extension().is_some_and(|e| e == "json")).map(|f| case(f)).collect()
}

fn case(file: &Path) -> Case {
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let document = fill(&document);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = document["steps"].as_array().unwrap().iter().map(|step| {
        let response = &step["response"];
        let warning = &response["headers"]["warning"];
        let warnings = match warning {
            Value::Array(many) => many.iter().map(text).collect(),
            Value::String(one) => vec![one.clone()],
            _ => Vec::new(),
        };
        Step {
            id: text(&step["id"]),
            method: text(&step["method"]),
            path: text(&step["path"]),
            content_type: text(&step["headers"]["Content-Type"]),
            body: step["body"].clone(),
            status: response["status"].as_u64().unwrap_or_default(),
            answer: response["body"].clone(),
            warnings,
        }
    });
    Case { name: format!("{}/{}", text(&document["area"]), text(&document["name"])), steps: steps.collect() }
}

/// Replaces what differs from run to run by something of the same form.
fn fill(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (fill_text(k), fill(v))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(fill).collect::<Vec<_>>().into(),
        Value::String(text) => match text.strip_prefix("<port:").and_then(|t| t.strip_suffix('>')) {
            Some(number) => json!(30_000 + number.parse::<u64>().unwrap()),
            None => json!(fill_text(text)),
        },
        other => other.clone(),
    }
}

fn fill_text(text: &str) -> String {
    let mut filled = text.replace("{{ns}}", "ns").replace("<time>", "2030-01-01T00:00:00Z");
    filled = filled.replace("<microtime>", "2030-01-01T00:00:00.000000Z");
    for number in 1..10 {
        filled = filled.replace(&format!("<uid:{number}>"), &format!("11111111-2222-3333-4444-00000000000{number}"));
        filled = filled.replace(&format!("<ip:{number}>"), &format!("10.96.0.{number}"));
        filled = filled.replace(&format!("<gen:{number}>"), "abcde");
    }
    filled
}

impl Step {
    /// Whether the request refers to earlier live answers, is no JSON, or the answer was masked.
    pub(super) fn unusable(&self) -> bool {
        let text = self.body.to_string();
        text.contains("{{steps.") || text.contains("$text") || self.answer == "<any>" || self.path.contains("{{steps.")
    }

    /// Whether admission said no.
    pub(super) fn refused_by_policy(&self) -> bool {
        self.answer["message"].as_str().is_some_and(|m| m.contains("is forbidden: "))
    }

    /// The object that the request asks for, before defaults.
    pub(super) fn wanted(&self, old: Option<&Value>, owner: &'static Type) -> Option<Value> {
        let body = self.raw(old, owner)?;
        schema::check(&body, owner).ok().map(|decoded| decoded.value)
    }

    fn raw(&self, old: Option<&Value>, owner: &'static Type) -> Option<Value> {
        match (self.method.as_str(), old) {
            ("POST", _) => Some(self.body.clone()),
            ("PUT", Some(_)) => Some(self.body.clone()),
            ("PATCH", Some(old)) => {
                if old.to_string().contains("<any>") {
                    return None;
                }
                let text = self.body.to_string();
                match self.content_type.as_str() {
                    "application/merge-patch+json" => Some(patch::merge::apply(old, text.as_bytes()).ok()?.object),
                    "application/json-patch+json" => Some(patch::json::apply(old, text.as_bytes()).ok()?.object),
                    "application/strategic-merge-patch+json" => patch::strategic::apply(old, &self.body, owner).ok(),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// What a path names.
pub(super) struct Target {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) plural: String,
    name: String,
    pub(super) subresource: String,
    pub(super) dry_run: bool,
}

impl Target {
    pub(super) fn parse(step: &Step) -> Option<Target> {
        let (path, query) = step.path.split_once('?').unwrap_or((&step.path, ""));
        let mut parts = path.trim_start_matches('/').split('/').map(str::to_owned);
        let group = match parts.next()?.as_str() {
            "api" => String::new(),
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?;
        let mut rest: Vec<String> = parts.collect();
        let mut namespace = String::new();
        if rest.first().is_some_and(|p| p == "namespaces")
            && rest.len() > 2
            && !["status", "finalize"].contains(&rest[2].as_str())
        {
            namespace = rest[1].clone();
            rest.drain(..2);
        }
        let mut rest = rest.into_iter();
        Some(Target {
            group,
            version,
            namespace,
            plural: rest.next()?,
            name: rest.next().unwrap_or_default(),
            subresource: rest.next().unwrap_or_default(),
            dry_run: query.contains("dryRun"),
        })
    }

    /// Where the object lies; a creation has its name in the answer only.
    pub(super) fn object_path(&self, answer: &Value) -> String {
        let name =
            if self.name.is_empty() { answer["metadata"]["name"].as_str().unwrap_or_default() } else { &self.name };
        format!("{}/{}/{}/{name}", self.group, self.plural, self.namespace)
    }
}
