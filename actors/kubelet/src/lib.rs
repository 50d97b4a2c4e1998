//! The kubelet: runs the pods that are bound to its node, and says how they do.
//!
//! Tree: `node-status`, `node-lease`, `pods` (with a worker for each pod), `recorder`, and one actor for each kind of conversation. Decisions
//! are pure: [`plan`], [`status`], [`spec`], [`admit`]; the workers run them.

pub mod admit;
pub mod backoff;
pub mod config;
pub mod figures;
pub mod kept;
pub mod model;
pub mod node;
pub mod plan;
pub mod pod;
pub mod pods;
pub mod probes;
pub mod spec;
pub mod status;
pub mod streams;
pub mod token;
pub mod volumes;

use std::sync::Arc;

use cox_bus::Bus;
use cox_kit::recorder::{Aggregator, Reporter, recorder};
use cox_kit::supervise::ComponentError;
use cox_kit::{Api, Feed, Registry, Running, Scope};
use cox_objects::Kinds;
use cox_runtime::{Patient, Runtime};
use parking_lot::Mutex;

pub use config::Config;

use crate::figures::Figures;
use crate::node::facts::Machine;
use crate::node::{Context, heartbeat};

/// What a kubelet is made of.
pub struct Deps<F> {
    /// The connection of this node's identity.
    pub bus: Bus,
    /// What is served.
    pub kinds: Arc<Kinds>,
    /// What the node sees of the cluster.
    pub feed: F,
    /// Containers and images.
    pub runtime: Arc<dyn Runtime>,
    /// Configuration.
    pub config: Config,
    /// What is measured.
    pub metrics: Registry,
}

/// Starts a kubelet. It registers its Node, finds again what runs, and goes on from there.
///
/// # Errors
/// If its tree does not start.
pub async fn start<F: Feed>(deps: Deps<F>) -> Result<Running, ComponentError> {
    let reporter = Reporter { component: "kubelet".to_owned(), host: deps.config.node_name.clone() };
    let api = Api::new(deps.bus.clone(), deps.kinds).recording(Arc::new(Mutex::new(Aggregator::new(reporter))));
    let context = Context {
        machine: Arc::new(deps.config.hollow.clone().unwrap_or_else(|| Machine::read(&deps.config.root))),
        api: api.clone(),
        feed: deps.feed,
        runtime: Arc::new(Patient::new(deps.runtime, deps.config.request_timeout)),
        config: Arc::new(deps.config),
        cache: Arc::default(),
        tokens: Arc::default(),
        pulls: Arc::default(),
        figures: Figures::new(&deps.metrics),
    };
    let mut children = vec![
        recorder(api),
        heartbeat::status_keeper(context.clone()),
        heartbeat::lease_keeper(context.clone()),
        pods::pods(context.clone()),
    ];
    children.extend(streams::children(&context, &deps.bus));
    Running::start(Scope::root("kubelet"), children).await
}
