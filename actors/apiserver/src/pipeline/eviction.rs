//! Evictions: a delete of a pod that asks its disruption budget first.

use cox_log::{Existence, Precondition};
use cox_objects::selector::LabelSelector;
use cox_objects::{Key, Object, Resource, Status};
use serde_json::{Value, json};

use super::options::{self, DeleteOptions};
use super::{decode, delete};
use crate::context::Context;
use crate::plan::{Answer, Change, Plan};
use crate::value::{deleting, int, items, list, map, text};

const BUDGETS: Resource = Resource::from_static("poddisruptionbudgets.policy");
/// More pods than these are not noted in one budget; its controller must catch up first.
const MAX_DISRUPTED: usize = 2000;

/// A budget: its key, as it is stored, and its contents.
type Budget = (Key, Object, Value);

/// POST at `pods/NAME/eviction`.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let decoded = body(ctx)?;
    let eviction = decoded.object;
    if text(&eviction, "/metadata/name") != ctx.request.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = delete_options(&eviction)?;
    let old = ctx.current().ok_or_else(|| Status::not_found(&Resource::PODS, &ctx.request.name))?;
    let pod = old.value();
    let mut plan = delete::one(ctx, &ctx.request.name, &old, &options)?;
    if let Some((key, budget, spent)) = spend(ctx, &pod)? {
        plan.changes.push(Change::Put { key: key.clone(), object: spent, must: Existence::Present });
        plan.preconditions.push(Precondition { key, uid: None, revision: Some(budget.revision()) });
    }
    plan.code = 201;
    plan.answer =
        Answer::Value(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}));
    plan.warnings = decoded.warnings;
    Ok(plan)
}

/// Whether the eviction only asks.
pub(crate) fn dry_run(ctx: &Context<'_>) -> bool {
    let asked = body(ctx).and_then(|decoded| delete_options(&decoded.object));
    ctx.request.options.dry_run || asked.is_ok_and(|o| o.dry_run)
}

fn body(ctx: &Context<'_>) -> Result<decode::Decoded, Status> {
    // v1beta1 says the same, and is still taken.
    let beta = decode::api_version(&ctx.request.body).as_deref() == Some("policy/v1beta1");
    decode::named_body(ctx, &ctx.request.body, "policy", if beta { "v1beta1" } else { "v1" }, "Eviction")
}

fn delete_options(eviction: &Value) -> Result<DeleteOptions, Status> {
    options::of_value(eviction.get("deleteOptions").unwrap_or(&Value::Null))
}

/// The budget of the pod with one disruption less; none if the pod needs none.
fn spend(ctx: &Context<'_>, pod: &Value) -> Result<Option<Budget>, Status> {
    if deleting(pod) || matches!(text(pod, "/status/phase"), "Succeeded" | "Failed" | "Pending") {
        return Ok(None);
    }
    let mut found: Vec<Budget> = Vec::new();
    for (key, object) in ctx.state.list(&BUDGETS, &ctx.request.namespace) {
        let budget = object.value();
        if covers(&budget, pod) {
            found.push((key, object, budget));
        }
    }
    if found.len() > 1 {
        return Err(Status::new(
            500,
            "",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    let Some((key, object, mut budget)) = found.pop() else { return Ok(None) };
    if !ready(pod) && spare_unready(&budget) {
        return Ok(None);
    }
    let name = key.name().to_owned();
    let count = |field: &str| int(&budget, &format!("/status/{field}")).unwrap_or(0);
    if count("observedGeneration") < int(&budget, "/metadata/generation").unwrap_or(0) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        let mut status = refused(&why);
        status.retry_after = Some(10);
        return Err(status);
    }
    let allowed = count("disruptionsAllowed");
    if allowed < 0 {
        return Err(Status::forbidden(&BUDGETS, &name, "pdb disruptions allowed is negative"));
    }
    let noted = budget.pointer("/status/disruptedPods").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    if noted > MAX_DISRUPTED {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(&BUDGETS, &name, why));
    }
    if allowed == 0 {
        let (needs, has) = (count("desiredHealthy"), count("currentHealthy"));
        return Err(refused(&format!(
            "The disruption budget {name} needs {needs} healthy pods and has {has} currently"
        )));
    }
    let generation = budget.pointer("/metadata/generation").cloned().unwrap_or_default();
    let status = map(&mut budget, "status");
    status.insert("disruptionsAllowed".into(), (allowed - 1).into());
    let pods = crate::value::fields(status.entry("disruptedPods").or_insert_with(|| json!({})));
    pods.insert(text(pod, "/metadata/name").to_owned(), ctx.time().into());
    if allowed == 1 {
        let conditions = items(status, "conditions");
        conditions.retain(|c| text(c, "/type") != "DisruptionAllowed");
        conditions.push(json!({
            "type": "DisruptionAllowed", "status": "False", "observedGeneration": generation,
            "lastTransitionTime": ctx.time(), "reason": "InsufficientPods", "message": "",
        }));
    }
    Ok(Some((key, object, budget)))
}

fn covers(budget: &Value, pod: &Value) -> bool {
    let selector = budget.pointer("/spec/selector").filter(|s| !s.is_null());
    selector
        .and_then(|s| LabelSelector::from_value(s).ok())
        .is_some_and(|s| s.matches(pod.pointer("/metadata/labels").unwrap_or(&Value::Null)))
}

fn ready(pod: &Value) -> bool {
    list(pod, "/status/conditions").iter().any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True")
}

/// Whether a pod that is not ready may go without asking.
fn spare_unready(budget: &Value) -> bool {
    match text(budget, "/spec/unhealthyPodEvictionPolicy") {
        "AlwaysAllow" => true,
        _ => {
            let desired = int(budget, "/status/desiredHealthy").unwrap_or(0);
            desired > 0 && int(budget, "/status/currentHealthy").unwrap_or(0) >= desired
        }
    }
}

fn refused(why: &str) -> Status {
    Status::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
        .with_details(json!({"causes": [{"reason": "DisruptionBudget", "message": why}]}))
}
