//! Watches: a cursor into a resource's window. Nothing is queued for a watcher; one that is too slow falls out of the window and ends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cox_objects::{Change, Object, Revision};
use futures::future::OptionFuture;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use crate::mirror::Shared;
use crate::{Entry, Frames, Item, Selected, Start, WatchError, WatchQuery};

/// How many initial objects go out at a time.
const INITIAL: usize = 500;
/// How often an idle watch that takes bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);

/// What a watcher is told about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `ADDED`: it is new, or has come to match.
    Added,
    /// `MODIFIED`
    Modified,
    /// `DELETED`, with the last object at the revision of its deletion.
    Deleted,
    /// `DELETED` of an object that does not match any more: the old object with the new revision.
    Left,
}

impl EventKind {
    /// The `type` of a watch event.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted | EventKind::Left => "DELETED",
        }
    }

    /// How a selection sees a change; none if it does not.
    pub fn of(entry: &Entry, what: &Selected) -> Option<EventKind> {
        let before = || entry.old.as_ref().is_some_and(|old| what.matches(old));
        match entry.change {
            Change::Deleted => before().then_some(EventKind::Deleted),
            Change::Added | Change::Modified => match (before(), what.matches(&entry.new)) {
                (true, true) => Some(EventKind::Modified),
                (false, true) => Some(EventKind::Added),
                (true, false) => Some(EventKind::Left),
                (false, false) => None,
            },
        }
    }
}

/// A change as a watcher sees it.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What it is told.
    pub kind: EventKind,
    /// The change, shared by all watchers.
    pub entry: Arc<Entry>,
}

impl WatchEvent {
    /// The object that it is shown.
    pub fn object(&self) -> &Object {
        if self.kind == EventKind::Left { self.entry.left() } else { self.entry.new.object() }
    }
}

/// The changes of one turn as a selection sees them.
#[derive(Debug, Default)]
pub struct Segment {
    events: Vec<WatchEvent>,
    after: Revision,
    through: Revision,
    frames: Frames,
}

impl Segment {
    pub(crate) fn of<'a>(
        entries: impl Iterator<Item = &'a Arc<Entry>>,
        what: &Selected,
        after: Revision,
        through: Revision,
    ) -> Self {
        let events = entries
            .filter_map(|entry| EventKind::of(entry, what).map(|kind| WatchEvent { kind, entry: entry.clone() }))
            .collect();
        Segment { events, after, through, frames: Frames::default() }
    }

    /// The changes, in order.
    pub fn events(&self) -> &[WatchEvent] {
        &self.events
    }

    /// The revision after which it begins.
    pub fn after(&self) -> Revision {
        self.after
    }

    /// The revision through which it goes.
    pub fn through(&self) -> Revision {
        self.through
    }

    /// The encodings of the whole segment, by content type: watchers of a whole resource share segments.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }
}

/// What a watch delivers at a time.
#[derive(Clone, Debug)]
pub enum Batch {
    /// Objects that are there, as ADDED.
    Initial(Vec<Arc<Item>>),
    /// Changes.
    Changes(Arc<Segment>),
    /// A bookmark: everything up to this revision was delivered.
    Bookmark {
        /// The revision.
        revision: Revision,
        /// Whether it ends the initial events (`k8s.io/initial-events-end`).
        initial_end: bool,
    },
}

/// A watch in progress.
pub struct Watch {
    shared: Arc<Shared>,
    what: Selected,
    cursor: Revision,
    changed: watch::Receiver<Revision>,
    /// Whether nothing was looked for yet.
    fresh: bool,
    initial: std::vec::IntoIter<Arc<Item>>,
    joined: std::vec::IntoIter<Arc<Segment>>,
    mark: bool,
    /// When the next bookmark is due, if there are any.
    bookmark: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Starts a watch.
    pub(crate) fn start(shared: Arc<Shared>, query: WatchQuery) -> Result<Self, WatchError> {
        let WatchQuery { what, start, bookmarks } = query;
        let mut state = shared.state.write();
        let position = state.position().revision;
        let changed = state.follow(&what.resource);
        let (cursor, initial, mark) = match start {
            Start::At(revision) => {
                state.check(revision, &what.resource)?;
                (revision, Vec::new(), false)
            }
            Start::Now => (position, Vec::new(), false),
            Start::Initial { marked } => {
                let items = state.items(&what.resource, &what.namespace);
                (position, items.filter(|item| what.matches(item)).cloned().collect(), marked && bookmarks)
            }
        };
        drop(state);
        let bookmark = bookmarks.then(|| Box::pin(sleep(BOOKMARK_EVERY)));
        let (initial, joined) = (initial.into_iter(), Vec::new().into_iter());
        Ok(Watch { shared, what, cursor, changed, fresh: true, initial, joined, mark, bookmark })
    }

    /// Puts changes before the first ones, which end where this watch starts.
    pub(crate) fn join(&mut self, before: Segment) {
        if !before.events().is_empty() {
            self.joined = vec![Arc::new(before)].into_iter();
        }
    }

    /// Everything up to this revision was delivered.
    pub fn progress(&self) -> Revision {
        self.cursor
    }

    /// What comes next; waits for it. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the watcher was too slow, or the mirror had to start anew: the watch is over.
    pub async fn next(&mut self) -> Result<Batch, WatchError> {
        if let Some(segment) = self.joined.next() {
            return Ok(Batch::Changes(segment));
        }
        if self.initial.len() > 0 {
            return Ok(Batch::Initial(self.initial.by_ref().take(INITIAL).collect()));
        }
        if std::mem::take(&mut self.mark) {
            return Ok(Batch::Bookmark { revision: self.cursor, initial_end: true });
        }
        loop {
            if let Some(segment) = self.take_segment()? {
                return Ok(Batch::Changes(segment));
            }
            let bookmark = OptionFuture::from(self.bookmark.as_mut());
            tokio::select! {
                // The sender lives as long as the state, which this watch holds.
                _ = self.changed.changed() => self.fresh = true,
                Some(()) = bookmark => {
                    if let Some(bookmark) = &mut self.bookmark {
                        bookmark.as_mut().reset(Instant::now() + BOOKMARK_EVERY);
                    }
                    return Ok(match self.look()? {
                        Some(segment) => Batch::Changes(segment),
                        None => Batch::Bookmark { revision: self.cursor, initial_end: false },
                    });
                }
            }
        }
    }

    /// What has come since the last call, without waiting; none if there is nothing for this watch.
    ///
    /// # Errors
    /// As those of [`Watch::next`].
    pub fn take_segment(&mut self) -> Result<Option<Arc<Segment>>, WatchError> {
        // Most calls find that nothing of this resource has changed, and need no lock for that.
        let changed = self.fresh || self.changed.has_changed().unwrap_or(true);
        if changed { self.look() } else { Ok(None) }
    }

    fn look(&mut self) -> Result<Option<Arc<Segment>>, WatchError> {
        self.fresh = false;
        self.changed.borrow_and_update();
        let state = self.shared.state.read();
        let segment = state.segment(self.cursor, &self.what)?;
        // Nothing of this resource is missing up to here, whatever else has changed.
        self.cursor = self.cursor.max(segment.through()).max(state.position().revision);
        Ok((!segment.events().is_empty()).then_some(segment))
    }
}

#[cfg(test)]
mod tests;
