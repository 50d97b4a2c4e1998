//! Sandboxes' networks: they are connected by the node's own bridge or by CNI plugins, and its nftables table translates.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::blocking;
use super::command::in_path;
use super::program;
use super::table::{self, Forwards};
use crate::config::{NetworkConfig, NetworkDriver};
use crate::port::error::SandboxError;
use crate::port::sandbox::{PortMapping, Sandbox, SandboxId};
use crate::sys;
use addresses::Addresses;

mod addresses;
mod bridge;
mod cni;

/// The interface's name inside a sandbox.
const INTERFACE: &str = "eth0";

/// How one sandbox is connected: written before it is, so that it can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attachment {
    pub(super) container: String,
    pub(super) netns: PathBuf,
    /// What connects it. Attachments from before there was a choice were the plugins'.
    #[serde(default = "plugins")]
    pub(super) driver: NetworkDriver,
}

fn plugins() -> NetworkDriver {
    NetworkDriver::Cni
}

/// The node's network.
#[derive(Debug)]
pub(super) struct Network {
    config: NetworkConfig,
    /// Where the addresses in use are noted.
    folder: PathBuf,
    addresses: Addresses,
    /// How long a program may take.
    patience: Duration,
    /// What the table is made from: each change writes the whole anew.
    forwards: Mutex<Forwards>,
}

impl Network {
    pub(super) fn new(config: NetworkConfig, run_dir: &Path, patience: Duration) -> Self {
        let folder = run_dir.join("addresses");
        let addresses = Addresses::new(folder.join(&config.bridge), config.subnet, config.gateway());
        Self { config, folder, addresses, patience, forwards: Mutex::default() }
    }

    /// What is missing on this machine, if anything.
    pub(super) fn missing(&self) -> Option<String> {
        match self.config.driver {
            NetworkDriver::Builtin => None,
            NetworkDriver::Cni => cni::missing(&self.config),
        }
    }

    /// How a sandbox is to be connected.
    pub(super) fn attachment(&self, id: &SandboxId, netns: &Path) -> Attachment {
        Attachment { container: id.0.clone(), netns: netns.to_owned(), driver: self.config.driver }
    }

    /// Connects a sandbox, leads ports of the host to it, and gives its addresses. After a failure everything is undone by
    /// [`Self::remove`].
    pub(super) async fn add(
        &self,
        attachment: &Attachment,
        ports: &[PortMapping],
    ) -> Result<Vec<IpAddr>, SandboxError> {
        let addresses = match attachment.driver {
            NetworkDriver::Cni => cni::add(&self.config, &self.folder, attachment, self.patience).await?,
            NetworkDriver::Builtin => {
                let address =
                    self.addresses.take(&attachment.container, INTERFACE).map_err(io_error("find an address"))?;
                self.lay_cable(attachment, address).await.map_err(io_error("connect it to the bridge"))?;
                vec![address.into()]
            }
        };
        if let (Some(address), false) = (primary(&addresses), ports.is_empty()) {
            let io = io_error("lead ports of the host to it");
            self.lead(attachment, address, ports).await.map_err(io)?;
        }
        Ok(addresses)
    }

    async fn lay_cable(&self, attachment: &Attachment, address: Ipv4Addr) -> io::Result<()> {
        let (config, attachment) = (self.config.clone(), attachment.clone());
        let (done, result) = tokio::sync::oneshot::channel();
        // A thread that ends with it: it goes into the sandbox's namespace.
        std::thread::Builder::new().name("connect".to_owned()).spawn(move || {
            // Nobody waits any more when the runtime is going down: what was made is undone when it is opened again.
            let _ = done.send(bridge::connect(&config, &attachment.container, &attachment.netns, address));
        })?;
        result.await.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }

    async fn lead(&self, attachment: &Attachment, address: Ipv4Addr, ports: &[PortMapping]) -> io::Result<()> {
        self.route_loopback()?;
        let mut forwards = self.forwards.lock().await;
        forwards.insert(attachment.container.clone(), (address, ports.to_vec()));
        self.nft(&table::replacement(&self.config, &forwards)).await
    }

    /// Takes ports of the host from a sandbox. Fine if it has none.
    pub(super) async fn close_ports(&self, id: &SandboxId) -> Result<(), SandboxError> {
        let mut forwards = self.forwards.lock().await;
        if forwards.remove(&id.0).is_some() {
            let table = table::replacement(&self.config, &forwards);
            self.nft(&table).await.map_err(io_error("take the host's ports from it"))?;
        }
        Ok(())
    }

    /// Disconnects a sandbox. Fine if it is not connected, or half.
    pub(super) async fn remove(&self, attachment: &Attachment) -> Result<(), SandboxError> {
        self.close_ports(&SandboxId(attachment.container.clone())).await?;
        match attachment.driver {
            NetworkDriver::Cni => cni::remove(&self.config, &self.folder, attachment, self.patience).await,
            NetworkDriver::Builtin => {
                let (bridge, sandbox) = (self.config.bridge.clone(), attachment.container.clone());
                // The kernel waits for what may still look at the interface: not on one of our threads.
                blocking(move || bridge::disconnect(&bridge, &sandbox))
                    .await
                    .map_err(io_error("take its cable away"))?;
                self.addresses.release(&attachment.container).map_err(io_error("let go of its address"))
            }
        }
    }

    /// Connections of the host to its own loopback address are led over the bridge as well.
    fn route_loopback(&self) -> io::Result<()> {
        let file = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.config.bridge);
        fs::write(&file, "1").map_err(|e| io::Error::new(e.kind(), format!("{file}: {e}")))
    }

    /// Makes the table (again), with the ports of the sandboxes that are there already.
    pub(super) async fn translate<'a>(&self, sandboxes: impl IntoIterator<Item = &'a Sandbox>) -> io::Result<()> {
        let mut forwards = self.forwards.lock().await;
        *forwards = sandboxes
            .into_iter()
            .filter(|s| !s.spec.ports.is_empty())
            .filter_map(|s| Some((s.spec.id.0.clone(), (primary(&s.addresses)?, s.spec.ports.clone()))))
            .collect();
        self.nft(&table::replacement(&self.config, &forwards)).await
    }

    async fn nft(&self, rules: &str) -> io::Result<()> {
        let program =
            in_path("nft").ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nft not found: install nftables"))?;
        let output = program::run(Command::new(program).args(["-f", "-"]), rules.as_bytes(), self.patience).await;
        let output = output.map_err(|e| io::Error::new(e.kind(), format!("nft: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("nft: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// Removes the bridge and the translation. Fine if they are not there.
    pub(super) async fn down(&self) -> io::Result<()> {
        self.nft(&table::removal(&self.config)).await?;
        if Path::new("/sys/class/net").join(&self.config.bridge).exists() {
            sys::set_interface_up(&self.config.bridge, false)?;
            sys::delete_bridge(&self.config.bridge)?;
        }
        Ok(())
    }
}

fn failed(plugin: &str, command: &'static str, reason: String) -> SandboxError {
    SandboxError::Network { plugin: plugin.to_owned(), command, reason }
}

/// The address that ports of the host lead to.
fn primary(addresses: &[IpAddr]) -> Option<Ipv4Addr> {
    addresses.iter().find_map(|address| match address {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None,
    })
}

/// An io error of a step of a sandbox's way into the network.
fn io_error(attempt: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Io { attempt: attempt.to_owned(), source }
}
