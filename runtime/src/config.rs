//! What the OCI adapter is told when it is made.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// No program that we run takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Which OCI runtime to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// crun if it is installed, else runc.
    #[default]
    Auto,
    /// A program by name or path that has the OCI command line.
    Program(String),
}

/// What connects sandboxes to each other and to the world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkDriver {
    /// A bridge, a virtual cable and an address of our own.
    #[default]
    Builtin,
    /// The CNI plugins `bridge` and `host-local`.
    Cni,
}

/// Settings of the OCI adapter.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where images live.
    pub images_dir: PathBuf,
    /// Where sandboxes and containers live; wiped after a reboot.
    pub run_dir: PathBuf,
    /// The OCI runtime.
    pub runtime: RuntimeChoice,
    /// The program that calls [`crate::monitor::main`].
    pub monitor_exe: PathBuf,
    /// Its arguments before the monitor's own, for example `["monitor"]`.
    pub monitor_args: Vec<String>,
    /// Cgroup that holds all that is made here, for example `cox-1f0c`; carries the cluster's id.
    pub cgroup_root: String,
    /// The sandboxes' network.
    pub network: NetworkConfig,
    /// Log files are rotated beyond this size.
    pub max_log_bytes: u64,
    /// Log files kept for a container, the current one included.
    pub max_log_files: usize,
    /// How long each program that we run (the OCI runtime, a CNI plugin, nft) may take before it is killed.
    pub patience: Duration,
}

impl Config {
    /// The usual settings for node state under `node_dir` (`images` and `run` in it), with this program as its
    /// own monitor (`monitor_args` is `["monitor"]`).
    ///
    /// # Errors
    /// The path of this program cannot be told.
    pub fn new(node_dir: &Path, cgroup_root: &str, network: NetworkConfig) -> std::io::Result<Self> {
        Ok(Self {
            images_dir: node_dir.join("images"),
            run_dir: node_dir.join("run"),
            runtime: RuntimeChoice::Auto,
            monitor_exe: std::env::current_exe()?,
            monitor_args: vec!["monitor".to_owned()],
            cgroup_root: cgroup_root.to_owned(),
            network,
            max_log_bytes: 10 << 20,
            max_log_files: 5,
            patience: PATIENCE,
        })
    }
}

/// The sandboxes' network: one bridge with a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// The bridge's name, at most 15 bytes; carries the cluster's id.
    pub bridge: String,
    /// Addresses of this node's sandboxes.
    pub subnet: Ipv4Net,
    /// Addresses that are reached without translation (the whole cluster's sandboxes); usually wider than `subnet`.
    pub cluster_subnet: Ipv4Net,
    /// Largest packet; the kernel's default if none.
    pub mtu: Option<u32>,
    /// What connects them.
    pub driver: NetworkDriver,
    /// Folders with CNI plugins, searched in this order, for [`NetworkDriver::Cni`].
    pub plugin_dirs: Vec<PathBuf>,
}

impl NetworkConfig {
    /// A bridge for `subnet` within `cluster_subnet`, with the usual plugin folders (`CNI_PATH` comes first).
    #[must_use]
    pub fn new(bridge: &str, subnet: Ipv4Net, cluster_subnet: Ipv4Net) -> Self {
        let mut plugin_dirs: Vec<PathBuf> =
            std::env::var_os("CNI_PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
        plugin_dirs.extend(["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"].map(PathBuf::from));
        Self {
            bridge: bridge.to_owned(),
            subnet,
            cluster_subnet,
            mtu: None,
            driver: NetworkDriver::default(),
            plugin_dirs,
        }
    }

    /// The bridge's own address: the first of the subnet.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.subnet.hosts().next().unwrap_or(self.subnet.addr())
    }
}
