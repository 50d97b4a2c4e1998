//! Sums and peaks over containers.

use serde_json::{Value, json};

use super::*;

fn spec(spec: Value) -> api::PodSpec {
    serde_json::from_value(spec).unwrap()
}

fn container(cpu: &str, more: Value) -> Value {
    let mut container = json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
    crate::testing::merge(&mut container, more);
    container
}

fn cpu(value: Value) -> i64 {
    of(&spec(value)).milli_cpu
}

#[test]
fn the_larger_of_starting_and_running_counts() {
    let plain = json!({"containers": [container("300m", json!({})), container("200m", json!({}))]});
    assert_eq!(cpu(plain), 500);
    let starting = json!({"containers": [container("300m", json!({}))], "initContainers": [container("900m", json!({})), container("400m", json!({}))]});
    assert_eq!(cpu(starting), 900);
}

#[test]
fn sidecars_are_there_all_the_time_and_overhead_is_added() {
    let always = json!({"restartPolicy": "Always"});
    let sidecar =
        json!({"containers": [container("600m", json!({}))], "initContainers": [container("500m", always.clone())]});
    assert_eq!(cpu(sidecar), 1100);
    // Those after a sidecar run beside it, those before it do not.
    let mixed = json!({
        "containers": [container("100m", json!({}))],
        "initContainers": [container("700m", json!({})), container("500m", always), container("400m", json!({}))],
        "overhead": {"cpu": "50m"},
    });
    assert_eq!(cpu(mixed), 950);
}

#[test]
fn what_the_pod_asks_for_stands_instead_of_its_containers() {
    let pod = json!({"containers": [container("300m", json!({}))], "resources": {"requests": {"cpu": "2"}}});
    assert_eq!(cpu(pod), 2000);
}

#[test]
fn scores_take_something_for_containers_that_ask_for_nothing() {
    let idle = spec(json!({"containers": [{"name": "a"}, container("1", json!({}))]}));
    assert_eq!((assumed(&idle).milli_cpu, assumed(&idle).memory), (1100, 400 << 20));
    assert_eq!((of(&idle).milli_cpu, of(&idle).memory), (1000, 0));
}
