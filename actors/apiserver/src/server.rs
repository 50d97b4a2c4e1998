//! The apiserver's supervision tree: what runs, in which order it starts, and how it is told about.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use cox_bus::publisher::{PublishError, Turn};
use cox_bus::{Bus, CallError, Publisher, SealingKey, serve_reads};
use cox_kit::supervise::{ComponentError, worker};
use cox_kit::{Registry, Running, Scope};
use cox_log::{LEAP, Log, OpenError};
use cox_objects::Kinds;

use crate::bootstrap::{self, BootstrapError};
use crate::config::Config;
use crate::execute::Executor;
use crate::index::{Indexes, Shared};
use crate::read_lease::ReadLease;
use crate::source::LogSource;
use crate::state::stored::Stored;
use crate::{checkpoint, compaction, expiry, figures, integrators, readiness, requests};

/// What an apiserver is made of.
pub struct Deps {
    /// The connection that requests and reads are served on, under [`cox_bus::Identity::Apiserver`].
    pub bus: Bus,
    /// A connection of its own for publishing: the server slows a publisher whose subscribers are slow.
    pub publishing: Bus,
    /// The key that Secrets are sealed with on their way.
    pub sealing: SealingKey,
    /// Where the log is.
    pub data_dir: PathBuf,
    /// What is served.
    pub kinds: Arc<Kinds>,
    /// Settings.
    pub config: Config,
    /// What is measured.
    pub metrics: Registry,
}

/// Why an apiserver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be opened; the text is one line that says what to do.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// What every cluster begins with cannot be written.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The event stream is ahead of the log.
    #[error(transparent)]
    Stream(#[from] PublishError),
    /// The bus is not there.
    #[error("the apiserver cannot listen on the bus: {0}")]
    Bus(#[from] CallError),
    /// The tree did not start.
    #[error(transparent)]
    Tree(#[from] ComponentError),
}

/// A running apiserver.
pub struct Apiserver {
    running: Running,
    log: Log,
}

/// Opens the log, writes what every cluster begins with, and serves.
///
/// # Errors
/// If the log cannot be opened or written, or the bus is not there.
pub async fn start(deps: Deps) -> Result<Apiserver, StartError> {
    let shared = Arc::new(Shared::default());
    let log = open(&deps, &shared).await?;
    let published = Arc::new(AtomicU64::new(0));
    figures::show(&deps.metrics, &log, published.clone());
    let (kept, policy) = (figures::Kept::new(&deps.metrics), deps.config.retention.clone());
    kept.floors(&log.floors());
    let stored = Stored { log: log.clone(), shared };
    let executor = Executor { stored, kinds: deps.kinds, config: Arc::new(deps.config) };
    bootstrap::run(&executor).await?;

    let scope = Scope::root("apiserver");
    let source = Arc::new(LogSource(log.clone()));
    let turn = Turn::default();
    let publisher = {
        let (bus, source, sealing) = (deps.publishing, source.clone(), deps.sealing.clone());
        let (published, turn) = (published.clone(), turn.clone());
        worker("publisher", move |scope| {
            let publisher = Publisher::new(bus.clone(), source.clone(), sealing.clone());
            let publisher = publisher.telling(published.clone()).giving(turn.clone());
            async move { Ok(publisher.run(scope.cancelled().clone()).await?) }
        })
    };
    let reads = {
        let (bus, source, sealing) = (deps.bus.clone(), source.clone(), deps.sealing.clone());
        worker("reads", move |scope| {
            let (bus, source, sealing) = (bus.clone(), source.clone(), sealing.clone());
            async move { Ok(serve_reads(&bus, source, sealing, scope.cancelled().clone()).await?) }
        })
    };
    let requests = {
        let (bus, executor) = (deps.bus.clone(), executor.clone());
        let lease = ReadLease::new(bus.clone(), log.clone(), executor.config.after_another);
        worker("requests", move |scope| requests::serve(bus.clone(), executor.clone(), lease.clone(), scope))
    };
    let expiry = {
        let executor = executor.clone();
        worker("expiry", move |scope| expiry::run(executor.clone(), scope))
    };
    let integrators = {
        let (bus, executor, dir, sealing) = (deps.bus.clone(), executor.clone(), deps.data_dir.clone(), deps.sealing);
        worker("integrators", move |scope| {
            integrators::serve(bus.clone(), executor.clone(), dir.clone(), (sealing.clone(), turn.take()), scope)
        })
    };
    let checkpoint = {
        let (bus, log, dir) = (deps.bus.clone(), log.clone(), deps.data_dir);
        worker("checkpoint", move |scope| checkpoint::serve(bus.clone(), log.clone(), dir.clone(), scope))
    };
    let compaction = {
        let (bus, log) = (deps.bus.clone(), log.clone());
        worker("compaction", move |scope| {
            compaction::serve(bus.clone(), log.clone(), policy.clone(), kept.clone(), scope)
        })
    };
    let readiness = {
        let (bus, log) = (deps.bus, log.clone());
        worker("readiness", move |scope| readiness::serve(bus.clone(), log.clone(), published.clone(), scope))
    };
    let children = vec![integrators, publisher, reads, requests, expiry, checkpoint, compaction, readiness];
    let running = Running::start(scope, children).await?;
    Ok(Apiserver { running, log })
}

/// Opens the log. If others have seen events of it that it does not have, the disk went back in time: then it goes on in a new epoch, past
/// what they have seen, if that is wanted.
async fn open(deps: &Deps, shared: &Arc<Shared>) -> Result<Log, StartError> {
    let Deps { data_dir, config, publishing, metrics, .. } = deps;
    let batches = figures::Batches::new(metrics);
    let indexes = || Indexes::new(shared.clone()).measured(batches.clone());
    let open = || Log::open(data_dir, config.log.clone(), Box::new(indexes()));
    let log = open()?;
    let end = match Publisher::<LogSource>::end(publishing).await {
        Ok(Some(end)) => end,
        Ok(None) => return Ok(log),
        Err(error) => {
            // The publisher asks again, and publishes nothing before it knows.
            tracing::warn!(%error, "whether the event stream is ahead of the log is not known yet");
            return Ok(log);
        }
    };
    let (epoch, head) = (log.epoch(), log.head());
    match Publisher::<LogSource>::check(epoch, head, &end) {
        Err(PublishError::Ahead { stream, .. }) if config.accept_loss => {
            tracing::warn!(stream, head, "the log has lost events; it goes on in a new epoch");
            log.close();
            Log::begin_epoch(data_dir, &config.log, stream.max(head + LEAP))?;
            Ok(open()?)
        }
        Err(ahead) => Err(ahead.into()),
        Ok(()) => Ok(log),
    }
}

impl Apiserver {
    /// The supervision tree, to show and to wait on.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Stops serving, then closes the log: everything acknowledged is in it.
    pub async fn stop(self) {
        self.running.stop().await;
        self.log.close();
    }
}
