//! How new what is read is, and what is said where it cannot be as new as asked for: a rule each.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cox_objects::{Change, Position};
use serde_json::{Value, json};

use crate::client::{Answer, As};
use crate::cluster::{Cluster, EPOCH};
use crate::reads::configmap;

const MAPS: &str = "/api/v1/namespaces/a/configmaps";
/// What surely was not answered is waited for so long.
const A_WHILE: Duration = Duration::from_millis(300);

/// A cluster whose log has one more event than its mirror.
async fn behind() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.state.put(&configmap("c", "old"), Change::Added);
    cluster.state.ahead.store(1, Ordering::SeqCst);
    cluster
}

/// The mirror gets the event.
fn arrive(cluster: &Cluster, object: &Value, change: Change) {
    cluster.state.ahead.store(0, Ordering::SeqCst);
    cluster.state.put(object, change);
}

#[tokio::test]
async fn what_names_no_version_waits_until_the_mirror_has_the_head() {
    for path in [
        "/c",
        "",
        "?limit=1",
        "?watch=1&timeoutSeconds=1",
        "?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
    ] {
        let cluster = behind().await;
        let path = format!("{MAPS}{path}");
        let mut answer = Box::pin(cluster.get(&path));
        assert!(tokio::time::timeout(A_WHILE, &mut answer).await.is_err(), "{path} did not wait");
        arrive(&cluster, &configmap("c", "new"), Change::Modified);
        let answer = answer.await;
        assert!(answer.code == 200 && answer.text().contains("\"new\""), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_takes_any_version_is_served_at_once() {
    let cluster = behind().await;
    for path in [
        "/c?resourceVersion=0",
        "?resourceVersion=0",
        "/c?resourceVersion=2",
        "?resourceVersion=2&resourceVersionMatch=NotOlderThan",
        "?watch=1&resourceVersion=0&timeoutSeconds=1",
    ] {
        let answer = cluster.get(&format!("{MAPS}{path}")).await;
        assert!(answer.code == 200 && answer.text().contains("\"old\""), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn who_may_read_is_decided_after_the_wait() {
    let cluster = behind().await;
    let path = format!("{MAPS}/c");
    let mut answer = Box::pin(cluster.send(As::Admin, "GET", &path, &[("impersonate-user", "jane")], ""));
    assert!(tokio::time::timeout(A_WHILE, &mut answer).await.is_err());
    // The right comes with what the reader waits for.
    let role = json!({"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    let binding = json!({"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    cluster.state.ahead.store(2, Ordering::SeqCst);
    cluster.state.put(&role, Change::Added);
    cluster.state.ahead.store(0, Ordering::SeqCst);
    cluster.state.put(&binding, Change::Added);
    assert_eq!(answer.await.code, 200);
    arrive(&cluster, &binding, Change::Deleted);
    let refused = cluster.send(As::Admin, "GET", &path, &[("impersonate-user", "jane")], "").await;
    assert_eq!(refused.code, 403, "what was taken away before it came is not given");
}

#[tokio::test]
async fn an_apiserver_that_does_not_answer_is_a_504() {
    let cluster = behind().await;
    cluster.state.silent.store(true, Ordering::SeqCst);
    for path in ["/c", "", "?watch=1"] {
        let answer = cluster.get(&format!("{MAPS}{path}")).await;
        assert_eq!((answer.code, answer.json()["reason"].as_str()), (504, Some("Timeout")), "{path}");
    }
    assert_eq!(cluster.get(&format!("{MAPS}/c?resourceVersion=0")).await.code, 200, "who takes any version is served");
}

fn is_too_large(answer: &Answer) {
    let told = answer.json();
    assert_eq!((answer.code, told["reason"].as_str()), (504, Some("Timeout")), "{told}");
    assert_eq!(told["message"], "Timeout: Too large resource version: 9, current: 2");
    assert_eq!(told["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(told["details"]["retryAfterSeconds"], 1);
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn a_version_to_come_is_waited_for_and_then_too_large() {
    let cluster = behind().await;
    let paths = [
        "/c?resourceVersion=9",
        "?resourceVersion=9",
        "?resourceVersion=9&resourceVersionMatch=Exact&limit=1",
        "?watch=1&resourceVersion=9",
    ]
    .map(|path| format!("{MAPS}{path}"));
    futures::future::join_all(paths.iter().map(|path| cluster.get(path))).await.iter().for_each(is_too_large);
    let path = format!("{MAPS}/c?resourceVersion=3");
    let mut answer = Box::pin(cluster.get(&path));
    assert!(tokio::time::timeout(A_WHILE, &mut answer).await.is_err());
    arrive(&cluster, &configmap("c", "new"), Change::Modified);
    assert_eq!(answer.await.json()["data"]["x"], "new");
}

#[tokio::test]
async fn a_watch_from_what_is_not_remembered_is_told_so() {
    let cluster = Cluster::start().await;
    cluster.state.mirror.update(|state| state.reset(Position { epoch: EPOCH, revision: 50 }, []));
    let answer = cluster.get(&format!("{MAPS}?watch=1&resourceVersion=5")).await;
    let events: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((answer.code, event["type"].as_str()), (200, Some("ERROR")));
    assert_eq!((event["object"]["code"].as_u64(), event["object"]["reason"].as_str()), (Some(410), Some("Expired")));
    let list = cluster.get(&format!("{MAPS}?resourceVersion=5&resourceVersionMatch=Exact&limit=5")).await;
    assert_eq!((list.code, list.json()["reason"].as_str()), (410, Some("Expired")));
}

/// A token as it would be if it had been given so many seconds earlier.
fn aged(token: &str, seconds: u64) -> String {
    let mut told: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
    told["t"] = json!(told["t"].as_u64().unwrap() - seconds * 1000);
    URL_SAFE_NO_PAD.encode(told.to_string())
}

#[tokio::test]
async fn a_continue_token_ends_after_five_minutes_with_another_one() {
    let cluster = Cluster::start().await;
    for name in ["c1", "c2", "c3"] {
        cluster.state.put(&configmap(name, "old"), Change::Added);
    }
    let first = cluster.get(&format!("{MAPS}?limit=1")).await.json();
    cluster.state.put(&configmap("c3", "new"), Change::Modified);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = async |token: &str| cluster.get(&format!("{MAPS}?limit=5&continue={token}")).await;
    let data =
        |list: &Value| list["items"].as_array().unwrap().iter().map(|i| i["data"]["x"].clone()).collect::<Vec<_>>();
    let as_it_was = rest(&aged(token, 290)).await;
    assert_eq!((as_it_was.code, data(&as_it_was.json())), (200, vec![json!("old"), json!("old")]));
    let late = rest(&aged(token, 310)).await;
    assert_eq!((late.code, late.json()["reason"].as_str()), (410, Some("Expired")));
    let fresh = late.json()["metadata"]["continue"].as_str().unwrap().to_owned();
    let as_it_is = rest(&fresh).await;
    assert_eq!((as_it_is.code, data(&as_it_is.json())), (200, vec![json!("old"), json!("new")]));
    // What was given in another life of the log means nothing in this one.
    cluster.state.mirror.update(|state| state.reset(Position { epoch: cox_objects::Epoch(8), revision: 100 }, []));
    assert_eq!(rest(token).await.code, 410);
}
