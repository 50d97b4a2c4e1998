//! The Kubernetes `Status`: the one form in which an API error reaches a client.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::FieldError;

/// An API error, with everything that the `Status` object of the answer holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason (`NotFound`, `Conflict`, …); empty where Kubernetes gives none.
    pub reason: String,
    /// The text for people.
    pub message: String,
    /// `details`, if there are any.
    pub details: Option<Value>,
    /// Seconds for the `Retry-After` header, where the client should try again.
    pub retry_after: Option<u32>,
}

impl Status {
    /// An error without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Status { code, reason: reason.to_owned(), message: message.into(), details: None, retry_after: None }
    }

    /// The same with `details`.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// 400 BadRequest.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401 Unauthorized.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 Forbidden about an object: `plural.group "name" is forbidden: why`. The name may be empty.
    pub fn forbidden(resource: &crate::Resource, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{resource} is forbidden: {why}"),
            name => format!("{resource} {name:?} is forbidden: {why}"),
        };
        Self::new(403, "Forbidden", message).with_details(about(resource, name))
    }

    /// 404 NotFound: `plural.group "name" not found`.
    pub fn not_found(resource: &crate::Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} {name:?} not found")).with_details(about(resource, name))
    }

    /// 409 AlreadyExists: `plural.group "name" already exists`.
    pub fn already_exists(resource: &crate::Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} {name:?} already exists"))
            .with_details(about(resource, name))
    }

    /// 409 Conflict: `Operation cannot be fulfilled on plural.group "name": why`.
    pub fn conflict(resource: &crate::Resource, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} {name:?}: {why}"))
            .with_details(about(resource, name))
    }

    /// 409 Conflict of two writers: the text that client-go's retry helpers look for.
    pub fn modified(resource: &crate::Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 422 Invalid: `Kind.group "name" is invalid: errors`, with a cause for each.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let texts: Vec<String> = dedup(errors.iter().map(ToString::to_string));
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> =
            errors.iter().map(|e| json!({"reason": e.reason(), "message": e.body, "field": e.field})).collect();
        let mut details = json!({"name": name, "group": group, "kind": kind, "causes": causes});
        prune(&mut details);
        Self::new(422, "Invalid", format!("{qualified} {name:?} is invalid: {list}")).with_details(details)
    }

    /// 405 MethodNotAllowed, as Kubernetes words it.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with_details(json!({}))
    }

    /// 410 Expired: the revision asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 429 TooManyRequests, with the seconds after which to try again.
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        Status { retry_after: Some(retry_after), ..Self::new(429, "TooManyRequests", message) }
            .with_details(json!({"retryAfterSeconds": retry_after}))
    }

    /// 500 InternalError: `Internal error occurred: why`.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {why}"))
            .with_details(json!({"causes": [{"message": why.to_string()}]}))
    }

    /// 503 ServiceUnavailable.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504 Timeout: the deadline passed; whether a write happened is not known.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", message).with_details(json!({}))
    }

    /// The `Status` object of the answer.
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(fields) = value.as_object_mut() {
            if !self.reason.is_empty() {
                fields.insert("reason".into(), self.reason.as_str().into());
            }
            if let Some(details) = &self.details {
                fields.insert("details".into(), details.clone());
            }
        }
        value
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Status {}

/// `details` that name an object: kind is the plural, as Kubernetes has it in these.
pub fn about(resource: &crate::Resource, name: &str) -> Value {
    let mut details = json!({"name": name, "group": resource.group(), "kind": resource.plural()});
    prune(&mut details);
    details
}

fn prune(details: &mut Value) {
    if let Some(fields) = details.as_object_mut() {
        fields.retain(|_, v| v.as_str() != Some(""));
    }
}

fn dedup(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}
