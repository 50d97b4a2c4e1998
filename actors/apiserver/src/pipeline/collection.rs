//! DELETE of a collection: what the selectors match, up to a limit, each deleted as by itself, in one transaction.

use cox_objects::{Status, selector::Selector};
use serde_json::{Value, json};

use super::{delete, options, version};
use crate::context::Context;
use crate::plan::{Answer, Plan};
use crate::value::fields;

/// DELETE of a collection.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let delete = options::of_delete(ctx)?;
    let asked = &ctx.request.options;
    let selector = Selector::parse(ctx.kind, &asked.label_selector, &asked.field_selector)?;
    let namespace = if ctx.kind.namespaced { ctx.request.namespace.as_str() } else { "" };
    let limit = usize::try_from(asked.limit).ok().filter(|l| *l > 0).unwrap_or(usize::MAX);

    let mut plan = Plan::answer(200, Value::Null);
    let mut items: Vec<Value> = Vec::new();
    let mut last = None;
    let mut more = false;
    for (key, object) in ctx.state.list(ctx.resource(), namespace) {
        let value = object.value();
        if !selector.matches_object(ctx.resource(), &value) {
            continue;
        }
        if items.len() == limit {
            more = true;
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

fn encode(token: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token)
}
