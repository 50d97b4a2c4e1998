//! Puts components together: which connection, mirror and keys each one gets. Only here are adapters made.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use cox_apiserver::compaction::Policy;
use cox_apiserver::{Apiserver, TokenKeys};
use cox_bus::{Bus, Connect, Identity, SealingKey};
use cox_gateway::Pki;
use cox_kit::supervise::worker;
use cox_kit::{Registry, Running, Scope};
use cox_mirror::Mirror;
use cox_objects::Kinds;
use ipnet::Ipv4Net;

use crate::cluster::Cluster;
use crate::control::{self, Trees};
use crate::figures;

/// The issuer of ServiceAccount tokens.
const ISSUER: &str = "https://kubernetes.default.svc";

/// How components reach the bus of a cluster.
pub struct Transport {
    url: String,
    /// The folder with a credentials file for each identity, or the file of the only one.
    credentials: PathBuf,
}

impl Transport {
    /// The server at `url`, signed in to with these credentials: a folder with a file for each identity, or one file.
    pub fn new(url: String, credentials: PathBuf) -> Self {
        Transport { url, credentials }
    }

    /// A connection of an identity.
    ///
    /// # Errors
    /// One line that says what to do.
    pub async fn connect(&self, identity: &Identity) -> Result<Bus> {
        Ok(Bus::connect(self.credentials(identity)?).await?)
    }

    fn credentials(&self, identity: &Identity) -> Result<Connect> {
        let own = self.credentials.join(format!("{}.json", identity.token()));
        let file = if self.credentials.is_dir() { &own } else { &self.credentials };
        let connect = Connect::from_file(file, Some(&self.url))?;
        if connect.identity != *identity {
            let (file, other) = (file.display(), &connect.identity);
            bail!(
                "{file} holds the credentials of {other}, but those of {identity} are needed; give a folder that holds both with --creds"
            );
        }
        Ok(connect)
    }

    /// The key for sealed objects.
    ///
    /// # Errors
    /// If the apiserver's credentials do not hold one.
    pub fn sealing_key(&self) -> Result<SealingKey> {
        match self.credentials(&Identity::Apiserver)?.credentials.sealing {
            Some(key) => Ok(key),
            None => bail!("the apiserver's credentials hold no sealing key; add one as \"sealing\""),
        }
    }
}

/// The network that a cluster is given.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Addresses of Services.
    pub services: Ipv4Net,
    /// Addresses of this node's pods.
    pub pods: Ipv4Net,
    /// By which pods reach this machine.
    pub host: Ipv4Addr,
    /// The API's port.
    pub port: u16,
}

impl Network {
    /// The address of the `kubernetes` Service.
    pub fn kubernetes(&self) -> Ipv4Addr {
        self.services.hosts().next().unwrap_or(self.services.addr())
    }
}

/// What an apiserver is to make of what was before it.
#[derive(Clone, Debug)]
pub struct Past {
    /// How long it keeps what was.
    pub retention: cox_log::Retention,
    /// Whether to go on, in a new epoch, if the log has lost events.
    pub accept_loss: bool,
    /// Whether gateways may be there that an earlier one has spoken to.
    pub after_another: bool,
}

/// Starts the apiserver.
///
/// # Errors
/// One line that says what to do.
pub async fn apiserver(
    transport: &Transport,
    metrics: &Registry,
    cluster: &Cluster,
    network: &Network,
    kinds: Arc<Kinds>,
    past: Past,
) -> Result<Apiserver> {
    let keys = cluster.token_keys()?;
    let id = cox_gateway::auth::token::key_id(&keys.public)?;
    let tokens = TokenKeys::from_pem(ISSUER, &id, keys.private.as_bytes(), keys.public.as_bytes())?;
    let deps = cox_apiserver::Deps {
        bus: transport.connect(&Identity::Apiserver).await?,
        publishing: transport.connect(&Identity::Apiserver).await?,
        sealing: transport.sealing_key()?,
        data_dir: cluster.dir.clone(),
        kinds,
        config: cox_apiserver::Config {
            service_cidr: network.services,
            node_ports: 30_000..=32_767,
            advertise_address: network.host,
            advertise_port: network.port,
            tokens: Arc::new(tokens),
            client_ca: cluster.root_ca()?,
            // More than gateway and components together have under way at a time: none of them is refused because of another.
            max_in_flight: 2048,
            after_another: past.after_another,
            accept_loss: past.accept_loss,
            retention: Policy { retention: past.retention, ..Policy::default() },
            log: cox_log::Options::default(),
        },
        metrics: metrics.clone(),
    };
    Ok(cox_apiserver::start(deps).await?)
}

