//! Kinds that are asked and not kept: reviews of access, of tokens, of oneself; and bindings by their own path.

use cox_objects::{FieldError, Key, Path, Resource, Status, User};
use serde_json::{Map, Value, json};

use super::authorize::{self, Asked};
use super::{binding, decode, meta};
use crate::context::Context;
use crate::plan::Plan;
use crate::token::{Claims, Reference};
use crate::value::{fields, list, text, texts};

/// POST of a kind that is not stored.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    if ctx.kind.kind == "Binding" {
        return binding::decide(ctx);
    }
    let decoded = decode::body(ctx, &ctx.request.body)?;
    let mut review = decoded.object;
    if ctx.kind.namespaced {
        meta::place(ctx, &mut review)?;
    }
    let status = match ctx.kind.kind.as_str() {
        "SelfSubjectAccessReview" => access(ctx, &review, ctx.user)?,
        "SubjectAccessReview" | "LocalSubjectAccessReview" => access_of_another(ctx, &review)?,
        "SelfSubjectRulesReview" => rules(ctx, &review)?,
        "SelfSubjectReview" => myself(ctx),
        "TokenReview" => token(ctx, &review)?,
        _ => return Err(Status::method_not_allowed()),
    };
    if ctx.kind.kind == "SelfSubjectReview" {
        crate::value::map(&mut review, "metadata").insert("creationTimestamp".into(), ctx.time().into());
    }
    if ctx.kind.kind == "SelfSubjectRulesReview" {
        // What was asked is not repeated.
        let said = fields(&mut review);
        said.insert("metadata".into(), json!({}));
        said.insert("spec".into(), json!({}));
    }
    fields(&mut review).insert("status".into(), status);
    let mut plan = Plan::answer(201, review);
    plan.warnings = decoded.warnings;
    Ok(plan)
}

fn access_of_another(ctx: &Context<'_>, review: &Value) -> Result<Value, Status> {
    let local = ctx.kind.namespaced;
    let asked = text(review, "/spec/resourceAttributes/namespace");
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    if text(review, "/spec/user").is_empty() && list(review, "/spec/groups").is_empty() {
        errors.push(FieldError::invalid(&spec.child("user"), "", "at least one of user or group must be specified"));
    }
    if local && review.pointer("/spec/resourceAttributes").is_some() && asked != ctx.request.namespace {
        let path = spec.child("resourceAttributes").child("namespace");
        errors.push(FieldError::invalid(&path, asked, "must match metadata.namespace"));
    }
    if let Some(attributes) = review.pointer("/spec/nonResourceAttributes").filter(|_| local) {
        let path = spec.child("nonResourceAttributes");
        errors.push(FieldError::invalid_raw(&path, &printed(attributes), "disallowed on this kind of request"));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("authorization.k8s.io", "", "", &errors));
    }
    let strings = |pointer: &str| texts(review, pointer).into_iter().map(str::to_owned).collect();
    let user = User {
        name: text(review, "/spec/user").to_owned(),
        uid: text(review, "/spec/uid").to_owned(),
        groups: strings("/spec/groups"),
        ..User::default()
    };
    access(ctx, review, &user)
}

fn access(ctx: &Context<'_>, review: &Value, user: &User) -> Result<Value, Status> {
    let resource = review.pointer("/spec/resourceAttributes").filter(|a| !a.is_null());
    let path = review.pointer("/spec/nonResourceAttributes").filter(|a| !a.is_null());
    let asked = match (resource, path) {
        (Some(r), None) => {
            selectors(r)?;
            Asked {
                verb: text(r, "/verb"),
                group: text(r, "/group"),
                resource: text(r, "/resource"),
                subresource: text(r, "/subresource"),
                namespace: text(r, "/namespace"),
                name: text(r, "/name"),
                path: None,
            }
        }
        (None, Some(p)) => Asked { verb: text(p, "/verb"), path: Some(text(p, "/path")), ..Asked::default() },
        (Some(_), Some(p)) => {
            let at = Path::new("spec").child("nonResourceAttributes");
            let why = "cannot be specified in combination with resourceAttributes";
            return Err(invalid(FieldError::invalid_raw(&at, &printed(p), why)));
        }
        (None, None) => {
            let at = Path::new("spec").child("resourceAttributes");
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            return Err(invalid(FieldError::invalid_raw(&at, "null", why)));
        }
    };
    let decision = authorize::decide(ctx, user, &asked);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        fields(&mut status).insert("reason".into(), decision.reason.into());
    }
    Ok(status)
}

