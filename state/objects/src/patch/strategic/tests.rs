//! Strategic merge patches: the rules, the recordings, and laws that hold for all lists.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{StrategicError, apply, printed};
use crate::Status;
use crate::schema::{self, schema};

fn patched(kind: (&str, &str), current: &Value, patch: Value) -> Result<Value, StrategicError> {
    apply(current, &patch, schema().named(kind.0, kind.1).unwrap())
}

fn pod(containers: &[&str]) -> Value {
    json!({"spec": {"containers": containers.iter().map(|n| json!({"name": n})).collect::<Vec<_>>()}})
}

fn names(pod: &Value) -> Vec<&str> {
    pod["spec"]["containers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect()
}

const POD: (&str, &str) = ("v1", "Pod");
const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");

#[test]
fn new_items_come_before_the_servers_own() {
    let out = patched(POD, &pod(&["a", "b"]), pod(&["c"])).unwrap();
    assert_eq!(names(&out), ["c", "a", "b"]);
    let out = patched(POD, &pod(&["a", "b"]), pod(&["b", "c"])).unwrap();
    assert_eq!(names(&out), ["a", "b", "c"]);
}

#[test]
fn the_order_of_a_list_can_be_set() {
    let mut patch = pod(&["a"]);
    patch["spec"]["$setElementOrder/containers"] = json!([{"name": "c"}, {"name": "b"}, {"name": "a"}]);
    assert_eq!(names(&patched(POD, &pod(&["a", "x", "b", "c"]), patch).unwrap()), ["x", "c", "b", "a"]);
    let mut patch = pod(&["a", "b"]);
    patch["spec"]["$setElementOrder/containers"] = json!([{"name": "b"}, {"name": "a"}]);
    let error = patched(POD, &pod(&["a", "b"]), patch).unwrap_err();
    assert!(matches!(error, StrategicError::OrderMismatch(..)), "{error}");
    assert_eq!(Status::from(error).code, 500);
}

#[test]
fn scalars_of_merged_lists_are_a_set() {
    let current = json!({"metadata": {"finalizers": ["a/x", "b/x"]}});
    let out = patched(POD, &current, json!({"metadata": {"finalizers": ["b/x", "c/x"]}})).unwrap();
    assert_eq!(out["metadata"]["finalizers"], json!(["a/x", "b/x", "c/x"]));
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"]}});
    assert_eq!(patched(POD, &current, patch).unwrap()["metadata"]["finalizers"], json!(["b/x"]));
}

#[test]
fn lists_are_replaced_where_nothing_says_merge() {
    let current = json!({"spec": {"containers": [{"name": "a", "args": ["x", "y"], "command": ["z"]}]}});
    let patch = json!({"spec": {"containers": [{"name": "a", "args": ["q"], "command": null}]}});
    let out = patched(POD, &current, patch).unwrap();
    assert_eq!(out["spec"]["containers"], json!([{"name": "a", "args": ["q"]}]));
}

#[test]
fn a_merge_key_is_needed() {
    let error = patched(POD, &pod(&["a"]), json!({"spec": {"containers": [{"image": "b"}]}})).unwrap_err();
    assert_eq!(error.to_string(), "map: map[image:b] does not contain declared merge key: name");
    let patch = json!({"spec": {"containers": [{"$patch": "delete"}]}});
    assert_eq!(patched(POD, &pod(&["a"]), patch).unwrap_err(), StrategicError::DeleteWithoutKey);
}

#[test]
fn volumes_change_their_source_with_retain_keys() {
    let current = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
    let patch =
        json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}});
    let out = patched(POD, &current, patch).unwrap();
    assert_eq!(out["spec"]["volumes"], json!([{"name": "v", "hostPath": {"path": "/x"}}]));
    let patch = json!({"spec": {"strategy": {"$retainKeys": "type"}}});
    let error = patched(DEPLOYMENT, &json!({"spec": {"strategy": {"type": "x"}}}), patch).unwrap_err();
    assert_eq!(Status::from(error).code, 400);
}

#[test]
fn what_is_new_has_no_directives_and_no_nulls() {
    let patch = json!({"data": {"a": "1", "b": null}, "metadata": {"labels": {"$patch": "delete"}}});
    assert_eq!(patched(("v1", "ConfigMap"), &json!({}), patch).unwrap(), json!({"data": {"a": "1"}, "metadata": {}}));
    assert_eq!(printed(&json!({"b": [1, "x"], "a": null})), "map[a:<nil> b:[1 x]]");
}

/// A list as long as a body may be is merged in time that grows with its length, not with its square (which would be hours).
#[test]
fn long_lists_are_merged() {
    let long =
        |from: usize| -> Vec<Value> { (from..from + 60_000).map(|i| json!({"name": format!("c{i}")})).collect() };
    let mut patch = json!({"spec": {"containers": long(30_000)}});
    patch["spec"]["$setElementOrder/containers"] = json!(long(30_000));
    let out = patched(POD, &json!({"spec": {"containers": long(0)}}), patch).unwrap();
    assert_eq!(names(&out).len(), 90_000);
    let gone = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": (0..60_000).collect::<Vec<_>>()}});
    let current = json!({"metadata": {"finalizers": (0..60_001).collect::<Vec<_>>()}});
    assert_eq!(patched(POD, &current, gone).unwrap()["metadata"]["finalizers"], json!([60_000]));
}

