//! Secrets, and what each type of them must hold.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::config_map::decoded_len;
use super::{LIMIT, unchanged};

const REDACTED: &str = "<secret contents redacted>";
const ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Defaults: the type, and `stringData` as what it is a shorthand for.
pub(crate) fn defaults(object: &mut Value) {
    object.fill("type", "Opaque");
    let texts: Vec<(String, String)> = object
        .entries("stringData")
        .map(|(k, v)| (k.to_owned(), STANDARD.encode(v.as_str().unwrap_or_default())))
        .collect();
    object.drop_field("stringData");
    if !texts.is_empty() {
        let data = object.object("data");
        for (key, value) in texts {
            data.set(&key, value);
        }
    }
}

/// Keys, size, and what the type asks for.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let path = Path::new("data");
    let data = object.at("data");
    let mut size = 0;
    for (key, value) in object.entries("data") {
        check::texts(errors, &path.key(key), key, name::is_config_key(key));
        size += decoded_len(value);
    }
    if size > LIMIT {
        errors.push(FieldError::too_long(&path, LIMIT));
    }
    let has_account = object.at("metadata").at("annotations").filled(ACCOUNT);
    let mut needs = |key: &str, there: bool| {
        if !there {
            errors.push(FieldError::required(&path.key(key), ""));
        }
    };
    match object.text("type") {
        "kubernetes.io/service-account-token" if !has_account => {
            let at = Path::new("metadata").child("annotations").key(ACCOUNT);
            errors.push(FieldError::required(&at, ""));
        }
        "kubernetes.io/dockercfg" => docker(errors, data, ".dockercfg", &path),
        "kubernetes.io/dockerconfigjson" => docker(errors, data, ".dockerconfigjson", &path),
        "kubernetes.io/basic-auth" => {
            let one = data.has("username") || data.has("password");
            needs("username", one);
            needs("password", one);
        }
        "kubernetes.io/ssh-auth" => needs("ssh-privatekey", data.filled("ssh-privatekey")),
        "kubernetes.io/tls" => {
            needs("tls.crt", data.has("tls.crt"));
            needs("tls.key", data.has("tls.key"));
        }
        _ => {}
    }
}

fn docker(errors: &mut Errors, data: &Value, key: &str, path: &Path) {
    if !data.has(key) {
        errors.push(FieldError::required(&path.key(key), ""));
        return;
    }
    let bytes = STANDARD.decode(data.text(key)).unwrap_or_default();
    if let Some(fault) = json_fault(&bytes) {
        errors.push(FieldError::invalid(&path.key(key), REDACTED, &fault));
    }
}

/// Why the bytes are no JSON object, as Go's decoder words it.
fn json_fault(bytes: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(_) | Value::Null) => None,
        Ok(other) => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            Some(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
        }
        Err(e) if e.is_eof() => Some("unexpected end of JSON input".to_owned()),
        Err(e) => {
            let at = e.column().saturating_sub(1);
            let fault = char::from(bytes.get(at).copied().unwrap_or_default());
            Some(match literal(bytes.get(..at).unwrap_or_default()) {
                Some((word, next)) => format!("invalid character '{fault}' in literal {word} (expecting '{next}')"),
                None => format!("invalid character '{fault}' looking for beginning of value"),
            })
        }
    }
}

/// The word that the text breaks off in, and the letter that should follow.
fn literal(text: &[u8]) -> Option<(&'static str, char)> {
    let start = text.iter().rposition(|b| !b.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let begun = std::str::from_utf8(text.get(start..)?).ok().filter(|b| !b.is_empty())?;
    let word = ["true", "false", "null"].into_iter().find(|word| word.starts_with(begun))?;
    Some((word, word.chars().nth(begun.len())?))
}

/// An update: the type stays.
pub(crate) fn validate_update(errors: &mut Errors, object: &Value, old: &Value) {
    check::immutable(errors, &Path::new("type"), object.at("type"), old.at("type"));
    unchanged(errors, object, old, &["data"]);
    validate(errors, object);
}

/// A certificate or key that is none.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    if object.text("type") != "kubernetes.io/tls" {
        return Vec::new();
    }
    for (key, noun) in [("tls.crt", "certificate"), ("tls.key", "key")] {
        let bytes = STANDARD.decode(object.at("data").text(key)).unwrap_or_default();
        if !String::from_utf8_lossy(&bytes).contains("-----BEGIN ") {
            return vec![format!("tls: failed to find any PEM data in {noun} input")];
        }
    }
    Vec::new()
}
