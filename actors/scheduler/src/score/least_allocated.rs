//! The more CPU and memory would be left, the better; pods that ask for nothing count as if they asked for a little.

use super::MAX;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

pub(super) fn scores(_: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    places.iter().map(|place| score(pod, place)).collect()
}

pub(super) fn score(pod: &Pod, place: &Place) -> i64 {
    let (all, used) = (&place.node.allocatable, &place.load.assumed);
    let cpu = left(all.milli_cpu, used.milli_cpu + pod.assumed.milli_cpu);
    let memory = left(all.memory, used.memory + pod.assumed.memory);
    // What the node has none of does not count.
    match (cpu, memory) {
        (Some(cpu), Some(memory)) => (cpu + memory) / 2,
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => 0,
    }
}

fn left(all: i64, used: i64) -> Option<i64> {
    (all > 0).then(|| if used > all { 0 } else { (i128::from(all - used) * i128::from(MAX) / i128::from(all)) as i64 })
}
