//! The `scale` subresource: PUT and PATCH of the replica count.

use cox_objects::{FieldError, Path, Status, scale};
use serde_json::Value;

use super::patch::{self, Form};
use super::{decode, meta, update, version};
use crate::context::Context;
use crate::plan::{Answer, Plan};
use crate::rules;
use crate::value::{int, text};

/// PUT or PATCH of a Scale.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let patching = ctx.request.verb == cox_bus::Verb::Patch;
    if patching {
        patch::supported(ctx)?;
    }
    let decoded =
        if patching { None } else { Some(decode::named_body(ctx, &ctx.request.body, "autoscaling", "v1", "Scale")?) };
    if let Some(decoded) = &decoded {
        meta::same_name(ctx, &decoded.object)?;
    }
    let old = ctx.current().ok_or_else(|| Status::not_found(&ctx.named(), &ctx.request.name))?;
    let old_value = version::from_stored(ctx, &old);
    let view = scale::of(&old_value).map_err(Status::internal)?;
    let decoded = match decoded {
        Some(decoded) => decoded,
        None => {
            let form = Form { group: "autoscaling", version: "v1", kind: "Scale" };
            let patched = patch::apply(ctx, &view, form)?;
            let decoded = decode::patched(ctx, patched, form)?;
            meta::same_name(ctx, &decoded.object)?;
            decoded
        }
    };
    let asked = decoded.object;
    let said = meta::version_of(ctx, &asked)?.filter(|v| *v != 0);
    if said.is_some_and(|v| v != old.revision()) {
        return Err(Status::modified(&ctx.named(), &ctx.request.name));
    }
    valid(ctx, &asked)?;
    let replicas = int(&asked, "/spec/replicas").unwrap_or(0);
    let mut object = old_value.clone();
    scale::set_replicas(&mut object, replicas);
    meta::keep_generation(&mut object, &old_value);
    rules::prepare_update(ctx.kind, "", &mut object, &old_value);
    meta::keep(&mut object, &old_value);
    let errors = rules::validate_update(ctx.kind, "", &object, &old_value);
    if !errors.is_empty() {
        return Err(Status::invalid(ctx.resource().group(), &ctx.kind.kind, &ctx.request.name, &errors));
    }
    let mut plan = update::store(ctx, &old, &old_value, object)?;
    plan.answer = Answer::Scale;
    plan.warnings = decoded.warnings;
    plan.retry = patching || said.is_none();
    Ok(plan)
}

fn valid(ctx: &Context<'_>, asked: &Value) -> Result<(), Status> {
    let mut errors = Vec::new();
    let replicas = int(asked, "/spec/replicas").unwrap_or(0);
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        errors.push(FieldError::invalid(&path, replicas, "must be greater than or equal to 0"));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = text(asked, "/metadata/name");
    let name = if name.is_empty() { ctx.request.name.as_str() } else { name };
    Err(Status::invalid("autoscaling", "Scale", name, &errors))
}
