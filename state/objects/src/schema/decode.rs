//! Reads JSON bodies by their type, as Kubernetes' decoder does: strict findings, type errors, and the value as it is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::quote::quote;
use super::reader::{Kind, Reader, SyntaxError};
use super::{Field, Shape, Type, time, zero};
use crate::quantity::Quantity;

/// How many strict findings are kept of one body; Kubernetes' decoder stops at the same number.
const MAX_FINDINGS: usize = 100;

/// A body that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object: no unknown fields, no nulls, scalars in canonical form, fields there that are always written.
    pub value: Value,
    /// What strict decoding refuses and else is warned about, in the order of the text: `unknown field "spec.foo"`,
    /// `duplicate field "data"`.
    pub strict: Vec<String>,
}

/// Why a body does not fit its type, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

/// The `apiVersion` and `kind` of a body; empty where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
}

impl From<SyntaxError> for DecodeError {
    fn from(error: SyntaxError) -> Self {
        DecodeError(error.to_string())
    }
}

/// Reads a JSON text by a type.
///
/// # Errors
/// The first type error, or that the text is not JSON.
pub fn decode(text: &[u8], owner: &Type) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::new(text);
    let mut fields = Map::new();
    match decoder.reader.peek()? {
        Kind::Object => decoder.fields(owner, &mut fields)?,
        other => {
            decoder.reader.skip()?;
            if other != Kind::Null {
                decoder.mismatch(other.go(), owner.go);
            }
        }
    }
    decoder.reader.end()?;
    zero::finish(owner, &mut fields);
    match decoder.error {
        Some(error) => Err(DecodeError(error)),
        None => Ok(Decoded { value: Value::Object(fields), strict: decoder.strict }),
    }
}

/// Checks a value by a type, as [`decode`] does with its text: what a patch made, say.
///
/// # Errors
/// The first type error.
pub fn check(value: &Value, owner: &Type) -> Result<Decoded, DecodeError> {
    decode(value.to_string().as_bytes(), owner)
}

/// Finds keys that stand twice in one object of a JSON text of no type (a merge patch): `duplicate field "data.a"`.
///
/// # Errors
/// If the text is not JSON.
pub fn duplicates(text: &[u8]) -> Result<Vec<String>, SyntaxError> {
    let mut decoder = Decoder::new(text);
    decoder.untyped()?;
    decoder.reader.end()?;
    Ok(decoder.strict)
}

/// Reads what a body says it is.
///
/// # Errors
/// What Kubernetes says between `the object provided is unrecognized (must be of type Pod): ` and the excerpt in parentheses.
pub fn identify(text: &[u8]) -> Result<Identity, DecodeError> {
    let unreadable =
        |e: &dyn std::fmt::Display| DecodeError(format!("couldn't get version/kind; json parse error: {e}"));
    let mut decoder = Decoder::new(text);
    let read = decoder.identity();
    let identity = match read {
        Ok(identity) if decoder.error.is_none() && decoder.reader.end().is_ok() => identity,
        read => {
            // That the text is no JSON comes before all else that is wrong with it.
            let mut whole = Reader::new(text);
            whole.skip().and_then(|_| whole.end()).map_err(|e| unreadable(&e))?;
            match decoder.error {
                Some(error) => return Err(unreadable(&error)),
                None => read.map_err(|e| unreadable(&e))?,
            }
        }
    };
    if identity.api_version.matches('/').count() > 1 {
        return Err(DecodeError(format!("unexpected GroupVersion string: {}", identity.api_version)));
    }
    Ok(identity)
}

/// Go's name of the type that bodies are identified by.
const IDENTITY: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

struct Decoder<'a> {
    reader: Reader<'a>,
    strict: Vec<String>,
    /// The first type error; reading goes on after it, as syntax errors come first.
    error: Option<String>,
    /// Where we are, as strict findings name it.
    path: String,
    /// Where we are, as type errors name it: the innermost struct and the fields that lead there.
    context: Option<&'static str>,
    names: Vec<&'static str>,
}

impl<'a> Decoder<'a> {
    fn new(text: &'a [u8]) -> Self {
        Decoder {
            reader: Reader::new(text),
            strict: Vec::new(),
            error: None,
            path: String::new(),
            context: None,
            names: Vec::new(),
        }
    }

