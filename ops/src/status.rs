//! `cox status`: how the components do.

use anyhow::Result;

use crate::cli::Status;

/// Prints the trees.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Status) -> Result<()> {
    let _ = options;
    Ok(())
}
