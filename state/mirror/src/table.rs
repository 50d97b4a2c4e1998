//! The objects of one resource, with their indexes and the window of their recent changes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use cox_objects::Revision;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Entry, Item, ListQuery, Listing, Segment, Selected};

/// An item in the order of the bytes of its path.
#[derive(Clone, Debug)]
struct ByPath(Arc<Item>);

impl ByPath {
    fn path(&self) -> &str {
        self.0.key().path()
    }
}
impl PartialEq for ByPath {
    fn eq(&self, other: &Self) -> bool {
        self.path() == other.path()
    }
}
impl Eq for ByPath {}
impl PartialOrd for ByPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ByPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.path().cmp(other.path())
    }
}
impl Borrow<str> for ByPath {
    fn borrow(&self) -> &str {
        self.path()
    }
}

/// One resource of the mirror.
#[derive(Debug)]
pub(crate) struct Table {
    items: BTreeSet<ByPath>,
    owned: HashMap<String, BTreeSet<ByPath>>,
    window: VecDeque<Arc<Entry>>,
    /// All changes after this revision are in the window.
    floor: Revision,
    changed: watch::Sender<Revision>,
    /// The segments up to the newest change that unselective watches asked for, by namespace and where they begin: who comes from the same
    /// place in the same turn gets the same one.
    shared: Mutex<HashMap<(String, Revision), Arc<Segment>>>,
}

