//! The command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cox_objects::At;
use ipnet::Ipv4Net;

mod backup;
mod bench;
mod integrator;
mod past;
mod retention;

pub use backup::{Backup, Restore, Verify};
pub use bench::{Bench, Operation};
pub use integrator::{Integrator, IntegratorAction, NewIntegrator};
pub use past::{Form, Get, History};
pub use retention::Past;

use crate::since;

/// Coxswain: a container orchestrator that speaks the Kubernetes API. Every change is an event in one log, every component an actor on one bus.
#[derive(Parser)]
#[command(name = "cox", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `cox` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Start a cluster on this machine, in the foreground; Ctrl-C stops it and leaves its pods running.
    Up(Up),
    /// Stop the pods of a cluster on this machine and remove what its node and proxy made.
    Down(Down),
    /// Run some components as a process of their own, beside a cluster's bus.
    Component(Component),
    /// Make a cluster's keys and credentials for a nats-server of your own, and print what belongs into its configuration.
    Credentials(Credentials),
    /// Look after the node's images.
    Image(Image),
    /// Show the events of the cluster's log.
    Events(Events),
    /// Show objects as they are, or as they were at a revision or a time.
    Get(Get),
    /// Show what happened to an object, to those of a kind, or to all: who, when, why, and with --diff what.
    Log(History),
    /// Show the supervision trees, the head revision and how far each mirror is.
    Status(Status),
    /// Show what the process of a component measures, in Prometheus' text format.
    Metrics(Metrics),
    /// Let outside programs follow the cluster's events over NATS.
    Integrator(Integrator),
    /// Copy a cluster, running or not, into a new folder: its log and its keys.
    Backup(Backup),
    /// Read the whole log of a stopped cluster, or of a backup, and check that nothing in it is damaged.
    Verify(Verify),
    /// Make a cluster from a backup, as it was then or at an earlier revision or time.
    Restore(Restore),
    /// Measure a cluster's API: create, get, update, list and watch, in a namespace of its own; and how it places and runs many pods.
    Bench(Bench),
}

/// The components that can run as a process of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The only writer of the log; keeps it in the data directory.
    Apiserver,
    /// The REST API.
    Gateway,
    /// Decides where pods run.
    Scheduler,
    /// Bring the cluster to what its objects say.
    Controllers,
    /// Runs a node's pods.
    Kubelet,
    /// Carries a node's Services.
    Proxy,
    /// Tells each node what concerns it.
    Feeds,
}

impl Part {
    /// Whether it reads the mirror of its process. The apiserver reads the log, a node its feed.
    pub fn reads_mirror(self) -> bool {
        matches!(self, Part::Gateway | Part::Scheduler | Part::Controllers | Part::Feeds)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Apiserver => "apiserver",
            Part::Gateway => "gateway",
            Part::Scheduler => "scheduler",
            Part::Controllers => "controllers",
            Part::Kubelet => "kubelet",
            Part::Proxy => "proxy",
            Part::Feeds => "feeds",
        })
    }
}

/// Where the cluster keeps its state.
const DATA_DIR: &str = "/var/lib/cox";

/// Options of `cox up`.
#[derive(Args, Clone)]
pub struct Up {
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:6443")]
    pub listen: SocketAddr,
    /// Use this NATS server instead of one of our own; the credentials of each component are expected in DIR/bus/creds.
    #[arg(long, value_name = "URL")]
    pub nats_url: Option<String>,
    /// The nats-server program; found on PATH if not given.
    #[arg(long, value_name = "FILE", env = "COX_NATS_SERVER")]
    pub nats_server: Option<PathBuf>,
    /// Run no node on this machine: no pods, no proxy; then root is not needed.
    #[arg(long)]
    pub no_node: bool,
    /// Join this many hollow nodes, hollow-1 and up: real kubelets in this process whose pods run nowhere. For trying out large clusters.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=5000))]
    pub hollow_nodes: u16,
    /// Go on, in a new epoch, with a log that has lost events which others have seen: its disk went back in time.
    #[arg(long)]
    pub accept_loss: bool,
    /// Leave a component out, to run it elsewhere with `cox component`; may be given many times.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub without: Vec<Part>,
    /// What of the past is kept.
    #[command(flatten)]
    pub past: Past,
    /// This machine as a node.
    #[command(flatten)]
    pub machine: Machine,
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

impl Up {
    /// The components that run in this process.
    pub fn parts(&self) -> Vec<Part> {
        let node = |part: &Part| matches!(part, Part::Kubelet | Part::Proxy);
        let all = Part::value_variants().iter().copied();
        all.filter(|part| !(self.without.contains(part) || self.no_node && node(part))).collect()
    }
}

/// Options of where a cluster is: its networks, and this machine's name in it.
#[derive(Args, Clone)]
pub struct Place {
    /// The node's name; this machine's host name if not given.
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Addresses of the node's pods.
    #[arg(long, value_name = "CIDR", default_value = "10.244.0.0/24")]
    pub pod_cidr: Ipv4Net,
    /// Addresses of Services.
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/16")]
    pub service_cidr: Ipv4Net,
}

/// Options of this machine as a node.
#[derive(Args, Clone)]
pub struct Machine {
    /// Its name and networks.
    #[command(flatten)]
    pub place: Place,
    /// The OCI runtime: auto, crun, runc, or a program with their command line.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub runtime: String,
    /// Where the logs of containers go.
    #[arg(long, value_name = "DIR", default_value = "/var/log/pods")]
    pub log_dir: PathBuf,
    /// Connect pods by the CNI plugins bridge and host-local (in $CNI_PATH, /usr/lib/cni, /opt/cni/bin) instead of by cox itself.
    #[arg(long)]
    pub cni: bool,
    /// How long a call of the OCI runtime, a CNI plugin or nft may take before it is killed, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub runtime_timeout: u64,
}

/// Options of what the process tells of itself.
#[derive(Args, Clone)]
pub struct Telemetry {
    /// What is logged, to standard error: a level, or directives as `cox_kubelet=debug,warn`.
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "COX_LOG")]
    pub log: String,
    /// Log as JSON, a line each.
    #[arg(long)]
    pub log_json: bool,
    /// Send OpenTelemetry spans to this OTLP/HTTP endpoint (http://127.0.0.1:4318/v1/traces).
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")]
    pub otlp: Option<String>,
}

