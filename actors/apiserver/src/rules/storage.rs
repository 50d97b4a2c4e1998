//! Persistent volumes, claims to them, and their classes.

pub(crate) mod attach;
pub(crate) mod classes;
pub(crate) mod persistent_claim;
pub(crate) mod volume;
