//! Containers as the port shows them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::sandbox::SandboxId;

/// A container's id: 64 hex digits, which follow from (sandbox, name, attempt).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a container shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The sandbox it lives in; must be ready.
    pub sandbox: SandboxId,
    /// Shares the processes of this running container of the sandbox: to look at it from inside.
    #[serde(default)]
    pub target: Option<ContainerId>,
    /// Unique in the sandbox together with `attempt`.
    pub name: String,
    /// Counts the restarts of a name.
    pub attempt: u32,
    /// Opaque to the runtime.
    pub labels: BTreeMap<String, String>,
    /// The image by id (`sha256:…`) or by a name that the store knows.
    pub image: String,
    /// Replaces the image's entrypoint (and its cmd) when not empty.
    pub command: Vec<String>,
    /// Replaces the image's cmd when not empty.
    pub args: Vec<String>,
    /// Added to the image's environment; a repeated name wins.
    pub env: Vec<(String, String)>,
    /// Replaces the image's working directory.
    pub working_dir: Option<String>,
    /// Who runs it.
    pub user: UserSpec,
    /// What is mounted, in any order (the runtime mounts outer paths first).
    pub mounts: Vec<Mount>,
    /// Devices of the host, besides the usual ones (`null`, `zero`, `random`, …).
    pub devices: Vec<Device>,
    /// Privileges.
    pub security: Security,
    /// Bounds.
    pub resources: Resources,
    /// Standard streams.
    pub stdio: Stdio,
    /// The log file, relative to the sandbox's log directory, for example `web/0.log`.
    pub log_path: PathBuf,
    /// Replaces the image's stop signal, for example `SIGUSR1`.
    pub stop_signal: Option<String>,
}

/// Who runs the container. What is unset comes from the image, else root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSpec {
    /// User id; wins over the image's user.
    pub uid: Option<u32>,
    /// Group id. Without it: the group of the user in the image's `/etc/passwd`, else 0.
    pub gid: Option<u32>,
    /// More groups, besides those that the image's `/etc/group` lists for the user.
    pub supplemental_groups: Vec<u32>,
    /// Leave out the groups that the image's `/etc/group` lists for the user.
    pub strict_groups: bool,
}

/// Who runs the container, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary included, sorted.
    pub supplemental_groups: Vec<u32>,
}

/// A mount into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container; made if the image lacks it.
    pub target: PathBuf,
    /// What is mounted there.
    pub source: MountSource,
    /// Not writable.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A file or folder of the host; must exist.
    Bind {
        /// Absolute path on the host.
        path: PathBuf,
        /// How later mounts travel.
        propagation: Propagation,
        /// A read-only mount makes mounts below it read-only too (Linux 5.12 and newer).
        recursive_read_only: bool,
    },
    /// The files of an image. What the container changes there is this container's own, and goes with it.
    Image {
        /// Its id; it counts as in use as long as there is the container.
        id: String,
    },
    /// A new tmpfs of this container's own.
    Tmpfs {
        /// Bytes; the kernel's default (half of the memory) if none.
        size: Option<u64>,
        /// Permissions of its root.
        mode: u32,
    },
}

/// How mounts made later travel between host and container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// Not at all.
    #[default]
    Private,
    /// From the host into the container.
    HostToContainer,
    /// Both ways; the host's path must lie on a shared mount.
    Bidirectional,
}

/// A device of the host for the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host; must be a device node.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// Some of `rwm`.
    pub access: String,
}

/// Privileges of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// All capabilities, all devices, no seccomp, nothing masked, `/sys` and cgroups writable.
    pub privileged: bool,
    /// The image's file system cannot be written.
    pub read_only_rootfs: bool,
    /// Set-user-id programs gain nothing.
    pub no_new_privileges: bool,
    /// Changes to the default capabilities.
    pub capabilities: Capabilities,
    /// System call filter.
    pub seccomp: SeccompProfile,
    /// `/proc` without masked and read-only paths.
    pub unmasked_proc: bool,
    /// Replaces the default AppArmor profile name; ignored where AppArmor is off.
    pub apparmor_profile: Option<String>,
}

