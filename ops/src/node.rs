//! The node of this machine: runtime, kubelet and proxy, and taking away what they made.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cox_bus::{Bus, Identity};
use cox_kit::supervise::worker;
use cox_kit::{Registry, Running, Scope};
use cox_kubelet::spec::sandbox::NodeDns;
use cox_mirror::{Limits, Mirror, feed};
use cox_proxy::ruleset::{Network as ProxyNetwork, removal};
use cox_runtime::{NetworkConfig, NetworkDriver, OciRuntime, Runtime, RuntimeChoice};
use ipnet::Ipv4Net;

use crate::cli::Machine;
use crate::cluster::Cluster;
use crate::compose::{self, Transport};
use crate::control::Trees;
use crate::output;
use crate::site::Site;

/// The domain of Services.
pub const DOMAIN: &str = "cluster.local";
/// All pods of a cluster, of which a node's are a part.
const ALL_PODS: &str = "10.244.0.0/16";
/// How long a node waits for its first view of the cluster before it goes on without.
const FIRST_FEED: Duration = Duration::from_secs(5);
/// What a node remembers of changes.
const REMEMBERED: Limits = Limits { entries: 4096, bytes: 8 << 20, age: 15 * 60 * 1000 };
/// How many pods a node takes.
pub const MAX_PODS: u32 = 110;

/// What a node is started with.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// Where it is.
    pub site: &'a Site,
    /// The OCI runtime, the network, where logs go.
    pub machine: &'a Machine,
    /// What is measured in this process.
    pub metrics: &'a Registry,
}

/// Whether this machine can run a node: said before anything is started.
///
/// # Errors
/// One line that says what to do.
pub fn check(runtime: &str) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("a node needs root; run this as root, or with --no-node for a cluster that runs no pods");
    }
    let found = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let mut all = std::env::split_paths(&paths).chain(["/usr/sbin", "/sbin"].map(Into::into));
        program.contains('/') || all.any(|folder| folder.join(program).exists())
    };
    match runtime {
        "auto" if !found("crun") && !found("runc") => {
            bail!("no OCI runtime is installed; install crun (apt-get install crun), or use --no-node")
        }
        "auto" => {}
        program if !found(program) => bail!("{program} is not installed; install it, or choose another with --runtime"),
        _ => {}
    }
    if !found("nft") {
        bail!("nft is not installed; install nftables (apt-get install nftables), or use --no-node");
    }
    Ok(())
}

fn runtime_config(cluster: &Cluster, pods: Ipv4Net) -> Result<cox_runtime::Config> {
    let all: Ipv4Net = ALL_PODS.parse()?;
    let whole = if all.contains(&pods) { all } else { pods };
    let network = NetworkConfig::new(&cluster.bridge(), pods, whole);
    Ok(cox_runtime::Config::new(&cluster.dir.join("node"), &cluster.cgroup(), network)?)
}

/// What the command line says of it.
fn chosen(mut config: cox_runtime::Config, machine: &Machine) -> cox_runtime::Config {
    if machine.runtime != "auto" {
        config.runtime = RuntimeChoice::Program(machine.runtime.clone());
    }
    config.patience = Duration::from_secs(machine.runtime_timeout);
    config.network.driver = if machine.cni { NetworkDriver::Cni } else { NetworkDriver::Builtin };
    config
}

/// Serves the node feeds, so that nodes can be followed from a mirror; `shown` as for [`compose::controllers`].
///
/// # Errors
/// If the bus is not there, or the tree does not start.
pub async fn feeds(
    transport: &Transport,
    mirror: &Mirror,
    metrics: &Registry,
    shown: Option<Scope>,
) -> Result<Vec<Running>> {
    let bus = transport.connect(&Identity::Feed).await?;
    let (served, followed) = (bus.clone(), mirror.clone());
    let server = worker("server", move |scope| {
        let (bus, mirror) = (served.clone(), followed.clone());
        async move { Ok(feed::serve(&mirror, &bus, scope.cancelled().clone()).await?) }
    });
    let running = Running::start(Scope::root("feeds"), vec![server]).await?;
    let trees = Trees::of(running.scope().clone(), shown);
    Ok(vec![running, compose::control(bus, Identity::Feed, trees, Some(mirror.clone()), metrics).await?])
}

