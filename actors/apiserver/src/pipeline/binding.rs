//! Bindings: a pod gets its node, once.

use cox_log::{Existence, Precondition};
use cox_objects::{Key, Resource, Status};
use serde_json::{Value, json};

use super::{authorize, decode, meta};
use crate::context::Context;
use crate::plan::{Answer, Change, Plan};
use crate::value::{deleting, items, list, map, text};

/// POST of a Binding, at `pods/NAME/binding` or `bindings`.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let decoded = decode::named_body(ctx, &ctx.request.body, "", "v1", "Binding")?;
    let mut binding = decoded.object;
    meta::place_in(ctx, &mut binding)?;
    let name = text(&binding, "/metadata/name").to_owned();
    if !ctx.request.name.is_empty() && name != ctx.request.name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    if ctx.request.name.is_empty() {
        authorize::also(ctx, "create", "pods", "binding", &name)?;
    }
    valid(&binding)?;
    let key = Key::new(Resource::PODS, &ctx.request.namespace, &name);
    let old = ctx.state.get(&key).ok_or_else(|| Status::not_found(&Resource::PODS, &name))?;
    let mut pod = old.value();
    assign(ctx, &mut pod, &binding)?;

    let change = Change::Put { key: key.clone(), object: pod, must: Existence::Present };
    let mut plan = Plan::write(201, vec![change]);
    plan.preconditions.push(Precondition { key, uid: None, revision: Some(old.revision()) });
    plan.answer =
        Answer::Value(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}));
    plan.warnings = decoded.warnings;
    Ok(plan)
}

/// Faults of a binding are plain errors.
fn valid(binding: &Value) -> Result<(), Status> {
    let mut errors = Vec::new();
    let kind = text(binding, "/target/kind");
    if !matches!(kind, "" | "Node") {
        errors.push(format!("target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\""));
    }
    if text(binding, "/target/name").is_empty() {
        errors.push("target.name: Required value".to_owned());
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(Status::new(500, "", one.clone())),
        many => Err(Status::new(500, "", format!("[{}]", many.join(", ")))),
    }
}

/// Puts the node into the pod.
fn assign(ctx: &Context<'_>, pod: &mut Value, binding: &Value) -> Result<(), Status> {
    let name = text(pod, "/metadata/name").to_owned();
    let conflict = |why: String| Err(conflict(&name, &why));
    let (said, uid) = (text(binding, "/metadata/uid"), text(pod, "/metadata/uid"));
    if !said.is_empty() && said != uid {
        return conflict(format!("Precondition failed: UID in precondition: {said}, UID in object meta: {uid}"));
    }
    if deleting(pod) {
        return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = text(pod, "/spec/nodeName");
    if !node.is_empty() {
        return conflict(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !list(pod, "/spec/schedulingGates").is_empty() {
        return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    map(pod, "spec").insert("nodeName".into(), text(binding, "/target/name").into());
    for field in ["annotations", "labels"] {
        let Some(added) = binding.pointer(&format!("/metadata/{field}")).and_then(Value::as_object) else { continue };
        let metadata = map(pod, "metadata");
        let fields = crate::value::fields(metadata.entry(field).or_insert_with(|| json!({})));
        fields.extend(added.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": ctx.time(),
    });
    let conditions = items(map(pod, "status"), "conditions");
    conditions.retain(|c| text(c, "/type") != "PodScheduled");
    conditions.push(condition);
    Ok(())
}

fn conflict(name: &str, why: &str) -> Status {
    Status::conflict(&Resource::from("pods/binding"), name, why)
}
