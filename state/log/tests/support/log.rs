//! What the tests of the log share: an arbiter that minds nothing, and short ways to write.
#![allow(dead_code, reason = "each test uses its part")]

use cox_log::{Arbiter, Existence, Guard, Log, Options, Refusal, Staged, Transaction, Write};
use cox_objects::{Draft, Event, Key, Object, RequestId, Resource, Revision};
use serde_json::json;

/// Lets everything pass.
pub(crate) struct Any;
impl Arbiter for Any {
    fn check(&mut self, _: &Guard, _: &dyn Staged) -> Result<(), Refusal> {
        Ok(())
    }
    fn apply(&mut self, _: &Event, _: Option<&Object>) {}
    fn durable(&mut self, _: Revision) {}
    fn reset(&mut self, _: &mut dyn Iterator<Item = (Key, Object)>, _: Revision) {}
}

pub(crate) fn open(dir: &std::path::Path) -> Log {
    Log::open(dir, Options::default(), Box::new(Any)).unwrap()
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(Resource::CONFIGMAPS, "ns", name)
}

pub(crate) fn draft(name: &str, value: &str) -> Draft {
    Draft::encode(&json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"v": value}}))
        .unwrap()
}

pub(crate) fn put(name: &str, value: &str) -> Write {
    Write::Put { key: key(name), draft: draft(name, value), must: Existence::Any }
}

pub(crate) fn delete(name: &str) -> Write {
    Write::Delete { key: key(name), last: None }
}

pub(crate) fn of(changes: Vec<Write>) -> Transaction {
    Transaction { changes, time: 1_800_000_000_000, outcome_code: 200, ..Transaction::default() }
}

pub(crate) fn asked(id: u64, changes: Vec<Write>) -> Transaction {
    Transaction { request: Some(request(id)), ..of(changes) }
}

/// A request id of the time that `of` gives its transactions.
pub(crate) fn request(id: u64) -> RequestId {
    RequestId((1_800_000_000_000u128 << 80) | u128::from(id))
}

pub(crate) fn value(object: &Object) -> String {
    object.value()["data"]["v"].as_str().unwrap().to_owned()
}

/// Checks what must hold of any log: dense revisions, whole transactions, current objects that are the fold of the events.
pub(crate) fn check_invariants(log: &Log) {
    let events = log.events(1, u64::MAX, usize::MAX).unwrap();
    let mut fold = std::collections::BTreeMap::new();
    for (event, expected) in events.iter().zip(1u64..) {
        assert_eq!(event.revision(), expected, "revisions are dense");
        assert_eq!(event.object.revision(), expected, "the object says its revision");
        let (first, last) = event.transaction;
        assert!(first <= expected && expected <= last && last <= log.head(), "transaction {first}-{last} is whole");
        match event.change {
            cox_objects::Change::Deleted => assert!(fold.remove(&event.key).is_some()),
            _ => drop(fold.insert(event.key.clone(), event.object.clone())),
        }
    }
    assert_eq!(events.len() as u64, log.head(), "nothing is beyond the head");
    let mut snapshot: Vec<_> = log.snapshot().unwrap().map(Result::unwrap).collect();
    snapshot.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(snapshot, fold.into_iter().collect::<Vec<_>>(), "current objects are the fold of the events");
}
