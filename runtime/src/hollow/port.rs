//! The port's operations on the hollow runtime.

use std::io::{self, Cursor};
use std::path::Path;
use std::time::Duration;

use futures::future::{BoxFuture, ready};
use tokio::sync::{broadcast, mpsc};

use super::packed::Packed;
use super::{Hollow, user};
use crate::clock;
use crate::port::container::{ContainerId, ContainerInfo, ContainerSpec, ContainerStats, ContainerStatus};
use crate::port::error::{ContainerError, ImageError, SandboxError};
use crate::port::image::{FsUsage, Image, RegistryAuth};
use crate::port::sandbox::{Sandbox, SandboxId, SandboxSpec, SandboxStats};
use crate::port::stream::{AttachOptions, Duplex, ExecOptions, ExecOutput, Reader, Session};
use crate::port::{Event, Runtime, RuntimeInfo};

fn now<'a, T: Send + 'a>(done: T) -> BoxFuture<'a, T> {
    Box::pin(ready(done))
}

impl Runtime for Hollow {
    fn info(&self) -> RuntimeInfo {
        RuntimeInfo { name: "hollow".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn resolve_image<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<Image>, ImageError>> {
        now(self.resolve(reference))
    }

    fn pull_image<'a>(
        &'a self,
        reference: &'a str,
        _: Option<&'a RegistryAuth>,
    ) -> BoxFuture<'a, Result<Image, ImageError>> {
        now(self.pull(reference))
    }

    fn load_images<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<Vec<Image>, ImageError>> {
        let name = archive.display().to_string();
        now(Err(ImageError::Damaged { name, reason: "the hollow runtime reads no archives".to_owned() }))
    }

