//! Reads a whole log that nobody has open, and says what is wrong with it first.
//!
//! Flow: every event in the order of revisions ([`chain`]), every object's events in their order ([`life`]), every object as it is, every
//! outcome. Below the dense window events may be missing; how many is counted by whoever drops them. Guarantees: nothing is written; memory does not grow with the log; RocksDB checks the sums of what is read.
//! Caveats: a tail that is gone with all that knew of it cannot be missed, so whoever knows a head gives it.

use std::path::Path;

use cox_objects::{Change, Epoch, Key, Revision};

use crate::db::{Db, damaged};
use crate::floors::{Floors, Swept};
use crate::format::{self, Family};
use crate::{LogError, OpenError, Options, lock, open};

mod chain;
mod life;

use self::chain::Chain;
use self::life::Life;

/// What a log holds that has no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its epoch.
    pub epoch: Epoch,
    /// The revision of its oldest event; none if it has no event.
    pub oldest: Option<Revision>,
    /// Its newest revision.
    pub head: Revision,
    /// From here on there is every event.
    pub dense_from: Revision,
    /// How many events there are.
    pub events: u64,
    /// In how many transactions.
    pub transactions: u64,
    /// How many objects there are.
    pub objects: u64,
    /// How many outcomes of requests are kept.
    pub outcomes: u64,
    /// Bytes of all records of events.
    pub bytes: u64,
}

/// The first thing that is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision {revision}: {what}")]
pub struct Fault {
    /// Where.
    pub revision: Revision,
    /// What.
    pub what: Wrong,
}

/// What can be wrong at a revision.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There should be an event.
    #[error("its event is missing")]
    Missing,
    /// The record cannot be read.
    #[error("its event cannot be read: {0}")]
    Record(String),
    /// It lies outside of its own transaction.
    #[error("its event says that it is of the transaction {0} to {1}")]
    Outside(Revision, Revision),
    /// The transactions of neighbours do not fit together.
    #[error("the transaction {0} to {1} is not whole")]
    Cut(Revision, Revision),
    /// The object says another resourceVersion.
    #[error("its object says resourceVersion {0}")]
    Version(Revision),
    /// The object is no JSON.
    #[error("its object is not well formed: {0}")]
    Object(String),
    /// `history` does not name it.
    #[error("{0} does not have it in its history")]
    NotInHistory(Key),
    /// `history` names it for an object that it is not of.
    #[error("the history of {0} names it, and it is not of that object")]
    NotOfObject(Key),
    /// An object is added, changed or deleted that should, or should not, be there.
    #[error("{0} is {1} there, which does not follow from its event before")]
    Order(Key, &'static str),
    /// `current` says something else than the events.
    #[error("{0} should stand as it left it, and {after}", after = .1.map_or_else(|| "is gone".to_owned(), |revision| format!("stands as revision {revision} did")))]
    Current(Key, Option<Revision>),
    /// An outcome is of a transaction that is not there.
    #[error("the outcome of a request is of the transaction {0} to {1}, which is not there")]
    Outcome(Revision, Revision),
    /// Below the dense window there are fewer, or more, events than were left there.
    #[error("up to the head {missing} revisions have no event, and {counted} were dropped or never used")]
    Count {
        /// How many have none.
        missing: u64,
        /// How many should have none.
        counted: u64,
    },
    /// Someone knew of newer revisions.
    #[error("the log should go on at least to {0}")]
    Short(Revision),
}

/// Why a log does not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It holds something wrong.
    #[error("the log in {dir} is damaged at {fault}")]
    Damaged {
        /// The data directory, or backup.
        dir: String,
        /// Where, and what.
        fault: Fault,
    },
    /// It cannot be read on.
    #[error("the log in {dir} cannot be read past revision {after}: {source}")]
    Unreadable {
        /// The data directory, or backup.
        dir: String,
        /// The newest revision whose event was read.
        after: Revision,
        /// Why.
        source: LogError,
    },
}

/// Why a pass over the log ended early.
enum Stop {
    Fault(Fault),
    Read(LogError),
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Stop::Read(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

fn fault(revision: Revision, what: Wrong) -> Stop {
    Stop::Fault(Fault { revision, what })
}

/// Verifies the log in a data directory that nobody has open, or in a backup. `at_least` is a revision that it must have. `progress` is
/// told how many entries are read, and about how many there are.
///
/// # Errors
/// The first fault, with its revision.
pub fn verify(
    dir: &Path,
    options: &Options,
    at_least: Revision,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let _held = lock::share(dir)?;
    let db = open::open_to_read(dir, options)?;
    let mut reader = Reader { db: &db, progress, done: 0, about: 0, newest: 0 };
    reader.all(at_least).map_err(|stop| match stop {
        Stop::Fault(fault) => VerifyError::Damaged { dir: dir.display().to_string(), fault },
        Stop::Read(source) => VerifyError::Unreadable { dir: dir.display().to_string(), after: reader.newest, source },
    })
}

/// How often progress is told, in entries.
const TELL: u64 = 1024;

struct Reader<'a> {
    db: &'a Db,
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    about: u64,
    newest: Revision,
}

impl Reader<'_> {
    fn all(&mut self, at_least: Revision) -> Result<Report, Stop> {
        for family in [Family::Log, Family::History, Family::Current, Family::Requests] {
            self.about += self.db.about(family)?;
        }
        let epoch = self.db.meta_u64(format::META_EPOCH)?.filter(|epoch| *epoch != 0);
        let epoch = Epoch(epoch.ok_or_else(|| LogError::Damaged("there is no epoch".to_owned()))?);
        let base = self.db.meta_u64(format::META_BASE)?.unwrap_or(0);
        let dense_from = self.db.meta_u64(format::META_DENSE_FROM)?.unwrap_or(base + 1);
        let mut report = self.events(epoch, base, dense_from)?;
        let missing = report.head - report.events;
        match Swept::read(self.db, base)?.missing {
            Some(counted) if counted != missing => return Err(fault(dense_from, Wrong::Count { missing, counted })),
            _ => {}
        }
        if report.head < at_least {
            return Err(fault(report.head, Wrong::Short(at_least)));
        }
        self.histories(&Floors::read(self.db, dense_from)?)?;
        report.objects = self.objects()?;
        report.outcomes = self.outcomes(dense_from, report.head)?;
        (self.progress)(self.done, self.done);
        Ok(report)
    }

