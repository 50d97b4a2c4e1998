//! Changes of objects, read into what the planner takes in.

use cox_kit::feed::Change;
use cox_objects::{Key, Object, Resource};
use k8s_openapi::api::core::v1 as api;
use serde::de::DeserializeOwned;

use crate::node::Node;
use crate::pod::Pod;
use crate::term::LabelMap;

/// What is followed. Pods come last: at the start, nodes and namespaces are known before the first pod is looked at.
pub const FOLLOWED: [Resource; 3] = [Resource::NAMESPACES, Resource::NODES, Resource::PODS];

/// What has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A pod is so.
    Pod(Box<Pod>),
    /// A pod is gone.
    PodGone(Key),
    /// A node is so.
    Node(Box<Node>),
    /// A node is gone.
    NodeGone(String),
    /// A namespace has these labels.
    Namespace(String, LabelMap),
    /// A namespace is gone.
    NamespaceGone(String),
}

/// Reads a change; none if it is of no interest, or its object does not fit its type (which is logged).
pub fn read(change: &Change) -> Option<Fact> {
    let key = &change.key;
    let name = || key.name().to_owned();
    match (&key.resource, &change.new) {
        (resource, Some(object)) if *resource == Resource::PODS => {
            Some(Fact::Pod(Box::new(Pod::read(&parse::<api::Pod>(key, object)?))))
        }
        (resource, None) if *resource == Resource::PODS => Some(Fact::PodGone(key.clone())),
        (resource, Some(object)) if *resource == Resource::NODES => {
            Some(Fact::Node(Box::new(Node::read(&parse::<api::Node>(key, object)?))))
        }
        (resource, None) if *resource == Resource::NODES => Some(Fact::NodeGone(name())),
        (resource, Some(object)) if *resource == Resource::NAMESPACES => {
            let namespace = parse::<api::Namespace>(key, object)?;
            Some(Fact::Namespace(name(), namespace.metadata.labels.unwrap_or_default()))
        }
        (resource, None) if *resource == Resource::NAMESPACES => Some(Fact::NamespaceGone(name())),
        _ => None,
    }
}

fn parse<T: DeserializeOwned>(key: &Key, object: &Object) -> Option<T> {
    let parsed = object.parse::<T>();
    parsed.inspect_err(|error| tracing::error!(%key, %error, "an object does not fit its type")).ok()
}
