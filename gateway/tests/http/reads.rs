//! Reads, lists, watches and documents.

use cox_objects::Change;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::client::As;
use crate::cluster::Cluster;

pub fn configmap(name: &str, data: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "a", "labels": {"n": name}}, "data": {"x": data}})
}

const PATH: &str = "/api/v1/namespaces/a/configmaps";

#[tokio::test]
async fn an_object_and_who_may_not_see_it() {
    let cluster = Cluster::start().await;
    cluster.state.put(&configmap("c", "1"), Change::Added);
    let answer = cluster.get(&format!("{PATH}/c")).await;
    assert_eq!((answer.code, answer.json()["data"]["x"].as_str()), (200, Some("1")));
    assert!(answer.headers.contains_key("audit-id"));
    let missing = cluster.get(&format!("{PATH}/none")).await;
    assert_eq!((missing.code, missing.json()["message"].as_str()), (404, Some("configmaps \"none\" not found")));
    let stranger = cluster.send(As::Nobody, "GET", &format!("{PATH}/c"), &[], "").await;
    assert_eq!(stranger.code, 403);
    assert_eq!(stranger.json()["details"]["name"], "c");
    let forged = cluster.send(As::Nobody, "GET", "/version", &[("authorization", "Bearer nonsense")], "").await;
    assert_eq!(forged.code, 401);
    let yaml = cluster.send(As::Admin, "GET", &format!("{PATH}/c"), &[("accept", "application/yaml")], "").await;
    assert!(yaml.text().contains("\ndata:\n  x: \"1\"\n"), "{}", yaml.text());
    assert_eq!(
        cluster.send(As::Admin, "GET", &format!("{PATH}/c"), &[("impersonate-user", "jane")], "").await.code,
        403
    );
    cluster.serving.stop().await;
}

#[tokio::test]
async fn pages_show_the_list_as_it_was() {
    let cluster = Cluster::start().await;
    for n in 0..5 {
        cluster.state.put(&configmap(&format!("c{n}"), "old"), Change::Added);
    }
    let first = cluster.get(&format!("{PATH}?limit=2")).await.json();
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert!(first["items"][0].get("kind").is_none());
    cluster.state.put(&configmap("c3", "new"), Change::Modified);
    cluster.state.put(&configmap("c20", "new"), Change::Added);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = cluster.get(&format!("{PATH}?continue={token}")).await.json();
    let seen: Vec<_> =
        rest["items"].as_array().unwrap().iter().map(|i| (&i["metadata"]["name"], &i["data"]["x"])).collect();
    assert_eq!(seen, [(&json!("c2"), &json!("old")), (&json!("c3"), &json!("old")), (&json!("c4"), &json!("old"))]);
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(rest["metadata"].get("continue").is_none());

    let chosen = cluster.get(&format!("{PATH}?limit=1&labelSelector=n!%3Dc0")).await.json();
    assert_eq!(chosen["items"][0]["metadata"]["name"], "c1");
    assert!(chosen["metadata"].get("remainingItemCount").is_none());
    let future = cluster.get(&format!("{PATH}?resourceVersion=999999&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!((future.code, future.headers["retry-after"].to_str().unwrap()), (504, "1"));
}

#[tokio::test]
async fn a_watch_delivers_what_is_there_and_what_comes() {
    let cluster = Cluster::start().await;
    cluster.state.put(&configmap("c", "1"), Change::Added);
    let query =
        "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&labelSelector=n%3Dc";
    let request = Request::get(format!("{PATH}?{query}")).header("host", "h").body(Full::default()).unwrap();
    let mut body = cluster.begin(As::Admin, request).await.into_body();
    let mut text = String::new();
    let mut relabelled = configmap("c", "3");
    relabelled["metadata"]["labels"]["n"] = json!("d");
    for (lines, change) in [(2, Some(configmap("c", "2"))), (3, Some(relabelled)), (4, None)] {
        while text.matches('\n').count() < lines {
            let frame =
                tokio::time::timeout(std::time::Duration::from_secs(10), body.frame()).await.unwrap().unwrap().unwrap();
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        if let Some(object) = change {
            cluster.state.put(&object, Change::Modified);
        }
    }
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> =
        events.iter().map(|e| (e["type"].as_str().unwrap(), e["object"]["data"]["x"].as_str())).collect();
    // An object that leaves the selector is shown as it was.
    assert_eq!(seen, [("ADDED", Some("1")), ("BOOKMARK", None), ("MODIFIED", Some("2")), ("DELETED", Some("2"))]);
    assert_eq!(events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(events[3]["object"]["metadata"]["resourceVersion"], "4");
    // At shutdown watches end.
    cluster.serving.stop().await;
    assert!(body.frame().await.is_none_or(|frame| frame.is_err()));
}

#[tokio::test]
async fn a_table_watch_has_columns_once() {
    let cluster = Cluster::start().await;
    for name in ["c", "d"] {
        cluster.state.put(&configmap(name, "1"), Change::Added);
    }
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let text = cluster.send(As::Admin, "GET", &format!("{PATH}?watch=1&timeoutSeconds=1"), &accept, "").await.text();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert!(events[0]["object"]["columnDefinitions"].is_array() && events[1]["object"]["columnDefinitions"].is_null());
    assert_eq!(events[1]["object"]["rows"][0]["cells"][0], "d");
    let table = cluster.send(As::Admin, "GET", PATH, &accept, "").await.json();
    assert_eq!((table["kind"].as_str(), table["rows"].as_array().unwrap().len()), (Some("Table"), 2));
}

#[tokio::test]
async fn documents() {
    let cluster = Cluster::start().await;
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let answer = cluster.send(As::Admin, "GET", "/apis", &[("accept", aggregated)], "").await;
    assert_eq!(answer.headers["content-type"], aggregated);
    let etag = answer.headers["etag"].to_str().unwrap();
    let again = cluster.send(As::Admin, "GET", "/apis", &[("accept", aggregated), ("if-none-match", etag)], "").await;
    assert_eq!((again.code, again.body.len()), (304, 0));
    assert_eq!(cluster.get("/api").await.json()["serverAddressByClientCIDRs"][0]["serverAddress"], "cluster:6443");
    assert!(cluster.get("/version").await.json()["gitVersion"].as_str().unwrap().starts_with("v1.36.2+cox."));
    assert_eq!(cluster.get("/readyz/log-store").await.text(), "ok");
    assert_eq!(cluster.get("/openapi/v2").await.code, 404);
    assert!(cluster.get("/openapi/v3/apis/apps/v1").await.json()["paths"].is_object());
    assert!(
        cluster.get("/metrics").await.text().contains("apiserver_request_total{code=\"200\",component=\"apiserver\"")
    );
    let keys = cluster.send(As::Admin, "GET", "/openid/v1/jwks", &[("accept", "*/*")], "").await.json();
    assert_eq!(keys["keys"][0]["crv"], "P-256");
    assert_eq!(cluster.send(As::Admin, "HEAD", "/api", &[], "").await.code, 405);
}
