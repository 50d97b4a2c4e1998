//! Reads the first document of a YAML text as JSON.

use base64::Engine;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

use super::scalar::resolve;

/// How deep collections may lie in each other.
const MAX_DEPTH: usize = 100;
/// How many values aliases may bring in all together: a few aliases of aliases would fill the memory otherwise.
const MAX_ALIASED: usize = 100_000;

/// A document, with what is doubtful about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The value; null if the text is empty.
    pub value: Value,
    /// Keys that stand twice in a mapping, as `line 5: key "a" already set in map`; the last one counts.
    pub duplicates: Vec<String>,
}

/// Why a text is no YAML.
#[derive(Debug, thiserror::Error)]
#[error("yaml: {0}")]
pub struct YamlError(String);

/// Reads the first document; further ones are not looked at.
///
/// # Errors
/// If it is not YAML, lies too deep or is blown up by aliases.
pub fn read(text: &str) -> Result<Document, YamlError> {
    // A block cannot be indented by tabs; the parser lets it pass on the first line.
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if first.starts_with('\t') && !first.trim_start().starts_with(['{', '[', '#', '"', '\'']) {
        return Err(YamlError("found character that cannot start any token".to_owned()));
    }
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), aliased: 0, duplicates: Vec::new() };
    loop {
        match reader.next()? {
            (Event::DocumentStart(_), _) => break,
            (Event::StreamEnd, _) => return Ok(Document::default()),
            _ => {}
        }
    }
    let (event, span) = reader.next()?;
    let value = match event {
        Event::DocumentEnd | Event::StreamEnd => Value::Null,
        event => reader.value(event, &span, 0)?,
    };
    Ok(Document { value, duplicates: reader.duplicates })
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Value>,
    aliased: usize,
    duplicates: Vec<String>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(wording(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Value, YamlError> {
        if depth > MAX_DEPTH {
            return Err(YamlError("exceeded max depth of 100".to_owned()));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(text, style, tag.as_deref())?, anchor),
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor),
            _ => return Err(YamlError(format!("line {}: unexpected end of the document", span.start.line()))),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize) -> Result<Value, YamlError> {
        let value = self.anchors.get(&anchor).ok_or_else(|| YamlError("anchor contains itself".to_owned()))?;
        self.aliased += size(value);
        if self.aliased > MAX_ALIASED {
            return Err(YamlError("document contains excessive aliasing".to_owned()));
        }
        Ok(value.clone())
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.value(event, &span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut members = Map::new();
        let mut merged = Map::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = key(self.value(event, &span, depth + 1)?)?;
            let (event, value_span) = self.next()?;
            let value = self.value(event, &value_span, depth + 1)?;
            if is_merge {
                merge(&mut merged, value)?;
            } else if members.insert(key.clone(), value).is_some() {
                self.duplicates.push(format!("line {}: key {key:?} already set in map", span.start.line()));
            }
        }
        for (key, value) in merged {
            members.entry(key).or_insert(value);
        }
        Ok(Value::Object(members))
    }
}

/// What a merge key brings: a mapping, or several of which the first wins.
fn merge(into: &mut Map<String, Value>, value: Value) -> Result<(), YamlError> {
    let several = match value {
        Value::Object(one) => vec![Value::Object(one)],
        Value::Array(several) => several,
        _ => return Err(merge_error()),
    };
    for one in several {
        let Value::Object(members) = one else { return Err(merge_error()) };
        for (key, value) in members {
            into.entry(key).or_insert(value);
        }
    }
    Ok(())
}

fn merge_error() -> YamlError {
    YamlError("map merge requires map or sequence of maps as the value".to_owned())
}

/// A key of a JSON object: scalars as they print.
fn key(value: Value) -> Result<String, YamlError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok("null".to_owned()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Array(_) | Value::Object(_) => Err(YamlError("invalid map key".to_owned())),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, YamlError> {
    match tag.filter(|t| t.is_yaml_core_schema()).map(|t| t.suffix.as_str()) {
        Some("str") => Ok(Value::String(text.into_owned())),
        Some("binary") => {
            let compact: String = text.split_whitespace().collect();
            let decoded = base64::engine::general_purpose::STANDARD.decode(compact);
            let bytes = decoded.map_err(|_| YamlError("!!binary value contains invalid base64 data".to_owned()))?;
            Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Some(_) => Ok(resolve(&text)),
        None if style == ScalarStyle::Plain => Ok(resolve(&text)),
        None => Ok(Value::String(text.into_owned())),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// The error in the words that Kubernetes' parser has for the usual mistakes, with the line where it gives one.
fn wording(error: &ScanError) -> YamlError {
    let info = error.info();
    let line = error.marker().line();
    let lower = info.to_ascii_lowercase();
    let text = if lower.contains("mapping values are not allowed") {
        "mapping values are not allowed in this context".to_owned()
    } else if lower.contains("tab")
        || lower.contains("cannot start any token")
        || lower.contains("unexpected character")
    {
        "found character that cannot start any token".to_owned()
    } else {
        info.to_owned()
    };
    // The parser that Kubernetes uses leaves out the line of what stands on the first one.
    YamlError(if line > 1 { format!("line {line}: {text}") } else { text })
}
