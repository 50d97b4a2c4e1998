//! Runs nft, and sets what the kernel needs besides rules.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why rules are not in place.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// nft cannot be run.
    #[error("nft cannot be run; install nftables")]
    Run(#[source] io::Error),
    /// nft refused the transaction; nothing was changed.
    #[error("nft refused a transaction: {0}")]
    Refused(String),
    /// A kernel parameter cannot be set.
    #[error("{0} cannot be set")]
    Parameter(&'static str, #[source] io::Error),
}

/// Whether packets from one port of a bridge to another pass through the rules. Of the module `br_netfilter`, which nothing else may have
/// loaded yet.
const BRIDGE: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// What forwarding needs: packets are routed, those on one bridge pass through the rules, and translated ones may come from loopback.
const PARAMETERS: [(&str, &str); 3] =
    [("/proc/sys/net/ipv4/ip_forward", "1"), ("/proc/sys/net/ipv4/conf/all/route_localnet", "1"), (BRIDGE, "1")];

/// Sets the kernel's parameters. The bridge's own is absent where the module is and cannot be loaded: then same-bridge connections are not
/// translated back, and the log says so.
///
/// # Errors
/// If one that is there cannot be set.
pub async fn prepare_host() -> Result<(), NftError> {
    if !Path::new(BRIDGE).exists() {
        load_module("br_netfilter").await;
    }
    for (path, value) in PARAMETERS {
        match fs::read_to_string(path) {
            Ok(now) if now.trim() == value => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(
                    path,
                    "the kernel does not have this parameter; connections between pods of this node through a Service may fail"
                );
            }
            _ => fs::write(path, value).map_err(|error| NftError::Parameter(path, error))?,
        }
    }
    Ok(())
}

/// Asks for a module of the kernel. Whether that did anything shows in what the module brings.
async fn load_module(name: &str) {
    let loaded = Command::new("modprobe").arg(name).env("PATH", path()).stdin(Stdio::null()).output().await;
    match loaded {
        Ok(output) if output.status.success() => {}
        Ok(output) => tracing::warn!(name, said = %String::from_utf8_lossy(&output.stderr).trim(), "modprobe failed"),
        Err(error) => tracing::warn!(name, %error, "modprobe cannot be run"),
    }
}

/// Where programs are: those of the administrator are not in everyone's PATH.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

/// Applies a transaction.
///
/// # Errors
/// If nft is missing or refuses it.
pub async fn apply(transaction: &str) -> Result<(), NftError> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .env("PATH", path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(NftError::Run)?;
    if let Some(mut input) = child.stdin.take() {
        // nft that has ended early says why on its standard error.
        let _ = input.write_all(transaction.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(NftError::Run)?;
    if output.status.success() {
        return Ok(());
    }
    Err(NftError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
