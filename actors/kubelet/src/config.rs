//! What the kubelet is told, and the paths that follow from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::node::facts::Machine;
use crate::spec::sandbox::NodeDns;

/// The configuration of a node's kubelet.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub node_name: String,
    /// The node's addresses, the primary first.
    pub node_ips: Vec<String>,
    /// Addresses of this node's pods (`10.244.0.0/24`).
    pub pod_cidr: String,
    /// Where the node keeps its state: `DIR/node`.
    pub root: PathBuf,
    /// Where container logs go (`/var/log/pods`).
    pub log_root: PathBuf,
    /// Names and DNS.
    pub dns: NodeDns,
    /// The version that the node reports (`v1.36.2+cox.0.1.0`).
    pub version: String,
    /// How many pods the node takes.
    pub max_pods: u32,
    /// How long the container runtime may take for a request ([`REQUEST_TIMEOUT`]).
    pub request_timeout: Duration,
    /// The machine that a hollow node claims to be. Its pods run nowhere: what would be put on disk for them is worked out, and left at that.
    pub hollow: Option<Machine>,
}

/// What Kubernetes gives a runtime (`runtimeRequestTimeout`).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

impl Config {
    /// The folder of a pod.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// The folder of a volume; `plugin` tells volumes of different kinds apart.
    pub fn volume_dir(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.pod_dir(uid).join("volumes").join(plugin).join(name)
    }

    /// The folder of one start of a container.
    pub fn container_dir(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod_dir(uid).join("containers").join(container).join(attempt.to_string())
    }

    /// Where Localhost seccomp profiles lie.
    pub fn seccomp_root(&self) -> PathBuf {
        self.root.join("seccomp")
    }

    /// The pod folders.
    pub fn pods_root(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// The log folder of a pod.
    pub fn log_dir(&self, folder: &str) -> PathBuf {
        Path::new(&self.log_root).join(folder)
    }
}
