//! The order of merged lists: what the patch names comes in the patch's order, the rest stays where the server had it.

use std::collections::HashMap;

use serde_json::Value;

use super::{PATCH, StrategicError, print::printed};

/// What an item of a list is told apart by: its merge key, or itself if there is none. None for a map without the key.
pub(super) fn identity(item: &Value, key: &str) -> Option<String> {
    match key {
        "" => Some(item.to_string()),
        key => item.get(key).map(ToString::to_string),
    }
}

/// The places of a list's items.
pub(super) struct Index(HashMap<String, usize>);

impl Index {
    /// Of items with the same identity the first one counts.
    pub(super) fn new(list: &[Value], key: &str) -> Self {
        let mut places = HashMap::with_capacity(list.len());
        for (place, item) in list.iter().enumerate() {
            if let Some(identity) = identity(item, key) {
                places.entry(identity).or_insert(place);
            }
        }
        Index(places)
    }

    pub(super) fn of(&self, item: &Value, key: &str) -> Option<usize> {
        self.0.get(&identity(item, key)?).copied()
    }

    /// Notes an item that was put at the end.
    pub(super) fn push(&mut self, item: &Value, key: &str, place: usize) {
        if let Some(identity) = identity(item, key) {
            self.0.entry(identity).or_insert(place);
        }
    }
}

/// Puts the items of a merged list in order: those in `wanted` by their order there, the others by `server`'s, and the two
/// interleaved as the server had them; where it does not tell, the patch's come first.
pub(super) fn arrange(merged: Vec<Value>, wanted: &[Value], server: &[Value], key: &str) -> Vec<Value> {
    let (by_patch, by_server) = (Index::new(wanted, key), Index::new(server, key));
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = merged
        .into_iter()
        .map(|item| (by_patch.of(&item, key), by_server.of(&item, key), item))
        .partition(|(wanted, _, _)| wanted.is_some());
    ours.sort_by_key(|(wanted, _, _)| *wanted);
    theirs.sort_by_key(|(_, server, _)| *server);
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    loop {
        let theirs_first = match (ours.peek(), theirs.peek()) {
            (None, None) => return out,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some((_, Some(our), _)), Some((_, Some(their), _))) => their < our,
            _ => false,
        };
        let next = if theirs_first { theirs.next() } else { ours.next() };
        out.extend(next.map(|(_, _, item)| item));
    }
}

/// Whether the items of a patch come in the order that `$setElementOrder` gives, all of them.
pub(super) fn matches(patch: &[Value], wanted: &[Value], key: &'static str) -> Result<(), StrategicError> {
    let mut rest = wanted.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        let same = |other: &Value| match key {
            "" => other == item,
            key => other.get(key) == item.get(key),
        };
        if key.is_empty() || item.get(key).is_some() {
            if !rest.any(same) {
                let list = |items: &[Value]| printed(&Value::Array(items.to_vec()));
                return Err(StrategicError::OrderMismatch(list(patch), list(wanted)));
            }
        } else {
            return Err(StrategicError::NoMergeKey(printed(item), key));
        }
    }
    Ok(())
}
