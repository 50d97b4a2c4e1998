//! The types of the built-in kinds: what fields they have, how bodies are read by them, what is written when a field is empty.
//!
//! One table (made by `ops/generate/schema.py`) is read once, on first use, and shared: JSON decoding, protobuf decoding,
//! strategic merge patches and anything that walks objects by their types live off it.

mod decode;
mod defaults;
mod excerpt;
mod quote;
mod reader;
mod table;
mod time;
mod write;
mod zero;

use std::sync::OnceLock;

use serde_json::Value;

pub use decode::{DecodeError, Decoded, Identity, check, decode, duplicates, identify};
pub use defaults::defaults;
pub use excerpt::excerpt;
pub use reader::SyntaxError;
pub use write::{patched_text, text};

pub(crate) use decode::{base64, quantity};
pub(crate) use time::{micros_at, seconds_at};
pub(crate) use zero::{finish, zero};

/// The table, parsed.
#[derive(Debug)]
pub struct Schema {
    types: Vec<Type>,
    kinds: Vec<(&'static str, &'static str, &'static str, usize)>,
}

/// A struct of the API: `v1.Container`, …
#[derive(Debug)]
pub struct Type {
    /// The name of its OpenAPI definition: `io.k8s.api.core.v1.Container`.
    pub definition: &'static str,
    /// The name that Go prints, which decoding errors show: `v1.Container`.
    pub go: &'static str,
    /// Its fields, in the order of their declaration.
    pub fields: Vec<Field>,
    /// The protobuf messages inside this one whose fields JSON has in this one (`Volume` has `VolumeSource`): number and type.
    pub inlined: Vec<(u32, TypeId)>,
}

/// A field of a struct.
#[derive(Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// The protobuf field number; 0 if it has none in this message.
    pub number: u32,
    /// Whether it is optional by a pointer: then null and absent differ from the zero value.
    pub pointer: bool,
    /// Whether it is left out when it is empty.
    pub omit_empty: bool,
    /// Whether a zero struct is left out too, which `omit_empty` alone does not do.
    pub omit_zero: bool,
    /// Whether OpenAPI calls it required.
    pub required: bool,
    /// How a strategic merge patch treats it.
    pub patch: Patch,
    /// The list or map type of server-side apply: `atomic`, `set`, `map`, `granular`; empty if none is declared.
    pub list_type: &'static str,
    /// The keys of an associative list (`list_type` `map`).
    pub list_keys: Vec<&'static str>,
    /// The default that the declaration gives, as JSON.
    pub default: Option<Value>,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// Lists are merged instead of replaced.
    pub merge: bool,
    /// The patch has to name the keys that are kept (`$retainKeys`).
    pub retain_keys: bool,
    /// The field that items of a merged list are told apart by; empty for lists of scalars.
    pub merge_key: &'static str,
}

/// A type's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeId(usize);

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string; the name of its Go type (`string`, `v1.PullPolicy`).
    String(&'static str),
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A boolean.
    Bool,
    /// Bytes: base64 in JSON.
    Bytes,
    /// A quantity, written in its canonical form.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// A time in whole seconds.
    Time,
    /// A time in microseconds.
    MicroTime,
    /// Any JSON, kept as it is.
    Any,
    /// `fieldsV1`: any JSON object, kept as it is.
    Fields,
    /// A struct.
    Struct(TypeId),
    /// A list.
    List(Box<Shape>),
    /// A map with string keys.
    Map(Box<Shape>),
}

/// The table of types.
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(table::parse)
}

impl Schema {
    /// The type of a kind; kinds of subresources are under their own group. Options of requests are known in every group
    /// version, as clients send them in that of the resource.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Type> {
        let find = |group, version| self.kinds.iter().find(|(g, v, k, _)| (*g, *v, *k) == (group, version, kind));
        let found = find(group, version).or_else(|| find("meta.k8s.io", "v1"))?;
        self.types.get(found.3)
    }

    /// The type of what an `apiVersion` and a `kind` name.
    pub fn named(&self, api_version: &str, kind: &str) -> Option<&Type> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.kind(group, version, kind)
    }

    /// The type of an OpenAPI definition.
    pub fn defined(&self, definition: &str) -> Option<&Type> {
        self.types.iter().find(|t| t.definition == definition)
    }

    /// A type by its place.
    #[expect(clippy::indexing_slicing, reason = "places are only made while the table is read, and checked by a test")]
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0]
    }

    /// All types.
    pub fn types(&self) -> &[Type] {
        &self.types
    }
}

impl Type {
    /// The field of that JSON name; names are case-sensitive.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// The name without its package: `Container`.
    pub fn name(&self) -> &'static str {
        self.go.rsplit_once('.').map_or(self.go, |(_, name)| name)
    }
}

impl Shape {
    /// The type, if this is a struct.
    pub fn as_struct(&self) -> Option<&'static Type> {
        match self {
            Shape::Struct(id) => Some(schema().get(*id)),
            _ => None,
        }
    }

    /// The items of a list, the values of a map.
    pub fn inner(&self) -> Option<&Shape> {
        match self {
            Shape::List(inner) | Shape::Map(inner) => Some(inner),
            _ => None,
        }
    }

    /// The type as Go prints it in errors: `map[string]string`, `[]v1.Container`.
    pub fn go(&self) -> String {
        match self {
            Shape::String(name) => (*name).to_owned(),
            Shape::Int32 => "int32".to_owned(),
            Shape::Int64 => "int64".to_owned(),
            Shape::Bool => "bool".to_owned(),
            Shape::Bytes => "[]uint8".to_owned(),
            Shape::Quantity => "resource.Quantity".to_owned(),
            Shape::IntOrString => "intstr.IntOrString".to_owned(),
            Shape::Time => "v1.Time".to_owned(),
            Shape::MicroTime => "v1.MicroTime".to_owned(),
            Shape::Any => "interface {}".to_owned(),
            Shape::Fields => "v1.FieldsV1".to_owned(),
            Shape::Struct(id) => schema().get(*id).go.to_owned(),
            Shape::List(inner) => format!("[]{}", inner.go()),
            Shape::Map(inner) => format!("map[string]{}", inner.go()),
        }
    }
}

#[cfg(test)]
mod tests;
