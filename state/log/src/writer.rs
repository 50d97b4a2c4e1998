//! The writer thread: takes all waiting transactions, decides them, writes one batch, answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use cox_objects::{Change, Event, Key, Object, RequestId, Revision};
use rocksdb::WriteBatch;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::db::Db;
use crate::format::{self, Family};
use crate::handle::Store;
use crate::space::{self, Space};
use crate::stage::{Base, Stage};
use crate::{Arbiter, CommitError, Committed, LogError, Outcome, Transaction, open};

/// How often a log that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often outcomes that are too old are dropped, in milliseconds of the transactions' own time.
const DROP_OUTCOMES: u64 = 60_000;
/// A clock that goes back by so much was set: transactions may wait a little on their way here.
const SET_BACK: Duration = Duration::from_secs(10);
/// How long readers have to let go of a database that is to be opened again.
const LET_GO: Duration = Duration::from_secs(10);

/// What the writer is told.
pub(crate) enum Job {
    Commit {
        transaction: Box<Transaction>,
        answer: oneshot::Sender<Result<Committed, CommitError>>,
        /// Given back when the transaction is answered.
        _permit: OwnedSemaphorePermit,
    },
    Stop,
}

/// An answer, and what to do with it once the batch is durable.
type Answer = (oneshot::Sender<Result<Committed, CommitError>>, Result<Committed, CommitError>, OwnedSemaphorePermit);

/// What the thread owns.
pub(crate) struct Writer {
    store: Arc<Store>,
    arbiter: Box<dyn Arbiter>,
    head: Revision,
    space: Space,
    /// Whether the disk had too little space when it was last looked at.
    short: bool,
    outcomes_dropped: u64,
    /// The time of the newest transaction, in milliseconds since the Unix epoch.
    clock: u64,
    /// A failed write: why, and the requests of which it is not known whether they were done.
    failed: Option<Failed>,
}

struct Failed {
    why: String,
    in_doubt: HashSet<RequestId>,
    retry: Instant,
}

struct OnDisk<'a> {
    store: &'a Store,
    db: &'a Db,
}

