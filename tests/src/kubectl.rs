//! The real kubectl, run against a cluster.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::Cluster;

/// How long one call may take, in seconds.
const PATIENCE: &str = "60";

/// What a call printed.
#[derive(Debug)]
pub struct Output {
    /// Whether it succeeded.
    pub success: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// kubectl with a cluster's kubeconfig.
pub struct Kubectl {
    /// The administrator's.
    pub kubeconfig: PathBuf,
    /// Where kubectl keeps what it remembers of an API, which belongs to one cluster.
    pub cache: PathBuf,
}

impl Kubectl {
    /// A call that is not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let kubectl = std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into());
        let mut command = Command::new("timeout");
        command.args(["-k", "5", PATIENCE]).arg(kubectl).args(arguments);
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", &self.cache);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls it, with `input` on its standard input.
    ///
    /// # Errors
    /// If it cannot be run; what it answers is in the output.
    pub fn attempt(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().context("kubectl cannot be started")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        // It may have ended without reading: that is seen in what it says.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output()?;
        Ok(Output {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Calls it, which must succeed, and gives what it prints.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.attempt(arguments, input)?;
        if !output.success {
            bail!("kubectl {}: {}{}", arguments.join(" "), output.out, output.err);
        }
        Ok(output.out)
    }
}

impl Cluster {
    fn tool(&self) -> Kubectl {
        Kubectl { kubeconfig: self.kubeconfig(), cache: self.scratch().join("kube-cache") }
    }

    /// A call of kubectl that is not started yet.
    pub fn kubectl_command(&self, arguments: &[&str]) -> Command {
        self.tool().command(arguments)
    }

    /// Calls kubectl, with `input` on its standard input.
    ///
    /// # Errors
    /// If it cannot be run; what it answers is in the output.
    pub fn try_kubectl(&self, arguments: &[&str], input: &str) -> Result<Output> {
        self.tool().attempt(arguments, input)
    }

    /// Calls kubectl, which must succeed, and gives what it prints.
    ///
    /// # Errors
    /// If it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "")
    }

    /// As [`Cluster::kubectl`], with `input` on its standard input.
    ///
    /// # Errors
    /// If it fails.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.tool().run(arguments, input)
    }
}
