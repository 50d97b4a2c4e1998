//! The port's operations, each carried to its end whether or not its caller waits.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all, pending};
use tokio::sync::broadcast;

use super::containers::Container;
use super::image_mounts::mounted;
use super::{Core, OciRuntime, sandbox_io};
use crate::images::reference::Reference;
use crate::port::container::{ContainerId, ContainerInfo, ContainerSpec, ContainerStats, ContainerStatus};
use crate::port::error::{ContainerError, ImageError, SandboxError};
use crate::port::image::{FsUsage, Image, RegistryAuth};
use crate::port::sandbox::{Sandbox, SandboxId, SandboxSpec, SandboxStats};
use crate::port::stream::{AttachOptions, Duplex, ExecOptions, ExecOutput, Session};
use crate::port::{Event, Runtime, RuntimeInfo};

impl OciRuntime {
    /// Runs work in a task of its own.
    fn whole<'a, T, F>(&'a self, work: impl FnOnce(Arc<Core>) -> F + Send + 'a) -> BoxFuture<'a, T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Box::pin(async move {
            match self.core.tasks.spawn(work(Arc::clone(&self.core))).await {
                Ok(done) => done,
                Err(e) => match e.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // tokio itself is shutting down: so is the caller.
                    Err(_) => pending().await,
                },
            }
        })
    }

    /// Runs work of the image store, which blocks.
    async fn on_images<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::images::ImageStore) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let images = Arc::clone(&self.core.images);
        tokio::task::spawn_blocking(move || work(&images))
            .await
            .unwrap_or_else(|e| Err(ImageError::Store { attempt: "run".to_owned(), source: std::io::Error::other(e) }))
    }
}

impl Runtime for OciRuntime {
    fn info(&self) -> RuntimeInfo {
        self.core.info().clone()
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.core.events.subscribe()
    }

    fn resolve_image<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<Image>, ImageError>> {
        Box::pin(async move { self.core.images.resolve(reference) })
    }

