//! Namespaces, Nodes, Leases and the classes that pods name.

pub(crate) mod classes;
pub(crate) mod lease;
pub(crate) mod namespace;
pub(crate) mod node;