    fn tell(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(TELL) {
            (self.progress)(self.done, self.about.max(self.done));
        }
    }

    fn events(&mut self, epoch: Epoch, base: Revision, dense_from: Revision) -> Result<Report, Stop> {
        let mut chain = Chain::new(base, dense_from);
        let (mut events, mut bytes, mut oldest) = (0, 0, None);
        for entry in self.db.walk(Family::Log, &[])? {
            let (place, record) = entry?;
            let revision = format::parse_u64(&place).ok_or_else(|| damaged("log", &place))?;
            let event = format::decode_event(epoch, revision, &record)
                .map_err(|error| fault(revision, Wrong::Record(error.to_string())))?;
            chain.next(&event)?;
            if !self.db.in_history(&event.key, revision)? {
                return Err(fault(revision, Wrong::NotInHistory(event.key)));
            }
            oldest = oldest.or(Some(revision));
            events += 1;
            bytes += record.len() as u64;
            self.newest = revision;
            self.tell();
        }
        let transactions = chain.end()?;
        let head = self.newest.max(base);
        Ok(Report { epoch, oldest, head, dense_from, events, transactions, objects: 0, outcomes: 0, bytes })
    }

    /// That each entry of `history` has its event, that each object's events follow from each other, and that `current` is what they leave.
    fn histories(&mut self, floors: &Floors) -> Result<(), Stop> {
        let mut life: Option<Life> = None;
        for entry in self.db.walk(Family::History, &[])? {
            let (place, _) = entry?;
            let (key, revision) = format::parse_history_key(&place).ok_or_else(|| damaged("history", &place))?;
            let subject = self.db.subject(revision)?.ok_or_else(|| fault(revision, Wrong::Missing))?;
            if subject.0 != key {
                return Err(fault(revision, Wrong::NotOfObject(key)));
            }
            if life.as_ref().is_none_or(|life| *life.key() != key) {
                self.stands(life.take())?;
                let floor = floors.kept.of(&key.resource);
                life = Some(Life::new(key, floor));
            }
            if let Some(life) = &mut life {
                life.next(revision, subject.1)?;
            }
            self.tell();
        }
        self.stands(life)
    }

    fn stands(&self, life: Option<Life>) -> Result<(), Stop> {
        let Some(life) = life else { return Ok(()) };
        let stands = self.db.current(life.key())?;
        if stands == life.stands() {
            return Ok(());
        }
        Err(fault(life.newest(), Wrong::Current(life.key().clone(), stands)))
    }

    /// That each object that is there has an event; [`Reader::histories`] has seen that it is the newest.
    fn objects(&mut self) -> Result<u64, Stop> {
        let mut objects = 0;
        for entry in self.db.walk(Family::Current, &[])? {
            let (place, value) = entry?;
            let key = format::parse_current_key(&place).ok_or_else(|| damaged("current", &place))?;
            let revision = format::parse_current(&value).ok_or_else(|| damaged("current", &place))?;
            match self.db.subject(revision)? {
                None => return Err(fault(revision, Wrong::Missing)),
                Some((of, change)) if of != key || change == Change::Deleted => {
                    return Err(fault(revision, Wrong::Current(key, Some(revision))));
                }
                Some(_) => {}
            }
            if !self.db.in_history(&key, revision)? {
                return Err(fault(revision, Wrong::NotInHistory(key)));
            }
            objects += 1;
            self.tell();
        }
        Ok(objects)
    }

    fn outcomes(&mut self, dense_from: Revision, head: Revision) -> Result<u64, Stop> {
        let mut outcomes = 0;
        for entry in self.db.walk(Family::Requests, &[])? {
            let (place, value) = entry?;
            let outcome = format::decode_outcome(&value).map_err(|_| damaged("requests", &place))?;
            let (first, last) = (outcome.first, outcome.last);
            let there = |revision| Ok::<_, LogError>(revision < dense_from || self.db.subject(revision)?.is_some());
            if first == 0 || first > last || last > head || !there(first)? || !there(last)? {
                return Err(fault(last, Wrong::Outcome(first, last)));
            }
            outcomes += 1;
            self.tell();
        }
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests;
