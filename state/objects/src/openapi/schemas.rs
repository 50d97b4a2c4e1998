//! The schemas of a document: those that its paths refer to, and those that they lead to.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

/// One schema a line, name and JSON separated by a tab; made by `ops/generate/schema.py`.
pub(super) const COMPRESSED: &[u8] = include_bytes!("../../data/openapi.gz");

const REFERENCE: &str = "#/components/schemas/";

/// The JSON object of all schemas that a value refers to, directly or not.
pub(super) fn closure(value: &Value) -> Option<String> {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED).read_to_string(&mut text).ok()?;
    let all: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let paths = value.to_string();
    let mut wanted = BTreeSet::new();
    let mut waiting: Vec<&str> = references(&paths).collect();
    while let Some(name) = waiting.pop() {
        if let (true, Some(schema)) = (wanted.insert(name), all.get(name)) {
            waiting.extend(references(schema));
        }
    }
    let entries: Vec<String> =
        wanted.iter().filter_map(|name| Some(format!("{}:{}", Value::from(*name), all.get(name)?))).collect();
    Some(format!("{{{}}}", entries.join(",")))
}

fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split(REFERENCE).skip(1).filter_map(|rest| rest.split_once('"').map(|(name, _)| name))
}
