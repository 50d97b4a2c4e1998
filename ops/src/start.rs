//! Starts components in their order: those of a whole cluster, or some of them beside another's bus.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cox_bus::Identity;
use cox_kit::Registry;
use cox_mirror::Mirror;
use cox_objects::{Key, Resource, Source};
use serde_json::Value;

use crate::cli::{Machine, Part};
use crate::compose::{self, Past, Transport};
use crate::control::Trees;
use crate::process::{Member, Process};
use crate::site::Site;
use crate::{address, node, ready};

/// What is started, and with what.
pub struct Plan<'a> {
    /// Which components.
    pub parts: Vec<Part>,
    /// Where they run.
    pub site: &'a Site,
    /// By which they talk to each other.
    pub transport: &'a Transport,
    /// This machine as a node.
    pub machine: &'a Machine,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// As whom scheduler and controllers compete to lead.
    pub instance: String,
    /// As whom the process's mirror follows the log.
    pub reader: Identity,
    /// What the apiserver is to make of what was before it.
    pub past: Past,
    /// How long what they need may take to come; without a bound where others bring it.
    pub patience: Option<Duration>,
    /// What is measured in this process.
    pub metrics: Registry,
}

impl Plan<'_> {
    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Starts the components, and waits until they have what they need: the gateway is ready, the node is.
    ///
    /// # Errors
    /// One line that says what to do.
    pub async fn start(&self, process: &mut Process) -> Result<()> {
        if self.has(Part::Apiserver) {
            self.apiserver(process).await?;
        }
        if self.parts.iter().any(|part| part.reads_mirror()) {
            self.readers(process).await?;
        }
        let settings = node::Settings { site: self.site, machine: self.machine, metrics: &self.metrics };
        let mut view = None;
        if self.has(Part::Kubelet) {
            let (own, running) = node::kubelet(self.transport, settings).await?;
            process.extend(running);
            view = Some(own);
        }
        if self.has(Part::Proxy) {
            process.extend(node::proxy(self.transport, settings).await?);
        }
        match view {
            Some(view) => self.until("the node is ready", async || not_ready(&view, &self.site.host_name)).await,
            None => Ok(()),
        }
    }

    async fn apiserver(&self, process: &mut Process) -> Result<()> {
        let Plan { site, transport, .. } = self;
        let (network, kinds) = (&site.network, site.kinds.clone());
        let mut apiserver =
            compose::apiserver(transport, &self.metrics, &site.cluster, network, kinds, self.past.clone()).await?;
        let scope = apiserver.running().scope().clone();
        process.add(Member::Apiserver(apiserver));
        let bus = transport.connect(&Identity::Apiserver).await?;
        let trees = Trees::of(scope, None);
        process.extend([compose::control(bus, Identity::Apiserver, trees, None, &self.metrics).await?]);
        Ok(())
    }

    /// The components that read the process's mirror. Leaders wait until what every cluster begins with is there.
    async fn readers(&self, process: &mut Process) -> Result<()> {
        let Plan { site, transport, listen, .. } = self;
        let reading = transport.connect(&self.reader).await?;
        let (mirror, following) = compose::mirror(reading.clone(), &self.metrics).await?;
        // The first of them shows it.
        let mut shown = Some(following.scope().clone());
        process.extend([following]);
        if self.has(Part::Gateway) {
            let (bus, pki) = (transport.connect(&Identity::Gateway).await?, site.keys()?);
            site.cluster.write_kubeconfig(&pki, &address::server(*listen))?;
            let mut serving =
                compose::gateway(bus.clone(), pki, *listen, mirror.clone(), site.kinds.clone(), self.metrics.clone())
                    .await?;
            let trees = Trees::of(serving.running().scope().clone(), shown.take());
            process.add(Member::Gateway(serving));
            process
                .extend([compose::control(bus, Identity::Gateway, trees, Some(mirror.clone()), &self.metrics).await?]);
        }
        let facts = ready::Facts::new(reading, mirror.clone());
        self.until("the server is ready", async || ready::missing(&facts).await).await?;
        if self.has(Part::Controllers) {
            let (root_ca, instance) = (site.cluster.root_ca()?, self.instance.clone());
            process.extend(
                compose::controllers(
                    transport,
                    &mirror,
                    site.kinds.clone(),
                    root_ca,
                    instance,
                    &self.metrics,
                    shown.take(),
                )
                .await?,
            );
        }
        if self.has(Part::Scheduler) {
            let instance = self.instance.clone();
            process.extend(
                compose::scheduler(transport, &mirror, site.kinds.clone(), instance, &self.metrics, shown.take())
                    .await?,
            );
        }
        if self.has(Part::Feeds) {
            process.extend(node::feeds(transport, &mirror, &self.metrics, shown.take()).await?);
        }
        Ok(())
    }

    async fn until(&self, what: &str, missing: impl AsyncFn() -> Option<String>) -> Result<()> {
        let begun = Instant::now();
        let mut told = false;
        while let Some(fault) = missing().await {
            match self.patience {
                Some(patience) if begun.elapsed() > patience => {
                    bail!("waited {} seconds until {what}: {fault}", patience.as_secs())
                }
                None if !told && begun.elapsed() > PATIENT => {
                    tracing::warn!("waiting until {what}: {fault}");
                    told = true;
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(())
    }
}

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(5);
/// After how long a process that waits for others says so.
const PATIENT: Duration = Duration::from_secs(5);

fn not_ready(view: &Mirror, name: &str) -> Option<String> {
    let node = Source::get(view, &Key::new(Resource::NODES, "", name)).map(|object| object.value());
    let conditions = node.as_ref().and_then(|n| n.pointer("/status/conditions")).and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|c| c.get("type") == Some(&"Ready".into()) && c.get("status") == Some(&"True".into()));
    (!ready).then(|| format!("node {name} is not ready"))
}
