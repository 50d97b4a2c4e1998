//! Containers: prepared and removed. How they run is in `lifecycle`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::bundle::{Inputs, build};
use super::image_mounts::{mount_images, unmount_images};
use super::snapshot::{mount_rootfs, unmount};
use super::user::{Accounts, resolve};
use super::{Core, blocking, devices, namespaces};
use crate::images::digest::sha256;
use crate::monitor::report::{MonitorSpec, paths};
use crate::port::container::{
    ContainerId, ContainerInfo, ContainerSpec, ContainerState, ContainerStatus, SeccompProfile, User,
};
use crate::port::error::ContainerError;
use crate::port::image::Image;
use crate::port::sandbox::{Sandbox, SandboxId, SandboxState};
use crate::{clock, files};

/// The container, written last.
pub(super) const STATE: &str = "container.json";
/// The OCI configuration.
pub(super) const CONFIG: &str = "config.json";

/// What does not change about a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) id: ContainerId,
    pub(super) spec: ContainerSpec,
    pub(super) image_id: String,
    pub(super) created_at: i64,
    pub(super) user: User,
    pub(super) log_path: PathBuf,
    pub(super) stop_signal: i32,
    pub(super) cgroup: String,
}

/// A container that exists.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) folder: PathBuf,
    pub(super) meta: Meta,
    pub(super) state: watch::Sender<ContainerState>,
}

impl Container {
    pub(super) fn info(&self) -> ContainerInfo {
        ContainerInfo {
            id: self.meta.id.clone(),
            sandbox: self.meta.spec.sandbox.clone(),
            name: self.meta.spec.name.clone(),
            attempt: self.meta.spec.attempt,
            labels: self.meta.spec.labels.clone(),
            image_id: self.meta.image_id.clone(),
            created_at: self.meta.created_at,
            state: self.state.borrow().clone(),
        }
    }

    pub(super) fn status(&self) -> ContainerStatus {
        ContainerStatus {
            info: self.info(),
            spec: self.meta.spec.clone(),
            user: self.meta.user.clone(),
            log_path: self.meta.log_path.clone(),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(*self.state.borrow(), ContainerState::Running { .. })
    }
}

/// The id of (sandbox, name, attempt).
pub(crate) fn id_of(spec: &ContainerSpec) -> ContainerId {
    ContainerId(sha256(format!("{}\n{}\n{}", spec.sandbox, spec.name, spec.attempt).as_bytes()))
}

pub(super) fn key(id: &ContainerId) -> String {
    format!("container/{id}")
}

pub(super) fn io_error(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> ContainerError {
    let attempt = attempt.into();
    move |source| ContainerError::Io { attempt, source }
}

impl Core {
    pub(super) fn container(&self, id: &ContainerId) -> Result<Arc<Container>, ContainerError> {
        self.containers.lock().get(id).cloned().ok_or_else(|| ContainerError::NotFound(id.clone()))
    }

    pub(super) fn containers_of(&self, sandbox: &SandboxId) -> Vec<Arc<Container>> {
        self.containers.lock().values().filter(|c| c.meta.spec.sandbox == *sandbox).cloned().collect()
    }

    pub(super) async fn create_container(self: Arc<Self>, spec: ContainerSpec) -> Result<ContainerId, ContainerError> {
        let id = id_of(&spec);
        // The sandbox's lock as well: it must not go away meanwhile. Sandbox before container, everywhere.
        let _sandbox = self.lock(super::sandboxes::key(&spec.sandbox)).await;
        let _work = self.lock(key(&id)).await;
        if self.container(&id).is_ok() {
            return Ok(id);
        }
        let sandbox = self.sandbox(&spec.sandbox).map(|entry| entry.sandbox.lock().clone());
        let sandbox = sandbox
            .filter(|s| s.state == SandboxState::Ready)
            .ok_or_else(|| ContainerError::NoSandbox(spec.sandbox.clone()))?;
        let image = self.images.resolve(&spec.image).ok().flatten();
        let image = image.ok_or_else(|| ContainerError::NoImage(spec.image.clone()))?;
        let folder = self.container_folder(&id);
        let (core, at, of) = (Arc::clone(&self), folder.clone(), id.clone());
        let made = tokio::task::spawn_blocking(move || {
            core.make_container(&at, of, spec, &sandbox, &image).inspect_err(|_| {
                if let Err(left) = core.unmake_container(&at, None) {
                    tracing::warn!(folder = %at.display(), error = %left, "a failed container could not be cleared away");
                }
            })
        });
        let meta = made.await.map_err(|e| io_error("prepare the container")(io::Error::other(e)))??;
        self.note_use(meta.image_id.clone());
        let container = Container { folder, meta, state: watch::channel(ContainerState::Created).0 };
        self.containers.lock().insert(id.clone(), Arc::new(container));
        Ok(id)
    }

    /// Notes that an image is in use. It goes to the disk, for which no container waits.
    fn note_use(self: &Arc<Self>, image: String) {
        let core = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            if let Err(e) = core.images.touch(&image) {
                tracing::warn!(image, error = %e, "the image's last use could not be noted");
            }
        });
    }

