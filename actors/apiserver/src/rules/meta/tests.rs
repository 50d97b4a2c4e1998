//! Metadata of new and updated objects.

use cox_objects::{Kind, kinds};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{prepare_update, validate, validate_update};

fn config_map() -> Kind {
    (**kinds::builtin().at("", "v1", "configmaps").unwrap()).clone()
}

fn faults(metadata: Value) -> Vec<String> {
    let mut errors = Vec::new();
    validate(&mut errors, &config_map(), &json!({"metadata": metadata}));
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_generated_name_may_be_asked_for_with_a_dash() {
    assert_eq!(faults(json!({"name": "web-x2x", "generateName": "web-", "namespace": "a"})), Vec::<String>::new());
    assert_eq!(faults(json!({"namespace": "a"})), ["metadata.name: Required value: name or generateName is required"]);
}

#[test]
fn annotations_have_a_total_size() {
    let metadata = |bytes: usize| json!({"name": "x", "namespace": "a", "annotations": {"k": "x".repeat(bytes)}});
    assert_eq!(faults(metadata(256 * 1024 - 1)), Vec::<String>::new());
    assert_eq!(faults(metadata(256 * 1024)), ["metadata.annotations: Too long: may not be more than 262144 bytes"]);
}

#[test]
fn a_deleted_object_gets_no_new_finalizer() {
    let old = json!({"metadata": {"name": "x", "namespace": "a", "deletionTimestamp": "t", "finalizers": ["a.b/c"]}});
    let new = json!({"metadata": {"name": "x", "namespace": "a", "deletionTimestamp": "t", "finalizers": ["a.b/c", "a.b/d"]}});
    let mut errors = Vec::new();
    validate_update(&mut errors, &config_map(), &new, &old);
    let text = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, \
                found new finalizers []string{\"a.b/d\"}";
    // Once as every object, once as its kind.
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [text, text]);
}

proptest! {
    #[test]
    fn an_update_cannot_touch_what_the_server_owns(
        generation in 0i64..1000,
        time in "[0-9]{4}-01-01T00:00:00Z",
        uid in proptest::option::of(Just("u")),
    ) {
        let old = json!({"metadata": {"name": "x", "namespace": "a", "uid": "u", "generation": 3, "creationTimestamp": "2020-01-01T00:00:00Z"}});
        let mut new = json!({"metadata": {"name": "x", "namespace": "a", "generation": generation, "creationTimestamp": time}});
        if let Some(uid) = uid {
            new["metadata"]["uid"] = json!(uid);
        }
        prepare_update(&mut new, &old);
        prop_assert_eq!(&new, &old);
        let mut errors = Vec::new();
        validate_update(&mut errors, &config_map(), &new, &old);
        prop_assert!(errors.is_empty());
    }
}
