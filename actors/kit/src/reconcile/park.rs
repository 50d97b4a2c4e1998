//! What is told of an object whose reconciliation panics.

use cox_objects::Key;
use serde::Deserialize;

use crate::View;
use crate::recorder::{About, Note};

/// The reason of the Event.
const REASON: &str = "ReconcilePanicked";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    api_version: String,
    kind: String,
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    uid: String,
    resource_version: String,
}

/// The note that work on an object panics, and that `who` therefore leaves it alone.
pub fn left_alone(about: About, who: &str, panic: &str) -> Note {
    Note::warning(about, REASON, format!("{who} leaves this object alone until it changes: {panic}"))
}

/// The note on the object at a key; none if the key is not that of an object that is there.
pub(super) fn note(view: View<'_>, key: &Key, controller: &str, panic: &str) -> Option<Note> {
    let head: Head = view.raw(key)?.parse_ref().ok()?;
    let about = About {
        api_version: head.api_version,
        kind: head.kind,
        namespace: key.namespace().to_owned(),
        name: key.name().to_owned(),
        uid: head.metadata.uid,
        resource_version: head.metadata.resource_version,
        field_path: String::new(),
    };
    Some(left_alone(about, controller, panic))
}
