//! Sandboxes: made, stopped, removed; each step has one that undoes it and may be repeated.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::process::Command;

use super::network::Attachment;
use super::snapshot::unmount;
use super::{Core, blocking, namespaces, sandbox_io};
use crate::monitor::pause::{self, PauseProcess, PauseSpec};
use crate::monitor::report::start_ticks;
use crate::port::error::SandboxError;
use crate::port::sandbox::{Sandbox, SandboxId, SandboxSpec, SandboxState, SandboxStats};
use crate::{clock, files};

/// The sandbox, written last.
pub(super) const STATE: &str = "sandbox.json";
/// What the network plugins were asked, written before they are.
const ATTACHMENT: &str = "network.json";
/// The cgroup's name, written before it is made.
const CGROUP: &str = "cgroup.json";
/// A sandbox's shared memory, as container runtimes agree.
const SHM: &str = "mode=1777,size=65536k";

/// How long until it is tried again to clear away what could not be.
const CLEAR_AWAY: Duration = Duration::from_secs(2);

/// A sandbox that exists.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) folder: PathBuf,
    pub(super) sandbox: Mutex<Sandbox>,
}

pub(super) fn key(id: &SandboxId) -> String {
    format!("sandbox/{id}")
}

fn is_id(id: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric();
    id.len() <= 64
        && id.bytes().next().is_some_and(word)
        && id.bytes().all(|b| word(b) || matches!(b, b'_' | b'.' | b'-'))
}

fn check(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let invalid = |field, reason: &str| Err(SandboxError::Invalid { field, reason: reason.to_owned() });
    let parent = Path::new(spec.cgroup_parent.trim_matches('/'));
    if !is_id(&spec.id.0) {
        return invalid("id", "1 to 64 letters, digits, '_', '.' and '-', beginning with a letter or digit");
    }
    if spec.cgroup_parent.trim_matches('/').is_empty()
        || !parent.components().all(|c| matches!(c, std::path::Component::Normal(_)))
    {
        return invalid("cgroup_parent", "a relative path without '..' is needed");
    }
    if spec.host.network && !spec.ports.is_empty() {
        return invalid("ports", "ports cannot be mapped with the host's network");
    }
    for name in spec.sysctls.keys() {
        let of_network = name.starts_with("net.");
        let of_ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].iter().any(|p| name.starts_with(p));
        if name.contains('/') || !(of_network || of_ipc) {
            return invalid("sysctls", &format!("{name} is not a parameter of a namespace"));
        }
        if of_network && spec.host.network || of_ipc && spec.host.ipc {
            return invalid("sysctls", &format!("{name} would be the host's"));
        }
    }
    Ok(())
}

impl Core {
    pub(super) fn sandbox(&self, id: &SandboxId) -> Option<Arc<Entry>> {
        self.sandboxes.lock().get(id).cloned()
    }

    pub(super) async fn create_sandbox(self: Arc<Self>, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        check(&spec)?;
        let _work = self.lock(key(&spec.id)).await;
        if let Some(entry) = self.sandbox(&spec.id) {
            return Ok(entry.sandbox.lock().clone());
        }
        let folder = self.sandbox_folder(&spec.id);
        let made = match self.make_sandbox(&folder, spec.clone()).await {
            Ok(sandbox) => sandbox,
            Err(e) => {
                if let Err(left) = self.unmake_sandbox(&folder).await {
                    tracing::warn!(sandbox = %spec.id, error = %left, "a failed sandbox could not be cleared away");
                    self.clear_away(spec.id);
                }
                return Err(e);
            }
        };
        let entry = Arc::new(Entry { folder, sandbox: Mutex::new(made.clone()) });
        self.sandboxes.lock().insert(spec.id, entry);
        Ok(made)
    }

