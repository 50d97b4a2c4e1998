//! Selectors against the recorded answers, and laws of matching.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::field::{fields_of, value_of};
use super::*;
use crate::{Draft, Object, Resource, kinds};

/// Steps of a recorded case that list `path?parameter=…`: the parameter's value, the status, the message.
fn recorded(case: &str, parameter: &str) -> Vec<(String, String, u64, Value)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases").join(case);
    let case: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let steps = case["steps"].as_array().unwrap().iter();
    steps
        .filter_map(|step| {
            let (path, query) = step["path"].as_str()?.split_once('?')?;
            let value = query.split('&').find_map(|p| p.strip_prefix(parameter)?.strip_prefix('='))?;
            let response = &step["response"];
            Some((path.to_owned(), decode(value), response["status"].as_u64()?, response["body"].clone()))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        let hex = |b: u8| (b as char).to_digit(16).unwrap() as u8;
        bytes.push(if b == b'%' { hex(rest.next().unwrap()) * 16 + hex(rest.next().unwrap()) } else { b });
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn bad_label_selectors_get_the_recorded_answers() {
    let steps = recorded("listwatch/label-selector-errors.json", "labelSelector");
    assert!(steps.len() > 8);
    for (_, text, status, body) in steps {
        let error = LabelSelector::parse(&text).map_err(|e| Status::bad_request(e.to_string()).to_value());
        assert_eq!((status, Err(body)), (400, error), "{text}");
    }
}

#[test]
fn label_selectors_select_the_recorded_objects() {
    let labels = [
        ("c0", json!({"w": "y", "env": "dev", "tier": "a"})),
        ("c1", json!({"w": "y", "env": "prod"})),
        ("c2", json!({"w": "y", "tier": "b"})),
        ("c3", json!({"w": "y", "env": "dev", "tier": "b", "example.com/x": "1"})),
    ];
    let steps = recorded("listwatch/label-selector-operators.json", "labelSelector");
    assert!(steps.len() > 12);
    for (_, text, _, body) in steps {
        let selector = LabelSelector::parse(&text).unwrap();
        let selected: Vec<&str> = labels.iter().filter(|(_, l)| selector.matches(l)).map(|(name, _)| *name).collect();
        let expected: Vec<&str> =
            body["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(selected, expected, "{text}");
        assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
    }
}

#[test]
fn fields_that_a_kind_does_not_offer_get_the_recorded_answers() {
    let table = kinds::builtin();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases");
    let mut seen = 0;
    for area in ["kinds", "listwatch"] {
        for entry in std::fs::read_dir(folder.join(area)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            for (path, text, status, body) in recorded(&format!("{area}/{name}"), "fieldSelector") {
                let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
                let (group, version) = if parts[0] == "api" { ("", parts[1]) } else { (parts[1], parts[2]) };
                let Some(kind) = table.at(group, version, parts.last().unwrap()) else { continue };
                let result = FieldSelector::parse(kind, &text);
                match status {
                    400 => {
                        assert_eq!(result.unwrap_err().to_string(), body["message"].as_str().unwrap(), "{path} {text}")
                    }
                    _ => assert!(result.is_ok(), "{path} {text}"),
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

fn stored(object: &serde_json::Value) -> Object {
    let mut object = object.clone();
    let fields = object.as_object_mut().unwrap();
    fields.extend([("kind".to_owned(), json!("K")), ("apiVersion".to_owned(), json!("v1"))]);
    Draft::encode(&object).unwrap().seal(1)
}

#[test]
fn fields_read_by_parts_are_those_of_the_whole_object() {
    let others = json!({"metadata": {"annotations": {"reason": "x"}}, "data": {"type": [{"spec": 1}]}, "spec": {"containers": [{"type": 1}]}});
    let at =
        |object: &mut serde_json::Value, path: &str, value: serde_json::Value| crate::meta::set(object, path, value);
    for kind in kinds::builtin().all() {
        let resource = &kind.resource;
        let mut full = others.clone();
        for field in fields_of(resource) {
            at(&mut full, field, json!(format!("value of {field}")));
        }
        let mut odd = others.clone();
        at(&mut odd, "status.podIPs", json!([{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]));
        at(&mut odd, "status.succeeded", json!(3));
        at(&mut odd, "source.component", json!("kubelet"));
        let bare = json!({"metadata": {}, "spec": null});
        for object in [full, odd, bare] {
            let fields = Fields::of(resource, &stored(&object));
            for field in fields_of(resource) {
                assert_eq!(fields.get(field), value_of(resource, &object, field), "{resource} {field}");
            }
        }
    }
}

#[test]
fn fields_are_taken_as_kubernetes_takes_them() {
    let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"podIPs": [{"ip": "10.0.0.1"}]}});
    let fields = Fields::of(&Resource::PODS, &stored(&pod));
    assert_eq!(
        (fields.get("spec.nodeName"), fields.get("spec.hostNetwork"), fields.get("status.podIP")),
        ("n", "false", "10.0.0.1")
    );
    let event = json!({"reportingComponent": "kubelet", "involvedObject": {"name": "p"}});
    assert_eq!(value_of(&Resource::EVENTS, &event, "source"), "kubelet");
    let table = kinds::builtin();
    let selector =
        Selector::parse(table.at("", "v1", "pods").unwrap(), "", "spec.host=n,status.podIP!=10.0.0.2").unwrap();
    assert!(selector.matches_object(&Resource::PODS, &pod));
}

#[test]
fn selectors_of_objects_select_everything_when_empty_and_nothing_when_absent() {
    let labels = BTreeMap::from([("a", "1")]);
    assert!(LabelSelector::from_value(&json!({})).unwrap().matches(&labels));
    assert!(!LabelSelector::from_value(&Value::Null).unwrap().matches(&labels));
    let spec = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]});
    let selector = LabelSelector::from_value(&spec).unwrap();
    assert!(selector.matches(&labels));
    assert_eq!(selector.to_string(), "a=1,!b");
    let unknown = json!({"matchExpressions": [{"key": "b", "operator": "Near"}]});
    assert_eq!(
        LabelSelector::from_value(&unknown).unwrap_err().to_string(),
        "\"Near\" is not a valid label selector operator"
    );
}

proptest! {
    #[test]
    fn a_requirement_and_its_opposite_part_all_objects(key in "[a-c]", value in "[xy]?", have in prop::collection::btree_map("[a-c]", "[xy]?", 0..3)) {
        for (text, opposite) in [("k=v", "k!=v"), ("k in (v)", "k notin (v)"), ("k", "!k")] {
            let parse = |text: &str| LabelSelector::parse(&text.replace('k', &key).replace('v', &value)).unwrap();
            prop_assert_ne!(parse(text).matches(&have), parse(opposite).matches(&have));
        }
    }

    #[test]
    fn written_selectors_are_read_back(value in "[a-z,=\\\\]{0,8}") {
        let table = kinds::builtin();
        let selector = FieldSelector::equal("metadata.name", &value);
        prop_assert_eq!(FieldSelector::parse(table.at("", "v1", "pods").unwrap(), &selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn no_text_panics(text in "[-a-z0-9=!(),<> \\\\\u{e9}]{0,20}") {
        let _ = (LabelSelector::parse(&text), FieldSelector::parse(kinds::builtin().at("", "v1", "pods").unwrap(), &text));
    }
}
