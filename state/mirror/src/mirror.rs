//! The mirror's handle: what readers, watchers and components call.

use std::sync::Arc;
use std::time::Duration;

use cox_objects::{Key, Object, Position, Resource, Revision, Source};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::age::Age;
use crate::position::Waiters;
use crate::{Changes, Item, Lagging, Limits, ListQuery, Listing, State, Watch, WatchError, WatchQuery};

/// What all clones of a mirror and its watches share.
pub(crate) struct Shared {
    pub(crate) state: RwLock<State>,
    waiters: Waiters,
    lag: watch::Sender<Option<Position>>,
    age: Mutex<Age>,
}

/// An in-memory projection of the log; clones share it.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
}

impl Mirror {
    /// An empty mirror, to be filled by [`Mirror::follow`] or [`Mirror::update`].
    pub fn new(limits: Limits) -> Self {
        let shared = Shared {
            state: RwLock::new(State::new(limits)),
            waiters: Waiters::default(),
            lag: watch::Sender::new(None),
            age: Mutex::new(Age::new(Instant::now())),
        };
        Mirror { shared: Arc::new(shared) }
    }

    /// Changes the state and lets everyone who waits or watches know, once.
    pub fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.shared.state.write();
        let result = change(&mut state);
        let position = state.position();
        state.wake();
        drop(state);
        self.shared.waiters.reached(position);
        result
    }

    /// Looks at the state as it is between two transactions.
    pub fn with<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.shared.state.read())
    }

    /// The position up to which the mirror is whole.
    pub fn position(&self) -> Position {
        self.with(State::position)
    }

    /// The head that the apiserver announced last, as it moves: how far the mirror is behind. None until it is heard of.
    pub fn announced(&self) -> watch::Receiver<Option<Position>> {
        self.shared.lag.subscribe()
    }

    /// Notes the announced head.
    pub fn announce(&self, head: Position) {
        let position = self.position();
        self.shared.age.lock().announce(head, position, Instant::now());
        self.shared.lag.send_replace(Some(head));
    }

    /// How old what it shows is at most: the time since the newest announced head that it has. It grows where the apiserver is not heard, too.
    pub fn age(&self) -> Duration {
        let position = self.position();
        let age = *self.shared.age.lock();
        age.at_most(position, Instant::now())
    }

    /// Waits until the mirror has a revision.
    ///
    /// # Errors
    /// If it has not by the deadline.
    pub async fn wait_for(&self, revision: Revision, deadline: Instant) -> Result<(), Lagging> {
        self.shared.waiters.wait_for(revision, deadline).await
    }

    /// The same with a timeout; whether it has.
    pub async fn waits_for(&self, revision: Revision, timeout: Duration) -> bool {
        self.wait_for(revision, Instant::now() + timeout).await.is_ok()
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<Object> {
        self.with(|state| state.item(key).map(|item| item.object().clone()))
    }

    /// An object with what was read out of it.
    pub fn item(&self, key: &Key) -> Option<Arc<Item>> {
        self.with(|state| state.item(key).cloned())
    }

    /// Answers a list: bytes are shared, nothing is copied.
    ///
    /// # Errors
    /// If it asks for a revision that is not there yet, or is not remembered.
    pub fn list(&self, query: &ListQuery) -> Result<Listing, WatchError> {
        self.with(|state| state.list(query))
    }

    /// Starts a watch.
    ///
    /// # Errors
    /// If it starts after a revision that is not there yet, or from which not everything is remembered.
    pub fn watch(&self, query: WatchQuery) -> Result<Watch, WatchError> {
        Watch::start(self.shared.clone(), query)
    }

    /// All objects of these resources as changes from nothing, then every change in order.
    pub fn changes(&self, resources: &[Resource]) -> Changes {
        Changes::start(self.shared.clone(), resources)
    }

    /// Every change of these resources after a revision, in order; if they are not all remembered, it ends at once.
    pub fn changes_after(&self, resources: &[Resource], revision: Revision) -> Changes {
        Changes::after(self.shared.clone(), resources, revision)
    }
}

impl Source for Mirror {
    fn revision(&self) -> Revision {
        self.position().revision
    }

    fn get(&self, key: &Key) -> Option<Object> {
        Mirror::get(self, key)
    }

    fn list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)> {
        self.with(|state| Source::list(state, resource, namespace))
    }

    fn owned(&self, resource: &Resource, owner_uid: &str) -> Vec<(Key, Object)> {
        self.with(|state| Source::owned(state, resource, owner_uid))
    }
}
