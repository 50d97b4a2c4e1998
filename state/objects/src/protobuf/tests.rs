//! Protobuf bodies: recorded ones, built ones, damaged ones.

use std::path::Path;

use base64::Engine;
use serde_json::{Map, Value, json};

use super::{ProtobufError, decode, message, open};
use crate::schema::{self, Identity, Shape, Type, schema};

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protobuf/recorded").join(name)).unwrap()
}

#[test]
fn bodies_of_kubectl_are_what_it_prints() {
    let names = [
        "configmap",
        "secret",
        "namespace",
        "serviceaccount",
        "deployment",
        "service",
        "ingress",
        "cronjob",
        "quota",
        "poddisruptionbudget",
        "priorityclass",
    ];
    for name in names {
        let printed: Value = serde_json::from_slice(&recorded(&format!("{name}.json"))).unwrap();
        let owner = schema().named(printed["apiVersion"].as_str().unwrap(), printed["kind"].as_str().unwrap()).unwrap();
        let expected = schema::check(&printed, owner).unwrap().value;
        assert_eq!(decode(&recorded(&format!("{name}.pb")), &Identity::default()).unwrap(), expected, "{name}");
    }
}

#[test]
fn reviews_roles_and_token_requests() {
    let read = |name: &str| decode(&recorded(name), &Identity::default()).unwrap();
    let review = read("selfsubjectaccessreview.pb");
    let attributes = json!({"namespace": "kube-system", "verb": "create", "resource": "pods", "subresource": "log"});
    assert_eq!(review["spec"], json!({"resourceAttributes": attributes}));
    assert_eq!(review["kind"], "SelfSubjectAccessReview");
    let path = read("selfsubjectaccessreview-path.pb");
    assert_eq!(path["spec"], json!({"nonResourceAttributes": {"path": "/healthz", "verb": "get"}}));
    let role = read("role.pb");
    assert_eq!(role["rules"], json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]));
    let token = read("tokenrequest.pb");
    assert_eq!(token["spec"], json!({"audiences": ["x"], "expirationSeconds": 3600, "boundObjectRef": null}));
    assert_eq!(token["status"], json!({"token": "", "expirationTimestamp": null}));
}

#[test]
fn options_are_known_in_every_group_version() {
    let options = encode(&json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"}), options_type());
    let value = decode(&envelope("apps/v1", "DeleteOptions", &options), &Identity::default()).unwrap();
    assert_eq!(value["gracePeriodSeconds"], 0);
    assert_eq!(value["apiVersion"], "apps/v1");
}

#[test]
fn an_envelope_without_names_takes_the_expected_ones() {
    let expected = Identity { api_version: "meta.k8s.io/v1".to_owned(), kind: "DeleteOptions".to_owned() };
    let body = envelope("", "", &encode(&json!({"propagationPolicy": "Orphan"}), options_type()));
    assert_eq!(decode(&body, &expected).unwrap()["propagationPolicy"], "Orphan");
}

#[test]
fn damaged_bodies_are_refused() {
    let expected = Identity::default();
    assert_eq!(decode(b"{}", &expected), Err(ProtobufError::Magic));
    assert!(matches!(decode(b"k8s\0", &expected), Err(ProtobufError::Unregistered { .. })));
    let whole = recorded("deployment.pb");
    let inner = open(&whole).unwrap().raw;
    let owner = schema().named("apps/v1", "Deployment").unwrap();
    let cut = message(&inner[..inner.len() - 1], owner);
    assert!(matches!(cut, Err(ProtobufError::Short)), "{cut:?}");
    assert_eq!(message(&[0x0f], owner).unwrap_err(), ProtobufError::WireType(7));
    assert_eq!(message(&[0x08, 1], owner).unwrap_err(), ProtobufError::Mismatch("metadata", 0));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let body = envelope("v1", "Pod", &bytes);
        if let Ok(pod) = decode(&body, &Identity::default()) {
            let again = schema::check(&pod, schema().named("v1", "Pod").unwrap()).unwrap();
            proptest::prop_assert_eq!(again.value, pod);
        }
    }
}

