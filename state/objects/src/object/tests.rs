//! The stored form keeps what was put in, and nothing else.

use serde_json::json;

use super::*;

#[test]
fn the_version_is_spliced_in_and_read_back() {
    let value =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "resourceVersion": "7"}, "spec": {"x": 1}});
    let draft = Draft::encode(&value).unwrap();
    let object = draft.seal(42);
    assert_eq!(object.revision(), 42);
    assert!(
        object.bytes().starts_with(b"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"42\"")
    );
    assert!(object.item_tail().starts_with(b"\"metadata\""));
    let mut expected = value;
    expected["metadata"]["resourceVersion"] = "42".into();
    assert_eq!(object.value(), expected);
}

#[test]
fn a_stored_object_is_found_again_and_compared_without_its_version() {
    let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let object = Draft::encode(&value).unwrap().seal(9);
    let again = Object::from_stored(object.bytes().clone()).unwrap();
    assert_eq!(again, object);
    assert!(Draft::of(&again).same_as(&Draft::encode(&value).unwrap().seal(10)));
    let other = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}});
    assert!(!Draft::encode(&other).unwrap().same_as(&again));
}

#[test]
fn what_is_no_object_is_refused() {
    assert!(Draft::encode(&json!({"kind": "Pod", "metadata": {}})).is_err());
    assert!(Object::from_stored(Bytes::from_static(b"{}")).is_err());
}
