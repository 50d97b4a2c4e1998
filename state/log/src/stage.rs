//! Deciding transactions: the pure core of the writer. State before the batch and transactions in; events, outcomes and answers out.

use std::collections::HashMap;

use cox_objects::{Change, Draft, Epoch, Event, Key, Object, Position, RequestId, Revision};

use crate::{
    Arbiter, CommitError, Committed, Existence, LogError, Outcome, Precondition, Staged, Transaction, Write, format,
};

/// The state before the batch.
pub trait Base {
    /// An object as committed.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn current(&self, key: &Key) -> Result<Option<Object>, LogError>;

    /// The outcome of a request that was answered before.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, LogError>;
}

/// What one batch is going to write.
pub struct Stage<'a> {
    base: &'a dyn Base,
    epoch: Epoch,
    head: Revision,
    max_object: usize,
    /// Objects that were read or changed, as they are after the batch so far.
    known: HashMap<Key, Option<Object>>,
    events: Vec<Event>,
    outcomes: Vec<(RequestId, Outcome)>,
    answered: HashMap<RequestId, Outcome>,
}

impl<'a> Stage<'a> {
    /// An empty batch on top of a state whose newest revision is `head`.
    pub fn new(base: &'a dyn Base, epoch: Epoch, head: Revision, max_object: usize) -> Self {
        Stage {
            base,
            epoch,
            head,
            max_object,
            known: HashMap::new(),
            events: Vec::new(),
            outcomes: Vec::new(),
            answered: HashMap::new(),
        }
    }

    /// The events of the batch, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The same, when the batch is durable.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// The outcomes to write with them.
    pub fn outcomes(&self) -> &[(RequestId, Outcome)] {
        &self.outcomes
    }

    /// Every request that was decided, with what becomes its outcome once the batch is durable.
    pub fn answered(&self) -> impl Iterator<Item = (RequestId, &Outcome)> {
        self.answered.iter().map(|(id, outcome)| (*id, outcome))
    }

    /// The newest revision after the batch.
    pub fn head(&self) -> Revision {
        self.head
    }

    /// Decides a transaction; if it is accepted, it is part of the batch.
    ///
    /// # Errors
    /// If it is not; then it leaves no trace.
    pub fn decide(&mut self, transaction: Transaction, arbiter: &mut dyn Arbiter) -> Result<Committed, CommitError> {
        if let Some(outcome) = self.repeated(transaction.request)? {
            return Err(CommitError::Repeated(outcome));
        }
        if transaction.changes.is_empty() {
            return Err(CommitError::Invalid("a transaction without changes".to_owned()));
        }
        for precondition in &transaction.preconditions {
            self.expect(precondition)?;
        }
        for guard in &transaction.guards {
            arbiter.check(guard, &View { stage: self }).map_err(CommitError::Guard)?;
        }
        let mut planned = Planned { steps: Vec::new(), objects: Vec::new() };
        for write in &transaction.changes {
            self.plan(write, &mut planned)?;
        }
        Ok(self.accept(&transaction, planned, arbiter))
    }

    fn repeated(&self, request: Option<RequestId>) -> Result<Option<Outcome>, CommitError> {
        let Some(id) = request else { return Ok(None) };
        match self.answered.get(&id) {
            Some(outcome) => Ok(Some(outcome.clone())),
            None => self.base.outcome(id).map_err(unreadable),
        }
    }

    fn read(&mut self, key: &Key) -> Result<Option<Object>, CommitError> {
        if let Some(known) = self.known.get(key) {
            return Ok(known.clone());
        }
        let object = self.base.current(key).map_err(unreadable)?;
        self.known.insert(key.clone(), object.clone());
        Ok(object)
    }

    fn expect(&mut self, precondition: &Precondition) -> Result<(), CommitError> {
        let current = self.read(&precondition.key)?;
        let holds = current.as_ref().is_some_and(|object| {
            precondition.revision.is_none_or(|revision| revision == object.revision())
                && precondition.uid.as_ref().is_none_or(|uid| uid_of(object).as_ref() == Some(uid))
        });
        if holds { Ok(()) } else { Err(CommitError::Conflict { key: precondition.key.clone(), current }) }
    }

