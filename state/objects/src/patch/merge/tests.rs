//! The examples of RFC 7386, and what every merge patch does.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn the_examples_of_the_rfc_hold() {
    let examples = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ];
    for (mut target, patch, expected) in examples {
        merge(&mut target, &patch);
        assert_eq!(target, expected);
    }
}

#[test]
fn what_is_no_object_is_refused_and_duplicates_are_told() {
    let current = json!({"data": {}});
    assert_eq!(apply(&current, b"[]").unwrap_err().code, 400);
    assert_eq!(apply(&current, b"").unwrap_err().message, "error decoding patch: unexpected end of JSON input");
    let patched = apply(&current, br#"{"data": {"a": "1", "a": "2"}}"#).unwrap();
    assert_eq!(
        (patched.object, patched.faults),
        (json!({"data": {"a": "2"}}), vec![r#"duplicate field "data.a""#.to_owned()])
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(null)), any::<bool>().prop_map(Value::from), (0..3i64).prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_patch_applied_twice_does_what_it_does_once(mut target in value(), patch in value()) {
        merge(&mut target, &patch);
        let once = target.clone();
        merge(&mut target, &patch);
        prop_assert_eq!(target, once);
    }
}
