//! What is read out of an object.

use cox_objects::{Draft, Key, Resource};
use serde_json::json;

use super::Item;

fn item(object: serde_json::Value) -> Item {
    Item::new(Key::new(Resource::PODS, "ns", "p"), Draft::encode(&object).unwrap().seal(7))
}

#[test]
fn labels_owners_and_fields_come_from_the_object() {
    let item =
        item(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "labels": {"b": "2", "a": "1"},
        "ownerReferences": [{"uid": "u2"}, {"uid": "u1"}, {"uid": "u2"}]}, "status": {"phase": "Running"}}));
    assert_eq!(item.labels().get("a").map(String::as_str), Some("1"));
    assert_eq!(item.owners(), ["u1", "u2"]);
    assert_eq!((item.field("status.phase"), item.field("metadata.name")), ("Running".into(), "p".into()));
    assert_eq!(item.revision(), 7);
}

#[test]
fn the_word_alone_makes_no_owner() {
    let item = item(
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "p"}, "data": {"ownerReferences": "x"}}),
    );
    assert!(item.owners().is_empty());
    assert!(item.labels().is_empty());
}