    fn plan(&mut self, write: &Write, planned: &mut Planned) -> Result<(), CommitError> {
        let key = write.key();
        if !format::is_storable(key) {
            return Err(CommitError::Invalid(format!("{key:?}")));
        }
        let revision = self.head + 1 + planned.steps.len() as Revision;
        let old = match planned.now(key) {
            Some(now) => now,
            None => self.read(key)?,
        };
        let (change, object) = match (write, &old) {
            (Write::Put { must: Existence::Absent, .. }, Some(_)) => return Err(CommitError::Exists(key.clone())),
            (Write::Put { must: Existence::Present, .. }, None) | (Write::Delete { .. }, None) => {
                return Err(CommitError::Missing(key.clone()));
            }
            (Write::Put { draft, .. }, Some(stored)) if draft.same_as(stored) => {
                planned.objects.push(stored.clone());
                return Ok(());
            }
            (Write::Put { draft, .. }, None) => (Change::Added, self.seal(key, draft, revision)?),
            (Write::Put { draft, .. }, Some(_)) => (Change::Modified, self.seal(key, draft, revision)?),
            (Write::Delete { last: Some(draft), .. }, Some(_)) => (Change::Deleted, self.seal(key, draft, revision)?),
            (Write::Delete { last: None, .. }, Some(stored)) => (Change::Deleted, Draft::of(stored).seal(revision)),
        };
        planned.objects.push(object.clone());
        planned.steps.push(Step { key: key.clone(), change, object, old });
        Ok(())
    }

    fn seal(&self, key: &Key, draft: &Draft, revision: Revision) -> Result<Object, CommitError> {
        let size = draft.len();
        if size > self.max_object {
            return Err(CommitError::TooLarge { key: key.clone(), size, limit: self.max_object });
        }
        Ok(draft.seal(revision))
    }

    fn accept(&mut self, transaction: &Transaction, planned: Planned, arbiter: &mut dyn Arbiter) -> Committed {
        let unchanged = planned.steps.is_empty();
        let last = self.head + planned.steps.len() as Revision;
        let first = if unchanged { last } else { self.head + 1 };
        for Step { key, change, object, old } in planned.steps {
            self.head += 1;
            let position = Position { epoch: self.epoch, revision: self.head };
            let event = Event {
                position,
                transaction: (first, last),
                time: transaction.time,
                key: key.clone(),
                change,
                object: object.clone(),
                cause: transaction.cause.clone(),
            };
            arbiter.apply(&event, old.as_ref());
            self.known.insert(key, (change != Change::Deleted).then_some(object));
            self.events.push(event);
        }
        if let Some(id) = transaction.request {
            let outcome = Outcome { code: transaction.outcome_code, first, last, unchanged, refusal: None };
            if !unchanged {
                self.outcomes.push((id, outcome.clone()));
            }
            self.answered.insert(id, outcome);
        }
        Committed { first, last, objects: planned.objects, unchanged }
    }
}

/// What a transaction would do, while it is not accepted yet.
struct Planned {
    steps: Vec<Step>,
    objects: Vec<Object>,
}

struct Step {
    key: Key,
    change: Change,
    object: Object,
    old: Option<Object>,
}

impl Planned {
    /// An object as an earlier change of the same transaction leaves it.
    fn now(&self, key: &Key) -> Option<Option<Object>> {
        let change = self.steps.iter().rev().find(|change| change.key == *key)?;
        Some((change.change != Change::Deleted).then(|| change.object.clone()))
    }
}

/// What guards are checked against.
struct View<'a, 'b> {
    stage: &'a Stage<'b>,
}

impl Staged for View<'_, '_> {
    fn head(&self) -> Revision {
        self.stage.head
    }

    fn get(&self, key: &Key) -> Option<Object> {
        match self.stage.known.get(key) {
            Some(known) => known.clone(),
            None => {
                self.stage.base.current(key).inspect_err(|error| tracing::error!(%key, %error, "unreadable")).ok()?
            }
        }
    }
}

fn unreadable(error: LogError) -> CommitError {
    tracing::error!(%error, "a commit could not read the log");
    CommitError::NotWritable(error.to_string())
}

fn uid_of(object: &Object) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Identified {
        metadata: Uid,
    }
    #[derive(serde::Deserialize)]
    struct Uid {
        uid: Option<String>,
    }
    object.parse::<Identified>().ok()?.metadata.uid
}

#[cfg(test)]
mod tests;
