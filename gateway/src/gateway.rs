//! What all requests share: the mirror, the backend, and what is kept of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use cox_bus::now_ms;
use cox_kit::Registry;
use cox_mirror::Mirror;
use cox_objects::{Kinds, Status, User};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::token::Tokens;
use crate::auth::{anonymous, bearer};
use crate::authorize::Authorizer;
use crate::backend::Backend;
use crate::documents::Documents;
use crate::fence::Fence;
use crate::flow::Flows;
use crate::health::Readiness;
use crate::limits::Bodies;
use crate::metrics::Metrics;
use crate::tasks::Tasks;

/// How long a read waits for the mirror, and a write in all.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a read waits for a revision that is not there yet, as Kubernetes does.
pub const FUTURE_PATIENCE: Duration = Duration::from_secs(3);

/// The state of a gateway, shared by all requests.
pub struct Gateway {
    /// Where writes go.
    pub backend: Arc<dyn Backend>,
    /// Where reads come from.
    pub mirror: Mirror,
    /// What is served.
    pub kinds: Arc<Kinds>,
    /// Makes reads linearizable.
    pub fence: Fence,
    /// Decides about reads.
    pub authorizer: Authorizer,
    /// Checks service account tokens.
    pub tokens: Tokens,
    /// Discovery and OpenAPI documents.
    pub documents: Documents,
    /// What `/readyz` asks.
    pub readiness: Arc<dyn Readiness>,
    /// What is measured of requests and watches.
    pub metrics: Metrics,
    /// All that is measured in the process.
    pub registry: Registry,
    /// Whose turn it is when there is too much to do.
    pub flows: Flows,
    /// Room for connections.
    pub connections: Arc<Semaphore>,
    /// Bounds what is held of large bodies.
    pub bodies: Bodies,
    /// Conversations in progress.
    pub tasks: Tasks,
    /// Cancelled at shutdown: long answers end.
    pub closing: CancellationToken,
}

impl Gateway {
    /// Who sends a request: by its token, else by its connection's certificate, else nobody.
    ///
    /// # Errors
    /// 401 for a token that is not to be trusted.
    pub async fn authenticate(
        &self,
        authorization: &str,
        certificate: Option<&Arc<User>>,
    ) -> Result<Arc<User>, Status> {
        if let Some(user) = certificate {
            return Ok(user.clone());
        }
        let Some(token) = bearer(authorization) else { return Ok(Arc::new(anonymous())) };
        // A stranger's token is refused before it costs a question to the apiserver.
        if !self.tokens.is_ours(token) {
            return Err(Status::unauthorized());
        }
        // What a token is bound to may have been made or deleted just before this request.
        self.fence.pass().await?;
        self.tokens.user(token, &self.mirror, SystemTime::now()).map(Arc::new).map_err(|refused| {
            tracing::debug!(%refused, "a token was refused");
            Status::unauthorized()
        })
    }

    /// Waits for a revision that a client has heard of.
    ///
    /// # Errors
    /// 504 if it does not come.
    pub async fn wait_for(&self, revision: u64) -> Result<(), Status> {
        let waited = self.mirror.wait_for(revision, Instant::now() + FUTURE_PATIENCE).await;
        waited.map_err(|lagging| too_large(revision, lagging.current))
    }
}

/// 504: a revision from the future.
pub fn too_large(revision: u64, current: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {revision}, current: {current}");
    let causes = serde_json::json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]);
    Status { retry_after: Some(1), ..Status::new(504, "Timeout", message) }
        .with_details(serde_json::json!({"causes": causes, "retryAfterSeconds": 1}))
}
