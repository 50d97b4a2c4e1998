//! What tests of components need around them: a nats-server, an apiserver on a real log, a mirror that follows it, and requests.
//! For tests only; no crate depends on it otherwise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cox_apiserver::compaction::Policy;
use cox_apiserver::{Apiserver, TokenKeys};
use cox_bus::server::{NatsServer, ServerConfig};
use cox_bus::{ApiReply, ApiRequest, Bus, Identity, PatchType, Verb, WriteOptions, now_ms};
use cox_mirror::{Limits, Mirror};
use cox_objects::{RequestId, User, kinds};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

/// The core of a cluster: what every other component stands on.
pub struct Core {
    /// The bus.
    pub nats: NatsServer,
    /// A connection that may ask on behalf of any user.
    pub gateway: Bus,
    /// All objects.
    pub mirror: Mirror,
    apiserver: Apiserver,
    following: CancellationToken,
}

impl Core {
    /// Starts one in a folder, or starts it again there; these nodes have credentials.
    pub async fn start(dir: &Path, nodes: &[&str]) -> Core {
        Core::keeping(dir, nodes, Policy::default()).await
    }

    /// The same, with so much of the past kept.
    pub async fn keeping(dir: &Path, nodes: &[&str], policy: Policy) -> Core {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        let cluster = "test".to_owned();
        let config = ServerConfig { data_dir: dir.to_owned(), cluster, binary: None, nodes, hollow_nodes: 0 };
        let nats = NatsServer::start(config).await.unwrap();
        let apiserver = apiserver(&nats, dir, policy).await;
        let mirror = Mirror::new(Limits::default());
        let following = CancellationToken::new();
        let (bus, follower, cancel) = (connect(&nats, Identity::Mirror).await, mirror.clone(), following.clone());
        tokio::spawn(async move { follower.follow(&bus, cancel).await });
        let gateway = connect(&nats, Identity::Gateway).await;
        let core = Core { nats, gateway, mirror, apiserver, following };
        core.mirror.wait_for(core.head().await, deadline()).await.unwrap();
        core
    }

    /// A connection of an identity.
    pub async fn connect(&self, identity: Identity) -> Bus {
        connect(&self.nats, identity).await
    }

    /// The newest revision.
    pub async fn head(&self) -> u64 {
        self.gateway.head(deadline()).await.unwrap().revision
    }

    /// Sends a request.
    pub async fn call(&self, request: &ApiRequest) -> ApiReply {
        self.gateway.call(request).await.unwrap()
    }

    /// Creates an object of a core kind, which must succeed.
    pub async fn create(&self, plural: &str, namespace: &str, object: &Value) {
        let reply =
            self.call(&ApiRequest { namespace: namespace.into(), ..request(Verb::Create, plural, "", object) }).await;
        assert_eq!(reply.code, 201, "{}", String::from_utf8_lossy(&reply.body));
    }

    /// Waits until the mirror shows what is expected; `what` says what that is.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Mirror) -> bool) {
        let deadline = deadline();
        while !holds(&self.mirror) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops all of it.
    pub async fn stop(self) {
        self.following.cancel();
        self.apiserver.stop().await;
        drop(self.gateway);
        self.nats.stop().await;
    }
}

/// When a test has waited long enough.
pub fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// A request of the administrator about an object of a core kind in the namespace `default`, with an id of its own.
pub fn request(verb: Verb, plural: &str, name: &str, body: &Value) -> ApiRequest {
    ApiRequest {
        id: new_id(),
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

/// The id of a request that was not sent before.
pub fn new_id() -> RequestId {
    RequestId(uuid::Uuid::now_v7().as_u128())
}

async fn connect(nats: &NatsServer, identity: Identity) -> Bus {
    Bus::connect(nats.connect(&identity).unwrap()).await.unwrap()
}

async fn apiserver(nats: &NatsServer, dir: &Path, retention: Policy) -> Apiserver {
    let pair = rcgen::KeyPair::generate().unwrap();
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let issuer = "https://kubernetes.default.svc";
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
            tokens: Arc::new(TokenKeys::from_pem(issuer, "k", private.as_bytes(), public.as_bytes()).unwrap()),
            client_ca: String::new(),
            max_in_flight: 256,
            after_another: false,
            accept_loss: false,
            retention,
            log: cox_log::Options::default(),
        },
        metrics: Default::default(),
    };
    cox_apiserver::start(deps).await.unwrap()
}
