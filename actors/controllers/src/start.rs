//! The supervision tree of the controllers: an elector, then each controller with the recorder of its Events.

use std::sync::Arc;

use cox_bus::{Bus, Identity};
use cox_kit::lease::{Leadership, elector};
use cox_kit::recorder::{Aggregator, Reporter, recorder};
use cox_kit::supervise::ComponentError;
use cox_kit::view::ParseCache;
use cox_kit::{Api, Child, Reconciler, Registry, Running, Scope, reconcile};
use cox_mirror::Mirror;
use cox_objects::Kinds;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::accounts::{RootCa, ServiceAccounts};
use crate::collector::Collector;
use crate::deployment::Deployments;
use crate::endpoints::{legacy::LegacyEndpoints, slices::EndpointSlices};
use crate::namespace::Namespaces;
use crate::node::{eviction::TaintEviction, health::Health, ttl::Ttl};
use crate::pod_collector::PodCollector;
use crate::protection::{Claims, Volumes};
use crate::replicas::{ReplicaSets, Replicas, ReplicationControllers};

/// The Lease in `kube-system` that says which instance works.
const LEASE: &str = "kube-controller-manager";

/// What the controllers need.
pub struct Deps {
    /// The connection of [`Identity::Controllers`]; each controller writes under its own identity over it.
    pub bus: Bus,
    /// The kinds that are served.
    pub kinds: Arc<Kinds>,
    /// What they read and follow.
    pub mirror: Mirror,
    /// The settings.
    pub config: Config,
    /// What is measured.
    pub metrics: Registry,
}

/// The settings of the controllers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who this instance is among those that may lead (`holderIdentity` of the Lease); unique per process.
    pub instance: String,
    /// The certificates, in PEM, that pods trust the apiserver by (`kube-root-ca.crt`).
    pub root_ca: String,
}

/// Starts the controllers. They work while this instance holds the Lease `kube-system/kube-controller-manager`.
///
/// # Errors
/// If an actor's first start fails.
pub async fn start(deps: Deps) -> Result<Running, ComponentError> {
    let (leads, leadership) = watch::channel(None);
    let api = Api::new(deps.bus.clone(), deps.kinds.clone());
    let mut children = vec![elector(LEASE.to_owned(), deps.config.instance.clone(), deps.mirror.clone(), api, leads)];
    let of = Controllers { deps, leadership, cache: Arc::default() };
    children.push(of.child("replicaset-controller", Replicas::<ReplicaSets>::default));
    children.push(of.child("replication-controller", Replicas::<ReplicationControllers>::default));
    children.push(of.child("deployment-controller", Deployments::default));
    children.push(of.child("endpointslice-controller", EndpointSlices::default));
    children.push(of.child("endpoint-controller", LegacyEndpoints::default));
    children.push(of.child("service-account-controller", ServiceAccounts::default));
    let root_ca = of.deps.config.root_ca.clone();
    children.push(of.child("root-ca-cert-publisher", move || RootCa::new(root_ca.clone())));
    let kinds = of.deps.kinds.clone();
    children.push(of.child("generic-garbage-collector", move || Collector::new(kinds.clone())));
    let kinds = of.deps.kinds.clone();
    children.push(of.child("namespace-controller", move || Namespaces::new(&kinds)));
    children.push(of.child("node-controller", Health::default));
    // Kubernetes has no role for it of its own.
    children.push(of.child("node-controller", TaintEviction::default));
    children.push(of.child("ttl-controller", Ttl::default));
    children.push(of.child("pod-garbage-collector", PodCollector::default));
    children.push(of.child("pvc-protection-controller", Claims::default));
    children.push(of.child("pv-protection-controller", Volumes::default));
    Running::start(Scope::root("controllers"), children).await
}

struct Controllers {
    deps: Deps,
    leadership: Leadership,
    /// An object is parsed once for all of them.
    cache: Arc<ParseCache>,
}

impl Controllers {
    /// A controller and its recorder, under the identity of a service account.
    fn child<R: Reconciler>(&self, account: &str, make: impl Fn() -> R + Send + Sync + 'static) -> Child {
        let reporter = Reporter { component: R::NAME.to_owned(), host: String::new() };
        let bus = self.deps.bus.under(Identity::Controller(account.to_owned()));
        let api = Api::new(bus, self.deps.kinds.clone())
            .led_by(self.leadership.clone())
            .recording(Arc::new(Mutex::new(Aggregator::new(reporter))));
        let leads = Some(self.leadership.clone());
        let (mirror, cache, metrics) = (self.deps.mirror.clone(), self.cache.clone(), self.deps.metrics.clone());
        let works = reconcile::controller(make, mirror, api.clone(), leads, cache, metrics);
        Child::supervisor(R::NAME, vec![recorder(api), works])
    }
}