/// Every object of the recordings, encoded by the numbers of the table, is read back as it was.
#[test]
fn recorded_objects_survive_the_wire() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases/kinds");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let case: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for body in case["steps"].as_array().unwrap().iter().filter_map(|s| s.get("body")) {
            let (Some(version), Some(kind)) = (body["apiVersion"].as_str(), body["kind"].as_str()) else { continue };
            let Some(owner) = schema().named(version, kind) else { continue };
            let Ok(given) = schema::check(body, owner) else { continue };
            let bytes = envelope(version, kind, &encode(&given.value, owner));
            assert_eq!(decode(&bytes, &Identity::default()).unwrap(), given.value);
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} objects were recorded");
}

fn options_type() -> &'static Type {
    schema().named("meta.k8s.io/v1", "DeleteOptions").unwrap()
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), bytes(1, &meta), bytes(2, raw)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn bytes(number: u32, content: &[u8]) -> Vec<u8> {
    [varint(u64::from(number) << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn integer(number: u32, value: i64) -> Vec<u8> {
    [varint(u64::from(number) << 3), varint(value as u64)].concat()
}

/// A message of a type: the writing side, which only tests need.
fn encode(value: &Value, owner: &Type) -> Vec<u8> {
    let fields = value.as_object().unwrap();
    let mut out = Vec::new();
    for (number, id) in &owner.inlined {
        let inner = schema().get(*id);
        let own: Map<String, Value> =
            fields.iter().filter(|(k, _)| inner.field(k).is_some()).map(|(k, v)| (k.clone(), v.clone())).collect();
        out.extend(bytes(*number, &encode(&Value::Object(own), inner)));
    }
    for field in owner.fields.iter().filter(|f| f.number > 0) {
        match (fields.get(field.name), &field.shape) {
            (None | Some(Value::Null), _) => {}
            (Some(Value::Array(items)), Shape::List(inner)) => {
                out.extend(items.iter().flat_map(|item| one(field.number, item, inner)));
            }
            (Some(Value::Object(entries)), Shape::Map(inner)) => {
                for (key, item) in entries {
                    out.extend(bytes(field.number, &[bytes(1, key.as_bytes()), one(2, item, inner)].concat()));
                }
            }
            (Some(value), shape) => out.extend(one(field.number, value, shape)),
        }
    }
    out
}

fn one(number: u32, value: &Value, shape: &Shape) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    match shape {
        Shape::String(_) => bytes(number, text.as_bytes()),
        Shape::Int32 | Shape::Int64 => integer(number, value.as_i64().unwrap()),
        Shape::Bool => integer(number, i64::from(value.as_bool().unwrap())),
        Shape::Bytes => bytes(number, &base64::engine::general_purpose::STANDARD.decode(text).unwrap()),
        Shape::Quantity => bytes(number, &bytes(1, text.as_bytes())),
        Shape::Any | Shape::Fields => bytes(number, &bytes(1, value.to_string().as_bytes())),
        Shape::IntOrString => match value.as_i64() {
            Some(n) => bytes(number, &[integer(1, 0), integer(2, n)].concat()),
            None => bytes(number, &[integer(1, 1), bytes(3, text.as_bytes())].concat()),
        },
        Shape::Time | Shape::MicroTime => {
            let at: jiff::Timestamp = text.parse().unwrap();
            let parts = [integer(1, at.as_second()), integer(2, i64::from(at.subsec_nanosecond()))];
            bytes(number, &parts.concat())
        }
        Shape::Struct(id) => bytes(number, &encode(value, schema().get(*id))),
        Shape::List(inner) => {
            bytes(number, &value.as_array().unwrap().iter().flat_map(|v| one(1, v, inner)).collect::<Vec<u8>>())
        }
        Shape::Map(_) => unreachable!("there are no maps of maps"),
    }
}
