//! The answer to a request that was carried out before: read again from the log.

use bytes::Bytes;
use cox_bus::{ApiReply, Verb};
use cox_log::{Log, Outcome};
use cox_objects::{Change, Event, Object, Status, scale};
use serde_json::{Value, json};

use crate::context::Context;
use crate::pipeline::version;
use crate::strategy;
use crate::value::fields;

/// Half a transaction is never answered, so one read must hold all of it.
const ALL: usize = usize::MAX;

/// The same answer as the first time.
pub(crate) fn reply(ctx: &Context<'_>, log: &Log, outcome: &Outcome) -> Result<ApiReply, Status> {
    if let Some(status) = &outcome.refusal {
        return Ok(ApiReply::error(status));
    }
    let events = match outcome.unchanged {
        true => Vec::new(),
        false => log.events(outcome.first, outcome.last, ALL).map_err(Status::internal)?,
    };
    // A small disk may have let go of them within the ten minutes that outcomes are kept: then the object is shown as it is.
    let whole = outcome.unchanged || events.len() as u64 == outcome.last - outcome.first + 1;
    let events = if whole { events } else { Vec::new() };
    let body: Bytes = match body(ctx, &events)? {
        Some(value) => cox_objects::json::bytes(&value).into(),
        None => ctx.current().map(|o| o.bytes().clone()).ok_or_else(|| gone(ctx))?,
    };
    Ok(ApiReply { code: outcome.code, revision: outcome.last, seen: 0, body, warnings: Vec::new(), retry_after: None })
}

fn body(ctx: &Context<'_>, events: &[Event]) -> Result<Option<Value>, Status> {
    let shown = |object: &Object| version::from_stored(ctx, object);
    let subresource = ctx.request.subresource.as_str();
    if ctx.request.verb == Verb::Create && !(subresource.is_empty() && ctx.kind.stored) {
        return Ok(Some(success(json!({}), 201)));
    }
    if ctx.request.verb == Verb::DeleteCollection {
        return collection(ctx, events).map(Some);
    }
    let Some(event) = events.first() else {
        return Ok(match (ctx.current(), subresource) {
            (Some(object), "scale") => Some(scale::of(&shown(&object)).map_err(Status::internal)?),
            (Some(object), _) => Some(shown(&object)),
            (None, _) => None,
        });
    };
    let object = shown(&event.object);
    if subresource == "scale" {
        return scale::of(&object).map(Some).map_err(Status::internal);
    }
    let ended = ctx.request.verb == Verb::Delete && event.change == Change::Deleted;
    if !ended || strategy::of(ctx.resource()).delete_answers_object {
        return Ok(Some(object));
    }
    let mut details = cox_objects::status::about(&ctx.named(), &ctx.request.name);
    if let Some(uid) = object.pointer("/metadata/uid") {
        fields(&mut details).insert("uid".into(), uid.clone());
    }
    Ok(Some(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})))
}

/// Of a collection that took several transactions the answer lists the last ones' objects: the others are gone as surely.
fn collection(ctx: &Context<'_>, events: &[Event]) -> Result<Value, Status> {
    let mut items = Vec::new();
    for event in events.iter().filter(|e| e.key.resource == *ctx.resource()) {
        let mut item = version::from_stored(ctx, &event.object);
        for name in ["kind", "apiVersion"] {
            fields(&mut item).remove(name);
        }
        items.push(item);
    }
    let revision = events.last().map_or(0, Event::revision);
    Ok(json!({"kind": format!("{}List", ctx.kind.kind), "apiVersion": ctx.kind.api_version(),
              "metadata": {"resourceVersion": revision.to_string()}, "items": items}))
}

fn success(details: Value, code: u16) -> Value {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code});
    if details.as_object().is_some_and(|d| !d.is_empty()) {
        fields(&mut status).insert("details".into(), details);
    }
    status
}

fn gone(ctx: &Context<'_>) -> Status {
    Status::not_found(&ctx.named(), &ctx.request.name)
}