impl Table {
    /// An empty table of which nothing before a revision is known.
    pub(crate) fn new(floor: Revision) -> Self {
        Table {
            items: BTreeSet::new(),
            owned: HashMap::new(),
            window: VecDeque::new(),
            floor,
            changed: watch::Sender::new(floor),
            shared: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Item>> {
        self.items.get(path).map(|item| &item.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    /// The revision of the newest change in it, as it moves.
    pub(crate) fn changed(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    /// Puts an object in its place and returns the one that was there.
    pub(crate) fn put(&mut self, item: Arc<Item>) -> Option<Arc<Item>> {
        let old = self.take(item.key().path());
        for owner in item.owners() {
            self.owned.entry(owner.clone()).or_default().insert(ByPath(item.clone()));
        }
        self.items.insert(ByPath(item));
        old
    }

    /// Takes an object out.
    pub(crate) fn take(&mut self, path: &str) -> Option<Arc<Item>> {
        let old = self.items.take(path)?.0;
        for owner in old.owners() {
            if let Some(dependents) = self.owned.get_mut(owner) {
                dependents.remove(path);
                if dependents.is_empty() {
                    self.owned.remove(owner);
                }
            }
        }
        Some(old)
    }

    /// Remembers a change, which is in place already.
    pub(crate) fn remember(&mut self, entry: Arc<Entry>) {
        self.shared.get_mut().clear();
        self.window.push_back(entry);
    }

    /// Forgets the oldest change and returns it.
    pub(crate) fn forget_oldest(&mut self) -> Option<Arc<Entry>> {
        let entry = self.window.pop_front()?;
        self.floor = self.floor.max(entry.revision());
        Some(entry)
    }

    /// The oldest remembered change.
    pub(crate) fn oldest(&self) -> Option<&Arc<Entry>> {
        self.window.front()
    }

    /// How many changes are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.window.len()
    }

    /// Wakes those who follow this resource.
    pub(crate) fn wake(&self) {
        if let Some(newest) = self.window.back() {
            self.changed.send_replace(newest.revision());
        }
    }

    /// Empties it, to be filled from a snapshot at this revision.
    pub(crate) fn clear(&mut self, floor: Revision) {
        self.items.clear();
        self.owned.clear();
        self.window.clear();
        self.floor = floor;
        self.shared.get_mut().clear();
    }

    /// Wakes those who followed it before it was cleared, so that they see that they have to start anew.
    pub(crate) fn announce(&self, revision: Revision) {
        self.changed.send_replace(revision);
    }

    /// The changes after a revision.
    pub(crate) fn since(&self, after: Revision) -> impl Iterator<Item = &Arc<Entry>> {
        let start = self.window.partition_point(|entry| entry.revision() <= after);
        self.window.range(start..)
    }

    /// The changes after a revision that a watch sees; shared with other watches of the same turn where nothing but the resource decides.
    pub(crate) fn segment(&self, after: Revision, what: &Selected) -> Arc<Segment> {
        let through = self.window.back().map_or(after, |entry| entry.revision().max(after));
        let make = || Arc::new(Segment::of(self.since(after), what, after, through));
        if !what.is_plain() {
            return make();
        }
        self.shared.lock().entry((what.namespace.clone(), after)).or_insert_with(make).clone()
    }

    /// The items of a namespace (of all, if empty) after a path, in order.
    fn range<'a>(&'a self, namespace: &str, after: Option<&str>) -> impl Iterator<Item = &'a Arc<Item>> + use<'a> {
        let (first, end) = match namespace {
            "" => (String::new(), None),
            // '0' is the byte after '/'.
            namespace => (format!("{namespace}/"), Some(format!("{namespace}0"))),
        };
        let start = match after {
            Some(after) if after >= first.as_str() => Bound::Excluded(after),
            _ => Bound::Included(first.as_str()),
        };
        // A path past the namespace's end would make an inverted range, which panics.
        let end = match (&end, start) {
            (Some(end), Bound::Excluded(after)) if after >= end.as_str() => Bound::Included(after),
            (Some(end), _) => Bound::Excluded(end.as_str()),
            (None, _) => Bound::Unbounded,
        };
        let empty = matches!((start, end), (Bound::Excluded(a), Bound::Included(b)) if a == b);
        let items = (!empty).then(|| self.items.range::<str, _>((start, end)));
        items.into_iter().flatten().map(|item| &item.0)
    }

    /// All items of a namespace (of all, if empty), in order.
    pub(crate) fn all(&self, namespace: &str) -> impl Iterator<Item = &Arc<Item>> {
        self.range(namespace, None)
    }

    /// The items with an owner reference to a uid, in order.
    pub(crate) fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Arc<Item>> {
        self.owned.get(uid).into_iter().flatten().map(|item| &item.0)
    }

    /// Answers a list as it is at `revision`, which is not older than the floor.
    pub(crate) fn list(&self, query: &ListQuery, revision: Revision) -> Listing {
        let what = &query.what;
        if let Some(name) = &what.name {
            return self.list_one(query, name, revision);
        }
        let after = query.after.as_deref();
        let undone = self.undone(what, after, revision);
        if undone.is_empty() {
            return page(self.range(&what.namespace, after), query, revision);
        }
        page(merged(self.range(&what.namespace, after), undone), query, revision)
    }

    fn list_one(&self, query: &ListQuery, name: &str, revision: Revision) -> Listing {
        let what = &query.what;
        if what.namespace.is_empty() {
            // The name in every namespace: rare enough to look through them.
            let undone = self.undone(what, query.after.as_deref(), revision);
            return page(merged(self.range("", query.after.as_deref()), undone), query, revision);
        }
        let path = format!("{}/{name}", what.namespace);
        let undone = self.undone(what, None, revision);
        let past_it = query.after.as_ref().is_some_and(|after| *after >= path);
        let found = match undone.get(path.as_str()) {
            Some(then) => then.as_ref(),
            None => self.get(&path),
        };
        page(found.filter(|_| !past_it).into_iter(), query, revision)
    }

    /// The objects that were otherwise at a revision, as they were then, by path.
    fn undone(&self, what: &Selected, after: Option<&str>, revision: Revision) -> BTreeMap<&str, Option<Arc<Item>>> {
        let mut undone = BTreeMap::new();
        for entry in self.since(revision) {
            let path = entry.key().path();
            if what.covers(&entry.new) && after.is_none_or(|after| path > after) {
                undone.entry(path).or_insert_with(|| entry.old.clone());
            }
        }
        undone
    }
}

/// The items as they are, with those in `undone` as they were.
fn merged<'a>(
    now: impl Iterator<Item = &'a Arc<Item>> + 'a,
    undone: BTreeMap<&'a str, Option<Arc<Item>>>,
) -> impl Iterator<Item = Arc<Item>> + 'a {
    let mut now = now.peekable();
    let mut then = undone.into_iter().peekable();
    std::iter::from_fn(move || {
        loop {
            let order = match (now.peek(), then.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(item), Some((path, _))) => item.key().path().cmp(path),
            };
            if order == Ordering::Less {
                return now.next().cloned();
            }
            if order == Ordering::Equal {
                now.next();
            }
            if let Some((_, Some(item))) = then.next() {
                return Some(item);
            }
        }
    })
}

/// Cuts a page of a list out of all items that follow.
fn page<I: Borrow<Arc<Item>>>(items: impl Iterator<Item = I>, query: &ListQuery, revision: Revision) -> Listing {
    let selective = query.what.selector.is_some() || query.what.name.is_some();
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let mut listing = Listing { revision, items: Vec::new(), more: false, remaining: None };
    let mut beyond = 0u64;
    for item in items {
        if selective && !query.what.matches(item.borrow()) {
            continue;
        }
        if listing.items.len() < limit {
            listing.items.push(item.borrow().clone());
            continue;
        }
        beyond += 1;
        if selective {
            break;
        }
    }
    listing.more = beyond > 0;
    listing.remaining = (listing.more && !selective).then_some(beyond);
    listing
}
