//! TokenRequest: a token for a service account, bound to a pod, a secret or a node, for a time and for audiences.

use cox_objects::{FieldError, Key, Object, Path, Resource, Status};
use serde_json::{Value, json};

use super::decode;
use crate::context::Context;
use crate::plan::Plan;
use crate::token::{Bound, Claims, Reference};
use crate::value::{int, list, map, text, texts};

const HOUR: i64 = 3600;
/// The shortest life of a token, in seconds.
const SHORTEST: i64 = 600;
/// The life that the token volumes of pods ask for; they renew it, so it may be a year, in case a client does not read it again.
const POD_VOLUME: i64 = 3607;

/// POST at `serviceaccounts/NAME/token`.
pub(crate) fn decide(ctx: &Context<'_>) -> Result<Plan, Status> {
    let decoded = decode::named_body(ctx, &ctx.request.body, "authentication.k8s.io", "v1", "TokenRequest")?;
    let mut request = decoded.object;
    let old = ctx.current().ok_or_else(|| Status::not_found(&Resource::SERVICEACCOUNTS, &ctx.request.name))?;
    let account = old.value();
    let said = text(&request, "/metadata/name");
    if !said.is_empty() && said != ctx.request.name {
        let path = Path::new("metadata").child("name");
        let error = FieldError::invalid(&path, said, "must match the service account name if specified");
        return Err(Status::invalid("authentication.k8s.io", "TokenRequest", &ctx.request.name, &[error]));
    }
    default(ctx, &mut request);
    valid(&request)?;
    let (claims, life) = claims(ctx, &account, &request)?;
    let token = ctx.config.tokens.sign(claims).map_err(Status::internal)?;
    let expires = ctx.now.checked_add(jiff::SignedDuration::from_secs(life)).unwrap_or(ctx.now);

    let metadata = map(&mut request, "metadata");
    for name in ["name", "namespace", "uid", "creationTimestamp"] {
        if let Some(value) = account.pointer(&format!("/metadata/{name}")) {
            metadata.insert(name.into(), value.clone());
        }
    }
    map(&mut request, "spec").entry("boundObjectRef").or_insert(Value::Null);
    crate::value::fields(&mut request)
        .insert("status".into(), json!({"token": token, "expirationTimestamp": cox_objects::time::format(expires)}));
    let mut plan = Plan::answer(201, request);
    plan.warnings = decoded.warnings;
    Ok(plan)
}

fn default(ctx: &Context<'_>, request: &mut Value) {
    let no_audience = list(request, "/spec/audiences").is_empty();
    let spec = map(request, "spec");
    if no_audience {
        spec.insert("audiences".into(), ctx.config.tokens.audiences().into());
    }
    if spec.get("expirationSeconds").is_none_or(Value::is_null) {
        spec.insert("expirationSeconds".into(), HOUR.into());
    }
}

fn valid(request: &Value) -> Result<(), Status> {
    let seconds = int(request, "/spec/expirationSeconds").unwrap_or(HOUR);
    let path = Path::new("spec").child("expirationSeconds");
    let why = match seconds {
        ..SHORTEST => "may not specify a duration less than 10 minutes",
        s if s > 1 << 32 => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &[FieldError::invalid(&path, seconds, why)]))
}

/// What the token says, and how long it says so, in seconds.
fn claims(ctx: &Context<'_>, account: &Value, request: &Value) -> Result<(Claims, i64), Status> {
    let namespace = ctx.request.namespace.as_str();
    let mut bound = Bound { namespace: namespace.to_owned(), serviceaccount: reference(account), ..Bound::default() };
    let mut life = int(request, "/spec/expirationSeconds").unwrap_or(HOUR);
    if let Some(said) = request.pointer("/spec/boundObjectRef").filter(|r| !r.is_null()) {
        let (kind, name) = (text(said, "/kind"), text(said, "/name"));
        match (text(said, "/apiVersion"), kind) {
            ("v1", "Pod") => {
                let pod = found(ctx, said, Key::new(Resource::PODS, namespace, name))?.value();
                let runs_as = match text(&pod, "/spec/serviceAccountName") {
                    "" => "default",
                    account => account,
                };
                if runs_as != ctx.request.name {
                    let why = format!(
                        "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                        ctx.request.name
                    );
                    return Err(Status::bad_request(why));
                }
                bound.pod = Some(reference(&pod));
                bound.node = node(ctx, text(&pod, "/spec/nodeName"));
            }
            ("v1", "Secret") => {
                bound.secret =
                    Some(reference(&found(ctx, said, Key::new(Resource::SECRETS, namespace, name))?.value()));
            }
            ("v1", "Node") => {
                bound.node = Some(reference(&found(ctx, said, Key::new(Resource::NODES, "", name))?.value()));
            }
            (api_version, kind) => {
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                return Err(Status::bad_request(format!(
                    "cannot bind token to object of type {group}/{version}, Kind={kind}"
                )));
            }
        }
    }
    let audiences = texts(request, "/spec/audiences");
    let own = audiences.iter().all(|a| ctx.config.tokens.audiences().iter().any(|o| o == a));
    let shown = life;
    if life == POD_VOLUME && bound.pod.is_some() && own {
        life = 365 * 24 * HOUR;
    }
    let now = u64::try_from(ctx.now.as_second()).unwrap_or(0);
    let claims = Claims {
        aud: audiences.into_iter().map(str::to_owned).collect(),
        exp: now.saturating_add(u64::try_from(life).unwrap_or(0)),
        iat: now,
        iss: String::new(),
        jti: ctx.uid(),
        kubernetes: bound,
        nbf: now,
        sub: format!("system:serviceaccount:{namespace}:{}", ctx.request.name),
    };
    Ok((claims, shown))
}

/// The object that the token is to be bound to, in the life that the request names.
fn found(ctx: &Context<'_>, said: &Value, key: Key) -> Result<Object, Status> {
    let object = ctx.state.get(&key).ok_or_else(|| Status::not_found(&key.resource, key.name()))?;
    let uid = text(said, "/uid");
    if !uid.is_empty() && uid != text(&object.value(), "/metadata/uid") {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(&Resource::new("", text(said, "/kind")), key.name(), &why));
    }
    Ok(object)
}

/// The node of a pod; one that is not there is known by its name alone.
fn node(ctx: &Context<'_>, name: &str) -> Option<Reference> {
    if name.is_empty() {
        return None;
    }
    let node = ctx.state.get(&Key::new(Resource::NODES, "", name)).map(|n| n.value());
    Some(node.as_ref().map_or_else(|| Reference { name: name.to_owned(), uid: String::new() }, reference))
}

fn reference(object: &Value) -> Reference {
    Reference { name: text(object, "/metadata/name").to_owned(), uid: text(object, "/metadata/uid").to_owned() }
}
