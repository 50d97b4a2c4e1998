//! Services and slices become the forwards that kube-proxy would make.

use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Arc<Service> {
    Arc::new(serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": spec})).unwrap())
}

fn slice(endpoints: Value) -> Arc<EndpointSlice> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"namespace": "ns", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 3000, "protocol": "TCP"}],
            "endpoints": endpoints,
        }))
        .unwrap(),
    )
}

fn web(extra: Value) -> Arc<Service> {
    let mut spec = json!({"type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
        "ports": [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "protocol": "TCP"}]});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    service(spec)
}

fn addresses(targets: &BTreeSet<Target>) -> Vec<String> {
    targets.iter().map(|t| format!("{}:{}", t.address, t.port)).collect()
}

#[test]
fn ready_endpoints_take_connections() {
    let slice = slice(json!([
        {"addresses": ["10.244.0.5"], "conditions": {"ready": true}, "nodeName": "n1"},
        {"addresses": ["10.244.0.6"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        {"addresses": ["10.244.0.7"]},
    ]));
    let forwards = forwards(&[web(json!({}))], &[slice], "n1");
    let [forward] = forwards.as_slice() else { panic!("{forwards:?}") };
    assert_eq!(addresses(&forward.internal), ["10.244.0.5:3000", "10.244.0.7:3000"]);
    assert_eq!((forward.node_port, forward.port, forward.affinity), (Some(30080), 80, None));
}

#[test]
fn terminating_endpoints_serve_only_while_none_is_ready() {
    let slice = slice(json!([
        {"addresses": ["10.244.0.5"], "conditions": {"ready": false, "serving": false}},
        {"addresses": ["10.244.0.6"], "conditions": {"ready": false, "serving": true, "terminating": true}},
    ]));
    let forwards = forwards(&[web(json!({}))], &[slice], "n1");
    assert_eq!(addresses(&forwards[0].internal), ["10.244.0.6:3000"]);
}

#[test]
fn local_policy_keeps_to_the_node() {
    let slice = slice(json!([
        {"addresses": ["10.244.0.5"], "nodeName": "n1"},
        {"addresses": ["10.244.1.5"], "nodeName": "n2"},
    ]));
    let forwards =
        forwards(&[web(json!({"externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP"}))], &[slice], "n1");
    assert_eq!(addresses(&forwards[0].internal).len(), 2);
    assert_eq!(addresses(&forwards[0].external), ["10.244.0.5:3000"]);
    assert!(forwards[0].keeps_source);
    assert_eq!(forwards[0].affinity, Some(10_800));
}

#[test]
fn headless_and_external_names_are_not_forwarded() {
    let headless = service(json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}));
    let external = service(json!({"type": "ExternalName", "externalName": "example.com"}));
    assert_eq!(forwards(&[headless, external], &[], "n1"), []);
}

#[test]
fn services_of_another_proxy_are_left_to_it() {
    let mut other = Arc::unwrap_or_clone(web(json!({})));
    other.metadata.labels = Some([(PROXY_NAME.to_owned(), "mesh".to_owned())].into());
    assert_eq!(forwards(&[Arc::new(other)], &[], "n1"), []);
}
