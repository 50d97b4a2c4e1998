//! What a node may do: with its own Node, Lease and CSINode, with the pods that run on it, and with what these pods use; and what the
//! role of nodes allows of everything else.
//!
//! The rules are those of Kubernetes' node authorizer. Where that one leaves it to an admission plugin that a node writes to nothing but its
//! own, it is refused here.

use serde_json::Value;

use super::{Attributes, Decision, RbacView, RoleRef, Target};
use crate::meta::{get, text};
use crate::{Key, Resource, Source};

const GROUP: &str = "system:nodes";
const PREFIX: &str = "system:node:";
const LEASES: &str = "kube-node-lease";
/// The role whose rules hold for all nodes, without a binding.
const ROLE: &str = "system:node";

/// The decision about a node's request; none if it comes from no node. `selected` is the node to whose pods the field selector of a list or
/// watch keeps it (`spec.nodeName=…`); empty if there is no such selector.
pub fn authorize_node(
    view: &dyn RbacView,
    state: &dyn Source,
    request: &Attributes<'_>,
    selected: &str,
) -> Option<Decision> {
    let node = request.user.name.strip_prefix(PREFIX).filter(|name| !name.is_empty())?;
    if !request.user.is_in(GROUP) {
        return None;
    }
    let verdict = match request.target {
        Target::Path(_) => None,
        Target::Resource { group, resource, subresource, namespace, name } => {
            Asked { state, node, verb: request.verb, subresource, namespace, name }.decide(group, resource, selected)
        }
    };
    let verdict = verdict.unwrap_or_else(|| by_role(view, request));
    Some(Decision { allowed: verdict.is_ok(), reason: verdict.err().unwrap_or_default() })
}

/// Allowed, or why not.
type Verdict = Result<(), String>;

/// What the rules of all nodes say.
fn by_role(view: &dyn RbacView, request: &Attributes<'_>) -> Verdict {
    let role = RoleRef { kind: "ClusterRole".to_owned(), name: ROLE.to_owned() };
    let rules = view.rules("", &role).unwrap_or_default();
    if rules.iter().any(|rule| request.is_allowed_by(rule)) { Ok(()) } else { Err(String::new()) }
}

