//! YAML as Kubernetes reads and writes it (recorded in `content/yaml-bodies`, `content/yaml-errors`, `content/yaml-answers`).

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn value(text: &str) -> Value {
    read(text).unwrap().value
}

#[test]
fn scalars_of_yaml_1_1() {
    for (text, expected) in [
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("n", json!(false)),
        ("~", Value::Null),
        ("0755", json!(493)),
        ("0x1F", json!(31)),
        ("1_000", json!(1000)),
        ("1.50", json!(1.5)),
        ("1e3", json!(1000)),
        ("1.2.3", json!("1.2.3")),
        ("2024-01-01", json!("2024-01-01")),
        ("10.0.0.1/16", json!("10.0.0.1/16")),
        ("'yes'", json!("yes")),
        ("\"5\"", json!("5")),
        ("!!str 5", json!("5")),
        ("!!binary aGk=", json!("hi")),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn block_flow_comments_and_the_first_document() {
    let text = "--- # first\ndata:\n  # a comment\n  text: |\n    one\n    two\n  folded: >-\n    a\n    b\n  n: \"5\"\n---\nother: 1\n";
    assert_eq!(value(text), json!({"data": {"text": "one\ntwo\n", "folded": "a b", "false": "5"}}));
    assert_eq!(value("{a: [1, x], 2: {b: }}"), json!({"a": [1, "x"], "2": {"b": null}}));
    assert_eq!(value(""), Value::Null);
    assert_eq!(value("{\"a\": \"1\"}"), json!({"a": "1"}));
}

#[test]
fn anchors_and_merge_keys() {
    let text = "base: &b {x: 1, z: 2}\none:\n  <<: *b\n  z: 3\nlist: [*b]\n";
    let b = json!({"x": 1, "z": 2});
    assert_eq!(value(text), json!({"base": b, "one": {"x": 1, "z": 3}, "list": [b]}));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..8 {
        let list = vec![format!("*a{}", n - 1); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    assert_eq!(read(&text).unwrap_err().to_string(), "yaml: document contains excessive aliasing");
    assert!(read(&"[".repeat(5000)).is_err());
}

#[test]
fn errors_and_duplicates_in_known_words() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(error("a: b: c"), "yaml: mapping values are not allowed in this context");
    assert_eq!(error("\t- x"), "yaml: found character that cannot start any token");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: dup\ndata: {a: x, a: z}\n";
    let document = read(text).unwrap();
    assert_eq!(document.duplicates, ["line 5: key \"a\" already set in map"]);
    assert_eq!(document.value["data"], json!({"a": "z"}));
}

#[test]
fn answers_look_as_recorded() {
    let group = json!({"kind": "APIGroup", "apiVersion": "v1", "name": "policy",
        "versions": [{"groupVersion": "policy/v1", "version": "v1"}]});
    assert_eq!(
        write(&group),
        "apiVersion: v1\nkind: APIGroup\nname: policy\nversions:\n- groupVersion: policy/v1\n  version: v1\n"
    );
    let status = json!({"message": "configmaps \"none\" not found", "metadata": {}, "code": 404});
    assert_eq!(write(&status), "code: 404\nmessage: configmaps \"none\" not found\nmetadata: {}\n");
    let odd = json!({"a": "1", "b": "yes", "c": "x: y", "d": "one\ntwo\n", "e": "", "f": [[], [1]]});
    assert_eq!(write(&odd), "a: \"1\"\nb: \"yes\"\nc: 'x: y'\nd: |\n  one\n  two\ne: \"\"\nf:\n- []\n- - 1\n");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[ -~\n\t]{0,20}".prop_map(Value::from),
        "(yes|no|on|~|null|0x1|1e5|- a|a: b|#c|\\?|<<|=|---|\\.\\.\\.)".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[ -~]{0,8}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_value()) {
        let text = write(&value);
        let back = read(&text).map(|d| d.value);
        prop_assert_eq!(back.ok(), Some(value), "{}", text);
    }
}
