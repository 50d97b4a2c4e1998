//! The row of an event.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{get, int, text, text_or};
use super::cells::{name, since};
use crate::time;

pub(super) fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let at = |path: &str| time::parse(text(event, path)).is_ok();
    let mut first = since(event, "firstTimestamp", now);
    if !at("firstTimestamp") {
        first = since(event, "eventTime", now);
    }
    let mut last = if at("lastTimestamp") { since(event, "lastTimestamp", now) } else { first.clone() };
    let mut count = int(event, "count");
    if get(event, "series").is_object() {
        last = since(event, "series.lastObservedTime", now);
        count = int(event, "series.count");
    } else if count == 0 {
        // A single event of the newer form counts as one.
        count = 1;
    }
    let object = match (text(event, "involvedObject.kind").to_lowercase(), text(event, "involvedObject.name")) {
        (kind, "") => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    let source = [
        text_or(event, "source.component", text(event, "reportingComponent")),
        text_or(event, "source.host", text(event, "reportingInstance")),
    ];
    let source: Vec<&str> = source.into_iter().filter(|part| !part.is_empty()).collect();
    vec![
        json!(last),
        json!(text(event, "type")),
        json!(text(event, "reason")),
        json!(object),
        json!(text(event, "involvedObject.fieldPath")),
        json!(source.join(", ")),
        json!(text(event, "message").trim()),
        json!(first),
        json!(count),
        json!(name(event)),
    ]
}
