//! What is measured of a reconciler's queue, under the names that Kubernetes gives such queues.

use std::hash::Hash;
use std::time::Duration;

use crate::metrics::{Counter, Gauge, Histogram, Metric, Registry, SHORT};
use crate::queue::{Passed, Queue};

const DEPTH: Metric = Metric { name: "workqueue_depth", help: "Keys that are ready to be looked at." };
const ADDS: Metric = Metric { name: "workqueue_adds_total", help: "Keys that were added, or came due." };
const RETRIES: Metric = Metric { name: "workqueue_retries_total", help: "Keys that are tried again after a failure." };
const WAITED: Metric =
    Metric { name: "workqueue_queue_duration_seconds", help: "How long keys were ready before they were looked at." };
const WORKED: Metric = Metric {
    name: "workqueue_work_duration_seconds",
    help: "How long keys were in hand: the decision and its commands.",
};

/// The figures of one queue.
pub(super) struct Figures {
    depth: Gauge,
    added: Counter,
    retried: Counter,
    waited: Histogram,
    worked: Histogram,
}

impl Figures {
    pub(super) fn new(registry: &Registry, name: &str) -> Self {
        let labels = [("name", name)];
        Figures {
            depth: registry.gauge(DEPTH, &labels),
            added: registry.counter(ADDS, &labels),
            retried: registry.counter(RETRIES, &labels),
            waited: registry.histogram(WAITED, &labels, SHORT),
            worked: registry.histogram(WORKED, &labels, SHORT),
        }
    }

    /// Takes in how the queue is.
    pub(super) fn look<K: Clone + Eq + Hash>(&self, queue: &mut Queue<K>) {
        let Passed { added, retried } = queue.take_passed();
        self.added.add(added);
        self.retried.add(retried);
        self.depth.set(queue.ready());
    }

    pub(super) fn waited(&self, time: Duration) {
        self.waited.took(time);
    }

    pub(super) fn worked(&self, time: Duration) {
        self.worked.took(time);
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        // The queue goes with it.
        self.depth.set(0);
    }
}
