//! Which flow a request belongs to, and at which priority: the flow schemas and priority levels that Kubernetes has when nobody has changed
//! them (`flowcontrol.apiserver.k8s.io`). Pure.
//!
//! Absences: FlowSchema objects that clients store change nothing here.

use cox_objects::User;
use cox_objects::rbac::MASTERS;

use crate::route::Info;

/// Seats are divided among the levels; each has at least as many as keep the machine busy, so that none needs to borrow from another.
const SEATS: u32 = 600;
/// The shares of all levels together.
const SHARES: u32 = 245;
/// What administrators have. Kubernetes gives them no bound; here nobody may ask for more than there is memory for.
const EXEMPT_SEATS: u32 = 300;

/// A priority level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelFacts {
    /// As Kubernetes calls it.
    pub name: &'static str,
    /// How many of its requests are worked on at a time.
    pub seats: u32,
}

const fn of_shares(name: &'static str, shares: u32) -> LevelFacts {
    LevelFacts { name, seats: (SEATS * shares).div_ceil(SHARES) }
}

/// The levels.
pub const LEVELS: [LevelFacts; 8] = [
    LevelFacts { name: "exempt", seats: EXEMPT_SEATS },
    of_shares("leader-election", 10),
    of_shares("node-high", 40),
    of_shares("system", 30),
    of_shares("workload-high", 40),
    of_shares("workload-low", 100),
    of_shares("global-default", 20),
    of_shares("catch-all", 5),
];

const EXEMPT: usize = 0;
const LEADER_ELECTION: usize = 1;
const NODE_HIGH: usize = 2;
const SYSTEM: usize = 3;
const WORKLOAD_HIGH: usize = 4;
const WORKLOAD_LOW: usize = 5;
const GLOBAL_DEFAULT: usize = 6;
const CATCH_ALL: usize = 7;

/// Which requests belong together; within each, every user is a flow.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// As Kubernetes calls it.
    pub name: &'static str,
    /// The place of its level in [`LEVELS`].
    pub level: usize,
    /// Whether its requests wait for nothing.
    pub free: bool,
    matches: fn(&User, &Info) -> bool,
}

const fn schema(name: &'static str, level: usize, matches: fn(&User, &Info) -> bool) -> Schema {
    Schema { name, level, free: false, matches }
}

/// The schemas, the one that is asked first before the others.
pub const SCHEMAS: [Schema; 13] = [
    schema("exempt", EXEMPT, |user, _| user.is_in(MASTERS)),
    Schema { free: true, ..schema("probes", EXEMPT, |_, info| is_probe(info)) },
    schema("system-leader-election", LEADER_ELECTION, |user, info| {
        is_component(user) && leads(info) && info.namespace == "kube-system"
    }),
    schema("endpoint-controller", WORKLOAD_HIGH, |user, info| {
        matches!(
            user.name.as_str(),
            "system:kube-controller-manager" | "system:serviceaccount:kube-system:endpoint-controller"
        ) && writes(info)
            && of(info, "", "endpoints")
    }),
    schema("workload-leader-election", LEADER_ELECTION, |user, info| user.is_in(KUBE_SYSTEM) && leads(info)),
    schema("system-node-high", NODE_HIGH, |user, info| {
        user.is_in(NODES)
            && (of(info, "coordination.k8s.io", "leases")
                || (info.resource_request
                    && info.group.is_empty()
                    && info.resource == "nodes"
                    && matches!(info.subresource.as_str(), "" | "status")))
    }),
    schema("system-nodes", SYSTEM, |user, _| user.is_in(NODES)),
    schema("kube-controller-manager", WORKLOAD_HIGH, |user, _| user.name == "system:kube-controller-manager"),
    schema("kube-scheduler", WORKLOAD_HIGH, |user, _| user.name == "system:kube-scheduler"),
    schema("kube-system-service-accounts", WORKLOAD_HIGH, |user, _| user.is_in(KUBE_SYSTEM)),
    schema("service-accounts", WORKLOAD_LOW, |user, _| user.is_in("system:serviceaccounts")),
    schema("global-default", GLOBAL_DEFAULT, |user, _| {
        user.is_in("system:authenticated") || user.is_in("system:unauthenticated")
    }),
    schema("catch-all", CATCH_ALL, |_, _| true),
];

const NODES: &str = "system:nodes";
const KUBE_SYSTEM: &str = "system:serviceaccounts:kube-system";

/// The place in [`SCHEMAS`] of the schema that a request belongs to.
pub fn classify(user: &User, info: &Info) -> usize {
    SCHEMAS.iter().position(|schema| (schema.matches)(user, info)).unwrap_or(SCHEMAS.len() - 1)
}

/// Whether a request only begins here and then goes on for as long as its client likes. It waits for nothing: whoever opens a shell to
/// see why all is slow gets it.
pub fn is_conversation(info: &Info) -> bool {
    matches!(info.subresource.as_str(), "attach" | "exec" | "log" | "portforward" | "proxy")
}

fn is_component(user: &User) -> bool {
    matches!(user.name.as_str(), "system:kube-controller-manager" | "system:kube-scheduler")
}

fn is_probe(info: &Info) -> bool {
    let probes = ["/healthz", "/livez", "/readyz"];
    !info.resource_request && info.verb == "get" && probes.contains(&info.path.as_str())
}

fn of(info: &Info, group: &str, resource: &str) -> bool {
    info.resource_request && info.group == group && info.resource == resource && info.subresource.is_empty()
}

fn writes(info: &Info) -> bool {
    matches!(info.verb.as_str(), "get" | "create" | "update")
}

fn leads(info: &Info) -> bool {
    writes(info) && of(info, "coordination.k8s.io", "leases")
}

#[cfg(test)]
mod tests;
