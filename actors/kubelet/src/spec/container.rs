//! What a container of a pod shall be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cox_runtime::{ContainerId, ContainerSpec, ImageConfig, Mount, SandboxId, Stdio};
use k8s_openapi::api::core::v1::{Container, Lifecycle, Pod};

use super::expand::expand;
use super::names::label;
use super::resources;
use super::security::{self, SecurityError};

/// Everything about a container that is not in its Pod.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The sandbox it joins.
    pub sandbox: SandboxId,
    /// The container whose processes it shares.
    pub target: Option<ContainerId>,
    /// Which start of the container this is, counted from 0.
    pub attempt: u32,
    /// The image's id.
    pub image: String,
    /// What the image says of itself.
    pub image_config: &'a ImageConfig,
    /// The resolved environment.
    pub env: Vec<(String, String)>,
    /// Volumes and the files that the kubelet provides, in place on the host.
    pub mounts: Vec<Mount>,
    /// The node's memory in bytes.
    pub node_memory: i64,
    /// Where Localhost seccomp profiles lie.
    pub seccomp_root: &'a Path,
}

/// The container's spec for the runtime.
///
/// # Errors
/// If it may not run as the user that it would.
pub fn container(pod: &Pod, own: &Container, around: Surroundings<'_>) -> Result<ContainerSpec, SecurityError> {
    let user = security::user(pod, own, &around.image_config.user)?;
    let known: BTreeMap<&str, &str> = around.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expanded = |words: &Option<Vec<String>>| {
        let words = words.iter().flatten();
        words.map(|word| expand(word, |name| known.get(name).map(|value| (*value).to_owned()))).collect::<Vec<_>>()
    };
    let (command, args) = (expanded(&own.command), expanded(&own.args));
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Ok(ContainerSpec {
        sandbox: around.sandbox,
        target: around.target,
        name: own.name.clone(),
        attempt: around.attempt,
        labels: BTreeMap::from([
            (label::CONTAINER_NAME.to_owned(), own.name.clone()),
            (label::CONTAINER_HASH.to_owned(), hash(own)),
            (label::POD_NAME.to_owned(), text(&pod.metadata.name)),
            (label::POD_NAMESPACE.to_owned(), text(&pod.metadata.namespace)),
            (label::POD_UID.to_owned(), text(&pod.metadata.uid)),
        ]),
        image: around.image,
        command,
        args,
        working_dir: own.working_dir.clone().filter(|dir| !dir.is_empty()),
        user,
        mounts: around.mounts,
        devices: Vec::new(),
        security: security::privileges(pod, own, around.seccomp_root),
        resources: resources::container(pod, own, around.node_memory),
        stdio: Stdio {
            tty: own.tty == Some(true),
            stdin: own.stdin == Some(true),
            stdin_once: own.stdin_once == Some(true),
        },
        log_path: PathBuf::from(format!("{}/{}.log", own.name, around.attempt)),
        stop_signal: own.lifecycle.as_ref().and_then(|Lifecycle { stop_signal, .. }| stop_signal.clone()),
        env: around.env,
    })
}

/// A hash of what cannot change in a running container: name and image (all else that is mutable is applied in place).
pub fn hash(own: &Container) -> String {
    let text = format!("{}\0{}", own.name, own.image.as_deref().unwrap_or_default());
    // FNV-1a, 32 bits: a change must show, nothing is kept secret.
    let value = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{value:08x}")
}
