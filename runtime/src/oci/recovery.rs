//! Finds what was made before this process: after a restart all of it, after a reboot nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::statfs::{FsType, statfs};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::containers::{Container, Meta};
use super::sandboxes::Entry;
use super::watch::stored;
use super::{Core, containers, sandboxes};
use crate::files;
use crate::monitor::report::{Running, paths};
use crate::port::container::ContainerState;
use crate::port::sandbox::{Sandbox, SandboxState};

/// What the kernel calls itself since it started.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A monitor that was about to start its container when we were killed is through after this time.
const STARTING: Duration = Duration::from_secs(20);

/// Removes all state of an earlier run of the machine: its processes and mounts are gone.
pub(super) fn forget_before_reboot(run: &Path) -> io::Result<()> {
    let now = fs::read(BOOT_ID)?;
    let note = run.join("boot-id");
    if fs::read(&note).is_ok_and(|then| then == now) {
        return Ok(());
    }
    for folder in ["sandboxes", "containers", "oci", "addresses"] {
        files::remove_tree(&run.join(folder))?;
    }
    files::write_atomic(&note, &now, true)
}

/// Reads all state, undoes what was cut off, and watches what runs.
pub(super) async fn recover(core: &Arc<Core>) -> io::Result<()> {
    for entry in fs::read_dir(core.config.run_dir.join("containers"))?.flatten() {
        let folder = entry.path();
        match files::read_json::<Meta>(&folder.join(containers::STATE))? {
            Some(meta) => recover_container(core, folder, meta).await?,
            None => {
                tracing::info!(folder = %folder.display(), "undoing a container whose creation was cut off");
                core.unmake_container(&folder, None)?;
            }
        }
    }
    let (mut whole, mut cut_off) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(core.config.run_dir.join("sandboxes"))?.flatten() {
        let folder = entry.path();
        match files::read_json::<Sandbox>(&folder.join(sandboxes::STATE))? {
            Some(mut sandbox) => {
                // Somebody may have taken its network namespace away.
                if sandbox.netns.as_ref().is_some_and(|file| !is_namespace(file)) {
                    sandbox.state = SandboxState::Stopped;
                }
                whole.push((folder, sandbox));
            }
            None => cut_off.push(folder),
        }
    }
    core.network.translate(whole.iter().map(|(_, s)| s).filter(|s| s.state == SandboxState::Ready)).await?;
    for (folder, sandbox) in whole {
        let entry = Entry { folder, sandbox: Mutex::new(sandbox.clone()) };
        core.sandboxes.lock().insert(sandbox.spec.id, Arc::new(entry));
    }
    for folder in cut_off {
        tracing::info!(folder = %folder.display(), "undoing a sandbox whose creation was cut off");
        core.unmake_sandbox(&folder).await.map_err(io::Error::other)?;
    }
    Ok(())
}

async fn recover_container(core: &Arc<Core>, folder: std::path::PathBuf, meta: Meta) -> io::Result<()> {
    let at = folder.clone();
    let state = super::blocking(move || state_of(&at)).await?;
    let runs = matches!(state, ContainerState::Running { .. });
    let container = Arc::new(Container { folder, state: watch::channel(state).0, meta });
    core.containers.lock().insert(container.meta.id.clone(), Arc::clone(&container));
    if runs {
        core.watch(container);
    }
    Ok(())
}

/// The state that a container's files tell.
pub(super) fn state_of(folder: &Path) -> io::Result<ContainerState> {
    let deadline = Instant::now() + STARTING;
    loop {
        if let Some(state) = stored(folder) {
            return Ok(state);
        }
        if let Some(running) = files::read_json::<Running>(&folder.join(paths::RUNNING))? {
            return Ok(ContainerState::Running { pid: running.pid, started_at: running.started_at });
        }
        let attempted = folder.join(paths::ATTEMPTED).exists();
        let at_work = matches!(
            files::try_lock(&folder.join(paths::LOCK)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock
        );
        match (attempted, at_work) {
            (false, false) => return Ok(ContainerState::Created),
            // Its monitor died on the way; whatever it had started is cleared away with the container.
            (true, false) => {
                // It may have come to its end between the two looks.
                if let Some(state) = stored(folder) {
                    return Ok(state);
                }
                let state = super::watch::unknown();
                files::write_json(&folder.join(paths::EXIT), &state, false)?;
                return Ok(state);
            }
            (_, true) if Instant::now() > deadline => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "a monitor hangs in its start"));
            }
            (_, true) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn is_namespace(file: &Path) -> bool {
    const NSFS_MAGIC: FsType = FsType(0x6e73_6673);
    statfs(file).is_ok_and(|s| s.filesystem_type() == NSFS_MAGIC)
}
