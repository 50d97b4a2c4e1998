//! Deciding requests by roles and bindings, with Kubernetes' reasons.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::{Binding, MASTERS, RbacView, Rule, Subject};
use crate::{Resource, Status, User};

/// What a request wants to do, and who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a User,
    /// `get`, `list`, `create`, …; of a path, the HTTP method in lower case.
    pub verb: &'a str,
    /// On what.
    pub target: Target<'a>,
}

/// On what a request acts.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A resource of the API.
    Resource {
        /// Its API group; empty for core.
        group: &'a str,
        /// The plural.
        resource: &'a str,
        /// The subresource, or nothing.
        subresource: &'a str,
        /// The namespace; empty for all of them, and for what has none.
        namespace: &'a str,
        /// The name; empty for lists and creations.
        name: &'a str,
    },
    /// A path that is not one (`/metrics`).
    Path(&'a str),
}

/// Whether a request may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// Which binding allows it, or what went wrong while looking for one; may be empty.
    pub reason: String,
}

/// Decides by roles and bindings alone (what nodes may do besides is [`super::authorize_node`]'s).
pub fn authorize(view: &dyn RbacView, request: &Attributes<'_>) -> Decision {
    if request.user.is_in(MASTERS) {
        return Decision { allowed: true, reason: String::new() };
    }
    let namespace = match request.target {
        Target::Resource { namespace, .. } => namespace,
        Target::Path(_) => "",
    };
    let mut reason = String::new();
    let (faults, found) = visit_rules(view, request.user, namespace, &mut |binding, subject, rule| {
        if !request.is_allowed_by(rule) {
            return ControlFlow::Continue(());
        }
        reason = format!("RBAC: allowed by {}", binding.describe(subject));
        ControlFlow::Break(())
    });
    if found.is_break() {
        return Decision { allowed: true, reason };
    }
    let reason = match faults.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    };
    Decision { allowed: false, reason }
}

/// Visits each rule that a user has, and by whom; also tells which roles were not found.
fn visit_rules(
    view: &dyn RbacView,
    user: &User,
    namespace: &str,
    visit: &mut dyn FnMut(&Binding, &Subject, &Rule) -> ControlFlow<()>,
) -> (Vec<String>, ControlFlow<()>) {
    let mut faults = Vec::new();
    let mut each = |binding: &Binding| {
        let Some(subject) = binding.subject_for(user) else { return ControlFlow::Continue(()) };
        let Some(rules) = view.rules(&binding.namespace, &binding.role) else {
            let kind = binding.role.kind.to_lowercase();
            let fault = format!("{kind}.{} {:?} not found", super::GROUP, binding.role.name);
            if !faults.contains(&fault) {
                faults.push(fault);
            }
            return ControlFlow::Continue(());
        };
        rules.iter().try_for_each(|rule| visit(binding, subject, rule))
    };
    let mut found = view.cluster_bindings(&mut each);
    if found.is_continue() && !namespace.is_empty() {
        found = view.bindings(namespace, &mut each);
    }
    (faults, found)
}

impl Attributes<'_> {
    pub(super) fn is_allowed_by(&self, rule: &Rule) -> bool {
        match self.target {
            Target::Resource { group, resource, subresource, name, .. } => {
                rule.allows(self.verb, group, resource, subresource, name)
            }
            Target::Path(path) => rule.allows_path(self.verb, path),
        }
    }

    /// What the user may not do, in Kubernetes' words: `User "x" cannot list resource "pods" in API group ""…`.
    pub fn refusal(&self, reason: &str) -> String {
        let (user, verb) = (&self.user.name, self.verb);
        let mut text = match self.target {
            Target::Path(path) => format!("User {user:?} cannot {verb} path {path:?}"),
            Target::Resource { group, resource, subresource, namespace, .. } => {
                let resource = match subresource {
                    "" => resource.to_owned(),
                    subresource => format!("{resource}/{subresource}"),
                };
                let place = match namespace {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
            }
        };
        if !reason.is_empty() {
            text.push_str(": ");
            text.push_str(reason);
        }
        text
    }

    /// The 403 answer for a request that a decision does not allow.
    pub fn forbidden(&self, reason: &str) -> Status {
        let why = self.refusal(reason);
        match self.target {
            Target::Path(_) => Status::new(403, "Forbidden", format!("forbidden: {why}"))
                .with_details(Value::Object(serde_json::Map::new())),
            Target::Resource { group, resource, name, .. } => {
                Status::forbidden(&Resource::new(group, resource), name, &why)
            }
        }
    }
}

/// All that a user may do in a namespace, for a SelfSubjectRulesReview and for checks of escalation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRules {
    /// The rules, one for each that a binding gives.
    pub rules: Vec<Rule>,
    /// The roles that bindings name and that do not exist.
    pub faults: Vec<String>,
}

/// The rules that a user has in a namespace (empty: cluster-wide ones only).
pub fn rules_of(view: &dyn RbacView, user: &User, namespace: &str) -> UserRules {
    let mut rules = Vec::new();
    let (faults, _) = visit_rules(view, user, namespace, &mut |_, _, rule| {
        rules.push(rule.clone());
        ControlFlow::Continue(())
    });
    UserRules { rules, faults }
}

impl UserRules {
    /// The `status` of a SelfSubjectRulesReview.
    pub fn to_status(&self) -> Value {
        let resource = |r: &&Rule| !r.resources.is_empty();
        let path = |r: &&Rule| !r.non_resource_urls.is_empty();
        let resources: Vec<Value> = self.rules.iter().filter(resource).map(|r| json!(r)).collect();
        let paths: Vec<Value> = self
            .rules
            .iter()
            .filter(path)
            .map(|r| json!({"verbs": r.verbs, "nonResourceURLs": r.non_resource_urls}))
            .collect();
        let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
        if let (Some(fields), false) = (status.as_object_mut(), self.faults.is_empty()) {
            fields.insert("evaluationError".into(), self.faults.join(", ").into());
        }
        status
    }
}
