//! Which moment a change of endpoints came of: for those who measure how long it takes until it is known everywhere.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cox_objects::Key;
use jiff::Timestamp;

use super::Service;
use crate::pods::Pod;

/// What was known of each Service's pods when it was looked at last. Lost at a restart: then changes have the Service's own time.
#[derive(Default)]
pub(super) struct Triggers {
    seen: HashMap<Key, Seen>,
}

#[derive(Default)]
struct Seen {
    service: Option<Timestamp>,
    pods: BTreeMap<String, Timestamp>,
}

impl Triggers {
    /// The earliest moment that is new: of a Service made, or of a pod that became ready or ceased to be. None if there is nothing newer.
    pub(super) fn next(&mut self, key: &Key, service: &Service, pods: &[Arc<Pod>]) -> Option<Timestamp> {
        let seen = self.seen.entry(key.clone()).or_default();
        let turned = |pod: &Arc<Pod>| {
            let at = pod.readiness()?.last_transition_time.as_ref()?.0;
            Some((pod.metadata.name.clone(), at))
        };
        let pods: BTreeMap<String, Timestamp> = pods.iter().filter_map(turned).collect();
        let newer = pods.iter().filter(|(name, at)| seen.pods.get(*name).is_none_or(|before| before < at));
        let created = service.metadata.created();
        let made = Some(created).filter(|at| seen.service.is_none_or(|before| before < *at));
        let first = newer.map(|(_, at)| *at).chain(made).min();
        *seen = Seen { service: Some(created), pods };
        first
    }

    pub(super) fn forget(&mut self, key: &Key) {
        self.seen.remove(key);
    }
}
