//! Sandboxes as the port shows them: what a group of containers shares.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::container::Resources;

/// A sandbox's id, chosen by the caller: 1 to 64 of `[A-Za-z0-9_.-]`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxId(pub String);

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a sandbox shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Unique for all time (a repeated create answers with what exists).
    pub id: SandboxId,
    /// Opaque to the runtime; given back by `sandbox` and `list_sandboxes`.
    pub labels: BTreeMap<String, String>,
    /// Host name inside; unused with the host's network (whose UTS namespace is then the host's as well).
    pub hostname: String,
    /// Which namespaces are the host's.
    pub host: HostNamespaces,
    /// Containers see each other's processes; process 1 is the sandbox's own, which reaps zombies.
    pub shared_pid: bool,
    /// Ports of the host that lead into the sandbox. Not with the host's network.
    pub ports: Vec<PortMapping>,
    /// Namespaced kernel parameters, dots in their names (`net.core.somaxconn`).
    pub sysctls: BTreeMap<String, String>,
    /// Cgroup below the runtime's own root, for example `burstable/pod<uid>`; made and removed with the sandbox.
    pub cgroup_parent: String,
    /// Bounds on all containers of the sandbox together.
    pub resources: Resources,
    /// Folder of the containers' log files; made (0755) if missing, never removed.
    pub log_directory: PathBuf,
}

/// The namespaces that a sandbox leaves as the host has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNamespaces {
    /// The host's network (and host name).
    pub network: bool,
    /// The host's process ids.
    pub pid: bool,
    /// The host's IPC.
    pub ipc: bool,
}

/// Transport protocol of a port mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the host that leads into the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Port on the host.
    pub host_port: u16,
    /// Port in the sandbox.
    pub container_port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// Only on this address of the host.
    pub host_ip: Option<IpAddr>,
}

/// Whether a sandbox can take containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxState {
    /// Its namespaces and network stand.
    Ready,
    /// Stopped, not yet removed.
    Stopped,
}

/// A sandbox that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// As it was asked for.
    pub spec: SandboxSpec,
    /// Whether it can take containers.
    pub state: SandboxState,
    /// When it was created (Unix nanoseconds).
    pub created_at: i64,
    /// Its addresses, the primary first; empty with the host's network and once stopped.
    pub addresses: Vec<IpAddr>,
    /// Its network namespace as a file; none with the host's network and once stopped.
    pub netns: Option<PathBuf>,
}

/// What a sandbox's cgroup counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SandboxStats {
    /// When it was read (Unix nanoseconds).
    pub at: i64,
    /// CPU time used since the cgroup was made, nanoseconds.
    pub cpu_usage: u64,
    /// Memory in use, bytes, page cache included.
    pub memory_usage: u64,
    /// Memory in use that cannot be dropped at once (usage less inactive page cache), bytes.
    pub memory_working_set: u64,
    /// Processes and threads.
    pub pids: u64,
}
