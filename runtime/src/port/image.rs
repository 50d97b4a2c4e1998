//! Images as the port shows them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An image that is present and unpacked: a container can start from it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:<digest of its configuration>`.
    pub id: String,
    /// Normalized names with tag (`docker.io/library/busybox:1`), sorted.
    pub repo_tags: Vec<String>,
    /// Normalized names with the manifest's digest (`host/repo@sha256:…`), sorted; empty for a loaded image.
    pub repo_digests: Vec<String>,
    /// Bytes of its manifest's content as transported (layers compressed as they came, and configuration).
    pub size: u64,
    /// When it came into the store, or a container was last made from it (Unix nanoseconds).
    pub last_used: i64,
    /// What it says about the processes started from it.
    pub config: ImageConfig,
}

/// The part of an image's configuration that matters to whoever runs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Prefix of the command line.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the whole command line if there is no entrypoint.
    pub cmd: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// Working directory; empty means `/`.
    pub working_dir: String,
    /// `user`, `uid`, `user:group`, … ; empty means root.
    pub user: String,
    /// The signal that stops it, for example `SIGQUIT`; none means TERM.
    pub stop_signal: Option<String>,
    /// `80/tcp` and the like.
    pub exposed_ports: Vec<String>,
    /// Paths that the image declares as volumes.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Credentials for a registry. Not printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryAuth {
    /// User name and password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: String,
    },
    /// A bearer token sent to the registry itself.
    Bearer(String),
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => f.debug_struct("Basic").field("username", username).finish_non_exhaustive(),
            Self::Bearer(_) => f.write_str("Bearer(…)"),
        }
    }
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsUsage {
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes that an unprivileged process could still write.
    pub available: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes free.
    pub inodes_free: u64,
}
