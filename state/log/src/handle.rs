//! The log's handle: what the apiserver calls.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use cox_objects::{Epoch, Event, Key, Object, RequestId, Resource, Revision};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::db::{Db, There};
use crate::floors::{Floors, Swept};
use crate::lock::{self, Held};
use crate::read::{self, Part};
use crate::recent::Recent;
use crate::writer::{Job, Writer};
use crate::{
    Arbiter, CommitError, Committed, Listed, LogError, OpenError, Options, Outcome, Past, Snapshot, Transaction,
    format, open,
};

/// How far past the newest revision that is known a new epoch begins: past every one that can have been given out.
pub const LEAP: Revision = 1_000_000_000;

/// An open log; clones share it. The last one closes it.
#[derive(Clone)]
pub struct Log {
    pub(crate) store: Arc<Store>,
    /// Stops the writer when the last handle is gone, and waits for it.
    writer: Arc<Stopper>,
}

/// What readers and the writer share.
pub(crate) struct Store {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) epoch: Epoch,
    pub(crate) floors: RwLock<Arc<Floors>>,
    pub(crate) swept: Mutex<Swept>,
    pub(crate) base: Revision,
    kept: Revision,
    /// None while it is being opened again, and when it is closed.
    pub(crate) db: RwLock<Option<Arc<Db>>>,
    pub(crate) head: watch::Sender<Revision>,
    writable: watch::Sender<Result<(), String>>,
    remembered: Mutex<Remembered>,
    pub(crate) recent: Recent,
    permits: Arc<Semaphore>,
    /// Held as long as anyone can read or write.
    _lock: Held,
}

impl Store {
    /// The database, for as long as the reader needs it.
    pub(crate) fn db(&self) -> Result<Arc<Db>, LogError> {
        self.db.read().clone().ok_or(LogError::Closed)
    }

    /// Says whether transactions are taken, to those who watch it, if it is news.
    pub(crate) fn say_writable(&self, now: Result<(), String>) {
        self.writable.send_if_modified(|said| {
            let news = *said != now;
            *said = now;
            news
        });
    }

    /// Keeps an outcome in memory: of a refusal, or of a request that had nothing to change.
    pub(crate) fn remember(&self, id: RequestId, outcome: Outcome) {
        self.remembered.lock().keep(id, outcome, self.options.max_refusals);
    }

    /// The outcome of a request that was answered.
    pub(crate) fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, LogError> {
        if let Some(outcome) = self.remembered.lock().outcomes.get(&id) {
            return Ok(Some(outcome.clone()));
        }
        self.db()?.outcome(id)
    }
}

/// Outcomes that wrote nothing: a bounded number, the oldest going first.
#[derive(Default)]
struct Remembered {
    outcomes: HashMap<RequestId, Outcome>,
    order: VecDeque<RequestId>,
}

impl Remembered {
    fn keep(&mut self, id: RequestId, outcome: Outcome, limit: usize) {
        if self.outcomes.insert(id, outcome).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > limit {
            if let Some(oldest) = self.order.pop_front() {
                self.outcomes.remove(&oldest);
            }
        }
    }
}

struct Stopper {
    store: Arc<Store>,
    jobs: mpsc::Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Stopper {
    fn stop(&self) {
        // A writer that is gone needs no telling.
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer had panicked");
        }
        self.store.say_writable(Err("the log is closed".to_owned()));
        *self.store.db.write() = None;
    }
}

/// Says that nothing is written any more when the writer's thread ends, also if it panicked.
struct SaysItEnded(Arc<Store>);

