//! Who belongs where, as Kubernetes' own schemas have it.

use http::Method;

use super::*;
use crate::query::Query;

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
    User { name: name.to_owned(), groups, ..User::default() }
}

fn account(namespace: &str, name: &str) -> User {
    let own = format!("system:serviceaccounts:{namespace}");
    user(&format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &own])
}

fn belongs(user: &User, method: Method, path: &str) -> (&'static str, &'static str) {
    let schema = SCHEMAS[classify(user, &Info::read(&method, path, &Query::parse("")))];
    (schema.name, LEVELS[schema.level].name)
}

#[test]
fn each_user_has_a_priority() {
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x";
    const OTHER_LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/x";
    const PODS: &str = "/api/v1/namespaces/default/pods";
    let (scheduler, node) = (user("system:kube-scheduler", &[]), user("system:node:a", &["system:nodes"]));
    for (user, method, path, schema, level) in [
        (&user("admin", &["system:masters"]), Method::POST, PODS, "exempt", "exempt"),
        (&user("jane", &[]), Method::GET, "/readyz", "probes", "exempt"),
        (&user("jane", &[]), Method::GET, "/readyz/ping", "global-default", "global-default"),
        (&user("jane", &[]), Method::POST, PODS, "global-default", "global-default"),
        (&scheduler, Method::PUT, LEASE, "system-leader-election", "leader-election"),
        (&scheduler, Method::DELETE, LEASE, "kube-scheduler", "workload-high"),
        (&scheduler, Method::PUT, OTHER_LEASE, "kube-scheduler", "workload-high"),
        (&account("kube-system", "x"), Method::PUT, OTHER_LEASE, "workload-leader-election", "leader-election"),
        (&account("kube-system", "x"), Method::GET, PODS, "kube-system-service-accounts", "workload-high"),
        (
            &account("kube-system", "endpoint-controller"),
            Method::PUT,
            "/api/v1/namespaces/default/endpoints/x",
            "endpoint-controller",
            "workload-high",
        ),
        (&account("default", "x"), Method::PUT, LEASE, "service-accounts", "workload-low"),
        (&node, Method::PATCH, "/api/v1/nodes/a/status", "system-node-high", "node-high"),
        (&node, Method::PUT, OTHER_LEASE, "system-node-high", "node-high"),
        (&node, Method::GET, PODS, "system-nodes", "system"),
        (&User::default(), Method::GET, PODS, "catch-all", "catch-all"),
    ] {
        assert_eq!(belongs(user, method, path), (schema, level), "{} {path}", user.name);
    }
}

#[test]
fn conversations_wait_for_nothing() {
    let read = |path: &str| Info::read(&Method::GET, path, &Query::parse(""));
    assert!(is_conversation(&read("/api/v1/namespaces/a/pods/b/exec")));
    assert!(is_conversation(&read("/api/v1/namespaces/a/services/b/proxy/x/y")));
    assert!(!is_conversation(&read("/api/v1/namespaces/a/pods/exec")));
}

#[test]
fn all_seats_are_given() {
    let given: u32 = LEVELS.iter().map(|level| level.seats).sum();
    assert!((SEATS + EXEMPT_SEATS..SEATS + EXEMPT_SEATS + 10).contains(&given), "{given}");
}
