//! Control groups of both kinds (v1 with one hierarchy a controller, v2 with one for all): made, bounded,
//! read, emptied, removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::port::container::{ContainerStats, Resources};

mod limits;
mod usage;

/// Where this machine's hierarchies are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// One hierarchy for everything.
    Unified {
        /// Its mount point.
        root: PathBuf,
    },
    /// A hierarchy for each controller.
    Legacy {
        /// Mount point by controller (`cpu`, `memory`, …, `systemd` for the named one).
        roots: BTreeMap<String, PathBuf>,
        /// A unified hierarchy without controllers besides them ("hybrid").
        unified: Option<PathBuf>,
    },
}

impl Cgroups {
    /// Reads the machine's mounts.
    ///
    /// # Errors
    /// `/proc` cannot be read, or there is no cgroup file system.
    pub(crate) fn detect() -> io::Result<Self> {
        Self::from_mountinfo(&fs::read_to_string("/proc/self/mountinfo")?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no cgroup file system is mounted"))
    }

    /// From the text of `/proc/self/mountinfo` (proc(5)).
    fn from_mountinfo(text: &str) -> Option<Self> {
        const FLAGS: [&str; 5] = ["rw", "ro", "xattr", "clone_children", "none"];
        let mut roots = BTreeMap::new();
        let mut unified = None;
        for line in text.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let (Some(point), mut right) = (left.split(' ').nth(4), right.split(' ')) else { continue };
            match right.next() {
                Some("cgroup2") => unified = unified.or(Some(PathBuf::from(point))),
                Some("cgroup") => {
                    let options = right.nth(1).unwrap_or_default();
                    for option in options.split(',').filter(|o| !FLAGS.contains(o)) {
                        let controller = option.strip_prefix("name=").unwrap_or(option);
                        roots.entry(controller.to_owned()).or_insert_with(|| PathBuf::from(point));
                    }
                }
                _ => {}
            }
        }
        match (roots.is_empty(), unified) {
            (true, None) => None,
            (true, Some(root)) => Some(Self::Unified { root }),
            (false, unified) => Some(Self::Legacy { roots, unified }),
        }
    }

    /// Whether crun needs the unified hierarchy hidden.
    pub(crate) fn is_hybrid(&self) -> bool {
        matches!(self, Self::Legacy { unified: Some(at), .. } if at.as_path() == Path::new("/sys/fs/cgroup/unified"))
    }

    /// The folders of one cgroup, one a hierarchy, each once.
    fn folders(&self, path: &str) -> Vec<PathBuf> {
        let path = path.trim_matches('/');
        match self {
            Self::Unified { root } => vec![root.join(path)],
            Self::Legacy { roots, unified } => {
                let mut folders: Vec<_> = roots.values().chain(unified).map(|root| root.join(path)).collect();
                folders.sort();
                folders.dedup();
                folders
            }
        }
    }

    /// The folder that has a controller's files.
    fn folder(&self, controller: &str, path: &str) -> Option<PathBuf> {
        let root = match self {
            Self::Unified { root } => root,
            Self::Legacy { roots, .. } => roots.get(controller)?,
        };
        Some(root.join(path.trim_matches('/')))
    }

    /// Makes a cgroup (with its parents, which on v2 pass their controllers down) and bounds it.
    ///
    /// # Errors
    /// The kernel's, naming the file.
    pub(crate) fn create(&self, path: &str, resources: &Resources) -> io::Result<()> {
        match self {
            Self::Unified { root } => {
                let mut at = root.clone();
                for part in path.trim_matches('/').split('/') {
                    pass_controllers_down(&at);
                    at.push(part);
                    make(&at)?;
                }
                pass_controllers_down(&at);
            }
            Self::Legacy { roots, .. } => {
                for controller in ["cpu", "cpuacct", "memory", "pids"] {
                    if let Some(root) = roots.get(controller) {
                        make_all(root, path)?;
                    }
                }
            }
        }
        limits::apply(self, path, resources)
    }