/// Starts the process's mirror.
///
/// # Errors
/// If its tree does not start.
pub async fn mirror(bus: Bus, metrics: &Registry) -> Result<(Mirror, Running)> {
    let mirror = Mirror::new(cox_mirror::Limits::default());
    figures::show_mirror(metrics, &mirror);
    let (followed, followed_on) = (mirror.clone(), bus.clone());
    let follower = worker("follower", move |scope| {
        let (mirror, bus) = (followed.clone(), followed_on.clone());
        async move {
            mirror.follow(&bus, scope.cancelled().clone()).await;
            Ok(())
        }
    });
    let running = Running::start(Scope::root("mirror"), vec![follower]).await?;
    Ok((mirror, running))
}

/// Starts the gateway.
///
/// # Errors
/// One line that says what to do.
pub async fn gateway(
    bus: Bus,
    pki: Pki,
    listen: SocketAddr,
    mirror: Mirror,
    kinds: Arc<Kinds>,
    metrics: Registry,
) -> Result<cox_gateway::Serving> {
    let readiness = Arc::new(crate::ready::Facts::new(bus.clone(), mirror.clone()));
    let (backend, connections) = (Arc::new(bus), crate::process::room_for_connections());
    let deps = cox_gateway::Deps { listen, pki, kinds, backend, mirror, readiness, metrics, connections };
    Ok(cox_gateway::start(deps).await?)
}

/// Answers on the control subjects of a component.
///
/// # Errors
/// If its tree does not start.
pub async fn control(
    bus: Bus,
    identity: Identity,
    trees: Trees,
    mirror: Option<Mirror>,
    metrics: &Registry,
) -> Result<Running> {
    let scope = Scope::root("control");
    let trees = Trees { control: Some(scope.clone()), ..trees };
    Ok(Running::start(scope, control::children(bus, identity, trees, mirror, metrics.clone())).await?)
}

/// Who a component of `cox up` is among those that may lead. One process holds a cluster's folder at a time, so that a new one after a crash
/// is the same instance and leads at once; a component of another process has a name of its own.
pub fn instance(cluster: &Cluster, host_name: &str) -> String {
    format!("{host_name}_{}", cluster.id)
}

/// Starts the controllers; `shown` is the tree of what follows the log for them, if they are to show it.
///
/// # Errors
/// If the bus is not there, or the tree does not start.
pub async fn controllers(
    transport: &Transport,
    mirror: &Mirror,
    kinds: Arc<Kinds>,
    root_ca: String,
    instance: String,
    metrics: &Registry,
    shown: Option<Scope>,
) -> Result<Vec<Running>> {
    let bus = transport.connect(&Identity::Controllers).await?;
    let config = cox_controllers::Config { instance, root_ca };
    let deps =
        cox_controllers::Deps { bus: bus.clone(), kinds, mirror: mirror.clone(), config, metrics: metrics.clone() };
    let running = cox_controllers::start(deps).await?;
    let trees = Trees::of(running.scope().clone(), shown);
    Ok(vec![running, control(bus, Identity::Controllers, trees, Some(mirror.clone()), metrics).await?])
}

/// Starts the scheduler; `shown` as for [`controllers`].
///
/// # Errors
/// If the bus is not there, or the tree does not start.
pub async fn scheduler(
    transport: &Transport,
    mirror: &Mirror,
    kinds: Arc<Kinds>,
    instance: String,
    metrics: &Registry,
    shown: Option<Scope>,
) -> Result<Vec<Running>> {
    let bus = transport.connect(&Identity::Scheduler).await?;
    let deps = cox_scheduler::Deps {
        bus: bus.clone(),
        kinds,
        feed: mirror.clone(),
        holder: instance,
        metrics: metrics.clone(),
    };
    let running = cox_scheduler::start(deps).await?;
    let trees = Trees::of(running.scope().clone(), shown);
    Ok(vec![running, control(bus, Identity::Scheduler, trees, Some(mirror.clone()), metrics).await?])
}
