//! Updates: PUT of an object or of a subresource that is a view of the whole object, and what patches come to.

use cox_log::{Existence, Precondition};
use cox_objects::{Object, Status};
use serde_json::Value;

use super::{approval, decode, escalation, meta, version};
use crate::admission::{self, Effects};
use crate::context::Context;
use crate::plan::{Answer, Change, Plan};
use crate::rules;
use crate::value::{deleting, int, list, map};

/// PUT.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let decoded = decode::body(ctx, &ctx.request.body)?;
    let mut object = decoded.object;
    meta::same_name(ctx, &object)?;
    meta::place(ctx, &mut object)?;
    let old = ctx.current().ok_or_else(|| Status::not_found(&ctx.named(), &ctx.request.name))?;
    let old_value = version::from_stored(ctx, &old);
    let conditional = meta::seen(ctx, &object, &old)?.is_some();
    meta::same_uid(ctx, &object, &old_value)?;
    let mut plan = write(ctx, &old, &old_value, object)?;
    plan.warnings.splice(0..0, decoded.warnings);
    plan.retry = !conditional;
    Ok(plan)
}

/// The rest of an update, from the new object on.
pub(crate) fn write(ctx: &Context<'_>, old: &Object, old_value: &Value, mut object: Value) -> Result<Plan, Status> {
    let subresource = ctx.request.subresource.as_str();
    rules::default_object(ctx.kind, &mut object, Some(old_value));
    let mut effects = Effects::default();
    admission::update(ctx, &mut object, old_value)?;
    approval::check(ctx, old_value)?;
    meta::keep_generation(&mut object, old_value);
    if subresource.is_empty() {
        admission::allocate(ctx, &mut object, Some(old_value), &mut effects)?;
    }
    // An approval is written as a status; admission sees to what else is in it.
    let subresource = if subresource == "approval" { "status" } else { subresource };
    rules::prepare_update(ctx.kind, subresource, &mut object, old_value);
    meta::keep(&mut object, old_value);
    let mut errors = rules::validate_update(ctx.kind, subresource, &object, old_value);
    errors.extend(admission::faults(ctx, &object, old_value));
    if !errors.is_empty() {
        return Err(Status::invalid(ctx.resource().group(), &ctx.kind.kind, &ctx.request.name, &errors));
    }
    escalation::check(ctx, &object, Some(old_value))?;
    let judged = admission::judge(ctx, &object, Some(old_value))?;

    // Only what a user writes as the object itself is warned about, not what a subresource carries along.
    let mut warnings =
        if subresource.is_empty() { rules::warnings(ctx.kind, &object, Some(old_value)) } else { Vec::new() };
    warnings.extend(judged);
    let mut plan = store(ctx, old, old_value, object)?;
    plan.changes.append(&mut effects.changes);
    plan.guards = effects.guards;
    plan.warnings = warnings;
    Ok(plan)
}

/// The change that makes `object` what is stored, or ends it if nothing holds it any more.
pub(crate) fn store(ctx: &Context<'_>, old: &Object, old_value: &Value, object: Value) -> Result<Plan, Status> {
    let key = ctx.key(&ctx.request.name);
    let precondition = Precondition { key: key.clone(), uid: None, revision: Some(old.revision()) };
    let over = released(ctx, &object, old_value);
    let stored = version::to_stored(ctx, object.clone());
    let mut plan = if over {
        let mut last = object;
        map(&mut last, "metadata").insert("resourceVersion".into(), old.revision().to_string().into());
        let mut plan = Plan::write(200, vec![Change::Delete { key, last: Some(stored.clone()) }]);
        plan.changes.extend(admission::release(ctx, &stored));
        plan.answer = Answer::Value(last);
        plan
    } else {
        Plan::write(200, vec![Change::Put { key, object: stored, must: Existence::Present }])
    };
    plan.preconditions.push(precondition);
    Ok(plan)
}

/// Whether the update took the last thing that held an object which is being deleted.
fn released(ctx: &Context<'_>, object: &Value, old: &Value) -> bool {
    let free = deleting(old) && list(object, "/metadata/finalizers").is_empty();
    match crate::strategy::of(ctx.resource()).deletion {
        crate::strategy::Deletion::Namespace => free && list(object, "/spec/finalizers").is_empty(),
        _ => free && int(old, "/metadata/deletionGracePeriodSeconds") == Some(0),
    }
}
