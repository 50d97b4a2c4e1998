//! Writes in their forms, and what is refused before it is sent.

use crate::client::As;
use crate::cluster::Cluster;

use cox_bus::{ApiReply, CallError, Why};
use cox_objects::Status;

const PATH: &str = "/api/v1/namespaces/a/configmaps";

#[tokio::test]
async fn yaml_becomes_an_api_request() {
    let cluster = Cluster::start().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: x, a: z}\n";
    let headers = [("content-type", "application/yaml"), ("user-agent", "kubectl/v1.32 (linux)")];
    let answer = cluster.send(As::Admin, "POST", &format!("{PATH}?dryRun=All"), &headers, yaml).await;
    assert_eq!(answer.code, 201);
    let warnings: Vec<_> = answer.headers.get_all("warning").iter().map(|w| w.to_str().unwrap()).collect();
    assert_eq!(warnings, [r#"299 - "line 4: key \"a\" already set in map""#, r#"299 - "from the server""#]);
    let call = cluster.state.calls.lock().first().cloned().unwrap();
    assert_eq!((call.namespace.as_str(), call.plural.as_str()), ("a", "configmaps"));
    assert!(call.options.dry_run);
    assert_eq!(call.options.field_manager, "kubectl");
    assert_eq!(call.user.unwrap().name, "kubernetes-admin");
    // It is read back at once.
    assert_eq!(cluster.get(&format!("{PATH}/c")).await.json()["data"]["a"], "z");
}

#[tokio::test]
async fn what_is_refused_before_it_is_sent() {
    let cluster = Cluster::start().await;
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    let answer = cluster.send(As::Admin, "POST", PATH, &[], &large).await;
    assert_eq!(
        (answer.code, answer.json()["message"].as_str()),
        (413, Some("Request entity too large: limit is 3145728"))
    );
    let patch = [("content-type", "application/json")];
    let answer = cluster.send(As::Admin, "PATCH", &format!("{PATH}/c"), &patch, "{}").await;
    assert_eq!((answer.code, answer.json()["message"].as_str()), (415, Some("415: Unsupported Media Type")));
    let answer = cluster.send(As::Admin, "POST", &format!("{PATH}?dryRun=Some"), &[], "{}").await;
    assert_eq!(answer.code, 422);
    let yaml = [("content-type", "application/yaml")];
    let answer = cluster.send(As::Admin, "POST", PATH, &yaml, "a: b: c").await;
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .ends_with("mapping values are not allowed in this context (613a20623a2063)")
    );
    let strict =
        cluster.send(As::Admin, "POST", &format!("{PATH}?fieldValidation=Strict"), &yaml, "{a: 1, a: 2}").await;
    assert!(
        strict.json()["message"]
            .as_str()
            .unwrap()
            .contains("strict decoding error: yaml: unmarshal errors:\n  line 1: key")
    );
    // Who may not write does not learn what is wrong with the body.
    assert_eq!(cluster.send(As::Nobody, "POST", PATH, &yaml, "a: b: c").await.code, 403);
    assert_eq!(cluster.send(As::Nobody, "POST", PATH, &[], &large).await.code, 403);
    assert!(cluster.state.calls.lock().is_empty());
}

#[tokio::test]
async fn delete_options_of_the_query_are_sent_on() {
    let cluster = Cluster::start().await;
    let path = format!("{PATH}/c?gracePeriodSeconds=0&propagationPolicy=Orphan&dryRun=All");
    cluster.send(As::Admin, "DELETE", &path, &[], "").await;
    let call = cluster.state.calls.lock().first().cloned().unwrap();
    let options: serde_json::Value = serde_json::from_slice(&call.options.delete_options.unwrap()).unwrap();
    assert_eq!(options, serde_json::json!({"dryRun": ["All"], "gracePeriodSeconds": 0, "propagationPolicy": "Orphan"}));
}

#[tokio::test]
async fn a_refusal_does_not_settle_what_was_perhaps_done_before() {
    let cluster = Cluster::start().await;
    let refusal = |status| Ok(ApiReply::error(&status));
    cluster.state.next.lock().extend([
        Err(CallError::SurelyNotDone(Why::NotConnected)),
        Err(CallError::PerhapsDone(Why::TimedOut)),
        refusal(Status::unavailable("the log cannot be written")),
        refusal(Status::too_many_requests("later", 1)),
    ]);
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}"#;
    // It is asked for until somebody knows.
    assert_eq!(cluster.send(As::Admin, "POST", PATH, &[], body).await.code, 201);
    let calls = std::mem::take(&mut *cluster.state.calls.lock());
    assert_eq!(calls.len(), 5);
    assert!(calls.iter().all(|call| call.id == calls[0].id), "always with the same id");
    // Where nothing was in doubt the client decides whether to come again.
    cluster.state.next.lock().push_back(refusal(Status::unavailable("the log cannot be written")));
    assert_eq!(cluster.send(As::Admin, "POST", PATH, &[], body).await.code, 503);
}
