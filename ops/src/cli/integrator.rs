//! Options of `cox integrator`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DATA_DIR;

/// Options of `cox integrator`.
#[derive(Args)]
pub struct Integrator {
    /// What to do.
    #[command(subcommand)]
    pub action: IntegratorAction,
    /// Where the cluster keeps its state.
    #[arg(long, global = true, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// What `cox integrator` can do.
#[derive(Subcommand)]
pub enum IntegratorAction {
    /// Make a durable consumer of the event stream and credentials for it; prints the credentials' file.
    Create(NewIntegrator),
    /// List the integrators: how far each one is, and what it missed.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End an integrator: its consumer and its credentials.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Options of `cox integrator create`.
#[derive(Args)]
pub struct NewIntegrator {
    /// Its name.
    pub name: String,
    /// Which events it gets: RESOURCE[.GROUP][/NAMESPACE[/NAME]], with * for any and _ as the namespace of cluster-scoped objects; may be given
    /// many times.
    #[arg(long = "filter", required = true, value_name = "FILTER", value_delimiter = ',')]
    pub filters: Vec<String>,
    /// As whom it reads: it ends when RBAC no longer lets this user list and watch those resources.
    #[arg(long = "as", required = true, value_name = "USER")]
    pub user: String,
    /// A group of that user; may be given many times.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Begin after this revision; from now on if not given.
    #[arg(long, value_name = "REV")]
    pub since: Option<u64>,
    /// How many messages may be delivered and not acknowledged: more are faster, but what is delivered again then comes late.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub in_flight: u32,
}
