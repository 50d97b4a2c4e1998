//! From the bytes of a body to an object of the right kind: its identity, its types, its unknown and duplicate fields.

use cox_objects::patch::Patched;
use cox_objects::{Kind, Status, schema};
use serde_json::Value;

use super::patch::{self, Form};
use crate::context::Context;
use crate::value::fields;

/// An object of the expected kind, with what to warn about.
pub(crate) struct Decoded {
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
}

/// What is expected of a body.
struct Expected<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

impl Expected<'_> {
    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// The name under which Kubernetes' errors know its table of types.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// A body of the request's kind.
pub(crate) fn body(ctx: &Context<'_>, bytes: &[u8]) -> Result<Decoded, Status> {
    let Kind { group, version, kind, .. } = ctx.kind;
    named_body(ctx, bytes, group, version, kind)
}

/// A body of a kind that a subresource takes.
pub(crate) fn named_body(
    ctx: &Context<'_>,
    bytes: &[u8],
    group: &str,
    version: &str,
    kind: &str,
) -> Result<Decoded, Status> {
    let expected = Expected { group, version, kind };
    identity(ctx, bytes, &expected)?;
    let unfit =
        |why: &str| Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"));
    let (object, strict) = typed(bytes, &expected).map_err(|why| unfit(&why))?;
    let warnings = match ctx.request.options.field_validation.as_str() {
        "Ignore" => Vec::new(),
        "Strict" if !strict.is_empty() => {
            return Err(unfit(&format!("strict decoding error: {}", strict.join(", "))));
        }
        _ => strict,
    };
    Ok(Decoded { object, warnings })
}

/// The result of a patch as an object of the kind that was patched.
pub(crate) fn patched(ctx: &Context<'_>, patched: Patched, form: Form<'_>) -> Result<Decoded, Status> {
    let expected = Expected { group: form.group, version: form.version, kind: form.kind };
    let Patched { object: patched, faults } = patched;
    let text = patched.to_string();
    if let Err(status) = identity(ctx, text.as_bytes(), &expected) {
        return Err(patch::no_object(&patched, &status.message));
    }
    let (object, unknown) = typed(text.as_bytes(), &expected).map_err(|why| patch::no_object(&patched, &why))?;
    let strict: Vec<String> = faults.into_iter().chain(unknown).collect();
    let warnings = match ctx.request.options.field_validation.as_str() {
        "Ignore" => Vec::new(),
        "Strict" if !strict.is_empty() => {
            return Err(patch::no_object(&patched, &format!("strict decoding error: {}", strict.join(", "))));
        }
        _ => strict,
    };
    Ok(Decoded { object, warnings })
}

/// The options in the body of a delete.
pub(crate) fn delete_options(bytes: &[u8]) -> Result<Value, Status> {
    let identity = schema::identify(bytes).map_err(|why| unrecognized("DeleteOptions", &why.to_string(), bytes))?;
    if !matches!(identity.kind.as_str(), "" | "DeleteOptions") {
        return Err(Status::bad_request(format!(
            "no kind {:?} is registered for version {:?} in scheme \"pkg/apis/meta/internalversion/scheme/register.go:27\"",
            identity.kind, identity.api_version
        )));
    }
    let expected = Expected { group: "", version: "v1", kind: "DeleteOptions" };
    let unfit = |why: String| {
        Status::bad_request(format!("DeleteOptions in version \"v1\" cannot be handled as a DeleteOptions: {why}"))
    };
    typed(bytes, &expected).map(|(value, _)| value).map_err(unfit)
}

/// The apiVersion of a body, if it can be read.
pub(crate) fn api_version(bytes: &[u8]) -> Option<String> {
    schema::identify(bytes).ok().map(|identity| identity.api_version)
}

/// Checks that the body says what it is expected to be, or nothing.
fn identity(ctx: &Context<'_>, bytes: &[u8], expected: &Expected<'_>) -> Result<(), Status> {
    let said = schema::identify(bytes).map_err(|why| unrecognized(expected.kind, &why.to_string(), bytes))?;
    let wanted = expected.api_version();
    let api_version = if said.api_version.is_empty() { wanted.as_str() } else { said.api_version.as_str() };
    let kind = if said.kind.is_empty() { expected.kind } else { said.kind.as_str() };
    if (api_version, kind) == (wanted.as_str(), expected.kind) {
        return Ok(());
    }
    let version = api_version.rsplit('/').next().unwrap_or_default();
    let unfit = |why: String| {
        Err(Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: {why}",
            expected.kind
        )))
    };
    if !known(ctx, api_version, kind) {
        return unfit(format!("no kind {kind:?} is registered for version {api_version:?} in scheme {SCHEME:?}"));
    }
    if kind == expected.kind {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({wanted})"
        )));
    }
    let package = expected.group.split('.').next().filter(|p| !p.is_empty()).unwrap_or("core");
    unfit(format!("converting ({version}.{kind}) to ({package}.{}): unknown conversion", expected.kind))
}

/// Whether the API has a kind, or a list of it.
fn known(ctx: &Context<'_>, api_version: &str, kind: &str) -> bool {
    let has = |kind: &str| {
        ctx.kinds.named(api_version, kind).is_some() || schema::schema().named(api_version, kind).is_some()
    };
    has(kind) || kind.strip_suffix("List").is_some_and(has)
}

/// Reads a body by its type; the kind and version are those expected.
fn typed(bytes: &[u8], expected: &Expected<'_>) -> Result<(Value, Vec<String>), String> {
    let version = if expected.version == "v1beta1" { "v1" } else { expected.version };
    let schema = schema::schema();
    let owner = schema
        .kind(expected.group, expected.version, expected.kind)
        .or_else(|| schema.kind(expected.group, version, expected.kind))
        .ok_or_else(|| format!("no kind {:?} is registered for version {:?}", expected.kind, expected.api_version()))?;
    let decoded = schema::decode(bytes, owner).map_err(|why| why.to_string())?;
    let mut object = decoded.value;
    let members = fields(&mut object);
    members.insert("kind".into(), expected.kind.into());
    members.insert("apiVersion".into(), expected.api_version().into());
    members.entry("metadata").or_insert_with(|| Value::Object(serde_json::Map::new()));
    Ok((object, decoded.strict))
}

fn unrecognized(kind: &str, why: &str, bytes: &[u8]) -> Status {
    let excerpt = schema::excerpt(bytes);
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({excerpt})"))
}
