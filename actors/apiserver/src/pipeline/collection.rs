//! DELETE of a collection: what the selectors match, up to a limit, each deleted as by itself, a page a transaction.
//!
//! Guarantees: each key is looked at once, in order; a page is deleted whole or not at all. Caveats, which are Kubernetes', too: an
//! error leaves earlier pages deleted, and what is made meanwhile may or may not go.

use bytes::Bytes;
use cox_bus::ApiReply;
use cox_objects::{Key, Status, selector::Selector};
use serde_json::{Value, json};

use super::{delete, options, version};
use crate::context::Context;
use crate::plan::{Answer, Plan};
use crate::value::fields;

/// The most objects that one transaction deletes, so that the log's writer is not held up for long.
pub(crate) const PAGE: usize = 1000;

/// How far the deletion of a collection has come.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The last key of the page before.
    after: Key,
    /// How many objects were deleted so far.
    done: usize,
}

/// The next page of a DELETE of a collection; a dry run has one page for all.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let delete = options::of_delete(ctx)?;
    let asked = &ctx.request.options;
    let selector = Selector::parse(ctx.kind, &asked.label_selector, &asked.field_selector)?;
    let namespace = if ctx.kind.namespaced { ctx.request.namespace.as_str() } else { "" };
    let limit = usize::try_from(asked.limit).ok().filter(|l| *l > 0).unwrap_or(usize::MAX);
    let (after, done) = ctx.progress.map_or((None, 0), |progress| (Some(&progress.after), progress.done));
    let page = if options::dry_run(ctx) { usize::MAX } else { PAGE };

    let mut plan = Plan::answer(200, Value::Null);
    let mut items: Vec<Value> = Vec::new();
    let mut last = None;
    let mut more = false;
    for (key, object) in ctx.state.list(ctx.resource(), namespace) {
        if after.is_some_and(|after| key <= *after) {
            continue;
        }
        let value = object.value();
        if !selector.matches_object(ctx.resource(), &value) {
            continue;
        }
        if done + items.len() == limit {
            more = true;
            break;
        }
        if items.len() == page {
            plan.next = last.take().map(|after| Progress { after, done: done + items.len() });
            break;
        }
        let one = delete::one(ctx, key.name(), &object, &delete)?;
        plan.changes.extend(one.changes);
        plan.preconditions.extend(one.preconditions);
        plan.guards.extend(one.guards);
        let mut item = version::present(ctx, value);
        for name in ["kind", "apiVersion"] {
            fields(&mut item).remove(name);
        }
        items.push(item);
        last = Some(key);
    }
    let revision = ctx.state.revision();
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some(key) = last.filter(|_| more) {
        // As the gateway's lists have it; a client that continues a delete gets the rest from the same selector.
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": key.path()}).to_string();
        fields(&mut metadata).insert("continue".into(), encode(token.as_bytes()).into());
    }
    plan.answer = Answer::Value(json!({
        "kind": format!("{}List", ctx.kind.kind), "apiVersion": ctx.kind.api_version(),
        "metadata": metadata, "items": items,
    }));
    plan.retry = true;
    Ok(plan)
}

/// The answer to all pages, of the answers to each.
pub(crate) fn join(pages: Vec<ApiReply>, mut last: ApiReply) -> ApiReply {
    if pages.is_empty() || !last.is_success() {
        return last;
    }
    let read = |page: &ApiReply| serde_json::from_slice::<Value>(&page.body).unwrap_or_default();
    let mut list = read(&last);
    let mut items: Vec<Value> = Vec::new();
    for page in pages.iter().map(read).chain([list.clone()]) {
        items.extend(page.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    fields(&mut list).insert("items".into(), items.into());
    last.body = Bytes::from(list.to_string());
    last
}

fn encode(token: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token)
}
