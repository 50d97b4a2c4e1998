//! Who a bus credential belongs to, and which API user that identity is.

use std::fmt;

use cox_objects::User;

use crate::subject;

/// The bearer of a bus credential. Written `gateway`, `node:<name>`, … in files and logs; subjects carry that text as
/// one escaped token, and the server's permissions make sure that nobody publishes under another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// The writer of the log and the only publisher of events.
    Apiserver,
    /// The REST gateway: the only one that acts for other users.
    Gateway,
    /// The scheduler.
    Scheduler,
    /// The process of the controllers; each of them writes as a [`Identity::Controller`].
    Controllers,
    /// One controller by the name of its service account (`deployment-controller`), one of [`CONTROLLERS`].
    /// It has no credential of its own: the one of [`Identity::Controllers`] may publish under it.
    Controller(String),
    /// A process's mirror: reads snapshots, ranges and events, and writes nothing.
    Mirror,
    /// The server of the node feeds, beside a mirror.
    Feed,
    /// The kubelet of a node.
    Node(String),
    /// The proxy of a node.
    Proxy(String),
    /// The operator's tools: the only one that publishes on control subjects.
    Ops,
    /// The keeper of the nats-server: makes and ends the credentials of integrators.
    Transport,
    /// An outside program with a consumer of its own.
    Integrator(String),
    /// The process of this many hollow nodes, [`Identity::hollow_node`] 1 and up. Each of them is a [`Identity::Node`] that has no
    /// credential of its own: this one covers them all, so that they share a connection.
    Hollow(u16),
}

/// The service accounts under which controllers write (Kubernetes' names, which its bootstrap roles are bound to).
pub const CONTROLLERS: &[&str] = &[
    "attachdetach-controller",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "service-account-controller",
    "service-cidrs-controller",
    "service-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
];

/// A text that names no identity.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a bus identity")]
pub struct UnknownIdentity(String);

impl Identity {
    /// The identities of a cluster that are not tied to a node or an outside program.
    pub const FIXED: [Identity; 8] = [
        Identity::Apiserver,
        Identity::Gateway,
        Identity::Scheduler,
        Identity::Controllers,
        Identity::Mirror,
        Identity::Feed,
        Identity::Ops,
        Identity::Transport,
    ];

    /// This identity as one token of a subject.
    pub fn token(&self) -> String {
        subject::escape(&self.to_string())
    }

    /// The identity in a subject's token.
    ///
    /// # Errors
    /// If the token names none.
    pub fn from_token(token: &str) -> Result<Self, UnknownIdentity> {
        subject::unescape(token).ok_or_else(|| UnknownIdentity(token.to_owned()))?.parse()
    }

    /// The name of a hollow node by its number, from 1 on.
    pub fn hollow_node(number: u16) -> String {
        format!("hollow-{number}")
    }

    /// Whether the bearer of this credential is another identity, too: one of its hollow nodes.
    pub fn is(&self, other: &Identity) -> bool {
        match (self, other) {
            (Identity::Hollow(count), Identity::Node(name)) => {
                let number = name.strip_prefix("hollow-").and_then(|number| number.parse().ok());
                number.is_some_and(|number| (1..=*count).contains(&number) && *name == Self::hollow_node(number))
            }
            (own, other) => own == other,
        }
    }

    /// Whether it may say on whose behalf it writes.
    pub fn acts_for_others(&self) -> bool {
        matches!(self, Identity::Gateway)
    }

    /// Whether it may read snapshots and ranges, and the sealed objects in them.
    pub fn mirrors(&self) -> bool {
        use Identity::*;
        matches!(self, Apiserver | Gateway | Scheduler | Controllers | Mirror | Feed | Ops)
    }

    /// The API user that RBAC sees behind this identity; none for those that never write.
    pub fn user(&self) -> Option<User> {
        let (name, groups): (String, &[&str]) = match self {
            Identity::Apiserver => ("system:apiserver".into(), &["system:masters"]),
            Identity::Scheduler => ("system:kube-scheduler".into(), &[]),
            Identity::Controllers => ("system:kube-controller-manager".into(), &[]),
            Identity::Controller(name) => (
                format!("system:serviceaccount:kube-system:{name}"),
                &["system:serviceaccounts", "system:serviceaccounts:kube-system"],
            ),
            Identity::Node(name) => (format!("system:node:{name}"), &["system:nodes"]),
            Identity::Proxy(_) => ("system:kube-proxy".into(), &["system:node-proxier"]),
            Identity::Ops => ("cox:ops".into(), &["system:masters"]),
            Identity::Gateway
            | Identity::Mirror
            | Identity::Feed
            | Identity::Transport
            | Identity::Integrator(_)
            | Identity::Hollow(_) => return None,
        };
        let groups = groups.iter().chain(&["system:authenticated"]).map(|&g| g.to_owned()).collect();
        Some(User { name, groups, ..User::default() })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Apiserver => f.write_str("apiserver"),
            Identity::Gateway => f.write_str("gateway"),
            Identity::Scheduler => f.write_str("scheduler"),
            Identity::Controllers => f.write_str("controllers"),
            Identity::Mirror => f.write_str("mirror"),
            Identity::Feed => f.write_str("feed"),
            Identity::Ops => f.write_str("ops"),
            Identity::Transport => f.write_str("transport"),
            Identity::Controller(name) => write!(f, "controller:{name}"),
            Identity::Node(name) => write!(f, "node:{name}"),
            Identity::Proxy(node) => write!(f, "proxy:{node}"),
            Identity::Integrator(name) => write!(f, "integrator:{name}"),
            Identity::Hollow(count) => write!(f, "hollow:{count}"),
        }
    }
}

impl std::str::FromStr for Identity {
    type Err = UnknownIdentity;

    fn from_str(text: &str) -> Result<Self, UnknownIdentity> {
        let unknown = || UnknownIdentity(text.to_owned());
        match text.split_once(':') {
            None => Identity::FIXED.into_iter().find(|i| i.to_string() == text).ok_or_else(unknown),
            Some((_, "")) => Err(unknown()),
            Some(("controller", name)) if CONTROLLERS.contains(&name) => Ok(Identity::Controller(name.to_owned())),
            Some(("node", name)) => Ok(Identity::Node(name.to_owned())),
            Some(("proxy", node)) => Ok(Identity::Proxy(node.to_owned())),
            Some(("integrator", name)) => Ok(Identity::Integrator(name.to_owned())),
            Some(("hollow", count)) => count.parse().map(Identity::Hollow).map_err(|_| unknown()),
            Some(_) => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests;
