//! Writes: a body in any of its forms becomes an api request; the reply becomes the answer.
//!
//! The apiserver authorizes and checks. What is wrong with a request before it can be sent (its form, size, encoding) is found here, and then the
//! mirror's RBAC decides which refusal the client sees first, since Kubernetes authorizes before it reads a body.
//!
//! A write is answered as soon as it is durable, without waiting for the own mirror: reads that must see it pass the fence, which is told.

mod body;

use std::time::Duration;

use bytes::Bytes;
use cox_bus::{ApiReply, ApiRequest, PatchType, Verb, WriteOptions};
use cox_objects::kinds::convert;
use cox_objects::{FieldError, Path, RequestId, Status, User};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::answer::{self, Answer};
use crate::gateway::{Gateway, PATIENCE, now_ms};
use crate::negotiate::{Form, Offer, Shape, header};
use crate::query::Query;
use crate::request::Request;
use crate::route::{Action, Target};
use crate::shape::{self, Include};
use body::Body;

/// How long one attempt waits before the outcome is asked for with the same id.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Carries out a write and answers it.
///
/// # Errors
/// Whatever the client is to be told.
pub(crate) async fn write(gateway: &Gateway, request: &Request, target: &Target) -> Result<Answer, Status> {
    let prepared = prepare(request, target);
    let (form, include, call, warnings) = match prepared {
        Ok(prepared) => prepared,
        Err(status) => {
            gateway.fence.pass().await?;
            gateway.authorizer.check(&request.user, &request.info)?;
            return Err(status);
        }
    };
    let reply = settle(gateway, call).await?;
    Ok(show(&reply, target, &form, include, &warnings))
}

type Prepared = (Form, Include, ApiRequest, Vec<String>);

fn prepare(request: &Request, target: &Target) -> Result<Prepared, Status> {
    let form = request.form(Offer::Objects)?;
    let include = Include::parse(request.query.text("includeObject"))?;
    let (verb, patch_type) = match target.action {
        Action::Update => (Verb::Update, None),
        Action::Patch => (Verb::Patch, Some(patch_type(header(&request.headers, CONTENT_TYPE))?)),
        Action::Delete => (Verb::Delete, None),
        Action::DeleteCollection => (Verb::DeleteCollection, None),
        _ => (Verb::Create, None),
    };
    let options = options(request, verb)?;
    let body = match patch_type {
        Some(PatchType::Apply) => body::yaml(&request.body, target, &options.field_validation)?,
        Some(_) => Body { json: request.body.clone(), warnings: Vec::new() },
        None => body::read(request, target, verb, &options.field_validation)?,
    };
    let call = ApiRequest {
        id: RequestId(request.id.as_u128()),
        deadline: 0,
        user: Some(User::clone(&request.user)),
        verb,
        group: target.kind.group.clone(),
        version: target.kind.version.clone(),
        plural: target.kind.plural.clone(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        options,
        patch_type,
        body: body.json,
        observed: None,
        trigger: None,
        folded: Vec::new(),
        correlation: None,
        traceparent: request.traceparent.clone(),
        guard: None,
    };
    Ok((form, include, call, body.warnings))
}

/// The dialect of a patch. Its media type is matched with case, as Kubernetes does.
fn patch_type(content_type: &str) -> Result<PatchType, Status> {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
        "application/apply-patch+yaml" => Ok(PatchType::Apply),
        _ => Err(Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details(json!({}))),
    }
}

fn options(request: &Request, verb: Verb) -> Result<WriteOptions, Status> {
    let query = &request.query;
    let kind = match verb {
        Verb::Create => "CreateOptions",
        Verb::Update => "UpdateOptions",
        Verb::Patch => "PatchOptions",
        Verb::Delete | Verb::DeleteCollection => "DeleteOptions",
    };
    let is_delete = matches!(verb, Verb::Delete | Verb::DeleteCollection);
    let dry: Vec<&str> = query.all("dryRun").collect();
    // Of a delete the apiserver decides: a body makes the query count for nothing.
    if !is_delete && dry.iter().any(|value| *value != "All") {
        let error = FieldError::not_supported(&Path::new("dryRun"), json!(dry), &["All"]);
        return Err(Status::invalid("meta.k8s.io", kind, "", &[error]));
    }
    Ok(WriteOptions {
        dry_run: !is_delete && !dry.is_empty(),
        field_manager: field_manager(query, header(&request.headers, USER_AGENT)),
        field_validation: query.text("fieldValidation").to_owned(),
        force: query.flag("force"),
        label_selector: query.text("labelSelector").to_owned(),
        field_selector: query.text("fieldSelector").to_owned(),
        limit: query.number("limit").ok().flatten().and_then(|limit| u64::try_from(limit).ok()).unwrap_or(0),
        delete_options: if is_delete { delete_options(query)? } else { None },
    })
}

