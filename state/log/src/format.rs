//! The format on disk: every store key and record is built and parsed here, and nowhere else.
//!
//! Format 2. All integers are big-endian; a *path* is `namespace/name`, or `name` of a cluster-scoped object; a resource is `plural.group`.
//! Neither holds a NUL byte, so that keys of one resource order as Kubernetes' lists do.
//!
//! | column family | key | value |
//! |---|---|---|
//! | `log` | revision (u64) | length of the header (u32), header, the object's JSON in its stored form |
//! | `current` | resource, NUL, path | the revisions (u64 each) whose events make the object: one, today |
//! | `history` | resource, NUL, path, NUL, revision (u64) | nothing |
//! | `requests` | request id (u128, a UUIDv7: the ids of a time span are a range) | outcome |
//! | `meta` | `format` | u32 |
//! | | `epoch` | u64, never 0 |
//! | | `base` | u64: the revision before this epoch's first (0, or past everything that a restored log can have reached) |
//! | | `dense_from` | u64: from here on no event is missing; absent: from `base` + 1 |
//! | | `floor/` resource | u64: below it the resource's past is not kept; absent: that of the empty name, which stands for all; absent too: all is |
//! | | `swept/` resource | u64: up to here what the floor lets go of is gone; absent: as with floors |
//! | | `missing` | u64: how many revisions up to the head have no event; absent: 0 if `base` is, else not known |
//!
//! Header and outcome are MessagePack maps with short names; readers skip names that they do not know, and a name that is added later has a
//! default. An event, its `current` and `history` entries and its request's outcome are written in one batch; it is dropped with its `history`
//! entry, and both are counted in one batch. Format 1 is the same without the floor of all, `swept/` and `missing`: read as it is, and a log
//! becomes format 2 with its first floors.

use bytes::Bytes;
use cox_objects::{Cause, Change, Epoch, Event, Key, Object, Position, RequestId, Resource, Revision, Trigger};
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// The newest format that this program reads, and the one that it writes.
pub const FORMAT: u32 = 2;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Revision → event.
    Log,
    /// Key → revisions that make the object.
    Current,
    /// Key and revision of every event.
    History,
    /// Request id → outcome.
    Requests,
    /// Facts about the log.
    Meta,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 5] = [Family::Log, Family::Current, Family::History, Family::Requests, Family::Meta];

    /// Its name in RocksDB.
    pub fn name(self) -> &'static str {
        match self {
            Family::Log => "log",
            Family::Current => "current",
            Family::History => "history",
            Family::Requests => "requests",
            Family::Meta => "meta",
        }
    }
}

/// The `meta` key of the format.
pub const META_FORMAT: &[u8] = b"format";
/// The `meta` key of the epoch.
pub const META_EPOCH: &[u8] = b"epoch";
/// The `meta` key of the revision before the epoch's first.
pub const META_BASE: &[u8] = b"base";
/// The `meta` key of the first revision of the dense window.
pub const META_DENSE_FROM: &[u8] = b"dense_from";

/// The `meta` key of how many revisions have no event.
pub const META_MISSING: &[u8] = b"missing";

/// The `meta` key of how far a resource is swept.
pub fn meta_swept(resource: &Resource) -> Vec<u8> {
    [b"swept/", resource.as_str().as_bytes()].concat()
}

/// The `meta` key of a resource's floor.
pub fn meta_floor(resource: &Resource) -> Vec<u8> {
    [b"floor/", resource.as_str().as_bytes()].concat()
}

/// Whether a key can be stored.
pub fn is_storable(key: &Key) -> bool {
    let (resource, path) = (key.resource.as_str(), key.path());
    !resource.is_empty() && !path.is_empty() && !resource.contains('\0') && !path.contains('\0')
}

/// The key of an event.
pub fn log_key(revision: Revision) -> [u8; 8] {
    revision.to_be_bytes()
}

/// A revision, from a key of `log` or a value of `current` or `meta`.
pub fn parse_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The format, from its value in `meta`.
pub fn parse_u32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The key of an object in `current`.
pub fn current_key(key: &Key) -> Vec<u8> {
    [key.resource.as_str().as_bytes(), b"\0", key.path().as_bytes()].concat()
}

/// The object that a key of `current` names.
pub fn parse_current_key(bytes: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (resource, path) = text.split_once('\0')?;
    Some(Key::at(resource.into(), path))
}

/// The revision that makes an object, from its value in `current`.
pub fn parse_current(value: &[u8]) -> Option<Revision> {
    // There is exactly one, so far.
    parse_u64(value)
}

/// What the keys in `current` of a resource's objects in a namespace (in all, if empty) begin with.
pub fn list_prefix(resource: &Resource, namespace: &str) -> Vec<u8> {
    let mut prefix = [resource.as_str().as_bytes(), b"\0"].concat();
    if !namespace.is_empty() {
        prefix.extend_from_slice(namespace.as_bytes());
        prefix.push(b'/');
    }
    prefix
}

