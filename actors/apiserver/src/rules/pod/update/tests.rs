//! What an update of a pod may change.

use serde_json::{Value, json};

use super::validate;

fn faults(old: Value, new: Value) -> Vec<String> {
    let mut errors = Vec::new();
    validate(&mut errors, &new, &old);
    errors.iter().map(ToString::to_string).collect()
}

fn gated(affinity: Value) -> Value {
    json!({"spec": {"schedulingGates": [{"name": "g"}], "containers": [{"name": "c", "image": "i"}], "affinity": affinity}})
}

fn requires(terms: Value) -> Value {
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
}

fn rule(key: &str) -> Value {
    json!({"key": key, "operator": "Exists"})
}

const TERMS: &str = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

#[test]
fn a_gated_pod_may_get_pickier_about_nodes() {
    let one = requires(json!([{"matchExpressions": [rule("a")]}]));
    let two = requires(json!([{"matchExpressions": [rule("a"), rule("b")]}]));
    assert_eq!(faults(gated(Value::Null), gated(one.clone())), Vec::<String>::new());
    assert_eq!(faults(gated(one.clone()), gated(two.clone())), Vec::<String>::new());
    let found = faults(gated(two), gated(one.clone()));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(&format!("{TERMS}[0]: Invalid value: ")), "{found:?}");
    assert!(found[0].ends_with("only additions are allowed (no mutations or deletions)"), "{found:?}");
    let found = faults(gated(one.clone()), gated(requires(json!([]))));
    assert_eq!(
        found,
        [format!("{TERMS}: Invalid value: []: no additions/deletions to non-empty NodeSelectorTerms list are allowed")]
    );
}

#[test]
fn what_a_gated_pod_says_of_other_pods_stays() {
    let near = json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}});
    let found = faults(gated(Value::Null), gated(near));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("spec: Forbidden: pod updates may not change fields other than"), "{found:?}");
}

#[test]
fn a_pod_neither_becomes_nor_ceases_to_be_a_mirror() {
    let pod = |annotations: Value| json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let key = "kubernetes.io/config.mirror";
    let at = format!("metadata.annotations[{key}]");
    assert_eq!(faults(pod(json!({key: "a"})), pod(json!({key: "a", "other": "b"}))), Vec::<String>::new());
    let change = format!("{at}: Forbidden: may not remove or update mirror pod annotation");
    assert_eq!(faults(pod(json!({key: "a"})), pod(json!({key: "b"}))), std::slice::from_ref(&change));
    assert_eq!(faults(pod(json!({key: "a"})), pod(json!({}))), [change]);
    assert_eq!(
        faults(pod(json!({})), pod(json!({key: "a"}))),
        [format!("{at}: Forbidden: may not add mirror pod annotation")]
    );
}
