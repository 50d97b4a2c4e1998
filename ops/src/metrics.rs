//! `cox metrics`: what the process of a component measures, as `/metrics` shows it.

use std::time::Duration;

use anyhow::{Result, anyhow};
use cox_bus::Identity;
use tokio::time::Instant;

use crate::cli::Metrics;
use crate::control::METRICS;
use crate::{operator, output};

/// How long the component may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the text.
///
/// # Errors
/// One line that says what to do: no cluster, or the component does not run.
pub async fn run(options: Metrics) -> Result<()> {
    let identity = options
        .component
        .parse::<Identity>()
        .map_err(|_| anyhow!("there is no component {}; `cox status` lists them", options.component))?;
    let bus = operator::connect(&options.data_dir).await?;
    let subject = bus.subjects().ctl(&identity, METRICS);
    let text = bus.request_json::<_, String>(&subject, &(), Instant::now() + PATIENCE).await;
    output::print(
        &text.map_err(|error| anyhow!("{identity} does not answer; `cox status` lists the components: {error}"))?,
    )?;
    Ok(())
}
