//! Bodies read by their types: what is kept, written, found and refused.

use serde_json::{Value, json};

use super::{Shape, decode, duplicates, excerpt, identify, schema};
use crate::kinds;

mod recorded;

fn type_of(api_version: &str, kind: &str) -> &'static super::Type {
    schema().named(api_version, kind).unwrap()
}

fn read(api_version: &str, kind: &str, body: &str) -> Result<super::Decoded, String> {
    decode(body.as_bytes(), type_of(api_version, kind)).map_err(|e| e.to_string())
}

#[test]
fn every_served_kind_has_a_type_and_every_reference_leads_to_one() {
    for kind in kinds::builtin().all().iter().filter(|k| k.served) {
        assert!(schema().named(&kind.api_version(), &kind.kind).is_some(), "{}", kind.kind);
        for sub in kind.subresources.iter().filter(|s| !s.group.is_empty()) {
            assert!(schema().kind(&sub.group, &sub.version, &sub.kind).is_some(), "{}", sub.kind);
        }
    }
    fn walk(shape: &Shape) {
        shape.as_struct();
        shape.inner().map(walk);
    }
    for owner in schema().types() {
        assert!(
            !owner.fields.is_empty() || owner.name().ends_with("Subject") || owner.name().len() > 3,
            "{}",
            owner.go
        );
        owner.fields.iter().for_each(|f| walk(&f.shape));
    }
}

#[test]
fn the_table_knows_how_fields_merge() {
    let spec = type_of("v1", "Pod").field("spec").unwrap().shape.as_struct().unwrap();
    let containers = spec.field("containers").unwrap();
    assert!(containers.patch.merge && containers.patch.merge_key == "name" && containers.required);
    let container = containers.shape.inner().unwrap().as_struct().unwrap();
    let ports = container.field("ports").unwrap();
    assert_eq!((ports.patch.merge_key, ports.list_type), ("containerPort", "map"));
    assert_eq!(ports.list_keys, ["containerPort", "protocol"]);
    assert!(spec.field("volumes").unwrap().patch.retain_keys);
}

