//! What every part of the kubelet shares: the API, the feed, the runtime, the configuration. And the node's own object.

pub mod facts;
pub mod heartbeat;
pub mod object;

use std::sync::Arc;

use cox_kit::recorder::{About, Note};
use cox_kit::view::ParseCache;
use cox_kit::{Api, Feed, View, Why};
use cox_objects::Key;
use cox_runtime::Runtime;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

use crate::config::Config;
use crate::figures::Figures;
use crate::kept::Kept;
use crate::node::facts::Machine;
use crate::pod::Pulls;
use crate::spec::env::Sources;
use crate::spec::fields::{Allocatable, PodFacts};
use crate::token;

/// The shared context. Cheap to clone.
pub struct Context<F> {
    /// Writes.
    pub api: Api,
    /// What the node sees of the cluster.
    pub feed: F,
    /// Containers and images.
    pub runtime: Arc<dyn Runtime>,
    /// Configuration.
    pub config: Arc<Config>,
    /// The machine's size.
    pub machine: Arc<Machine>,
    /// Parsed objects; no Pods are among them, for a node has too many.
    pub cache: Arc<ParseCache>,
    /// Tokens of pods.
    pub tokens: Arc<token::Cache>,
    /// Backoffs of images.
    pub pulls: Arc<Pulls>,
    /// What is measured.
    pub figures: Figures,
}

impl<F: Clone> Clone for Context<F> {
    fn clone(&self) -> Self {
        Context {
            api: self.api.clone(),
            feed: self.feed.clone(),
            runtime: self.runtime.clone(),
            config: self.config.clone(),
            machine: self.machine.clone(),
            cache: self.cache.clone(),
            tokens: self.tokens.clone(),
            pulls: self.pulls.clone(),
            figures: self.figures.clone(),
        }
    }
}

impl<F: Feed> Context<F> {
    /// The same for what tells that the node is alive: see [`Api::vital`].
    pub fn vital(self) -> Self {
        Context { api: self.api.vital(), ..self }
    }

    /// The node's view of the cluster.
    pub fn view(&self) -> View<'_> {
        View::new(&self.feed, &self.cache)
    }

    /// A Pod as the node sees it now.
    pub fn pod(&self, key: &Key) -> Option<Kept> {
        let read = Kept::read(self.feed.get(key)?, self.figures.parsed());
        // Validation lets nothing in that the type cannot hold; an object from elsewhere is skipped, loudly.
        read.inspect_err(|error| tracing::error!(%key, %error, "an object does not fit its type")).ok()
    }

    /// Facts for the downward API of a pod with these addresses.
    pub fn facts(&self, pod_ips: Vec<String>) -> PodFacts {
        PodFacts {
            pod_ips,
            host_ips: self.config.node_ips.clone(),
            allocatable: Allocatable {
                milli_cpu: self.machine.milli_cpu(),
                memory: self.machine.memory_bytes,
                ephemeral_storage: self.machine.disk_bytes,
            },
        }
    }

    /// ConfigMaps and Secrets of a namespace.
    pub fn sources<'a>(&'a self, namespace: &'a str) -> NamespaceSources<'a, F> {
        NamespaceSources { context: self, namespace }
    }

    /// Notes something about a pod that the why led to; `field_path` names a container of it, or is empty.
    pub fn tell(
        &self,
        why: &Why,
        pod: &Pod,
        field_path: &str,
        warning: bool,
        reason: &str,
        message: impl Into<String>,
    ) {
        let about = about(pod, field_path);
        let note = if warning { Note::warning(about, reason, message) } else { Note::normal(about, reason, message) };
        self.api.record(note, why);
    }
}

/// What a note about a pod refers to; `field_path` names a container of it, or is empty.
pub fn about(pod: &Pod, field_path: &str) -> About {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    About {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: text(&meta.namespace),
        name: text(&meta.name),
        uid: text(&meta.uid),
        resource_version: text(&meta.resource_version),
        field_path: field_path.to_owned(),
    }
}

/// The ConfigMaps and Secrets of a namespace, as the node sees them.
pub struct NamespaceSources<'a, F> {
    context: &'a Context<F>,
    namespace: &'a str,
}

impl<F: Feed> Sources for NamespaceSources<'_, F> {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        self.context.view().get(self.namespace, name)
    }

    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.context.view().get(self.namespace, name)
    }
}
