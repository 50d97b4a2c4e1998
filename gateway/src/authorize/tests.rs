//! Roles count from the moment the mirror has them, and no longer.

use cox_mirror::Limits;
use cox_objects::{Draft, Epoch, Key, Object, Position};
use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::query::Query;

fn object(value: &Value, revision: u64) -> (Key, Object) {
    let kind = value["kind"].as_str().unwrap();
    let resource = Resource::from(format!("{}s.rbac.authorization.k8s.io", kind.to_lowercase()).as_str());
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = Key::new(resource, &text("/metadata/namespace"), &text("/metadata/name"));
    (key, Draft::encode(value).unwrap().seal(revision))
}

fn reader() -> [Value; 2] {
    let api = "rbac.authorization.k8s.io/v1";
    [
        json!({"kind": "Role", "apiVersion": api, "metadata": {"name": "r", "namespace": "n"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]}),
        json!({"kind": "RoleBinding", "apiVersion": api, "metadata": {"name": "b", "namespace": "n"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]}),
    ]
}

fn jane() -> User {
    User { name: "jane".into(), groups: vec!["system:authenticated".into()], ..User::default() }
}

fn list(namespace: &str) -> Info {
    Info::read(&Method::GET, &format!("/api/v1/namespaces/{namespace}/configmaps"), &Query::default())
}

#[test]
fn a_binding_counts_as_soon_as_the_mirror_has_it() {
    let mirror = Mirror::new(Limits::default());
    let at = |revision| Position { epoch: Epoch(1), revision };
    mirror.update(|state| state.reset(at(1), []));
    let authorizer = Authorizer::new(mirror.clone());
    let refused = authorizer.check(&jane(), &list("n")).unwrap_err();
    assert_eq!(
        refused.message,
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"n\""
    );
    let [role, binding] = reader();
    mirror.update(|state| state.reset(at(3), [object(&role, 2), object(&binding, 3)]));
    assert_eq!(authorizer.check(&jane(), &list("n")), Ok(()));
    assert_eq!(authorizer.check(&jane(), &list("m")).unwrap_err().code, 403);
    mirror.update(|state| state.reset(at(4), [object(&binding, 3)]));
    let refused = authorizer.check(&jane(), &list("n")).unwrap_err();
    assert!(refused.message.ends_with(": RBAC: role.rbac.authorization.k8s.io \"r\" not found"), "{refused}");
}

#[test]
fn masters_may_do_anything_and_anonymous_no_path() {
    let authorizer = Authorizer::new(Mirror::new(Limits::default()));
    let path = Info::read(&Method::GET, "/metrics", &Query::default());
    let master = User { groups: vec!["system:masters".into()], ..jane() };
    assert_eq!(authorizer.check(&master, &path), Ok(()));
    let refused = authorizer.check(&crate::auth::anonymous(), &path).unwrap_err();
    assert_eq!(refused.message, "forbidden: User \"system:anonymous\" cannot get path \"/metrics\"");
}
