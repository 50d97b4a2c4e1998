//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Look after the node's images.
    Image(Image),
    /// Show the events of the cluster's log.
    Events(Events),
    /// Show the supervision trees, the head revision and how far each mirror is.
    Status(Status),
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
    /// The node's name; this machine's host name if not given.
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// The OCI runtime: auto, crun, runc, or a program with their command line.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub runtime: String,
    /// Addresses of the node's pods.
    #[arg(long, value_name = "CIDR", default_value = "10.244.0.0/24")]
    pub pod_cidr: String,
    /// Addresses of Services.
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/16")]
    pub service_cidr: String,
    /// Where the logs of containers go.
    #[arg(long, value_name = "DIR", default_value = "/var/log/pods")]
    pub log_dir: PathBuf,
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: Telemetry,
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
    /// Which: scheduler, controllers, gateway, kubelet, proxy.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// The cluster's NATS server.
    #[arg(long, value_name = "URL")]
    pub nats_url: String,
    /// The component's credentials, or a folder with one file for each identity (DIR/bus/creds of the cluster).
    #[arg(long, value_name = "FILE")]
    pub creds: PathBuf,
    /// Where a gateway finds the cluster's keys, and a node keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Where a gateway listens.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:6443")]
    pub listen: SocketAddr,
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: Telemetry,
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
    /// Begin after this revision; without it, the last 100 events, or from now on with -f.
    #[arg(long, value_name = "REV")]
    pub since: Option<u64>,
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