#[test]
fn fields_that_are_always_written_are_there() {
    let event = read("v1", "Event", r#"{"metadata":{"name":"e"},"involvedObject":{"kind":"Pod"}}"#).unwrap().value;
    let expected = json!({
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod"}, "source": {}, "firstTimestamp": null,
        "lastTimestamp": null, "eventTime": null, "reportingComponent": "", "reportingInstance": "",
    });
    assert_eq!(event, expected);
    let role = read("rbac.authorization.k8s.io/v1", "Role", r#"{"metadata":{"name":"r"},"rules":[]}"#).unwrap().value;
    assert_eq!(role, json!({"metadata": {"name": "r"}, "rules": null}));
}

#[test]
fn pointers_keep_their_zero_and_plain_fields_lose_it() {
    let body = r#"{"metadata":{"name":"x"},"immutable":false}"#;
    assert_eq!(read("v1", "ConfigMap", body).unwrap().value["immutable"], json!(false));
    let body = r#"{"metadata":{"name":"x"},"spec":{"hostNetwork":false,"securityContext":{},"nodeName":""}}"#;
    let spec = read("v1", "Pod", body).unwrap().value["spec"].clone();
    assert_eq!(spec, json!({"containers": null, "securityContext": {}}));
}

#[test]
fn repeated_maps_merge_and_are_found_in_text_order() {
    let body = r#"{"metadata":{"name":"c","labels":{"a":"1","a":"2"}},"data":{"x":"1"},"data":{"y":"2"},"Data":{}}"#;
    let read = read("v1", "ConfigMap", body).unwrap();
    assert_eq!(read.value["data"], json!({"x": "1", "y": "2"}));
    assert_eq!(
        read.strict,
        [r#"duplicate field "metadata.labels.a""#, r#"duplicate field "data""#, r#"unknown field "Data""#]
    );
    assert_eq!(duplicates(br#"{"a":[{"b":1,"b":2}]}"#).unwrap(), [r#"duplicate field "a[0].b""#]);
}

#[test]
fn type_errors_name_the_innermost_struct_and_all_fields() {
    let error = |v: &str, k: &str, body: &str| read(v, k, body).unwrap_err();
    assert_eq!(
        error("apps/v1", "ReplicaSet", r#"{"spec":{"replicas":1.0}}"#),
        "json: cannot unmarshal number 1.0 into Go struct field ReplicaSetSpec.spec.replicas of type int32"
    );
    assert_eq!(
        error("v1", "Pod", r#"{"spec":{"containers":"x"}}"#),
        "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container"
    );
    assert_eq!(error("v1", "Pod", "[]"), "json: cannot unmarshal array into Go value of type v1.Pod");
    assert_eq!(error("v1", "Secret", r#"{"data":{"a":"%%%"}}"#), "illegal base64 data at input byte 0");
}

#[test]
fn declared_defaults_are_filled_in_where_nothing_is_set() {
    let body = r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":1},
        {"containerPort":2,"protocol":"UDP"}]}],"volumes":[{"name":"v","azureDisk":{"diskName":"d","diskURI":"u","readOnly":true}}]}}"#;
    let mut pod = read("v1", "Pod", body).unwrap().value;
    super::defaults(&mut pod, type_of("v1", "Pod"));
    let ports = json!([{"containerPort": 1, "protocol": "TCP"}, {"containerPort": 2, "protocol": "UDP"}]);
    assert_eq!(pod["spec"]["containers"][0]["ports"], ports);
    let disk = json!({"diskName": "d", "diskURI": "u", "cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": true, "kind": "Shared"});
    assert_eq!(pod["spec"]["volumes"][0]["azureDisk"], disk);
}

#[test]
fn paths_are_quoted_as_go_quotes() {
    let read = read("v1", "ConfigMap", "{\"a\u{7f}\\\"é\":1}").unwrap();
    assert_eq!(read.strict, ["unknown field \"a\\x7f\\\"é\""]);
    let error = super::time::seconds("2024-13-01T00:00:00Z").unwrap_err();
    assert_eq!(error, "parsing time \"2024-13-01T00:00:00Z\": month out of range");
    assert_eq!(super::time::seconds("2024-05-01T10:00:00.5-01:30").unwrap(), "2024-05-01T11:30:00Z");
}

#[test]
fn only_so_many_findings_are_kept() {
    let body: String = (0..50_000).map(|i| format!(r#""x{i}":1,"#)).collect();
    let read = read("v1", "ConfigMap", &format!("{{{body}\"metadata\":{{}}}}")).unwrap();
    assert_eq!(read.strict.len(), 100);
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    let body = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(identify(body.as_bytes()).unwrap_err().to_string().ends_with("exceeded max depth"));
}

#[test]
fn excerpts_are_text_or_hexadecimal() {
    assert_eq!(excerpt(b""), "<empty>");
    assert_eq!(excerpt(b"[]"), "5b5d");
    assert_eq!(excerpt(&[b'{'; 31]), format!("{} ...", "{".repeat(30)));
}

proptest::proptest! {
    /// What the reader takes is what serde_json takes, and both read the same strings and numbers.
    #[test]
    fn any_text_is_read_as_serde_json_reads_it(text in r#"[\[\]{}:,"\\/ubtrueflsn0-9.eE+\- ]{0,40}"#) {
        let ours = identify(text.as_bytes()).is_ok() || !syntax_error(text.as_bytes());
        let theirs = serde_json::from_str::<Value>(&text);
        // Lone surrogates, numbers beyond floating point: ours takes what Go takes.
        if theirs.is_ok() { proptest::prop_assert!(ours, "{text}"); }
    }

    #[test]
    fn reading_twice_changes_nothing(data in proptest::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..4), zero in 0i64..2) {
        let body = json!({"metadata": {"name": "x", "generation": zero, "labels": data}, "data": data, "extra": 1});
        let once = decode(body.to_string().as_bytes(), type_of("v1", "ConfigMap")).unwrap().value;
        let twice = decode(once.to_string().as_bytes(), type_of("v1", "ConfigMap")).unwrap();
        proptest::prop_assert_eq!(&twice.value, &once);
        proptest::prop_assert!(twice.strict.is_empty());
    }
}

fn syntax_error(text: &[u8]) -> bool {
    let mut reader = super::reader::Reader::new(text);
    reader.skip().and_then(|_| reader.end()).is_err()
}
