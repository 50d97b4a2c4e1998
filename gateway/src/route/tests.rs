//! Paths as Kubernetes understands them (recorded in `discovery/unknown-paths`, `discovery/methods`, `content/odd-names-in-paths`, …).

use super::*;
use crate::query::Query;

fn route(method: Method, path: &str) -> Result<Route, Status> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let info = Info::read(&method, path, &Query::parse(query));
    resolve(&cox_objects::kinds::builtin(), &method, &info)
}

fn target(method: Method, path: &str) -> Target {
    match route(method, path) {
        Ok(Route::Resource(target)) => target,
        other => panic!("{path}: {other:?}"),
    }
}

fn code(method: Method, path: &str) -> u16 {
    match route(method, path) {
        Ok(Route::Unknown) => 404,
        Ok(_) => 200,
        Err(status) => status.code,
    }
}

#[test]
fn objects_and_collections() {
    let t = target(Method::GET, "/api/v1/namespaces/a/configmaps/c/");
    assert_eq!((t.namespace.as_str(), t.name.as_str(), t.action), ("a", "c", Action::Get));
    let t = target(Method::GET, "/api/v1/namespaces/a/configmaps%2Fc");
    assert_eq!((t.name.as_str(), t.action), ("c", Action::Get));
    assert_eq!(target(Method::GET, "/apis/apps/v1/deployments?watch=1").action, Action::Watch);
    assert_eq!(target(Method::GET, "/api/v1/watch/namespaces/a/pods").action, Action::Watch);
    let t = target(Method::GET, "/api/v1/watch/namespaces/a/pods/p");
    assert_eq!((t.name.as_str(), t.action), ("p", Action::Watch));
    assert_eq!(target(Method::DELETE, "/api/v1/namespaces/a/pods").action, Action::DeleteCollection);
    assert_eq!(target(Method::POST, "/api/v1/namespaces").action, Action::Create);
    let t = target(Method::GET, "/api/v1/namespaces/a");
    assert_eq!((t.namespace.as_str(), t.name.as_str()), ("", "a"));
    let t = target(Method::PUT, "/api/v1/namespaces/a/finalize");
    assert_eq!((t.name.as_str(), t.subresource.as_str(), t.action), ("a", "finalize", Action::Update));
    assert_eq!(target(Method::POST, "/api/v1/namespaces/a/pods/p/exec").action, Action::Connect);
    assert_eq!(target(Method::GET, "/api/v1/namespaces/a/pods/p?watch=1").action, Action::Get);
}

#[test]
fn wrong_methods_and_missing_paths() {
    for (method, path, expected) in [
        (Method::PUT, "/api/v1/namespaces/a/configmaps", 405),
        (Method::POST, "/api/v1/configmaps", 405),
        (Method::DELETE, "/api/v1/configmaps", 405),
        (Method::GET, "/api/v1/configmaps/z", 404),
        (Method::GET, "/api/v1/namespaces/a/nodes", 404),
        (Method::GET, "/api/v1/namespaces/a/nopes", 404),
        (Method::DELETE, "/api/v1/namespaces/a/pods/p/exec", 405),
        (Method::GET, "/api/v1/namespaces/a/configmaps/c/status", 404),
        (Method::HEAD, "/api/v1/namespaces/a/configmaps", 405),
        (Method::HEAD, "/api", 405),
        (Method::POST, "/api", 405),
        (Method::POST, "/apis", 200),
        (Method::PUT, "/apis/apps", 200),
        (Method::DELETE, "/apis/apps/v1", 405),
        (Method::POST, "/version", 405),
        (Method::POST, "/healthz", 200),
        (Method::GET, "/nothing/at/all", 404),
        (Method::GET, "/apis/nothing/v1/things/x", 404),
        (Method::GET, "/api/v1//pods", 404),
    ] {
        assert_eq!(code(method.clone(), path), expected, "{method} {path}");
    }
}

#[test]
fn unknown_groups_are_plain_and_unknown_resources_are_not() {
    for path in [
        "/nothing",
        "/apis/nothing",
        "/apis/nope.example.com/v1",
        "/apis/nope.example.com/v1/widgets",
        "/ui",
        "/metrics/x",
    ] {
        assert!(matches!(route(Method::GET, path), Ok(Route::Unknown)), "{path}");
    }
    for path in ["/api/nothing", "/apis/apps/v9", "/api/v1/widgets", "/apis/apps/v9/deployments", "/version/more"] {
        let status = route(Method::GET, path).unwrap_err();
        assert_eq!(status.message, "the server could not find the requested resource", "{path}");
    }
}

#[test]
fn names_that_no_path_segment_can_be() {
    let message = |path| route(Method::GET, path).unwrap_err().message;
    assert_eq!(message("/api/v1/namespaces/a/configmaps/.."), "Name parameter invalid: \"..\": may not be '..'");
    assert_eq!(message("/api/v1/namespaces/a/configmaps/%2e%2e"), "Name parameter invalid: \"..\": may not be '..'");
    assert_eq!(
        message("/api/v1/namespaces/a/configmaps/a%25b"),
        "Name parameter invalid: \"a%b\": may not contain '%'"
    );
    assert_eq!(target(Method::GET, "/api/v1/namespaces/a/configmaps/a%20b").name, "a b");
}

#[test]
fn what_is_authorized() {
    let info = |method: Method, path: &str| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Info::read(&method, path, &Query::parse(query))
    };
    let i = info(Method::GET, "/api/v1/namespaces/n?x");
    assert_eq!(
        (i.verb.as_str(), i.resource.as_str(), i.namespace.as_str(), i.name.as_str()),
        ("get", "namespaces", "n", "n")
    );
    let i = info(Method::GET, "/api/v1/namespaces/n/configmaps?watch=1&fieldSelector=metadata.name%3Dx");
    assert_eq!((i.verb.as_str(), i.name.as_str(), i.path_name.as_str()), ("watch", "x", ""));
    let i = info(Method::GET, "/api/v1/nodes/n/proxy/stats");
    assert_eq!((i.full_resource().as_str(), i.rest.len()), ("nodes/proxy", 1));
    assert_eq!(info(Method::OPTIONS, "/api/v1/pods").verb, "");
    let i = info(Method::POST, "/healthz");
    assert_eq!((i.resource_request, i.verb.as_str(), i.path.as_str()), (false, "post", "/healthz"));
    assert_eq!(info(Method::DELETE, "/api/v1/namespaces/n/pods").verb, "deletecollection");
}
