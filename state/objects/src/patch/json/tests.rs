//! JSON Patch against the recorded requests, and the laws of its operations.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Replays the patches of a recorded case: each is applied to the answer before it, and must do what the recorded one did.
fn replay(case: &str) -> usize {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases/patch").join(case);
    let case: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut current = Value::Null;
    let mut seen = 0;
    for step in case["steps"].as_array().unwrap() {
        let (body, response) = (&step["body"], &step["response"]);
        if step["method"] == "PATCH" {
            let text = body.get("$text").and_then(Value::as_str).map_or_else(|| body.to_string(), str::to_owned);
            let result = apply(&current, text.as_bytes());
            match (response["status"].as_u64().unwrap(), result) {
                (200, result) => {
                    let patched = result.unwrap().object;
                    for part in ["/metadata/labels", "/metadata/annotations", "/data"] {
                        // Lists and maps that are empty, and nulls in them, are the decoder's to drop.
                        let plain = |v: &Value| v.pointer(part).filter(|v| !v.is_null() && **v != json!({})).cloned();
                        let strings = |v: Option<Value>| v.map(|v| v.to_string().replace("null", "\"\""));
                        assert_eq!(
                            strings(plain(&patched)),
                            strings(plain(&response["body"])),
                            "{} {part}",
                            step["id"]
                        );
                    }
                }
                // The result is refused, not the patch.
                (422, Ok(_)) => assert!(response["body"]["details"]["causes"].is_array(), "{}", step["id"]),
                (_, result) => assert_eq!(
                    result.map(|p| p.object).map_err(|e| e.to_value()),
                    Err(response["body"].clone()),
                    "{}",
                    step["id"]
                ),
            }
            seen += 1;
        }
        if response["status"].as_u64().unwrap() < 300 {
            current = response["body"].clone();
        }
    }
    seen
}

#[test]
fn recorded_patches_do_what_they_did() {
    let cases = [
        "json-add",
        "json-bad-documents",
        "json-escapes",
        "json-move-copy",
        "json-remove",
        "json-test",
        "json-too-many-operations",
    ];
    let seen: usize = cases.iter().map(|case| replay(&format!("{case}.json"))).sum();
    assert!(seen > 35, "{seen}");
}

fn patched(current: Value, patch: Value) -> Option<Value> {
    apply(&current, patch.to_string().as_bytes()).ok().map(|p| p.object)
}

#[test]
fn replace_makes_missing_keys_but_not_missing_items() {
    assert_eq!(patched(json!({}), json!([{"op": "replace", "path": "/a", "value": 1}])), Some(json!({"a": 1})));
    assert_eq!(patched(json!([]), json!([{"op": "replace", "path": "/0", "value": 1}])), None);
    assert_eq!(
        patched(json!({"a": 1}), json!([{"op": "replace", "path": "", "value": {"b": 2}}])),
        Some(json!({"b": 2}))
    );
    assert_eq!(patched(json!([1, 2]), json!([{"op": "replace", "path": "/-1", "value": 3}])), Some(json!([1, 3])));
}

#[test]
fn unknown_members_of_operations_are_told() {
    let patch = json!([{"op": "add", "path": "/extra", "value": 1, "note": "x"}]).to_string();
    assert_eq!(apply(&json!({}), patch.as_bytes()).unwrap().faults, [r#"json patch unknown field "[0].note""#]);
}

#[test]
fn copies_are_bounded() {
    let doubling: Vec<Value> =
        (0..40).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/a/{i}")})).collect();
    assert_eq!(patched(json!({"a": {"x": "y"}}), Value::from(doubling)), None);
}

proptest! {
    #[test]
    fn adding_and_removing_changes_nothing(items in prop::collection::vec(0..9u8, 0..5), at in 0usize..5, value in 0..9u8) {
        let at = at.min(items.len());
        let patch = json!([{"op": "add", "path": format!("/{at}"), "value": value}, {"op": "remove", "path": format!("/{at}")}]);
        prop_assert_eq!(patched(json!(items), patch), Some(json!(items)));
    }

    #[test]
    fn what_was_moved_can_be_moved_back(value in 0..9u8, from in "[a-c]", to in "[d-f]") {
        let patch = json!([{"op": "move", "from": format!("/{from}"), "path": format!("/{to}")}, {"op": "move", "from": format!("/{to}"), "path": format!("/{from}")}]);
        prop_assert_eq!(patched(json!({&from: value}), patch), Some(json!({&from: value})));
    }
}
