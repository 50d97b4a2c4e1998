//! Creation of objects.

use cox_log::Existence;
use cox_objects::{FieldError, Path, Status};
use serde_json::Value;

use super::{decode, escalation, meta, version};
use crate::admission::{self, Effects};
use crate::context::Context;
use crate::plan::{Change, Plan};
use crate::value::{deleting, map, text};
use crate::{rules, strategy};

/// Longest base of a generated name, so that its suffix fits into 63 bytes.
const LONGEST_BASE: usize = 58;

/// POST of an object.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let decoded = decode::body(ctx, &ctx.request.body)?;
    let mut object = decoded.object;
    meta::place(ctx, &mut object)?;
    let mut plan = object_of(ctx, object)?;
    plan.warnings.splice(0..0, decoded.warnings);
    Ok(plan)
}

/// The creation of a decoded object, that names its namespace.
pub(crate) fn object_of(ctx: &Context<'_>, mut object: Value) -> Result<Plan, Status> {
    rules::default_object(ctx.kind, &mut object, None);
    let mut effects = Effects::default();
    admission::create(ctx, &mut object, &mut effects)?;
    let generated = name_it(ctx, &mut object);
    admission::allocate(ctx, &mut object, None, &mut effects)?;

    let metadata = map(&mut object, "metadata");
    metadata.remove("deletionTimestamp");
    metadata.remove("deletionGracePeriodSeconds");
    metadata.remove("managedFields");
    metadata.remove("selfLink");
    metadata.insert("uid".into(), ctx.uid().into());
    metadata.insert("creationTimestamp".into(), ctx.time().into());
    if let Some(finalizer) = strategy::of(ctx.resource()).finalizer {
        meta::add_finalizer(metadata, finalizer);
    }
    rules::prepare_create(ctx.kind, &mut object, &ctx.time());

    let name = text(&object, "/metadata/name").to_owned();
    if name.is_empty() {
        let required = FieldError::required(&Path::new("metadata").child("name"), "name or generateName is required");
        let mut errors = rules::validate_create(ctx.kind, &object);
        if !errors.contains(&required) {
            errors.insert(0, required);
        }
        return Err(Status::invalid(ctx.resource().group(), &ctx.kind.kind, "", &errors));
    }
    let errors = rules::validate_create(ctx.kind, &object);
    if !errors.is_empty() {
        return Err(Status::invalid(ctx.resource().group(), &ctx.kind.kind, &name, &errors));
    }
    escalation::check(ctx, &object, None)?;
    let judged = admission::judge(ctx, &object, None)?;
    if !text(&object, "/metadata/resourceVersion").is_empty() {
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    let key = ctx.key(&name);
    if let Some(existing) = ctx.state.get(&key) {
        return Err(taken(ctx, &name, &existing.value()));
    }

    let mut warnings = rules::warnings(ctx.kind, &object, None);
    warnings.extend(judged);
    let object = version::to_stored(ctx, object);
    let mut changes = vec![Change::Put { key, object, must: Existence::Absent }];
    changes.append(&mut effects.changes);
    let mut plan = Plan::write(201, changes);
    plan.guards = effects.guards;
    plan.warnings = warnings;
    // A generated name that is taken is generated again; a given one is the caller's conflict, found at commit by its key.
    plan.retry = generated || plan.changes.len() > 1 || !plan.guards.is_empty();
    Ok(plan)
}

/// 409 for a name that is taken.
pub(crate) fn taken(ctx: &Context<'_>, name: &str, existing: &Value) -> Status {
    let mut status = Status::already_exists(&ctx.named(), name);
    if deleting(existing) {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

/// Makes the name up, where the object only says how it begins.
fn name_it(ctx: &Context<'_>, object: &mut Value) -> bool {
    let base = text(object, "/metadata/generateName");
    if base.is_empty() || !text(object, "/metadata/name").is_empty() {
        return false;
    }
    let base: String = base
        .chars()
        .scan(0, |length, c| {
            *length += c.len_utf8();
            (*length <= LONGEST_BASE).then_some(c)
        })
        .collect();
    let mut name = format!("{base}{}", ctx.suffix());
    // A few tries here save a round through the log; the commit has the last word.
    for _ in 0..7 {
        if ctx.state.get(&ctx.key(&name)).is_none() {
            break;
        }
        name = format!("{base}{}", ctx.suffix());
    }
    map(object, "metadata").insert("name".into(), name.into());
    true
}
