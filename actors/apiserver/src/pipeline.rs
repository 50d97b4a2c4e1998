//! The decision about one request, as a pure function of committed state: authorize, decode, patch, default, admit, prepare, validate.
//!
//! Flow: [`decide`] comes to a [`Plan`](crate::plan::Plan); the shell commits it and answers, or decides again if a race was lost.
//! Guarantees: nothing here reads a clock, does IO, or keeps anything; the same request on the same state with the same randomness
//! gives the same plan. Absences: reads are not served here, but by mirrors.

use cox_bus::Verb;
use cox_objects::Status;

use crate::context::Context;
use crate::plan::Plan;

pub(crate) mod approval;
pub(crate) mod authorize;
pub(crate) mod binding;
pub(crate) mod collection;
pub(crate) mod create;
pub(crate) mod decode;
pub(crate) mod delete;
pub(crate) mod escalation;
pub(crate) mod eviction;
pub(crate) mod finalize;
pub(crate) mod finish;
pub(crate) mod grace;
pub(crate) mod identify;
pub(crate) mod meta;
pub(crate) mod options;
pub(crate) mod patch;
pub(crate) mod review;
pub(crate) mod scale;
pub(crate) mod token;
pub(crate) mod update;
pub(crate) mod version;

/// The largest body, in bytes: Kubernetes' limit.
const MAX_BODY: usize = 3 << 20;

/// What a request comes to.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    authorize::check(ctx)?;
    if ctx.request.body.len() > MAX_BODY {
        let text = format!("Request entity too large: limit is {MAX_BODY}");
        return Err(Status::new(413, "RequestEntityTooLarge", text).with_details(serde_json::json!({})));
    }
    allowed(ctx)?;
    options::check(ctx)?;
    let subresource = ctx.request.subresource.as_str();
    match (ctx.request.verb, subresource) {
        (Verb::Create, "") if !ctx.kind.stored => review::decide(ctx),
        (Verb::Create, "") => create::decide(ctx),
        (Verb::Create, "binding") => binding::decide(ctx),
        (Verb::Create, "eviction") => eviction::decide(ctx),
        (Verb::Create, "token") => token::decide(ctx),
        (Verb::Update, "finalize") => finalize::decide(ctx),
        (Verb::Update | Verb::Patch, "scale") => scale::decide(ctx),
        (Verb::Update, _) => update::decide(ctx),
        (Verb::Patch, _) => patch::decide(ctx),
        (Verb::Delete, "") => delete::decide(ctx),
        (Verb::DeleteCollection, "") => collection::decide(ctx),
        _ => Err(Status::method_not_allowed()),
    }
}

/// 405 for a verb that the kind does not serve, 404 for a subresource that it does not have.
fn allowed(ctx: &Context<'_>) -> Result<(), Status> {
    let verb = ctx.request.verb.as_str();
    let allowed = match ctx.request.subresource.as_str() {
        "" => ctx.kind.allows(verb),
        name => match ctx.kind.subresource(name) {
            Some(subresource) => subresource.verbs.iter().any(|v| v == verb),
            None => return Err(no_such_resource()),
        },
    };
    let addressed = match ctx.request.verb {
        Verb::Create => ctx.request.name.is_empty() == ctx.request.subresource.is_empty(),
        Verb::DeleteCollection => ctx.request.name.is_empty(),
        Verb::Update | Verb::Patch | Verb::Delete => !ctx.request.name.is_empty(),
    };
    let in_namespace = !ctx.kind.namespaced || !ctx.request.namespace.is_empty();
    if allowed && addressed && in_namespace { Ok(()) } else { Err(Status::method_not_allowed()) }
}

/// 404 for what the API does not have at all.
pub(crate) fn no_such_resource() -> Status {
    Status::new(404, "NotFound", "the server could not find the requested resource").with_details(serde_json::json!({}))
}
