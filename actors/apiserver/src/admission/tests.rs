//! Allocation to the last address and port, and what a Service gives back.

use serde_json::{Value, json};

use crate::oracle::World;
use crate::test_config;

const SERVICES: &str = "/api/v1/namespaces/n/services";

fn service(name: &str, kind: &str) -> Value {
    json!({"method": "POST", "path": SERVICES,
           "body": {"metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 80}]}}})
}

fn delete(name: &str) -> Value {
    json!({"method": "DELETE", "path": format!("{SERVICES}/{name}")})
}

fn patch(name: &str, spec: &Value) -> Value {
    json!({"method": "PATCH", "path": format!("{SERVICES}/{name}"), "body": {"spec": spec},
           "headers": {"Content-Type": "application/merge-patch+json"}})
}

#[test]
fn every_address_of_the_range_is_given_once_and_again_when_it_is_free() {
    let config = crate::Config { service_cidr: "10.96.0.0/28".parse().unwrap(), ..test_config() };
    let mut world = World::with("n", config);
    // 14 hosts, of which the first is the API's own.
    let mut given: Vec<String> = Vec::new();
    for i in 0..13 {
        let (code, body, _) = world.send(&service(&format!("s{i}"), "ClusterIP")).unwrap();
        assert_eq!(code, 201, "{body}");
        given.push(body["spec"]["clusterIP"].as_str().unwrap().to_owned());
    }
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 13);
    assert_eq!(world.send(&service("late", "ClusterIP")).unwrap().0, 500);
    assert_eq!(world.send(&delete("s4")).unwrap().0, 200);
    assert_eq!(world.send(&service("late", "ClusterIP")).unwrap().0, 201);
}

#[test]
fn a_service_that_is_no_longer_a_node_port_gives_its_port_back() {
    let config = crate::Config { node_ports: 30000..=30000, ..test_config() };
    let mut world = World::with("n", config);
    let (code, body, _) = world.send(&service("a", "NodePort")).unwrap();
    assert_eq!((code, body["spec"]["ports"][0]["nodePort"].as_u64()), (201, Some(30000)));
    assert_eq!(world.send(&service("b", "NodePort")).unwrap().0, 500);
    let (code, body, _) = world.send(&patch("a", &json!({"type": "ClusterIP"}))).unwrap();
    assert_eq!(code, 200);
    assert_eq!(body["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(world.send(&service("b", "NodePort")).unwrap().0, 201);
}

#[test]
fn a_service_that_becomes_a_name_gives_its_address_back() {
    let mut world = World::new("n");
    let (_, body, _) = world.send(&service("a", "ClusterIP")).unwrap();
    let address = body["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let path = format!("/apis/networking.k8s.io/v1/ipaddresses/{address}");
    let get = json!({"method": "GET", "path": path});
    assert_eq!(world.send(&get).unwrap().1["spec"]["parentRef"]["name"], "a");
    let (code, body, _) =
        world.send(&patch("a", &json!({"type": "ExternalName", "externalName": "x.example.com"}))).unwrap();
    assert_eq!((code, body["spec"].get("clusterIP")), (200, None), "{body}");
    assert_eq!(world.send(&get).unwrap().0, 404);
}

#[test]
fn a_claim_without_a_class_gets_the_default_one() {
    let mut world = World::new("n");
    let class = |name: &str, default: &str| {
        json!({"method": "POST", "path": "/apis/storage.k8s.io/v1/storageclasses", "body": {
            "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}},
            "provisioner": "example.com/none"}})
    };
    let claim = |extra: Value| {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        for (field, value) in extra.as_object().unwrap() {
            spec[field] = value.clone();
        }
        json!({"method": "POST", "path": "/api/v1/namespaces/n/persistentvolumeclaims?dryRun=All",
               "body": {"metadata": {"name": "c"}, "spec": spec}})
    };
    assert_eq!(world.send(&class("other", "false")).unwrap().0, 201);
    assert_eq!(world.send(&claim(json!({}))).unwrap().1["spec"].get("storageClassName"), None);
    assert_eq!(world.send(&class("usual", "true")).unwrap().0, 201);
    assert_eq!(world.send(&claim(json!({}))).unwrap().1["spec"]["storageClassName"], "usual");
    let none = claim(json!({"storageClassName": ""}));
    assert_eq!(world.send(&none).unwrap().1["spec"]["storageClassName"], "");
}

#[test]
fn nothing_new_in_a_namespace_that_goes() {
    let mut world = World::new("n");
    assert_eq!(world.send(&json!({"method": "DELETE", "path": "/api/v1/namespaces/n"})).unwrap().0, 200);
    let create = json!({"method": "POST", "path": "/api/v1/namespaces/n/configmaps",
                        "body": {"metadata": {"name": "c"}}});
    let (code, body, _) = world.send(&create).unwrap();
    assert_eq!((code, body["details"]["causes"][0]["reason"].as_str()), (403, Some("NamespaceTerminating")));
}
