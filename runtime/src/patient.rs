//! The port with a deadline for every call: a runtime that hangs is an error in the end, which can be told and tried again.
//!
//! # Caveats
//! What did not answer in time may still happen afterwards: as the port has it, a repetition finds or finishes it. Pulls have bounds of
//! their own, and sessions last as long as somebody takes part in them: only their beginning has a deadline.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::port::container::{ContainerId, ContainerInfo, ContainerSpec, ContainerStats, ContainerStatus};
use crate::port::error::{ContainerError, ImageError, SandboxError};
use crate::port::image::{FsUsage, Image, RegistryAuth};
use crate::port::sandbox::{Sandbox, SandboxId, SandboxSpec, SandboxStats};
use crate::port::stream::{AttachOptions, Duplex, ExecOptions, ExecOutput, Session};
use crate::port::{Event, Runtime, RuntimeInfo};

/// A runtime, and how long it may take for a call.
pub struct Patient {
    runtime: Arc<dyn Runtime>,
    patience: Duration,
}

impl Patient {
    /// Bounds each call of `runtime`.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>, patience: Duration) -> Self {
        Self { runtime, patience }
    }

    /// Waits for a call; `more` is time that the call itself was given.
    fn bound<'a, T: 'a, E: Late + 'a>(
        &'a self,
        attempt: &'static str,
        more: Duration,
        call: impl Future<Output = Result<T, E>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, E>> {
        let patience = self.patience.saturating_add(more);
        Box::pin(async move {
            timeout(patience, call).await.unwrap_or_else(|_| {
                let text = format!("the container runtime did not answer within {} s", patience.as_secs_f32());
                Err(E::late(attempt, io::Error::new(io::ErrorKind::TimedOut, text)))
            })
        })
    }

    fn short<'a, T: 'a, E: Late + 'a>(
        &'a self,
        attempt: &'static str,
        call: impl Future<Output = Result<T, E>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, E>> {
        self.bound(attempt, Duration::ZERO, call)
    }
}

/// An error that can say that there was no answer.
trait Late {
    fn late(attempt: &'static str, source: io::Error) -> Self;
}

impl Late for SandboxError {
    fn late(attempt: &'static str, source: io::Error) -> Self {
        Self::Io { attempt: attempt.to_owned(), source }
    }
}

impl Late for ContainerError {
    fn late(attempt: &'static str, source: io::Error) -> Self {
        Self::Io { attempt: attempt.to_owned(), source }
    }
}

impl Late for ImageError {
    fn late(attempt: &'static str, source: io::Error) -> Self {
        Self::Store { attempt: attempt.to_owned(), source }
    }
}

impl Runtime for Patient {
    fn info(&self) -> RuntimeInfo {
        self.runtime.info()
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.runtime.events()
    }

    fn resolve_image<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<Image>, ImageError>> {
        self.short("look up an image", self.runtime.resolve_image(reference))
    }

    fn pull_image<'a>(
        &'a self,
        reference: &'a str,
        auth: Option<&'a RegistryAuth>,
    ) -> BoxFuture<'a, Result<Image, ImageError>> {
        self.runtime.pull_image(reference, auth)
    }

    fn load_images<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<Vec<Image>, ImageError>> {
        self.runtime.load_images(archive)
    }

    fn list_images(&self) -> BoxFuture<'_, Result<Vec<Image>, ImageError>> {
        self.short("list the images", self.runtime.list_images())
    }

    fn remove_image<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ImageError>> {
        self.short("remove an image", self.runtime.remove_image(id))
    }

    fn image_fs(&self) -> BoxFuture<'_, Result<FsUsage, ImageError>> {
        self.short("measure the images", self.runtime.image_fs())
    }

    fn create_sandbox(&self, spec: SandboxSpec) -> BoxFuture<'_, Result<Sandbox, SandboxError>> {
        self.short("make it", self.runtime.create_sandbox(spec))
    }

    fn stop_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.short("stop it", self.runtime.stop_sandbox(id))
    }

    fn remove_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.short("remove it", self.runtime.remove_sandbox(id))
    }

    fn sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Option<Sandbox>, SandboxError>> {
        self.short("look at it", self.runtime.sandbox(id))
    }

    fn list_sandboxes(&self) -> BoxFuture<'_, Result<Vec<Sandbox>, SandboxError>> {
        self.short("list them", self.runtime.list_sandboxes())
    }

    fn sandbox_stats<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<SandboxStats, SandboxError>> {
        self.short("measure it", self.runtime.sandbox_stats(id))
    }

    fn create_container(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<ContainerId, ContainerError>> {
        self.short("create a container", self.runtime.create_container(spec))
    }

    fn start_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.short("start a container", self.runtime.start_container(id))
    }

    fn stop_container<'a>(&'a self, id: &'a ContainerId, grace: Duration) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.bound("stop a container", grace, self.runtime.stop_container(id, grace))
    }

    fn signal_container<'a>(&'a self, id: &'a ContainerId, signal: i32) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.short("signal a container", self.runtime.signal_container(id, signal))
    }

    fn remove_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.short("remove a container", self.runtime.remove_container(id))
    }

    fn container_status<'a>(
        &'a self,
        id: &'a ContainerId,
    ) -> BoxFuture<'a, Result<Option<ContainerStatus>, ContainerError>> {
        self.short("look at a container", self.runtime.container_status(id))
    }

    fn list_containers<'a>(
        &'a self,
        sandbox: Option<&'a SandboxId>,
    ) -> BoxFuture<'a, Result<Vec<ContainerInfo>, ContainerError>> {
        self.short("list the containers", self.runtime.list_containers(sandbox))
    }

    fn container_stats<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<ContainerStats, ContainerError>> {
        self.short("measure a container", self.runtime.container_stats(id))
    }

    fn reopen_log<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.short("open a log again", self.runtime.reopen_log(id))
    }

    fn exec<'a>(&'a self, id: &'a ContainerId, options: ExecOptions) -> BoxFuture<'a, Result<Session, ContainerError>> {
        self.short("begin a command", self.runtime.exec(id, options))
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a ContainerId,
        command: &'a [String],
        given: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ContainerError>> {
        self.bound("run a command", given, self.runtime.exec_sync(id, command, given))
    }

    fn attach<'a>(
        &'a self,
        id: &'a ContainerId,
        options: AttachOptions,
    ) -> BoxFuture<'a, Result<Session, ContainerError>> {
        self.short("attach to a container", self.runtime.attach(id, options))
    }

    fn port_forward<'a>(
        &'a self,
        id: &'a SandboxId,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Duplex>, SandboxError>> {
        self.short("connect to a port", self.runtime.port_forward(id, port))
    }

    fn down(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.runtime.down()
    }
}
