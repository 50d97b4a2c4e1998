//! Controllers of pods: what they have in common is the pod template.

pub(crate) mod batch;
pub(crate) mod controller;
mod counts;
pub(crate) mod daemon_set;
pub(crate) mod deployment;
pub(crate) mod disruption;
pub(crate) mod replica_set;
pub(crate) mod revision;
pub(crate) mod stateful_set;
pub(crate) mod template;
