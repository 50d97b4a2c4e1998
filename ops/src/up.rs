//! `cox up`: a whole cluster in one process beside its bus.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cox_bus::Identity;
use cox_kit::Running;
use cox_objects::{Key, Resource, Source};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Part, Up};
use crate::cluster::Cluster;
use crate::compose::{self, Transport};
use crate::site::Site;
use crate::{node, ready, telemetry};

/// How long the cluster may take until it is ready.
const READY: Duration = Duration::from_secs(60);

/// Runs a cluster until it is told to stop.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Up) -> Result<()> {
    let spans = telemetry::start(&options.telemetry)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let started = Instant::now();
    let mut parts = Parts::default();
    let outcome = tokio::select! {
        started = start(&options, &mut parts) => started,
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
    };
    let outcome = match outcome {
        Ok(Some(server)) => {
            println!("ready {server} after {} ms", started.elapsed().as_millis());
            tokio::select! {
                _ = interrupt.recv() => Ok(()),
                _ = terminate.recv() => Ok(()),
                failed = parts.failed() => Err(anyhow::anyhow!("{failed}")),
            }
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    parts.stop().await;
    spans.flush();
    outcome
}

/// What runs, in order of start.
#[derive(Default)]
struct Parts {
    transport: Option<Transport>,
    apiserver: Option<cox_apiserver::Apiserver>,
    gateway: Option<cox_gateway::Serving>,
    components: Vec<Running>,
}

impl Parts {
    /// Waits until a component ends by itself: it failed too often.
    async fn failed(&mut self) -> String {
        let components = self.components.iter_mut();
        let apiserver = self.apiserver.iter_mut().map(|a| a.running());
        let gateway = self.gateway.iter_mut().map(|g| g.running());
        let all: Vec<_> = components
            .chain(apiserver)
            .chain(gateway)
            .map(|running| {
                Box::pin(async move {
                    let name = running.name().to_owned();
                    format!("{name} failed too often: {}", running.failed().await)
                })
            })
            .collect();
        futures::future::select_all(all).await.0
    }

    /// Stops everything in reverse order of start.
    async fn stop(self) {
        for component in self.components.into_iter().rev() {
            component.stop().await;
        }
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        if let Some(apiserver) = self.apiserver {
            apiserver.stop().await;
        }
        if let Some(transport) = self.transport {
            transport.stop().await;
        }
    }
}

async fn start(options: &Up, parts: &mut Parts) -> Result<Option<String>> {
    let Up { machine, .. } = options;
    let here = |part: Part| !options.without.contains(&part);
    let node = |part: Part| !options.no_node && here(part);
    if node(Part::Kubelet) || node(Part::Proxy) {
        node::check(&machine.runtime)?;
    }
    let cluster = Cluster::open(&options.data_dir)?;
    // The address is taken before anything else: a port in use is said at once, and nothing is left behind.
    let listener = std::net::TcpListener::bind(options.listen).with_context(|| {
        format!(
            "cannot listen on {}: choose another address with --listen, or stop what holds this one",
            options.listen
        )
    })?;
    let bound = listener.local_addr()?;
    drop(listener);
    let site = Site::new(cluster, machine, bound);
    let Site { cluster, network, host_name, kinds, .. } = &site;
    let pki = site.keys()?;

    let transport = match &options.nats_url {
        None => Transport::own(cluster, options.nats_server.as_deref(), vec![host_name.clone()]).await?,
        Some(url) => Transport::Other { url: url.clone(), credentials: cluster.dir.join("bus").join("creds") },
    };
    let transport = parts.transport.insert(transport);
    if here(Part::Apiserver) {
        let apiserver = compose::apiserver(transport, cluster, &pki, network, kinds.clone()).await?;
        let apiserver = parts.apiserver.insert(apiserver);
        let bus = transport.connect(&Identity::Apiserver).await?;
        let scope = apiserver.running().scope().clone();
        parts.components.push(compose::control(bus, Identity::Apiserver, scope, None).await?);
    }

    let reading = transport.connect(&Identity::Mirror).await?;
    let (mirror, following) = compose::mirror(reading.clone()).await?;
    parts.components.push(following);
    if here(Part::Gateway) {
        let bus = transport.connect(&Identity::Gateway).await?;
        let serving = compose::gateway(bus.clone(), pki.clone(), bound, mirror.clone(), kinds.clone()).await?;
        let serving = parts.gateway.insert(serving);
        let scope = serving.running().scope().clone();
        parts.components.push(compose::control(bus, Identity::Gateway, scope, Some(mirror.clone())).await?);
    }
    let server = format!("https://{}:{}", local(bound), bound.port());
    let kubeconfig = cluster.write_kubeconfig(&pki, &server)?;
    tracing::info!(kubeconfig = %kubeconfig.display(), "the API is served");

    let facts = ready::Facts::new(reading, mirror.clone());
    until("the server is ready", || ready::missing(&facts)).await?;
    let instance = compose::instance(cluster, host_name);
    if here(Part::Controllers) {
        let root_ca = pki.authority.certificate.clone();
        parts
            .components
            .extend(compose::controllers(transport, &mirror, kinds.clone(), root_ca, instance.clone()).await?);
    }
    if here(Part::Scheduler) {
        parts.components.extend(compose::scheduler(transport, &mirror, kinds.clone(), instance).await?);
    }
    if options.no_node {
        return Ok(Some(server));
    }
    parts.components.push(node::feeds(transport, &mirror).await?);
    let settings = node::Settings { site: &site, runtime: &machine.runtime, log_dir: &machine.log_dir };
    if here(Part::Kubelet) {
        parts.components.extend(node::kubelet(transport, settings).await?);
    }
    if here(Part::Proxy) {
        parts.components.extend(node::proxy(transport, settings).await?);
    }
    if here(Part::Kubelet) {
        let key = Key::new(Resource::NODES, "", host_name);
        until("the node is ready", || async {
            let node = Source::get(&mirror, &key).map(|object| object.value());
            let conditions = node.as_ref().and_then(|n| n.pointer("/status/conditions")).and_then(Value::as_array);
            let ready = conditions
                .into_iter()
                .flatten()
                .any(|c| c.get("type") == Some(&"Ready".into()) && c.get("status") == Some(&"True".into()));
            (!ready).then(|| format!("node {host_name} is not ready"))
        })
        .await?;
    }
    Ok(Some(server))
}

/// The address under which this machine itself reaches what listens there.
fn local(bound: std::net::SocketAddr) -> String {
    if bound.ip().is_unspecified() { "127.0.0.1".to_owned() } else { bound.ip().to_string() }
}

async fn until<Fut: Future<Output = Option<String>>>(what: &str, mut missing: impl FnMut() -> Fut) -> Result<()> {
    let deadline = Instant::now() + READY;
    loop {
        let Some(fault) = missing().await else { return Ok(()) };
        if Instant::now() > deadline {
            bail!("waited {} seconds until {what}: {fault}", READY.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
