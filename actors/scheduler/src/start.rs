//! Starts the scheduler: its supervision tree.

use std::sync::Arc;

use cox_bus::Bus;
use cox_kit::recorder::{Aggregator, Reporter, recorder};
use cox_kit::supervise::ComponentError;
use cox_kit::{Api, Feed, Registry, Running, Scope, lease};
use cox_objects::Kinds;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::commands::SCHEDULER;
use crate::journal::Journal;
use crate::{decisions, scheduler};

/// The Lease of the leading scheduler, in `kube-system`.
pub const LEASE: &str = "kube-scheduler";

/// What the scheduler is given.
pub struct Deps<F> {
    /// The connection of the scheduler's identity.
    pub bus: Bus,
    /// The kinds of the API.
    pub kinds: Arc<Kinds>,
    /// What it reads: a mirror that is whole.
    pub feed: F,
    /// The name of this instance in the Lease, another one for each: `host_uuid`.
    pub holder: String,
    /// What is measured.
    pub metrics: Registry,
}

/// Starts the scheduler. It works once it holds its Lease, and stops working when it loses it.
///
/// # Errors
/// If an actor cannot start.
pub async fn start<F: Feed>(deps: Deps<F>) -> Result<Running, ComponentError> {
    let Deps { bus, kinds, feed, holder, metrics } = deps;
    let (sender, leads) = watch::channel(None);
    let free = Api::new(bus.clone(), kinds);
    let reporter = Reporter { component: SCHEDULER.to_owned(), host: String::new() };
    let notes = Arc::new(Mutex::new(Aggregator::new(reporter)));
    let api = free.clone().led_by(leads.clone()).recording(notes);
    let journal = Arc::new(Mutex::new(Journal::default()));
    let children = vec![
        recorder(api.clone()),
        decisions::server(bus, journal.clone()),
        lease::elector(LEASE.to_owned(), holder, feed.clone(), free, sender),
        scheduler::scheduler(feed, api, leads, journal, metrics),
    ];
    Running::start(Scope::root("scheduler"), children).await
}
