//! Endpoints as clients of a Service see them.

use cox_objects::{Key, Resource};
use serde_json::{Value, json};

use super::legacy::LegacyEndpoints;
use super::slices::EndpointSlices;
use crate::testing::Cluster;

fn service(spec: &Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {
        "selector": {"app": "x"}, "clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

fn pod(name: &str, ip: &str, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": name, "labels": {"app": "x"}},
        "spec": {"nodeName": "n1", "containers": [{"ports": [{"name": "web", "containerPort": 9090}]}]},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2020-01-01T00:00:00Z"}]}})
}

struct World {
    cluster: Cluster,
    slices: EndpointSlices,
    legacy: LegacyEndpoints,
}

impl World {
    fn new(spec: &Value) -> Self {
        let mut cluster = Cluster::new();
        cluster.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
        cluster.create(service(spec));
        let mut world = World { cluster, slices: EndpointSlices::default(), legacy: LegacyEndpoints::default() };
        world.settle();
        world
    }

    fn settle(&mut self) {
        self.cluster.settle(&mut self.slices);
        self.cluster.settle(&mut self.legacy);
    }

    fn slices(&self) -> Vec<Value> {
        self.cluster.list_values(&Resource::ENDPOINTSLICES)
    }

    fn endpoints(&self) -> Value {
        self.cluster.value(&Key::new(Resource::ENDPOINTS, "n", "s"))
    }
}

#[test]
fn a_service_without_pods_says_so() {
    let world = World::new(&json!({}));
    let slice = world.slices().remove(0);
    assert_eq!(
        (&slice["endpoints"], &slice["ports"], &slice["addressType"]),
        (&Value::Null, &Value::Null, &json!("IPv4"))
    );
    assert_eq!(
        slice["metadata"]["labels"],
        json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": "s"})
    );
    assert_eq!(
        slice["metadata"]["annotations"]["endpoints.kubernetes.io/last-change-trigger-time"],
        "2026-11-21T12:00:00Z"
    );
    assert_eq!(
        world.endpoints()["metadata"]["labels"],
        json!({"endpoints.kubernetes.io/managed-by": "endpoint-controller"})
    );
    assert_eq!(world.endpoints().get("subsets"), None);
}

#[test]
fn a_pod_is_served_once_it_is_ready_and_until_it_is_gone() {
    let mut world = World::new(&json!({}));
    let key = world.cluster.create(pod("p", "10.1.2.3", false));
    world.settle();
    let conditions = |world: &World| world.slices()[0]["endpoints"][0]["conditions"].clone();
    assert_eq!(conditions(&world), json!({"ready": false, "serving": false, "terminating": false}));
    let address = json!([{"ip": "10.1.2.3", "nodeName": "n1",
        "targetRef": {"kind": "Pod", "namespace": "n", "name": "p", "uid": "p"}}]);
    let ports = json!([{"name": "http", "port": 8080, "protocol": "TCP"}]);
    assert_eq!(world.endpoints()["subsets"], json!([{"notReadyAddresses": address, "ports": ports}]));

    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]);
    world.cluster.merge(&key, &json!({"status": {"conditions": ready}}));
    world.settle();
    assert_eq!(conditions(&world), json!({"ready": true, "serving": true, "terminating": false}));
    assert_eq!(world.endpoints()["subsets"], json!([{"addresses": address, "ports": ports}]));
    assert_eq!(world.slices()[0]["metadata"].get("annotations"), None, "nothing newer brought the change about");

    world.cluster.delete(&key);
    world.settle();
    assert_eq!(conditions(&world), json!({"ready": false, "serving": true, "terminating": true}));
    assert_eq!(world.endpoints().get("subsets"), None);

    world.cluster.remove(&key);
    world.settle();
    assert_eq!(world.slices()[0]["endpoints"], Value::Null);
}

#[test]
fn ports_by_name_are_those_of_the_pod_and_unready_pods_may_be_published() {
    let mut world = World::new(&json!({"clusterIP": "None", "publishNotReadyAddresses": true,
        "ports": [{"name": "w", "port": 80, "targetPort": "web"}]}));
    world.cluster.create(pod("p", "10.1.2.5", false));
    world.settle();
    let slice = world.slices().remove(0);
    assert_eq!(slice["ports"], json!([{"name": "w", "protocol": "TCP", "port": 9090}]));
    assert_eq!(slice["endpoints"][0]["conditions"], json!({"ready": true, "serving": false, "terminating": false}));
    assert_eq!(slice["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    assert_eq!(world.endpoints()["subsets"][0]["addresses"][0]["ip"], "10.1.2.5");
}

#[test]
fn slices_hold_at_most_a_hundred_and_stay_where_they_are() {
    let mut world = World::new(&json!({}));
    for n in 0..250 {
        world.cluster.create(pod(&format!("p{n:03}"), &format!("10.1.{}.{}", n / 200, n % 200), true));
    }
    world.settle();
    let sizes = |world: &World| {
        let mut sizes: Vec<usize> = world.slices().iter().map(|s| s["endpoints"].as_array().unwrap().len()).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&world), [50, 100, 100]);
    let before = world.slices();
    let one = before.iter().find(|slice| slice["endpoints"].as_array().unwrap().len() == 50).unwrap();
    let name = one["endpoints"][0]["targetRef"]["name"].as_str().unwrap().to_owned();
    world.cluster.remove(&Key::new(Resource::PODS, "n", &name));
    world.settle();
    assert_eq!(sizes(&world), [49, 100, 100]);
    let unchanged = world.slices().iter().filter(|slice| before.contains(slice)).count();
    assert_eq!(unchanged, 2);
}

#[test]
fn a_pod_on_a_node_that_is_not_there_is_no_endpoint() {
    let mut world = World::new(&json!({}));
    world.cluster.create(pod("p", "10.1.2.3", true));
    world.settle();
    let node = Key::new(Resource::NODES, "", "n1");
    world.cluster.remove(&node);
    let keys = world.cluster.news(&mut world.slices);
    assert_eq!(keys.len(), 1);
    world.settle();
    assert_eq!(world.slices()[0]["endpoints"], Value::Null);
}

#[test]
fn what_is_known_of_a_service_that_no_longer_selects_stays() {
    let mut world = World::new(&json!({}));
    world.cluster.create(pod("p", "10.1.2.3", true));
    world.settle();
    let before = (world.slices(), world.endpoints());
    world.cluster.merge(&Key::new(Resource::SERVICES, "n", "s"), &json!({"spec": {"selector": null}}));
    world.cluster.create(pod("q", "10.1.2.4", true));
    world.settle();
    assert_eq!((world.slices(), world.endpoints()), before);
}
