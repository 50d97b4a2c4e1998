//! A whole apiserver on a real log and a real nats-server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cox_apiserver::{Apiserver, Config, Deps, TokenKeys};
use cox_bus::server::{NatsServer, ServerConfig};
use cox_bus::{ApiReply, ApiRequest, Bus, Identity, PatchType, Verb, WriteOptions, now_ms};
use cox_objects::{RequestId, User, kinds};
use serde_json::{Value, json};

struct Cluster {
    nats: NatsServer,
    apiserver: Apiserver,
    gateway: Bus,
}

fn config() -> Config {
    let pair = rcgen::KeyPair::generate().unwrap();
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let keys =
        TokenKeys::from_pem("https://kubernetes.default.svc", "k", private.as_bytes(), public.as_bytes()).unwrap();
    Config {
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        node_ports: 30000..=32767,
        advertise_address: "192.0.2.1".parse().unwrap(),
        advertise_port: 6443,
        tokens: Arc::new(keys),
        client_ca: String::new(),
        max_in_flight: 256,
        log: cox_log::Options::default(),
    }
}

async fn start(dir: &Path) -> Cluster {
    let nats = NatsServer::start(ServerConfig {
        data_dir: dir.to_owned(),
        cluster: "test".to_owned(),
        binary: None,
        nodes: Vec::new(),
    })
    .await
    .unwrap();
    let connect = async |identity: Identity| Bus::connect(nats.connect(&identity).unwrap()).await.unwrap();
    let deps = Deps {
        bus: connect(Identity::Apiserver).await,
        publishing: connect(Identity::Apiserver).await,
        sealing: nats.sealing_key(),
        data_dir: dir.join("log"),
        kinds: Arc::new(kinds::builtin()),
        config: config(),
    };
    let apiserver = cox_apiserver::start(deps).await.unwrap();
    let gateway = connect(Identity::Gateway).await;
    Cluster { nats, apiserver, gateway }
}

impl Cluster {
    async fn stop(self) {
        self.apiserver.stop().await;
        drop(self.gateway);
        self.nats.stop().await;
    }

    async fn head(&self) -> u64 {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        self.gateway.head(deadline.into()).await.unwrap().revision
    }
}

fn request(verb: Verb, plural: &str, name: &str, body: &Value) -> ApiRequest {
    ApiRequest {
        id: RequestId(uuid::Uuid::now_v7().as_u128()),
        deadline: now_ms() + 20_000,
        user: Some(User { name: "kubernetes-admin".into(), groups: vec!["system:masters".into()], ..User::default() }),
        verb,
        group: String::new(),
        version: "v1".into(),
        plural: plural.into(),
        subresource: String::new(),
        namespace: "default".into(),
        name: name.into(),
        options: WriteOptions::default(),
        patch_type: (verb == Verb::Patch).then_some(PatchType::Merge),
        body: Bytes::from(body.to_string()),
        observed: None,
        trigger: None,
        folded: Vec::new(),
        correlation: None,
        traceparent: None,
        guard: None,
    }
}

fn body(reply: &ApiReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_gets_the_same_answer() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    let create = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}, "data": {"a": "1"}}));
    let first = cluster.gateway.call(&create).await.unwrap();
    let again = cluster.gateway.call(&create).await.unwrap();
    assert_eq!((first.code, again.code), (201, 201), "{}", body(&again));
    assert_eq!(body(&first), body(&again));
    assert_eq!(first.revision, again.revision);
    let anew = ApiRequest { id: RequestId(uuid::Uuid::now_v7().as_u128()), ..create };
    assert_eq!(cluster.gateway.call(&anew).await.unwrap().code, 409);

    let delete = request(Verb::Delete, "configmaps", "c", &json!({}));
    let gone = cluster.gateway.call(&delete).await.unwrap();
    assert_eq!(body(&gone)["details"]["uid"], body(&first)["metadata"]["uid"]);
    assert_eq!(body(&cluster.gateway.call(&delete).await.unwrap()), body(&gone));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_without_a_version_all_succeed_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    let create = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}}));
    assert_eq!(cluster.gateway.call(&create).await.unwrap().code, 201);
    let patches: Vec<ApiRequest> =
        (0..48).map(|i| request(Verb::Patch, "configmaps", "c", &json!({"data": {format!("k{i}"): "v"}}))).collect();
    let replies = futures::future::join_all(patches.iter().map(|p| cluster.gateway.call(p))).await;
    assert!(replies.iter().all(|r| r.as_ref().unwrap().code == 200), "{replies:?}");
    let touch = request(Verb::Patch, "configmaps", "c", &json!({}));
    let now = cluster.gateway.call(&touch).await.unwrap();
    assert_eq!(body(&now)["data"].as_object().unwrap().len(), 48);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_port_and_an_address_go_to_one_service_only() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    let service = |i: usize| {
        let spec = json!({"type": "NodePort", "clusterIP": "10.96.77.7", "ports": [{"port": 80, "nodePort": 31515}]});
        request(Verb::Create, "services", "", &json!({"metadata": {"name": format!("s{i}")}, "spec": spec}))
    };
    let requests: Vec<ApiRequest> = (0..8).map(service).collect();
    let replies = futures::future::join_all(requests.iter().map(|r| cluster.gateway.call(r))).await;
    let codes: Vec<u16> = replies.iter().map(|r| r.as_ref().unwrap().code).collect();
    assert_eq!(codes.iter().filter(|c| **c == 201).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|c| matches!(c, 201 | 422)), "{codes:?}");

    let winner = codes.iter().position(|c| *c == 201).unwrap();
    let delete = request(Verb::Delete, "services", &format!("s{winner}"), &json!({}));
    assert_eq!(cluster.gateway.call(&delete).await.unwrap().code, 200);
    assert_eq!(cluster.gateway.call(&service(9)).await.unwrap().code, 201, "what a service had is free again");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_finds_everything_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    let create = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}}));
    assert_eq!(cluster.gateway.call(&create).await.unwrap().code, 201);
    let before = cluster.head().await;
    cluster.stop().await;

    let cluster = start(dir.path()).await;
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
    let cluster = start(dir.path()).await;
    let mut as_jane = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "c"}}));
    as_jane.user = Some(User { name: "jane".into(), groups: vec!["system:authenticated".into()], ..User::default() });
    let refused = cluster.gateway.call(&as_jane).await.unwrap();
    assert_eq!(refused.code, 403);
    assert_eq!(
        body(&refused)["message"],
        r#"configmaps is forbidden: User "jane" cannot create resource "configmaps" in API group "" in the namespace "default""#,
    );
    let scheduler = Bus::connect(cluster.nats.connect(&Identity::Scheduler).unwrap()).await.unwrap();
    let pretends = request(Verb::Create, "configmaps", "", &json!({"metadata": {"name": "d"}}));
    let reply = scheduler.call(&pretends).await;
    assert!(reply.is_err() || reply.is_ok_and(|r| r.code == 403));
    cluster.stop().await;
}
