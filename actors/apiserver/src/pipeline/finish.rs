//! From what was committed to the reply.

use bytes::Bytes;
use cox_bus::ApiReply;
use cox_objects::{Object, Revision, Status, json, scale};
use serde_json::Value;

use super::version;
use crate::context::Context;
use crate::plan::{Answer, Change, Plan};
use crate::value::map;

/// The reply to a carried-out plan; `objects` are what its changes left, in order.
pub(crate) fn committed(
    ctx: &Context<'_>,
    plan: &Plan,
    objects: &[Object],
    last: Revision,
) -> Result<ApiReply, Status> {
    let body = match (&plan.answer, objects.first()) {
        (Answer::Value(value), _) => encode(value),
        (Answer::Object, Some(object)) if same_form(ctx) => object.bytes().clone(),
        (Answer::Object, Some(object)) => encode(&version::from_stored(ctx, object)),
        (Answer::Scale, Some(object)) => {
            encode(&scale::of(&version::from_stored(ctx, object)).map_err(Status::internal)?)
        }
        (_, None) => return Err(Status::internal("a write left no object")),
    };
    Ok(reply(plan, last, body))
}

/// The reply to a dry run: what would have been written, at the version that is there.
pub(crate) fn dry_run(ctx: &Context<'_>, plan: &Plan) -> Result<ApiReply, Status> {
    let first = || match plan.changes.first() {
        Some(Change::Put { object, .. }) => Ok(object.clone()),
        Some(Change::Delete { last: Some(last), .. }) => Ok(last.clone()),
        _ => Err(Status::internal("a dry run came to no object")),
    };
    let shown = |mut object: Value| {
        if ctx.request.verb == cox_bus::Verb::Create {
            map(&mut object, "metadata").remove("resourceVersion");
        } else if let Some(change) = plan.changes.first().and_then(|c| ctx.state.get(c.key())) {
            map(&mut object, "metadata").insert("resourceVersion".into(), change.revision().to_string().into());
        }
        version::present(ctx, object)
    };
    let body = match &plan.answer {
        Answer::Value(value) => encode(value),
        Answer::Object => encode(&shown(first()?)),
        Answer::Scale => encode(&scale::of(&shown(first()?)).map_err(Status::internal)?),
    };
    Ok(reply(plan, 0, body))
}

/// Whether a stored object is answered as it is.
fn same_form(ctx: &Context<'_>) -> bool {
    ctx.kind.version == ctx.kind.storage_version && ctx.kind.group == ctx.kind.resource.group()
}

fn encode(value: &Value) -> Bytes {
    json::bytes(value).into()
}

fn reply(plan: &Plan, revision: Revision, body: Bytes) -> ApiReply {
    ApiReply { code: plan.code, revision, seen: 0, body, warnings: plan.warnings.clone(), retry_after: None }
}