    /// Goes on undoing a sandbox that was not made whole, until it works, or another attempt has made it.
    fn clear_away(self: &Arc<Self>, id: SandboxId) {
        let (core, stop) = (Arc::downgrade(self), self.stop.clone());
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(CLEAR_AWAY) => {}
                }
                let Some(core) = core.upgrade() else { return };
                let _work = core.lock(key(&id)).await;
                if core.sandbox(&id).is_some() {
                    return;
                }
                match core.unmake_sandbox(&core.sandbox_folder(&id)).await {
                    Ok(()) => return,
                    Err(left) => tracing::warn!(sandbox = %id, error = %left, "it still could not be cleared away"),
                }
            }
        });
    }

    async fn make_sandbox(&self, folder: &Path, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        let (at, asked) = (folder.to_owned(), spec.clone());
        blocking(move || {
            files::private_dir(&at)?;
            std::fs::create_dir_all(&asked.log_directory)?;
            let shm = at.join("shm");
            std::fs::create_dir_all(&shm)?;
            if !asked.host.ipc {
                let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
                mount(Some("shm"), &shm, Some("tmpfs"), flags, Some(SHM))?;
            }
            namespaces::create(&at, &asked)
        })
        .await
        .map_err(sandbox_io("make the namespaces"))?;

        let netns = (!spec.host.network).then(|| folder.join("ns/net"));
        let connect = async {
            let Some(netns) = &netns else { return Ok(Vec::new()) };
            let attachment = self.network.attachment(&spec.id, netns);
            files::write_json(&folder.join(ATTACHMENT), &attachment, false).map_err(sandbox_io("note the network"))?;
            self.network.add(&attachment, &spec.ports).await
        };
        let bound = async {
            let (cgroups, path) = (self.cgroups.clone(), self.sandbox_cgroup(&spec.cgroup_parent));
            let (resources, note) = (spec.resources.clone(), folder.join(CGROUP));
            let work = move || {
                files::write_json(&note, &path, false)?;
                cgroups.create(&path, &resources)
            };
            blocking(work).await.map_err(sandbox_io("make the cgroup"))
        };
        let process =
            async { if spec.shared_pid && !spec.host.pid { self.start_pause(folder, &spec).await } else { Ok(()) } };
        let (addresses, (), ()) = tokio::try_join!(connect, bound, process)?;

        let sandbox = Sandbox { spec, state: SandboxState::Ready, created_at: clock::now(), addresses, netns };
        files::write_json(&folder.join(STATE), &sandbox, false).map_err(sandbox_io("write its state"))?;
        Ok(sandbox)
    }

    async fn start_pause(&self, folder: &Path, spec: &SandboxSpec) -> Result<(), SandboxError> {
        let namespaces = namespaces::own_kinds(spec)
            .into_iter()
            .map(|(_, file, flag)| (folder.join("ns").join(file), flag.bits()))
            .collect();
        let pause = PauseSpec { namespaces, cgroup: self.monitors_cgroup() };
        let run = async {
            files::write_json(&folder.join(pause::SPEC), &pause, false)?;
            let output = Command::new(&self.config.monitor_exe)
                .args(&self.config.monitor_args)
                .arg("pause")
                .arg(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?
                .wait_with_output();
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it did not start in time");
            let output = tokio::time::timeout(self.config.patience, output).await.map_err(late)??;
            if !output.status.success() {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
            }
            let process: PauseProcess = files::read_json(&folder.join(pause::PROCESS))?
                .ok_or_else(|| io::Error::other("the process did not say who it is"))?;
            let namespace = PathBuf::from(format!("/proc/{}/ns/pid", process.pid));
            namespaces::hold(&namespace, &folder.join("ns/pid"))
        };
        run.await.map_err(sandbox_io("start process 1 of the sandbox"))
    }

    /// Ends what runs in a sandbox and takes down its network; its name stays.
    pub(super) async fn stop_sandbox(self: Arc<Self>, id: SandboxId) -> Result<(), SandboxError> {
        let _work = self.lock(key(&id)).await;
        let Some(entry) = self.sandbox(&id) else { return Ok(()) };
        self.stop_sandbox_locked(&entry).await
    }

    async fn stop_sandbox_locked(self: &Arc<Self>, entry: &Entry) -> Result<(), SandboxError> {
        let mut stopped = entry.sandbox.lock().clone();
        let ends = self.containers_of(&stopped.spec.id).into_iter().map(|c| {
            let core = Arc::clone(self);
            async move { core.stop_container(c.meta.id.clone(), Duration::ZERO).await }
        });
        futures::future::try_join_all(ends).await.map_err(Box::new)?;
        self.disconnect(&entry.folder).await?;
        stopped.state = SandboxState::Stopped;
        stopped.addresses.clear();
        stopped.netns = None;
        files::write_json(&entry.folder.join(STATE), &stopped, false).map_err(sandbox_io("write its state"))?;
        *entry.sandbox.lock() = stopped;
        Ok(())
    }

    /// Undoes network, namespaces and process 1. Fine if some are not there.
    async fn disconnect(&self, folder: &Path) -> Result<(), SandboxError> {
        let attachment: Option<Attachment> =
            files::read_json(&folder.join(ATTACHMENT)).map_err(sandbox_io("read the network's note"))?;
        if let Some(attachment) = attachment {
            self.network.remove(&attachment).await?;
            files::remove_file(&folder.join(ATTACHMENT)).map_err(sandbox_io("forget the network"))?;
        }
        let at = folder.to_owned();
        let work = move || {
            if let Some(process) = files::read_json::<PauseProcess>(&at.join(pause::PROCESS))?
                && start_ticks(process.pid) == Some(process.start_ticks)
            {
                // It may end in between; its namespaces' processes end with it.
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            files::remove_file(&at.join(pause::PROCESS))?;
            namespaces::release(&at)?;
            unmount(&at.join("shm"))
        };
        blocking(work).await.map_err(sandbox_io("let go of the namespaces"))
    }

    pub(super) async fn remove_sandbox(self: Arc<Self>, id: SandboxId) -> Result<(), SandboxError> {
        let work = self.lock(key(&id)).await;
        let Some(entry) = self.sandbox(&id) else { return Ok(()) };
        self.stop_sandbox_locked(&entry).await?;
        let removals = self.containers_of(&id).into_iter().map(|c| {
            let core = Arc::clone(&self);
            async move { core.remove_container(c.meta.id.clone()).await }
        });
        futures::future::try_join_all(removals).await.map_err(Box::new)?;
        self.unmake_sandbox(&entry.folder).await?;
        self.sandboxes.lock().remove(&id);
        self.unlock_for_good(&key(&id), work);
        Ok(())
    }

    /// Undoes all of a sandbox, however far it had come.
    pub(super) async fn unmake_sandbox(&self, folder: &Path) -> Result<(), SandboxError> {
        self.disconnect(folder).await?;
        let (at, cgroups) = (folder.to_owned(), self.cgroups.clone());
        let work = move || {
            if let Some(path) = files::read_json::<String>(&at.join(CGROUP))? {
                cgroups.kill_all(&path);
                cgroups.remove(&path)?;
            }
            // First what says that it is whole: what is left after a crash is undone when next opened.
            files::remove_file(&at.join(STATE))?;
            files::remove_tree(&at)
        };
        blocking(work).await.map_err(sandbox_io("remove its folder"))
    }

    pub(super) async fn sandbox_stats(&self, id: &SandboxId) -> Result<SandboxStats, SandboxError> {
        let entry = self.sandbox(id).ok_or_else(|| SandboxError::NotFound(id.clone()))?;
        let (cgroups, path) = (self.cgroups.clone(), self.sandbox_cgroup(&entry.sandbox.lock().spec.cgroup_parent));
        let s = blocking(move || cgroups.stats(&path)).await.map_err(sandbox_io("read its counters"))?;
        Ok(SandboxStats {
            at: s.at,
            cpu_usage: s.cpu_usage,
            memory_usage: s.memory_usage,
            memory_working_set: s.memory_working_set,
            pids: s.pids,
        })
    }
}
