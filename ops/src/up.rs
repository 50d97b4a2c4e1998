//! `cox up`: a whole cluster in one process beside its bus.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cox_bus::Identity;
use cox_bus::server::{NatsServer, ServerConfig};

use crate::cli::{Part, Up};
use crate::cluster::Cluster;
use crate::compose::{self, Past, Transport};
use crate::process::{Member, Process};
use crate::site::Site;
use crate::start::Plan;
use crate::{address, figures, hollow, integrator, node, process};

/// How long the cluster may take until it is ready.
const READY: Duration = Duration::from_secs(60);

/// Runs a cluster until it is told to stop.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Up) -> Result<()> {
    process::run(&options.telemetry, async |process| start(&options, process).await).await
}

/// Starts it, and gives what the line of readiness says.
async fn start(options: &Up, process: &mut Process) -> Result<String> {
    let begun = Instant::now();
    let Up { machine, data_dir, .. } = options;
    let parts = options.parts();
    let on_node = parts.contains(&Part::Kubelet) || parts.contains(&Part::Proxy);
    if on_node {
        node::check(&machine.runtime)?;
    }
    if options.hollow_nodes > 0 && options.nats_url.is_some() {
        bail!("hollow nodes share a credential that only a nats-server of cox's own knows; leave out --nats-url");
    }
    let cluster = Cluster::open(data_dir)?;
    let listen = if parts.contains(&Part::Gateway) {
        // Of a cluster that runs already the process says more than the port.
        address::free(options.listen).map_err(|taken| cox_log::is_free(&cluster.dir).err().map_or(taken, Into::into))?
    } else {
        options.listen
    };
    let site = Site::new(cluster, &machine.place, listen)?;
    let cluster = &site.cluster;
    if on_node && let Some((interface, taken)) = address::overlapping(site.network.pods, &cluster.bridge()) {
        let pods = site.network.pods;
        tracing::warn!(
            "{interface} has {taken}, where this node's pods are to be ({pods}): one of the two is not reached. Give another --pod-cidr, \
             or take down the cluster that {interface} belongs to with `cox down`"
        );
    }
    // Whoever runs the gateway sees to its certificate; the keys of a new cluster are made by whoever is first.
    if cluster.has_keys().is_err() {
        site.keys()?;
    }

    let metrics = figures::registry();
    let transport = match &options.nats_url {
        Some(url) => {
            let folder = cluster.credentials();
            if !folder.is_dir() {
                bail!("{} is not there; make it with `cox credentials --nats-url {url}`", folder.display());
            }
            Transport::new(url.clone(), folder)
        }
        None => {
            let config = ServerConfig {
                data_dir: cluster.dir.clone(),
                cluster: cluster.id.clone(),
                binary: options.nats_server.clone(),
                nodes: vec![site.host_name.clone()],
                hollow_nodes: options.hollow_nodes,
            };
            let server = NatsServer::start(config).await?;
            let transport = Transport::new(server.url(), cluster.credentials());
            let door = server.door();
            process.add(Member::Bus(Box::new(server)));
            let bus = transport.connect(&Identity::Transport).await?;
            process.add(Member::Component(integrator::door(bus, door, metrics.clone()).await?));
            transport
        }
    };
    let plan = Plan {
        parts,
        site: &site,
        transport: &transport,
        machine,
        listen,
        instance: compose::instance(cluster, &site.host_name),
        reader: Identity::Mirror,
        past: Past {
            retention: options.past.retention(),
            accept_loss: options.accept_loss,
            after_another: options.nats_url.is_some(),
        },
        patience: Some(READY),
        metrics,
    };
    plan.start(process).await?;
    if options.hollow_nodes > 0 {
        hollow::start(&transport, &site, options.hollow_nodes, &plan.metrics, process).await?;
    }
    Ok(format!("{} after {} ms", address::server(listen), begun.elapsed().as_millis()))
}
