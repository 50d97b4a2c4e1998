//! PATCH: the stored object in the client's version, changed by the patch, then checked and written as an update.

use cox_bus::PatchType;
use cox_objects::patch::{self as dialects, Patched};
use cox_objects::{FieldError, Path, Status, schema};
use serde_json::Value;

use super::{decode, meta, update, version};
use crate::context::Context;
use crate::plan::Plan;

/// PATCH of an object or of a subresource that is a view of the whole object.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    supported(ctx)?;
    let old = ctx.current().ok_or_else(|| Status::not_found(&ctx.named(), &ctx.request.name))?;
    let old_value = version::from_stored(ctx, &old);
    let patched = apply(ctx, &old_value, Form::of(ctx))?;
    let decoded = decode::patched(ctx, patched, Form::of(ctx))?;
    let mut object = decoded.object;
    meta::same_name(ctx, &object)?;
    meta::place(ctx, &mut object)?;
    let said = meta::version_of(ctx, &object)?;
    if said.is_some_and(|v| v != 0 && v != old.revision()) {
        return Err(Status::modified(&ctx.named(), &ctx.request.name));
    }
    let mut plan = update::write(ctx, &old, &old_value, object)?;
    plan.warnings.splice(0..0, decoded.warnings);
    // The patched object carries the stored version unless the patch itself named one: then a lost race is the caller's.
    plan.retry = !names_version(&ctx.request.body);
    Ok(plan)
}

/// Fails for dialects that this server does not speak.
pub(crate) fn supported(ctx: &Context<'_>) -> Result<(), Status> {
    match ctx.request.patch_type {
        Some(PatchType::Json | PatchType::Merge | PatchType::Strategic) => Ok(()),
        Some(PatchType::Apply) | None => {
            Err(Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
                .with_details(serde_json::json!({})))
        }
    }
}

/// The kind that a patch is made in: the request's, or that of its subresource.
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) kind: &'a str,
}

impl<'a> Form<'a> {
    fn of(ctx: &'a Context<'_>) -> Self {
        Form { group: &ctx.kind.group, version: &ctx.kind.version, kind: &ctx.kind.kind }
    }
}

/// The object after the request's patch.
pub(crate) fn apply(ctx: &Context<'_>, old: &Value, form: Form<'_>) -> Result<Patched, Status> {
    let body = &ctx.request.body;
    match ctx.request.patch_type {
        Some(PatchType::Json) => dialects::json::apply(old, body),
        Some(PatchType::Merge) => dialects::merge::apply(old, body),
        Some(PatchType::Strategic) => strategic(old, body, form),
        Some(PatchType::Apply) | None => supported(ctx).map(|()| Patched { object: old.clone(), faults: Vec::new() }),
    }
}

fn strategic(old: &Value, body: &[u8], form: Form<'_>) -> Result<Patched, Status> {
    let undecodable = |why: &dyn std::fmt::Display| Status::bad_request(format!("error decoding patch: {why}"));
    let owner = schema::schema()
        .kind(form.group, form.version, form.kind)
        .ok_or_else(|| Status::internal(format!("no schema of {}", form.kind)))?;
    let faults = schema::duplicates(body).map_err(|why| undecodable(&why))?;
    let patch: Value = serde_json::from_slice(body).map_err(|why| undecodable(&why))?;
    Ok(Patched { object: dialects::strategic::apply(old, &patch, owner)?, faults })
}

/// 422 for a patch whose result is no object of the kind.
pub(crate) fn no_object(patched: &Value, why: &str) -> Status {
    let error = FieldError::invalid(&Path::new("patch"), patched.to_string(), why);
    Status::invalid("", "", "", &[error])
}

/// Whether the patch itself says which version it is for.
fn names_version(body: &[u8]) -> bool {
    body.windows(b"resourceVersion".len()).any(|w| w == b"resourceVersion")
}
