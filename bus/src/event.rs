//! An event of the log as a message: CloudEvents 1.0 in NATS' binary mode, attributes in headers and the object as the body.

use std::borrow::Cow;
use std::str::FromStr;

use async_nats::{HeaderMap, HeaderName, HeaderValue, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cox_objects::at::time_text;
use cox_objects::{Cause, Change, Event, Key, Object, Position, RequestId, Revision, Trigger};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::Subjects;
use crate::seal::{self, SealError, SealingKey};

/// What CloudEvents' HTTP and NATS bindings escape in header values: space, quote, percent, and what is not printable ASCII.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// What a message carries beside its headers and body in the server's count, and some room.
const OVERHEAD: usize = 1024;

/// An event ready to be published.
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// The whole event.
    Event(Box<Event>),
    /// The event was too large for the bus: it is read from the log.
    TooLarge(Position),
    /// It was sealed with a key that we do not have.
    Sealed(Position, Key),
}

/// A message on an event subject that is no event of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("no header {0}")]
    Missing(&'static str),
    #[error("header {0} is {1:?}")]
    Header(&'static str, String),
    #[error("not an event subject: {0}")]
    Subject(String),
    #[error("{0}")]
    Object(#[from] cox_objects::object::ObjectError),
    #[error("{0}")]
    Seal(#[from] SealError),
}

/// Where a sealed object belongs: it opens nowhere else.
pub(crate) fn place(key: &Key, position: Position) -> String {
    format!("{key}@{position}")
}

/// The message of an event; its body is left out if it does not fit into `limit` bytes.
pub(crate) fn encode(
    subjects: &Subjects,
    event: &Event,
    sealing: &SealingKey,
    limit: usize,
) -> Result<Outgoing, SealError> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: String| {
        let escaped = match Cow::from(utf8_percent_encode(&value, ESCAPED)) {
            // Escaping makes a text longer: this one is as it was.
            Cow::Borrowed(same) if same.len() == value.len() => None,
            escaped => Some(escaped.into_owned()),
        };
        headers.insert(HeaderName::from_static(name), HeaderValue::from(escaped.unwrap_or(value)));
    };
    let revision = event.position.revision;
    let cause = &event.cause;
    put("ce-specversion", "1.0".to_owned());
    put("ce-source", format!("/cox/{}", subjects.cluster()));
    put("ce-id", event.position.to_string());
    put("ce-type", format!("io.coxswain.{}.{}", event.key.resource.plural(), change_text(event.change)));
    put("ce-subject", event.key.to_string());
    put("ce-time", time_text(event.time));
    put("ce-sequence", format!("{revision:020}"));
    put("ce-transaction", format!("{}-{}", event.transaction.0, event.transaction.1));
    put("ce-user", cause.user.clone());
    put("ce-component", cause.component.clone());
    put("ce-request", cause.request.to_string());
    if let Some(observed) = cause.observed {
        put("ce-observed", observed.to_string());
    }
    if let Some(correlation) = cause.correlation {
        put("ce-correlationid", correlation.to_string());
    }
    if let Some(trigger) = &cause.trigger {
        put("ce-causationid", trigger_text(trigger));
    }
    if !cause.folded.is_empty() {
        // A timer's name may hold anything; an escaped one holds no space.
        let folded: Vec<String> = cause.folded.iter().map(|t| crate::subject::escape(&trigger_text(t))).collect();
        put("ce-folded", folded.join(" "));
    }
    if let Some(traceparent) = &cause.traceparent {
        put("traceparent", traceparent.clone());
    }
    let mut body = event.object.bytes().clone();
    if seal::is_sealed(&event.key) {
        put("sealed-key", sealing.id().to_owned());
        put("content-type", "application/octet-stream".to_owned());
        body = sealing.seal(&place(&event.key, event.position), &body)?;
    } else {
        put("content-type", "application/json".to_owned());
    }
    if body.len() + OVERHEAD + header_length(&headers) > limit {
        headers.insert("too-large", "true");
        body = Bytes::new();
    }
    Ok(Outgoing { subject: subjects.event(&event.key), headers, body })
}

/// The same message in CloudEvents' JSON format. Attributes keep their names, but extensions may not hold `-`.
pub(crate) fn to_json(headers: &HeaderMap, body: &[u8]) -> Value {
    let mut event = Map::new();
    for (name, values) in headers.iter() {
        let name = AsRef::<str>::as_ref(name).to_ascii_lowercase();
        let Some(value) = values.first().and_then(|value| unescaped(value.as_str())) else { continue };
        let name = match name.as_str() {
            "content-type" => "datacontenttype".to_owned(),
            name => name.strip_prefix("ce-").unwrap_or(name).replace('-', ""),
        };
        event.insert(name, value.into_owned().into());
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(object) if !event.contains_key("sealedkey") => event.insert("data".to_owned(), object),
        _ => event.insert("data_base64".to_owned(), STANDARD.encode(body).into()),
    };
    Value::Object(event)
}

fn header_length(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, values)| {
            AsRef::<str>::as_ref(name).len() + values.iter().map(|v| v.as_str().len() + 4).sum::<usize>()
        })
        .sum()
}