    fn list_images(&self) -> BoxFuture<'_, Result<Vec<Image>, ImageError>> {
        now(Ok(self.world.lock().images.values().cloned().collect()))
    }

    fn remove_image<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ImageError>> {
        let mut world = self.world.lock();
        let user = world.containers.iter().find(|(_, c)| c.image_id == id).map(|(id, _)| id.clone());
        now(match user {
            Some(container) => Err(ImageError::InUse { id: id.to_owned(), container }),
            None => {
                world.images.remove(id);
                Ok(())
            }
        })
    }

    fn image_fs(&self) -> BoxFuture<'_, Result<FsUsage, ImageError>> {
        now(Ok(FsUsage { capacity: 100 << 30, available: 50 << 30, inodes: 1 << 20, inodes_free: 1 << 19 }))
    }

    fn create_sandbox(&self, spec: SandboxSpec) -> BoxFuture<'_, Result<Sandbox, SandboxError>> {
        now(self.create_sandbox(spec))
    }

    fn stop_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.stop_sandbox(id);
        now(Ok(()))
    }

    fn remove_sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), SandboxError>> {
        self.stop_sandbox(id);
        let mut world = self.world.lock();
        world.containers.retain(|_, c| c.sandbox != *id);
        world.sandboxes.remove(id);
        now(Ok(()))
    }

    fn sandbox<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Option<Sandbox>, SandboxError>> {
        now(Ok(self.world.lock().sandboxes.get(id).map(Packed::get)))
    }

    fn list_sandboxes(&self) -> BoxFuture<'_, Result<Vec<Sandbox>, SandboxError>> {
        now(Ok(self.world.lock().sandboxes.values().map(Packed::get).collect()))
    }

    fn sandbox_stats<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<SandboxStats, SandboxError>> {
        let there = self.ready_sandbox(id);
        now(there.map(|()| SandboxStats { at: clock::now(), ..SandboxStats::default() }))
    }

    fn create_container(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<ContainerId, ContainerError>> {
        now(self.create_container(spec))
    }

    fn start_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        now(self.start_container(id))
    }

    fn stop_container<'a>(&'a self, id: &'a ContainerId, grace: Duration) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.stop_container(id, grace);
        now(Ok(()))
    }

    fn signal_container<'a>(&'a self, id: &'a ContainerId, signal: i32) -> BoxFuture<'a, Result<(), ContainerError>> {
        const ENDING: [i32; 3] = [2, 9, 15];
        now(if ENDING.contains(&signal) {
            self.end(id, 128 + signal, Some(signal), crate::port::container::ExitReason::Ended)
        } else {
            self.running(id).map(drop)
        })
    }

    fn remove_container<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        self.stop_container(id, Duration::ZERO);
        self.world.lock().containers.remove(id);
        now(Ok(()))
    }

    fn container_status<'a>(
        &'a self,
        id: &'a ContainerId,
    ) -> BoxFuture<'a, Result<Option<ContainerStatus>, ContainerError>> {
        let world = self.world.lock();
        let status = world.containers.get(id).map(|c| {
            let folder = world.sandboxes.get(&c.sandbox).map(|s| s.get().spec.log_directory);
            let spec = c.spec.get();
            ContainerStatus {
                info: c.info(id),
                user: user(&spec.user),
                log_path: folder.unwrap_or_default().join(&spec.log_path),
                spec,
            }
        });
        now(Ok(status))
    }

    fn list_containers<'a>(
        &'a self,
        sandbox: Option<&'a SandboxId>,
    ) -> BoxFuture<'a, Result<Vec<ContainerInfo>, ContainerError>> {
        let world = self.world.lock();
        let wanted = |of: &SandboxId| sandbox.is_none_or(|wanted| wanted == of);
        let listed = world.containers.iter().filter(|(_, c)| wanted(&c.sandbox));
        now(Ok(listed.map(|(id, c)| c.info(id)).collect()))
    }

    fn container_stats<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<ContainerStats, ContainerError>> {
        now(self.running(id).map(|_| ContainerStats { at: clock::now(), pids: 1, ..ContainerStats::default() }))
    }

    fn reopen_log<'a>(&'a self, id: &'a ContainerId) -> BoxFuture<'a, Result<(), ContainerError>> {
        now(self.running(id).map(drop))
    }

    fn exec<'a>(&'a self, id: &'a ContainerId, options: ExecOptions) -> BoxFuture<'a, Result<Session, ContainerError>> {
        now(self.running(id).map(|(spec, handler)| {
            let ExecOutput { outcome, output } = handler(&spec, &options.command);
            let (resize, _) = mpsc::channel(1);
            Session {
                stdin: options.stdin.then(|| Box::pin(tokio::io::sink()) as _),
                stdout: options.stdout.then(|| Box::pin(Cursor::new(output)) as Reader),
                stderr: (options.stderr && !options.tty).then(|| Box::pin(tokio::io::empty()) as Reader),
                resize: options.tty.then_some(resize),
                outcome: now(Ok(outcome)),
            }
        }))
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a ContainerId,
        command: &'a [String],
        _: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput, ContainerError>> {
        now(self.running(id).map(|(spec, handler)| handler(&spec, command)))
    }

    fn attach<'a>(
        &'a self,
        id: &'a ContainerId,
        options: AttachOptions,
    ) -> BoxFuture<'a, Result<Session, ContainerError>> {
        let attached = || -> Result<Session, ContainerError> {
            let events = self.events.subscribe();
            let (spec, _) = self.running(id)?;
            if options.stdin && !spec.stdio.stdin {
                let reason = "the container has no standard input".to_owned();
                return Err(ContainerError::Invalid { field: "stdin", reason });
            }
            let ended = self.clone().until_ended(id.clone(), events);
            Ok(Session {
                stdin: options.stdin.then(|| Box::pin(tokio::io::sink()) as _),
                stdout: options.stdout.then(|| Box::pin(tokio::io::empty()) as Reader),
                stderr: (options.stderr && !spec.stdio.tty).then(|| Box::pin(tokio::io::empty()) as Reader),
                resize: spec.stdio.tty.then(|| mpsc::channel(1).0),
                outcome: Box::pin(async move { Ok(ended.await) }),
            })
        };
        now(attached())
    }

    fn port_forward<'a>(
        &'a self,
        id: &'a SandboxId,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn Duplex>, SandboxError>> {
        let refused =
            || SandboxError::Connect { id: id.clone(), port, source: io::ErrorKind::ConnectionRefused.into() };
        now(self.ready_sandbox(id).and_then(|()| Err(refused())))
    }

    fn down(&self) -> BoxFuture<'_, Result<(), SandboxError>> {
        let mut world = self.world.lock();
        world.containers.clear();
        world.sandboxes.clear();
        now(Ok(()))
    }
}
