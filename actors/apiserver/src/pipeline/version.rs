//! The version that a client speaks and the one that is stored.

use cox_objects::Object;
use cox_objects::kinds::convert;
use serde_json::Value;

use crate::context::Context;

/// A stored object in the request's version.
pub(crate) fn from_stored(ctx: &Context<'_>, object: &Object) -> Value {
    present(ctx, object.value())
}

/// A stored object's value in the request's version.
pub(crate) fn present(ctx: &Context<'_>, value: Value) -> Value {
    if convert::differs(ctx.kind) { convert::from_stored(ctx.kind, value) } else { value }
}

/// An object of the request's version as it is stored.
pub(crate) fn to_stored(ctx: &Context<'_>, value: Value) -> Value {
    if convert::differs(ctx.kind) { convert::to_stored(ctx.kind, value) } else { value }
}
