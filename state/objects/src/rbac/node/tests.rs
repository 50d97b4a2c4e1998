//! Nodes read what their pods use, and no more; others are none of its business.

use serde_json::json;

use super::*;
use crate::rbac::{Index, bootstrap};
use crate::{Draft, Object, Revision, User};

/// A few objects.
struct Few(Vec<(Key, Object)>);

impl Source for Few {
    fn revision(&self) -> Revision {
        1
    }

    fn get(&self, key: &Key) -> Option<Object> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, object)| object.clone())
    }

    fn list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)> {
        let inside = |key: &Key| key.resource == *resource && (namespace.is_empty() || key.namespace() == namespace);
        self.0.iter().filter(|(key, _)| inside(key)).cloned().collect()
    }

    fn owned(&self, _: &Resource, _: &str) -> Vec<(Key, Object)> {
        Vec::new()
    }
}

fn stored(key: &Key, mut value: Value) -> Object {
    value["kind"] = "Any".into();
    value["apiVersion"] = "v1".into();
    value["metadata"] = json!({"name": key.name(), "namespace": key.namespace()});
    Draft::encode(&value).unwrap().seal(1)
}

fn state() -> Few {
    let pod = |name: &str, node: &str| {
        json!({"spec": {
            "nodeName": node, "serviceAccountName": format!("{name}-account"),
            "imagePullSecrets": [{"name": format!("{name}-pull")}],
            "volumes": [
                {"name": "a", "secret": {"secretName": format!("{name}-secret")}},
                {"name": "b", "projected": {"sources": [{"configMap": {"name": format!("{name}-map")}}]}},
                {"name": "c", "persistentVolumeClaim": {"claimName": format!("{name}-claim")}},
                {"name": "d", "ephemeral": {}}],
            "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": format!("{name}-key")}}}]}],
            "containers": [{"envFrom": [{"configMapRef": {"name": format!("{name}-env")}}]}]}})
    };
    let volume = |claim: &str| json!({"spec": {"claimRef": {"namespace": "n", "name": claim}}});
    let attachment = |node: &str| json!({"spec": {"nodeName": node}});
    let volumes = Resource::from_static("persistentvolumes");
    let attachments = Resource::from_static("volumeattachments.storage.k8s.io");
    let objects = [
        (Key::new(Resource::PODS, "n", "mine"), pod("mine", "n1")),
        (Key::new(Resource::PODS, "n", "theirs"), pod("theirs", "n2")),
        (Key::new(volumes.clone(), "", "mine"), volume("mine-claim")),
        (Key::new(volumes.clone(), "", "theirs"), volume("theirs-claim")),
        (Key::new(volumes, "", "free"), json!({"spec": {}})),
        (Key::new(attachments.clone(), "", "mine"), attachment("n1")),
        (Key::new(attachments, "", "theirs"), attachment("n2")),
    ];
    Few(objects.into_iter().map(|(key, value)| (key.clone(), stored(&key, value))).collect())
}

fn roles() -> Index {
    let mut index = Index::default();
    for role in bootstrap::objects() {
        let (kind, name) = (text(&role, "kind").to_owned(), text(&role, "metadata.name").to_owned());
        if kind == "ClusterRole" {
            let object = Draft::encode(&role).unwrap().seal(1);
            index.apply(&Key::new(Resource::CLUSTERROLES, "", &name), Some(&object)).unwrap();
        }
    }
    index
}

/// `verb group/resource/subresource namespace/name`, asked by node n1; the reason of a refusal.
fn ask(line: &str, selected: &str) -> Result<(), String> {
    let parts: Vec<&str> = line.split(' ').collect();
    let (resource, place) = (parts[1].split('/').collect::<Vec<_>>(), parts[2].split_once('/').unwrap());
    let user = User { name: "system:node:n1".into(), groups: vec!["system:nodes".into()], ..User::default() };
    let target = Target::Resource {
        group: resource[0],
        resource: resource[1],
        subresource: resource.get(2).copied().unwrap_or_default(),
        namespace: place.0,
        name: place.1,
    };
    let request = Attributes { user: &user, verb: parts[0], target };
    let decision = authorize_node(&roles(), &state(), &request, selected).unwrap();
    if decision.allowed { Ok(()) } else { Err(decision.reason) }
}