/// The event of a message. Attribute names are read in any case, as the specification has it.
pub(crate) fn decode(
    subjects: &Subjects,
    message: &Message,
    sealing: Option<&SealingKey>,
) -> Result<Decoded, DecodeError> {
    let headers = Headers(message.headers.as_ref());
    let position = headers.parsed("ce-id", position)?;
    let key =
        subjects.parse_event(&message.subject).ok_or_else(|| DecodeError::Subject(message.subject.to_string()))?;
    if headers.get("too-large").is_some() {
        return Ok(Decoded::TooLarge(position));
    }
    let body = match (headers.get("sealed-key"), sealing) {
        // The client's payloads are slices of a larger buffer, which a kept object would hold.
        (None, _) => Bytes::copy_from_slice(&message.payload),
        (Some(id), Some(key_)) if id == key_.id() => {
            key_.open(id.as_ref(), &place(&key, position), &message.payload)?
        }
        (Some(_), _) => return Ok(Decoded::Sealed(position, key)),
    };
    let object = Object::from_stored(body)?;
    let cause = Cause {
        user: headers.get("ce-user").unwrap_or_default().into_owned(),
        component: headers.get("ce-component").unwrap_or_default().into_owned(),
        request: headers.parsed("ce-request", request)?,
        observed: headers.optional("ce-observed", |t| t.parse().ok())?,
        trigger: headers.optional("ce-causationid", trigger)?,
        folded: headers.optional("ce-folded", folded)?.unwrap_or_default(),
        correlation: headers.optional("ce-correlationid", request)?,
        traceparent: headers.get("traceparent").map(Cow::into_owned),
    };
    Ok(Decoded::Event(Box::new(Event {
        position,
        transaction: headers.parsed("ce-transaction", pair)?,
        time: headers.parsed("ce-time", time)?,
        change: headers.parsed("ce-type", |t| change(t.rsplit('.').next()?))?,
        key,
        object,
        cause,
    })))
}

/// The headers of a message, by their names in any case.
struct Headers<'a>(Option<&'a HeaderMap>);

impl<'a> Headers<'a> {
    /// The text of a header, unescaped.
    fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let (_, values) = self.0?.iter().find(|(n, _)| AsRef::<str>::as_ref(*n).eq_ignore_ascii_case(name))?;
        unescaped(values.first()?.as_str())
    }

    fn optional<T>(&self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, DecodeError> {
        self.get(name).map(|text| parse(&text).ok_or_else(|| DecodeError::Header(name, text.into_owned()))).transpose()
    }

    fn parsed<T>(&self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T, DecodeError> {
        self.optional(name, parse)?.ok_or(DecodeError::Missing(name))
    }
}

/// The text of a header's value; none if it is no text.
fn unescaped(value: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(value).decode_utf8().ok()
}

/// Reads `epoch-revision`.
pub(crate) fn position(text: &str) -> Option<Position> {
    let (epoch, revision) = text.split_once('-')?;
    Some(Position { epoch: epoch.parse().ok()?, revision: revision.parse().ok()? })
}

fn pair(text: &str) -> Option<(Revision, Revision)> {
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn request(text: &str) -> Option<RequestId> {
    u128::from_str_radix(text, 16).ok().map(RequestId)
}

fn trigger_text(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Event(position) => position.to_string(),
        Trigger::Timer(name) => format!("timer:{name}"),
    }
}

fn trigger(text: &str) -> Option<Trigger> {
    match text.strip_prefix("timer:") {
        Some(name) => Some(Trigger::Timer(name.to_owned())),
        None => position(text).map(Trigger::Event),
    }
}

fn folded(text: &str) -> Option<Vec<Trigger>> {
    text.split(' ').map(|t| trigger(&crate::subject::unescape(t)?)).collect()
}

fn change_text(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Modified => "modified",
        Change::Deleted => "deleted",
    }
}

fn change(text: &str) -> Option<Change> {
    Some(match text {
        "added" => Change::Added,
        "modified" => Change::Modified,
        "deleted" => Change::Deleted,
        _ => return None,
    })
}

fn time(text: &str) -> Option<u64> {
    u64::try_from(jiff::Timestamp::from_str(text).ok()?.as_millisecond()).ok()
}

#[cfg(test)]
mod tests;