/// Who is named as the manager of fields: what the client says, else the program in its user agent.
fn field_manager(query: &Query, user_agent: &str) -> String {
    match (query.text("fieldManager"), user_agent.split('/').next().unwrap_or_default()) {
        ("", "") => "unknown".to_owned(),
        ("", program) => program.to_owned(),
        (manager, _) => manager.to_owned(),
    }
}

/// DeleteOptions from the query, as the object that would be in a body.
fn delete_options(query: &Query) -> Result<Option<Bytes>, Status> {
    let mut options = Map::new();
    let dry: Vec<&str> = query.all("dryRun").collect();
    if !dry.is_empty() {
        options.insert("dryRun".into(), json!(dry));
    }
    if let Some(seconds) = query.number("gracePeriodSeconds")? {
        options.insert("gracePeriodSeconds".into(), seconds.into());
    }
    if let Some(policy) = query.get("propagationPolicy") {
        options.insert("propagationPolicy".into(), policy.into());
    }
    if query.has("orphanDependents") {
        options.insert("orphanDependents".into(), query.flag("orphanDependents").into());
    }
    Ok((!options.is_empty()).then(|| Value::Object(options).to_string().into()))
}

/// Sends a request until its outcome is known or the client's patience ends.
async fn settle(gateway: &Gateway, mut call: ApiRequest) -> Result<ApiReply, Status> {
    let end = Instant::now() + PATIENCE;
    // Whether an attempt was perhaps carried out. Only an answer that knows of it settles that: one that this attempt was surely not does not.
    let mut in_doubt = false;
    loop {
        let left = end.saturating_duration_since(Instant::now()).min(ATTEMPT);
        call.deadline = now_ms().saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        let why = match gateway.backend.call(&call).await {
            Ok(reply) if in_doubt && matches!(reply.code, 429 | 503) => format!("attempt refused with {}", reply.code),
            Ok(reply) => {
                gateway.fence.told(reply.seen.max(reply.revision));
                return Ok(reply);
            }
            Err(error) => {
                in_doubt |= error.perhaps_done();
                error.to_string()
            }
        };
        if Instant::now() < end {
            // The same id gets the first outcome, so asking again is safe.
            tracing::debug!(why, request = %call.id, "asked again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        } else if in_doubt {
            let text = "Timeout: request did not complete within the allotted timeout";
            return Err(Status::timeout(format!("{text}: {why}")));
        } else {
            let status = Status::unavailable(format!("the request was not carried out: {why}"));
            return Err(Status { retry_after: Some(1), ..status });
        }
    }
}

fn show(reply: &ApiReply, target: &Target, form: &Form, include: Include, warnings: &[String]) -> Answer {
    let plain = Form { shape: Shape::Plain, ..form.clone() };
    let shaped = match &form.shape {
        shape if reply.is_success() && *shape != Shape::Plain => reshape(reply, target, shape, include),
        _ => None,
    };
    let mut answer = match shaped {
        Some(value) => answer::value(reply.code, &value, &plain),
        None => answer::json(reply.code, reply.body.clone(), &plain),
    };
    if let Some(seconds) = reply.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer::warn(&mut answer, warnings);
    answer::warn(&mut answer, &reply.warnings);
    answer
}

/// The object of an answer in another shape; none if the answer is no such object (a `Status`).
fn reshape(reply: &ApiReply, target: &Target, shape: &Shape, include: Include) -> Option<Value> {
    let value: Value = serde_json::from_slice(&reply.body).ok()?;
    if value.get("kind").and_then(Value::as_str) != Some(&target.kind.kind) {
        return None;
    }
    let value = if convert::differs(&target.kind) { convert::to_stored(&target.kind, value) } else { value };
    Some(match shape {
        Shape::Table(version) => {
            let revision = value.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
            shape::table(&target.kind, &[&value], include, version, json!({ "resourceVersion": revision }))
        }
        Shape::Partial(version) | Shape::PartialList(version) => shape::partial(&target.kind, &value, version),
        Shape::Plain => value,
    })
}
