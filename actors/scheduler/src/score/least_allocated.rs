//! The more CPU and memory would be left, the better; pods that ask for nothing count as if they asked for a little.

use super::MAX;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

pub(super) fn scores(_: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    let score = |place: &&Place| {
        let (all, used) = (&place.node.allocatable, &place.load.assumed);
        let cpu = left(all.milli_cpu, used.milli_cpu + pod.assumed.milli_cpu);
        let memory = left(all.memory, used.memory + pod.assumed.memory);
        // What the node has none of does not count.
        let counted: Vec<i64> = [cpu, memory].into_iter().flatten().collect();
        counted.iter().sum::<i64>().checked_div(i64::try_from(counted.len()).unwrap_or(0)).unwrap_or(0)
    };
    places.iter().map(score).collect()
}

fn left(all: i64, used: i64) -> Option<i64> {
    (all > 0).then(|| if used > all { 0 } else { (i128::from(all - used) * i128::from(MAX) / i128::from(all)) as i64 })
}
