//! What goes out to the other side, and where it goes.

use cox_mirror::{Limits, Mirror};
use cox_objects::{Draft, Epoch, Key, Position, Resource, kinds};
use serde_json::{Value, json};

use super::*;
use crate::query::Query;
use crate::route::{Action, Info};

fn target(plural: &str, name: &str) -> Target {
    let kind = kinds::builtin().at("", "v1", plural).unwrap().clone();
    let namespace = if kind.namespaced { "n".to_owned() } else { String::new() };
    Target { kind, namespace, name: name.to_owned(), subresource: "proxy".to_owned(), action: Action::Connect }
}

fn request(path: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let (raw_path, raw_query) = path.split_once('?').unwrap_or((path, ""));
    let query = Query::parse(raw_query);
    Request {
        info: Info::read(&Method::GET, raw_path, &query),
        method: Method::GET,
        host: "h:1".to_owned(),
        raw_path: raw_path.to_owned(),
        raw_query: raw_query.to_owned(),
        query,
        headers: map,
        body: Bytes::new(),
        user: Arc::default(),
        id: uuid::Uuid::nil(),
        traceparent: None,
    }
}

#[test]
fn a_path_is_split_where_its_proxy_ends() {
    let (pods, nodes) = (target("pods", "p"), target("nodes", "a"));
    let base = "/api/v1/namespaces/n/pods/p/proxy";
    for (rest, path) in [("", ""), ("/", "/"), ("/a%2Fb/", "/a%2Fb/"), ("//x", "//x")] {
        assert_eq!(split(&format!("{base}{rest}"), &pods), Some((base, path)));
    }
    assert_eq!(split("/api/v1/nodes/a/proxy/stats", &nodes), Some(("/api/v1/nodes/a/proxy", "/stats")));
    let moved = with_slash(&request(&format!("{base}?a=b"), &[]));
    assert_eq!((moved.status().as_u16(), &moved.headers()[LOCATION]), (301, &format!("{base}/?a=b").parse().unwrap()));
}

#[test]
fn who_asks_is_not_told_to_the_other_side() {
    let headers = [
        ("authorization", "Bearer x"),
        ("impersonate-user", "jane"),
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "5"),
        ("x-hop", "1"),
        ("x-mine", "2"),
        ("accept", "text/html"),
    ];
    let sent = outgoing(&request("/p/proxy/a?b=c", &headers), "/a", "/p/proxy", None).unwrap();
    assert_eq!(sent.uri(), "/a?b=c");
    let mut names: Vec<&str> = sent.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "x-forwarded-uri", "x-mine"]);
    assert_eq!(sent.headers()["x-forwarded-uri"], "/p/proxy/a");
    let switching = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let sent = outgoing(&request("/p/proxy/", &switching), "/", "/p/proxy", None).unwrap();
    assert_eq!(
        (&sent.headers()[UPGRADE], &sent.headers()[CONNECTION]),
        (&"websocket".parse().unwrap(), &"Upgrade".parse().unwrap())
    );
}

fn mirror() -> Mirror {
    let pod = |ip: &str| {
        json!({"spec": {"nodeName": "n1",
            "containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 3000}]}]}, "status": {"podIP": ip}})
    };
    let address = |ip: &str| json!({"ip": ip, "targetRef": {"kind": "Pod", "name": "p"}});
    let service = |kind: &str| json!({"spec": {"type": kind, "ports": [{"name": "http", "port": 80}, {"name": "b", "port": 81}]}});
    let subsets = json!({"subsets": [
        {"addresses": [address("10.0.0.1")], "ports": [{"name": "http", "port": 3001}]},
        // An address that the pod does not have, and one of no pod.
        {"addresses": [address("10.0.0.2"), {"ip": "10.0.0.3"}], "ports": [{"name": "b", "port": 3002}]}]});
    let objects: Vec<(Resource, &str, &str, Value)> = vec![
        (Resource::PODS, "n", "p", pod("10.0.0.1")),
        (Resource::PODS, "n", "new", pod("")),
        (Resource::SERVICES, "n", "s", service("ClusterIP")),
        (Resource::SERVICES, "n", "bare", service("ClusterIP")),
        (Resource::SERVICES, "n", "ext", service("ExternalName")),
        (Resource::ENDPOINTS, "n", "s", subsets),
        (Resource::NODES, "", "new", json!({})),
        (Resource::NODES, "", "old", json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]}})),
    ];
    let mirror = Mirror::new(Limits::default());
    mirror.update(|state| {
        let sealed = objects.into_iter().enumerate().map(|(at, (resource, namespace, name, mut value))| {
            value["kind"] = "Any".into();
            value["apiVersion"] = "v1".into();
            value["metadata"] = json!({"name": name, "namespace": namespace, "uid": name});
            (Key::new(resource, namespace, name), Draft::encode(&value).unwrap().seal(at as u64 + 1))
        });
        state.reset(Position { epoch: Epoch(1), revision: 99 }, sealed);
    });
    mirror
}

#[test]
fn a_name_leads_to_a_port_of_a_pod() {
    let mirror = mirror();
    for (plural, name, port) in [
        ("pods", "p", 3000),
        ("pods", "http:p:", 3000),
        ("pods", "p:81", 81),
        ("services", "s:http", 3001),
        ("services", "s:80", 3001),
    ] {
        let place = Place::find(&mirror, &target(plural, name)).unwrap();
        assert_eq!((place.node.as_str(), place.target.pod.as_str(), place.port), ("n1", "p", port), "{name}");
    }
}

#[test]
fn names_that_lead_nowhere_are_refused() {
    let mirror = mirror();
    let unreached = "error trying to reach service";
    for (plural, name, code, text) in [
        ("pods", "ftp:p:1", 400, "invalid pod request \"ftp:p:1\""),
        ("services", "a:b:c:d", 400, "invalid service request \"a:b:c:d\""),
        ("pods", "none", 404, "pods \"none\" not found"),
        ("pods", "new", 400, "address not allowed"),
        ("pods", "https:p:1", 503, unreached),
        ("services", "none", 404, "services \"none\" not found"),
        ("services", "ext", 404, "services \"ext\" not found"),
        ("services", "bare", 503, "no endpoints available for service \"bare\""),
        ("services", "s:99", 503, "no service port 99 found for service \"s\""),
        ("services", "s:b", 503, "no endpoints available for service \"s:b\""),
        ("services", "s", 503, "no endpoints available for service \"s\""),
        ("nodes", "none", 404, "nodes \"none\" not found"),
        ("nodes", "new", 500, "no preferred addresses found; known addresses: []"),
        ("nodes", "old", 503, unreached),
    ] {
        let status = Place::find(&mirror, &target(plural, name)).unwrap_err();
        assert_eq!(status.code, code, "{name}");
        assert!(status.message.starts_with(text), "{name}: {}", status.message);
    }
}
