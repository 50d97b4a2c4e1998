//! Conversations with clients over the bus: exec, attach, port-forward and logs of this node's pods.
//!
//! Flow: a gateway, which has authorized its client, opens a stream with a hello of [`cox_bus::node`]; it is accepted, or refused with the
//! `Status` that the client sees. Guarantees: a pod is meant by its uid. A restart of these actors ends the conversations under way.

mod exec;
mod logs;
mod port_forward;

use std::sync::Arc;

use cox_bus::node::{Target, subject};
use cox_bus::{Acceptor, Bus, Offer};
use cox_kit::supervise::{Child, StartError, worker};
use cox_kit::{Feed, Scope};
use cox_objects::{Key, Resource, Status};
use cox_runtime::{ContainerId, ContainerInfo, SandboxId, SandboxState};
use tokio::task::JoinSet;

use crate::kept::Kept;
use crate::node::Context;
use crate::spec::names::label;

/// How many conversations of a kind may be under way; more are refused.
const AT_A_TIME: usize = 256;

/// The children that serve conversations, one for each kind.
pub fn children<F: Feed>(context: &Context<F>, bus: &Bus) -> Vec<Child> {
    let serve = |what: &'static str| {
        let (context, bus) = (context.clone(), bus.clone());
        worker(what, move |scope| {
            let (context, bus) = (context.clone(), bus.clone());
            async move {
                let offers = bus.serve_streams(bus.subjects().node(&context.config.node_name, what)).await?;
                accept(context, what, offers, scope).await
            }
        })
    };
    [subject::EXEC, subject::ATTACH, subject::LOGS, subject::PORT_FORWARD].map(serve).into()
}

async fn accept<F: Feed>(
    context: Context<F>,
    what: &'static str,
    mut offers: Acceptor,
    scope: Scope,
) -> Result<(), StartError> {
    // Conversations end with this actor: the set aborts them when it is dropped.
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            () = scope.cancelled().cancelled() => return Ok(()),
            Some(_) = conversations.join_next() => {}
            offer = offers.next() => {
                let Some(offer) = offer else { return Err("the bus connection is closed".into()) };
                if conversations.len() >= AT_A_TIME {
                    offer.refuse(Status::too_many_requests("too many conversations with this node", 1));
                    continue;
                }
                conversations.spawn(converse(context.clone(), what, offer));
            }
        }
    }
}

async fn converse<F: Feed>(context: Context<F>, what: &'static str, offer: Offer) {
    let context = Arc::new(context);
    match what {
        subject::EXEC => exec::exec(&context, offer).await,
        subject::ATTACH => exec::attach(&context, offer).await,
        subject::LOGS => logs::logs(&context, offer).await,
        _ => port_forward::port_forward(&context, offer).await,
    }
}

/// The pod that a hello means.
fn pod_of<F: Feed>(context: &Context<F>, target: &Target) -> Result<Kept, Status> {
    let pod = context.pod(&Key::new(Resource::PODS, &target.namespace, &target.pod));
    let same = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(&target.uid));
    same.ok_or_else(|| Status::not_found(&Resource::PODS, &target.pod))
}

/// The newest sandbox of a pod.
async fn sandbox_of<F: Feed>(context: &Context<F>, target: &Target) -> Result<SandboxId, Status> {
    let sandboxes = context.runtime.list_sandboxes().await.map_err(Status::internal)?;
    let own = sandboxes.into_iter().filter(|s| s.spec.labels.get(label::POD_UID) == Some(&target.uid));
    let newest = own.filter(|s| s.state == SandboxState::Ready).max_by_key(|s| s.created_at);
    newest
        .map(|s| s.spec.id)
        .ok_or_else(|| Status::new(500, "", format!("pod {}/{} has no sandbox", target.namespace, target.pod)))
}

/// All starts of the container that a hello means, the newest last.
async fn starts_of<F: Feed>(context: &Context<F>, target: &Target) -> Result<Vec<ContainerInfo>, Status> {
    let all = context.runtime.list_containers(None).await.map_err(Status::internal)?;
    let own = all.into_iter().filter(|c| {
        c.labels.get(label::POD_UID) == Some(&target.uid)
            && c.labels.get(label::CONTAINER_NAME) == Some(&target.container)
    });
    let mut own: Vec<ContainerInfo> = own.collect();
    own.sort_by_key(|c| (c.created_at, c.attempt));
    Ok(own)
}

/// The running container that a hello means.
async fn running<F: Feed>(context: &Context<F>, target: &Target) -> Result<ContainerId, Status> {
    pod_of(context, target)?;
    let newest = starts_of(context, target).await?.pop();
    let is_running = |c: &ContainerInfo| matches!(c.state, cox_runtime::ContainerState::Running { .. });
    newest
        .filter(is_running)
        .map(|c| c.id)
        .ok_or_else(|| Status::new(500, "InternalError", format!("container not found (\"{}\")", target.container)))
}