    fn make_container(
        &self,
        folder: &Path,
        id: ContainerId,
        spec: ContainerSpec,
        sandbox: &Sandbox,
        image: &Image,
    ) -> Result<Meta, ContainerError> {
        let invalid = |field, reason| ContainerError::Invalid { field, reason };
        let layers = self.images.layers(&image.id).ok().flatten();
        let layers = layers.ok_or_else(|| ContainerError::NoImage(spec.image.clone()))?;
        files::private_dir(folder).map_err(io_error("make its folder"))?;
        mount_rootfs(&layers, folder).map_err(io_error("mount its root file system"))?;

        let accounts = Accounts {
            passwd: read_within(&folder.join("rootfs"), "etc/passwd"),
            group: read_within(&folder.join("rootfs"), "etc/group"),
        };
        let (user, home) =
            resolve(&spec.user, &image.config.user, &accounts).map_err(|reason| invalid("user", reason))?;
        let signal_name = spec.stop_signal.as_deref().or(image.config.stop_signal.as_deref()).unwrap_or("SIGTERM");
        let stop_signal = parse_signal(signal_name)
            .ok_or_else(|| invalid("stop_signal", format!("unknown signal {signal_name:?}")))?;
        if !spec.log_path.components().all(|c| matches!(c, std::path::Component::Normal(_))) {
            return Err(invalid("log_path", "a path within the sandbox's log directory is needed".to_owned()));
        }
        let nodes = if spec.security.privileged { devices::all() } else { Vec::new() };
        let asked: Vec<_> =
            spec.devices.iter().map(devices::node).collect::<io::Result<_>>().map_err(io_error("look up a device"))?;
        let seccomp_file = match &spec.security.seccomp {
            SeccompProfile::File(path) => Some(
                files::read_json(path)
                    .and_then(|p| p.ok_or_else(|| io::ErrorKind::NotFound.into()))
                    .map_err(io_error(format!("read the seccomp profile {}", path.display())))?,
            ),
            _ => None,
        };
        let cgroup = format!("{}/{id}", self.sandbox_cgroup(&sandbox.spec.cgroup_parent));
        let sandbox_folder = self.sandbox_folder(&sandbox.spec.id);
        let shm = if sandbox.spec.host.ipc { PathBuf::from("/dev/shm") } else { sandbox_folder.join("shm") };
        let host_name;
        let hostname = if sandbox.spec.host.network {
            host_name = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
            &host_name
        } else {
            &sandbox.spec.hostname
        };
        let images = mount_images(&self.images, &spec, folder)?;
        let mut namespaces = namespaces::files(&sandbox_folder, &sandbox.spec);
        if let Some(target) = &spec.target {
            namespaces.insert("pid", self.processes_of(target, &spec.sandbox)?);
        }
        let config = build(&Inputs {
            spec: &spec,
            images: &images,
            image: &image.config,
            user: &user,
            home: &home,
            hostname,
            host: sandbox.spec.host,
            namespaces,
            shm: &shm,
            cgroup: &cgroup,
            unified_cgroups: matches!(self.cgroups, crate::cgroup::Cgroups::Unified { .. }),
            devices: nodes.into_iter().chain(asked).collect(),
            seccomp_file,
            capabilities: self.rights.capabilities,
            least_oom_score_adj: self.rights.least_oom_score_adj,
            apparmor: self.rights.apparmor,
        })
        .map_err(|(field, reason)| invalid(field, reason))?;

        let log_path = sandbox.spec.log_directory.join(&spec.log_path);
        let monitor = MonitorSpec {
            runtime: self.command.line.clone(),
            hide_unified: self.command.hide_unified,
            id: id.0.clone(),
            command: super::bundle::command_line(&spec, &image.config),
            log_path: log_path.clone(),
            max_log_bytes: self.config.max_log_bytes,
            max_log_files: self.config.max_log_files,
            tty: spec.stdio.tty,
            stdin: spec.stdio.stdin,
            stdin_once: spec.stdio.stdin_once,
            cgroup: cgroup.clone(),
            kill_rest: sandbox.spec.shared_pid || sandbox.spec.host.pid || spec.target.is_some(),
            monitor_cgroup: self.monitors_cgroup(),
            patience: self.config.patience,
        };
        let meta = Meta {
            id,
            spec,
            image_id: image.id.clone(),
            created_at: clock::now(),
            user,
            log_path,
            stop_signal,
            cgroup,
        };
        let written = files::write_json(&folder.join(CONFIG), &config, false)
            .and_then(|()| files::write_json(&folder.join(paths::SPEC), &monitor, false))
            .and_then(|()| files::write_json(&folder.join(STATE), &meta, false));
        written.map_err(io_error("write its configuration"))?;
        Ok(meta)
    }