/// Changes to the default set. Names with or without `CAP_`, in any case; `ALL` is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Added after dropping.
    pub add: Vec<String>,
    /// Dropped.
    pub drop: Vec<String>,
}

/// System call filter of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeccompProfile {
    /// None.
    #[default]
    Unconfined,
    /// The runtime's own: what ordinary programs need.
    RuntimeDefault,
    /// A profile in OCI's JSON form, from the host.
    File(PathBuf),
}

/// Bounds on what a container or sandbox may use; none means unbounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Relative weight, 2 to 262144 (1024 per CPU is usual).
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU time per period.
    pub cpu_quota: Option<i64>,
    /// The period in microseconds; 100,000 if none.
    pub cpu_period: Option<u64>,
    /// Bytes of memory; beyond them the kernel kills.
    pub memory_limit: Option<i64>,
    /// Processes and threads.
    pub pids_limit: Option<i64>,
    /// CPUs, in the kernel's list form (`0-3,5`).
    pub cpuset_cpus: Option<String>,
    /// −1000 to 1000; where the machine does not permit it, the nearest that it does.
    pub oom_score_adj: Option<i32>,
    /// Cgroup v2 only: further files and their values, for example `memory.oom.group`.
    pub unified: BTreeMap<String, String>,
}

/// Standard streams of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stdio {
    /// A terminal; stdout and stderr are one.
    pub tty: bool,
    /// Standard input stays open for attach.
    pub stdin: bool,
    /// Standard input is closed when the first attached client leaves.
    pub stdin_once: bool,
}

/// Where a container is in its life: created → running → exited, or created → exited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Prepared; no process yet.
    Created,
    /// Its process runs.
    Running {
        /// Process id of its main process on the host.
        pid: i32,
        /// When it started (Unix nanoseconds).
        started_at: i64,
    },
    /// It has ended.
    Exited {
        /// 0 to 255; 128 + n when ended by signal n.
        exit_code: i32,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Why, where it is not simply its own end.
        reason: ExitReason,
        /// More for a person; empty if there is nothing to say.
        message: String,
        /// When it started (Unix nanoseconds); 0 if it never did.
        started_at: i64,
        /// When it ended (Unix nanoseconds).
        finished_at: i64,
    },
}

/// Why a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// Its main process ended, by itself or by a signal.
    Ended,
    /// The kernel killed one of its processes for memory.
    OomKilled,
    /// Its command could not be started.
    StartError,
    /// Whoever watched it died first; exit code 137 stands for "not known".
    Unknown,
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Its id.
    pub id: ContainerId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// Its name in the sandbox.
    pub name: String,
    /// Which start of the name it is.
    pub attempt: u32,
    /// As given.
    pub labels: BTreeMap<String, String>,
    /// The image's id.
    pub image_id: String,
    /// When it was created (Unix nanoseconds).
    pub created_at: i64,
    /// Where it is in its life.
    pub state: ContainerState,
}

/// All about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerStatus {
    /// As in a list.
    pub info: ContainerInfo,
    /// As it was asked for.
    pub spec: ContainerSpec,
    /// Who runs it, resolved with the image.
    pub user: User,
    /// The log file's absolute path.
    pub log_path: PathBuf,
}

/// What a container's cgroup counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerStats {
    /// When it was read (Unix nanoseconds).
    pub at: i64,
    /// CPU time used since it started, nanoseconds.
    pub cpu_usage: u64,
    /// Memory in use, bytes, page cache included.
    pub memory_usage: u64,
    /// Memory in use that cannot be dropped at once (usage less inactive page cache), bytes.
    pub memory_working_set: u64,
    /// Anonymous memory, bytes.
    pub memory_rss: u64,
    /// Page faults since it started.
    pub page_faults: u64,
    /// Page faults that needed the disk.
    pub major_page_faults: u64,
    /// Processes and threads.
    pub pids: u64,
}
