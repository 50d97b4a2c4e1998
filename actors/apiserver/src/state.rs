//! What a decision may look at: committed state, and the indexes that follow it.

use std::sync::Arc;

use cox_objects::{Key, Source};

use crate::index::Rbac;

#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod stored;

/// Committed state, as decisions read it. The log implements it; tests have one in memory.
pub(crate) trait State: Source {
    /// Roles and bindings.
    fn rbac(&self) -> Arc<Rbac>;

    /// Whether a namespace is known to take new objects; the guard at the commit decides.
    fn is_live(&self, namespace: &str) -> bool;

    /// The Service that has a node port.
    fn port_owner(&self, port: u16) -> Option<Key>;
}
