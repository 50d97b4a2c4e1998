//! A cluster of one node whose containers are hollow.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cox_apiserver::{Apiserver, TokenKeys};
use cox_bus::server::{NatsServer, ServerConfig};
use cox_bus::{ApiRequest, Bus, Identity, PatchType, Verb, WriteOptions, now_ms};
use cox_kit::Running;
use cox_kubelet::spec::sandbox::NodeDns;
use cox_kubelet::{Config, Deps};
use cox_mirror::{Limits, Mirror};
use cox_objects::{Key, RequestId, Resource, Source, User, kinds};
use cox_runtime::hollow::Hollow;
use cox_runtime::{ContainerId, ContainerInfo, ImageConfig, Runtime};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) const NODE: &str = "n1";
pub(crate) const IMAGE: &str = "localhost/box:1";

pub(crate) struct Cluster {
    nats: NatsServer,
    apiserver: Apiserver,
    gateway: Bus,
    following: CancellationToken,
    kubelet: Option<Running>,
    pub(crate) mirror: Mirror,
    pub(crate) runtime: Hollow,
    pub(crate) dir: TempDir,
}

pub(crate) async fn start() -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    let nodes = vec![NODE.to_owned()];
    let config = ServerConfig { data_dir: dir.path().to_owned(), cluster: "test".to_owned(), binary: None, nodes };
    let nats = NatsServer::start(config).await.unwrap();
    let apiserver = apiserver(&nats, dir.path()).await;
    let mirror = Mirror::new(Limits::default());
    let following = CancellationToken::new();
    let (bus, follower, cancel) = (connect(&nats, Identity::Mirror).await, mirror.clone(), following.clone());
    tokio::spawn(async move { follower.follow(&bus, cancel).await });
    let gateway = connect(&nats, Identity::Gateway).await;
    let head = gateway.head(deadline()).await.unwrap();
    mirror.wait_for(head.revision, deadline()).await.unwrap();
    let runtime = Hollow::new();
    runtime.add_image(IMAGE, ImageConfig::default()).unwrap();
    let mut cluster = Cluster { nats, apiserver, gateway, following, kubelet: None, mirror, runtime, dir };
    cluster.start_kubelet().await;
    cluster
}

async fn connect(nats: &NatsServer, identity: Identity) -> Bus {
    Bus::connect(nats.connect(&identity).unwrap()).await.unwrap()
}