impl Drop for SaysItEnded {
    fn drop(&mut self) {
        self.0.say_writable(Err("the log's writer has ended".to_owned()));
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Log {
    /// Opens the log in a data directory (`DIR/lock`, `DIR/log`), making one if there is none.
    ///
    /// # Errors
    /// Each is one line that says what to do.
    pub fn open(dir: &Path, options: Options, arbiter: Box<dyn Arbiter>) -> Result<Log, OpenError> {
        open::make(dir)?;
        let held = lock::take(dir)?;
        let (db, facts) = open::open(dir, &options)?;
        let damaged = |error: LogError| OpenError::Damaged { dir: dir.to_owned(), detail: error.to_string() };
        let floors = Floors::read(&db, facts.dense_from).map_err(damaged)?;
        let swept = Swept::read(&db, facts.base).map_err(damaged)?;
        let store = Arc::new(Store {
            dir: dir.to_owned(),
            epoch: facts.epoch,
            floors: RwLock::new(Arc::new(floors)),
            swept: Mutex::new(swept),
            base: facts.base,
            kept: facts.kept,
            db: RwLock::new(Some(Arc::new(db))),
            head: watch::Sender::new(facts.head),
            writable: watch::Sender::new(Ok(())),
            remembered: Mutex::default(),
            recent: Recent::new(options.recent_events, options.recent_objects),
            permits: Arc::new(Semaphore::new(options.queue)),
            options,
            _lock: held,
        });
        let (jobs, waiting) = mpsc::channel();
        let mut writer = Writer::new(store.clone(), arbiter);
        writer.load().map_err(damaged)?;
        let thread = std::thread::Builder::new().name("cox-log".to_owned()).spawn({
            let store = store.clone();
            move || {
                let _said = SaysItEnded(store);
                writer.run(waiting);
            }
        });
        let thread = thread.map_err(|source| OpenError::Io { dir: dir.to_owned(), source })?;
        let stopper = Stopper { store: store.clone(), jobs, thread: Mutex::new(Some(thread)) };
        Ok(Log { store, writer: Arc::new(stopper) })
    }

    /// Begins a new life of the log in a data directory that nobody has open: a new epoch, whose first revision is past `base` and
    /// past all that there are. For a log that lost events which others have seen: positions between what is left and `base` are gone.
    ///
    /// # Errors
    /// As those of [`Log::open`].
    pub fn begin_epoch(dir: &Path, options: &Options, base: Revision) -> Result<(), OpenError> {
        let _held = lock::take(dir)?;
        open::begin_epoch(dir, options, base)
    }

    /// Makes a copy of the database as it is now, whole transactions only, while others write. `to` must not be there, and its parent must;
    /// on the same disk it takes hardly any space. Blocks until it is made.
    ///
    /// # Errors
    /// If the log is closed, or the disk does not take it.
    pub fn checkpoint(&self, to: &Path) -> Result<(), LogError> {
        self.store.db()?.checkpoint(to)
    }

    /// The same of the log in a data directory that nobody has open.
    ///
    /// # Errors
    /// As those of [`Log::open`].
    pub fn checkpoint_of(dir: &Path, options: &Options, to: &Path) -> Result<(), OpenError> {
        let _held = lock::take(dir)?;
        let (db, _) = open::open(dir, options)?;
        db.checkpoint(to)
            .map_err(|error| OpenError::Io { dir: dir.to_owned(), source: std::io::Error::other(error.to_string()) })
    }

    /// The life of the log that this is.
    pub fn epoch(&self) -> Epoch {
        self.store.epoch
    }

    /// The newest durable revision.
    pub fn head(&self) -> Revision {
        *self.store.head.borrow()
    }

    /// The newest durable revision, as it moves.
    pub fn watch_head(&self) -> watch::Receiver<Revision> {
        self.store.head.subscribe()
    }

    /// From this revision on all events are there, without gaps.
    pub fn dense_from(&self) -> Revision {
        self.store.floors.read().dense_from
    }

    /// Whether transactions are taken, as it changes; the text says why not.
    pub fn writable(&self) -> watch::Receiver<Result<(), String>> {
        self.store.writable.subscribe()
    }

    /// Commits a transaction; returns once it is durable. Dropping the future does not take the transaction back.
    ///
    /// # Errors
    /// All but [`CommitError::Unknown`] and [`CommitError::Repeated`] mean that it surely was not done.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, CommitError> {
        let closed = || CommitError::NotWritable("the log is closed".to_owned());
        let permit = self.store.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let job = Job::Commit { transaction: Box::new(transaction), answer, _permit: permit };
        self.writer.jobs.send(job).map_err(|_| closed())?;
        // The writer answers everything that it takes; without an answer it died on the way.
        answered.await.unwrap_or(Err(CommitError::Unknown))
    }

    /// How a request ended, if it did within the last ten minutes.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, LogError> {
        self.store.outcome(id)
    }

    /// Keeps a refusal, so that a repetition gets the same answer. In memory only: a refused request did nothing.
    pub fn refuse(&self, id: RequestId, outcome: Outcome) {
        self.store.remember(id, outcome);
    }

