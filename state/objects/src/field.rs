//! Field paths and the errors of validation, worded as Kubernetes words them.

use std::fmt;

use serde_json::Value;

/// A path into an object, printed as in Kubernetes' errors: `spec.containers[0].image`, `metadata.labels[a.b]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Path(String);

impl Path {
    /// A path of one field.
    pub fn new(name: &str) -> Self {
        Path(name.to_owned())
    }

    /// The empty path: the object itself.
    pub fn root() -> Self {
        Path(String::new())
    }

    /// A field below this one.
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Path(name.to_owned()) } else { Path(format!("{}.{name}", self.0)) }
    }

    /// An element of this list.
    pub fn index(&self, index: usize) -> Self {
        Path(format!("{}[{index}]", self.0))
    }

    /// An entry of this map.
    pub fn key(&self, key: &str) -> Self {
        Path(format!("{}[{key}]", self.0))
    }

    /// The printed path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a field; the names are the `reason`s of `details.causes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// `FieldValueRequired`
    Required,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueNotFound`
    NotFound,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooMany`
    TooMany,
    /// `FieldValueTypeInvalid`
    TypeInvalid,
    /// `InternalError`
    Internal,
}

/// One cause of an `Invalid` answer: a field, what is wrong with it, and the text that Kubernetes prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// Where; `<nil>` where Kubernetes prints that.
    pub field: String,
    /// The whole text after the field: `Invalid value: "x": must be …`.
    pub body: String,
}

impl FieldError {
    /// `field: Required value[: detail]`
    pub fn required(path: &Path, detail: &str) -> Self {
        Self::build(FieldErrorKind::Required, path, with_detail("Required value", detail))
    }

    /// `field: Invalid value: VALUE: detail`; strings are quoted, other scalars printed as JSON.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: &str) -> Self {
        let value = value.into();
        Self::build(FieldErrorKind::Invalid, path, with_detail(&format!("Invalid value: {}", print(&value)), detail))
    }

    /// `field: Invalid value: TEXT: detail`, with the value printed by the caller (Kubernetes prints Go structs in places).
    pub fn invalid_raw(path: &Path, printed: &str, detail: &str) -> Self {
        Self::build(FieldErrorKind::Invalid, path, with_detail(&format!("Invalid value: {printed}"), detail))
    }

    /// `field: Unsupported value: "x": supported values: "a", "b"`; the supported ones are printed in the order given.
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let value = value.into();
        let list = supported.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", ");
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {list}") };
        Self::build(
            FieldErrorKind::NotSupported,
            path,
            with_detail(&format!("Unsupported value: {}", print(&value)), &detail),
        )
    }

    /// `field: Forbidden: detail`
    pub fn forbidden(path: &Path, detail: &str) -> Self {
        Self::build(FieldErrorKind::Forbidden, path, with_detail("Forbidden", detail))
    }

    /// `field: Duplicate value: VALUE`
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::build(FieldErrorKind::Duplicate, path, format!("Duplicate value: {}", print(&value.into())))
    }

    /// `field: Not found: VALUE`
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::build(FieldErrorKind::NotFound, path, format!("Not found: {}", print(&value.into())))
    }

    /// `field: Too long: may not be more than N bytes`
    pub fn too_long(path: &Path, max_bytes: usize) -> Self {
        Self::build(FieldErrorKind::TooLong, path, format!("Too long: may not be more than {max_bytes} bytes"))
    }

    /// `field: Too many: N: must have at most MAX items`
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let noun = if max == 1 { "item" } else { "items" };
        Self::build(FieldErrorKind::TooMany, path, format!("Too many: {actual}: must have at most {max} {noun}"))
    }

    fn build(kind: FieldErrorKind, path: &Path, body: String) -> Self {
        // Kubernetes prints the root of an object as `<nil>` in causes.
        let field = if path.as_str().is_empty() { "<nil>".to_owned() } else { path.as_str().to_owned() };
        FieldError { kind, field, body }
    }

    /// The reason that `details.causes` gives.
    pub fn reason(&self) -> &'static str {
        match self.kind {
            FieldErrorKind::Required => "FieldValueRequired",
            FieldErrorKind::Invalid => "FieldValueInvalid",
            FieldErrorKind::NotSupported => "FieldValueNotSupported",
            FieldErrorKind::Forbidden => "FieldValueForbidden",
            FieldErrorKind::Duplicate => "FieldValueDuplicate",
            FieldErrorKind::NotFound => "FieldValueNotFound",
            FieldErrorKind::TooLong => "FieldValueTooLong",
            FieldErrorKind::TooMany => "FieldValueTooMany",
            FieldErrorKind::TypeInvalid => "FieldValueTypeInvalid",
            FieldErrorKind::Internal => "InternalError",
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body)
    }
}

fn with_detail(head: &str, detail: &str) -> String {
    if detail.is_empty() { head.to_owned() } else { format!("{head}: {detail}") }
}

fn print(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}