/// Options of `cox down`.
#[derive(Args)]
pub struct Down {
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// Options of `cox component`.
#[derive(Args)]
pub struct Component {
    /// Which components.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<Part>,
    /// The cluster's NATS server.
    #[arg(long, value_name = "URL")]
    pub nats_url: String,
    /// The component's credentials, or a folder with one file for each identity (DIR/bus/creds of the cluster).
    #[arg(long, value_name = "FILE")]
    pub creds: PathBuf,
    /// Where the apiserver keeps the log, gateway and controllers find the cluster's keys, and a node keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Where the gateway listens; an apiserver makes the `kubernetes` Service lead to this port.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:6443")]
    pub listen: SocketAddr,
    /// Go on, in a new epoch, with a log that has lost events which others have seen: its disk went back in time.
    #[arg(long)]
    pub accept_loss: bool,
    /// What of the past is kept.
    #[command(flatten)]
    pub past: Past,
    /// This machine as a node.
    #[command(flatten)]
    pub machine: Machine,
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// Options of `cox credentials`.
#[derive(Args)]
pub struct Credentials {
    /// Where your NATS server is, or will be.
    #[arg(long, value_name = "URL")]
    pub nats_url: String,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
    /// This machine's name and networks.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `cox image`.
#[derive(Args)]
pub struct Image {
    /// What to do.
    #[command(subcommand)]
    pub action: ImageAction,
    /// Where the cluster keeps its state.
    #[arg(long, global = true, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// What `cox image` can do.
#[derive(Subcommand)]
pub enum ImageAction {
    /// Take in the images of an OCI or docker archive.
    Load {
        /// The archive (tar, plain, gzip or zstd), or a folder in the OCI layout.
        file: PathBuf,
    },
    /// List the images of this node.
    List,
}

/// Options of `cox events`.
#[derive(Args)]
pub struct Events {
    /// Go on with what happens.
    #[arg(short, long)]
    pub follow: bool,
    /// Only what came after: a revision (1234; 0 for all that is kept), a time (2026-01-31T12:00:00Z), or how long ago (90s, 10m, 1h30m,
    /// 2d); without it, the last 100 events, or from now on with -f.
    #[arg(long, value_name = "REV|TIME", value_parser = since::parse)]
    pub since: Option<At>,
    /// Print each event as a line of JSON, the object included.
    #[arg(long)]
    pub json: bool,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// Options of `cox status`.
#[derive(Args)]
pub struct Status {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// Options of `cox metrics`.
#[derive(Args)]
pub struct Metrics {
    /// The component, as `cox status` names it; in `cox up` all are in one process, so that each shows the whole.
    #[arg(value_name = "COMPONENT", default_value = "apiserver")]
    pub component: String,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn components_are_named_as_they_are_shown() {
        for part in Part::value_variants() {
            assert_eq!(Part::from_str(&part.to_string(), false), Ok(*part));
        }
        let cli = Cli::try_parse_from(["cox", "up", "--without", "scheduler,kubelet", "--without", "proxy"]).unwrap();
        let Command::Up(up) = cli.command else { panic!("not up") };
        assert_eq!(up.without, [Part::Scheduler, Part::Kubelet, Part::Proxy]);
        assert_eq!(up.parts(), [Part::Apiserver, Part::Gateway, Part::Controllers, Part::Feeds]);
        assert!(Cli::try_parse_from(["cox", "component", "nobody", "--nats-url", "x", "--creds", "y"]).is_err());
    }
}
