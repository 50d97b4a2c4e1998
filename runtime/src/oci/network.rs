//! Sandboxes' networks: CNI plugins connect them, the node's own nftables table translates.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::command::in_path;
use super::table::{self, Forwards};
use crate::config::NetworkConfig;
use crate::port::error::SandboxError;
use crate::port::sandbox::{PortMapping, Sandbox, SandboxId};
use crate::sys;

/// The interface's name inside a sandbox.
const INTERFACE: &str = "eth0";

/// What was asked of the plugins for one sandbox: written before they are called, so that it can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attachment {
    pub(super) container: String,
    pub(super) netns: PathBuf,
}

/// The node's network.
#[derive(Debug)]
pub(super) struct Network {
    config: NetworkConfig,
    /// Where the addresses in use are noted.
    addresses: PathBuf,
    /// What the table is made from: each change writes the whole anew.
    forwards: Mutex<Forwards>,
}

impl Network {
    pub(super) fn new(config: NetworkConfig, run_dir: &Path) -> Self {
        Self { config, addresses: run_dir.join("addresses"), forwards: Mutex::default() }
    }

    /// What is missing on this machine, if anything.
    pub(super) fn missing(&self) -> Option<String> {
        let missing: Vec<&str> =
            ["bridge", "host-local"].into_iter().filter(|plugin| self.plugin(plugin).is_none()).collect();
        let folders: Vec<_> = self.config.plugin_dirs.iter().map(|d| d.display().to_string()).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "CNI plugins {} not found in {}: install containernetworking-plugins",
                missing.join(" and "),
                folders.join(", ")
            )
        })
    }

    fn plugin(&self, name: &str) -> Option<PathBuf> {
        self.config.plugin_dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file())
    }

    /// Connects a sandbox, leads ports of the host to it, and gives its addresses. After a failure everything is undone by
    /// [`Self::remove`].
    pub(super) async fn add(
        &self,
        attachment: &Attachment,
        ports: &[PortMapping],
    ) -> Result<Vec<IpAddr>, SandboxError> {
        let result = self.call("ADD", attachment, &self.bridge()).await?;
        let addresses = parse_addresses(&result).map_err(|reason| failed("bridge", "ADD", reason))?;
        if let (Some(address), false) = (primary(&addresses), ports.is_empty()) {
            let io = |e: io::Error| SandboxError::Io { attempt: "lead ports of the host to it".to_owned(), source: e };
            self.route_loopback().map_err(io)?;
            let mut forwards = self.forwards.lock().await;
            forwards.insert(attachment.container.clone(), (address, ports.to_vec()));
            nft(&table::replacement(&self.config, &forwards)).await.map_err(io)?;
        }
        Ok(addresses)
    }

    /// Disconnects a sandbox. Fine if it is not connected, or half.
    pub(super) async fn remove(&self, attachment: &Attachment) -> Result<(), SandboxError> {
        {
            let mut forwards = self.forwards.lock().await;
            if forwards.remove(&attachment.container).is_some() {
                nft(&table::replacement(&self.config, &forwards)).await.map_err(|source| SandboxError::Io {
                    attempt: "take the host's ports from it".to_owned(),
                    source,
                })?;
            }
        }
        self.call("DEL", attachment, &self.bridge()).await.map(drop)
    }

    fn bridge(&self) -> Value {
        let c = &self.config;
        let mut conf = json!({
            "cniVersion": "0.4.0",
            "name": c.bridge,
            "type": "bridge",
            "bridge": c.bridge,
            "isGateway": true,
            "isDefaultGateway": true,
            "hairpinMode": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": c.subnet.to_string(), "gateway": c.gateway().to_string()}]],
                "dataDir": self.addresses,
            },
        });
        if let (Some(mtu), Some(conf)) = (c.mtu, conf.as_object_mut()) {
            conf.insert("mtu".to_owned(), json!(mtu));
        }
        conf
    }

    async fn call(&self, verb: &'static str, attachment: &Attachment, conf: &Value) -> Result<Value, SandboxError> {
        let name = conf.get("type").and_then(Value::as_str).unwrap_or_default();
        let failed = |reason: String| failed(name, verb, reason);
        let program = self.plugin(name).ok_or_else(|| failed("the plugin is not installed".to_owned()))?;
        let path = std::env::join_paths(&self.config.plugin_dirs).map_err(|e| failed(e.to_string()))?;
        let run = async {
            let mut child = Command::new(&program)
                .env("CNI_COMMAND", verb)
                .env("CNI_CONTAINERID", &attachment.container)
                .env("CNI_NETNS", if attachment.netns.exists() { attachment.netns.as_os_str() } else { "".as_ref() })
                .env("CNI_IFNAME", INTERFACE)
                .env("CNI_PATH", &path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(conf.to_string().as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let output = run.await.map_err(|e: io::Error| failed(format!("{}: {e}", program.display())))?;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        if output.status.success() {
            return Ok(answer);
        }
        let said = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut reason = format!("{} {}", said("msg"), said("details")).trim().to_owned();
        if reason.is_empty() {
            reason = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Err(failed(reason))
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
        nft(&table::replacement(&self.config, &forwards)).await
    }

    /// Removes the bridge and the translation. Fine if they are not there.
    pub(super) async fn down(&self) -> io::Result<()> {
        nft(&table::removal(&self.config)).await?;
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

/// The addresses of a CNI result (spec, "Success"), in its order.
fn parse_addresses(result: &Value) -> Result<Vec<IpAddr>, String> {
    let ips = result.get("ips").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let parsed: Option<Vec<IpAddr>> =
        ips.iter().map(|ip| ip.get("address")?.as_str()?.split('/').next()?.parse().ok()).collect();
    parsed.filter(|ips| !ips.is_empty()).ok_or_else(|| format!("no addresses in its result: {result}"))
}

async fn nft(rules: &str) -> io::Result<()> {
    let program =
        in_path("nft").ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nft not found: install nftables"))?;
    let mut child = Command::new(program)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(rules.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("nft: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// The attachment of a sandbox.
pub(super) fn attachment(id: &SandboxId, netns: &Path) -> Attachment {
    Attachment { container: id.0.clone(), netns: netns.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_order() {
        let result = json!({"ips": [{"version": "4", "address": "10.1.0.2/24"}, {"address": "fd00::2/64"}]});
        assert_eq!(
            parse_addresses(&result).unwrap(),
            ["10.1.0.2".parse::<IpAddr>().unwrap(), "fd00::2".parse().unwrap()]
        );
        assert!(parse_addresses(&json!({})).is_err());
        assert!(parse_addresses(&json!({"ips": [{"address": "nonsense"}]})).is_err());
    }
}
