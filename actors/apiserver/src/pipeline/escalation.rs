//! Nobody gives rights that he does not have: roles and bindings are checked against their writer's own.

use cox_objects::rbac::{self, RbacView, Rule};
use cox_objects::{Resource, Status};
use serde_json::Value;

use super::authorize::{Asked, allowed};
use crate::context::Context;
use crate::value::text;

/// Checks a new or changed role or binding.
pub(crate) fn check(ctx: &Context<'_>, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    if !rbac::Index::covers(ctx.resource()) || ctx.user.is_in(rbac::MASTERS) {
        return Ok(());
    }
    match ctx.kind.plural.as_str() {
        "roles" | "clusterroles" => role(ctx, object, old),
        "rolebindings" | "clusterrolebindings" => binding(ctx, object, old),
        _ => Ok(()),
    }
}

fn role(ctx: &Context<'_>, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    let same = |field: &str| old.is_some_and(|o| o.get(field) == object.get(field));
    if same("rules") && same("aggregationRule") {
        return Ok(());
    }
    let asked = Asked {
        verb: "escalate",
        group: rbac::GROUP,
        resource: &ctx.kind.plural,
        namespace: &ctx.request.namespace,
        name: text(object, "/metadata/name"),
        ..Asked::default()
    };
    if allowed(ctx, &asked) {
        return Ok(());
    }
    let rules = rbac::rules_in(object).map_err(Status::internal)?;
    held(ctx, object, &rules)?;
    // What a role gathers may become anything, so only one who may do anything makes such a role.
    match object.pointer("/aggregationRule").filter(|a| !a.is_null()) {
        Some(_) => held(ctx, object, &[everything()]).map_err(|_| {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            Status::forbidden(&ctx.named(), text(object, "/metadata/name"), why)
        }),
        None => Ok(()),
    }
}

fn binding(ctx: &Context<'_>, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    let same = |field: &str| old.is_some_and(|o| o.get(field) == object.get(field));
    if same("subjects") && same("roleRef") {
        return Ok(());
    }
    let binding = rbac::binding_of(object).map_err(Status::internal)?;
    let resource = if binding.role.kind == "Role" { "roles" } else { "clusterroles" };
    let asked = Asked {
        verb: "bind",
        group: rbac::GROUP,
        resource,
        namespace: &ctx.request.namespace,
        name: &binding.role.name,
        ..Asked::default()
    };
    if allowed(ctx, &asked) {
        return Ok(());
    }
    let rules = ctx.state.rbac().rules(&ctx.request.namespace, &binding.role);
    let missing = || Status::not_found(&Resource::new(rbac::GROUP, resource), &binding.role.name);
    held(ctx, object, &rules.ok_or_else(missing)?)
}

fn held(ctx: &Context<'_>, object: &Value, rules: &[Rule]) -> Result<(), Status> {
    rbac::check_escalation(&*ctx.state.rbac(), ctx.user, &ctx.request.namespace, rules)
        .map_err(|why| Status::forbidden(&ctx.named(), text(object, "/metadata/name"), &why))
}

fn everything() -> Rule {
    let all = || vec!["*".to_owned()];
    Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() }
}
