//! What can go wrong at the port, by operation, told apart where callers act differently.

use std::io;

use super::container::ContainerId;
use super::sandbox::SandboxId;

/// Why an image operation failed. The texts say what a person needs and never hold credentials.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference cannot be parsed. The reason is worded as `docker/distribution` words it.
    #[error("couldn't parse image name {name:?}: {reason}")]
    BadName {
        /// As given.
        name: String,
        /// For example `invalid reference format`.
        reason: String,
    },
    /// The registry answered that there is no such image, or none for this machine's platform.
    #[error("failed to pull and unpack image {name:?}: failed to resolve image: {name}: not found")]
    NotFound {
        /// The reference, normalized.
        name: String,
    },
    /// The registry wants credentials, or better ones.
    #[error(
        "failed to pull and unpack image {name:?}: failed to resolve image: pull access denied, repository does not \
         exist or may require authorization: {reason}"
    )]
    Unauthorized {
        /// The reference, normalized.
        name: String,
        /// For example `authorization failed: no basic auth credentials`.
        reason: String,
    },
    /// The registry could not be reached or broke off: trying again may help.
    #[error("failed to pull and unpack image {name:?}: {reason}")]
    Network {
        /// The reference, normalized.
        name: String,
        /// The chain of causes.
        reason: String,
    },
    /// Content that does not match its digest, is malformed, or exceeds a bound. Nothing of it was kept.
    #[error("image {name:?} is damaged or refused: {reason}")]
    Damaged {
        /// The reference, or the archive's path.
        name: String,
        /// What was found.
        reason: String,
    },
    /// A container was made from the image.
    #[error("image {id} is in use by container {container}")]
    InUse {
        /// The image.
        id: String,
        /// One of the containers.
        container: ContainerId,
    },
    /// The machine's disk or permissions.
    #[error("image store: {attempt}: {source}")]
    Store {
        /// What was attempted on what.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Why a sandbox operation failed.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No sandbox of this id.
    #[error("sandbox {0} not found")]
    NotFound(SandboxId),
    /// The sandbox has stopped: it has no network any more.
    #[error("sandbox {0} is not running")]
    NotRunning(SandboxId),
    /// The spec contradicts itself or asks for what this machine cannot do.
    #[error("sandbox {field}: {reason}")]
    Invalid {
        /// The field of the spec.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A CNI plugin failed.
    #[error("network: plugin {plugin} failed ({command}): {reason}")]
    Network {
        /// The plugin's type, for example `bridge`.
        plugin: String,
        /// ADD, DEL or CHECK.
        command: &'static str,
        /// The plugin's own words.
        reason: String,
    },
    /// Nothing listens on that port inside the sandbox.
    #[error("failed to connect to localhost:{port} inside sandbox {id}: {source}")]
    Connect {
        /// The sandbox.
        id: SandboxId,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// A container of the sandbox could not be ended or removed.
    #[error("sandbox's container: {0}")]
    Container(#[from] Box<ContainerError>),
    /// The machine: a system call, a file.
    #[error("sandbox: {attempt}: {source}")]
    Io {
        /// What was attempted on what.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Why a container operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No container of this id.
    #[error("container {0} not found")]
    NotFound(ContainerId),
    /// The container does not run (it has not started, or it has ended).
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    /// Its sandbox is not there or has stopped.
    #[error("sandbox {0} is not running")]
    NoSandbox(SandboxId),
    /// Its image is not in the store.
    #[error("image {0} not found")]
    NoImage(String),
    /// The spec contradicts itself, or the image (no such user), or the machine.
    #[error("{reason}")]
    Invalid {
        /// The field of the spec.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The command could not be started. Its status says so too (exit code 128).
    #[error("{reason}")]
    Start {
        /// The OCI runtime's words, in the field's usual form.
        reason: String,
    },
    /// An exec could not be started.
    #[error("{reason}")]
    Exec {
        /// The OCI runtime's words, in the field's usual form.
        reason: String,
        /// 126 when the command is not executable, 127 when it does not exist, as shells have it.
        exit_code: i32,
    },
    /// The OCI runtime or the monitor failed in a way that says nothing of the container's command.
    #[error("{attempt}: {reason}")]
    Runtime {
        /// For example `crun delete <id>`.
        attempt: String,
        /// What it printed.
        reason: String,
    },
    /// The machine: a system call, a file.
    #[error("container: {attempt}: {source}")]
    Io {
        /// What was attempted on what.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
}