async fn apiserver(nats: &NatsServer, dir: &Path) -> Apiserver {
    let pair = rcgen::KeyPair::generate().unwrap();
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let deps = cox_apiserver::Deps {
        bus: connect(nats, Identity::Apiserver).await,
        publishing: connect(nats, Identity::Apiserver).await,
        sealing: nats.sealing_key(),
        data_dir: dir.join("log"),
        kinds: Arc::new(kinds::builtin()),
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
    cox_apiserver::start(deps).await.unwrap()
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(40)
}

impl Cluster {
    pub(crate) async fn start_kubelet(&mut self) {
        let config = Config {
            node_name: NODE.to_owned(),
            node_ips: vec!["192.0.2.2".to_owned()],
            pod_cidr: "10.244.0.0/24".to_owned(),
            root: self.dir.path().join("node"),
            log_root: self.dir.path().join("logs"),
            dns: NodeDns::default(),
            version: "v1.36.2+cox.0.1.0".to_owned(),
            max_pods: 110,
        };
        let deps = Deps {
            bus: connect(&self.nats, Identity::Node(NODE.to_owned())).await,
            kinds: Arc::new(kinds::builtin()),
            feed: self.mirror.clone(),
            runtime: Arc::new(self.runtime.clone()),
            config,
        };
        self.kubelet = Some(cox_kubelet::start(deps).await.unwrap());
    }

    pub(crate) async fn stop_kubelet(&mut self) {
        self.kubelet.take().unwrap().stop().await;
    }

    pub(crate) async fn stop(mut self) {
        if self.kubelet.is_some() {
            self.stop_kubelet().await;
        }
        self.following.cancel();
        self.apiserver.stop().await;
        drop(self.gateway);
        self.nats.stop().await;
    }

    async fn call(&self, verb: Verb, plural: &str, name: &str, body: &Value) -> (u16, String) {
        let request = ApiRequest {
            id: RequestId(uuid::Uuid::now_v7().as_u128()),
            deadline: now_ms() + 20_000,
            user: Some(User {
                name: "kubernetes-admin".into(),
                groups: vec!["system:masters".into()],
                ..User::default()
            }),
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
        };
        let reply = self.gateway.call(&request).await.unwrap();
        (reply.code, String::from_utf8_lossy(&reply.body).into_owned())
    }

    pub(crate) async fn create(&self, plural: &str, object: Value) {
        let (code, text) = self.call(Verb::Create, plural, "", &object).await;
        assert_eq!(code, 201, "{text}");
    }

    pub(crate) async fn patch(&self, plural: &str, name: &str, patch: Value) {
        let (code, text) = self.call(Verb::Patch, plural, name, &patch).await;
        assert_eq!(code, 200, "{text}");
    }

    /// A pod of this node with one container `c`, some fields of which are given.
    pub(crate) async fn pod(&self, name: &str, container: Value, spec: Value) {
        let mut own = json!({"name": "c", "image": IMAGE});
        own.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        let mut whole = json!({"nodeName": NODE, "automountServiceAccountToken": false, "containers": [own]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.create("pods", json!({"metadata": {"name": name}, "spec": whole})).await;
    }

    pub(crate) async fn delete(&self, name: &str, grace: Option<i64>) {
        let body = grace.map_or(json!({}), |grace| json!({"gracePeriodSeconds": grace}));
        let (code, text) = self.call(Verb::Delete, "pods", name, &body).await;
        assert!(code == 200 || code == 202, "{code} {text}");
    }

    pub(crate) fn get(&self, name: &str) -> Value {
        let key = Key::new(Resource::PODS, "default", name);
        Source::get(&self.mirror, &key).map_or(Value::Null, |object| object.value())
    }

    pub(crate) fn container(&self, pod: &str) -> Value {
        self.get(pod)["status"]["containerStatuses"][0].clone()
    }

    pub(crate) fn phase(&self, pod: &str) -> String {
        self.get(pod)["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether an event of this reason and text was recorded of a pod.
    pub(crate) fn has_event(&self, pod: &str, reason: &str, text: &str) -> bool {
        let events = Source::list(&self.mirror, &Resource::EVENTS, "default");
        events.iter().map(|(_, event)| event.value()).any(|event| {
            event["involvedObject"]["name"] == pod
                && event["reason"] == reason
                && event["message"].as_str().is_some_and(|message| message.contains(text))
        })
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = deadline();
        while !holds() {
            assert!(Instant::now() < deadline, "not in time: {what}; pods: {}", self.pods());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn pods(&self) -> String {
        let pods = Source::list(&self.mirror, &Resource::PODS, "default");
        pods.iter().map(|(_, pod)| pod.value()["status"].to_string()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) async fn until_running(&self, pod: &str) {
        self.until(&format!("{pod} runs"), || self.phase(pod) == "Running" && self.container(pod)["ready"] == true)
            .await;
    }

    pub(crate) async fn until_gone(&self, pod: &str) {
        self.until(&format!("{pod} is gone"), || self.get(pod).is_null()).await;
    }

    /// Every start of a pod's containers that the runtime has, the oldest first.
    pub(crate) async fn starts(&self, pod: &str) -> Vec<ContainerInfo> {
        let mut all = self.runtime.list_containers(None).await.unwrap();
        all.retain(|c| c.labels.get("io.kubernetes.pod.name").map(String::as_str) == Some(pod));
        all.sort_by_key(|c| (c.created_at, c.attempt));
        all
    }

    pub(crate) async fn newest(&self, pod: &str) -> ContainerId {
        self.starts(pod).await.pop().unwrap().id
    }
}
