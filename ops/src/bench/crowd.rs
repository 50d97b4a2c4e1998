//! Many objects at a time: what the measurements of whole clusters have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hyper::{Method, StatusCode};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::report::Measured;
use super::target::{Connection, succeeded};
use super::{Place, hollow, schedule};
use crate::cli::{Bench, Operation};

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// How long to wait where the server says that it is asked too much.
const RESPITE: Duration = Duration::from_millis(100);

/// What is measured with: so many nodes and pods, made over so many connections.
pub(super) struct Crowd<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) connections: u16,
    pub(super) nodes: u32,
    pub(super) pods: u32,
    pub(super) progress: &'a ProgressBar,
}

/// When the object of a number was asked for.
pub(super) type Sent = Vec<(u32, Instant)>;

/// Whether an operation is about whole clusters.
pub(super) fn is_one(operation: Operation) -> bool {
    matches!(operation, Operation::Schedule | Operation::Hollow)
}

/// Measures such an operation.
///
/// # Errors
/// If the cluster is not what it needs, or something is refused.
pub(super) async fn measure(
    operation: Operation,
    options: &Bench,
    place: &Place<'_>,
    progress: &ProgressBar,
) -> Result<Measured> {
    let (nodes, each) = (options.nodes, if operation == Operation::Hollow { 30 } else { 5 });
    let pods = options.pods.unwrap_or(nodes.saturating_mul(each));
    let connections = options.connections.iter().copied().max().unwrap_or(1);
    let crowd = Crowd { place, connections, nodes, pods, progress };
    match operation {
        Operation::Hollow => hollow::measure(&crowd, &options.data_dir).await,
        _ => schedule::measure(&crowd).await,
    }
}

impl Crowd<'_> {
    /// Creates objects of these numbers (from 0 on), each at a path, as fast as they are answered.
    ///
    /// # Errors
    /// If one is refused, but for want of time.
    pub(super) async fn create(
        &self,
        count: u32,
        make: impl Fn(u32) -> (String, Value) + Send + Sync + 'static,
    ) -> Result<Sent> {
        let (make, next) = (Arc::new(make), Arc::new(AtomicU32::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            let mut connection = self.place.target.connect().await?;
            let (make, next) = (make.clone(), next.clone());
            tasks.spawn(async move {
                let mut sent = Sent::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(sent);
                    }
                    let (path, object) = make(number);
                    sent.push((number, Instant::now()));
                    post(&mut connection, &path, &object).await?;
                }
            });
        }
        let mut all = Sent::new();
        while let Some(done) = tasks.join_next().await {
            all.extend(done.context("a connection's task ended")??);
        }
        Ok(all)
    }

    /// Looks again and again until something is found.
    ///
    /// # Errors
    /// If it is not after ten minutes, or looking fails.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        pause: Duration,
        look: impl AsyncFn() -> Result<Option<T>>,
    ) -> Result<T> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(pause).await;
        }
        bail!("waited {} seconds until {what}", PATIENCE.as_secs())
    }
}

async fn post(connection: &mut Connection, path: &str, object: &Value) -> Result<()> {
    let body = serde_json::to_vec(object)?;
    loop {
        let (status, answer) = connection.request(Method::POST, path, Some(body.clone().into())).await?;
        if status != StatusCode::TOO_MANY_REQUESTS {
            return succeeded(status, &answer);
        }
        tokio::time::sleep(RESPITE).await;
    }
}

/// The spec of a pod that asks for a little, and may run on nodes with these labels.
pub(super) fn pod_spec(selector: &Value) -> Value {
    let requests = json!({"cpu": "10m", "memory": "16Mi"});
    json!({
        "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": requests}}],
        "automountServiceAccountToken": false, "enableServiceLinks": false, "nodeSelector": selector,
    })
}

/// Of each node in a list, whether it takes pods: it has no taints.
pub(super) async fn takes_pods(crowd: &Crowd<'_>, path: &str) -> Result<Vec<bool>> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        #[serde(default)]
        spec: Spec,
    }
    #[derive(Default, Deserialize)]
    struct Spec {
        #[serde(default)]
        taints: Vec<Value>,
    }
    let mut connection = crowd.place.target.connect().await?;
    let list: List = serde_json::from_value(connection.get(path).await?)?;
    Ok(list.items.iter().map(|node| node.spec.taints.is_empty()).collect())
}
