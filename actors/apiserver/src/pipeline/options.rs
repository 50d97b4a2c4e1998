//! The options of writes and deletes.

use cox_bus::Verb;
use cox_objects::{FieldError, Path, Revision, Status};
use serde_json::Value;

use crate::context::Context;
use crate::value::{flag, int, list, text};

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// The options of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeleteOptions {
    grace: Option<i64>,
    pub(crate) propagation: Option<Propagation>,
    orphan_dependents: Option<bool>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<Revision>,
    resource_version_text: Option<String>,
    pub(crate) dry_run: bool,
}

/// Whether nothing is to be committed.
pub(crate) fn dry_run(ctx: &Context<'_>) -> bool {
    match ctx.request.verb {
        // A body of options makes those of the query void, dryRun too.
        Verb::Delete | Verb::DeleteCollection => of_delete(ctx).is_ok_and(|o| o.dry_run),
        Verb::Create if ctx.request.subresource == "eviction" => super::eviction::dry_run(ctx),
        _ => ctx.request.options.dry_run,
    }
}

/// Checks the options of a write.
pub(crate) fn check(ctx: &Context<'_>) -> Result<(), Status> {
    let (verb, options) = (ctx.request.verb, &ctx.request.options);
    let kind = match verb {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        Verb::Patch => "PatchOptions",
        Verb::Delete | Verb::DeleteCollection => return Ok(()),
    };
    let mut errors = Vec::new();
    if options.force && verb == Verb::Patch {
        errors.push(FieldError::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
    }
    let validation = options.field_validation.as_str();
    if !matches!(validation, "" | "Ignore" | "Warn" | "Strict") {
        errors.push(FieldError::not_supported(
            &Path::new("fieldValidation"),
            validation,
            &["", "Ignore", "Strict", "Warn"],
        ));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", &errors)) }
}

/// The options of a delete request: the body's if it has one, else the query's.
pub(crate) fn of_delete(ctx: &Context<'_>) -> Result<DeleteOptions, Status> {
    if ctx.request.body.is_empty() {
        let mut options = match &ctx.request.options.delete_options {
            Some(query) => parse(query)?,
            None => DeleteOptions::default(),
        };
        options.dry_run |= ctx.request.options.dry_run;
        return Ok(options);
    }
    parse(&ctx.request.body)
}

/// Reads a DeleteOptions.
fn parse(bytes: &[u8]) -> Result<DeleteOptions, Status> {
    let value = super::decode::delete_options(bytes)?;
    of_value(&value)
}

/// The DeleteOptions in a value whose types were checked.
pub(crate) fn of_value(value: &Value) -> Result<DeleteOptions, Status> {
    let mut errors: Vec<FieldError> = Vec::new();
    let orphan_dependents = flag(value, "/orphanDependents");
    let policy = value.pointer("/propagationPolicy").and_then(Value::as_str);
    if orphan_dependents.is_some() && policy.is_some() {
        errors.push(FieldError::invalid(
            &Path::new("propagationPolicy"),
            policy.unwrap_or_default(),
            "orphanDependents and deletionPropagation cannot be both set",
        ));
    }
    let propagation = match policy {
        None => orphan_dependents.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
        Some("Orphan") => Some(Propagation::Orphan),
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some(other) => {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(FieldError::not_supported(&Path::new("propagationPolicy"), other, &known));
            None
        }
    };
    let dry_run = list(value, "/dryRun");
    if dry_run.iter().any(|d| d != "All") {
        let printed = Value::from(dry_run.to_vec());
        errors.push(FieldError::not_supported(&Path::new("dryRun"), printed, &["All"]));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    let precondition = |name: &str| {
        let said = text(value, &format!("/preconditions/{name}"));
        (!said.is_empty()).then(|| said.to_owned())
    };
    let version = precondition("resourceVersion");
    Ok(DeleteOptions {
        grace: int(value, "/gracePeriodSeconds"),
        propagation,
        orphan_dependents,
        uid: precondition("uid"),
        // A version that is no number matches none; 0 is none.
        resource_version: version.as_ref().map(|v| v.parse().unwrap_or(0)),
        resource_version_text: version,
        dry_run: !dry_run.is_empty(),
    })
}

impl DeleteOptions {
    /// The grace period asked for, in seconds; a negative one means the shortest.
    pub(crate) fn grace(&self) -> Option<i64> {
        self.grace.map(|seconds| if seconds < 0 { 1 } else { seconds })
    }

    /// Whether 202 is answered while something still holds the object.
    pub(crate) fn accepted_if_held(&self) -> bool {
        // The policy alone answers 200: clients of its time expected that. Only the old field asks for 202.
        self.orphan_dependents == Some(false)
    }

    /// Checks what the caller says about the object that it means.
    pub(crate) fn check_preconditions(&self, ctx: &Context<'_>, name: &str, object: &Value) -> Result<(), Status> {
        let uid = text(object, "/metadata/uid");
        if let Some(said) = self.uid.as_deref().filter(|said| *said != uid) {
            return Err(conflict(
                ctx,
                name,
                &format!(
                    "the UID in the precondition ({said}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
                ),
            ));
        }
        let version = text(object, "/metadata/resourceVersion");
        if let Some(said) = self.resource_version_text.as_deref().filter(|said| *said != version) {
            return Err(conflict(
                ctx,
                name,
                &format!(
                    "the ResourceVersion in the precondition ({said}) does not match the ResourceVersion in record ({version}). The object might have been modified"
                ),
            ));
        }
        Ok(())
    }
}

/// These conflicts name the kind, not the resource.
fn conflict(ctx: &Context<'_>, name: &str, why: &str) -> Status {
    Status::conflict(&cox_objects::Resource::new(ctx.kind.resource.group(), &ctx.kind.kind), name, why)
}
