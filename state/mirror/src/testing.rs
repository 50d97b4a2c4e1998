//! Short ways to make events and objects for this crate's tests.

use cox_objects::{Cause, Change, Draft, Epoch, Event, Key, Object, Position, Resource, Revision};
use serde_json::{Value, json};

use crate::{Limits, Mirror, State};

pub(crate) const EPOCH: Epoch = Epoch(7);

pub(crate) fn at(revision: Revision) -> Position {
    Position { epoch: EPOCH, revision }
}

pub(crate) fn key(path: &str) -> Key {
    Key::at(Resource::CONFIGMAPS, path)
}

/// An object of any kind, with a label `l`.
pub(crate) fn labelled(label: &str, revision: Revision) -> Object {
    let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"labels": {"l": label}}});
    Draft::encode(&object).unwrap().seal(revision)
}

pub(crate) fn object(value: &Value, revision: Revision) -> Object {
    Draft::encode(value).unwrap().seal(revision)
}

pub(crate) fn event(
    revision: Revision,
    transaction: (Revision, Revision),
    key: Key,
    change: Change,
    object: Object,
) -> Event {
    Event { position: at(revision), transaction, time: revision, key, change, object, cause: Cause::default() }
}

/// An event that is a transaction of its own, of an object with a label.
pub(crate) fn one(revision: Revision, path: &str, change: Change, label: &str) -> Event {
    event(revision, (revision, revision), key(path), change, labelled(label, revision))
}

/// A mirror that starts empty at revision 0.
pub(crate) fn mirror(limits: Limits) -> Mirror {
    let mirror = Mirror::new(limits);
    mirror.update(|state| state.reset(at(0), []));
    mirror
}

pub(crate) fn offer(state: &mut State, events: impl IntoIterator<Item = Event>) {
    for event in events {
        state.offer(event).unwrap();
    }
}
