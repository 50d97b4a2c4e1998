//! The port: what a node needs from a container runtime.
//!
//! # Guarantees
//! - Ids of sandboxes are chosen by the caller; the id of a container follows from (sandbox, name, attempt).
//!   Creating what exists already answers with what exists: nothing is made or started twice.
//! - `stop_*` and `remove_*` of what is not there succeed. Every operation may be repeated after a failure.
//! - What was made outlives the process that made it and is found again when the runtime is opened the next
//!   time; after a reboot of the machine nothing is found, as nothing runs any more.
//!
//! # Caveats
//! Dropping the future of a call leaves the operation to its own end or to a repetition; it is never half
//! done in a way that a repetition cannot finish.

use std::path::Path;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::broadcast;

pub mod container;
pub mod error;
pub mod image;
pub mod sandbox;
pub mod stream;

use container::{ContainerId, ContainerInfo, ContainerSpec, ContainerStats, ContainerStatus};
use error::{ContainerError, ImageError, SandboxError};
use image::{FsUsage, Image, RegistryAuth};
use sandbox::{Sandbox, SandboxId, SandboxSpec, SandboxStats};
use stream::{AttachOptions, Duplex, ExecOptions, ExecOutput, Session};

/// What runs containers: the name and version of the OCI runtime that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// For example `crun`.
    pub name: String,
    /// For example `1.8.1`.
    pub version: String,
}

/// Something that happened to a container without being asked for at that moment.
///
/// Events are a hint to look at once: who misses some (the channel is bounded) lists the containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The container's process runs.
    Started {
        /// Its sandbox.
        sandbox: SandboxId,
        /// The container.
        container: ContainerId,
    },
    /// The container has ended; its status is final and stored.
    Exited {
        /// Its sandbox.
        sandbox: SandboxId,
        /// The container.
        container: ContainerId,
        /// 0 to 255; 128 + n when ended by signal n.
        exit_code: i32,
    },
}

/// Images, sandboxes and containers of one node.
pub trait Runtime: Send + Sync + 'static {
    /// The OCI runtime in use.
    fn info(&self) -> RuntimeInfo;

    /// Container events from now on. Bounded: a receiver that lags is told so and lists.
    fn events(&self) -> broadcast::Receiver<Event>;

    // Images.

    /// The image that `reference` (a name with tag or digest, or an image id) stands for here; no network.
    ///
    /// # Errors
    /// [`ImageError::BadName`], [`ImageError::Store`].
    fn resolve_image<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<Image>, ImageError>>;

    /// Gets the image from its registry, also when it is there already (its tag may have moved).
    ///
    /// # Errors
    /// Apart from each other: bad name, not found, unauthorized, network, damaged, store.
    fn pull_image<'a>(
        &'a self,
        reference: &'a str,
        auth: Option<&'a RegistryAuth>,
    ) -> BoxFuture<'a, Result<Image, ImageError>>;

    /// Takes in the images of an OCI or docker archive (plain, gzip or zstd tar) or an OCI layout folder.
    fn load_images<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<Vec<Image>, ImageError>>;

    /// Every image of the store, in the order of their ids.
    fn list_images(&self) -> BoxFuture<'_, Result<Vec<Image>, ImageError>>;

    /// Removes an image (by id) with all its names, and the layers that no other image needs.
    ///
    /// # Errors
    /// [`ImageError::InUse`] while a container was made from it.
    fn remove_image<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ImageError>>;

    /// How full the file system is that holds the images, for image garbage collection.
    fn image_fs(&self) -> BoxFuture<'_, Result<FsUsage, ImageError>>;

    // Sandboxes.

    /// Makes the namespaces, the network and the cgroup that a group of containers shares.
    fn create_sandbox(&self, spec: SandboxSpec) -> BoxFuture<'_, Result<Sandbox, SandboxError>>;

    /// Ends the sandbox: its containers are killed, its network is taken down, its addresses are free again.
    fn stop_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// Stops the sandbox if need be and forgets it with all its containers.
    fn remove_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>>;

    /// One sandbox, or none of this id.
    fn sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Option<Sandbox>, SandboxError>>;

    /// Every sandbox, running and stopped.
    fn list_sandboxes(&self) -> BoxFuture<'_, Result<Vec<Sandbox>, SandboxError>>;

    /// What all containers of the sandbox use together.
    fn sandbox_stats<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<SandboxStats, SandboxError>>;

    // Containers.

    /// Prepares a container: its root file system and its configuration. No process starts yet.
    ///
    /// # Errors
    /// A mistake in the spec (no such image, no such user in the image, ...), or the machine's.
    fn create_container(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<ContainerId, ContainerError>>;

    /// Starts the container's process. Starting a running container does nothing.
    ///
    /// # Errors
    /// [`ContainerError::Start`] when its command cannot be started: the container has then ended with exit
    /// code 128 and reason [`container::ExitReason::StartError`].
    fn start_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>>;

    /// Sends the stop signal (the image's, else TERM), after `grace` KILL, and returns when it has ended.
    /// Several calls may be under way: the earliest KILL wins. A zero grace kills at once.
    fn stop_container<'a>(&'a self, id: &'a ContainerId, grace: Duration) -> BoxFuture<'a, Result<(), ContainerError>>;

    /// Sends a signal to the container's main process, without waiting for anything.
    fn signal_container<'a>(&'a self, id: &'a ContainerId, signal: i32) -> BoxFuture<'a, Result<(), ContainerError>>;

    /// Kills the container if it runs and forgets it. Its log files stay; they are the caller's.
    fn remove_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>>;

    /// One container's status, or none of this id.
    fn container_status<'a>(
        &'a self,
        id: &'a ContainerId,
    ) -> BoxFuture<'a, Result<Option<ContainerStatus>, ContainerError>>;

    /// Every container, of all sandboxes or of one.
    fn list_containers<'a>(
        &'a self,
        sandbox: Option<&'a SandboxId>,
    ) -> BoxFuture<'a, Result<Vec<ContainerInfo>, ContainerError>>;

    /// CPU and memory of a running container.
    ///
    /// # Errors
    /// [`ContainerError::NotRunning`].
    fn container_stats<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<ContainerStats, ContainerError>>;

    /// Closes and opens the container's log file again (after somebody moved it away).
    fn reopen_log<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>>;

    // Streams.

    /// Runs one more command in the container. Dropping the session ends the command.
    fn exec<'a>(&'a self, id: &'a ContainerId, options: ExecOptions) -> BoxFuture<'a, Result<Session, ContainerError>>;

    /// Runs a command to its end and collects its output (stdout and stderr together, the first 16 KiB are
    /// kept, as for probes). After `timeout` the command is killed: [`stream::ExecOutcome::TimedOut`].
    fn exec_sync<'a>(
        &'a self,
        id: &'a ContainerId,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ContainerError>>;

    /// Joins the container's own standard streams, from now on.
    fn attach<'a>(
        &'a self,
        id: &'a ContainerId,
        options: AttachOptions,
    ) -> BoxFuture<'a, Result<Session, ContainerError>>;

    /// Connects to a TCP port on the loopback address inside the sandbox's network (127.0.0.1, then ::1).
    fn port_forward<'a>(&'a self, id: &'a SandboxId, port: u16)
    -> BoxFuture<'a, Result<Box<dyn Duplex>, SandboxError>>;

    /// Stops and removes everything that was made here: containers, sandboxes, the bridge, mounts, cgroups.
    /// Images stay.
    fn down(&self) -> BoxFuture<'_, Result<(), SandboxError>>;
}
