//! What is accepted and what is refused, without a disk.

use std::collections::HashMap;

use cox_objects::{Draft, Epoch, Event, Key, Object, RequestId, Resource, Revision, Status};
use serde_json::json;

use super::*;
use crate::{Guard, Refusal};

#[derive(Default)]
struct Fixed {
    objects: HashMap<Key, Object>,
    outcomes: HashMap<RequestId, Outcome>,
}
impl Base for Fixed {
    fn current(&self, key: &Key) -> Result<Option<Object>, LogError> {
        Ok(self.objects.get(key).cloned())
    }
    fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, LogError> {
        Ok(self.outcomes.get(&id).cloned())
    }
}

/// Knows which values are taken, from the `spec.ip` of what was applied.
#[derive(Default)]
struct Taken(HashMap<String, Key>);
impl Arbiter for Taken {
    fn check(&mut self, guard: &Guard, staged: &dyn Staged) -> Result<(), Refusal> {
        let refusal = |retry| Refusal { retry, status: Status::new(422, "Invalid", "no") };
        match guard {
            Guard::Free { value, owner, .. } if self.0.get(value).is_some_and(|key| key != owner) => Err(refusal(true)),
            Guard::Exists { key, .. } if staged.get(key).is_none() => Err(refusal(false)),
            _ => Ok(()),
        }
    }
    fn apply(&mut self, event: &Event, _old: Option<&Object>) {
        if let Some(ip) = event.object.value()["spec"]["ip"].as_str() {
            self.0.insert(ip.to_owned(), event.key.clone());
        }
    }
    fn durable(&mut self, _head: Revision) {}
    fn reset(&mut self, _objects: &mut dyn Iterator<Item = (Key, Object)>, _head: Revision) {}
}

fn key(name: &str) -> Key {
    Key::new(Resource::SERVICES, "ns", name)
}
fn draft(name: &str, ip: &str) -> Draft {
    let object = json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "uid": format!("uid-{name}")}, "spec": {"ip": ip}});
    Draft::encode(&object).unwrap()
}
fn put(name: &str, ip: &str, must: Existence) -> Transaction {
    let changes = vec![Write::Put { key: key(name), draft: draft(name, ip), must }];
    Transaction { changes, outcome_code: 200, ..Transaction::default() }
}
fn free(mut transaction: Transaction, name: &str, ip: &str) -> Transaction {
    transaction.guards.push(Guard::Free { pool: "clusterip".into(), value: ip.into(), owner: key(name) });
    transaction
}

macro_rules! stage {
    ($base:expr) => {
        (Stage::new(&$base, Epoch(1), 10, 1000), Taken::default())
    };
}

#[test]
fn each_transaction_sees_those_before_it() {
    let base = Fixed::default();
    let (mut stage, mut arbiter) = stage!(base);
    let first = stage.decide(put("a", "1", Existence::Absent), &mut arbiter).unwrap();
    assert_eq!((first.first, first.last, first.objects[0].revision()), (11, 11, 11));
    let again = stage.decide(put("a", "1", Existence::Absent), &mut arbiter);
    assert!(matches!(again, Err(CommitError::Exists(_))));
    let second = stage.decide(put("a", "2", Existence::Present), &mut arbiter).unwrap();
    assert_eq!((second.first, stage.head()), (12, 12));
    assert_eq!(stage.events()[1].change, Change::Modified);
}

#[test]
fn a_refused_transaction_leaves_no_trace() {
    let base = Fixed::default();
    let (mut stage, mut arbiter) = stage!(base);
    let mut transaction = put("a", "1", Existence::Absent);
    transaction.request = Some(RequestId(5));
    transaction.changes.push(Write::Delete { key: key("missing"), last: None });
    assert!(matches!(stage.decide(transaction, &mut arbiter), Err(CommitError::Missing(_))));
    assert!(stage.events().is_empty() && stage.outcomes().is_empty() && stage.head() == 10);
    assert!(arbiter.0.is_empty(), "the arbiter saw nothing of it");
    assert!(stage.decide(put("a", "1", Existence::Absent), &mut arbiter).is_ok(), "nor does the next one");
}

#[test]
fn two_takers_of_one_value_in_a_batch_do_not_both_get_it() {
    let base = Fixed::default();
    let (mut stage, mut arbiter) = stage!(base);
    stage.decide(free(put("a", "10.96.0.1", Existence::Absent), "a", "10.96.0.1"), &mut arbiter).unwrap();
    let lost = stage.decide(free(put("b", "10.96.0.1", Existence::Absent), "b", "10.96.0.1"), &mut arbiter);
    assert!(matches!(lost, Err(CommitError::Guard(Refusal { retry: true, .. }))));
    let own = stage.decide(free(put("a", "10.96.0.1", Existence::Present), "a", "10.96.0.1"), &mut arbiter).unwrap();
    assert!(own.unchanged);
}

