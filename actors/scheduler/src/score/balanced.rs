//! The closer the used fractions of CPU and memory are to each other, the better.

use super::MAX;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

pub(super) fn scores(_: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    places.iter().map(|place| score(pod, place)).collect()
}

pub(super) fn score(pod: &Pod, place: &Place) -> i64 {
    // A pod that asks for neither changes no balance: it would gather with its like on the best balanced node.
    if pod.requests.milli_cpu == 0 && pod.requests.memory == 0 {
        return 0;
    }
    let (all, used) = (&place.node.allocatable, &place.load.used);
    let cpu = fraction(used.milli_cpu + pod.requests.milli_cpu, all.milli_cpu);
    let memory = fraction(used.memory + pod.requests.memory, all.memory);
    // The standard deviation of two numbers is half their distance, of one it is nothing.
    let deviation = cpu.zip(memory).map_or(0.0, |(cpu, memory)| (cpu - memory).abs() / 2.0);
    ((1.0 - deviation) * MAX as f64) as i64
}

fn fraction(used: i64, all: i64) -> Option<f64> {
    (all > 0).then(|| (used as f64 / all as f64).min(1.0))
}
