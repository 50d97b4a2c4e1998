//! A whole apiserver on a real log and a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use cox_bus::{ApiReply, ApiRequest, Identity, Verb, WriteOptions};
use cox_objects::User;
use cox_test_support::{Core, new_id, request};
use serde_json::{Value, json};

fn body(reply: &ApiReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_gets_the_same_answer() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let create = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}, "data": {"a": "1"}}));
    let first = cluster.call(&create).await;
    let again = cluster.call(&create).await;
    assert_eq!((first.code, again.code), (201, 201), "{}", body(&again));
    assert_eq!(body(&first), body(&again));
    assert_eq!(first.revision, again.revision);
    let anew = ApiRequest { id: new_id(), ..create };
    assert_eq!(cluster.call(&anew).await.code, 409);

    let delete = request(Verb::Delete, "configmaps", "c", &json!({}));
    let gone = cluster.call(&delete).await;
    assert_eq!(body(&gone)["details"]["uid"], body(&first)["metadata"]["uid"]);
    assert_eq!(body(&cluster.call(&delete).await), body(&gone));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_without_a_version_all_succeed_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let create = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}}));
    assert_eq!(cluster.call(&create).await.code, 201);
    let patches: Vec<ApiRequest> =
        (0..48).map(|i| request(Verb::Patch, "configmaps", "c", &json!({"data": {format!("k{i}"): "v"}}))).collect();
    let replies = futures::future::join_all(patches.iter().map(|p| cluster.call(p))).await;
    assert!(replies.iter().all(|r| r.code == 200), "{replies:?}");
    let touch = request(Verb::Patch, "configmaps", "c", &json!({}));
    let now = cluster.call(&touch).await;
    assert_eq!(body(&now)["data"].as_object().unwrap().len(), 48);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_port_and_an_address_go_to_one_service_only() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let service = |i: usize| {
        let spec = json!({"type": "NodePort", "clusterIP": "10.96.77.7", "ports": [{"port": 80, "nodePort": 31515}]});
        request(Verb::Create, "services", "", &json!({"metadata": {"name": format!("s{i}")}, "spec": spec}))
    };
    let requests: Vec<ApiRequest> = (0..8).map(service).collect();
    let replies = futures::future::join_all(requests.iter().map(|r| cluster.call(r))).await;
    let codes: Vec<u16> = replies.iter().map(|r| r.code).collect();
    assert_eq!(codes.iter().filter(|c| **c == 201).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|c| matches!(c, 201 | 422)), "{codes:?}");

    let winner = codes.iter().position(|c| *c == 201).unwrap();
    let delete = request(Verb::Delete, "services", &format!("s{winner}"), &json!({}));
    assert_eq!(cluster.call(&delete).await.code, 200);
    assert_eq!(cluster.call(&service(9)).await.code, 201, "what a service had is free again");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_finds_everything_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let create = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}}));
    assert_eq!(cluster.call(&create).await.code, 201);
    let before = cluster.head().await;
    cluster.stop().await;

    let cluster = Core::start(dir.path(), &[]).await;
    assert_eq!(cluster.head().await, before);
    let mut snapshot = cox_bus::snapshot(&cluster.gateway).await.unwrap();
    let mut keys = Vec::new();
    while let Some(objects) = snapshot.next().await.unwrap() {
        keys.extend(objects.into_iter().map(|(key, _)| key.to_string()));
    }
    for key in ["configmaps/default/c", "services/default/kubernetes", "serviceaccounts/kube-system/default"] {
        assert!(keys.iter().any(|k| k == key), "{key} is not among {} objects", keys.len());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_gateway_acts_for_others_and_rights_hold() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let mut as_jane = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}}));
    as_jane.user = Some(User { name: "jane".into(), groups: vec!["system:authenticated".into()], ..User::default() });
    let refused = cluster.gateway.call(&as_jane).await.unwrap();
    assert_eq!(refused.code, 403);
    assert_eq!(
        body(&refused)["message"],
        r#"configmaps is forbidden: User "jane" cannot create resource "configmaps" in API group "" in the namespace "default""#,
    );
    let scheduler = cluster.connect(Identity::Scheduler).await;
    let pretends = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "d"}}));
    let reply = scheduler.call(&pretends).await;
    assert!(reply.is_err() || reply.is_ok_and(|r| r.code == 403));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_collection_goes_page_by_page_and_a_limit_holds_across_pages() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let create = |i: usize| {
        let metadata = json!({"name": format!("c{i:04}"), "labels": {"of": "many"}});
        request(Verb::Create, "configmaps", "", &json!({ "metadata": metadata }))
    };
    let all: Vec<ApiRequest> = (0..1005).map(create).collect();
    for some in all.chunks(100) {
        let replies = futures::future::join_all(some.iter().map(|r| cluster.call(r))).await;
        assert!(replies.iter().all(|r| r.code == 201));
    }
    let delete = |limit: u64| {
        let mut request = request(Verb::DeleteCollection, "configmaps", "", &json!({}));
        request.options = WriteOptions { label_selector: "of=many".into(), limit, ..WriteOptions::default() };
        request
    };
    let names = |reply: &ApiReply| -> Vec<String> {
        let list = body(reply);
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = cluster.call(&delete(1002)).await;
    let expected: Vec<String> = (0..1002).map(|i| format!("c{i:04}")).collect();
    assert_eq!(names(&first), expected);
    assert!(body(&first)["metadata"]["continue"].is_string(), "more is there");
    let rest = cluster.call(&delete(0)).await;
    assert_eq!(names(&rest), ["c1002", "c1003", "c1004"]);
    assert_eq!(names(&cluster.call(&delete(0)).await), Vec::<String>::new());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_renews_its_lease_while_others_are_sent_away() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Core::start(dir.path(), &[]).await;
    let scheduler = cluster.connect(Identity::Scheduler).await;
    let lease = |verb, name: &str, body: Value| ApiRequest {
        user: None,
        group: "coordination.k8s.io".into(),
        namespace: "kube-system".into(),
        ..request(verb, "leases", name, &body)
    };
    let create =
        lease(Verb::Create, "", json!({"metadata": {"name": "kube-scheduler"}, "spec": {"holderIdentity": "me"}}));
    let created = scheduler.call(&create).await.unwrap();
    assert_eq!(created.code, 201);
    let mut version = created.revision;

    let create = |i: usize| request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": format!("c{i}")}}));
    let bulk: Vec<ApiRequest> = (0..2048).map(create).collect();
    let gateway = cluster.gateway.clone();
    let batches: Vec<Vec<&ApiRequest>> = bulk.chunks(256).map(|some| some.iter().collect()).collect();
    let mut writing = std::pin::pin!(futures::future::join_all(batches.iter().map(|some| gateway.batch(some))));
    let mut renewed = 0;
    let replies = loop {
        let spec = json!({"holderIdentity": "me", "leaseDurationSeconds": 15 + renewed});
        let metadata = json!({"name": "kube-scheduler", "resourceVersion": version.to_string()});
        let renewal = lease(Verb::Update, "kube-scheduler", json!({"metadata": metadata, "spec": spec}));
        tokio::select! {
            biased;
            replies = &mut writing => break replies,
            reply = scheduler.call(&renewal) => {
                let reply = reply.unwrap();
                assert_eq!(reply.code, 200);
                version = reply.revision;
                renewed += 1;
            }
        }
    };
    let codes: Vec<u16> = replies.into_iter().flat_map(|replies| replies.unwrap()).map(|reply| reply.code).collect();
    assert!(codes.iter().all(|code| matches!(code, 201 | 429)), "{codes:?}");
    assert!(renewed > 0 && codes.contains(&429), "there were too few others: {renewed} renewals");
    cluster.stop().await;
}
