//! Removes what the runtime and the disk have of pods that the API no longer has and no worker looks after.
//!
//! It is a task beside the actor: a sandbox that is slow to go holds no other pod up. What could not be removed is tried again.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use cox_kit::Feed;
use cox_objects::{Key, Resource};
use cox_runtime::Sandbox;
use futures::StreamExt;

use crate::kept::uid_of;
use crate::node::Context;
use crate::spec::names::label;
use crate::volumes::manager;

/// How many sandboxes are removed at a time.
const AT_A_TIME: usize = 4;

/// Why something could not be removed.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Sandbox(#[from] cox_runtime::SandboxError),
    #[error(transparent)]
    Files(#[from] std::io::Error),
}

/// Removes what belongs to none of the pods with these uids, nor to one of the API; says whether all of it went.
pub(super) async fn sweep<F: Feed>(context: Arc<Context<F>>, workers: HashSet<String>) -> bool {
    let sandboxes = match context.runtime.list_sandboxes().await {
        Ok(sandboxes) => sandboxes,
        Err(error) => {
            tracing::warn!(%error, "the sandboxes of the node cannot be listed");
            return false;
        }
    };
    let left = sandboxes.into_iter().filter(|sandbox| is_left(&context, &workers, sandbox));
    let removals = futures::stream::iter(left).map(|sandbox| remove(&context, sandbox));
    let removed: Vec<bool> = removals.buffer_unordered(AT_A_TIME).collect().await;
    let files = match folders(&context, &workers).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "the folders of a pod that is gone could not be removed");
            false
        }
    };
    files && removed.into_iter().all(|removed| removed)
}

fn is_left<F: Feed>(context: &Context<F>, workers: &HashSet<String>, sandbox: &Sandbox) -> bool {
    let labels = &sandbox.spec.labels;
    let text = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
    let uid = text(label::POD_UID);
    let key = Key::new(Resource::PODS, text(label::POD_NAMESPACE), text(label::POD_NAME));
    let is_there = || context.feed.get(&key).is_some_and(|pod| uid_of(&pod).as_deref() == Some(uid));
    labels.contains_key(label::POD_UID) && !workers.contains(uid) && !is_there()
}

async fn remove<F: Feed>(context: &Context<F>, sandbox: Sandbox) -> bool {
    tracing::info!(sandbox = %sandbox.spec.id, "what is left of a pod that is gone is removed");
    let work = async {
        context.runtime.remove_sandbox(&sandbox.spec.id).await?;
        if context.config.hollow.is_some() {
            return Ok(());
        }
        let logs = sandbox.spec.log_directory.clone();
        blocking(move || manager::tear_down(&logs)).await?;
        Ok::<_, SweepError>(())
    };
    match work.await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(sandbox = %sandbox.spec.id, %error, "what is left of a pod that is gone could not be removed");
            false
        }
    }
}

/// Removes the folders of pods that are gone; those of pods that have just come have workers already.
async fn folders<F: Feed>(context: &Context<F>, workers: &HashSet<String>) -> Result<(), SweepError> {
    if context.config.hollow.is_some() {
        return Ok(());
    }
    let root = context.config.pods_root();
    let Ok(mut entries) = tokio::fs::read_dir(&root).await else { return Ok(()) };
    let mut all = HashSet::new();
    while let Some(entry) = entries.next_entry().await? {
        all.insert(entry.file_name().to_string_lossy().into_owned());
    }
    // Asked after the folders: a pod that came in between has none among them.
    let known: HashSet<String> =
        context.feed.list(&Resource::PODS, "").iter().filter_map(|(_, pod)| uid_of(pod)).collect();
    for uid in all.into_iter().filter(|uid| !workers.contains(uid) && !known.contains(uid)) {
        let (folder, logs) = (root.join(&uid), context.config.log_root.clone());
        blocking(move || manager::tear_down(&folder).and_then(|()| remove_logs(&logs, &uid))).await?;
    }
    Ok(())
}

/// Removes the log folder of a pod of which only the uid is known. Others' folders lie beside it.
fn remove_logs(root: &Path, uid: &str) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(root) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(&format!("_{uid}")) {
            manager::tear_down(&entry.path())?;
        }
    }
    Ok(())
}

async fn blocking(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> std::io::Result<()> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
