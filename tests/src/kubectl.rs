//! The real kubectl, run against a cluster.

use std::io::Write;
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

impl Cluster {
    /// A call of kubectl that is not started yet.
    pub fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let kubectl = std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into());
        let mut command = Command::new("timeout");
        command.args(["-k", "5", PATIENCE]).arg(kubectl).args(arguments);
        // What kubectl remembers of an API belongs to one cluster.
        command.env("KUBECONFIG", self.kubeconfig()).env("KUBECACHEDIR", self.scratch().join("kube-cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls kubectl, with `input` on its standard input.
    ///
    /// # Errors
    /// If it cannot be run; what it answers is in the output.
    pub fn try_kubectl(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = self.kubectl_command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().context("kubectl cannot be started")?;
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
        let output = self.try_kubectl(arguments, input)?;
        if !output.success {
            bail!("kubectl {}: {}{}", arguments.join(" "), output.out, output.err);
        }
        Ok(output.out)
    }
}
