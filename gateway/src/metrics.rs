//! What is counted of requests and watches, under the names and labels that dashboards for Kubernetes ask for.
//!
//! Guarantees: all labels are of bounded sets, whatever clients send; what a request is counted with is made for the first one of its kind and
//! found by two look-ups afterwards, without a lock or an allocation.

mod instruments;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cox_kit::Registry;
use cox_kit::metrics::{Counter, Gauge, Metric};
use cox_objects::{Kind, Kinds};
use http::Method;

use crate::route::{Action, Target};
use instruments::{Labels, Series};

const CONVERSATIONS: Metric =
    Metric { name: "cox_gateway_conversations", help: "Open exec, attach, port-forward, proxy and log streams." };
const WATCH_EVENTS: Metric = Metric { name: "apiserver_watch_events_total", help: "Events sent on watches." };
const TERMINATED: Metric = Metric {
    name: "apiserver_terminated_watchers_total",
    help: "Watches that were ended because they were too slow for what is remembered.",
};

/// The instruments of a gateway.
pub struct Metrics {
    registry: Registry,
    /// By the address of the kind, which all targets share.
    kinds: Vec<OfKind>,
    methods: [OnceLock<Series>; METHODS.len()],
    conversations: Gauge,
}

/// What is measured of one kind.
struct OfKind {
    kind: Arc<Kind>,
    /// By subresource, action and scope; made when the first request comes.
    series: OnceLock<Box<[OnceLock<Series>]>>,
    sent: OnceLock<Counter>,
    slow: OnceLock<Counter>,
}

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"];
const SCOPES: [&str; 3] = ["cluster", "namespace", "resource"];
const VERBS: [&str; 9] = ["GET", "LIST", "WATCH", "POST", "PUT", "PATCH", "DELETE", "DELETECOLLECTION", "CONNECT"];

/// Which requests are counted together: the place of their instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Of something that is served; else only the method is known.
    kind: Option<usize>,
    place: usize,
}

impl Label {
    /// A request of which no more than its method is known.
    pub fn of_method(method: &Method) -> Self {
        let place = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        Label { kind: None, place }
    }
}

/// One watch or conversation that is open; it is over when this is dropped.
pub struct Open {
    levels: [Option<Gauge>; 2],
    sent: Counter,
    slow: Counter,
}

impl Open {
    /// So many events went out.
    pub fn add(&self, events: usize) {
        self.sent.add(events as u64);
    }

    /// It ends because its client was too slow.
    pub fn too_slow(&self) {
        self.slow.add(1);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.levels.iter().flatten().for_each(|level| level.add(-1));
    }
}

impl Metrics {
    /// Instruments for these kinds, shown in a registry.
    pub fn new(registry: Registry, kinds: &Kinds) -> Self {
        let of = |kind: &Arc<Kind>| OfKind {
            kind: kind.clone(),
            series: OnceLock::new(),
            sent: OnceLock::new(),
            slow: OnceLock::new(),
        };
        let mut kinds: Vec<OfKind> = kinds.all().iter().map(of).collect();
        kinds.sort_by_key(|of| Arc::as_ptr(&of.kind));
        let conversations = registry.gauge(CONVERSATIONS, &[]);
        Metrics { registry, kinds, methods: Default::default(), conversations }
    }

    /// The label of a request for something that is served.
    pub fn label(&self, target: &Target) -> Label {
        let address = Arc::as_ptr(&target.kind);
        let kind = self.kinds.binary_search_by_key(&address, |of| Arc::as_ptr(&of.kind)).ok();
        let subresources = &target.kind.subresources;
        let subresource = subresources.iter().position(|sub| sub.name == target.subresource).map_or(0, |at| at + 1);
        let place = (subresource * VERBS.len() + verb(target.action)) * SCOPES.len() + scope(target);
        // A kind that came later is counted with what is not known.
        kind.map_or(Label { kind: None, place: METHODS.len() - 1 }, |kind| Label { kind: Some(kind), place })
    }

    /// Counts a request that was answered, with the size of the answer where that is known.
    pub fn count(&self, label: Label, code: u16, took: Duration, size: Option<u64>) {
        if let Some(series) = self.series(label) {
            series.count(&self.registry, code, took, size);
        }
    }

    /// Counts a watch that begins.
    pub fn watch(&self, target: &Target) -> Open {
        let (sent, slow) = self.of_watches(target).unwrap_or_default();
        Open { levels: [self.long_running(target), None], sent, slow }
    }

    /// Counts a conversation that begins.
    pub fn conversation(&self, target: &Target) -> Open {
        self.conversations.add(1);
        let levels = [self.long_running(target), Some(self.conversations.clone())];
        Open { levels, sent: Counter::default(), slow: Counter::default() }
    }

    fn long_running(&self, target: &Target) -> Option<Gauge> {
        let level = self.series(self.label(target))?.long_running(&self.registry);
        level.add(1);
        Some(level)
    }

    fn of_watches(&self, target: &Target) -> Option<(Counter, Counter)> {
        let of = self.kinds.get(self.label(target).kind?)?;
        let Kind { group, version, kind, plural, .. } = &*of.kind;
        let labels: [(&str, &str); 4] = [("group", group), ("kind", kind), ("resource", plural), ("version", version)];
        let sent = of.sent.get_or_init(|| self.registry.counter(WATCH_EVENTS, &labels));
        let slow = of.slow.get_or_init(|| self.registry.counter(TERMINATED, &[("resource", plural)]));
        Some((sent.clone(), slow.clone()))
    }

    fn series(&self, label: Label) -> Option<&Series> {
        let Some(kind) = label.kind else {
            let verb = METHODS.get(label.place).copied().unwrap_or_default();
            let labels = Labels { verb, ..Labels::default() };
            return Some(self.methods.get(label.place)?.get_or_init(|| Series::new(&self.registry, labels)));
        };
        let of = self.kinds.get(kind)?;
        let places = (of.kind.subresources.len() + 1) * VERBS.len() * SCOPES.len();
        let all = of.series.get_or_init(|| (0..places).map(|_| OnceLock::new()).collect());
        Some(all.get(label.place)?.get_or_init(|| Series::new(&self.registry, of.labels(label.place))))
    }
}

impl OfKind {
    /// What a place stands for.
    fn labels(&self, place: usize) -> Labels {
        let (rest, scope) = (place / SCOPES.len(), place % SCOPES.len());
        let (subresource, verb) = (rest / VERBS.len(), rest % VERBS.len());
        let subresource = subresource.checked_sub(1).and_then(|at| self.kind.subresources.get(at));
        Labels {
            verb: VERBS.get(verb).copied().unwrap_or_default(),
            group: self.kind.group.clone(),
            version: self.kind.version.clone(),
            resource: self.kind.plural.clone(),
            subresource: subresource.map_or_else(String::new, |sub| sub.name.clone()),
            scope: SCOPES.get(scope).copied().unwrap_or_default(),
        }
    }
}

fn verb(action: Action) -> usize {
    match action {
        Action::Get => 0,
        Action::List => 1,
        Action::Watch => 2,
        Action::Create => 3,
        Action::Update => 4,
        Action::Patch => 5,
        Action::Delete => 6,
        Action::DeleteCollection => 7,
        Action::Connect => 8,
    }
}

/// How much is asked for.
fn scope(target: &Target) -> usize {
    match (target.action, target.name.as_str(), target.namespace.as_str()) {
        (Action::Create, ..) => 2,
        (_, "", "") => 0,
        (_, "", _) => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;