/// What the keys in `history` of an object's events begin with.
pub fn history_prefix(key: &Key) -> Vec<u8> {
    [current_key(key).as_slice(), b"\0"].concat()
}

/// The key in `history` of an object's event.
pub fn history_key(key: &Key, revision: Revision) -> Vec<u8> {
    [history_prefix(key).as_slice(), &revision.to_be_bytes()].concat()
}

/// The object and the revision that a key of `history` names.
pub fn parse_history_key(bytes: &[u8]) -> Option<(Key, Revision)> {
    let (rest, revision) = bytes.split_last_chunk::<8>()?;
    Some((parse_current_key(rest.strip_suffix(b"\0")?)?, u64::from_be_bytes(*revision)))
}

/// The key of a request's outcome.
pub fn request_key(id: RequestId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// The smallest key of requests made at or after a time, in milliseconds since the Unix epoch.
pub fn requests_since(time: u64) -> [u8; 16] {
    (u128::from(time) << 80).to_be_bytes()
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    #[serde(rename = "r", borrow)]
    resource: std::borrow::Cow<'a, str>,
    #[serde(rename = "p", borrow)]
    path: std::borrow::Cow<'a, str>,
    /// 0 added, 1 modified, 2 deleted.
    #[serde(rename = "c")]
    change: u8,
    #[serde(rename = "f")]
    first: Revision,
    #[serde(rename = "l")]
    last: Revision,
    #[serde(rename = "t")]
    time: u64,
    #[serde(rename = "w")]
    why: Why,
}

#[derive(Serialize, Deserialize)]
struct Why {
    #[serde(rename = "u")]
    user: String,
    #[serde(rename = "c")]
    component: String,
    #[serde(rename = "i", with = "sixteen")]
    request: u128,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    observed: Option<Revision>,
    /// The trigger, then those that were folded into it.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    triggers: Vec<Reacted>,
    /// Whether the first of them is a folded one, because there is no trigger proper.
    #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
    no_trigger: bool,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    correlation: Option<Id>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

/// Sixteen bytes: MessagePack has no integer of that size.
#[derive(Serialize, Deserialize)]
struct Id(#[serde(with = "sixteen")] u128);

#[derive(Serialize, Deserialize)]
enum Reacted {
    #[serde(rename = "e")]
    Event(u64, Revision),
    #[serde(rename = "t")]
    Timer(String),
}

/// u128 as sixteen bytes.
mod sixteen {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&id.to_be_bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        struct Sixteen;
        impl Visitor<'_> for Sixteen {
            type Value = u128;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("sixteen bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<u128, E> {
                bytes.try_into().map(u128::from_be_bytes).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Sixteen)
    }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is shorter than it says.
    #[error("a record of {0} bytes is cut off")]
    Short(usize),
    /// Its header is not one.
    #[error("a record's header cannot be read: {0}")]
    Header(#[from] rmp_serde::decode::Error),
    /// It should have left an object.
    #[error("{0} is made of a deletion at revision {1}")]
    Gone(Key, Revision),
    /// Its object is not one.
    #[error(transparent)]
    Object(#[from] cox_objects::object::ObjectError),
}

/// The record of an event in `log`.
///
/// # Errors
/// Never in practice: the header holds nothing that MessagePack cannot.
pub fn encode_event(event: &Event) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let cause = &event.cause;
    let header = Header {
        resource: event.key.resource.as_str().into(),
        path: event.key.path().into(),
        change: match event.change {
            Change::Added => 0,
            Change::Modified => 1,
            Change::Deleted => 2,
        },
        first: event.transaction.0,
        last: event.transaction.1,
        time: event.time,
        why: Why {
            user: cause.user.clone(),
            component: cause.component.clone(),
            request: cause.request.0,
            observed: cause.observed,
            triggers: cause.trigger.iter().chain(&cause.folded).map(reacted).collect(),
            no_trigger: cause.trigger.is_none() && !cause.folded.is_empty(),
            correlation: cause.correlation.map(|id| Id(id.0)),
            traceparent: cause.traceparent.clone(),
        },
    };
    let object = event.object.bytes();
    let mut record = Vec::with_capacity(object.len() + 320);
    record.extend_from_slice(&[0; 4]);
    rmp_serde::encode::write_named(&mut record, &header)?;
    let length = (record.len() - 4) as u32;
    if let Some(place) = record.first_chunk_mut::<4>() {
        *place = length.to_be_bytes();
    }
    record.extend_from_slice(object);
    Ok(record)
}

fn reacted(trigger: &Trigger) -> Reacted {
    match trigger {
        Trigger::Event(position) => Reacted::Event(position.epoch.0, position.revision),
        Trigger::Timer(name) => Reacted::Timer(name.clone()),
    }
}

fn split(record: &[u8]) -> Result<(&[u8], &[u8]), RecordError> {
    let short = || RecordError::Short(record.len());
    let (length, rest) = record.split_first_chunk::<4>().ok_or_else(short)?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(short)
}

/// The event of a record in `log`.
///
/// # Errors
/// If the record is damaged.
pub fn decode_event(epoch: Epoch, revision: Revision, record: &[u8]) -> Result<Event, RecordError> {
    let (header, object) = split(record)?;
    let header: Header<'_> = rmp_serde::from_slice(header)?;
    let why = header.why;
    let mut triggers = why.triggers.into_iter().map(|reacted| match reacted {
        Reacted::Event(epoch, revision) => Trigger::Event(Position { epoch: Epoch(epoch), revision }),
        Reacted::Timer(name) => Trigger::Timer(name),
    });
    let trigger = if why.no_trigger { None } else { triggers.next() };
    Ok(Event {
        position: Position { epoch, revision },
        transaction: (header.first, header.last),
        time: header.time,
        key: Key::at(header.resource.as_ref().into(), &header.path),
        change: change(header.change),
        object: Object::from_stored(Bytes::copy_from_slice(object))?,
        cause: Cause {
            user: why.user,
            component: why.component,
            request: RequestId(why.request),
            observed: why.observed,
            trigger,
            folded: triggers.collect(),
            correlation: why.correlation.map(|id| RequestId(id.0)),
            traceparent: why.traceparent,
        },
    })
}

fn change(code: u8) -> Change {
    match code {
        0 => Change::Added,
        1 => Change::Modified,
        _ => Change::Deleted,
    }
}

/// Which object a record in `log` is of, and what happened to it.
///
/// # Errors
/// If the record is damaged.
pub fn decode_subject(record: &[u8]) -> Result<(Key, Change), RecordError> {
    #[derive(Deserialize)]
    struct Subject<'a> {
        #[serde(rename = "r", borrow)]
        resource: std::borrow::Cow<'a, str>,
        #[serde(rename = "p", borrow)]
        path: std::borrow::Cow<'a, str>,
        #[serde(rename = "c")]
        change: u8,
    }
    let (header, _) = split(record)?;
    let subject: Subject<'_> = rmp_serde::from_slice(header)?;
    Ok((Key::at(subject.resource.as_ref().into(), &subject.path), change(subject.change)))
}

/// When the event of a record in `log` was, in milliseconds since the Unix epoch.
///
/// # Errors
/// If the record is damaged.
pub fn decode_time(record: &[u8]) -> Result<u64, RecordError> {
    #[derive(Deserialize)]
    struct Timed {
        #[serde(rename = "t")]
        time: u64,
    }
    let (header, _) = split(record)?;
    Ok(rmp_serde::from_slice::<Timed>(header)?.time)
}

/// The object of a record in `log`, and whether the record is of its deletion.
///
/// # Errors
/// If the record is damaged.
pub fn decode_object(record: &[u8]) -> Result<(Object, bool), RecordError> {
    #[derive(Deserialize)]
    struct Changed {
        #[serde(rename = "c")]
        change: u8,
    }
    let (header, object) = split(record)?;
    let changed: Changed = rmp_serde::from_slice(header)?;
    Ok((Object::from_stored(Bytes::copy_from_slice(object))?, changed.change >= 2))
}

/// The object that an event left, with its key.
///
/// # Errors
/// If the record is damaged, or of a deletion.
pub fn decode_left(revision: Revision, record: &[u8]) -> Result<(Key, Object), RecordError> {
    let (key, change) = decode_subject(record)?;
    let (_, object) = split(record)?;
    match change {
        Change::Deleted => Err(RecordError::Gone(key, revision)),
        Change::Added | Change::Modified => Ok((key, Object::from_stored(Bytes::copy_from_slice(object))?)),
    }
}

#[derive(Serialize, Deserialize)]
struct Answered {
    #[serde(rename = "c")]
    code: u16,
    #[serde(rename = "f")]
    first: Revision,
    #[serde(rename = "l")]
    last: Revision,
}

/// The value of an outcome in `requests`; only those that wrote something are kept there.
///
/// # Errors
/// Never in practice.
pub fn encode_outcome(outcome: &Outcome) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(&Answered { code: outcome.code, first: outcome.first, last: outcome.last })
}

/// The outcome of a value in `requests`.
///
/// # Errors
/// If the value is damaged.
pub fn decode_outcome(value: &[u8]) -> Result<Outcome, RecordError> {
    let Answered { code, first, last } = rmp_serde::from_slice(value)?;
    Ok(Outcome { code, first, last, unchanged: false, refusal: None })
}

#[cfg(test)]
mod tests;
