//! What a pod asks for, all of its containers together.

use k8s_openapi::api::core::v1 as api;

use crate::resources::{List, Resources};

/// What scores take for a container that asks for no CPU, in thousandths.
const DEFAULT_MILLI_CPU: i64 = 100;
/// What scores take for a container that asks for no memory, in bytes.
const DEFAULT_MEMORY: i64 = 200 << 20;

/// Which amounts a container counts with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counting {
    /// What it asks for.
    Asked,
    /// The same, and something where it asks for nothing: otherwise idle-looking nodes would fill up with such pods.
    Assumed,
}

/// What the pod asks for: the most that is in use at any time of its life, and its overhead.
///
/// Init containers run one after the other, each beside the sidecars before it; then all others with all sidecars. What the pod itself asks
/// for stands instead of its containers' sum (KEP-2837).
pub fn of(spec: &api::PodSpec) -> Resources {
    total(spec, Counting::Asked)
}

/// The same for scores, where no container asks for nothing; CPU and memory count.
pub fn assumed(spec: &api::PodSpec) -> Resources {
    total(spec, Counting::Assumed)
}

fn total(spec: &api::PodSpec, counting: Counting) -> Resources {
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&container_asks(container, counting));
    }
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = container_asks(container, counting);
        let stays = container.restart_policy.as_deref() == Some("Always");
        let mut at_its_time = sidecars.clone();
        at_its_time.add(&own);
        starting.raise(&at_its_time);
        if stays {
            sidecars.add(&own);
        }
    }
    running.add(&sidecars);
    running.raise(&starting);
    if let Some(list) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        let counts = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
        let own: List = list.iter().filter(|(name, _)| counts(name)).map(|(n, q)| (n.clone(), q.clone())).collect();
        running.set(&own);
    }
    if let Some(overhead) = &spec.overhead {
        running.add(&Resources::read(overhead));
    }
    running
}

fn container_asks(container: &api::Container, counting: Counting) -> Resources {
    let none = List::new();
    let list = container.resources.as_ref().and_then(|r| r.requests.as_ref()).unwrap_or(&none);
    let mut asks = Resources::read(list);
    if counting == Counting::Assumed {
        if !list.contains_key("cpu") {
            asks.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !list.contains_key("memory") {
            asks.memory = DEFAULT_MEMORY;
        }
    }
    asks
}

#[cfg(test)]
mod tests;
