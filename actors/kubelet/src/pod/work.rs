//! What the operations of a pod do that need no file of their own: volumes, sandbox, and what is taken away. Each may be repeated.

use cox_kit::{Command, Feed, Why};
use cox_objects::Key;
use cox_runtime::SandboxSpec;
use k8s_openapi::api::core::v1::Pod;
use tokio::task::JoinHandle;

use super::operation::Finished;
use crate::model::{ContainerView, SandboxView};
use crate::node::Context;
use crate::spec::names::log_folder;
use crate::spec::sandbox::{kernel_hostname, sandbox as sandbox_of};
use crate::volumes::manager;
use crate::volumes::usage::{Bound, exceeded};

/// Puts the volumes in place.
pub(super) async fn volumes<F: Feed>(context: &Context<F>, pod: &Pod, pod_ips: Vec<String>, why: &Why) -> Finished {
    Finished::Volumes(manager::set_up(context, pod, pod_ips, why).await.map_err(|e| e.to_string()))
}

/// Makes the sandbox.
pub(super) async fn sandbox<F: Feed>(context: &Context<F>, pod: &Pod, attempt: u32) -> Finished {
    let hostname = match kernel_hostname(pod, &context.config.dns.domain) {
        Ok(hostname) => hostname,
        Err(error) => return Finished::Sandbox(Err(error)),
    };
    let spec = SandboxSpec { hostname, ..sandbox_of(pod, attempt, &context.config.log_root) };
    let made = context.runtime.create_sandbox(spec).await;
    Finished::Sandbox(made.map_err(|e| e.to_string()).map(|made| SandboxView {
        id: made.spec.id,
        attempt,
        ready: true,
        ips: made.addresses,
    }))
}

/// Forgets a start of a container, with its log and its folder.
pub(super) async fn remove<F: Feed>(context: &Context<F>, pod: &Pod, view: &ContainerView) -> Finished {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let folder = context.config.container_dir(uid, &view.name, view.attempt);
    let log = context.config.log_dir(&log_folder(pod)).join(&view.name).join(format!("{}.log", view.attempt));
    let removed = context.runtime.remove_container(&view.id).await.map_err(|e| e.to_string());
    // A container without a log or a folder of its own is removed as well.
    let _ = tokio::fs::remove_file(log).await;
    let _ = tokio::fs::remove_dir_all(folder).await;
    Finished::Plain(removed)
}

/// Takes the volumes away, once nothing is at work on them any more.
pub(super) async fn finish<F: Feed>(context: &Context<F>, uid: &str, leaving: Vec<JoinHandle<()>>) -> Finished {
    for task in leaving {
        // It was cancelled: that is how it ends.
        let _ = task.await;
    }
    context.tokens.forget(uid);
    if context.config.hollow.is_some() {
        return Finished::Plain(Ok(()));
    }
    let folder = context.config.pod_dir(uid);
    let gone = tokio::task::spawn_blocking(move || manager::tear_down_volumes(&folder)).await;
    Finished::Plain(match gone {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    })
}

/// Measures what bounded volumes hold.
pub(super) async fn measure(bounds: Vec<Bound>) -> Finished {
    // A measurement that could not be made finds nothing; the next one comes soon.
    Finished::Measured(tokio::task::spawn_blocking(move || exceeded(&bounds)).await.unwrap_or_default())
}

/// Deletes the Pod from the API, unless it is another one of the same name.
pub(super) async fn delete<F: Feed>(context: &Context<F>, key: Key, uid: String, why: &Why) -> Finished {
    let command = Command::Delete { key, uid: Some(uid), revision: None, grace: Some(0), propagation: None };
    Finished::Plain(match context.api.run(&[command], why).await {
        Err(failed) if failed.status.code != 404 && failed.status.code != 409 => Err(failed.to_string()),
        _ => Ok(()),
    })
}
