//! The judge knows a wrong binding by itself.

use serde_json::json;

use super::*;
use crate::testing::*;

#[test]
fn each_kind_of_wrong_binding_is_found() {
    let mut snapshot = nodes([
        node("tainted", json!({"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})),
        node("full", json!({"status": {"allocatable": {"pods": "1"}}})),
        node("n1", json!({})),
    ]);
    put(&mut snapshot, "full", pod("a", json!({})));
    let ports = json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]});
    put(&mut snapshot, "n1", pod("b", ports.clone()));
    let judged = |spec, node: &str| check(&snapshot, &pod("p", spec), node);
    assert_eq!(judged(json!({}), "n1"), Ok(()));
    assert_eq!(judged(json!({}), "none"), Err(Fault::NoNode("none".into())));
    assert_eq!(judged(json!({}), "tainted"), Err(Fault::Tainted("k".into())));
    assert_eq!(judged(json!({}), "full"), Err(Fault::Overcommitted("the number of pods".into())));
    assert_eq!(judged(asks("5", "0"), "n1"), Err(Fault::Overcommitted("cpu".into())));
    assert_eq!(judged(ports, "n1"), Err(Fault::Port(80)));
    assert_eq!(judged(json!({"nodeSelector": {"a": "b"}}), "n1"), Err(Fault::Selected));
}
