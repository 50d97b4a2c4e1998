//! The default roles against the recorded ones, and decisions with their reasons.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Draft, Key, Resource, User};

fn recorded() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases/auth");
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("bootstrap-") {
            continue;
        }
        let case: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for step in case["steps"].as_array().unwrap() {
            let body = &step["response"]["body"];
            match body["kind"].as_str().unwrap() {
                "ClusterRole" | "ClusterRoleBinding" => objects.push(body.clone()),
                "RoleList" | "RoleBindingList" => {
                    for item in body["items"].as_array().unwrap() {
                        let mut item = item.clone();
                        item["kind"] = body["kind"].as_str().unwrap().trim_end_matches("List").into();
                        item["apiVersion"] = body["apiVersion"].clone();
                        objects.push(item);
                    }
                }
                _ => {}
            }
        }
    }
    objects
}

fn identity(object: &Value) -> (String, String, String) {
    let text = |path| crate::meta::text(object, path).to_owned();
    (text("kind"), text("metadata.namespace"), text("metadata.name"))
}

#[test]
fn the_default_objects_are_the_recorded_ones() {
    let objects = bootstrap::objects();
    let recorded = recorded();
    assert!(recorded.len() > 70);
    for mut expected in recorded {
        for server_made in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
            expected["metadata"].as_object_mut().unwrap().remove(server_made);
        }
        let found = objects.iter().find(|o| identity(o) == identity(&expected));
        assert_eq!(found, Some(&expected));
    }
}

#[test]
fn every_default_binding_names_a_default_role() {
    let objects = bootstrap::objects();
    for object in objects.iter().filter(|o| o.get("roleRef").is_some()) {
        let binding = binding_of(object).unwrap();
        let namespace = if binding.role.kind == "Role" { binding.namespace.clone() } else { String::new() };
        let role = (binding.role.kind.clone(), namespace, binding.role.name.clone());
        assert!(objects.iter().any(|o| identity(o) == role), "{role:?}");
    }
}

#[test]
fn what_is_missing_from_a_stored_default_is_added_and_nothing_else_is_changed() {
    let default = bootstrap::objects().into_iter().find(|o| identity(o).2 == "system:monitoring").unwrap();
    assert_eq!(bootstrap::reconcile(&default, &default), None);
    let mut stored = default.clone();
    stored["rules"].as_array_mut().unwrap().pop();
    stored["metadata"]["labels"]["mine"] = "1".into();
    let repaired = bootstrap::reconcile(&stored, &default).unwrap();
    assert_eq!(repaired["metadata"]["labels"]["mine"], "1");
    assert!(rules_cover(&rules_in(&repaired).unwrap(), &rules_in(&default).unwrap()).is_empty());
    stored["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false".into();
    assert_eq!(bootstrap::reconcile(&stored, &default), None);
}

fn index(objects: &[Value]) -> Index {
    let mut index = Index::default();
    for object in objects {
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let (_, namespace, name) = identity(object);
        let key = Key::new(Resource::new(GROUP, &plural), &namespace, &name);
        let stored = Draft::encode(object).unwrap().seal(1);
        index.apply(&key, Some(&stored)).unwrap();
    }
    index
}

fn bound(rules: Value) -> Index {
    let mut objects = bootstrap::objects();
    let v1 = "rbac.authorization.k8s.io/v1";
    objects
        .push(json!({"kind": "Role", "apiVersion": v1, "metadata": {"name": "r", "namespace": "n"}, "rules": rules}));
    objects.push(json!({"kind": "RoleBinding", "apiVersion": v1, "metadata": {"name": "b", "namespace": "n"},
        "subjects": [{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "robot"}],
        "roleRef": {"kind": "Role", "name": "r"}}));
    objects.push(json!({"kind": "RoleBinding", "apiVersion": v1, "metadata": {"name": "dangling", "namespace": "n"},
        "subjects": [{"kind": "User", "name": "joe"}], "roleRef": {"kind": "Role", "name": "nope"}}));
    index(&objects)
}

fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.to_owned(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..User::default() }
}

fn on<'a>(resource: &'a str, subresource: &'a str, namespace: &'a str, name: &'a str) -> Target<'a> {
    Target::Resource { group: "", resource, subresource, namespace, name }
}

fn decide(view: &Index, user: &User, verb: &str, target: Target<'_>) -> (bool, String) {
    let decision = authorize(view, &Attributes { user, verb, target });
    (decision.allowed, decision.reason)
}

