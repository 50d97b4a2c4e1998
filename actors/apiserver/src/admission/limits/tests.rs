//! What a LimitRange gives, and what it refuses.

use serde_json::{Value, json};

use crate::oracle::World;

fn world(limits: Value) -> World {
    let mut world = World::new("n");
    let body = json!({"metadata": {"name": "l"}, "spec": {"limits": limits}});
    let range = json!({"method": "POST", "path": "/api/v1/namespaces/n/limitranges", "body": body});
    assert_eq!(world.send(&range).unwrap().0, 201);
    world
}

fn pod(world: &mut World, resources: &[Value]) -> (u16, Value) {
    let container =
        |(i, resources): (usize, &Value)| json!({"name": format!("c{i}"), "image": "i", "resources": resources});
    let containers: Vec<Value> = resources.iter().enumerate().map(container).collect();
    let body = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}});
    let (code, body, _) =
        world.send(&json!({"method": "POST", "path": "/api/v1/namespaces/n/pods?dryRun=All", "body": body})).unwrap();
    (code, body)
}

#[test]
fn containers_get_what_they_do_not_ask_for() {
    let given =
        json!([{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}}]);
    let (code, body) = pod(&mut world(given), &[json!({}), json!({"limits": {"cpu": "500m"}})]);
    assert_eq!(code, 201, "{body}");
    let containers = &body["spec"]["containers"];
    assert_eq!(
        containers[0]["resources"],
        json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}})
    );
    assert_eq!(
        containers[1]["resources"],
        json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}})
    );
    assert_eq!(
        body["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for container c0; \
         memory request for container c1; memory limit for container c1"
    );
    assert_eq!(body["status"]["qosClass"], "Burstable");
}

#[test]
fn each_bound_is_told_apart() {
    let limits = json!([{"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"},
                         "maxLimitRequestRatio": {"cpu": "2"}}]);
    let cases = [
        (json!({"requests": {"cpu": "50m"}}), "minimum cpu usage per Container is 100m, but request is 50m"),
        (
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1500m"}}),
            "maximum cpu usage per Container is 1, but limit is 1500m",
        ),
        (
            json!({"requests": {"cpu": "200m"}, "limits": {"cpu": "1"}}),
            "cpu max limit to request ratio per Container is 2, but provided ratio is 5.000000",
        ),
    ];
    let mut world = world(limits);
    for (resources, why) in cases {
        let (code, body) = pod(&mut world, &[resources]);
        assert_eq!(code, 403, "{body}");
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with("pods \"p\" is forbidden: ") && message.contains(why), "{message}");
    }
    assert_eq!(pod(&mut world, &[json!({"requests": {"cpu": "600m"}, "limits": {"cpu": "1"}})]).0, 201);
}

#[test]
fn a_pod_is_what_its_containers_are_together() {
    let mut world = world(json!([{"type": "Pod", "max": {"memory": "100Mi"}}]));
    let half = json!({"limits": {"memory": "50Mi"}});
    assert_eq!(pod(&mut world, &[half.clone(), half.clone()]).0, 201);
    let (_, body) = pod(&mut world, &[half.clone(), half.clone(), half]);
    assert_eq!(body["message"], "pods \"p\" is forbidden: maximum memory usage per Pod is 100Mi, but limit is 150Mi");
}
