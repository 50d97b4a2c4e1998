//! `namespaces/NAME/finalize`: the only way to change the finalizers in a namespace's spec.

use cox_objects::Status;

use super::{decode, meta, update, version};
use crate::context::Context;
use crate::plan::Plan;
use crate::rules;
use crate::value::map;

/// PUT of a namespace at `finalize`.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let decoded = decode::body(ctx, &ctx.request.body)?;
    let said = decoded.object;
    meta::same_name(ctx, &said)?;
    let old = ctx.current().ok_or_else(|| Status::not_found(&ctx.named(), &ctx.request.name))?;
    let old_value = version::from_stored(ctx, &old);
    let conditional = meta::seen(ctx, &said, &old)?.is_some();
    let mut object = old_value.clone();
    let finalizers = said.pointer("/spec/finalizers").cloned().filter(|f| f.as_array().is_some_and(|l| !l.is_empty()));
    let spec = map(&mut object, "spec");
    match finalizers {
        Some(finalizers) => spec.insert("finalizers".into(), finalizers),
        None => spec.remove("finalizers"),
    };
    let errors = rules::validate_update(ctx.kind, "finalize", &object, &old_value);
    if !errors.is_empty() {
        return Err(Status::invalid(&ctx.kind.group, &ctx.kind.kind, &ctx.request.name, &errors));
    }
    let mut plan = update::store(ctx, &old, &old_value, object)?;
    plan.warnings = decoded.warnings;
    plan.retry = !conditional;
    Ok(plan)
}