/// A request of a node for a resource.
struct Asked<'a> {
    state: &'a dyn Source,
    node: &'a str,
    verb: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl Asked<'_> {
    /// None where the resource is not divided among nodes.
    fn decide(&self, group: &str, resource: &str, selected: &str) -> Option<Verdict> {
        Some(match (group, resource) {
            ("", "secrets") => self.used(&SECRETS),
            ("", "configmaps") => self.used(&CONFIGMAPS),
            ("", "persistentvolumeclaims") if self.subresource == "status" && self.verb != "get" => self.claim_status(),
            ("", "persistentvolumeclaims") => self.one(|this| this.related(|pod| claims(pod, this.name))),
            ("", "persistentvolumes") => self.one(Asked::volume),
            ("storage.k8s.io", "volumeattachments") => self.one(Asked::attachment),
            ("resource.k8s.io", "resourceclaims") => self.one(|this| this.related(|pod| device(pod, this.name))),
            ("", "serviceaccounts") if self.subresource == "token" || self.verb == "create" => self.token(),
            ("", "serviceaccounts") => self.one(|this| this.related(|pod| account(pod) == this.name)),
            ("coordination.k8s.io", "leases") => self.lease(),
            ("storage.k8s.io", "csinodes") => self.csi_node(),
            ("", "nodes") => return self.node(),
            ("", "pods") => return self.pod(selected),
            _ => return None,
        })
    }

    fn used(&self, uses: &Uses) -> Verdict {
        match (self.verb, self.subresource, self.namespace) {
            ("get" | "list" | "watch", "", "") => Err("can only read namespaced object of this type".to_owned()),
            ("get" | "list" | "watch", "", _) => self.related(|pod| uses.named_by(pod, self.name)),
            ("get" | "list" | "watch", _, _) => Err("cannot read subresource".to_owned()),
            _ => Err("can only read resources of this type".to_owned()),
        }
    }

    fn one(&self, check: impl Fn(&Self) -> Verdict) -> Verdict {
        match (self.verb, self.subresource) {
            ("get", "") => check(self),
            ("get", _) => Err("cannot get subresource".to_owned()),
            _ => Err("can only get individual resources of this type".to_owned()),
        }
    }

    fn claim_status(&self) -> Verdict {
        match self.verb {
            "update" | "patch" => self.related(|pod| claims(pod, self.name)),
            _ => Err("can only get/update/patch this type".to_owned()),
        }
    }

    /// A volume is a node's by the claim that it is bound to.
    fn volume(&self) -> Verdict {
        let Some(volume) = self.stored(Resource::from_static("persistentvolumes"), "") else { return self.unrelated() };
        let claim = |field: &str| text(&volume, field).to_owned();
        let (namespace, name) = (claim("spec.claimRef.namespace"), claim("spec.claimRef.name"));
        let in_use = self.pods(&namespace).any(|pod| claims(&pod, &name));
        if in_use && !name.is_empty() { Ok(()) } else { self.unrelated() }
    }

    fn attachment(&self) -> Verdict {
        let attachment = self.stored(Resource::from_static("volumeattachments.storage.k8s.io"), "");
        match attachment {
            Some(attachment) if text(&attachment, "spec.nodeName") == self.node => Ok(()),
            _ => self.unrelated(),
        }
    }

    fn token(&self) -> Verdict {
        match (self.verb, self.name, self.subresource) {
            ("create", "", _) => Err("can only create tokens for individual service accounts".to_owned()),
            ("create", _, "token") => self.related(|pod| account(pod) == self.name),
            ("create", ..) => Err("can only create token subresource of serviceaccount".to_owned()),
            _ => Err("can only create tokens for individual service accounts".to_owned()),
        }
    }

    fn lease(&self) -> Verdict {
        if !self.writes_or_gets() {
            return Err("can only get, create, update, patch, or delete a node lease".to_owned());
        }
        if self.namespace != LEASES {
            return Err(format!("can only access leases in the {LEASES:?} system namespace"));
        }
        self.own("can only access node lease with the same name as the requesting node")
    }

    fn csi_node(&self) -> Verdict {
        if !self.writes_or_gets() {
            return Err("can only get, create, update, patch, or delete a CSINode".to_owned());
        }
        if !self.subresource.is_empty() {
            return Err("cannot authorize CSINode subresources".to_owned());
        }
        self.own("can only access CSINode with the same name as the requesting node")
    }

    fn node(&self) -> Option<Verdict> {
        Some(match (self.verb, self.subresource) {
            ("get" | "list" | "watch", "") if self.name == self.node => Ok(()),
            ("get" | "list" | "watch", "") => {
                let what = if self.name.is_empty() { "all nodes".to_owned() } else { format!("'{}'", self.name) };
                Err(format!("node '{}' cannot read {what}, only its own Node object", self.node))
            }
            ("create" | "update" | "patch", "" | "status") => {
                self.own("can only access Node with the same name as the requesting node")
            }
            _ => return None,
        })
    }

    fn pod(&self, selected: &str) -> Option<Verdict> {
        Some(match (self.verb, self.subresource) {
            ("get", "") => match self.stored(Resource::PODS, self.namespace) {
                Some(pod) if text(&pod, "spec.nodeName") == self.node => Ok(()),
                _ => self.unrelated(),
            },
            ("list" | "watch", "") => match selected == self.node {
                true => Ok(()),
                false => Err("can only list/watch pods with spec.nodeName field selector".to_owned()),
            },
            ("delete", "") | ("update" | "patch", "status") | ("create", "eviction") => {
                match self.stored(Resource::PODS, self.namespace) {
                    Some(pod) if text(&pod, "spec.nodeName") != self.node => self.unrelated(),
                    // What is not there is answered by the write itself.
                    _ => Ok(()),
                }
            }
            _ => return None,
        })
    }

    fn writes_or_gets(&self) -> bool {
        matches!(self.verb, "get" | "create" | "update" | "patch" | "delete")
    }

    /// A create does not name its object yet; validation of the object's name is not authorization's.
    fn own(&self, why: &str) -> Verdict {
        if self.name == self.node || self.verb == "create" { Ok(()) } else { Err(why.to_owned()) }
    }

    fn unrelated(&self) -> Verdict {
        Err(format!("no relationship found between node '{}' and this object", self.node))
    }

    /// Whether a pod on the node has to do with the object.
    fn related(&self, with: impl Fn(&Value) -> bool) -> Verdict {
        match self.name {
            "" => Err("No Object name found".to_owned()),
            _ if self.pods(self.namespace).any(|pod| with(&pod)) => Ok(()),
            _ => self.unrelated(),
        }
    }

    fn stored(&self, resource: Resource, namespace: &str) -> Option<Value> {
        self.state.get(&Key::new(resource, namespace, self.name)).map(|object| object.value())
    }

    fn pods(&self, namespace: &str) -> impl Iterator<Item = Value> {
        let all = self.state.list(&Resource::PODS, namespace).into_iter().map(|(_, pod)| pod.value());
        all.filter(|pod| text(pod, "spec.nodeName") == self.node)
    }
}

fn account(pod: &Value) -> &str {
    text(pod, "spec.serviceAccountName")
}

fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    get(object, path).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Whether a pod uses a claim: named, or made for one of its ephemeral volumes.
fn claims(pod: &Value, name: &str) -> bool {
    let made = |volume: &Value| {
        let ephemeral = !get(volume, "ephemeral").is_null();
        ephemeral && format!("{}-{}", text(pod, "metadata.name"), text(volume, "name")) == name
    };
    let volumes = list(pod, "spec.volumes");
    volumes.iter().any(|volume| text(volume, "persistentVolumeClaim.claimName") == name || made(volume))
}

fn device(pod: &Value, name: &str) -> bool {
    let named = |path: &str| list(pod, path).iter().any(|claim| text(claim, "resourceClaimName") == name);
    named("spec.resourceClaims") || named("status.resourceClaimStatuses")
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

impl Uses {
    fn named_by(&self, pod: &Value, name: &str) -> bool {
        let is = |object: &Value, path: &str| text(object, path) == name;
        let volumes = list(pod, "spec.volumes").iter().any(|volume| {
            is(volume, &format!("{}.{}", self.volume, self.volume_name))
                || list(volume, "projected.sources").iter().any(|source| is(source, &format!("{}.name", self.volume)))
        });
        let containers = ["spec.initContainers", "spec.containers", "spec.ephemeralContainers"];
        let in_env = containers.iter().flat_map(|path| list(pod, path)).any(|container| {
            list(container, "env").iter().any(|env| is(env, &format!("valueFrom.{}.name", self.env)))
                || list(container, "envFrom").iter().any(|env| is(env, &format!("{}.name", self.env_from)))
        });
        let pulls = self.pull && list(pod, "spec.imagePullSecrets").iter().any(|secret| is(secret, "name"));
        volumes || in_env || pulls
    }
}

#[cfg(test)]
mod tests;
