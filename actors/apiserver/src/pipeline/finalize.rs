//! `namespaces/NAME/finalize`: the only way to change the finalizers in a namespace's spec.

use cox_objects::Status;

use super::{decode, meta, update, version};
use crate::admission;
use crate::context::Context;
use crate::plan::Plan;
use crate::rules;
use crate::value::fields;

/// PUT of a namespace at `finalize`.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let decoded = decode::body(ctx, &ctx.request.body)?;
    let said = decoded.object;
    meta::same_name(ctx, &said)?;
    let old = ctx.current().ok_or_else(|| Status::not_found(&ctx.named(), &ctx.request.name))?;
    let old_value = version::from_stored(ctx, &old);
    let conditional = meta::seen(ctx, &said, &old)?.is_some();
    let mut object = said;
    meta::keep_generation(&mut object, &old_value);
    meta::keep(&mut object, &old_value);
    if let Some(status) = old_value.get("status") {
        fields(&mut object).insert("status".into(), status.clone());
    }
    admission::label(&mut object);
    let errors = rules::validate_update(ctx.kind, "finalize", &object, &old_value);
    if !errors.is_empty() {
        return Err(Status::invalid(ctx.resource().group(), &ctx.kind.kind, &ctx.request.name, &errors));
    }
    let mut plan = update::store(ctx, &old, &old_value, object)?;
    plan.warnings = decoded.warnings;
    plan.retry = !conditional;
    Ok(plan)
}
