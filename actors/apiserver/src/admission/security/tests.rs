//! What a namespace's labels do to what is written in it.

use serde_json::{Value, json};

use crate::oracle::World;

fn label(world: &mut World, labels: &Value) -> (u16, Value, Vec<String>) {
    let patch = json!({"method": "PATCH", "path": "/api/v1/namespaces/n", "body": {"metadata": {"labels": labels}},
                       "headers": {"Content-Type": "application/merge-patch+json"}});
    world.send(&patch).unwrap()
}

fn pod(world: &mut World, name: &str, context: Value) -> (u16, Value, Vec<String>) {
    let body = json!({"metadata": {"name": name}, "spec": {"containers": [
        {"name": "c", "image": "i", "securityContext": context}]}});
    world.send(&json!({"method": "POST", "path": "/api/v1/namespaces/n/pods", "body": body})).unwrap()
}

#[test]
fn an_enforced_level_refuses_pods_and_their_changes() {
    let mut world = World::new("n");
    assert_eq!(pod(&mut world, "before", json!({"privileged": true})).0, 201);
    let labels = json!({"pod-security.kubernetes.io/enforce": "baseline",
                        "pod-security.kubernetes.io/enforce-version": "v1.30"});
    let (code, _, warnings) = label(&mut world, &labels);
    assert_eq!(code, 200);
    assert_eq!(
        warnings,
        [
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:v1.30\"",
            "before: privileged",
        ]
    );
    let (code, body, _) = pod(&mut world, "after", json!({"privileged": true}));
    assert_eq!(code, 403);
    assert_eq!(
        body["message"],
        "pods \"after\" is forbidden: violates PodSecurity \"baseline:v1.30\": privileged (container \"c\" must not set \
         securityContext.privileged=true)"
    );
    assert_eq!(pod(&mut world, "modest", json!({})).0, 201);
    let patch = |body: Value| {
        json!({"method": "PATCH", "path": "/api/v1/namespaces/n/pods/before", "body": body,
               "headers": {"Content-Type": "application/strategic-merge-patch+json"}})
    };
    let relabel = patch(json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(world.send(&relabel).unwrap().0, 200, "what is not checked may change");
    let renew = patch(json!({"spec": {"containers": [{"name": "c", "image": "j"}]}}));
    assert_eq!(world.send(&renew).unwrap().0, 403);
}

#[test]
fn templates_are_warned_of_and_made() {
    let mut world = World::new("n");
    label(&mut world, &json!({"pod-security.kubernetes.io/warn": "baseline"}));
    let (code, _, warnings) = pod(&mut world, "p", json!({"privileged": true}));
    assert_eq!((code, warnings.len()), (201, 1));
    let body = json!({"metadata": {"name": "t"}, "template": {"spec": {"hostPID": true, "containers": [
        {"name": "c", "image": "i"}]}}});
    let create = json!({"method": "POST", "path": "/api/v1/namespaces/n/podtemplates", "body": body});
    let (code, _, warnings) = world.send(&create).unwrap();
    assert_eq!(
        (code, warnings),
        (201, vec!["would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)".to_owned()])
    );
}

#[test]
fn labels_that_mean_nothing_are_refused() {
    let mut world = World::new("n");
    let labels = json!({"pod-security.kubernetes.io/enforce": "strict",
                        "pod-security.kubernetes.io/warn-version": "v2"});
    let (code, body, _) = label(&mut world, &labels);
    assert_eq!(code, 422, "{body}");
    assert_eq!(
        body["message"],
        "Namespace \"n\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must \
         be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid \
         value: \"v2\": must be \"latest\" or \"v1.x\"]"
    );
}
