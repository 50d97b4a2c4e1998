//! What is measured of the log and of the publisher.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cox_kit::metrics::{Counter, Gauge, Histogram, Metric, Registry, SHORT};
use cox_log::{Floors, Log, Step, Usage};

const COMMIT: Metric =
    Metric { name: "cox_log_commit_seconds", help: "How long a batch of transactions took to be written and synced." };
const BATCH: Metric = Metric { name: "cox_log_batch_size", help: "Transactions that were written together." };
const HEAD: Metric = Metric { name: "cox_log_head_revision", help: "The newest durable revision." };
const LAG: Metric = Metric {
    name: "cox_bus_publish_lag_revisions",
    help: "Durable revisions that the event stream has not acknowledged yet.",
};

const DISK: Metric = Metric { name: "cox_log_disk_bytes", help: "What the files of the log take." };
const DENSE: Metric =
    Metric { name: "cox_log_dense_from_revision", help: "The revision from which on no event of the log is missing." };
const FLOOR: Metric = Metric {
    name: "cox_log_floor_revision",
    help: "The oldest revision at which objects can be read as they were, by resource; without one, of all others.",
};
const SINCE: Metric = Metric {
    name: "cox_log_readable_since_timestamp_seconds",
    help: "When the oldest revision was at which objects can be read as they were, in seconds since the Unix epoch.",
};
const DROPPED: Metric =
    Metric { name: "cox_log_dropped_events_total", help: "Events whose past is not kept and that were dropped." };
const BEHIND: Metric = Metric {
    name: "cox_log_compaction_lag_revisions",
    help: "Revisions that the floors have let go of and that were not looked at yet.",
};
const STEP: Metric =
    Metric { name: "cox_log_compaction_step_seconds", help: "How long one step of dropping events took." };

/// Upper bounds of how many transactions are written together.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// What the log's writer measures.
#[derive(Clone)]
pub(crate) struct Batches {
    commit: Histogram,
    size: Histogram,
}

impl Batches {
    pub(crate) fn new(registry: &Registry) -> Self {
        Batches { commit: registry.histogram(COMMIT, &[], SHORT), size: registry.histogram(BATCH, &[], SIZES) }
    }

    /// A batch was written.
    pub(crate) fn written(&self, transactions: usize, took: Duration) {
        self.commit.took(took);
        self.size.observe(transactions as f64);
    }
}

/// Shows where a log is, and how far its publisher is behind.
pub(crate) fn show(registry: &Registry, log: &Log, published: Arc<AtomicU64>) {
    // Of the log no more is kept than where it is: it has to close.
    let head = log.watch_head();
    let newest = head.clone();
    registry.asked(HEAD, &[], move || *head.borrow());
    registry.asked(LAG, &[], move || newest.borrow().saturating_sub(published.load(Ordering::Relaxed)));
}

/// What is measured of how the past is kept.
#[derive(Clone)]
pub(crate) struct Kept {
    registry: Registry,
    disk: Gauge,
    dense_from: Gauge,
    since: Gauge,
    behind: Gauge,
    dropped: Counter,
    step: Histogram,
}

impl Kept {
    pub(crate) fn new(registry: &Registry) -> Self {
        Kept {
            registry: registry.clone(),
            disk: registry.gauge(DISK, &[]),
            dense_from: registry.gauge(DENSE, &[]),
            since: registry.gauge(SINCE, &[]),
            behind: registry.gauge(BEHIND, &[]),
            dropped: registry.counter(DROPPED, &[]),
            step: registry.histogram(STEP, &[], SHORT),
        }
    }

    /// The log takes this now.
    pub(crate) fn takes(&self, usage: &Usage) {
        self.disk.set(number(usage.disk));
        self.since.set(number(usage.readable_since.unwrap_or(0) / 1_000));
    }

    /// The floors are here now.
    pub(crate) fn floors(&self, floors: &Floors) {
        self.dense_from.set(number(floors.dense_from));
        self.registry.gauge(FLOOR, &[("resource", "")]).set(number(floors.kept.all));
        for (resource, floor) in &floors.kept.own {
            self.registry.gauge(FLOOR, &[("resource", resource.as_str())]).set(number(*floor));
        }
    }

    /// A step was done.
    pub(crate) fn swept(&self, step: Step, took: Duration) {
        self.behind.set(number(step.behind));
        self.dropped.add(step.dropped as u64);
        if step.seen > 0 {
            self.step.took(took);
        }
    }
}

fn number(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
