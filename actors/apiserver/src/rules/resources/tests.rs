//! Quantities of containers and pods.

use cox_objects::Path;
use serde_json::{Value, json};

use super::{aggregate, canonical, container, default_pod_requests};

#[test]
fn quantities_are_written_as_kubernetes_prints_them() {
    let mut object = json!({"limits": {"cpu": "0.5", "memory": "1024Mi", "a": 2, "tiny": "100u"}});
    canonical(&mut object, "limits");
    assert_eq!(object["limits"], json!({"cpu": "500m", "memory": "1Gi", "a": "2", "tiny": "1m"}));
}

#[test]
fn init_containers_need_what_runs_beside_them() {
    let cpu = |amount: &str| json!({"requests": {"cpu": amount}});
    let spec = json!({
        "initContainers": [
            {"resources": cpu("1"), "restartPolicy": "Always"},
            {"resources": cpu("3")},
        ],
        "containers": [{"resources": cpu("1")}],
    });
    // 1 of the sidecar and 3 of the second init container at once are more than 1 + 1 later.
    assert_eq!(aggregate(&spec, "requests")["cpu"].to_string(), "4");
}

#[test]
fn a_pod_with_limits_requests_what_its_containers_do() {
    let mut spec = json!({
        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
        "containers": [{"resources": {"requests": {"cpu": "500m"}}}],
    });
    default_pod_requests(&mut spec);
    assert_eq!(spec["resources"]["requests"], json!({"cpu": "500m", "memory": "1Gi"}));
}

#[test]
fn huge_pages_come_in_whole_pages() {
    let faults = |amount: &str| {
        let mut errors = Vec::new();
        let list: Value = json!({"hugepages-2Mi": amount, "memory": "1Gi"});
        container(&mut errors, &json!({"limits": list, "requests": list}), &[], &Path::new("resources"));
        errors.len()
    };
    assert_eq!(faults("4Mi"), 0);
    assert_eq!(faults("3Mi"), 2);
}
