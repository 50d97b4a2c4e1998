//! Guards: what must hold of the whole state when a transaction is decided, and who decides it.

use std::time::Duration;

use cox_objects::{Event, Key, Object, Resource, Revision, Status};

/// A condition on state that is not one object's: checked on the writer thread against committed state plus the batch before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The namespace exists and is not being deleted.
    NamespaceLive(String),
    /// The writer still leads.
    Lease(LeaseHeld),
    /// Nobody but `owner` has `value` of a pool (`clusterip` 10.96.0.7, `nodeport` TCP/31515); it becomes `owner`'s with this
    /// transaction, which writes the object that says so.
    Free {
        /// The pool.
        pool: String,
        /// The value in it.
        value: String,
        /// The object that takes it.
        owner: Key,
    },
    /// An object exists, with this uid if one is given (what a new object refers to).
    Exists {
        /// Which.
        key: Key,
        /// Its `metadata.uid`.
        uid: Option<String>,
    },
}

/// That a Lease is held as its holder believes. It names no clock: a new holder writes `leaseTransitions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseHeld {
    /// The Lease.
    pub key: Key,
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its `spec.holderIdentity`.
    pub holder: String,
    /// Its `spec.leaseTransitions`.
    pub transitions: i64,
}

/// A guard that does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Whether deciding the request again may help (another address would do, a race was lost), so that the apiserver should try.
    pub retry: bool,
    /// What the caller is told if not.
    pub status: Status,
}

/// State as the writer decides on it: what is committed, and the batch so far.
pub trait Staged {
    /// The newest revision of it.
    fn head(&self) -> Revision;

    /// One object.
    ///
    /// A damaged record reads as absent here; the commit that meets it fails by itself.
    fn get(&self, key: &Key) -> Option<Object>;
}

/// Decides guards, from indexes that follow the log. It lives on the writer thread and must not block.
pub trait Arbiter: Send + 'static {
    /// Whether a guard holds.
    ///
    /// # Errors
    /// If it does not.
    fn check(&mut self, guard: &Guard, staged: &dyn Staged) -> Result<(), Refusal>;

    /// Takes in a change that stands in the batch: the next guard is checked against it. It is not durable yet.
    fn apply(&mut self, event: &Event, old: Option<&Object>);

    /// Everything that was applied is durable, up to this revision: what is shared with readers may be published.
    fn durable(&mut self, head: Revision);

    /// A batch of so many transactions was written in that time, synced; nothing, unless somebody measures it.
    fn written(&mut self, transactions: usize, took: Duration) {
        let _ = (transactions, took);
    }

    /// Whether objects of a resource are handed to [`Arbiter::reset`]; they are read from the disk for it.
    fn reads(&self, resource: &Resource) -> bool {
        let _ = resource;
        true
    }

    /// Forgets everything and starts from these objects, all that there are at a revision of what it reads: at the opening of the log, and after a batch
    /// that could not be written.
    fn reset(&mut self, objects: &mut dyn Iterator<Item = (Key, Object)>, head: Revision);
}
