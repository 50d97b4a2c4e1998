//! What updates of Services inherit and drop.

use serde_json::{Value, json};

use super::{defaults, prepare_allocation, prepare_update};

fn service(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "s"}, "spec": spec});
    defaults(&mut object);
    object
}

fn stored() -> Value {
    let mut object = service(
        json!({"type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80, "nodePort": 30080}]}),
    );
    object["status"] = json!({"loadBalancer": {}});
    object
}

#[test]
fn an_update_without_addresses_keeps_them() {
    let old = stored();
    let mut new = service(json!({"type": "NodePort", "ports": [{"port": 81}]}));
    assert_eq!(prepare_allocation(&mut new, Some(&old)), Vec::new());
    prepare_update("", &mut new, &old);
    assert_eq!(new["spec"]["clusterIPs"], json!(["10.96.0.9"]));
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
    assert_eq!(new["spec"]["ipFamilies"], json!(["IPv4"]));
}

#[test]
fn a_service_that_needs_no_node_port_gives_it_back() {
    let old = stored();
    let mut new = old.clone();
    new["spec"]["type"] = json!("ClusterIP");
    prepare_update("", &mut new, &old);
    assert!(new["spec"]["ports"][0].get("nodePort").is_none());
    assert!(new["spec"].get("externalTrafficPolicy").is_none());
}

#[test]
fn two_ports_never_inherit_the_same_node_port() {
    let old = stored();
    let mut new =
        service(json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30080, "name": "a"}, {"port": 2}]}));
    prepare_update("", &mut new, &old);
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
    assert!(new["spec"]["ports"][1].get("nodePort").is_none());
}

#[test]
fn a_headless_service_without_selector_may_have_any_family() {
    let mut new = service(json!({"clusterIP": "None"}));
    assert_eq!(prepare_allocation(&mut new, None), Vec::new());
    assert_eq!(new["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(new["spec"]["ipFamilyPolicy"], "RequireDualStack");
}