    /// The process namespace of a running container of the sandbox.
    fn processes_of(&self, target: &ContainerId, sandbox: &SandboxId) -> Result<PathBuf, ContainerError> {
        let container = self.container(target)?;
        if container.meta.spec.sandbox != *sandbox {
            return Err(ContainerError::NotFound(target.clone()));
        }
        match *container.state.borrow() {
            ContainerState::Running { pid, .. } => Ok(PathBuf::from(format!("/proc/{pid}/ns/pid"))),
            _ => Err(ContainerError::NotRunning(target.clone())),
        }
    }

    /// Undoes all of a container, however far it had come; no process of it may run.
    pub(super) fn unmake_container(&self, folder: &Path, cgroup: Option<&str>) -> io::Result<()> {
        if let Some(cgroup) = cgroup {
            self.cgroups.kill_all(cgroup);
            self.cgroups.remove(cgroup)?;
        }
        unmount_images(folder)?;
        unmount(&folder.join("rootfs"))?;
        files::remove_file(&folder.join(STATE))?;
        files::remove_tree(folder)
    }

    pub(super) async fn remove_container(self: Arc<Self>, id: ContainerId) -> Result<(), ContainerError> {
        let work = self.lock(key(&id)).await;
        let Ok(container) = self.container(&id) else { return Ok(()) };
        if container.is_running() {
            self.kill(&container).await?;
        }
        self.wait_for_monitor(&container).await?;
        if self.config.run_dir.join("oci").join(&id.0).exists() {
            self.command.run(&["delete", "--force", &id.0]).await?;
        }
        let (core, of) = (Arc::clone(&self), Arc::clone(&container));
        blocking(move || core.unmake_container(&of.folder, Some(&of.meta.cgroup)))
            .await
            .map_err(io_error(format!("remove container {id}")))?;
        self.containers.lock().remove(&id);
        self.unlock_for_good(&key(&id), work);
        Ok(())
    }
}

/// A small file of the image, looked up within it; empty if there is none.
fn read_within(root: &Path, path: &str) -> String {
    let read = || -> io::Result<String> {
        let root = open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        let file: OwnedFd = openat2(&root, path, how)?;
        let at = format!("/proc/self/fd/{}", file.as_raw_fd());
        let m = std::fs::metadata(&at)?;
        // A pipe or a device in its place must not hold us up.
        if !m.is_file() || m.len() > 16 << 20 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        std::fs::read_to_string(at)
    };
    read().unwrap_or_default()
}

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
fn parse_signal(name: &str) -> Option<i32> {
    const RTMIN: i32 = 34;
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = short.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? };
        return (0..=30).contains(&offset).then_some(RTMIN + offset);
    }
    format!("SIG{short}").parse::<nix::sys::signal::Signal>().ok().map(|s| s as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (name, number) in
            [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMIN", 34), ("SIGQUIT", 3)]
        {
            assert_eq!(parse_signal(name), Some(number), "{name}");
        }
        for name in ["", "SIGNOPE", "0", "65", "RTMIN-1"] {
            assert_eq!(parse_signal(name), None, "{name}");
        }
    }
}
