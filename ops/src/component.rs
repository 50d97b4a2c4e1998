//! `cox component`: some components as a process of their own.

use anyhow::{Result, bail};

use crate::cli::Component;

/// Runs components until told to stop.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Component) -> Result<()> {
    bail!("no component is named {:?}", options.names)
}
