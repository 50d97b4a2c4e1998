//! `cox verify`: reads a whole log and says what is in it, or what is wrong with it first.

use std::io::{IsTerminal, stderr};
use std::path::Path;

use anyhow::{Context, Result};
use cox_log::{Options, Report};
use cox_objects::Revision;
use indicatif::{ProgressBar, ProgressStyle};

use crate::backup::Manifest;
use crate::cli::Verify;
use crate::output;

/// Verifies the log of a stopped cluster, or of a backup.
///
/// # Errors
/// One line that names the first fault with its revision.
pub fn run(options: &Verify) -> Result<()> {
    let dir = options.backup.as_deref().unwrap_or(&options.data_dir);
    let at_least = Manifest::find(dir)?.map_or(0, |manifest| manifest.revision);
    let report = log(dir, at_least)?;
    output::line(&format!("{}: {}", dir.display(), summary(&report)))
}

/// Verifies the log in a folder, which must have this revision, and shows on a terminal how far it is.
///
/// # Errors
/// The first fault.
pub fn log(dir: &Path, at_least: Revision) -> Result<Report> {
    let bar = if stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} entries, {eta} left");
    bar.set_style(style.context("the template of the progress bar")?);
    bar.set_message("reading the log");
    let report = cox_log::verify(dir, &Options::default(), at_least, &mut |done, about| {
        bar.set_length(about);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(report?)
}

/// What is in a log that has no fault.
pub fn summary(report: &Report) -> String {
    let Report { epoch, oldest, head, dense_from, events, transactions, objects, outcomes, bytes } = report;
    let oldest = oldest.map_or_else(|| "no events".to_owned(), |oldest| format!("events from revision {oldest}"));
    format!(
        "sound at revision {head} of epoch {epoch}: {objects} objects, {events} events in {transactions} transactions ({}), \
         {outcomes} outcomes; {oldest}, without a gap from {dense_from}",
        output::bytes(*bytes)
    )
}