#[test]
fn what_its_pods_use_is_read() {
    for allowed in [
        "get /secrets n/mine-secret",
        "watch /secrets n/mine-key",
        "get /secrets n/mine-pull",
        "get /configmaps n/mine-map",
        "list /configmaps n/mine-env",
        "get /persistentvolumeclaims n/mine-claim",
        "get /persistentvolumeclaims n/mine-d",
        "patch /persistentvolumeclaims/status n/mine-claim",
        "get /persistentvolumes /mine",
        "get storage.k8s.io/volumeattachments /mine",
        "get /serviceaccounts n/mine-account",
        "create /serviceaccounts/token n/mine-account",
        "get /pods n/mine",
        "patch /pods/status n/mine",
        "get /nodes /n1",
        "watch /nodes /n1",
        "patch /nodes/status /n1",
        "update coordination.k8s.io/leases kube-node-lease/n1",
        "get storage.k8s.io/csinodes /n1",
        // What is not divided among nodes is the role's.
        "list /services /",
        "create /events n/",
        "create certificates.k8s.io/certificatesigningrequests /",
    ] {
        assert_eq!(ask(allowed, ""), Ok(()), "{allowed}");
    }
    assert_eq!(ask("list /pods /", "n1"), Ok(()));
}

#[test]
fn the_rest_is_refused_with_its_reason() {
    let unrelated = "no relationship found between node 'n1' and this object";
    for (refused, why) in [
        ("get /secrets n/theirs-secret", unrelated),
        ("get /secrets m/mine-secret", unrelated),
        ("list /secrets n/", "No Object name found"),
        ("list /secrets /", "can only read namespaced object of this type"),
        ("delete /secrets n/mine-secret", "can only read resources of this type"),
        ("get /persistentvolumes /theirs", unrelated),
        ("get /persistentvolumes /free", unrelated),
        ("list /persistentvolumes /", "can only get individual resources of this type"),
        ("get storage.k8s.io/volumeattachments /theirs", unrelated),
        ("create /serviceaccounts/token n/theirs-account", unrelated),
        ("get /pods n/theirs", unrelated),
        ("delete /pods n/theirs", unrelated),
        ("list /pods /", "can only list/watch pods with spec.nodeName field selector"),
        ("get /nodes /n2", "node 'n1' cannot read 'n2', only its own Node object"),
        ("list /nodes /", "node 'n1' cannot read all nodes, only its own Node object"),
        ("patch /nodes /n2", "can only access Node with the same name as the requesting node"),
        (
            "get coordination.k8s.io/leases kube-node-lease/n2",
            "can only access node lease with the same name as the requesting node",
        ),
        ("get coordination.k8s.io/leases n/n1", "can only access leases in the \"kube-node-lease\" system namespace"),
        (
            "list coordination.k8s.io/leases kube-node-lease/",
            "can only get, create, update, patch, or delete a node lease",
        ),
        ("get storage.k8s.io/csinodes /n2", "can only access CSINode with the same name as the requesting node"),
        ("list apps/deployments n/", ""),
    ] {
        assert_eq!(ask(refused, ""), Err(why.to_owned()), "{refused}");
    }
    assert!(ask("list /pods /", "n2").is_err());
}

#[test]
fn who_is_no_node_is_not_decided_about() {
    let target = Target::Path("/version");
    for (name, group) in [("system:node:n1", "others"), ("system:node:", GROUP), ("jane", GROUP)] {
        let user = User { name: name.into(), groups: vec![group.into()], ..User::default() };
        assert_eq!(authorize_node(&roles(), &state(), &Attributes { user: &user, verb: "get", target }, ""), None);
    }
}
