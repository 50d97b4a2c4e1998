//! The whole scheduler with a real apiserver, log, mirror and nats-server: pods are bound, and told why if not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cox_apiserver::{Apiserver, TokenKeys};
use cox_bus::server::{NatsServer, ServerConfig};
use cox_bus::{ApiRequest, Bus, Identity, Verb, WriteOptions, now_ms};
use cox_kit::Running;
use cox_mirror::{Limits, Mirror};
use cox_objects::{Key, RequestId, Resource, Source, User, kinds};
use cox_scheduler::{DECISIONS, Deps};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

struct Cluster {
    nats: NatsServer,
    apiserver: Apiserver,
    gateway: Bus,
    ops: Bus,
    mirror: Mirror,
    following: CancellationToken,
    scheduler: Running,
}

async fn start(dir: &Path) -> Cluster {
    let config = ServerConfig { data_dir: dir.to_owned(), cluster: "test".to_owned(), binary: None, nodes: Vec::new() };
    let nats = NatsServer::start(config).await.unwrap();
    let connect = async |identity: Identity| Bus::connect(nats.connect(&identity).unwrap()).await.unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let kinds = Arc::new(kinds::builtin());
    let deps = cox_apiserver::Deps {
        bus: connect(Identity::Apiserver).await,
        publishing: connect(Identity::Apiserver).await,
        sealing: nats.sealing_key(),
        data_dir: dir.join("log"),
        kinds: kinds.clone(),
        config: cox_apiserver::Config {
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            node_ports: 30000..=32767,
            advertise_address: "192.0.2.1".parse().unwrap(),
            advertise_port: 6443,
            tokens: Arc::new(TokenKeys::from_pem("i", "k", private.as_bytes(), public.as_bytes()).unwrap()),
            client_ca: String::new(),
            max_in_flight: 256,
            log: cox_log::Options::default(),
        },
    };
    let apiserver = cox_apiserver::start(deps).await.unwrap();
    let mirror = Mirror::new(Limits::default());
    let following = CancellationToken::new();
    let (bus, follower, cancel) = (connect(Identity::Mirror).await, mirror.clone(), following.clone());
    tokio::spawn(async move { follower.follow(&bus, cancel).await });
    let gateway = connect(Identity::Gateway).await;
    let head = gateway.head(deadline()).await.unwrap();
    mirror.wait_for(head.revision, deadline()).await.unwrap();
    let bus = connect(Identity::Scheduler).await;
    let deps = Deps { bus, kinds, feed: mirror.clone(), holder: "test_1".to_owned() };
    let scheduler = cox_scheduler::start(deps).await.unwrap();
    let ops = connect(Identity::Ops).await;
    Cluster { nats, apiserver, gateway, ops, mirror, following, scheduler }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

impl Cluster {
    async fn create(&self, plural: &str, namespace: &str, object: Value) {
        let request = ApiRequest {
            id: RequestId(uuid::Uuid::now_v7().as_u128()),
            deadline: now_ms() + 20_000,
            user: Some(User {
                name: "kubernetes-admin".into(),
                groups: vec!["system:masters".into()],
                ..User::default()
            }),
            verb: Verb::Create,
            group: String::new(),
            version: "v1".into(),
            plural: plural.into(),
            subresource: String::new(),
            namespace: namespace.into(),
            name: String::new(),
            options: WriteOptions::default(),
            patch_type: None,
            body: Bytes::from(object.to_string()),
            observed: None,
            trigger: None,
            folded: Vec::new(),
            correlation: None,
            traceparent: None,
            guard: None,
        };
        let reply = self.gateway.call(&request).await.unwrap();
        assert_eq!(reply.code, 201, "{}", String::from_utf8_lossy(&reply.body));
    }

    async fn node(&self, name: &str) {
        let amounts = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        let status = json!({"capacity": amounts, "allocatable": amounts});
        self.create("nodes", "", json!({"metadata": {"name": name}, "status": status})).await;
    }

    async fn pod(&self, name: &str, cpu: &str) {
        let container = json!({"name": "c", "image": "nginx", "resources": {"requests": {"cpu": cpu}}});
        // New nodes are tainted as not ready until a controller, which is not here, has looked at them.
        let anywhere = json!([{"operator": "Exists"}]);
        let spec = json!({"containers": [container], "tolerations": anywhere, "automountServiceAccountToken": false});
        self.create("pods", "default", json!({"metadata": {"name": name}, "spec": spec})).await;
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Mirror) -> bool) {
        let deadline = deadline();
        while !holds(&self.mirror) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn get(mirror: &Mirror, pod: &str) -> Value {
        let key = Key::new(Resource::PODS, "default", pod);
        Source::get(mirror, &key).map_or(Value::Null, |object| object.value())
    }

    async fn stop(self) {
        self.scheduler.stop().await;
        self.following.cancel();
        self.apiserver.stop().await;
        drop((self.gateway, self.ops));
        self.nats.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_bound_and_told_why_if_not() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    cluster.node("n1").await;
    cluster.pod("fits", "1").await;
    cluster.pod("large", "5").await;
    cluster
        .until("the binding", |mirror| Cluster::get(mirror, "fits").pointer("/spec/nodeName") == Some(&json!("n1")))
        .await;
    let bound = Cluster::get(&cluster.mirror, "fits");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(bound["status"]["conditions"][0]["status"], "True");

    cluster
        .until("the condition", |mirror| Cluster::get(mirror, "large").pointer("/status/conditions/0").is_some())
        .await;
    let large = Cluster::get(&cluster.mirror, "large");
    let condition = &large["status"]["conditions"][0];
    let message = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
                   available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(
        (&condition["status"], &condition["reason"], &condition["message"], &condition["observedGeneration"]),
        (&json!("False"), &json!("Unschedulable"), &json!(message), &json!(1)),
    );

    let event = |mirror: &Mirror, pod: &str, reason: &str, message: &str| {
        let events = Source::list(mirror, &Resource::EVENTS, "default");
        events.iter().map(|(_, event)| event.value()).any(|event| {
            event["involvedObject"]["name"] == pod && event["reason"] == reason && event["message"] == message
        })
    };
    let said = "Successfully assigned default/fits to n1";
    cluster.until("the event of the bound pod", |mirror| event(mirror, "fits", "Scheduled", said)).await;
    cluster.until("the event of the other", |mirror| event(mirror, "large", "FailedScheduling", message)).await;

    let subject = cluster.ops.subjects().ctl(&Identity::Scheduler, DECISIONS);
    let question = json!({"namespace": "default", "name": "fits"});
    let why: Value = cluster.ops.request_json(&subject, &question, deadline()).await.unwrap();
    assert_eq!((&why[0]["outcome"], &why[0]["attempt"]), (&json!({"node": "n1"}), &json!(1)), "{why}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods_are_bound_and_no_node_gets_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path()).await;
    for name in ["n1", "n2", "n3"] {
        cluster.node(name).await;
    }
    // There is room for 120 of them, 40 on each node.
    let names: Vec<String> = (0..130).map(|i| format!("p{i}")).collect();
    futures::future::join_all(names.iter().map(|name| cluster.pod(name, "100m"))).await;
    let on = |mirror: &Mirror, node: Option<&str>| {
        names
            .iter()
            .filter(|name| Cluster::get(mirror, name).pointer("/spec/nodeName").and_then(Value::as_str) == node)
            .count()
    };
    let told = |mirror: &Mirror| {
        let told = |name: &&String| Cluster::get(mirror, name).pointer("/status/conditions/0/message").is_some();
        names.iter().filter(told).count()
    };
    cluster.until("all decided", |mirror| on(mirror, None) == 10 && told(mirror) == 10).await;
    assert_eq!(["n1", "n2", "n3"].map(|node| on(&cluster.mirror, Some(node))), [40, 40, 40]);
    cluster.stop().await;
}
