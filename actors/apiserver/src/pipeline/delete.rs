//! DELETE of one object: finalizers, propagation, grace, preconditions, and what is answered.

use cox_log::{Existence, Precondition};
use cox_objects::{Key, Object, Status};
use serde_json::{Value, json};

use super::grace::{self, Fate};
use super::options::{self, DeleteOptions};
use super::version;
use crate::admission;
use crate::context::Context;
use crate::plan::{Answer, Change, Plan};
use crate::strategy::{self, Deletion};

const JOBS: &str = "jobs.batch";
const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

/// DELETE.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let options = options::of_delete(ctx)?;
    admission::delete(ctx)?;
    let old = ctx.current().ok_or_else(|| Status::not_found(&ctx.named(), &ctx.request.name))?;
    let mut plan = one(ctx, &ctx.request.name, &old, &options)?;
    if options.propagation.is_none() && ctx.resource().as_str() == JOBS {
        plan.warnings.push(PODS_STAY.to_owned());
    }
    Ok(plan)
}

/// The deletion of one object.
pub(crate) fn one(ctx: &Context<'_>, name: &str, old: &Object, options: &DeleteOptions) -> Result<Plan, Status> {
    let value = old.value();
    options.check_preconditions(ctx, name, &value)?;
    let key = ctx.key(name);
    let fate = match strategy::of(ctx.resource()).deletion {
        Deletion::Namespace => grace::namespace(ctx, value, options),
        _ => grace::object(ctx, value, options),
    };
    let mut plan = match fate {
        Fate::Nothing(object) => Plan::answer(200, version::present(ctx, object)),
        Fate::Marked(object) => held(key, object, options),
        Fate::Gone(last) => gone(ctx, key, last)?,
    };
    if !plan.changes.is_empty() {
        let key = ctx.key(name);
        plan.preconditions.push(Precondition { key, uid: None, revision: Some(old.revision()) });
    }
    plan.retry = options.resource_version.is_none();
    Ok(plan)
}

/// The object stays, marked, until its finalizers or its kubelet let it go.
fn held(key: Key, object: Value, options: &DeleteOptions) -> Plan {
    let code = if options.accepted_if_held() { 202 } else { 200 };
    Plan::write(code, vec![Change::Put { key, object, must: Existence::Present }])
}

fn gone(ctx: &Context<'_>, key: Key, last: Value) -> Result<Plan, Status> {
    let named = ctx.named();
    let mut changes = vec![Change::Delete { key: key.clone(), last: Some(last.clone()) }];
    changes.extend(admission::release(ctx, &last));
    let mut plan = Plan::write(200, changes);
    if !strategy::of(ctx.resource()).delete_answers_object {
        let mut details = cox_objects::status::about(&named, key.name());
        if let (Some(fields), Some(uid)) = (details.as_object_mut(), last.pointer("/metadata/uid")) {
            fields.insert("uid".into(), uid.clone());
        }
        plan.answer = Answer::Value(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
        }));
    }
    Ok(plan)
}
