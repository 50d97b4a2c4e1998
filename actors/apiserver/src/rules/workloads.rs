//! Controllers of pods: what they have in common is the pod template.

pub(crate) mod controller;
pub(crate) mod deployment;
pub(crate) mod replica_set;
pub(crate) mod template;
