//! Bodies of writes: JSON as it is, YAML and protobuf as JSON.

use bytes::Bytes;
use cox_bus::Verb;
use cox_objects::schema::Identity;
use cox_objects::{Status, protobuf};
use serde_json::Value;

use crate::negotiate::{BodyType, body_type};
use crate::request::Request;
use crate::route::Target;
use crate::yaml;

/// A body as the apiserver takes it.
pub(super) struct Body {
    /// JSON; empty if there was none.
    pub(super) json: Bytes,
    /// What the client is to be warned of.
    pub(super) warnings: Vec<String>,
}

/// Reads the body of a POST, PUT or DELETE.
///
/// # Errors
/// 415 for a type that is not read, 400 for what cannot be decoded.
pub(super) fn read(request: &Request, target: &Target, verb: Verb, validation: &str) -> Result<Body, Status> {
    let as_is = || Body { json: request.body.clone(), warnings: Vec::new() };
    let is_delete = matches!(verb, Verb::Delete | Verb::DeleteCollection);
    if request.body.is_empty() && is_delete {
        return Ok(as_is());
    }
    match body_type(&request.headers)? {
        BodyType::Json => Ok(as_is()),
        BodyType::Yaml => yaml(&request.body, target, validation),
        BodyType::Protobuf => {
            let value = protobuf::decode(&request.body, &expected(target, is_delete))
                .map_err(|error| Status::bad_request(format!("unable to decode the body: {error}")))?;
            Ok(Body { json: value.to_string().into(), warnings: Vec::new() })
        }
    }
}

/// The kind that a body without one is of.
fn expected(target: &Target, is_delete: bool) -> Identity {
    let kind = &target.kind;
    if is_delete {
        return Identity { api_version: kind.api_version(), kind: "DeleteOptions".to_owned() };
    }
    match kind.subresource(&target.subresource) {
        Some(sub) if !sub.version.is_empty() => {
            let api_version =
                if sub.group.is_empty() { sub.version.clone() } else { format!("{}/{}", sub.group, sub.version) };
            Identity { api_version, kind: sub.kind.clone() }
        }
        _ => Identity { api_version: kind.api_version(), kind: kind.kind.clone() },
    }
}

/// Reads YAML. A key that stands twice is a warning, or an error under strict validation.
///
/// # Errors
/// 400 in Kubernetes' words.
pub(super) fn yaml(body: &Bytes, target: &Target, validation: &str) -> Result<Body, Status> {
    let kind = &target.kind.kind;
    let unrecognized = |why: String| {
        let message =
            format!("the object provided is unrecognized (must be of type {kind}): {why} ({})", summary(body));
        Status::bad_request(message)
    };
    let text = std::str::from_utf8(body).map_err(|_| unrecognized("yaml: invalid leading UTF-8 octet".to_owned()))?;
    let document = yaml::read(text).map_err(|error| unrecognized(error.to_string()))?;
    let type_name = match &document.value {
        Value::Object(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
    };
    if let Some(name) = type_name {
        return Err(unrecognized(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {name} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        )));
    }
    if validation == "Strict" && !document.duplicates.is_empty() {
        let list = document.duplicates.join("\n  ");
        return Err(Status::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {kind}: strict decoding error: yaml: unmarshal errors:\n  {list}",
            target.kind.version
        )));
    }
    let warnings = if validation == "Ignore" { Vec::new() } else { document.duplicates };
    Ok(Body { json: document.value.to_string().into(), warnings })
}

/// The beginning of a body as Kubernetes prints it in errors: JSON objects as text, all else in hexadecimal.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let shown = body.get(..SHOWN).unwrap_or(body);
    let more = if body.len() > SHOWN { " ..." } else { "" };
    match shown.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => format!("{}{more}", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}
