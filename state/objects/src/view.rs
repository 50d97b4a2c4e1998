//! What a decision may look at: reading access to some projection of the store.

use crate::{Key, Object, Resource, Revision};

/// A readable state: a mirror, a node's feed, the apiserver's committed state, or a fork of one in a simulation.
///
/// Pure cores take `&dyn Source`, so that they run against any of these.
pub trait Source: Send + Sync {
    /// The revision up to which this state is whole.
    fn revision(&self) -> Revision;

    /// One object.
    fn get(&self, key: &Key) -> Option<Object>;

    /// All objects of a resource in a namespace (all namespaces, or cluster-scoped, if empty), in key order.
    fn list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)>;

    /// All objects of a resource that carry an owner reference to this uid, in key order.
    fn owned(&self, resource: &Resource, owner_uid: &str) -> Vec<(Key, Object)>;
}