/// Every recorded strategic merge patch of an object whose state before is known gives what was recorded.
#[test]
fn recorded_patches_give_the_recorded_objects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases/patch");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut objects: Map<String, Value> = Map::new();
        let mut uids: Vec<(String, String)> = Vec::new();
        for step in case["steps"].as_array().unwrap() {
            let body = &step["response"]["body"];
            let url = step["path"].as_str().unwrap().split('?').next().unwrap().to_owned();
            let what = format!("{} {}", path.display(), step["id"]);
            let media = step["headers"].get("Content-Type").and_then(Value::as_str).unwrap_or("");
            let before = objects.get(&url).filter(|_| media.starts_with("application/strategic-merge-patch"));
            if let (Some(before), false) = (before, step["body"].get("$text").is_some()) {
                // The recorded patch may have a uid of an earlier answer in it.
                let text = uids.iter().fold(step["body"].to_string(), |text, (from, to)| text.replace(from, to));
                seen += usize::from(agrees(before, &serde_json::from_str(&text).unwrap(), body, &what));
            }
            if let Some(uid) = body["metadata"]["uid"].as_str() {
                uids.push((format!("{{{{steps.{}.metadata.uid}}}}", step["id"].as_str().unwrap()), uid.to_owned()));
            }
            if let (Some(name), Some(_)) = (body["metadata"]["name"].as_str(), body["apiVersion"].as_str()) {
                let own = if step["method"] == "POST" { format!("{url}/{name}") } else { url };
                objects.insert(own, body.clone());
            }
        }
    }
    assert!(seen > 25, "only {seen} patches were recorded");
}

fn agrees(before: &Value, patch: &Value, answer: &Value, what: &str) -> bool {
    let Some(owner) = schema().named(before["apiVersion"].as_str().unwrap(), before["kind"].as_str().unwrap()) else {
        return false;
    };
    // What the server sets itself, and what defaults would fill in, is left aside.
    let plain = |mut v: Value| {
        v["metadata"].as_object_mut().into_iter().for_each(|m| {
            m.retain(|k, _| matches!(k.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences"));
        });
        v.as_object_mut().into_iter().for_each(|o| o.retain(|k, _| k != "status"));
        v
    };
    match apply(&plain(before.clone()), patch, owner) {
        Err(error) => assert_eq!(answer["message"], error.to_string(), "{what}"),
        Ok(made) if answer["kind"] == "Status" => {
            let message = answer["message"].as_str().unwrap();
            let Some((_, why)) = message.split_once("strict decoding error: ") else { return false };
            assert_eq!(schema::check(&made, owner).unwrap().strict.join(", "), why, "{what}");
            assert!(message.contains(&format!("Invalid value: {:?}", printed(patch))), "{what}: {message}");
        }
        Ok(made) => {
            let Ok(made) = schema::check(&made, owner) else { return false };
            let answer = plain(answer.clone());
            for part in ["data", "spec", "template", "metadata"] {
                assert!(covers(&answer[part], &made.value[part]), "{what}:\n{}\n{}", answer[part], made.value[part]);
            }
        }
    }
    true
}

/// Whether `whole` has all of `part`: lists item by item, maps with what defaults added.
fn covers(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(w), Value::Object(p)) => p.iter().all(|(k, v)| covers(w.get(k).unwrap_or(&Value::Null), v)),
        (Value::Array(w), Value::Array(p)) => w.len() == p.len() && w.iter().zip(p).all(|(w, p)| covers(w, p)),
        (Value::String(w), _) if w.starts_with('<') => true,
        (w, p) => {
            w == p || [Value::Null, json!(""), json!(0)].contains(p) || p.as_str().is_some_and(|p| p.contains("{{"))
        }
    }
}

fn containers() -> impl Strategy<Value = Vec<Value>> {
    let container = ("[a-f]", "[x-z]").prop_map(|(name, image)| json!({"name": name, "image": image}));
    proptest::collection::vec(container, 0..6).prop_map(|list| {
        let mut unique: Vec<Value> = Vec::new();
        list.into_iter().for_each(|c| {
            if unique.iter().all(|u| u["name"] != c["name"]) {
                unique.push(c);
            }
        });
        unique
    })
}

proptest! {
    /// Applying a patch again changes nothing; every item of it is there as it says; no other item is lost or moved.
    #[test]
    fn merging_is_idempotent_and_loses_nothing(old in containers(), new in containers()) {
        let current = json!({"spec": {"containers": old}});
        let patch = json!({"spec": {"containers": new}});
        let once = patched(POD, &current, patch.clone()).unwrap();
        prop_assert_eq!(&patched(POD, &once, patch).unwrap(), &once);
        let merged = once["spec"]["containers"].as_array().unwrap();
        prop_assert!(new.iter().all(|c| merged.contains(c)));
        let untouched = |list: &[Value]| -> Vec<Value> {
            list.iter().filter(|c| new.iter().all(|n| n["name"] != c["name"])).cloned().collect()
        };
        prop_assert_eq!(untouched(merged), untouched(&old));
        let named: Vec<&Value> = merged.iter().filter(|c| new.iter().any(|n| n["name"] == c["name"])).collect();
        prop_assert_eq!(named, new.iter().collect::<Vec<_>>());
    }

    /// An order that names every item is the order of the result.
    #[test]
    fn a_whole_order_is_obeyed(old in containers(), shuffle in any::<prop::sample::Index>()) {
        prop_assume!(!old.is_empty());
        let mut wanted = old.clone();
        wanted.rotate_left(shuffle.index(old.len()));
        let order: Vec<Value> = wanted.iter().map(|c| json!({"name": c["name"]})).collect();
        let patch = json!({"spec": {"$setElementOrder/containers": order}});
        let out = patched(POD, &json!({"spec": {"containers": old}}), patch).unwrap();
        prop_assert_eq!(out["spec"]["containers"].as_array().unwrap(), &wanted);
    }
}
