//! What was measured is printed: for people as soon as there is something, as JSON when all is there.

use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::json;

use super::growth::Grown;
use super::report::{Measured, NodeMemory, Report};
use crate::output;

/// For whom, and what all figures have in common.
pub(super) struct Printer<'a> {
    pub(super) server: &'a str,
    pub(super) version: &'a str,
    pub(super) json: bool,
    pub(super) colours: bool,
    /// Steps aside while something is printed.
    pub(super) progress: &'a ProgressBar,
}

impl Printer<'_> {
    /// All figures, of one size.
    ///
    /// # Errors
    /// As [`output::print`].
    pub(super) fn report(&self, results: &[Measured], node: Option<&NodeMemory>) -> Result<()> {
        let report = self.of(results, node);
        match self.json {
            true => self.print(&(serde_json::to_string_pretty(&report)? + "\n")),
            false => self.print(&report.table(self.colours)),
        }
    }

    /// A size has been measured.
    ///
    /// # Errors
    /// As [`output::print`].
    pub(super) fn size(&self, size: &Grown) -> Result<()> {
        match self.json {
            true => Ok(()),
            false => self.print(&format!("{size}{}\n", self.of(&size.results, None).table(self.colours))),
        }
    }

    /// All sizes have been.
    ///
    /// # Errors
    /// As [`output::print`].
    pub(super) fn sizes(&self, sizes: &[Grown]) -> Result<()> {
        let report = json!({"server": self.server, "version": self.version, "sizes": sizes});
        match self.json {
            true => self.print(&(serde_json::to_string_pretty(&report)? + "\n")),
            false => Ok(()),
        }
    }

    fn of<'a>(&'a self, results: &'a [Measured], node: Option<&'a NodeMemory>) -> Report<'a> {
        Report { server: self.server, version: self.version, results, node }
    }

    fn print(&self, text: &str) -> Result<()> {
        self.progress.suspend(|| output::print(text))
    }
}
