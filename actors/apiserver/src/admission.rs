//! What happens to objects between decoding and validation, by looking at other objects: admission.
//!
//! Each rule is a function in a file of its own; the order here is that of Kubernetes' plugins.

use cox_log::Guard;
use cox_objects::{FieldError, Status};
use serde_json::Value;

use crate::context::Context;
use crate::plan::Change;
use crate::value::text;

mod addresses;
mod limits;
mod namespace;
mod node;
mod ports;
mod priority;
mod runtime_class;
mod security;
mod service;
mod service_account;
mod signing_request;
mod storage_class;
mod tolerations;

#[cfg(test)]
mod tests;

pub(crate) use namespace::{label, terminating};
pub(crate) use ports::POOL;
pub(crate) use service::numbers as port_numbers;

/// What a write brings along: further changes of the same transaction, and what must hold of the state.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) changes: Vec<Change>,
    pub(crate) guards: Vec<Guard>,
}

/// Admission of a new object.
pub(crate) fn create(ctx: &Context<'_>, object: &mut Value, effects: &mut Effects) -> Result<(), Status> {
    namespace::live(ctx, object, effects)?;
    match ctx.resource().as_str() {
        "pods" => {
            limits::give(ctx, object);
            service_account::admit(ctx, object)?;
            priority::admit(ctx, object)?;
            tolerations::admit(object);
            runtime_class::admit(ctx, object)
        }
        "persistentvolumeclaims" => {
            storage_class::choose(ctx, object);
            Ok(())
        }
        "nodes" => {
            node::taint(object);
            Ok(())
        }
        "namespaces" => {
            namespace::new(object);
            Ok(())
        }
        signing_request::RESOURCE => {
            signing_request::new(ctx, object);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Admission of an update.
pub(crate) fn update(ctx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), Status> {
    if ctx.resource().as_str() == signing_request::RESOURCE {
        signing_request::keep(ctx, object, old);
    }
    if !ctx.request.subresource.is_empty() {
        return Ok(());
    }
    match ctx.resource().as_str() {
        "pods" => {
            tolerations::admit(object);
            Ok(())
        }
        "namespaces" => {
            namespace::keep_finalizers(object, old);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What is wrong with an update in ways that depend on who may write what.
pub(crate) fn faults(ctx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
    if ctx.resource().as_str() == signing_request::RESOURCE {
        signing_request::faults(ctx, object, old)
    } else {
        Vec::new()
    }
}

/// The last word on a valid object: refuses it, or says what is to be warned of.
pub(crate) fn judge(ctx: &Context<'_>, object: &Value, old: Option<&Value>) -> Result<Vec<String>, Status> {
    limits::check(ctx, object, old.is_none())?;
    security::check(ctx, object, old)
}

/// Admission of a delete.
pub(crate) fn delete(ctx: &Context<'_>) -> Result<(), Status> {
    if ctx.resource().as_str() == "namespaces" { namespace::may_go(ctx) } else { Ok(()) }
}

/// Gives a Service what it needs of the cluster's addresses and ports, and takes back what it needs no more.
pub(crate) fn allocate(
    ctx: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
    effects: &mut Effects,
) -> Result<(), Status> {
    if ctx.resource().as_str() == "services" { service::allocate(ctx, object, old, effects) } else { Ok(()) }
}

/// The changes that come with the end of an object.
pub(crate) fn release(ctx: &Context<'_>, last: &Value) -> Vec<Change> {
    if ctx.resource().as_str() == "services" { addresses::release(ctx, last) } else { Vec::new() }
}

/// 403 about an object that may have no name yet.
fn forbidden(ctx: &Context<'_>, object: &Value, why: &str) -> Status {
    let name = match (text(object, "/metadata/name"), text(object, "/metadata/generateName")) {
        ("", "") => "Unknown",
        ("", base) => base,
        (name, _) => name,
    };
    Status::forbidden(&ctx.named(), name, why)
}