/// A selector may be given as a text or as requirements.
fn selectors(attributes: &Value) -> Result<(), Status> {
    for field in ["fieldSelector", "labelSelector"] {
        let raw = text(attributes, &format!("/{field}/rawSelector"));
        if !raw.is_empty() && !list(attributes, &format!("/{field}/requirements")).is_empty() {
            let at = Path::new("spec").child("resourceAttributes").child(field).child("rawSelector");
            return Err(invalid(FieldError::invalid(&at, raw, "may not specified at the same time as requirements")));
        }
    }
    Ok(())
}

fn invalid(error: FieldError) -> Status {
    Status::invalid("authorization.k8s.io", "", "", &[error])
}

/// Attributes as the errors print them: with the names of the Go struct.
fn printed(attributes: &Value) -> String {
    format!("{{\"Path\":{},\"Verb\":{}}}", json!(text(attributes, "/path")), json!(text(attributes, "/verb")))
}

fn rules(ctx: &Context<'_>, review: &Value) -> Result<Value, Status> {
    let namespace = text(review, "/spec/namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    Ok(authorize::rules(ctx, namespace))
}

fn myself(ctx: &Context<'_>) -> Value {
    json!({"userInfo": user_info(ctx.user)})
}

fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    if !user.name.is_empty() {
        info.insert("username".into(), user.name.as_str().into());
    }
    if !user.uid.is_empty() {
        info.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        info.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        info.insert("extra".into(), json!(user.extra));
    }
    Value::Object(info)
}

fn token(ctx: &Context<'_>, review: &Value) -> Result<Value, Status> {
    let token = text(review, "/spec/token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let own = ctx.config.tokens.audiences();
    let asked = texts(review, "/spec/audiences");
    let targets: Vec<&str> = if asked.is_empty() { own.iter().map(String::as_str).collect() } else { asked };
    let now = u64::try_from(ctx.now.as_second()).unwrap_or(0);
    let verified = ctx.config.tokens.verify(token, now).map_err(|why| why.to_string()).and_then(|claims| {
        let audiences: Vec<String> = claims.aud.iter().filter(|a| targets.contains(&a.as_str())).cloned().collect();
        if audiences.is_empty() {
            let (has, wants) = (json!(claims.aud).to_string(), json!(targets).to_string());
            return Err(format!(
                "[invalid bearer token, token audiences {has} is invalid for the target audiences {wants}]"
            ));
        }
        Ok((user_of(ctx, &claims)?, audiences))
    });
    Ok(match verified {
        Ok((user, audiences)) => json!({"authenticated": true, "user": user_info(&user), "audiences": audiences}),
        Err(why) => json!({"user": {}, "error": why}),
    })
}

/// The user that a token stands for, if all that it is bound to is still there.
fn user_of(ctx: &Context<'_>, claims: &Claims) -> Result<User, String> {
    let bound = &claims.kubernetes;
    let namespace = bound.namespace.as_str();
    let alive = |resource: Resource, namespace: &str, reference: &Reference| {
        let object = ctx.state.get(&Key::new(resource, namespace, &reference.name)).map(|o| o.value());
        object.is_some_and(|o| reference.uid.is_empty() || text(&o, "/metadata/uid") == reference.uid)
    };
    let gone = || "[invalid bearer token, service account token has been invalidated]".to_owned();
    if !alive(Resource::SERVICEACCOUNTS, namespace, &bound.serviceaccount) {
        return Err(gone());
    }
    let pod = bound.pod.iter().all(|r| alive(Resource::PODS, namespace, r));
    let secret = bound.secret.iter().all(|r| alive(Resource::SECRETS, namespace, r));
    if !pod || !secret {
        return Err(gone());
    }
    let mut user = User {
        name: claims.sub.clone(),
        uid: bound.serviceaccount.uid.clone(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
        ..User::default()
    };
    let mut extra = |name: &str, value: String| {
        user.extra.insert(format!("authentication.kubernetes.io/{name}"), vec![value]);
    };
    extra("credential-id", format!("JTI={}", claims.jti));
    for (what, reference) in [("node", &bound.node), ("pod", &bound.pod)] {
        if let Some(reference) = reference {
            extra(&format!("{what}-name"), reference.name.clone());
            extra(&format!("{what}-uid"), reference.uid.clone());
        }
    }
    Ok(user)
}
