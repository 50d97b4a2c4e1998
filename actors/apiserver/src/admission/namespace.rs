//! NamespaceLifecycle: nothing new in a namespace that is not there or is going; and what every namespace has.

use cox_log::Guard;
use cox_objects::{Key, Resource, Status};
use serde_json::{Value, json};

use super::Effects;
use crate::context::Context;
use crate::value::{deleting, items, map, text};

/// Namespaces that the cluster cannot do without.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];
const FINALIZER: &str = "kubernetes";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Checks that the namespace of a new object is there and stays, now and at the commit.
pub(super) fn live(ctx: &Context<'_>, object: &Value, effects: &mut Effects) -> Result<(), Status> {
    if !ctx.kind.namespaced {
        return Ok(());
    }
    let name = ctx.request.namespace.as_str();
    if !ctx.state.is_live(name) {
        let key = Key::new(Resource::NAMESPACES, "", name);
        let namespace = ctx.state.get(&key).ok_or_else(|| Status::not_found(&Resource::NAMESPACES, name))?.value();
        if terminating(&namespace) {
            return Err(refusal(ctx, object, name));
        }
    }
    effects.guards.push(Guard::NamespaceLive(name.to_owned()));
    Ok(())
}

/// Whether a namespace takes nothing new.
pub(crate) fn terminating(namespace: &Value) -> bool {
    deleting(namespace) || text(namespace, "/status/phase") == "Terminating"
}

fn refusal(ctx: &Context<'_>, object: &Value, namespace: &str) -> Status {
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = super::forbidden(ctx, object, &why);
    if let Some(details) = status.details.as_mut().and_then(Value::as_object_mut) {
        details.insert(
            "causes".into(),
            json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace",
                    "message": format!("namespace {namespace} is being terminated")}]),
        );
    }
    status
}

/// What a new namespace gets: its finalizer, and its name as a label.
pub(super) fn new(namespace: &mut Value) {
    let finalizers = items(map(namespace, "spec"), "finalizers");
    if !finalizers.iter().any(|f| f == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
    label(namespace);
}

/// An update leaves the finalizers of the spec, which change by `finalize` only, and the label.
pub(super) fn keep_finalizers(namespace: &mut Value, old: &Value) {
    let finalizers = old.pointer("/spec/finalizers").cloned();
    let spec = map(namespace, "spec");
    match finalizers {
        Some(finalizers) => spec.insert("finalizers".into(), finalizers),
        None => spec.remove("finalizers"),
    };
    label(namespace);
}

/// Every namespace carries its name as a label.
pub(crate) fn label(namespace: &mut Value) {
    let name = text(namespace, "/metadata/name").to_owned();
    if name.is_empty() {
        return;
    }
    let labels = map(namespace, "metadata").entry("labels").or_insert_with(|| json!({}));
    crate::value::fields(labels).insert(NAME_LABEL.into(), name.into());
}

/// 403 for the namespaces that the cluster cannot do without.
pub(super) fn may_go(ctx: &Context<'_>) -> Result<(), Status> {
    if IMMORTAL.contains(&ctx.request.name.as_str()) {
        return Err(Status::forbidden(&ctx.named(), &ctx.request.name, "this namespace may not be deleted"));
    }
    Ok(())
}
