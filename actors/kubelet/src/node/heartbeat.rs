//! Keeps the Node object and its Lease: registration, status, and the sign of life.

use std::time::Duration;

use cox_kit::Why;
use cox_kit::recorder::{About, Note};
use cox_kit::supervise::{Child, worker};
use cox_kit::{Command, Feed};
use cox_objects::{Key, Resource};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::NodeStatus;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, object};
use crate::kept::uid_of;

/// How often the Lease is renewed.
const LEASE_PERIOD: Duration = Duration::from_secs(10);
/// `leaseDurationSeconds`.
const LEASE_DURATION: u64 = 40;
/// How often the status is written although nothing in it changed.
const STATUS_PERIOD: Duration = Duration::from_secs(300);
/// How often the status is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// After a failed write.
const RETRY: Duration = Duration::from_millis(500);

/// The child that registers the node and keeps its status. A restart loses nothing: it looks at the Node first.
pub fn status_keeper<F: Feed>(context: Context<F>) -> Child {
    let context = context.vital();
    worker("node-status", move |scope| {
        let context = context.clone();
        async move {
            let mut written = tokio::time::Instant::now();
            let mut first = true;
            let why = Why::timer("start", context.feed.revision());
            tell(&context, &why, "Starting", "Starting kubelet.");
            loop {
                let wait = match update(&context, first || written.elapsed() > STATUS_PERIOD).await {
                    Ok(wrote) => {
                        if wrote {
                            written = tokio::time::Instant::now();
                        }
                        first = false;
                        LOOK
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the node's status was not written");
                        RETRY
                    }
                };
                tokio::select! {
                    () = scope.cancelled().cancelled() => return Ok(()),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    })
}

/// What is read of the stored Node.
#[derive(Deserialize, Default)]
struct Told {
    status: Option<NodeStatus>,
}

async fn update<F: Feed>(context: &Context<F>, due: bool) -> Result<bool, cox_kit::api::Failed> {
    let config = &context.config;
    let key = Key::new(Resource::NODES, "", &config.node_name);
    let why = Why::timer("node-status", context.feed.revision());
    let mut known = context.feed.get(&key).map(|node| node.parse::<Told>().unwrap_or_default());
    if known.is_none() {
        let registered =
            context.api.run(&[Command::Create(object::registration(config, &context.machine))], &why).await;
        match registered {
            Ok(_) => {}
            // It was there before, and the feed has not shown it yet.
            Err(failed) if failed.status.reason == "AlreadyExists" => {
                let patch = json!({"metadata": {"labels": object::labels(config, &context.machine)}});
                context.api.run(&[Command::Patch { key: key.clone(), subresource: "", patch }], &why).await?;
            }
            Err(failed) => return Err(failed),
        }
        known = None;
    }
    let (images, not_ready) = match context.runtime.list_images().await {
        Ok(images) => (images, None),
        Err(error) => (Vec::new(), Some(format!("container runtime is not ready: {error}"))),
    };
    let told = known.and_then(|node| node.status);
    let health = object::Health { not_ready };
    let now = cox_kit::clock::now();
    let info = context.runtime.info();
    let status = object::status(config, &context.machine, &info, &images, &health, told.as_ref(), now);
    if !due && told.as_ref().is_some_and(|told| same(told, &status)) {
        return Ok(false);
    }
    context.api.run(&[Command::patch_status(key, status)], &why).await?;
    if health.not_ready.is_none() && !told.as_ref().is_some_and(is_ready) {
        tell(context, &why, "NodeReady", &format!("Node {} status is now: NodeReady", config.node_name));
    }
    Ok(true)
}

fn is_ready(told: &NodeStatus) -> bool {
    told.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Notes something about the node itself.
fn tell<F: Feed>(context: &Context<F>, why: &Why, reason: &str, message: &str) {
    let name = context.config.node_name.clone();
    let about = About { api_version: "v1".to_owned(), kind: "Node".to_owned(), name, ..About::default() };
    context.api.record(Note::normal(about, reason, message), why);
}

/// Whether a status says what the Node says already, the times of heartbeats aside.
fn same(told: &NodeStatus, status: &Value) -> bool {
    let Ok(mut told) = serde_json::to_value(told) else { return false };
    let mut wanted = status.clone();
    for value in [&mut told, &mut wanted] {
        for condition in value.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(fields) = condition.as_object_mut() {
                fields.remove("lastHeartbeatTime");
                fields.remove("lastTransitionTime");
            }
        }
    }
    let fields = ["capacity", "conditions", "addresses", "images"];
    fields.iter().all(|f| told.get(f).unwrap_or(&json!([])) == wanted.get(f).unwrap_or(&json!([])))
}

/// The child that renews the node's Lease in `kube-node-lease`. A restart loses nothing.
pub fn lease_keeper<F: Feed>(context: Context<F>) -> Child {
    let context = context.vital();
    worker("node-lease", move |scope| {
        let context = context.clone();
        async move {
            // Nodes that start together do not go on together.
            let mut period = LEASE_PERIOD.mul_f64(rand::random());
            loop {
                let wait = match renew(&context).await {
                    Ok(()) => std::mem::replace(&mut period, LEASE_PERIOD),
                    Err(error) => {
                        tracing::warn!(%error, "the node's Lease was not renewed");
                        RETRY
                    }
                };
                tokio::select! {
                    () = scope.cancelled().cancelled() => return Ok(()),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    })
}

async fn renew<F: Feed>(context: &Context<F>) -> Result<(), cox_kit::api::Failed> {
    let name = &context.config.node_name;
    let key = Key::new(Resource::LEASES, "kube-node-lease", name);
    let why = Why::timer("node-lease", context.feed.revision());
    let now = cox_objects::time::format_micro(cox_kit::clock::now());
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": LEASE_DURATION, "renewTime": now});
    let patch = Command::Patch { key: key.clone(), subresource: "", patch: json!({"spec": spec}) };
    match context.api.run(&[patch], &why).await {
        Err(failed) if failed.status.code == 404 => {}
        other => return other.map(|_| ()),
    }
    let owner = context.feed.get(&Key::new(Resource::NODES, "", name)).and_then(|node| uid_of(&node));
    let owners = owner.map(|uid| json!([{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]));
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease", "ownerReferences": owners.unwrap_or_else(|| json!([]))},
        "spec": spec,
    });
    debug_assert!(serde_json::from_value::<Lease>(lease.clone()).is_ok());
    context.api.run(&[Command::Create(lease)], &why).await.map(|_| ())
}
