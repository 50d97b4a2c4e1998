//! What is measured of a kubelet, under the names that Kubernetes gives it.

use std::time::Duration;

use cox_kit::metrics::{Gauge, Histogram, Metric, Registry};

const PODS: Metric = Metric { name: "kubelet_running_pods", help: "Pods whose sandbox stands." };
const CONTAINERS: Metric = Metric { name: "kubelet_running_containers", help: "Containers, by their state." };
const START: Metric = Metric {
    name: "kubelet_pod_start_duration_seconds",
    help: "From the moment that the node saw a pod until all its containers ran.",
};

const PARSED: Metric = Metric {
    name: "cox_kubelet_parsed_pods",
    help: "Parsed Pods in memory: of pods with which something is being done.",
};

/// Upper bounds of what a pod's start takes, in seconds: an image may have to be pulled for it.
const BOUNDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0];

/// The instruments of a node. Cheap to clone.
#[derive(Clone)]
pub struct Figures {
    pods: Gauge,
    created: Gauge,
    running: Gauge,
    exited: Gauge,
    parsed: Gauge,
    started: Histogram,
}

/// What there is of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// Its sandbox stands.
    pub sandbox: bool,
    /// Containers that were made and have not run.
    pub created: u32,
    /// Containers that run.
    pub running: u32,
    /// Containers that have ended.
    pub exited: u32,
}

/// One pod's part of the figures; dropped, it is gone from them.
pub struct Share {
    figures: Figures,
    there: There,
}

impl Figures {
    /// The instruments of the kubelet of this process.
    pub fn new(registry: &Registry) -> Self {
        let containers = |state| registry.gauge(CONTAINERS, &[("container_state", state)]);
        Figures {
            pods: registry.gauge(PODS, &[]),
            created: containers("created"),
            running: containers("running"),
            exited: containers("exited"),
            parsed: registry.gauge(PARSED, &[]),
            started: registry.histogram(START, &[], BOUNDS),
        }
    }

    /// A pod has started.
    pub fn started(&self, took: Duration) {
        self.started.took(took);
    }

    /// What counts the parsed Pods.
    pub fn parsed(&self) -> &Gauge {
        &self.parsed
    }

    /// A pod of which nothing is there yet.
    pub fn share(&self) -> Share {
        Share { figures: self.clone(), there: There::default() }
    }
}

impl Share {
    /// This is there of the pod now.
    pub fn set(&mut self, now: There) {
        let before = std::mem::replace(&mut self.there, now);
        let Figures { pods, created, running, exited, .. } = &self.figures;
        pods.add(i64::from(now.sandbox) - i64::from(before.sandbox));
        created.add(i64::from(now.created) - i64::from(before.created));
        running.add(i64::from(now.running) - i64::from(before.running));
        exited.add(i64::from(now.exited) - i64::from(before.exited));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(There::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_add_up_and_leave_nothing_behind() {
        let registry = Registry::default();
        let figures = Figures::new(&registry);
        let (mut one, mut other) = (figures.share(), figures.share());
        one.set(There { sandbox: true, running: 2, exited: 1, created: 0 });
        other.set(There { sandbox: true, running: 0, exited: 0, created: 3 });
        one.set(There { sandbox: true, running: 1, exited: 2, created: 0 });
        let values = |f: &Figures| [f.pods.get(), f.created.get(), f.running.get(), f.exited.get()];
        assert_eq!(values(&figures), [2, 3, 1, 2]);
        drop(one);
        assert_eq!(values(&figures), [1, 3, 0, 0]);
        drop(other);
        assert_eq!(values(&figures), [0, 0, 0, 0]);
    }
}