#[test]
fn decisions_name_the_binding_that_allows() {
    let view =
        bound(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "*/log"], "resourceNames": ["p"]}]));
    let jane = user("jane", &["system:authenticated"]);
    let reason = r#"RBAC: allowed by RoleBinding "b/n" of Role "r" to User "jane""#;
    assert_eq!(decide(&view, &jane, "get", on("pods", "", "n", "p")), (true, reason.to_owned()));
    assert!(decide(&view, &jane, "get", on("pods", "log", "n", "p")).0);
    for target in
        [on("pods", "", "n", "q"), on("pods", "", "m", "p"), on("pods", "", "", "p"), on("pods", "exec", "n", "p")]
    {
        assert_eq!(decide(&view, &jane, "get", target), (false, String::new()));
    }
    let reason = r#"RBAC: allowed by ClusterRoleBinding "system:public-info-viewer" of ClusterRole "system:public-info-viewer" to Group "system:unauthenticated""#;
    let nobody = user("system:anonymous", &["system:unauthenticated"]);
    assert_eq!(decide(&view, &nobody, "get", Target::Path("/version")), (true, reason.to_owned()));
    assert_eq!(decide(&view, &user("root", &[MASTERS]), "delete", on("nodes", "", "", "n")), (true, String::new()));
    assert!(decide(&view, &user("system:serviceaccount:n:robot", &[]), "get", on("pods", "", "n", "p")).0);
    assert!(!decide(&view, &user("system:serviceaccount:m:robot", &[]), "get", on("pods", "", "n", "p")).0);
}

#[test]
fn refusals_say_what_is_not_allowed_and_which_roles_are_missing() {
    let view = bound(json!(null));
    let joe = user("joe", &[]);
    let request = Attributes { user: &joe, verb: "list", target: on("configmaps", "", "n", "") };
    let reason = authorize(&view, &request).reason;
    assert_eq!(
        request.forbidden(&reason).message,
        r#"configmaps is forbidden: User "joe" cannot list resource "configmaps" in API group "" in the namespace "n": RBAC: role.rbac.authorization.k8s.io "nope" not found"#
    );
    let request = Attributes { user: &joe, verb: "get", target: on("nodes", "proxy", "", "x") };
    assert_eq!(
        request.forbidden("").message,
        r#"nodes "x" is forbidden: User "joe" cannot get resource "nodes/proxy" in API group "" at the cluster scope"#
    );
    let request = Attributes { user: &joe, verb: "get", target: Target::Path("/logs/x") };
    assert_eq!(request.forbidden("").message, r#"forbidden: User "joe" cannot get path "/logs/x""#);
}

#[test]
fn nobody_gives_rights_that_he_does_not_hold() {
    let view = bound(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}]));
    let jane = user("jane", &["system:authenticated"]);
    let rules = |rules: Value| rules_in(&json!({"rules": rules})).unwrap();
    let given = rules(json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "delete"]},
    ]));
    assert_eq!(
        check_escalation(&view, &jane, "n", &given).unwrap_err(),
        "user \"jane\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"delete\"]}\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
    );
    let held =
        rules(json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]}]));
    assert_eq!(check_escalation(&view, &jane, "n", &held), Ok(()));
    assert!(check_escalation(&view, &jane, "m", &held).is_err());
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let words = |choice: &'static [&'static str]| prop::collection::vec(prop::sample::select(choice), 1..3);
    let names = prop::collection::vec(prop::sample::select(&["a", "b"][..]), 0..2);
    (words(&["get", "list", "*"]), words(&["", "apps", "*"]), words(&["pods", "pods/log", "*/log", "*"]), names)
        .prop_map(|(verbs, api_groups, resources, resource_names)| {
            let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
            Rule {
                verbs: own(verbs),
                api_groups: own(api_groups),
                resources: own(resources),
                resource_names: own(resource_names),
                ..Rule::default()
            }
        })
}

proptest! {
    #[test]
    fn covered_rights_allow_nothing_new(held in any_rule(), given in any_rule()) {
        let covered = rules_cover(std::slice::from_ref(&held), std::slice::from_ref(&given)).is_empty();
        for verb in ["get", "list", "watch"] {
            for (resource, sub) in [("pods", ""), ("pods", "log"), ("nodes", ""), ("nodes", "log")] {
                for (group, name) in [("", "a"), ("apps", "c"), ("batch", "")] {
                    if covered && given.allows(verb, group, resource, sub, name) {
                        prop_assert!(held.allows(verb, group, resource, sub, name));
                    }
                }
            }
        }
    }

    #[test]
    fn a_rule_covers_itself(rule in any_rule()) {
        prop_assert!(rules_cover(std::slice::from_ref(&rule), std::slice::from_ref(&rule)).is_empty());
    }
}
