//! Hollow nodes: real kubelets over a runtime whose pods run nowhere, many in one process, on one connection to the bus.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use cox_bus::{Bus, Identity};
use cox_kit::{Registry, Running, Scope};
use cox_kubelet::node::facts::Machine;
use cox_kubelet::spec::sandbox::NodeDns;
use cox_mirror::{Limits, feed};
use cox_runtime::hollow::Hollow;
use futures::{StreamExt, TryStreamExt};

use crate::compose::{self, Transport};
use crate::control::Trees;
use crate::node::{self, DOMAIN, MAX_PODS};
use crate::process::{Member, Process};
use crate::site::Site;

/// The first address of the first node's pods; each node has a /24 of what is left for carriers (RFC 6598), which no real pod has.
const FIRST: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
/// What a hollow node remembers of changes: little, for there are many.
const REMEMBERED: Limits = Limits { entries: 64, bytes: 16 << 10, age: 15 * 60 * 1000 };
/// How many are started at a time.
const AT_A_TIME: usize = 64;

/// Joins hollow nodes to the cluster.
///
/// # Errors
/// One line that says what to do.
pub async fn start(
    transport: &Transport,
    site: &Site,
    count: u16,
    metrics: &Registry,
    process: &mut Process,
) -> Result<()> {
    let identity = Identity::Hollow(count);
    let bus = transport.connect(&identity).await?;
    let trees = Trees::of(Scope::root("hollow"), None);
    let control = compose::control(bus.clone(), identity, trees, None, metrics).await?;
    let nodes = futures::stream::iter(1..=count).map(|number| kubelet(bus.clone(), site, number, metrics));
    let nodes: Vec<[Running; 2]> = nodes.buffer_unordered(AT_A_TIME).try_collect().await?;
    let (following, kubelets) = nodes.into_iter().map(|[following, kubelet]| (following, kubelet)).unzip();
    process.add(Member::Many(following));
    process.add(Member::Component(control));
    process.add(Member::Many(kubelets));
    Ok(())
}

/// Starts the kubelet of a node, with what follows its feed.
async fn kubelet(bus: Bus, site: &Site, number: u16, metrics: &Registry) -> Result<[Running; 2]> {
    let name = Identity::hollow_node(number);
    let bus = bus.under(Identity::Node(name.clone()));
    let (feed, following) = node::follow(&bus, &name, feed::Scope::Kubelet, REMEMBERED).await?;
    let network = Ipv4Addr::from(u32::from(FIRST) + (u32::from(number) << 8));
    let address = |host: u32| Ipv4Addr::from(u32::from(network) + host);
    let config = cox_kubelet::Config {
        node_name: name.clone(),
        node_ips: vec![address(1).to_string()],
        pod_cidr: format!("{network}/24"),
        // Nothing is written there.
        root: site.cluster.dir.join("hollow").join(&name),
        log_root: site.cluster.dir.join("hollow").join("logs"),
        dns: NodeDns::parse("", DOMAIN, Vec::new()),
        version: node::version(),
        max_pods: MAX_PODS,
        request_timeout: cox_kubelet::config::REQUEST_TIMEOUT,
        hollow: Some(machine(&name)),
    };
    let (kinds, runtime) = (site.kinds.clone(), Arc::new(Hollow::of_node(address(2))));
    let deps = cox_kubelet::Deps { bus, kinds, feed, runtime, config, metrics: metrics.clone() };
    Ok([following, cox_kubelet::start(deps).await?])
}

/// What a hollow node claims to be.
fn machine(name: &str) -> Machine {
    Machine {
        cpus: 32,
        memory_bytes: 128 << 30,
        disk_bytes: 1 << 40,
        machine_id: name.to_owned(),
        system_uuid: name.to_owned(),
        boot_id: name.to_owned(),
        kernel: "0.0.0-hollow".to_owned(),
        os_image: "Hollow".to_owned(),
        architecture: "amd64".to_owned(),
    }
}
