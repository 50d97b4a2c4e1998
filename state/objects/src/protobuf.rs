//! Protobuf bodies as Kubernetes' clients send them, read by the table of types into the same form as JSON ones.
//!
//! A body is the four bytes `k8s\0` and a `runtime.Unknown`: the object's apiVersion and kind, and the bytes of its message.
//! Answers are never protobuf: clients take JSON too.

mod wire;

use serde_json::{Map, Value};

use crate::schema::{self, Identity, Shape, Type, schema};
use wire::{Field, Message};

/// What a protobuf body begins with.
pub const MAGIC: &[u8] = b"k8s\0";

/// How deep messages may be nested.
const MAX_DEPTH: usize = 100;

/// Why a body is not a protobuf message that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// It does not begin as one.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// It ends in the middle of a field.
    #[error("unexpected EOF")]
    Short,
    /// A number has more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field is of a wire type that does not exist.
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    /// A field is of another wire type than its declaration says.
    #[error("proto: wrong wireType = {1} for field {0}")]
    Mismatch(&'static str, u64),
    /// Messages are nested too deep.
    #[error("proto: exceeded max depth")]
    Depth,
    /// The message's content is neither protobuf nor JSON.
    #[error("unable to convert from content type {0:?}")]
    ContentType(String),
    /// There is no such type.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Unregistered {
        /// The envelope's apiVersion.
        api_version: String,
        /// The envelope's kind.
        kind: String,
    },
    /// A part of it is text that does not fit its type (a quantity, JSON in an extension).
    #[error("{0}")]
    Content(String),
}

/// A body without its envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `apps/v1`; empty if the client did not say.
    pub api_version: &'a str,
    /// `Deployment`
    pub kind: &'a str,
    /// The bytes of the message.
    pub raw: &'a [u8],
    /// The form of `raw`; empty for protobuf.
    pub content_type: &'a str,
}

impl Envelope<'_> {
    /// The apiVersion and kind that the body says it is.
    pub fn identity(&self) -> Identity {
        Identity { api_version: self.api_version.to_owned(), kind: self.kind.to_owned() }
    }
}

/// Opens the envelope of a body.
///
/// # Errors
/// If the body has none.
pub fn open(body: &[u8]) -> Result<Envelope<'_>, ProtobufError> {
    let unknown = body.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?;
    let mut envelope = Envelope::default();
    for part in Message::new(unknown) {
        match part? {
            (1, Field::Bytes(meta)) => {
                for part in Message::new(meta) {
                    match part? {
                        (1, Field::Bytes(text)) => envelope.api_version = str(text),
                        (2, Field::Bytes(text)) => envelope.kind = str(text),
                        _ => {}
                    }
                }
            }
            (2, Field::Bytes(raw)) => envelope.raw = raw,
            (4, Field::Bytes(text)) => envelope.content_type = str(text),
            _ => {}
        }
    }
    Ok(envelope)
}

/// Reads a body: the object with its apiVersion and kind, in the form that [`schema::decode`] gives.
///
/// `expected` stands in for an envelope that does not say what is in it.
///
/// # Errors
/// If the body is no message of a known kind.
pub fn decode(body: &[u8], expected: &Identity) -> Result<Value, ProtobufError> {
    let envelope = open(body)?;
    let named = envelope.identity();
    let identity = if named.kind.is_empty() { expected } else { &named };
    let owner = schema().named(&identity.api_version, &identity.kind).ok_or_else(|| ProtobufError::Unregistered {
        api_version: identity.api_version.clone(),
        kind: identity.kind.clone(),
    })?;
    let mut fields = match envelope.content_type {
        "" | "application/vnd.kubernetes.protobuf" => message(envelope.raw, owner)?,
        "application/json" => match schema::decode(envelope.raw, owner) {
            Ok(schema::Decoded { value: Value::Object(fields), .. }) => fields,
            Ok(_) => Map::new(),
            Err(error) => return Err(ProtobufError::Content(error.to_string())),
        },
        other => return Err(ProtobufError::ContentType(other.to_owned())),
    };
    if owner.field("kind").is_some_and(|f| f.number == 0) {
        fields.insert("apiVersion".to_owned(), Value::from(identity.api_version.as_str()));
        fields.insert("kind".to_owned(), Value::from(identity.kind.as_str()));
    }
    Ok(Value::Object(fields))
}

/// Reads a message by its type.
///
/// # Errors
/// If it is not a message of that type.
pub fn message(bytes: &[u8], owner: &Type) -> Result<Map<String, Value>, ProtobufError> {
    let mut fields = Map::new();
    read(bytes, owner, &mut fields, 0)?;
    schema::finish(owner, &mut fields);
    Ok(fields)
}

