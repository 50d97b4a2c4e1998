//! `cox events`: what the log says.

use anyhow::Result;

use crate::cli::Events;

/// Prints events.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Events) -> Result<()> {
    let _ = options;
    Ok(())
}
