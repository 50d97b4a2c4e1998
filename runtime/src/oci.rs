//! The port on an OCI runtime (crun, runc, …), CNI plugins, overlayfs and cgroups of this machine.
//!
//! # Flow
//! What exists is in files under `run_dir`; the maps here are a projection of them, read when the runtime is
//! opened. Each operation works on one sandbox or container at a time, under that one's lock, in a task that
//! runs to its end even when its caller has gone.
//!
//! # Guarantees
//! - `sandbox.json` and `container.json` are written when all else of their folder stands: a folder without it
//!   is the remains of a creation that was cut off, and is undone when the runtime is opened.
//! - A monitor holds its container's lock: nothing is started twice, not even by two programs.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use nix::fcntl::Flock;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod attach;
mod bundle;
mod capabilities;
mod command;
mod containers;
mod devices;
mod exec;
mod image_mounts;
mod lifecycle;
mod namespaces;
mod network;
mod port;
mod program;
mod recovery;
mod sandboxes;
mod seccomp;
mod snapshot;
mod spawner;
mod table;
mod terminal;
mod user;
mod watch;

use crate::cgroup::Cgroups;
use crate::config::Config;
use crate::files;
use crate::images::ImageStore;
use crate::port::container::ContainerId;
use crate::port::error::{ImageError, SandboxError};
use crate::port::sandbox::SandboxId;
use crate::port::{Event, RuntimeInfo};
use command::OciCommand;
use containers::Container;
pub(crate) use containers::id_of as container_id;
use network::Network;
use sandboxes::Entry as SandboxEntry;
use spawner::Spawner;

/// Container events that a slow receiver may have before it loses the oldest.
const EVENTS: usize = 1024;

/// Why the runtime could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process: stop that one first", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// No OCI runtime, or one that does not answer.
    #[error("{0}")]
    Runtime(io::Error),
    /// The image store.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// The machine.
    #[error("{attempt}")]
    Io {
        /// What was attempted on what.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// The runtime of this machine. Dropping it leaves all that runs running.
#[derive(Debug)]
pub struct OciRuntime {
    core: Arc<Core>,
}

#[derive(Debug)]
pub(crate) struct Core {
    config: Config,
    command: OciCommand,
    cgroups: Cgroups,
    images: Arc<ImageStore>,
    network: Network,
    spawner: Spawner,
    sandboxes: Mutex<BTreeMap<SandboxId, Arc<SandboxEntry>>>,
    containers: Mutex<BTreeMap<ContainerId, Arc<Container>>>,
    /// One lock a sandbox or container, also while it is not there yet.
    locks: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    events: broadcast::Sender<Event>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// What this process may do on this machine, asked once.
    rights: Rights,
    _lock: Flock<File>,
}

/// What this process may give to containers.
#[derive(Debug, Clone, Copy)]
struct Rights {
    capabilities: u64,
    least_oom_score_adj: i32,
    apparmor: bool,
}

impl Rights {
    fn ask() -> Self {
        const CAP_SYS_RESOURCE: u32 = 24;
        let capabilities = capabilities::available();
        let own = fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|t| t.trim().parse().ok());
        Self {
            capabilities,
            least_oom_score_adj: if capabilities >> CAP_SYS_RESOURCE & 1 == 1 { -1000 } else { own.unwrap_or(0) },
            apparmor: fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|t| t.starts_with('Y')),
        }
    }
}

impl OciRuntime {
    /// Opens the runtime: finds the OCI runtime, and all that was made before under the same folder. After a
    /// reboot of the machine the remains are cleared away.
    ///
    /// # Errors
    /// See [`OpenError`]; the texts say what to install or do.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let io = |attempt: &str| {
            let attempt = attempt.to_owned();
            move |source| OpenError::Io { attempt, source }
        };
        let run = &config.run_dir;
        files::private_dir(run).map_err(io("make the folder of containers"))?;
        let lock = files::try_lock(&run.join("lock")).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { dir: run.clone() },
            _ => OpenError::Io { attempt: format!("lock {}", run.display()), source: e },
        })?;
        recovery::forget_before_reboot(run).map_err(io("clear away what was before the reboot"))?;
        for folder in ["sandboxes", "containers", "oci"] {
            files::private_dir(&run.join(folder)).map_err(io("make the folder of containers"))?;
        }
        let cgroups = Cgroups::detect().map_err(io("find the cgroup file systems"))?;
        let root = run.join("oci");
        let command = OciCommand::find(&config.runtime, &root, cgroups.is_hybrid(), config.patience).await;
        let command = command.map_err(OpenError::Runtime)?;
        let network = Network::new(config.network.clone(), run, config.patience);
        if let Some(missing) = network.missing() {
            return Err(OpenError::Runtime(io::Error::new(io::ErrorKind::NotFound, missing)));
        }
        let spawner = Spawner::new(&config);
        spawner.prepare().map_err(io("start the process that monitors containers"))?;
        let core = Arc::new(Core {
            images: Arc::new(ImageStore::open(&config.images_dir)?),
            command,
            cgroups,
            network,
            spawner,
            sandboxes: Mutex::default(),
            containers: Mutex::default(),
            locks: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            rights: Rights::ask(),
            config,
            _lock: lock,
        });
        recovery::recover(&core).await.map_err(io("find what was made before"))?;
        Ok(Self { core })
    }

    /// The image store, for what needs no containers.
    #[must_use]
    pub fn images(&self) -> &Arc<ImageStore> {
        &self.core.images
    }

    /// Waits until every operation under way has ended. Containers go on.
    pub async fn close(self) {
        self.core.stop.cancel();
        self.core.tasks.close();
        self.core.tasks.wait().await;
        self.core.spawner.end().await;
    }
}

impl Drop for OciRuntime {
    fn drop(&mut self) {
        // The watchers end; operations under way go on to their ends.
        self.core.stop.cancel();
    }
}

impl Core {
    fn info(&self) -> &RuntimeInfo {
        &self.command.info
    }

    /// Waits until nothing else works on this key.
    async fn lock(&self, key: String) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.locks.lock().entry(key).or_default());
        lock.lock_owned().await
    }

    /// Forgets the lock of what is no more.
    fn unlock_for_good(&self, key: &str, guard: OwnedMutexGuard<()>) {
        let mut locks = self.locks.lock();
        // Ours and the map's: nobody waits for it.
        if locks.get(key).is_some_and(|lock| Arc::strong_count(lock) <= 2) {
            locks.remove(key);
        }
        drop(guard);
    }

    fn sandbox_folder(&self, id: &SandboxId) -> PathBuf {
        self.config.run_dir.join("sandboxes").join(&id.0)
    }

    fn container_folder(&self, id: &ContainerId) -> PathBuf {
        self.config.run_dir.join("containers").join(&id.0)
    }

    /// The cgroup of all that a sandbox has.
    fn sandbox_cgroup(&self, parent: &str) -> String {
        format!("/{}/{}", self.config.cgroup_root.trim_matches('/'), parent.trim_matches('/'))
    }

    fn monitors_cgroup(&self) -> String {
        format!("/{}/monitors", self.config.cgroup_root.trim_matches('/'))
    }
}

/// Runs work that blocks on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}

/// An io error of a step of a sandbox's way.
fn sandbox_io(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> SandboxError {
    let attempt = attempt.into();
    move |source| SandboxError::Io { attempt, source }
}
