//! `cox component`: some components as a process of their own, beside a cluster's bus.

use anyhow::{Context, Result, bail};
use cox_bus::{Connect, Identity};
use cox_kit::Running;
use cox_mirror::Mirror;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Component, Part};
use crate::cluster::Cluster;
use crate::compose::{self, Transport};
use crate::site::Site;
use crate::{node, telemetry};

/// Runs components until told to stop.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Component) -> Result<()> {
    let spans = telemetry::start(&options.telemetry)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut parts = Parts::default();
    let outcome = tokio::select! {
        started = start(&options, &mut parts) => started.map(|()| true),
        _ = interrupt.recv() => Ok(false),
        _ = terminate.recv() => Ok(false),
    };
    let outcome = match outcome {
        Ok(true) => {
            let names: Vec<String> = options.names.iter().map(Part::to_string).collect();
            println!("running {}", names.join(", "));
            tokio::select! {
                _ = interrupt.recv() => Ok(()),
                _ = terminate.recv() => Ok(()),
                failed = parts.failed() => Err(anyhow::anyhow!("{failed}")),
            }
        }
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    parts.stop().await;
    spans.flush();
    outcome
}

/// What runs, in order of start.
#[derive(Default)]
struct Parts {
    apiserver: Option<cox_apiserver::Apiserver>,
    gateway: Option<cox_gateway::Serving>,
    components: Vec<Running>,
}

impl Parts {
    /// Waits until a component ends by itself: it failed too often.
    async fn failed(&mut self) -> String {
        let own = self.components.iter_mut();
        let all = own
            .chain(self.apiserver.iter_mut().map(|a| a.running()))
            .chain(self.gateway.iter_mut().map(|g| g.running()));
        let all = all.map(|running| {
            Box::pin(async move {
                let name = running.name().to_owned();
                format!("{name} failed too often: {}", running.failed().await)
            })
        });
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
    }
}

/// Whose credentials a component needs.
fn identity(part: Part, node: &str) -> Identity {
    match part {
        Part::Apiserver => Identity::Apiserver,
        Part::Gateway => Identity::Gateway,
        Part::Scheduler => Identity::Scheduler,
        Part::Controllers => Identity::Controllers,
        Part::Kubelet => Identity::Node(node.to_owned()),
        Part::Proxy => Identity::Proxy(node.to_owned()),
    }
}

/// Says which cluster the credentials are of, and whose they are if there is only one file.
fn credentials(options: &Component) -> Result<(String, Option<Identity>)> {
    let creds = &options.creds;
    if !creds.is_dir() {
        let connect = Connect::from_file(creds, Some(&options.nats_url))?;
        return Ok((connect.cluster, Some(connect.identity)));
    }
    let entries = std::fs::read_dir(creds).with_context(|| format!("{} cannot be read", creds.display()))?;
    let mut files = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|e| e == "json"));
    let Some(file) = files.next() else { bail!("{} holds no credentials", creds.display()) };
    Ok((Connect::from_file(&file, Some(&options.nats_url))?.cluster, None))
}

async fn start(options: &Component, parts: &mut Parts) -> Result<()> {
    let has = |part: Part| options.names.contains(&part);
    let (id, own) = credentials(options)?;
    let mut machine = options.machine.clone();
    if let (None, Some(Identity::Node(name) | Identity::Proxy(name))) = (&machine.node_name, &own) {
        machine.node_name = Some(name.clone());
    }
    if has(Part::Kubelet) || has(Part::Proxy) {
        node::check(&machine.runtime)?;
    }
    let cluster = Cluster::join(&options.data_dir, &id)?;
    let keys = cluster.dir.join("pki");
    if [Part::Apiserver, Part::Gateway, Part::Controllers].into_iter().any(has) && !keys.exists() {
        bail!("{} is not there; copy it from the cluster's folder, or give that with --data-dir", keys.display());
    }
    let site = Site::new(cluster, &machine, options.listen);
    let transport = Transport::Other { url: options.nats_url.clone(), credentials: options.creds.clone() };

    if has(Part::Apiserver) {
        let apiserver =
            compose::apiserver(&transport, &site.cluster, &site.keys()?, &site.network, site.kinds.clone()).await?;
        let scope = parts.apiserver.insert(apiserver).running().scope().clone();
        let bus = transport.connect(&Identity::Apiserver).await?;
        parts.components.push(compose::control(bus, Identity::Apiserver, scope, None).await?);
    }
    let reader = options.names.iter().find(|part| matches!(part, Part::Gateway | Part::Scheduler | Part::Controllers));
    if let Some(reader) = reader {
        // One mirror a process; whoever has one file only follows under the component's own identity.
        let reads = if own.is_some() { identity(*reader, &site.host_name) } else { Identity::Mirror };
        let (mirror, following) = compose::mirror(transport.connect(&reads).await?).await?;
        parts.components.push(following);
        start_readers(options, &site, &transport, &mirror, parts).await?;
    }
    let settings = node::Settings { site: &site, runtime: &machine.runtime, log_dir: &machine.log_dir };
    if has(Part::Kubelet) {
        parts.components.extend(node::kubelet(&transport, settings).await?);
    }
    if has(Part::Proxy) {
        parts.components.extend(node::proxy(&transport, settings).await?);
    }
    Ok(())
}

/// Starts the components that read the process's mirror.
async fn start_readers(
    options: &Component,
    site: &Site,
    transport: &Transport,
    mirror: &Mirror,
    parts: &mut Parts,
) -> Result<()> {
    let has = |part: Part| options.names.contains(&part);
    let kinds = || site.kinds.clone();
    // Never the name of the instance inside `cox up`: both would hold one Lease.
    let instance = format!("{}_{}", site.host_name, uuid::Uuid::new_v4());
    if has(Part::Gateway) {
        let bus = transport.connect(&Identity::Gateway).await?;
        let serving = compose::gateway(bus.clone(), site.keys()?, options.listen, mirror.clone(), kinds()).await?;
        let scope = parts.gateway.insert(serving).running().scope().clone();
        parts.components.push(compose::control(bus, Identity::Gateway, scope, Some(mirror.clone())).await?);
    }
    if has(Part::Controllers) {
        let root_ca = site.keys()?.authority.certificate;
        parts.components.extend(compose::controllers(transport, mirror, kinds(), root_ca, instance.clone()).await?);
    }
    if has(Part::Scheduler) {
        parts.components.extend(compose::scheduler(transport, mirror, kinds(), instance).await?);
    }
    Ok(())
}
