//! The operator's connection to a running cluster: the bus, by the credentials in the cluster's folder.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use cox_bus::server::credentials_path;
use cox_bus::{Bus, Connect, ConnectError, Identity};

/// How long the connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to the bus of the cluster in this folder as [`Identity::Ops`].
///
/// # Errors
/// One line that says what to do: no cluster, or it does not run.
pub async fn connect(dir: &Path) -> Result<Bus> {
    let file = credentials_path(dir, &Identity::Ops);
    if let Err(error) = std::fs::metadata(&file) {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                bail!("{} cannot be read; run this as the user that runs the cluster", file.display())
            }
            _ => bail!(
                "there is no cluster in {}; give its folder with --data-dir, or start one with `cox up`",
                dir.display()
            ),
        }
    }
    let connecting = tokio::time::timeout(PATIENCE, Bus::connect(Connect::from_file(&file, None)?));
    let down = || anyhow!("the cluster in {0} is not running; start it with `cox up --data-dir {0}`", dir.display());
    match connecting.await {
        Err(_) | Ok(Err(ConnectError::Unreachable { .. })) => Err(down()),
        Ok(connected) => connected.with_context(|| format!("the credentials are those of {}", file.display())),
    }
}