impl Base for OnDisk<'_> {
    fn current(&self, key: &Key) -> Result<Option<Object>, LogError> {
        if let Some(object) = self.store.recent.object(key) {
            return Ok(Some(object));
        }
        let object = self.db.get_object(key)?;
        if let Some(object) = &object {
            self.store.recent.note(key, object);
        }
        Ok(object)
    }

    fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, LogError> {
        self.store.outcome(id)
    }
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>, arbiter: Box<dyn Arbiter>) -> Self {
        let head = *store.head.borrow();
        let space = Space::new(store.options.reserve);
        Writer { store, arbiter, head, space, short: false, outcomes_dropped: 0, clock: 0, failed: None }
    }

    /// Brings the arbiter to what is committed. Of objects that it does not care for only the events are looked up, so that one that is missing
    /// shows at the start.
    pub(crate) fn load(&mut self) -> Result<(), LogError> {
        let db = self.store.db()?;
        let mut wanted = Vec::new();
        db.records(&db.there()?.made, |revision, record| {
            if self.arbiter.reads(&format::decode_subject(record)?.0.resource) {
                wanted.push(format::decode_left(revision, record)?);
            }
            Ok::<_, LogError>(())
        })?;
        self.arbiter.reset(&mut wanted.into_iter(), self.head);
        self.arbiter.durable(self.head);
        Ok(())
    }

    /// Works until it is told to stop or nobody is left.
    pub(crate) fn run(mut self, jobs: Receiver<Job>) {
        loop {
            let Some((batch, stop)) = self.gather(&jobs) else { return };
            if self.failed.as_ref().is_some_and(|failed| Instant::now() >= failed.retry) {
                self.recover();
            }
            if self.short {
                // Asked also when nobody writes: those who wait for readiness do not.
                let _ = self.look_for_space();
            }
            if !batch.is_empty() {
                self.process(batch);
            }
            if stop {
                return;
            }
        }
    }

    /// Waits for a job, then takes all that wait, and says whether to stop after them. None if nobody is left.
    fn gather(&self, jobs: &Receiver<Job>) -> Option<(Vec<Job>, bool)> {
        let first = if self.failed.is_some() || self.short {
            match jobs.recv_timeout(TRY_AGAIN) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => return Some((Vec::new(), false)),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        } else {
            jobs.recv().ok()?
        };
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            if matches!(job, Job::Stop) {
                return Some((batch, true));
            }
            batch.push(job);
            next = if batch.len() < self.store.options.batch { jobs.try_recv().ok() } else { None };
        }
        Some((batch, false))
    }

    fn process(&mut self, batch: Vec<Job>) {
        if let Some(failed) = &self.failed {
            return refuse_all(batch, &failed.why, &failed.in_doubt);
        }
        if let Err(why) = self.look_for_space() {
            return refuse_all(batch, &why, &HashSet::new());
        }
        let db = match self.store.db() {
            Ok(db) => db,
            Err(error) => return refuse_all(batch, &error.to_string(), &HashSet::new()),
        };
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        let mut newest = 0;
        let store = self.store.clone();
        let base = OnDisk { store: &store, db: &db };
        let mut stage = Stage::new(&base, store.epoch, self.head, store.options.max_object);
        for job in batch {
            if let Job::Commit { transaction, answer, _permit } = job {
                newest = newest.max(transaction.time);
                let decided = stage.decide(*transaction, self.arbiter.as_mut());
                answers.push((answer, decided, _permit));
            }
        }
        tell_of_clock(self.clock, newest);
        self.clock = newest;
        let began = Instant::now();
        let written = if stage.events().is_empty() { Ok(()) } else { write(&db, &stage, self.drop_before(newest)) };
        match written {
            Ok(()) => {
                for (id, outcome) in stage.answered().filter(|(_, outcome)| outcome.unchanged) {
                    self.store.remember(id, outcome.clone());
                }
                let moved = stage.head() != self.head;
                self.head = stage.head();
                if moved {
                    self.arbiter.written(answers.len(), began.elapsed());
                    self.store.recent.commit(stage.into_events());
                    self.arbiter.durable(self.head);
                    self.store.head.send_replace(self.head);
                }
                answers.into_iter().for_each(|(answer, decided, _)| {
                    // A caller that does not wait any more settles it by its request id.
                    let _ = answer.send(decided);
                });
            }
            Err(error) => {
                let in_doubt = stage.answered().map(|(id, _)| id).collect();
                let why = error.to_string();
                tracing::error!(%error, "the log cannot be written");
                self.fail(why.clone(), in_doubt);
                for (answer, decided, _) in answers {
                    let _ = answer.send(Err(match decided {
                        // Decided on top of what may not be there.
                        Err(CommitError::Repeated(_)) | Ok(_) => CommitError::Unknown,
                        Err(_) => CommitError::NotWritable(why.clone()),
                    }));
                }
            }
        }
    }

    /// Whether the disk has space, which also whoever watches gets to know.
    fn look_for_space(&mut self) -> Result<(), String> {
        let enough = self.space.check(&self.store.dir);
        if self.short != enough.is_err() && self.failed.is_none() {
            self.short = enough.is_err();
            self.store.say_writable(enough.clone());
        }
        enough
    }

    /// Outcomes of requests before this time are dropped with the next batch, if it is time to.
    fn drop_before(&mut self, now: u64) -> Option<u64> {
        let before = now.saturating_sub(self.store.options.keep_outcomes.as_millis() as u64);
        if before < self.outcomes_dropped + DROP_OUTCOMES {
            return None;
        }
        self.outcomes_dropped = before;
        Some(before)
    }

    fn fail(&mut self, why: String, in_doubt: HashSet<RequestId>) {
        self.store.say_writable(Err(why.clone()));
        self.failed = Some(Failed { why, in_doubt, retry: Instant::now() + TRY_AGAIN });
    }

    /// Opens the database again after a failed write: RocksDB takes no more writes until then. What was in doubt is there or it is not.
    fn recover(&mut self) {
        let Some(failed) = &mut self.failed else { return };
        failed.retry = Instant::now() + TRY_AGAIN;
        // On a disk that takes nothing it would not open, and then there were no reads either.
        if let Err(why) = self.space.check(&self.store.dir).and_then(|()| space::takes_writes(&self.store.dir)) {
            failed.why = why;
            return;
        }
        match self.reopen() {
            Ok(()) => {
                self.failed = None;
                self.store.say_writable(Ok(()));
                tracing::info!(head = self.head, "the log can be written again");
            }
            Err(why) => {
                tracing::warn!(why, "the log cannot be opened again yet");
                if let Some(failed) = &mut self.failed {
                    failed.why = why;
                }
            }
        }
    }

    fn reopen(&mut self) -> Result<(), String> {
        close(&self.store)?;
        let (db, facts) = open::open(&self.store.dir, &self.store.options).map_err(|error| error.to_string())?;
        self.store.recent.clear();
        *self.store.db.write() = Some(Arc::new(db));
        self.head = facts.head;
        self.load().map_err(|error| error.to_string())?;
        self.store.head.send_replace(self.head);
        Ok(())
    }
}