    /// Reads an object into the fields of a struct; a field that is there already is read into.
    fn fields(&mut self, owner: &Type, fields: &mut Map<String, Value>) -> Result<(), SyntaxError> {
        self.reader.open()?;
        let mut seen: Vec<&str> = Vec::new();
        let mut first = true;
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let length = self.enter(&key);
            match owner.field(&key) {
                None => {
                    self.find("unknown");
                    self.reader.skip()?;
                }
                Some(field) => {
                    if seen.contains(&field.name) {
                        self.find("duplicate");
                    }
                    seen.push(field.name);
                    self.field(owner, field, fields)?;
                }
            }
            self.path.truncate(length);
        }
        Ok(())
    }

    fn field(&mut self, owner: &Type, field: &Field, fields: &mut Map<String, Value>) -> Result<(), SyntaxError> {
        let outer = self.context.replace(owner.name());
        self.names.push(field.name);
        let old = fields.remove(field.name);
        let value = self.value(&field.shape, old)?;
        if let Some(value) = value {
            fields.insert(field.name.to_owned(), value);
        }
        self.names.pop();
        self.context = outer;
        Ok(())
    }

    /// Reads a value; `None` for null and for what does not fit.
    fn value(&mut self, shape: &Shape, old: Option<Value>) -> Result<Option<Value>, SyntaxError> {
        let kind = self.reader.peek()?;
        if kind == Kind::Null {
            self.reader.literal()?;
            // Null leaves a scalar as it is.
            let scalar = matches!(shape, Shape::String(_) | Shape::Int32 | Shape::Int64 | Shape::Bool);
            return Ok(old.filter(|_| scalar));
        }
        match (shape, kind) {
            (Shape::Struct(_), Kind::Object) => {
                let Some(owner) = shape.as_struct() else { return Ok(None) };
                let mut fields = object(old);
                self.fields(owner, &mut fields)?;
                zero::finish(owner, &mut fields);
                Ok(Some(Value::Object(fields)))
            }
            (Shape::Map(inner), Kind::Object) => Ok(Some(Value::Object(self.map(inner, object(old))?))),
            (Shape::List(inner), Kind::Array) => Ok(Some(Value::Array(self.list(inner)?))),
            (Shape::Any | Shape::Fields, _) => self.any(),
            _ => self.scalar(shape, kind),
        }
    }

    fn map(&mut self, inner: &Shape, mut entries: Map<String, Value>) -> Result<Map<String, Value>, SyntaxError> {
        self.entries(|own, key| {
            let value = own.value(inner, None)?.unwrap_or_else(|| zero::zero(inner));
            entries.insert(key, value);
            Ok(())
        })?;
        Ok(entries)
    }

    /// Reads an object whose keys are not fields: `value` reads the value of each key. Notes duplicate keys.
    fn entries(
        &mut self,
        mut value: impl FnMut(&mut Self, String) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        self.reader.open()?;
        let mut seen = std::collections::HashSet::new();
        let mut first = true;
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let length = self.enter(&key);
            if !seen.insert(key.clone()) {
                self.find("duplicate");
            }
            value(self, key)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn list(&mut self, inner: &Shape) -> Result<Vec<Value>, SyntaxError> {
        self.reader.open()?;
        let mut items = Vec::new();
        while self.reader.item(items.is_empty())? {
            let length = self.path.len();
            self.path.push_str(&format!("[{}]", items.len()));
            items.push(self.value(inner, None)?.unwrap_or_else(|| zero::zero(inner)));
            self.path.truncate(length);
        }
        Ok(items)
    }

    fn any(&mut self) -> Result<Option<Value>, SyntaxError> {
        let raw = self.reader.skip()?;
        match serde_json::from_slice(raw) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.fail(error.to_string());
                Ok(None)
            }
        }
    }

    fn scalar(&mut self, shape: &Shape, kind: Kind) -> Result<Option<Value>, SyntaxError> {
        let value = match (shape, kind) {
            (Shape::String(_), Kind::String) => Some(Value::from(self.reader.string()?)),
            (Shape::Bool, Kind::Bool) => self.reader.literal()?.map(Value::Bool),
            (Shape::Int32 | Shape::Int64, Kind::Number) => {
                let text = self.reader.number()?;
                let value = integer(shape, text);
                if value.is_none() {
                    self.mismatch(&format!("number {text}"), &shape.go());
                }
                value
            }
            (Shape::IntOrString, Kind::String) => Some(Value::from(self.reader.string()?)),
            (Shape::IntOrString, _) => {
                let raw = String::from_utf8_lossy(self.reader.skip()?).into_owned();
                let value = integer(&Shape::Int32, &raw);
                if value.is_none() {
                    let what = if kind == Kind::Number { format!("number {raw}") } else { kind.go().to_owned() };
                    self.fail(format!("json: cannot unmarshal {what} into Go value of type int32"));
                }
                value
            }
            (Shape::Bytes, Kind::String) => {
                let text = self.reader.string()?;
                self.or_fail(bytes(&text))
            }
            (Shape::Quantity, Kind::String) => {
                let text = self.reader.string()?;
                self.or_fail(quantity(&text))
            }
            (Shape::Quantity, _) => {
                let raw = String::from_utf8_lossy(self.reader.skip()?);
                self.or_fail(quantity(&raw))
            }
            (Shape::Time, Kind::String) => {
                let text = self.reader.string()?;
                self.or_fail(time::seconds(&text))
            }
            (Shape::MicroTime, Kind::String) => {
                let text = self.reader.string()?;
                self.or_fail(time::micros(&text))
            }
            (Shape::Time | Shape::MicroTime, _) => {
                self.reader.skip()?;
                self.fail(format!("json: cannot unmarshal {} into Go value of type string", kind.go()));
                None
            }
            _ => {
                self.reader.skip()?;
                self.mismatch(kind.go(), &shape.go());
                None
            }
        };
        Ok(value)
    }

    /// Passes over a value of no type, noting duplicate keys.
    fn untyped(&mut self) -> Result<(), SyntaxError> {
        match self.reader.peek()? {
            Kind::Object => self.entries(|own, _| own.untyped())?,
            Kind::Array => {
                self.reader.open()?;
                let mut index = 0;
                while self.reader.item(index == 0)? {
                    let length = self.path.len();
                    self.path.push_str(&format!("[{index}]"));
                    self.untyped()?;
                    self.path.truncate(length);
                    index += 1;
                }
            }
            _ => drop(self.reader.skip()?),
        }
        Ok(())
    }

    fn identity(&mut self) -> Result<Identity, SyntaxError> {
        let mut identity = Identity::default();
        match self.reader.peek()? {
            Kind::Object => self.reader.open()?,
            Kind::Null => return Ok(identity),
            other => {
                self.mismatch(other.go(), IDENTITY);
                return Ok(identity);
            }
        }
        self.context = Some("");
        let mut first = true;
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let (name, target) = match key.to_ascii_lowercase().as_str() {
                "apiversion" => ("apiVersion", &mut identity.api_version),
                "kind" => ("kind", &mut identity.kind),
                _ => {
                    self.reader.skip()?;
                    continue;
                }
            };
            self.names.push(name);
            let read = self.value(&Shape::String("string"), None)?;
            if let Some(Value::String(text)) = read {
                *target = text;
            }
            self.names.pop();
        }
        Ok(identity)
    }

    /// Goes to a key; gives the length to go back to.
    fn enter(&mut self, key: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        length
    }

    fn find(&mut self, what: &str) {
        if self.strict.len() == MAX_FINDINGS {
            return;
        }
        let found = format!("{what} field {}", quote(&self.path));
        if !self.strict.contains(&found) {
            self.strict.push(found);
        }
    }

    fn mismatch(&mut self, what: &str, go: &str) {
        let place = match self.context {
            Some(name) => format!("struct field {name}.{}", self.names.join(".")),
            None => "value".to_owned(),
        };
        self.fail(format!("json: cannot unmarshal {what} into Go {place} of type {go}"));
    }

    fn or_fail(&mut self, read: Result<String, String>) -> Option<Value> {
        match read {
            Ok(text) => Some(Value::from(text)),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
    }
}

fn object(old: Option<Value>) -> Map<String, Value> {
    match old {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn integer(shape: &Shape, text: &str) -> Option<Value> {
    match shape {
        Shape::Int32 => text.parse::<i32>().ok().map(Value::from),
        _ => text.parse::<i64>().ok().map(Value::from),
    }
}

/// A quantity in its canonical form.
pub(crate) fn quantity(text: &str) -> Result<String, String> {
    Quantity::parse(text.trim()).map(|q| q.to_string()).map_err(|e| e.to_string())
}

/// Bytes as JSON has them.
pub(crate) fn base64(data: &[u8]) -> String {
    STANDARD.encode(data)
}

fn bytes(text: &str) -> Result<String, String> {
    use base64::DecodeError::{InvalidByte, InvalidLastSymbol, InvalidLength, InvalidPadding};
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&plain) {
        Ok(data) => Ok(base64(&data)),
        Err(error) => {
            let at = match error {
                InvalidByte(at, _) | InvalidLastSymbol(at, _) => at,
                InvalidLength(at) => at,
                InvalidPadding => plain.len(),
            };
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}
