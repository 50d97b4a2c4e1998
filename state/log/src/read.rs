//! Reads: lists as they are and as they were, events, histories.

use cox_objects::{Epoch, Event, Key, Object, Resource, Revision};

use crate::LogError;
use crate::db::{Db, damaged};
use crate::format::{self, Family};

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The revision at which the list is as it is.
    pub revision: Revision,
    /// The objects, in key order.
    pub items: Vec<(Key, Object)>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// Which part of a list is asked for.
pub(crate) struct Part<'a> {
    pub(crate) resource: &'a Resource,
    /// All, or cluster-scoped objects, if empty.
    pub(crate) namespace: &'a str,
    /// Only those after this path.
    pub(crate) after: Option<&'a str>,
    /// 0 is no limit.
    pub(crate) limit: usize,
}

impl Part<'_> {
    fn start(&self, prefix: &[u8]) -> Vec<u8> {
        let Some(after) = self.after else { return prefix.to_vec() };
        let mut start = format::current_key(&Key::at(self.resource.clone(), after));
        // The first possible key after that one; history keys of the path itself come before it too, having NUL there.
        start.push(1);
        start.max(prefix.to_vec())
    }

    fn is_full(&self, items: &[(Key, Object)]) -> bool {
        self.limit > 0 && items.len() >= self.limit
    }
}

/// A list as it is.
pub(crate) fn list(db: &Db, part: &Part<'_>, revision: Revision) -> Result<Listed, LogError> {
    let prefix = format::list_prefix(part.resource, part.namespace);
    let mut listed = Listed { revision, items: Vec::new(), more: false };
    for entry in db.walk(Family::Current, &part.start(&prefix))? {
        let (place, value) = entry?;
        if !place.starts_with(&prefix) {
            break;
        }
        if part.is_full(&listed.items) {
            listed.more = true;
            break;
        }
        let key = format::parse_current_key(&place).ok_or_else(|| damaged("current", &place))?;
        let made = format::parse_current(&value).ok_or_else(|| damaged("current", &place))?;
        if let Some(object) = db.object(made)? {
            listed.items.push((key, object));
        }
    }
    Ok(listed)
}

/// A list as it was at a revision that is kept: for each key, the newest event at or before it.
pub(crate) fn list_at(db: &Db, part: &Part<'_>, revision: Revision) -> Result<Listed, LogError> {
    let prefix = format::list_prefix(part.resource, part.namespace);
    let mut listed = Listed { revision, items: Vec::new(), more: false };
    let mut cursor = db.cursor(Family::History)?;
    cursor.seek(part.start(&prefix));
    while let Some(key) = found(&cursor, &prefix)? {
        cursor.seek_for_prev(format::history_key(&key, revision));
        if let Some((at, made)) = cursor.key().and_then(format::parse_history_key)
            && at == key
            && let Some(object) = db.object(made)?
        {
            if part.is_full(&listed.items) {
                listed.more = true;
                break;
            }
            listed.items.push((key.clone(), object));
        }
        let mut next = format::current_key(&key);
        next.push(1);
        cursor.seek(next);
    }
    cursor.status()?;
    Ok(listed)
}

/// The key under the cursor, if it belongs to the list.
fn found(cursor: &rocksdb::DBRawIterator<'_>, prefix: &[u8]) -> Result<Option<Key>, LogError> {
    match cursor.key().filter(|place| place.starts_with(prefix)) {
        None => Ok(None),
        Some(place) => match format::parse_history_key(place) {
            Some((key, _)) => Ok(Some(key)),
            None => Err(damaged("history", place)),
        },
    }
}

/// An object as it was at a revision that is kept.
pub(crate) fn get_at(db: &Db, key: &Key, revision: Revision) -> Result<Option<Object>, LogError> {
    let mut cursor = db.cursor(Family::History)?;
    cursor.seek_for_prev(format::history_key(key, revision));
    cursor.status()?;
    match cursor.key().and_then(format::parse_history_key) {
        Some((at, made)) if at == *key => db.object(made),
        _ => Ok(None),
    }
}

/// The revisions of an object's events that are kept.
pub(crate) fn history(db: &Db, key: &Key) -> Result<Vec<Revision>, LogError> {
    let prefix = format::history_prefix(key);
    let mut revisions = Vec::new();
    for entry in db.walk(Family::History, &prefix)? {
        let (place, _) = entry?;
        if !place.starts_with(&prefix) {
            break;
        }
        let (_, revision) = format::parse_history_key(&place).ok_or_else(|| damaged("history", &place))?;
        revisions.push(revision);
    }
    Ok(revisions)
}

/// Events of revisions `from..=to`, at least one, up to about so many bytes.
pub(crate) fn events(
    db: &Db,
    epoch: Epoch,
    (from, to): (Revision, Revision),
    max_bytes: usize,
) -> Result<Vec<Event>, LogError> {
    let mut events = Vec::new();
    let mut bytes = 0;
    for entry in db.walk(Family::Log, &format::log_key(from))? {
        let (place, record) = entry?;
        let revision = format::parse_u64(&place).ok_or_else(|| damaged("log", &place))?;
        bytes += record.len();
        if revision > to || (bytes > max_bytes && !events.is_empty()) {
            break;
        }
        events.push(format::decode_event(epoch, revision, &record)?);
    }
    Ok(events)
}
