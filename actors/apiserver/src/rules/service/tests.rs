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

#[test]
fn what_a_headless_service_has_no_use_for_is_said() {
    let headless = json!({
        "clusterIP": "None", "clusterIPs": ["None"], "sessionAffinity": "ClientIP", "ports": [{"port": 80}],
        "loadBalancerIP": "2001:DB8::1",
    });
    assert_eq!(
        super::warnings(&service(headless)),
        [
            "spec.loadBalancerIP: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            "spec.loadBalancerIP is ignored when spec.clusterIP is \"None\"",
            "spec.SessionAffinity is ignored for headless services",
        ]
    );
    let doubtful = service(json!({"clusterIP": "10.96.0.01", "clusterIPs": ["10.96.0.01"], "ports": [{"port": 80}]}));
    assert_eq!(
        super::warnings(&doubtful),
        [
            "spec.clusterIPs[0]: non-standard IP address \"10.96.0.01\" will be considered invalid in a future Kubernetes \
         release: use \"10.96.0.1\""
        ]
    );
}

#[test]
fn annotations_that_mean_the_same_agree() {
    let mut object = service(json!({"ports": [{"port": 80}]}));
    object["metadata"]["annotations"] = json!({
        "service.kubernetes.io/topology-mode": "Auto", "service.kubernetes.io/topology-aware-hints": "Disabled",
        "service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8",
    });
    let mut errors = Vec::new();
    super::validate(&mut errors, &object);
    let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"Auto\": must match \
         annotations[service.kubernetes.io/topology-aware-hints] when both are specified",
            "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when \
         `type` is 'LoadBalancer'",
        ]
    );
}

#[test]
fn only_an_address_has_a_mode() {
    let balanced =
        |ingress: Value| json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [ingress]}}});
    let faults = |object: Value| {
        let mut errors = Vec::new();
        super::validate_update(&mut errors, "status", &object, &json!({}));
        errors.iter().map(ToString::to_string).collect::<Vec<String>>()
    };
    assert_eq!(faults(balanced(json!({"ip": "192.0.2.1", "ipMode": "VIP"}))), Vec::<String>::new());
    assert_eq!(
        faults(balanced(json!({"hostname": "a.example", "ipMode": "VIP"}))),
        ["status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set"]
    );
    let mut other = balanced(json!({"ip": "not one"}));
    other["spec"]["type"] = json!("ClusterIP");
    assert_eq!(
        faults(other),
        ["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is \"LoadBalancer\""]
    );
}
