//! What a request means: first who-may-do-what ([`Info`], from method, path and query alone), then what serves it ([`Route`]).
//!
//! Kubernetes authorizes before it looks whether a path exists, so the two are separate: a stranger learns nothing of the
//! paths. Both are pure.

pub mod info;

use std::sync::Arc;

use cox_objects::{Kind, Kinds, Status};
use http::Method;

pub use info::Info;

/// What serves a request.
#[derive(Clone, Debug)]
pub enum Route {
    /// An object, a collection or a subresource.
    Resource(Target),
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`
    GroupVersion(String, String),
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz` and single checks below them.
    Health(Health, Option<String>),
    /// `/metrics`
    Metrics,
    /// `/openapi/v3`
    OpenApiIndex,
    /// `/openapi/v3/…`: what comes after.
    OpenApi(String),
    /// `/.well-known/openid-configuration`
    OpenIdConfiguration,
    /// `/openid/v1/jwks`
    Keys,
    /// `/` and `/index.html`
    Root,
    /// A path that the server does not know: 404 in plain text.
    Unknown,
}

/// Which of the health endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// `/healthz`
    Healthz,
    /// `/livez`
    Livez,
    /// `/readyz`
    Readyz,
}

impl Health {
    /// Its name, as paths and answers have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Healthz => "healthz",
            Health::Livez => "livez",
            Health::Readyz => "readyz",
        }
    }
}

/// What is done to what.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind that the path names.
    pub kind: Arc<Kind>,
    /// Namespace; empty for cluster scope and for lists over all namespaces.
    pub namespace: String,
    /// Name; empty for a collection.
    pub name: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// What is asked.
    pub action: Action,
}

/// The things a client may ask of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// GET of one object or subresource.
    Get,
    /// GET of a collection.
    List,
    /// GET of a collection with `watch`, or a legacy `/watch/` path.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
    /// A subresource that is a conversation (`exec`, `attach`, `portforward`, `proxy`).
    Connect,
}

/// The subresources that are conversations.
const CONNECT: &[&str] = &["exec", "attach", "portforward", "proxy"];

