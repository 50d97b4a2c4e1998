//! The pod that a conversation is with: its node, its uid, and which of its containers.

use cox_bus::node::Target as NodeTarget;
use cox_objects::{Object, Status};
use serde::Deserialize;

/// The little that the gateway reads of a pod.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
}

impl Pod {
    /// Reads a stored pod.
    ///
    /// # Errors
    /// 500 if it is none.
    pub(super) fn read(object: &Object) -> Result<Self, Status> {
        object.parse().map_err(Status::internal)
    }

    /// The container that is meant.
    ///
    /// # Errors
    /// 400 if there is none of that name, or none is named and there are several.
    pub(super) fn container(&self, wanted: &str) -> Result<String, Status> {
        let Spec { containers, init_containers, ephemeral_containers, .. } = &self.spec;
        let name = &self.metadata.name;
        if !wanted.is_empty() {
            let mut all = containers.iter().chain(init_containers).chain(ephemeral_containers);
            return match all.any(|container| container.name == wanted) {
                true => Ok(wanted.to_owned()),
                false => Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}"))),
            };
        }
        match containers.as_slice() {
            [only] => Ok(only.name.clone()),
            [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
            several => {
                let mut text =
                    format!("a container name must be specified for pod {name}, choose one of: [{}]", names(several));
                for (what, others) in [("init", init_containers), ("ephemeral", ephemeral_containers)] {
                    if !others.is_empty() {
                        text.push_str(&format!(" or one of the {what} containers: [{}]", names(others)));
                    }
                }
                Err(Status::bad_request(text))
            }
        }
    }

    /// The node that it was bound to, if it was.
    pub(super) fn node(&self) -> Option<&str> {
        Some(self.spec.node_name.as_str()).filter(|node| !node.is_empty())
    }

    /// The node, where there is nothing to be had without one.
    ///
    /// # Errors
    /// 400.
    pub(super) fn host(&self) -> Result<&str, Status> {
        let missing = || Status::bad_request(format!("pod {} does not have a host assigned", self.metadata.name));
        self.node().ok_or_else(missing)
    }

    /// One of its containers as a node is told of it; an empty name means the whole pod.
    pub(super) fn target(&self, container: &str) -> NodeTarget {
        NodeTarget {
            namespace: self.metadata.namespace.clone(),
            pod: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            container: container.to_owned(),
        }
    }
}

fn names(containers: &[Container]) -> String {
    containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(" ")
}
