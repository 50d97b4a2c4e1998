//! Connects sandboxes through CNI's `bridge` and `host-local` plugins (CNI specification 0.4.0).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Attachment, INTERFACE, failed};
use crate::config::NetworkConfig;
use crate::oci::program;
use crate::port::error::SandboxError;

/// The plugin that is called; it calls the one for addresses itself.
const PLUGIN: &str = "bridge";

/// What is missing on this machine, if anything.
pub(super) fn missing(config: &NetworkConfig) -> Option<String> {
    let missing: Vec<&str> = [PLUGIN, "host-local"].into_iter().filter(|name| plugin(config, name).is_none()).collect();
    let folders: Vec<_> = config.plugin_dirs.iter().map(|d| d.display().to_string()).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "CNI plugins {} not found in {}: install containernetworking-plugins",
            missing.join(" and "),
            folders.join(", ")
        )
    })
}

fn plugin(config: &NetworkConfig, name: &str) -> Option<PathBuf> {
    config.plugin_dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn configuration(config: &NetworkConfig, addresses: &Path) -> Value {
    let mut conf = json!({
        "cniVersion": "0.4.0",
        "name": config.bridge,
        "type": PLUGIN,
        "bridge": config.bridge,
        "isGateway": true,
        "isDefaultGateway": true,
        "hairpinMode": true,
        "ipMasq": false,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": config.subnet.to_string(), "gateway": config.gateway().to_string()}]],
            "dataDir": addresses,
        },
    });
    if let (Some(mtu), Some(conf)) = (config.mtu, conf.as_object_mut()) {
        conf.insert("mtu".to_owned(), json!(mtu));
    }
    conf
}

/// Connects a sandbox and gives its addresses.
///
/// # Errors
/// What the plugin said, or that it said nothing in time.
pub(super) async fn add(
    config: &NetworkConfig,
    addresses: &Path,
    attachment: &Attachment,
    patience: Duration,
) -> Result<Vec<IpAddr>, SandboxError> {
    let result = call("ADD", config, addresses, attachment, patience).await?;
    parse_addresses(&result).map_err(|reason| failed(PLUGIN, "ADD", reason))
}

/// Disconnects a sandbox. Fine if it is not connected, or half.
///
/// # Errors
/// As [`add`].
pub(super) async fn remove(
    config: &NetworkConfig,
    addresses: &Path,
    attachment: &Attachment,
    patience: Duration,
) -> Result<(), SandboxError> {
    call("DEL", config, addresses, attachment, patience).await.map(drop)
}

async fn call(
    verb: &'static str,
    config: &NetworkConfig,
    addresses: &Path,
    attachment: &Attachment,
    patience: Duration,
) -> Result<Value, SandboxError> {
    let failed = |reason: String| failed(PLUGIN, verb, reason);
    let plugin = plugin(config, PLUGIN).ok_or_else(|| failed("the plugin is not installed".to_owned()))?;
    let path = std::env::join_paths(&config.plugin_dirs).map_err(|e| failed(e.to_string()))?;
    let mut command = Command::new(&plugin);
    command
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", &attachment.container)
        .env("CNI_NETNS", if attachment.netns.exists() { attachment.netns.as_os_str() } else { "".as_ref() })
        .env("CNI_IFNAME", INTERFACE)
        .env("CNI_PATH", &path);
    let configuration = configuration(config, addresses).to_string();
    let output = program::run(&mut command, configuration.as_bytes(), patience).await;
    let output = output.map_err(|e| failed(format!("{}: {e}", plugin.display())))?;
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

/// The addresses of a CNI result (spec, "Success"), in its order.
fn parse_addresses(result: &Value) -> Result<Vec<IpAddr>, String> {
    let ips = result.get("ips").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let parsed: Option<Vec<IpAddr>> =
        ips.iter().map(|ip| ip.get("address")?.as_str()?.split('/').next()?.parse().ok()).collect();
    parsed.filter(|ips| !ips.is_empty()).ok_or_else(|| format!("no addresses in its result: {result}"))
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