    /// Moves the calling process into a cgroup of its own, so that neither the end of its parent's service
    /// nor its parent's bounds touch it. Only the hierarchies that matter for that: each move costs.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn enter(&self, path: &str) -> io::Result<()> {
        let roots: Vec<&PathBuf> = match self {
            Self::Unified { root } => vec![root],
            Self::Legacy { roots, unified } => {
                ["memory", "pids", "systemd"].iter().filter_map(|c| roots.get(*c)).chain(unified).collect()
            }
        };
        for root in roots {
            make_all(root, path)?;
            fs::write(root.join(path.trim_matches('/')).join("cgroup.procs"), "0")?;
        }
        Ok(())
    }

    /// How many processes of the cgroup the kernel killed for memory.
    pub(crate) fn oom_kills(&self, path: &str) -> u64 {
        let file = if matches!(self, Self::Unified { .. }) { "memory.events" } else { "memory.oom_control" };
        let text = self.folder("memory", path).and_then(|f| fs::read_to_string(f.join(file)).ok());
        text.and_then(|t| usage::field(&t, "oom_kill")).unwrap_or(0)
    }

    /// Sends KILL to every process of the cgroup and of those below it. Fine if there is none.
    pub(crate) fn kill_all(&self, path: &str) {
        if let Self::Unified { root } = self
            && fs::write(root.join(path.trim_matches('/')).join("cgroup.kill"), "1").is_ok()
        {
            return;
        }
        let controller = if matches!(self, Self::Unified { .. }) { "" } else { "pids" };
        let Some(folder) = self.folder(controller, path).or_else(|| self.folder("memory", path)) else { return };
        // Processes may fork between the reading and the killing: go on until none is left, within reason.
        for _ in 0..64 {
            let pids = processes(&folder);
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                // It may have ended by itself since it was listed.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::yield_now();
        }
    }

    /// Removes a cgroup and those below it, which must hold no process. Fine if there is none.
    ///
    /// # Errors
    /// EBUSY while processes are in it.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        self.folders(path).iter().try_for_each(|folder| remove(folder))
    }

    /// What the cgroup counted; zeros where there is no such counter.
    ///
    /// # Errors
    /// `NotFound` when there is no such cgroup.
    pub(crate) fn stats(&self, path: &str) -> io::Result<ContainerStats> {
        usage::read(self, path)
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(io::Error::new(e.kind(), format!("make cgroup {}: {e}", folder.display())))
        }
        _ => Ok(()),
    }
}

fn make_all(root: &Path, path: &str) -> io::Result<()> {
    let mut at = root.to_owned();
    // A v1 cpuset without CPUs takes no process; what we bound by cpuset inherits.
    path.trim_matches('/').split('/').try_for_each(|part| {
        at.push(part);
        make(&at)
    })
}

/// Best effort by controller: a controller that this kernel lacks bounds nothing.
fn pass_controllers_down(folder: &Path) {
    let available = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn processes(folder: &Path) -> Vec<i32> {
    let mut pids: Vec<i32> = fs::read_to_string(folder.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|l| l.parse().ok())
        .filter(|pid| *pid > 0)
        .collect();
    for child in fs::read_dir(folder).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|t| t.is_dir()) {
            pids.extend(processes(&child.path()));
        }
    }
    pids
}

fn remove(folder: &Path) -> io::Result<()> {
    let Ok(children) = fs::read_dir(folder) else { return Ok(()) };
    for child in children.flatten() {
        if child.file_type().is_ok_and(|t| t.is_dir()) {
            remove(&child.path())?;
        }
    }
    // A process that was just killed leaves its cgroup a moment later.
    let mut attempts = 0;
    loop {
        match fs::remove_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy && attempts < 200 => {
                attempts += 1;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => {
                return other.map_err(|e| io::Error::new(e.kind(), format!("remove cgroup {}: {e}", folder.display())));
            }
        }
    }
}

#[cfg(test)]
mod tests;
