//! Starts a gateway: binds the listener, puts the parts together, and runs the server in a supervision tree.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cox_kit::Registry;
use cox_kit::metrics::Metric;
use cox_kit::supervise::{ComponentError, Running, Scope, worker};
use cox_mirror::Mirror;
use cox_objects::Kinds;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::token::{BadKey, Tokens};
use crate::authorize::Authorizer;
use crate::backend::Backend;
use crate::documents::Documents;
use crate::fence::Fence;
use crate::flow::Flows;
use crate::gateway::{Gateway, PATIENCE};
use crate::health::Readiness;
use crate::limits::Bodies;
use crate::metrics::Metrics;
use crate::pki::{Pki, PkiError};
use crate::server;
use crate::tasks::Tasks;

/// How long conversations may take to end at shutdown.
const GOODBYES: Duration = Duration::from_secs(5);

const CONNECTIONS: Metric = Metric { name: "cox_gateway_connections", help: "Connections of clients." };
const REVISION: Metric = Metric { name: "cox_mirror_revision", help: "The revision that the mirror has." };

/// What a gateway needs.
pub struct Deps {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The cluster's keys.
    pub pki: Pki,
    /// What is served.
    pub kinds: Arc<Kinds>,
    /// Writes, the head, and conversations with nodes: the bus under the gateway's identity.
    pub backend: Arc<dyn Backend>,
    /// The process's mirror.
    pub mirror: Mirror,
    /// What the health endpoints say.
    pub readiness: Arc<dyn Readiness>,
    /// What is measured in this process; `/metrics` shows all of it.
    pub metrics: Registry,
    /// How many connections there may be.
    pub connections: usize,
}

/// Why a gateway could not start. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with --listen, or stop what holds this one")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The keys cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The service account key cannot be used.
    #[error(transparent)]
    Tokens(#[from] BadKey),
    /// The tree could not start.
    #[error(transparent)]
    Component(#[from] ComponentError),
}

/// A gateway that serves.
pub struct Serving {
    address: SocketAddr,
    running: Running,
    closing: CancellationToken,
    tasks: Tasks,
}

/// Starts a gateway. It serves when this returns.
///
/// # Errors
/// If it cannot listen or the keys do not fit.
pub async fn start(deps: Deps) -> Result<Serving, StartError> {
    let Deps { listen, pki, kinds, backend, mirror, readiness, metrics: registry, connections: most } = deps;
    let bound = TcpListener::bind(listen).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|source| StartError::Listen { address: listen, source })?;
    let (tls, tasks, closing) = (pki.tls()?, Tasks::default(), CancellationToken::new());
    let connections = Arc::new(Semaphore::new(most));
    let free = connections.clone();
    registry.asked(CONNECTIONS, &[], move || most.saturating_sub(free.available_permits()) as u64);
    let shown = mirror.clone();
    registry.asked(REVISION, &[], move || shown.position().revision);
    let fence = Fence::new(backend.clone(), mirror.clone(), tasks.clone(), PATIENCE);
    let gateway = Arc::new(Gateway {
        fence: fence.clone(),
        authorizer: Authorizer::new(mirror.clone()),
        tokens: Tokens::new(&pki.tokens.public)?,
        documents: Documents::new(kinds.clone()),
        metrics: Metrics::new(registry.clone(), &kinds),
        flows: Flows::new(&registry),
        registry,
        bodies: Bodies::default(),
        connections,
        tasks: tasks.clone(),
        closing: closing.clone(),
        backend,
        mirror,
        kinds,
        readiness,
    });
    let listener = Arc::new(listener);
    // A restart of this actor loses nothing: connections are tasks of their own, and the listener stays bound.
    let server = worker("server", move |scope: Scope| {
        let (gateway, listener, tls) = (gateway.clone(), listener.clone(), tls.clone());
        async move { Ok(server::run(gateway, listener, tls, scope.cancelled().clone()).await?) }
    });
    let lease = worker("read-lease", move |scope: Scope| {
        let fence = fence.clone();
        async move {
            tokio::select! {
                () = scope.cancelled().cancelled() => Ok(()),
                answered = fence.answer() => answered.map_err(Into::into),
            }
        }
    });
    let running = Running::start(Scope::root("gateway"), vec![server, lease]).await?;
    Ok(Serving { address, running, closing, tasks })
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The component, to show its tree and to wait for its failure.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Ends watches and conversations, lets open requests end, and stops.
    pub async fn stop(self) {
        // The server's end is meant, and no failure.
        self.running.scope().cancelled().cancel();
        self.closing.cancel();
        // Who does not say goodbye in time is cut off.
        let _ = tokio::time::timeout(GOODBYES, self.tasks.ended()).await;
        self.running.stop().await;
    }
}