    fn pull_image<'a>(
        &'a self,
        reference: &'a str,
        auth: Option<&'a RegistryAuth>,
    ) -> BoxFuture<'a, Result<Image, ImageError>> {
        Box::pin(async move {
            // A bad name costs no task.
            let reference = Reference::parse(reference)?.to_string();
            let auth = auth.cloned();
            self.whole(move |core| async move { core.images.pull(&reference, auth.as_ref()).await }).await
        })
    }

    fn load_images<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<Vec<Image>, ImageError>> {
        let archive = archive.to_owned();
        Box::pin(self.on_images(move |images| images.load(&archive)))
    }

    fn list_images(&self) -> BoxFuture<'_, Result<Vec<Image>, ImageError>> {
        Box::pin(async move { self.core.images.list() })
    }

    fn remove_image<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ImageError>> {
        Box::pin(async move {
            let uses = |c: &Container| c.meta.image_id == id || mounted(&c.meta.spec).any(|mounted| mounted == id);
            let user = self.core.containers.lock().values().find(|c| uses(c)).map(|c| c.meta.id.clone());
            if let Some(container) = user {
                return Err(ImageError::InUse { id: id.to_owned(), container });
            }
            let id = id.to_owned();
            self.on_images(move |images| images.remove(&id)).await
        })
    }

    fn image_fs(&self) -> BoxFuture<'_, Result<FsUsage, ImageError>> {
        Box::pin(self.on_images(crate::images::ImageStore::fs_usage))
    }

    fn create_sandbox(&self, spec: SandboxSpec) -> BoxFuture<'_, Result<Sandbox, SandboxError>> {
        self.whole(move |core| core.create_sandbox(spec))
    }

    fn stop_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.whole(move |core| core.stop_sandbox(id.clone()))
    }

    fn remove_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.whole(move |core| core.remove_sandbox(id.clone()))
    }

    fn sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Option<Sandbox>, SandboxError>> {
        Box::pin(async move { Ok(self.core.sandbox(id).map(|entry| entry.sandbox.lock().clone())) })
    }

    fn list_sandboxes(&self) -> BoxFuture<'_, Result<Vec<Sandbox>, SandboxError>> {
        Box::pin(
            async move { Ok(self.core.sandboxes.lock().values().map(|entry| entry.sandbox.lock().clone()).collect()) },
        )
    }

    fn sandbox_stats<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<SandboxStats, SandboxError>> {
        Box::pin(self.core.sandbox_stats(id))
    }

    fn create_container(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<ContainerId, ContainerError>> {
        self.whole(move |core| core.create_container(spec))
    }

    fn start_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.whole(move |core| core.start_container(id.clone()))
    }

    fn stop_container<'a>(&'a self, id: &'a ContainerId, grace: Duration) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.whole(move |core| core.stop_container(id.clone(), grace))
    }

    fn signal_container<'a>(&'a self, id: &'a ContainerId, signal: i32) -> BoxFuture<'a, Result<(), ContainerError>> {
        Box::pin(async move {
            let container = self.core.container(id)?;
            self.core.signal(&container, signal).await
        })
    }

    fn remove_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.whole(move |core| core.remove_container(id.clone()))
    }

    fn container_status<'a>(
        &'a self,
        id: &'a ContainerId,
    ) -> BoxFuture<'a, Result<Option<ContainerStatus>, ContainerError>> {
        Box::pin(async move { Ok(self.core.container(id).ok().map(|c| c.status())) })
    }

    fn list_containers<'a>(
        &'a self,
        sandbox: Option<&'a SandboxId>,
    ) -> BoxFuture<'a, Result<Vec<ContainerInfo>, ContainerError>> {
        Box::pin(async move {
            let is_wanted = |of: &SandboxId| sandbox.is_none_or(|wanted| wanted == of);
            let containers = self.core.containers.lock();
            Ok(containers.values().filter(|c| is_wanted(&c.meta.spec.sandbox)).map(|c| c.info()).collect())
        })
    }

    fn container_stats<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<ContainerStats, ContainerError>> {
        Box::pin(self.core.container_stats(id))
    }

    fn reopen_log<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        Box::pin(self.core.reopen_log(id))
    }

    fn exec<'a>(&'a self, id: &'a ContainerId, options: ExecOptions) -> BoxFuture<'a, Result<Session, ContainerError>> {
        Box::pin(self.core.exec(id, options))
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a ContainerId,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ContainerError>> {
        Box::pin(self.core.exec_sync(id, command, timeout))
    }

    fn attach<'a>(
        &'a self,
        id: &'a ContainerId,
        options: AttachOptions,
    ) -> BoxFuture<'a, Result<Session, ContainerError>> {
        Box::pin(self.core.attach(id, options))
    }

    fn port_forward<'a>(
        &'a self,
        id: &'a SandboxId,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Duplex>, SandboxError>> {
        Box::pin(self.core.port_forward(id, port))
    }

    fn down(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.whole(|core| async move {
            let sandboxes: Vec<SandboxId> = core.sandboxes.lock().keys().cloned().collect();
            let removals = sandboxes.into_iter().map(|id| Arc::clone(&core).remove_sandbox(id));
            join_all(removals).await.into_iter().collect::<Result<(), _>>()?;
            // Containers whose sandbox is gone, which only a damaged folder leaves.
            let rest: Vec<ContainerId> = core.containers.lock().keys().cloned().collect();
            for id in rest {
                Arc::clone(&core).remove_container(id).await.map_err(Box::new)?;
            }
            core.spawner.end().await;
            core.network.down().await.map_err(sandbox_io("take down the network"))?;
            let (cgroups, root) = (core.cgroups.clone(), core.config.cgroup_root.clone());
            super::blocking(move || cgroups.remove(&root)).await.map_err(sandbox_io("remove the cgroup"))
        })
    }
}
