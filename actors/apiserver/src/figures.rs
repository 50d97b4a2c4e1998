//! What is measured of the log and of the publisher.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cox_kit::metrics::{Histogram, Metric, Registry, SHORT};
use cox_log::Log;

const COMMIT: Metric =
    Metric { name: "cox_log_commit_seconds", help: "How long a batch of transactions took to be written and synced." };
const BATCH: Metric = Metric { name: "cox_log_batch_size", help: "Transactions that were written together." };
const HEAD: Metric = Metric { name: "cox_log_head_revision", help: "The newest durable revision." };
const LAG: Metric = Metric {
    name: "cox_bus_publish_lag_revisions",
    help: "Durable revisions that the event stream has not acknowledged yet.",
};

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
