//! Who may do what: the rules of roles and bindings, their evaluation, and the roles that every cluster begins with.

pub mod bootstrap;
mod escalate;
mod evaluate;
mod index;
mod node;
mod rules;

pub use escalate::{aggregate, check_escalation, rules_cover};
pub use evaluate::{Attributes, Decision, Target, UserRules, authorize, rules_of};
pub use index::Index;
pub use node::authorize_node;
pub use rules::{Binding, ReadError, RoleRef, Rule, Subject, aggregation_of, binding_of, rules_in};

use std::ops::ControlFlow;
use std::sync::Arc;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The group whose members may do anything, whatever the roles say.
pub const MASTERS: &str = "system:masters";

/// A readable set of roles and bindings: committed state, or a projection of it.
pub trait RbacView {
    /// Visits the ClusterRoleBindings in the order of their names, until told to stop.
    fn cluster_bindings(&self, visit: &mut dyn FnMut(&Binding) -> ControlFlow<()>) -> ControlFlow<()>;

    /// Visits the RoleBindings of a namespace in the order of their names, until told to stop.
    fn bindings(&self, namespace: &str, visit: &mut dyn FnMut(&Binding) -> ControlFlow<()>) -> ControlFlow<()>;

    /// The rules of a ClusterRole, or of a Role in the given namespace; nothing if it does not exist.
    fn rules(&self, namespace: &str, role: &RoleRef) -> Option<Arc<[Rule]>>;
}

#[cfg(test)]
mod tests;
