//! Options of `cox get` and `cox log`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cox_objects::At;

use super::DATA_DIR;
use crate::since;

/// Options of `cox get`.
#[derive(Args)]
pub struct Get {
    /// What: a kind as kubectl takes it (pods, pod, po, deployments.apps), or KIND/NAME.
    pub kind: String,
    /// Which one; all, if not given.
    pub name: Option<String>,
    /// In which namespace.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// In all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "name"])]
    pub all_namespaces: bool,
    /// As it was then: a revision (1234), a time (2026-01-31T12:00:00Z), or how long ago (90s, 10m, 1h30m, 2d). Now, if not given.
    #[arg(long, value_name = "REV|TIME")]
    pub at: Option<At>,
    /// In which form; a table, if not given.
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Form>,
    /// The kubeconfig of the cluster; the one in the data directory, if not given.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// The forms of `cox get` that are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// YAML that `kubectl apply -f -` takes.
    Yaml,
    /// The same as JSON.
    Json,
    /// KIND/NAME, a line each.
    Name,
}

/// Options of `cox log`.
#[derive(Args)]
pub struct History {
    /// Of what: a kind as kubectl takes it (deployments, deploy), or KIND/NAME; of everything, the last 100, if not given.
    #[arg(value_name = "KIND[/NAME]")]
    pub what: Option<String>,
    /// In which namespace; if not given, `default` for a kind that has namespaces, and all without a kind.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// In all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Only what came after: a revision (1234; 0 for all that is kept), a time (2026-01-31T12:00:00Z), or how long ago (90s, 10m, 1h30m, 2d).
    #[arg(long, value_name = "REV|TIME", value_parser = since::parse)]
    pub since: Option<At>,
    /// Show what each change changed, field by field.
    #[arg(long)]
    pub diff: bool,
    /// Print each event as a line of JSON, the object included.
    #[arg(long)]
    pub json: bool,
    /// Print what Secrets hold; the operator's credentials in the data directory may read them.
    #[arg(long)]
    pub show_secrets: bool,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}
