//! The parameters of operations.

use serde_json::{Value, json};

/// A part of the path.
pub(super) fn path(name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "path", "description": description, "required": true,
        "schema": {"type": "string", "uniqueItems": true},
    })
}

fn query(name: &str, kind: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": true},
    })
}

fn texts(names: &[(&str, &str, &str)]) -> Vec<Value> {
    names.iter().map(|(name, kind, description)| query(name, kind, description)).collect()
}

/// What every operation takes.
pub(super) fn common() -> Vec<Value> {
    texts(&[("pretty", "string", "If 'true', the output is printed for people to read.")])
}

/// What lists and watches take.
pub(super) fn list() -> Vec<Value> {
    texts(&[
        ("allowWatchBookmarks", "boolean", "Ask for BOOKMARK events, which only tell how far the watch is."),
        ("continue", "string", "The token of the chunk before, to get the next one."),
        ("fieldSelector", "string", "Only objects whose fields fit."),
        ("labelSelector", "string", "Only objects whose labels fit."),
        ("limit", "integer", "The most objects that one answer has; the rest is got with its continue token."),
        ("resourceVersion", "string", "The version from which, or no older than which, the answer is."),
        ("resourceVersionMatch", "string", "How resourceVersion is meant for a list: Exact or NotOlderThan."),
        ("sendInitialEvents", "boolean", "Begin a watch with the objects that exist, and a bookmark after them."),
        ("timeoutSeconds", "integer", "When a list gives up, or a watch ends."),
        ("watch", "boolean", "Answer with the changes from then on, as a stream."),
    ])
}

/// What writes take.
pub(super) fn write() -> Vec<Value> {
    texts(&[
        ("dryRun", "string", "All: do everything but store the result."),
        ("fieldManager", "string", "The name of who makes the changes."),
        (
            "fieldValidation",
            "string",
            "What to do about unknown or duplicate fields: Ignore them, Warn about them (the default), or refuse them (Strict).",
        ),
    ])
}

/// What a patch takes besides.
pub(super) fn force() -> Value {
    query("force", "boolean", "Take fields over from other managers; for apply patches only.")
}

/// What deletions take.
pub(super) fn delete() -> Vec<Value> {
    texts(&[
        ("dryRun", "string", "All: do everything but store the result."),
        ("gracePeriodSeconds", "integer", "How long the object may take to end; 0 is at once."),
        ("orphanDependents", "boolean", "Replaced by propagationPolicy."),
        ("propagationPolicy", "string", "What happens to dependents: Orphan, Background, Foreground."),
    ])
}