/// Closes the database once no reader has it any more; a reader that does not let go is given it back.
fn close(store: &Store) -> Result<(), String> {
    let Some(mut db) = store.db.write().take() else { return Ok(()) };
    let until = Instant::now() + LET_GO;
    loop {
        match Arc::try_unwrap(db) {
            Ok(db) => {
                drop(db);
                return Ok(());
            }
            Err(held) if Instant::now() >= until => {
                *store.db.write() = Some(held);
                return Err("a reader does not let go of the database".to_owned());
            }
            Err(held) => {
                db = held;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Says that the clock was set back. Nothing depends on it: the order of events is that of revisions.
fn tell_of_clock(before: u64, now: u64) {
    let back = Duration::from_millis(before.saturating_sub(now));
    if back >= SET_BACK && now > 0 {
        tracing::warn!("the clock went back by {} s: times in the log go back too, revisions do not", back.as_secs());
    }
}

fn refuse_all(batch: Vec<Job>, why: &str, in_doubt: &HashSet<RequestId>) {
    for job in batch {
        if let Job::Commit { transaction, answer, _permit } = job {
            let unknown = transaction.request.is_some_and(|id| in_doubt.contains(&id));
            let error = if unknown { CommitError::Unknown } else { CommitError::NotWritable(why.to_owned()) };
            let _ = answer.send(Err(error));
        }
    }
}

/// Writes what was decided, with one sync.
fn write(db: &Db, stage: &Stage<'_>, drop_before: Option<u64>) -> Result<(), LogError> {
    let mut batch = WriteBatch::default();
    for event in stage.events() {
        add(db, &mut batch, event)?;
    }
    let requests = db.family(Family::Requests)?;
    for (id, outcome) in stage.outcomes() {
        let value = format::encode_outcome(outcome).map_err(|error| LogError::Io(error.to_string()))?;
        batch.put_cf(requests, format::request_key(*id), value);
    }
    if let Some(before) = drop_before {
        batch.delete_range_cf(requests, format::requests_since(0), format::requests_since(before));
    }
    Ok(db.write(batch)?)
}

fn add(db: &Db, batch: &mut WriteBatch, event: &Event) -> Result<(), LogError> {
    let revision = event.revision();
    let record = format::encode_event(event).map_err(|error| LogError::Io(error.to_string()))?;
    batch.put_cf(db.family(Family::Log)?, format::log_key(revision), record);
    batch.put_cf(db.family(Family::History)?, format::history_key(&event.key, revision), b"");
    let current = db.family(Family::Current)?;
    match event.change {
        Change::Deleted => batch.delete_cf(current, format::current_key(&event.key)),
        Change::Added | Change::Modified => {
            batch.put_cf(current, format::current_key(&event.key), revision.to_be_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