#[test]
fn a_guard_sees_what_the_batch_has_done() {
    let base = Fixed::default();
    let (mut stage, mut arbiter) = stage!(base);
    let needs = || {
        let mut transaction = put("b", "2", Existence::Absent);
        transaction.guards.push(Guard::Exists { key: key("a"), uid: None });
        transaction
    };
    assert!(matches!(stage.decide(needs(), &mut arbiter), Err(CommitError::Guard(_))));
    stage.decide(put("a", "1", Existence::Absent), &mut arbiter).unwrap();
    assert!(stage.decide(needs(), &mut arbiter).is_ok());
}

#[test]
fn preconditions_compare_uid_and_revision() {
    let mut base = Fixed::default();
    base.objects.insert(key("a"), draft("a", "1").seal(7));
    let (mut stage, mut arbiter) = stage!(base);
    let with = |uid: Option<&str>, revision| {
        let mut transaction = put("a", "2", Existence::Present);
        transaction.preconditions.push(Precondition { key: key("a"), uid: uid.map(str::to_owned), revision });
        transaction
    };
    for (uid, revision) in [(Some("uid-b"), None), (None, Some(6)), (Some("uid-a"), Some(8))] {
        let refused = stage.decide(with(uid, revision), &mut arbiter);
        assert!(matches!(refused, Err(CommitError::Conflict { current: Some(object), .. }) if object.revision() == 7));
    }
    assert_eq!(stage.decide(with(Some("uid-a"), Some(7)), &mut arbiter).unwrap().last, 11);
    assert!(matches!(stage.decide(with(None, Some(7)), &mut arbiter), Err(CommitError::Conflict { .. })));
}

#[test]
fn what_changes_nothing_is_no_event() {
    let mut base = Fixed::default();
    base.objects.insert(key("a"), draft("a", "1").seal(7));
    let (mut stage, mut arbiter) = stage!(base);
    let mut both = put("a", "1", Existence::Present);
    both.changes.extend(put("b", "1", Existence::Absent).changes);
    let committed = stage.decide(both, &mut arbiter).unwrap();
    assert_eq!((committed.first, committed.last, committed.unchanged), (11, 11, false));
    assert_eq!(committed.objects.iter().map(Object::revision).collect::<Vec<_>>(), [7, 11]);
    assert_eq!(stage.events().len(), 1);
    let nothing = stage.decide(put("a", "1", Existence::Any), &mut arbiter).unwrap();
    assert_eq!((nothing.first, nothing.last, nothing.unchanged), (11, 11, true));
}

#[test]
fn a_delete_event_shows_the_last_object_at_its_own_revision() {
    let mut base = Fixed::default();
    base.objects.insert(key("a"), draft("a", "1").seal(7));
    base.objects.insert(key("b"), draft("b", "1").seal(8));
    let (mut stage, mut arbiter) = stage!(base);
    let changes = vec![
        Write::Delete { key: key("a"), last: None },
        Write::Delete { key: key("b"), last: Some(draft("b", "last")) },
        Write::Put { key: key("a"), draft: draft("a", "new"), must: Existence::Absent },
    ];
    let committed = stage.decide(Transaction { changes, ..Transaction::default() }, &mut arbiter).unwrap();
    assert_eq!((committed.first, committed.last), (11, 13));
    let seen: Vec<_> = stage
        .events()
        .iter()
        .map(|e| (e.change, e.object.value()["spec"]["ip"].clone(), e.object.revision()))
        .collect();
    assert_eq!(
        seen,
        [(Change::Deleted, json!("1"), 11), (Change::Deleted, json!("last"), 12), (Change::Added, json!("new"), 13)]
    );
    assert!(stage.events().iter().all(|event| event.transaction == (11, 13)));
}

#[test]
fn a_request_is_carried_out_once() {
    let mut base = Fixed::default();
    let before = Outcome { code: 201, first: 3, last: 4, unchanged: false, refusal: None };
    base.outcomes.insert(RequestId(1), before.clone());
    let (mut stage, mut arbiter) = stage!(base);
    let with = |id, ip| Transaction { request: Some(RequestId(id)), ..put("a", ip, Existence::Any) };
    assert!(
        matches!(stage.decide(with(1, "1"), &mut arbiter), Err(CommitError::Repeated(outcome)) if outcome == before)
    );
    let first = stage.decide(with(2, "1"), &mut arbiter).unwrap();
    let repeated = stage.decide(with(2, "2"), &mut arbiter);
    assert!(
        matches!(repeated, Err(CommitError::Repeated(outcome)) if outcome.first == first.first && outcome.code == 200)
    );
    assert_eq!(stage.outcomes().len(), 1);
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let base = Fixed::default();
    let (mut stage, mut arbiter) = stage!(base);
    let large = put("a", &"x".repeat(2000), Existence::Any);
    assert!(matches!(stage.decide(large, &mut arbiter), Err(CommitError::TooLarge { limit: 1000, .. })));
    assert!(matches!(stage.decide(put("a\0b", "1", Existence::Any), &mut arbiter), Err(CommitError::Invalid(_))));
    assert!(matches!(stage.decide(Transaction::default(), &mut arbiter), Err(CommitError::Invalid(_))));
}
