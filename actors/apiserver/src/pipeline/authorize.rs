//! Who may do what: RBAC on the committed roles and bindings, and what nodes may do with what is theirs.

use cox_bus::{ApiRequest, Verb};
use cox_objects::rbac::{self, Attributes, Decision, Target};
use cox_objects::{Status, User};
use serde_json::Value;

use crate::context::Context;
use crate::state::State;

/// What somebody wants to do; a path, or a resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) path: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn attributes(&self, user: &'a User) -> Attributes<'a> {
        let target = match self.path {
            Some(path) => Target::Path(path),
            None => Target::Resource {
                group: self.group,
                resource: self.resource,
                subresource: self.subresource,
                namespace: self.namespace,
                name: self.name,
            },
        };
        Attributes { user, verb: self.verb, target }
    }
}

/// Fails if the request's user may not do what it asks for.
pub(crate) fn check(ctx: &Context<'_>) -> Result<(), Status> {
    let request = ctx.request;
    refuse(ctx.state, ctx.user, &of(request, &request.group, &request.plural))
}

/// The same for a resource that the API does not have.
pub(crate) fn unknown(state: &dyn State, user: &User, request: &ApiRequest) -> Result<(), Status> {
    refuse(state, user, &of(request, &request.group, &request.plural))
}

/// Fails if the user may not do a second thing, which the request comes to.
pub(crate) fn also(ctx: &Context<'_>, verb: &str, plural: &str, subresource: &str, name: &str) -> Result<(), Status> {
    let namespace = ctx.request.namespace.as_str();
    refuse(ctx.state, ctx.user, &Asked { verb, resource: plural, subresource, namespace, name, ..Asked::default() })
}

/// Whether the request's user may do something else.
pub(crate) fn allowed(ctx: &Context<'_>, asked: &Asked<'_>) -> bool {
    decide(ctx, ctx.user, asked).allowed
}

/// Whether a user may do something, and why.
pub(crate) fn decide(ctx: &Context<'_>, user: &User, asked: &Asked<'_>) -> Decision {
    decision(ctx.state, user, asked)
}

/// The `status` of a SelfSubjectRulesReview of the request's user.
pub(crate) fn rules(ctx: &Context<'_>, namespace: &str) -> Value {
    rbac::rules_of(&*ctx.state.rbac(), ctx.user, namespace).to_status()
}

fn of<'a>(request: &'a ApiRequest, group: &'a str, plural: &'a str) -> Asked<'a> {
    Asked {
        verb: match request.verb {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        },
        group,
        resource: plural,
        subresource: &request.subresource,
        namespace: &request.namespace,
        name: &request.name,
        path: None,
    }
}

/// Fails if a user may not do something.
pub(crate) fn refuse(state: &dyn State, user: &User, asked: &Asked<'_>) -> Result<(), Status> {
    let decision = decision(state, user, asked);
    if decision.allowed { Ok(()) } else { Err(asked.attributes(user).forbidden(&decision.reason)) }
}

fn decision(state: &dyn State, user: &User, asked: &Asked<'_>) -> Decision {
    let (view, request) = (state.rbac(), asked.attributes(user));
    let by_role = rbac::authorize(&*view, &request);
    if by_role.allowed {
        return by_role;
    }
    match rbac::authorize_node(&*view, state, &request, "") {
        Some(decision) if decision.allowed || !decision.reason.is_empty() => decision,
        _ => by_role,
    }
}