    /// An object as it is.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn get(&self, key: &Key) -> Result<Option<Object>, LogError> {
        let db = self.store.db()?;
        self.store.recent.object(key).map_or_else(|| db.get_object(key), |object| Ok(Some(object)))
    }

    /// An object as it was at a revision.
    ///
    /// # Errors
    /// If that revision is not kept any more, or not there yet, or the log cannot be read.
    pub fn get_at(&self, key: &Key, revision: Revision) -> Result<Option<Object>, LogError> {
        self.steady(&key.resource, revision, |db| read::get_at(db, key, revision))
    }

    /// Objects of a resource in a namespace (in all, if empty), in key order, after a path (`namespace/name`) if one is given; a limit of 0 is
    /// none. It is one state of the log, at least as new as the revision it says.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed, LogError> {
        let revision = self.head();
        read::list(&*self.store.db()?, &Part { resource, namespace, after, limit }, revision)
    }

    /// The same as it was at a revision.
    ///
    /// # Errors
    /// If that revision is not kept any more, or not there yet, or the log cannot be read.
    pub fn list_at(
        &self,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
        revision: Revision,
    ) -> Result<Listed, LogError> {
        self.steady(resource, revision, |db| read::list_at(db, &Part { resource, namespace, after, limit }, revision))
    }

    /// The oldest revision from `wanted` on at which a resource's objects can be read as they were.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn past_from(&self, resource: &Resource, wanted: Revision) -> Result<Revision, LogError> {
        // Between two epochs there was something once, and it is lost.
        let lost = wanted > self.store.kept && wanted < self.store.base;
        if lost { Ok(self.store.base) } else { Ok(wanted.max(self.store.floors.read().kept.of(resource))) }
    }

    /// The objects of a resource in a namespace (in all, if empty) as they were at a revision, in key order, after a path if one is given. It
    /// reads them in parts as it goes and holds nothing up in between.
    ///
    /// # Errors
    /// If that revision is not kept any more, or not there yet, or the log cannot be read.
    pub fn past(
        &self,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
        revision: Revision,
    ) -> Result<Past, LogError> {
        self.at(resource, revision)?;
        Ok(Past::new(self.clone(), resource.clone(), namespace.to_owned(), after.map(str::to_owned), revision))
    }

    /// Reads what was at a revision. What is dropped while it is read looks like damage; then the floor has passed it, or it was a deletion and is
    /// not met again.
    fn steady<T>(
        &self,
        resource: &Resource,
        revision: Revision,
        read: impl Fn(&Db) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        match read(&*self.at(resource, revision)?) {
            Err(LogError::Damaged(_)) => read(&*self.at(resource, revision)?),
            other => other,
        }
    }

    fn at(&self, resource: &Resource, revision: Revision) -> Result<Arc<Db>, LogError> {
        let db = self.store.db()?;
        let oldest = self.past_from(resource, revision)?;
        if revision < oldest {
            return Err(LogError::Expired { revision, oldest });
        }
        let head = self.head();
        if revision > head { Err(LogError::Future { revision, head }) } else { Ok(db) }
    }

    /// The events of revisions `from..=to`, at least one if there is any, at most about `max_bytes`. Compacted ones are left out: their
    /// revisions are missing, which can only be below [`Log::dense_from`]. Nothing above the head is returned.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn events(&self, from: Revision, to: Revision, max_bytes: usize) -> Result<Vec<Event>, LogError> {
        let to = to.min(self.head());
        let db = self.store.db()?;
        match self.store.recent.events(from, to, max_bytes) {
            Some(events) => Ok(events),
            None => read::events(&db, self.epoch(), (from, to), max_bytes),
        }
    }

    /// The event at a revision.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn event(&self, revision: Revision) -> Result<Option<Event>, LogError> {
        let db = self.store.db()?;
        self.store.recent.event(revision).map_or_else(|| db.event(self.epoch(), revision), |event| Ok(Some(event)))
    }

    /// The objects that events left; revisions ascend.
    pub(crate) fn left_by(&self, revisions: &[Revision]) -> Result<Vec<(Key, Object)>, LogError> {
        let mut objects = Vec::with_capacity(revisions.len());
        self.store.db()?.records(revisions, |revision, record| {
            objects.push(format::decode_left(revision, record)?);
            Ok::<_, LogError>(())
        })?;
        Ok(objects)
    }

    /// The revisions of an object's events that are kept, oldest first, over all its lives.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn history(&self, key: &Key) -> Result<Vec<Revision>, LogError> {
        read::history(&*self.store.db()?, key)
    }

    /// All objects at one revision.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, LogError> {
        let There { newest, made } = self.store.db()?.there()?;
        // Without events of its own the epoch is where it begins.
        Ok(Snapshot::new(self.clone(), newest.unwrap_or(0).max(self.store.base), made))
    }

    /// Stops the writer after what it has, and closes the database, for all handles. Readers get [`LogError::Closed`] from then on. Blocks
    /// until the writer is done.
    pub fn close(self) {
        self.store.permits.close();
        self.writer.stop();
    }
}