/// Starts the kubelet; gives the node's view of the cluster, too.
///
/// # Errors
/// One line that says what to do.
pub async fn kubelet(transport: &Transport, settings: Settings<'_>) -> Result<(Mirror, Vec<Running>)> {
    let Settings { site, machine, metrics } = settings;
    let (cluster, name) = (&site.cluster, &site.host_name);
    let runtime = OciRuntime::open(chosen(runtime_config(cluster, site.network.pods)?, machine)).await?;
    let runtime: Arc<dyn Runtime> = Arc::new(runtime);
    let identity = Identity::Node(name.clone());
    let bus = transport.connect(&identity).await?;
    let (own, following) = follow(&bus, name, feed::Scope::Kubelet, REMEMBERED).await?;
    let config = cox_kubelet::Config {
        node_name: name.clone(),
        node_ips: vec![site.network.host.to_string()],
        pod_cidr: site.network.pods.to_string(),
        root: cluster.dir.join("node"),
        log_root: machine.log_dir.clone(),
        dns: NodeDns::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(), DOMAIN, Vec::new()),
        version: version(),
        max_pods: MAX_PODS,
        request_timeout: cox_kubelet::config::REQUEST_TIMEOUT,
        hollow: None,
    };
    let deps = cox_kubelet::Deps {
        bus: bus.clone(),
        kinds: site.kinds.clone(),
        feed: own.clone(),
        runtime,
        config,
        metrics: metrics.clone(),
    };
    let kubelet = cox_kubelet::start(deps).await?;
    let trees = Trees::of(kubelet.scope().clone(), Some(following.scope().clone()));
    let control = compose::control(bus, identity, trees, Some(own.clone()), metrics).await?;
    Ok((own, vec![following, kubelet, control]))
}

/// Starts the proxy.
///
/// # Errors
/// One line that says what to do.
pub async fn proxy(transport: &Transport, settings: Settings<'_>) -> Result<Vec<Running>> {
    let Settings { site, metrics, .. } = settings;
    let name = &site.host_name;
    let identity = Identity::Proxy(name.clone());
    let bus = transport.connect(&identity).await?;
    let (own, following) = follow(&bus, name, feed::Scope::Proxy, REMEMBERED).await?;
    let all: Ipv4Net = ALL_PODS.parse()?;
    let pods = if all.contains(&site.network.pods) { all } else { site.network.pods };
    let rules = ProxyNetwork { table: site.cluster.table(), pod_cidr: pods.to_string() };
    let deps = cox_proxy::Deps { feed: own.clone(), node_name: name.clone(), network: rules };
    let proxy = cox_proxy::start(deps).await?;
    let trees = Trees::of(proxy.scope().clone(), Some(following.scope().clone()));
    Ok(vec![following, proxy, compose::control(bus, identity, trees, Some(own), metrics).await?])
}

/// The version that nodes report, which is the API's.
pub fn version() -> String {
    let document = cox_gateway::version();
    document.get("gitVersion").and_then(|v| v.as_str()).unwrap_or_default().to_owned()
}

/// The node's own view of the cluster, followed over the bus. Nobody asks for its past: it remembers what its readers may not have read yet.
pub async fn follow(bus: &Bus, node: &str, scope: feed::Scope, limits: Limits) -> Result<(Mirror, Running)> {
    let mirror = Mirror::new(limits);
    let (followed, bus, node) = (mirror.clone(), bus.clone(), node.to_owned());
    let follower = worker("follower", move |place| {
        let (mirror, bus, node) = (followed.clone(), bus.clone(), node.clone());
        async move {
            mirror.follow_feed(&bus, &node, scope, place.cancelled().clone()).await;
            Ok(())
        }
    });
    let running = Running::start(Scope::root("feed"), vec![follower]).await?;
    // What follows the feed begins with a whole one; without the bus it begins with what it finds on the node.
    mirror.waits_for(1, FIRST_FEED).await;
    Ok((mirror, running))
}

/// Stops all pods of a cluster on this machine, and removes what its node and proxy made.
///
/// # Errors
/// One line that says what to do.
pub async fn down(dir: &Path) -> Result<()> {
    let cluster = Cluster::existing(dir)?;
    check("auto")?;
    let pods: Ipv4Net = "10.244.0.0/24".parse()?;
    let runtime = OciRuntime::open(runtime_config(&cluster, pods)?).await;
    let runtime = runtime.context("stop `cox up` first, if it still runs on this folder")?;
    runtime.down().await?;
    cox_proxy::nft::apply(&removal(&cluster.table())).await?;
    cox_kubelet::volumes::manager::tear_down(&cluster.dir.join("node").join("pods"))?;
    output::line(&format!("stopped all pods of the cluster in {}", cluster.dir.display()))
}
