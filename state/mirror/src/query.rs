//! What is asked of a mirror: lists and watches, and why they are refused.

use std::sync::Arc;

use cox_objects::selector::Selector;
use cox_objects::{Resource, Revision};

use crate::Item;

/// Which objects of a resource are meant.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The resource.
    pub resource: Resource,
    /// The namespace; all, or cluster-scoped objects, if empty.
    pub namespace: String,
    /// One name only (`metadata.name=` of a field selector).
    pub name: Option<String>,
    /// Labels and fields; none selects everything.
    pub selector: Option<Arc<Selector>>,
}

impl Selected {
    /// All objects of a resource.
    pub fn all(resource: Resource) -> Self {
        Selected { resource, namespace: String::new(), name: None, selector: None }
    }

    /// The objects of a resource in a namespace.
    pub fn within(resource: Resource, namespace: &str) -> Self {
        Selected { namespace: namespace.to_owned(), ..Self::all(resource) }
    }

    /// The same, but only what a selector selects.
    #[must_use]
    pub fn by(mut self, selector: Selector) -> Self {
        // A name decides the place: that is cheaper than looking at fields.
        self.name = selector.field.exact("metadata.name").map(str::to_owned);
        self.selector = (!selector.is_everything()).then(|| Arc::new(selector));
        self
    }

    /// Whether an object of the resource is meant.
    pub fn matches(&self, item: &Item) -> bool {
        self.covers(item) && self.selector.as_ref().is_none_or(|selector| item.is_selected(selector))
    }

    /// Whether its place is meant, its labels and fields aside.
    pub(crate) fn covers(&self, item: &Item) -> bool {
        (self.namespace.is_empty() || item.key().namespace() == self.namespace)
            && self.name.as_ref().is_none_or(|name| item.key().name() == name)
    }

    /// Whether nothing but the place decides.
    pub(crate) fn is_plain(&self) -> bool {
        self.selector.is_none() && self.name.is_none()
    }
}

/// A list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Of which objects.
    pub what: Selected,
    /// At most so many; 0 is no limit.
    pub limit: usize,
    /// Only those after this path (`namespace/name`).
    pub after: Option<String>,
    /// As it was at this revision; none is as it is.
    pub at: Option<Revision>,
}

/// The answer to a list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The revision at which the list is so.
    pub revision: Revision,
    /// The objects, in key order.
    pub items: Vec<Arc<Item>>,
    /// Whether there are more after the last.
    pub more: bool,
    /// How many more; not counted where a selector decides.
    pub remaining: Option<u64>,
}

/// A watch.
#[derive(Clone, Debug)]
pub struct WatchQuery {
    /// Of which objects.
    pub what: Selected,
    /// From where.
    pub start: Start,
    /// Whether bookmarks are sent now and then, and after the initial events.
    pub bookmarks: bool,
}

/// From where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After this revision.
    At(Revision),
    /// With what comes from now on.
    Now,
    /// With what is there, as ADDED, then what comes; a client that asked for it (`sendInitialEvents`) and takes bookmarks is told
    /// where the first part ends.
    Initial {
        /// Whether a bookmark with `k8s.io/initial-events-end` ends it.
        marked: bool,
    },
}

/// Why a list or a watch is refused, or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Older than what the mirror remembers: 410, or it is joined from the log.
    #[error("too old resource version: {revision} ({oldest})")]
    Expired {
        /// The revision asked for, or that the watcher had got to.
        revision: Revision,
        /// The oldest one from which changes are remembered.
        oldest: Revision,
    },
    /// Newer than what the mirror has: 504.
    #[error("Too large resource version: {revision}, current: {current}")]
    Future {
        /// The revision asked for.
        revision: Revision,
        /// The newest one there is.
        current: Revision,
    },
}
