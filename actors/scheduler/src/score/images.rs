//! The more of the pod's images (by size) a node has, the better; images that few nodes have count less, lest one node draws all pods.

use super::MAX;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

/// Below so many bytes an image does not matter.
const LEAST: i64 = 23 << 20;
/// From so many bytes for each container on a node could not be better.
const MOST_EACH: i64 = 1000 << 20;

pub(super) fn scores(snapshot: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    places.iter().map(|place| score(snapshot, pod, place)).collect()
}

pub(super) fn score(snapshot: &Snapshot, pod: &Pod, place: &Place) -> i64 {
    let nodes = snapshot.len().max(1) as f64;
    let most = MOST_EACH * i64::try_from(pod.images.len()).unwrap_or(1).max(1);
    let sizes = pod.images.iter().filter_map(|image| {
        let size = *place.node.images.get(image)?;
        Some((size as f64 * (snapshot.image_spread(image) as f64 / nodes)) as i64)
    });
    MAX * (sizes.sum::<i64>().clamp(LEAST, most) - LEAST) / (most - LEAST)
}
