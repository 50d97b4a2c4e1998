//! Containers on their way from created to exited.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::containers::{Container, io_error, key};
use super::recovery::state_of;
use super::{Core, blocking};
use crate::monitor::report::{Report, Running, paths, start_ticks};
use crate::port::Event;
use crate::port::container::{ContainerId, ContainerState, ContainerStats, ExitReason};
use crate::port::error::ContainerError;
use crate::port::sandbox::SandboxState;
use crate::{files, sys};

/// A killed process that is not gone after this long hangs in the kernel.
const KILL_WAIT: Duration = Duration::from_secs(30);
/// A monitor needs this long at most to tidy up after its container.
const MONITOR_WAIT: Duration = Duration::from_secs(30);
/// What a monitor needs beside the OCI runtime's calls.
const REPORT: Duration = Duration::from_secs(10);
/// OCI runtimes whose containers are processes of this kernel: a signal to the process is a signal to the container.
const PROCESSES: [&str; 3] = ["crun", "runc", "youki"];
const SIGKILL: i32 = 9;

impl Core {
    pub(super) async fn start_container(self: Arc<Self>, id: ContainerId) -> Result<(), ContainerError> {
        let _work = self.lock(key(&id)).await;
        let container = self.container(&id)?;
        let state = container.state.borrow().clone();
        match state {
            ContainerState::Running { .. } => return Ok(()),
            ContainerState::Exited { reason: ExitReason::StartError, message, .. } => {
                return Err(ContainerError::Start { reason: message });
            }
            ContainerState::Exited { .. } => return Err(ContainerError::NotRunning(id)),
            ContainerState::Created => {}
        }
        let sandbox = container.meta.spec.sandbox.clone();
        let is_ready = |e: Arc<super::SandboxEntry>| e.sandbox.lock().state == SandboxState::Ready;
        if !self.sandbox(&sandbox).is_some_and(is_ready) {
            return Err(ContainerError::NoSandbox(sandbox));
        }
        match self.launch(&container).await? {
            Report::Started(running) => {
                container
                    .state
                    .send_replace(ContainerState::Running { pid: running.pid, started_at: running.started_at });
                // Nobody need listen.
                let _ = self.events.send(Event::Started { sandbox, container: id });
                self.watch(container);
                Ok(())
            }
            Report::StartError { reason } => {
                let stored = files::read_json(&container.folder.join(paths::EXIT)).ok().flatten();
                self.ended(&container, stored.unwrap_or_else(super::watch::unknown));
                Err(ContainerError::Start { reason })
            }
            Report::Failed { reason } => {
                // Mostly nothing has happened; but the monitor of a process before us may have been faster.
                let folder = container.folder.clone();
                let state = blocking(move || state_of(&folder)).await.map_err(io_error("look what runs"))?;
                match state {
                    ContainerState::Created => {
                        Err(ContainerError::Runtime { attempt: format!("start container {id}"), reason })
                    }
                    ContainerState::Running { .. } => {
                        container.state.send_replace(state);
                        self.watch(container);
                        Ok(())
                    }
                    ContainerState::Exited { .. } => {
                        self.ended(&container, state);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Starts the monitor, which starts the container, and hears how that went.
    async fn launch(&self, container: &Container) -> Result<Report, ContainerError> {
        let id = &container.meta.id;
        let errors = container.folder.join("monitor.log");
        let run = async {
            let mut report = self.spawner.monitor(&container.folder, &errors)?;
            let mut said = Vec::new();
            // To its end: the monitor lets go of it once it has reported.
            timeout(self.config.patience * 2 + REPORT, report.read_to_end(&mut said)).await??;
            Ok(said)
        };
        let said = run.await.map_err(io_error(format!("have container {id} monitored")))?;
        serde_json::from_slice(&said).map_err(|_| ContainerError::Runtime {
            attempt: format!("start the monitor of container {id}"),
            reason: format!(
                "it ended without a report. {}",
                std::fs::read_to_string(&errors).unwrap_or_default().trim()
            ),
        })
    }

    pub(super) async fn stop_container(
        self: Arc<Self>,
        id: ContainerId,
        grace: Duration,
    ) -> Result<(), ContainerError> {
        // A start that is under way comes to its end first. Stops do not exclude each other.
        drop(self.lock(key(&id)).await);
        let Ok(container) = self.container(&id) else { return Ok(()) };
        if !container.is_running() {
            return Ok(());
        }
        if !grace.is_zero() {
            let asked = self.signal(&container, container.meta.stop_signal).await;
            if asked.is_ok() && timeout(grace, exited(&container)).await.is_ok() {
                return Ok(());
            }
        }
        self.kill(&container).await
    }

    /// Kills a container and waits until it has ended.
    pub(super) async fn kill(&self, container: &Container) -> Result<(), ContainerError> {
        let killed = self.signal(container, SIGKILL).await;
        // A process that ended by itself just now cannot be killed, and need not be.
        let wait = if killed.is_ok() { KILL_WAIT } else { Duration::from_secs(2) };
        if timeout(wait, exited(container)).await.is_ok() {
            return Ok(());
        }
        killed.and_then(|()| {
            Err(ContainerError::Runtime {
                attempt: format!("kill container {}", container.meta.id),
                reason: format!("it still runs after {} s", KILL_WAIT.as_secs()),
            })
        })
    }

    pub(super) async fn signal(&self, container: &Container, signal: i32) -> Result<(), ContainerError> {
        if !container.is_running() {
            return Err(ContainerError::NotRunning(container.meta.id.clone()));
        }
        if !PROCESSES.contains(&self.info().name.as_str()) {
            return self.command.run(&["kill", &container.meta.id.0, &signal.to_string()]).await;
        }
        let (id, folder) = (container.meta.id.clone(), container.folder.clone());
        let sent = blocking(move || send(&folder, signal)).await;
        sent.map_err(|e| match e.raw_os_error() {
            Some(nix::libc::ESRCH) => ContainerError::NotRunning(id),
            _ => io_error(format!("send signal {signal} to container {id}"))(e),
        })
    }

    /// Waits until a container's monitor has ended.
    pub(super) async fn wait_for_monitor(&self, container: &Container) -> Result<(), ContainerError> {
        let lock = container.folder.join(paths::LOCK);
        if !lock.exists() {
            return Ok(());
        }
        let waited = timeout(MONITOR_WAIT, blocking(move || files::lock(&lock).map(drop))).await;
        waited
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
            .map_err(io_error("wait for the container's monitor"))
    }

    pub(super) async fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats, ContainerError> {
        let container = self.container(id)?;
        if !container.is_running() {
            return Err(ContainerError::NotRunning(id.clone()));
        }
        let (cgroups, path) = (self.cgroups.clone(), container.meta.cgroup.clone());
        blocking(move || cgroups.stats(&path)).await.map_err(|e| match e.kind() {
            // It ended in between.
            io::ErrorKind::NotFound => ContainerError::NotRunning(id.clone()),
            _ => io_error("read its counters")(e),
        })
    }
}

/// Sends a signal to the main process of the container in `folder`, and to no later one of the same number.
fn send(folder: &Path, signal: i32) -> io::Result<()> {
    let gone = || io::Error::from_raw_os_error(nix::libc::ESRCH);
    let running: Running = files::read_json(&folder.join(paths::RUNNING))?.ok_or_else(gone)?;
    let process = sys::pidfd_open(running.pid)?;
    // The descriptor stands for whoever has the number now: one that began at another time is a stranger.
    if start_ticks(running.pid) != Some(running.start_ticks) {
        return Err(gone());
    }
    sys::pidfd_send_signal(process, signal)
}

/// Resolves when the container has ended.
pub(super) async fn exited(container: &Container) {
    let mut state = container.state.subscribe();
    // The sender lives as long as the container that we hold.
    let _ = state.wait_for(|state| matches!(state, ContainerState::Exited { .. })).await;
}
