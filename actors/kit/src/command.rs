//! What a core may ask of the cluster. The shell turns commands into api requests that name their cause.

use std::time::Duration;

use cox_objects::{Key, Revision};
use serde_json::Value;

use crate::recorder::Note;

/// How the dependents of a deleted object are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are collected after it.
    Background,
    /// They go first.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

impl Propagation {
    /// As DeleteOptions writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        }
    }
}

/// One thing to do. Commands of a decision run in order; the first that fails ends it, and the key is tried again later.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Create an object (`apiVersion`, `kind` and `metadata` are in it; a cluster-scoped one has no namespace there).
    /// Consecutive creates travel together and are all attempted.
    Create(Value),
    /// Create a subresource of an object (`binding`).
    CreateAt {
        /// The object.
        key: Key,
        /// `binding`, `eviction`, …
        subresource: &'static str,
        /// What to post.
        body: Value,
    },
    /// Replace an object; its `metadata.resourceVersion` makes the replacement conditional.
    Update {
        /// The object.
        key: Key,
        /// `status`, `scale`, or empty.
        subresource: &'static str,
        /// The whole object.
        object: Value,
    },
    /// Apply a JSON merge patch. `metadata.uid` and `metadata.resourceVersion` in it make it conditional.
    Patch {
        /// The object.
        key: Key,
        /// `status`, or empty.
        subresource: &'static str,
        /// The patch.
        patch: Value,
    },
    /// Delete an object. Consecutive deletes travel together and are all attempted.
    Delete {
        /// The object.
        key: Key,
        /// Only if it has this uid.
        uid: Option<String>,
        /// Only if it is at this revision.
        revision: Option<Revision>,
        /// Grace period in seconds; the object's own if none.
        grace: Option<i64>,
        /// What happens to dependents; the kind's default if none.
        propagation: Option<Propagation>,
    },
    /// Record a Kubernetes Event about an object. Never fails a decision.
    Record(Note),
}

impl Command {
    /// Deletes an object, if it still has this uid.
    pub fn delete(key: Key, uid: &str) -> Self {
        Command::Delete { key, uid: Some(uid.to_owned()), revision: None, grace: None, propagation: None }
    }

    /// Merges a patch into an object's status.
    pub fn patch_status(key: Key, status: Value) -> Self {
        Command::Patch { key, subresource: "status", patch: serde_json::json!({ "status": status }) }
    }
}

/// What a reconciliation decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What to do, in order.
    pub commands: Vec<Command>,
    /// Look at the key again after this time, whether or not something changes, with the name of the timer.
    pub again: Option<(Duration, &'static str)>,
}

impl Decision {
    /// Nothing to do.
    pub fn none() -> Self {
        Decision::default()
    }

    /// These commands.
    pub fn of(commands: Vec<Command>) -> Self {
        Decision { commands, again: None }
    }

    /// The same, looked at again after a time.
    #[must_use]
    pub fn again_in(mut self, after: Duration, timer: &'static str) -> Self {
        let sooner = self.again.is_none_or(|(before, _)| after < before);
        if sooner {
            self.again = Some((after, timer));
        }
        self
    }
}
