//! What the server keeps in order in an object's metadata: its place, its versions, and what a writer may not change.

use cox_objects::{FieldError, Object, Path, Revision, Status};
use serde_json::{Map, Value};

use crate::context::Context;
use crate::strategy;
use crate::value::{items, map, text};

/// Puts a new object into the namespace of the request, or takes the namespace off where the kind has none.
pub(crate) fn place(ctx: &Context<'_>, object: &mut Value) -> Result<(), Status> {
    let said = text(object, "/metadata/namespace");
    if !ctx.kind.namespaced {
        map(object, "metadata").remove("namespace");
        return Ok(());
    }
    if !said.is_empty() && said != ctx.request.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    map(object, "metadata").insert("namespace".into(), ctx.request.namespace.as_str().into());
    Ok(())
}

/// Checks that the body of an update is about the object that the URL names.
pub(crate) fn same_name(ctx: &Context<'_>, object: &Value) -> Result<(), Status> {
    let (said, name) = (text(object, "/metadata/name"), ctx.request.name.as_str());
    if said.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if said != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({said}) does not match the name on the URL ({name})"
        )));
    }
    Ok(())
}

/// The version that a writer says it saw, checked against what is stored. None: it did not say, and an update wins.
pub(crate) fn seen(ctx: &Context<'_>, object: &Value, old: &Object) -> Result<Option<Revision>, Status> {
    match version_of(ctx, object)? {
        None | Some(0) if !strategy::of(ctx.resource()).unconditional_update => {
            let error = FieldError::invalid(
                &Path::new("metadata").child("resourceVersion"),
                0,
                "must be specified for an update",
            );
            Err(Status::invalid(&ctx.kind.group, &ctx.kind.plural, &ctx.request.name, &[error]))
        }
        None | Some(0) => Ok(None),
        Some(said) if said != old.revision() => Err(Status::modified(&ctx.named(), &ctx.request.name)),
        Some(said) => Ok(Some(said)),
    }
}

/// The resourceVersion in an object's metadata.
pub(crate) fn version_of(_ctx: &Context<'_>, object: &Value) -> Result<Option<Revision>, Status> {
    match text(object, "/metadata/resourceVersion") {
        "" => Ok(None),
        said => said
            .parse()
            .map(Some)
            .map_err(|_| Status::new(500, "", format!("strconv.ParseUint: parsing \"{said}\": invalid syntax"))),
    }
}

/// Fails if the body names another life of the object.
pub(crate) fn same_uid(ctx: &Context<'_>, object: &Value, old: &Value) -> Result<(), Status> {
    let (said, uid) = (text(object, "/metadata/uid"), text(old, "/metadata/uid"));
    if said.is_empty() || said == uid {
        return Ok(());
    }
    let path = match ctx.request.namespace.as_str() {
        "" => format!("/registry/{}/{}", ctx.kind.plural, ctx.request.name),
        namespace => format!("/registry/{}/{namespace}/{}", ctx.kind.plural, ctx.request.name),
    };
    Err(Status::conflict(
        &ctx.named(),
        &ctx.request.name,
        &format!(
            "StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {said}, UID in object meta: {uid}"
        ),
    ))
}

/// Before an update is prepared: the generation is counted from the stored one.
pub(crate) fn keep_generation(object: &mut Value, old: &Value) {
    let generation = old.pointer("/metadata/generation").cloned();
    put_or_remove(map(object, "metadata"), "generation", generation);
}

/// What no update changes: uid, creation, and the marks of a deletion.
pub(crate) fn keep(object: &mut Value, old: &Value) {
    let of_old = |name: &str| old.pointer(&format!("/metadata/{name}")).cloned();
    let metadata = map(object, "metadata");
    if metadata.get("uid").and_then(Value::as_str).unwrap_or_default().is_empty() {
        put_or_remove(metadata, "uid", of_old("uid"));
    }
    put_or_remove(metadata, "creationTimestamp", of_old("creationTimestamp"));
    if let Some(time) = of_old("deletionTimestamp") {
        metadata.insert("deletionTimestamp".into(), time);
    }
    if let Some(grace) = of_old("deletionGracePeriodSeconds") {
        metadata.entry("deletionGracePeriodSeconds").or_insert(grace);
    }
    metadata.remove("managedFields");
    metadata.remove("selfLink");
}

/// Adds a finalizer, if it is not there.
pub(crate) fn add_finalizer(metadata: &mut Map<String, Value>, finalizer: &str) {
    let finalizers = items(metadata, "finalizers");
    if !finalizers.iter().any(|f| f == finalizer) {
        finalizers.push(finalizer.into());
    }
}

fn put_or_remove(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.remove(name),
    };
}

/// Puts the object of a namespaced subresource into the namespace of the request.
pub(crate) fn place_in(ctx: &Context<'_>, object: &mut Value) -> Result<(), Status> {
    let said = text(object, "/metadata/namespace");
    if !said.is_empty() && said != ctx.request.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    map(object, "metadata").insert("namespace".into(), ctx.request.namespace.as_str().into());
    Ok(())
}
