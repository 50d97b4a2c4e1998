//! Conversations with a node: logs, exec, attach, port-forward and proxied HTTP, between a client's HTTP and the bus.
//!
//! What can be refused without the node is refused as HTTP before the protocol is switched. A client whose upgrade is refused repeats it as a
//! plain POST, which goes through the same checks and ends in the same refusal. What the node refuses is told in the protocol itself.

mod exec;
mod logs;
mod pod;
mod portforward;
mod proxy;
mod spdy;
mod websocket;

pub(crate) use logs::logs;

use std::sync::Arc;

use bytes::Bytes;
use cox_bus::StreamError;
use cox_objects::Status;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use serde::Serialize;

use crate::answer::Answer;
use crate::backend::Conversation;
use crate::gateway::Gateway;
use crate::request::Request;
use crate::route::Target;

/// Answers a request for `exec`, `attach`, `portforward` or `proxy`.
///
/// # Errors
/// Whatever the client is to be told before the protocol is switched.
pub(crate) async fn connect(
    gateway: &Arc<Gateway>,
    request: &Request,
    target: &Target,
    upgrade: OnUpgrade,
    body: Option<Incoming>,
) -> Result<Answer, Status> {
    match target.subresource.as_str() {
        "exec" | "attach" if target.kind.plural == "pods" => exec::exec(gateway, request, target, upgrade).await,
        "portforward" if target.kind.plural == "pods" => portforward::forward(gateway, request, target, upgrade).await,
        _ => proxy::proxy(gateway, request, target, upgrade, body).await,
    }
}

/// Opens a conversation with a node.
async fn open(gateway: &Gateway, node: &str, what: &str, hello: &impl Serialize) -> Result<Conversation, Status> {
    let hello = cox_bus::codec::encode(hello).map_err(Status::internal)?;
    gateway.backend.open(node, what, Bytes::from(hello)).await.map_err(|error| status_of(node, error))
}

/// What a client is told of a conversation that did not begin or broke.
fn status_of(node: &str, error: StreamError) -> Status {
    match error {
        StreamError::Refused(status) | StreamError::Failed(status) => status,
        StreamError::NobodyServes(_) => Status::internal(format_args!("the kubelet of node {node:?} is not connected")),
        other => Status::internal(format_args!("the conversation with node {node:?} broke: {other}")),
    }
}

/// 400 for a request that can only be answered with another protocol.
fn upgrade_required() -> Status {
    Status::bad_request("Upgrade request required")
}
