//! Learns at once that a container has ended: from its monitor, or from the kernel if the monitor has died.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::Core;
use super::containers::Container;
use crate::monitor::report::{Running, paths, start_ticks};
use crate::monitor::{through, wire};
use crate::port::Event;
use crate::port::container::{ContainerState, ExitReason};
use crate::{clock, files, sys};

/// The end of a container of which nobody knows more.
pub(super) fn unknown() -> ContainerState {
    ContainerState::Exited {
        exit_code: 137,
        signal: None,
        reason: ExitReason::Unknown,
        message: "The container's monitor ended before the container; its exit code is not known".to_owned(),
        started_at: 0,
        finished_at: clock::now(),
    }
}

impl Core {
    /// Watches a container that runs, in a task that ends with it or with the runtime.
    pub(super) fn watch(self: &Arc<Self>, container: Arc<Container>) {
        let (core, stop) = (Arc::downgrade(self), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {},
                state = end_of(&container.folder) => {
                    if let Some(core) = Weak::upgrade(&core) {
                        core.ended(&container, state);
                    }
                },
            }
        });
    }

    /// Makes the end of a container known.
    pub(super) fn ended(&self, container: &Container, state: ContainerState) {
        let ContainerState::Exited { exit_code, .. } = state else { return };
        container.state.send_replace(state);
        let event = Event::Exited {
            sandbox: container.meta.spec.sandbox.clone(),
            container: container.meta.id.clone(),
            exit_code,
        };
        // Nobody need listen.
        let _ = self.events.send(event);
    }
}

/// Waits for the end of the container in `folder`.
async fn end_of(folder: &Path) -> ContainerState {
    // Whether the monitor says so, ends, or is not there: then the file decides.
    if let Err(e) = listen(folder).await {
        tracing::debug!(folder = %folder.display(), error = %e, "the monitor is gone");
    }
    if let Some(state) = stored(folder) {
        return state;
    }
    let running = files::read_json::<Running>(&folder.join(paths::RUNNING)).ok().flatten();
    if let Some(running) = &running {
        tracing::warn!(folder = %folder.display(), pid = running.pid, "the monitor died before its container");
        if let Err(e) = process_ends(running).await {
            tracing::warn!(pid = running.pid, error = %e, "the process cannot be waited for");
        }
    }
    let mut state = unknown();
    if let (ContainerState::Exited { started_at, .. }, Some(running)) = (&mut state, &running) {
        *started_at = running.started_at;
    }
    if let Err(e) = files::write_json(&folder.join(paths::EXIT), &state, false) {
        tracing::warn!(folder = %folder.display(), error = %e, "the end could not be noted");
    }
    state
}

pub(super) fn stored(folder: &Path) -> Option<ContainerState> {
    files::read_json(&folder.join(paths::EXIT)).ok().flatten()
}

/// Connects to a container's monitor.
pub(super) async fn connect(folder: &Path) -> io::Result<UnixStream> {
    let directory = File::open(folder)?;
    UnixStream::connect(through(&directory, paths::SOCKET)).await
}

/// Returns when the monitor says that the container has ended, or is gone.
async fn listen(folder: &Path) -> io::Result<()> {
    let mut socket = connect(folder).await?;
    loop {
        let kind = socket.read_u8().await?;
        let length = socket.read_u32().await?;
        tokio::io::copy(&mut (&mut socket).take(u64::from(length)), &mut tokio::io::sink()).await?;
        if wire::Kind::of(kind) == Some(wire::Kind::Exit) {
            return Ok(());
        }
    }
}

async fn process_ends(running: &Running) -> io::Result<()> {
    let process = match sys::pidfd_open(running.pid) {
        Ok(process) => process,
        // It has ended.
        Err(_) => return Ok(()),
    };
    if start_ticks(running.pid) != Some(running.start_ticks) {
        return Ok(());
    }
    sys::async_fd(process, tokio::io::Interest::READABLE)?.readable().await.map(drop)
}
