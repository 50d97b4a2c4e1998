//! What every cluster begins with, written at each start where it is missing: namespaces and their accounts, roles, priority classes, the
//! range of services and the `kubernetes` Service at the server's address.
//!
//! Guarantees: it is idempotent, and what people changed stays, but for the rights that default roles lack and the server's address.

use cox_log::{CommitError, Existence, Log, Precondition, Transaction, Write};
use cox_objects::rbac::bootstrap as roles;
use cox_objects::{Cause, Draft, Key, Kinds, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::execute::Executor;
use crate::value::{map, text};

mod objects;

/// How often a start tries again, if somebody else writes the same.
const TRIES: usize = 8;

/// What cannot be written at the start.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The log refuses.
    #[error("what every cluster begins with cannot be written: {0}")]
    Commit(#[from] CommitError),
    /// One of the objects is none.
    #[error("a default object cannot be stored: {0}")]
    Object(#[from] cox_objects::object::DraftError),
}

/// Writes what is missing, in one transaction.
pub(crate) async fn run(executor: &Executor) -> Result<(), BootstrapError> {
    for _ in 0..TRIES {
        let transaction = plan(executor)?;
        if transaction.changes.is_empty() {
            return Ok(());
        }
        match executor.stored.log.commit(transaction).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Exists(_) | CommitError::Missing(_) | CommitError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CommitError::NotWritable("others write the same all the time".to_owned()).into())
}

/// The changes that make everything be there.
fn plan(executor: &Executor) -> Result<Transaction, BootstrapError> {
    let now = Timestamp::now();
    let mut changes = Vec::new();
    let mut preconditions = Vec::new();
    let defaults = objects::all(&executor.config).into_iter().map(|object| (object, Rule::Leave));
    let current = objects::of_server(&executor.config).into_iter().map(|object| (object, Rule::Keep));
    let rights = roles::objects().into_iter().map(|object| (object, Rule::Complete));
    for (default, rule) in defaults.chain(current).chain(rights) {
        let Some(key) = key_of(&executor.kinds, &default) else { continue };
        let stored = read(&executor.stored.log, &key)?;
        let wanted = match (&stored, rule) {
            (None, _) => Some(created(default, now)),
            (Some(_), Rule::Leave) => None,
            (Some(stored), Rule::Complete) => complete(stored, &default, now),
            (Some(stored), Rule::Keep) => keep(stored, &default),
        };
        let Some(object) = wanted else { continue };
        let must = if stored.is_some() { Existence::Present } else { Existence::Absent };
        if let Some(stored) = stored {
            preconditions.push(Precondition { key: key.clone(), uid: None, revision: Some(stored.revision()) });
        }
        changes.push(Write::Put { key, draft: Draft::encode(&object)?, must });
    }
    let cause = Cause { user: "system:apiserver".to_owned(), component: "apiserver".to_owned(), ..Cause::default() };
    Ok(Transaction {
        request: None,
        time: cox_kit::clock::now_ms(),
        cause: Cause { trigger: Some(cox_objects::Trigger::Timer("start".to_owned())), ..cause },
        changes,
        preconditions,
        guards: Vec::new(),
        outcome_code: 201,
    })
}

/// What becomes of a default that is there already.
#[derive(Clone, Copy)]
enum Rule {
    /// It is its owner's.
    Leave,
    /// It gets the rights that it lacks.
    Complete,
    /// What the server knows of itself is put right.
    Keep,
}

fn read(log: &Log, key: &Key) -> Result<Option<Object>, BootstrapError> {
    log.get(key).map_err(|error| CommitError::NotWritable(error.to_string()).into())
}

fn key_of(kinds: &Kinds, object: &Value) -> Option<Key> {
    let kind = kinds.named(text(object, "/apiVersion"), text(object, "/kind"))?;
    Some(Key::new(kind.resource.clone(), text(object, "/metadata/namespace"), text(object, "/metadata/name")))
}

fn created(mut object: Value, now: Timestamp) -> Value {
    let metadata = map(&mut object, "metadata");
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), cox_objects::time::format(now).into());
    object
}

fn complete(stored: &Object, default: &Value, now: Timestamp) -> Option<Value> {
    let value = stored.value();
    let wanted = roles::reconcile(&value, default)?;
    // A binding to another role is made anew, as a reference cannot be changed.
    Some(if text(&wanted, "/metadata/uid").is_empty() { created(wanted, now) } else { wanted })
}

/// The stored object with the default's contents, if they differ.
fn keep(stored: &Object, default: &Value) -> Option<Value> {
    let value = stored.value();
    let mut wanted = value.clone();
    for (field, content) in default.as_object().into_iter().flatten() {
        if field != "metadata" {
            crate::value::fields(&mut wanted).insert(field.clone(), content.clone());
        }
    }
    (wanted != value).then_some(wanted)
}

/// The namespaces that every cluster has.
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// The same for state in memory.
#[cfg(test)]
pub(crate) fn for_tests(kinds: &Kinds, config: &crate::Config) -> Vec<crate::plan::Change> {
    let now = Timestamp::now();
    let all = objects::all(config).into_iter().chain(objects::of_server(config)).chain(roles::objects());
    let keyed = all.map(|object| (key_of(kinds, &object).unwrap(), created(object, now)));
    keyed.map(|(key, object)| crate::plan::Change::Put { key, object, must: Existence::Absent }).collect()
}
