//! Notes that differ in their message only: a ReplicaSet tells of each pod that it makes. After the first few they are one Event.
//!
//! This is what Kubernetes' clients do (`EventAggregator` of client-go, with its numbers), and what kubectl shows as `(combined from similar events)`.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::Id;

/// What the message of a combined Event begins with.
pub(super) const COMBINED: &str = "(combined from similar events): ";
/// With so many different messages the notes become one.
const MANY: usize = 10;
/// After so long without one of them they are told one by one again.
const APART: SignedDuration = SignedDuration::from_mins(10);
/// With so many kinds of notes it is looked for some to forget.
const MAX_KINDS: usize = 4096;

/// The messages of a kind of note.
struct Messages {
    /// The newest last; fewer than [`MANY`].
    known: Vec<Id>,
    last: Timestamp,
}

/// What is remembered of messages, by what the notes have in common.
#[derive(Default)]
pub(super) struct Similar {
    kinds: HashMap<Id, Messages>,
}

impl Similar {
    /// Takes a note of a kind; whether it is to be told together with others of its kind.
    pub(super) fn combines(&mut self, kind: Id, message: Id, now: Timestamp) -> bool {
        let messages = self.kinds.entry(kind).or_insert_with(|| Messages { known: Vec::new(), last: now });
        if now.duration_since(messages.last) > APART {
            messages.known.clear();
        }
        messages.last = now;
        if messages.known.contains(&message) {
            return false;
        }
        messages.known.push(message);
        let combines = messages.known.len() >= MANY;
        if combines {
            messages.known.remove(0);
        }
        combines
    }

    /// Makes room, if there are very many kinds: the old go first, then all; their notes are told one by one again.
    pub(super) fn forget(&mut self, now: Timestamp) {
        if self.kinds.len() >= MAX_KINDS {
            self.kinds.retain(|_, messages| now.duration_since(messages.last) <= APART);
        }
        if self.kinds.len() >= MAX_KINDS {
            self.kinds.clear();
        }
    }
}
