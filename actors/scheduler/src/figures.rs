//! What is measured of the scheduler, under the names that Kubernetes gives it.

use std::time::Duration;

use cox_kit::metrics::{Gauge, Histogram, Metric, Registry, SHORT};

use crate::commands::SCHEDULER;
use crate::queue::Waiting;

const ATTEMPTS: Metric = Metric {
    name: "scheduler_scheduling_attempt_duration_seconds",
    help: "From the beginning of an attempt until its outcome is written, by the outcome.",
};
const PENDING: Metric =
    Metric { name: "scheduler_pending_pods", help: "Pods that wait for a node, by what they wait for." };

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The pod is bound.
    Scheduled,
    /// No node has room for it.
    Unschedulable,
    /// What was decided could not be written.
    Error,
}

/// The instruments.
pub(crate) struct Figures {
    scheduled: Histogram,
    unschedulable: Histogram,
    error: Histogram,
    active: Gauge,
    backoff: Gauge,
    parked: Gauge,
}

impl Figures {
    pub(crate) fn new(registry: &Registry) -> Self {
        let attempts = |result| registry.histogram(ATTEMPTS, &[("profile", SCHEDULER), ("result", result)], SHORT);
        let pending = |queue| registry.gauge(PENDING, &[("queue", queue)]);
        Figures {
            scheduled: attempts("scheduled"),
            unschedulable: attempts("unschedulable"),
            error: attempts("error"),
            active: pending("active"),
            backoff: pending("backoff"),
            parked: pending("unschedulable"),
        }
    }

    pub(crate) fn attempt(&self, ended: Ended, took: Duration) {
        match ended {
            Ended::Scheduled => self.scheduled.took(took),
            Ended::Unschedulable => self.unschedulable.took(took),
            Ended::Error => self.error.took(took),
        }
    }

    pub(crate) fn pending(&self, waiting: Waiting) {
        self.active.set(waiting.active);
        self.backoff.set(waiting.backoff);
        self.parked.set(waiting.unschedulable);
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        // Who does not lead has no queue.
        self.pending(Waiting::default());
    }
}
