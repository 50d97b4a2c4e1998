//! What a node may do: with its own Node and Lease, with the pods that run on it, and with what these pods use.

use cox_objects::rbac::Decision;
use cox_objects::{Key, Resource, User};
use serde_json::Value;

use super::Asked;
use crate::state::State;
use crate::value::{list, text};

const GROUP: &str = "system:nodes";
const PREFIX: &str = "system:node:";
const LEASES: &str = "kube-node-lease";

/// The decision about a node's request; none if it is no node, or nodes have no say in it.
pub(super) fn authorize(state: &dyn State, user: &User, asked: &Asked<'_>) -> Option<Decision> {
    let node = user.name.strip_prefix(PREFIX).filter(|n| !n.is_empty())?;
    if !user.groups.iter().any(|g| g == GROUP) || asked.path.is_some() {
        return None;
    }
    let writes = matches!(asked.verb, "create" | "update" | "patch");
    match (asked.group, asked.resource, asked.subresource) {
        ("", "nodes", "" | "status") if writes || asked.verb == "get" => {
            own(asked, node, "can only access Node with the same name as the requesting node")
        }
        ("coordination.k8s.io", "leases", "") => {
            if asked.namespace != LEASES {
                return no(format!("can only access leases in the {LEASES:?} system namespace"));
            }
            own(asked, node, "can only access node lease with the same name as the requesting node")
        }
        ("storage.k8s.io", "csinodes", "") => {
            own(asked, node, "can only access CSINode with the same name as the requesting node")
        }
        ("", "pods", "") if matches!(asked.verb, "get" | "delete") => on_node(state, asked, node),
        ("", "pods", "status") if writes => on_node(state, asked, node),
        ("", "pods", "eviction") if asked.verb == "create" => on_node(state, asked, node),
        ("", "events", "") | ("events.k8s.io", "events", "") if writes => yes(),
        ("", "serviceaccounts", "token") if asked.verb == "create" => {
            related(state, asked, node, |pod| text(pod, "/spec/serviceAccountName") == asked.name)
        }
        ("", "secrets", "") => used(state, asked, node, &SECRETS),
        ("", "configmaps", "") => used(state, asked, node, &CONFIGMAPS),
        ("certificates.k8s.io", "certificatesigningrequests", "") if asked.verb == "create" => yes(),
        ("authentication.k8s.io", "tokenreviews", "") if asked.verb == "create" => yes(),
        ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews", "")
            if asked.verb == "create" =>
        {
            yes()
        }
        _ => None,
    }
}

fn yes() -> Option<Decision> {
    Some(Decision { allowed: true, reason: String::new() })
}

fn no(reason: impl Into<String>) -> Option<Decision> {
    Some(Decision { allowed: false, reason: reason.into() })
}

/// A create does not name its object yet; validation of the object's name is not authorization's.
fn own(asked: &Asked<'_>, node: &str, why: &str) -> Option<Decision> {
    if asked.name == node || asked.verb == "create" { yes() } else { no(why) }
}

fn on_node(state: &dyn State, asked: &Asked<'_>, node: &str) -> Option<Decision> {
    let pod = state.get(&Key::new(Resource::PODS, asked.namespace, asked.name));
    match pod.map(|p| p.value()) {
        // What is not there is answered by the write itself.
        None => yes(),
        Some(pod) if text(&pod, "/spec/nodeName") == node => yes(),
        Some(_) => no(unrelated(node)),
    }
}

fn unrelated(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

/// Whether a pod on the node has to do with the object.
fn related(state: &dyn State, asked: &Asked<'_>, node: &str, with: impl Fn(&Value) -> bool) -> Option<Decision> {
    let pods = state.list(&Resource::PODS, asked.namespace);
    let found = pods.iter().map(|(_, pod)| pod.value()).any(|p| text(&p, "/spec/nodeName") == node && with(&p));
    if found { yes() } else { no(unrelated(node)) }
}

/// Where pods name a kind of object.
struct Uses {
    volume: &'static str,
    volume_name: &'static str,
    env: &'static str,
    env_from: &'static str,
    pull: bool,
}

const SECRETS: Uses =
    Uses { volume: "secret", volume_name: "secretName", env: "secretKeyRef", env_from: "secretRef", pull: true };
const CONFIGMAPS: Uses =
    Uses { volume: "configMap", volume_name: "name", env: "configMapKeyRef", env_from: "configMapRef", pull: false };

fn used(state: &dyn State, asked: &Asked<'_>, node: &str, uses: &Uses) -> Option<Decision> {
    match (asked.verb, asked.name) {
        (_, "") => no("No Object name found"),
        ("get" | "list" | "watch", name) => related(state, asked, node, |pod| names(pod, uses, name)),
        _ => no("can only read resources of this type"),
    }
}

fn names(pod: &Value, uses: &Uses, name: &str) -> bool {
    let volumes = list(pod, "/spec/volumes").iter().any(|v| {
        text(v, &format!("/{}/{}", uses.volume, uses.volume_name)) == name
            || list(v, "/projected/sources").iter().any(|s| text(s, &format!("/{}/name", uses.volume)) == name)
    });
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    let in_env = containers.iter().flat_map(|c| list(pod, &format!("/spec/{c}"))).any(|c| {
        list(c, "/env").iter().any(|e| text(e, &format!("/valueFrom/{}/name", uses.env)) == name)
            || list(c, "/envFrom").iter().any(|e| text(e, &format!("/{}/name", uses.env_from)) == name)
    });
    let pulls = uses.pull && list(pod, "/spec/imagePullSecrets").iter().any(|s| text(s, "/name") == name);
    volumes || in_env || pulls
}