fn read(bytes: &[u8], owner: &Type, fields: &mut Map<String, Value>, depth: usize) -> Result<(), ProtobufError> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::Depth);
    }
    for part in Message::new(bytes) {
        let (number, field) = part?;
        if let Some((_, id)) = owner.inlined.iter().find(|(n, _)| *n == number) {
            read(field.bytes("inlined")?, schema().get(*id), fields, depth + 1)?;
            continue;
        }
        let Some(declared) = owner.fields.iter().find(|f| f.number == number) else { continue };
        match &declared.shape {
            Shape::List(inner) => {
                let items = fields.entry(declared.name).or_insert_with(|| Value::Array(Vec::new()));
                let item = value(field, inner, declared.name, None, depth)?;
                if let Value::Array(items) = items {
                    items.push(item.unwrap_or_else(|| schema::zero(inner)));
                }
            }
            Shape::Map(inner) => {
                let (key, item) = entry(field.bytes(declared.name)?, inner, declared.name, depth)?;
                let entries = fields.entry(declared.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(entries) = entries {
                    entries.insert(key, item);
                }
            }
            shape => {
                let old = fields.remove(declared.name);
                if let Some(value) = value(field, shape, declared.name, old, depth)? {
                    fields.insert(declared.name.to_owned(), value);
                }
            }
        }
    }
    Ok(())
}

/// An entry of a map: its key is field 1, its value field 2 of a message.
fn entry(bytes: &[u8], inner: &Shape, name: &'static str, depth: usize) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut item) = (String::new(), None);
    for part in Message::new(bytes) {
        match part? {
            (1, field) => key = text(field.bytes(name)?),
            (2, field) => item = value(field, inner, name, None, depth)?,
            _ => {}
        }
    }
    Ok((key, item.unwrap_or_else(|| schema::zero(inner))))
}

/// Reads one value; `None` for a time that is not set.
fn value(
    field: Field<'_>,
    shape: &Shape,
    name: &'static str,
    old: Option<Value>,
    depth: usize,
) -> Result<Option<Value>, ProtobufError> {
    Ok(match shape {
        Shape::String(_) => Some(Value::from(text(field.bytes(name)?))),
        Shape::Int32 => Some(Value::from(field.varint(name)? as i32)),
        Shape::Int64 => Some(Value::from(field.varint(name)? as i64)),
        Shape::Bool => Some(Value::Bool(field.varint(name)? != 0)),
        Shape::Bytes => Some(Value::from(schema::base64(field.bytes(name)?))),
        Shape::Quantity => {
            let amount = text(first(field.bytes(name)?, name)?);
            Some(Value::from(schema::quantity(&amount).map_err(ProtobufError::Content)?))
        }
        Shape::IntOrString => Some(int_or_string(field.bytes(name)?, name)?),
        Shape::Time | Shape::MicroTime => time(field.bytes(name)?, shape, name)?,
        Shape::Any | Shape::Fields => {
            let raw = first(field.bytes(name)?, name)?;
            match raw.is_empty() {
                true => None,
                false => Some(serde_json::from_slice(raw).map_err(|e| ProtobufError::Content(e.to_string()))?),
            }
        }
        Shape::Struct(_) => {
            let Some(owner) = shape.as_struct() else { return Ok(None) };
            let mut fields = match old {
                Some(Value::Object(fields)) => fields,
                _ => Map::new(),
            };
            read(field.bytes(name)?, owner, &mut fields, depth + 1)?;
            schema::finish(owner, &mut fields);
            Some(Value::Object(fields))
        }
        // A list as a map's value is a message of its own, the items its field 1.
        Shape::List(inner) => {
            let mut items = Vec::new();
            for part in Message::new(field.bytes(name)?) {
                let (_, field) = part?;
                items.extend(value(field, inner, name, None, depth + 1)?);
            }
            Some(Value::Array(items))
        }
        Shape::Map(_) => None,
    })
}

/// The first field of a message that has nothing else: the text of a quantity, the JSON of an extension.
fn first<'a>(bytes: &'a [u8], name: &'static str) -> Result<&'a [u8], ProtobufError> {
    let mut found: &[u8] = &[];
    for part in Message::new(bytes) {
        if let (1, field) = part? {
            found = field.bytes(name)?;
        }
    }
    Ok(found)
}

fn int_or_string(bytes: &[u8], name: &'static str) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut string) = (false, 0, String::new());
    for part in Message::new(bytes) {
        match part? {
            (1, field) => is_text = field.varint(name)? == 1,
            (2, field) => number = field.varint(name)? as i32,
            (3, field) => string = text(field.bytes(name)?),
            _ => {}
        }
    }
    Ok(if is_text { Value::from(string) } else { Value::from(number) })
}

fn time(bytes: &[u8], shape: &Shape, name: &'static str) -> Result<Option<Value>, ProtobufError> {
    // No field at all is the time that is not set; both zero is the epoch.
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for part in Message::new(bytes) {
        match part? {
            (1, field) => seconds = field.varint(name)? as i64,
            (2, field) => nanos = field.varint(name)? as i32,
            _ => {}
        }
    }
    let written = match shape {
        Shape::Time => schema::seconds_at(seconds),
        _ => schema::micros_at(seconds, nanos),
    };
    written.map(|t| Some(Value::from(t))).ok_or_else(|| ProtobufError::Content("time out of range".to_owned()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