/// Finds what serves a request whose sender may make it.
///
/// # Errors
/// 404, 405 or 400 as a `Status`, where Kubernetes answers with one (a plain text 404 is [`Route::Unknown`]).
pub fn resolve(kinds: &Kinds, method: &Method, info: &Info) -> Result<Route, Status> {
    if info.resource_request {
        return resource(kinds, method, info);
    }
    let get_only = |route| match *method {
        Method::GET => Ok(route),
        _ => Err(Status::method_not_allowed()),
    };
    let path = info.path.trim_end_matches('/');
    if let Some(health) = health(path) {
        return Ok(health);
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let served = |group: &str, version: Option<&str>| {
        kinds.all().iter().any(|k| k.served && k.group == group && version.is_none_or(|v| k.version == v))
    };
    match parts.as_slice() {
        [""] | ["index.html"] => Ok(Route::Root),
        ["api"] => get_only(Route::CoreVersions),
        ["api", version] if served("", Some(version)) => {
            get_only(Route::GroupVersion(String::new(), (*version).to_owned()))
        }
        ["api", ..] => Err(not_served()),
        ["apis"] => Ok(Route::Groups),
        ["apis", group] if served(group, None) => Ok(Route::Group((*group).to_owned())),
        ["apis", group, version] if served(group, Some(version)) => {
            get_only(Route::GroupVersion((*group).to_owned(), (*version).to_owned()))
        }
        ["apis", group, ..] if served(group, None) => Err(not_served()),
        ["version"] => get_only(Route::Version),
        ["version", ..] => Err(not_served()),
        ["metrics"] => Ok(Route::Metrics),
        ["openapi", "v3"] => Ok(Route::OpenApiIndex),
        ["openapi", "v3", rest @ ..] => Ok(Route::OpenApi(rest.join("/"))),
        [".well-known", "openid-configuration"] => get_only(Route::OpenIdConfiguration),
        ["openid", "v1", "jwks"] => get_only(Route::Keys),
        _ => Ok(Route::Unknown),
    }
}

fn health(path: &str) -> Option<Route> {
    let (endpoint, check) = match path.strip_prefix('/')?.split_once('/') {
        Some((endpoint, check)) => (endpoint, Some(check.to_owned())),
        None => (path.strip_prefix('/')?, None),
    };
    let which = [Health::Healthz, Health::Livez, Health::Readyz].into_iter().find(|h| h.as_str() == endpoint)?;
    Some(Route::Health(which, check))
}

fn resource(kinds: &Kinds, method: &Method, info: &Info) -> Result<Route, Status> {
    let Some(kind) = kinds.at(&info.group, &info.version, &info.resource).filter(|k| k.served) else {
        // A group that nobody has is a plain 404; below a known one it is a Status.
        let known = kinds.all().iter().any(|k| k.served && k.group == info.group);
        return if known { Err(not_served()) } else { Ok(Route::Unknown) };
    };
    check_shape(kind, info)?;
    let action = action(kind, method, info)?;
    check_name(&info.path_name)?;
    Ok(Route::Resource(Target {
        kind: kind.clone(),
        namespace: if kind.namespaced { info.namespace.clone() } else { String::new() },
        name: info.path_name.clone(),
        subresource: info.subresource.clone(),
        action,
    }))
}

/// Whether such a path exists for this kind at all.
fn check_shape(kind: &Kind, info: &Info) -> Result<(), Status> {
    let in_namespace = !info.namespace.is_empty() && kind.plural != "namespaces";
    let misplaced = if kind.namespaced { !in_namespace && !info.path_name.is_empty() } else { in_namespace };
    let unknown_subresource = !info.subresource.is_empty() && kind.subresource(&info.subresource).is_none();
    let too_deep = !info.rest.is_empty() && info.subresource != "proxy";
    if misplaced || unknown_subresource || too_deep { Err(not_served()) } else { Ok(()) }
}

fn action(kind: &Kind, method: &Method, info: &Info) -> Result<Action, Status> {
    let refused = Err(Status::method_not_allowed());
    if !info.subresource.is_empty() {
        return subresource_action(kind, method, &info.subresource);
    }
    let whole = info.path_name.is_empty();
    let wide = kind.namespaced && info.namespace.is_empty();
    let action = match *method {
        Method::GET if info.verb == "watch" => Action::Watch,
        _ if info.legacy_watch => return refused,
        Method::GET if whole => Action::List,
        Method::GET => Action::Get,
        Method::POST if whole && !wide => Action::Create,
        Method::PUT if !whole => Action::Update,
        Method::PATCH if !whole => Action::Patch,
        Method::DELETE if !whole => Action::Delete,
        Method::DELETE if !wide => Action::DeleteCollection,
        _ => return refused,
    };
    if kind.allows(action.verb()) { Ok(action) } else { refused }
}

fn subresource_action(kind: &Kind, method: &Method, name: &str) -> Result<Action, Status> {
    let refused = Err(Status::method_not_allowed());
    let Some(subresource) = kind.subresource(name) else { return Err(not_served()) };
    let action = match *method {
        Method::GET => Action::Get,
        Method::POST => Action::Create,
        Method::PUT => Action::Update,
        Method::PATCH => Action::Patch,
        Method::DELETE => Action::Delete,
        // What is proxied decides itself what it takes.
        Method::HEAD | Method::OPTIONS if name == "proxy" => return Ok(Action::Connect),
        _ => return refused,
    };
    match subresource.verbs.iter().any(|v| v == action.verb()) {
        true if CONNECT.contains(&name) => Ok(Action::Connect),
        true => Ok(action),
        false => refused,
    }
}

impl Action {
    /// The verb as discovery and RBAC write it; what a conversation needs depends on its method (see [`Info`]).
    pub fn verb(self) -> &'static str {
        match self {
            Action::Get => "get",
            Action::List => "list",
            Action::Watch => "watch",
            Action::Create => "create",
            Action::Update => "update",
            Action::Patch => "patch",
            Action::Delete => "delete",
            Action::DeleteCollection => "deletecollection",
            Action::Connect => "connect",
        }
    }

    /// Whether the apiserver carries it out (and authorizes it).
    pub fn is_write(self) -> bool {
        !matches!(self, Action::Get | Action::List | Action::Watch | Action::Connect)
    }
}

fn check_name(name: &str) -> Result<(), Status> {
    let why = match name {
        "." => "may not be '.'",
        ".." => "may not be '..'",
        _ if name.contains('/') => "may not contain '/'",
        _ if name.contains('%') => "may not contain '%'",
        _ => return Ok(()),
    };
    Err(Status::bad_request(format!("Name parameter invalid: {name:?}: {why}")))
}

/// 404 as the API gives it for paths of known groups that it does not serve.
pub fn not_served() -> Status {
    Status::new(404, "NotFound", "the server could not find the requested resource").with_details(serde_json::json!({}))
}

#[cfg(test)]
mod tests;
