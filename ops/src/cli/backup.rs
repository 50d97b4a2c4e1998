//! Options of `cox backup`, `cox verify` and `cox restore`.

use std::path::PathBuf;

use clap::Args;
use cox_objects::At;

use super::DATA_DIR;

/// Options of `cox backup`.
#[derive(Args)]
pub struct Backup {
    /// Where the backup goes: a folder that is empty or not there. It holds the cluster's keys, so keep it as safe as the cluster.
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// Options of `cox verify`.
#[derive(Args)]
pub struct Verify {
    /// A backup; the data directory if not given.
    #[arg(value_name = "DIR")]
    pub backup: Option<PathBuf>,
    /// Where the cluster keeps its state; it must not run.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// Options of `cox restore`.
#[derive(Args)]
pub struct Restore {
    /// The backup.
    #[arg(value_name = "DIR")]
    pub backup: PathBuf,
    /// As it was at this revision or time (2027-01-31T08:00:00Z), or as it was so long ago (90m, 1h, 2d); as it was when the backup was made if not given.
    #[arg(long, value_name = "REV|TIME")]
    pub to: Option<At>,
    /// Where the new cluster keeps its state: a folder that is empty or not there.
    #[arg(long, value_name = "NEW", env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}
