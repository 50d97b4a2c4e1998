//! The state against a model: lists at every remembered revision, gaps, transactions, limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_objects::selector::Selector;
use cox_objects::{Change, Draft, Resource, Revision, Source};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{at, event, key, labelled, object, offer, one};
use crate::{Limits, ListQuery};

const PATHS: [&str; 6] = ["a-b/x", "a/x", "a/y", "a/z", "ab/x", "b/x"];

fn query(namespace: &str) -> ListQuery {
    ListQuery { what: Selected::within(Resource::CONFIGMAPS, namespace), limit: 0, after: None, at: None }
}

fn started(limits: Limits) -> State {
    let mut state = State::new(limits);
    state.reset(at(0), []);
    state
}

type Seen = BTreeMap<String, (String, Revision)>;

fn seen(listing: &Listing) -> Vec<(String, (String, Revision))> {
    let one = |item: &Arc<Item>| (item.key().path().to_owned(), (item.labels()["l"].clone(), item.revision()));
    listing.items.iter().map(one).collect()
}

/// Applies random steps to a state and returns what there was after each revision.
fn grown(state: &mut State, steps: &[(usize, Option<u8>)]) -> Vec<Seen> {
    let (mut now, mut past) = (Seen::new(), vec![Seen::new()]);
    for ((path, label), revision) in steps.iter().zip(1..) {
        let path = PATHS[*path];
        let (label, change) = match (label, now.contains_key(path)) {
            (None, true) => (now[path].0.clone(), Change::Deleted),
            (label, exists) => {
                let change = if exists { Change::Modified } else { Change::Added };
                (label.unwrap_or(0).to_string(), change)
            }
        };
        offer(state, [one(revision, path, change, &label)]);
        match change {
            Change::Deleted => drop(now.remove(path)),
            _ => drop(now.insert(path.to_owned(), (label, revision))),
        }
        past.push(now.clone());
    }
    past
}

fn steps() -> impl Strategy<Value = Vec<(usize, Option<u8>)>> {
    proptest::collection::vec((0..PATHS.len(), proptest::option::weighted(0.7, 0u8..3)), 0..60)
}

proptest! {
    #[test]
    fn a_list_at_a_revision_is_what_was_there(steps in steps(), remembered in 0usize..70, limit in 0usize..4) {
        let mut state = started(Limits { entries: remembered, ..Limits::default() });
        let past = grown(&mut state, &steps);
        let head = past.len() as Revision - 1;
        for (then, revision) in past.iter().zip(0..) {
            for namespace in ["", "a", "a-b", "c"] {
                let ask = |after: Option<String>, limit| state.list(&ListQuery { at: Some(revision), after, limit, ..query(namespace) });
                let expected: Vec<_> = then
                    .iter()
                    .filter(|(path, _)| namespace.is_empty() || path.starts_with(&format!("{namespace}/")))
                    .map(|(path, what)| (path.clone(), what.clone()))
                    .collect();
                let all = match ask(None, 0) {
                    Ok(all) => all,
                    Err(error) => {
                        let forgotten = (head - revision) as usize > remembered;
                        prop_assert!(forgotten && matches!(error, WatchError::Expired { .. }), "{error}");
                        continue;
                    }
                };
                prop_assert_eq!(&seen(&all), &expected);
                // Page by page it is the same list.
                let (mut paged, mut after) = (Vec::new(), None);
                loop {
                    let page = ask(after, limit).unwrap();
                    paged.extend(seen(&page));
                    after = paged.last().map(|(path, _)| path.clone());
                    prop_assert_eq!(page.remaining.unwrap_or(0), (expected.len() - paged.len()) as u64);
                    if !page.more {
                        break;
                    }
                }
                prop_assert_eq!(&paged, &expected);
            }
        }
    }

    #[test]
    fn a_watch_replays_what_a_list_shows(steps in steps(), from in 0u64..60, label in 0u8..3, selective in any::<bool>()) {
        let mut state = started(Limits::default());
        let past = grown(&mut state, &steps);
        let from = from.min(past.len() as Revision - 1);
        let kind = kind();
        let selector = Selector::parse(&kind, &format!("l={label}"), "").unwrap();
        let what = if selective { Selected::within(Resource::CONFIGMAPS, "a").by(selector) } else { Selected::all(Resource::CONFIGMAPS) };
        let list = |revision| seen(&state.list(&ListQuery { what: what.clone(), limit: 0, after: None, at: Some(revision) }).unwrap());
        let mut replayed: Seen = list(from).into_iter().collect();
        for change in state.segment(from, &what).unwrap().events() {
            let path = change.entry.key().path();
            prop_assert_eq!(change.object().revision(), change.entry.revision(), "every event shows its own revision");
            match change.kind.as_str() {
                "ADDED" => prop_assert!(!replayed.contains_key(path)),
                _ => prop_assert!(replayed.contains_key(path)),
            }
            match change.kind.as_str() {
                "DELETED" => drop(replayed.remove(path)),
                _ => drop(replayed.insert(path.to_owned(), (change.entry.new.labels()["l"].clone(), change.entry.revision()))),
            }
        }
        prop_assert_eq!(replayed.into_iter().collect::<Vec<_>>(), list(past.len() as Revision - 1));
    }
}

/// What selectors are read for.
pub(crate) fn kind() -> cox_objects::Kind {
    cox_objects::kinds::builtin().at("", "v1", "configmaps").map(|kind| (**kind).clone()).unwrap()
}

#[test]
fn a_transaction_shows_whole_or_not_at_all() {
    let mut state = started(Limits::default());
    let part = |revision, path: &str| event(revision, (1, 3), key(path), Change::Added, labelled("1", revision));
    assert_eq!(state.offer(part(1, "a/x")).unwrap(), Taken::Waits);
    assert_eq!(state.offer(part(2, "a/y")).unwrap(), Taken::Waits);
    assert_eq!((state.position(), state.len(), state.expects_after()), (at(0), 0, 2));
    assert_eq!(state.offer(part(2, "a/y")).unwrap(), Taken::Stale);
    assert_eq!(state.offer(part(3, "a/z")).unwrap(), Taken::Applied);
    assert_eq!((state.position(), state.len()), (at(3), 3));
}

#[test]
fn gaps_repetitions_and_other_epochs_are_seen() {
    let mut state = started(Limits::default());
    offer(&mut state, [one(1, "a/x", Change::Added, "1")]);
    let Err(Refused::Gap { from: 2, event }) = state.offer(one(4, "a/y", Change::Added, "1")) else { panic!("a gap") };
    assert_eq!(state.offer(one(1, "a/x", Change::Added, "1")).unwrap(), Taken::Stale);
    offer(&mut state, [one(2, "a/p", Change::Added, "1"), one(3, "a/q", Change::Added, "1"), *event]);
    assert_eq!(state.position(), at(4));
    // The first part of a transaction is missing.
    let torn = event_of(6, (5, 6));
    assert!(matches!(state.offer(torn), Err(Refused::Gap { from: 5, .. })));
    let mut other = one(5, "a/x", Change::Modified, "2");
    other.position.epoch = cox_objects::Epoch(8);
    assert!(matches!(state.offer(other), Err(Refused::OtherEpoch)));
}

fn event_of(revision: Revision, transaction: (Revision, Revision)) -> Event {
    event(revision, transaction, key("a/t"), Change::Added, labelled("1", revision))
}

#[test]
fn owners_are_followed_through_changes() {
    let mut state = started(Limits::default());
    let owned = |uids: &[&str], revision| {
        let references: Vec<_> = uids.iter().map(|uid| json!({"uid": uid})).collect();
        object(&json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"ownerReferences": references}}), revision)
    };
    let paths = |state: &State, uid: &str| {
        let owned = Source::owned(state, &Resource::CONFIGMAPS, uid);
        owned.into_iter().map(|(key, _)| key.path().to_owned()).collect::<Vec<_>>()
    };
    offer(
        &mut state,
        [
            event(1, (1, 1), key("a/y"), Change::Added, owned(&["u", "v"], 1)),
            event(2, (2, 2), key("a/x"), Change::Added, owned(&["u"], 2)),
        ],
    );
    assert_eq!((paths(&state, "u"), paths(&state, "v")), (vec!["a/x".to_owned(), "a/y".into()], vec!["a/y".into()]));
    offer(
        &mut state,
        [
            event(3, (3, 3), key("a/y"), Change::Modified, owned(&["w"], 3)),
            event(4, (4, 4), key("a/x"), Change::Deleted, owned(&["u"], 4)),
        ],
    );
    assert_eq!((paths(&state, "u"), paths(&state, "v"), paths(&state, "w")), (vec![], vec![], vec!["a/y".to_owned()]));
}

#[test]
fn what_is_remembered_is_bounded_by_bytes_and_age() {
    let mut state = started(Limits { entries: 1000, bytes: 20_000, age: 10 });
    offer(&mut state, (1..=200).map(|n| one(n, "a/x", if n == 1 { Change::Added } else { Change::Modified }, "1")));
    assert!(state.bytes <= 20_000 && state.order.len() < 40, "{} bytes, {} changes", state.bytes, state.order.len());
    assert!(matches!(state.check(100, &Resource::CONFIGMAPS), Err(WatchError::Expired { revision: 100, .. })));
    assert!(state.check(195, &Resource::CONFIGMAPS).is_ok());
    // Events carry their revision as time here: at 208 only those from 198 on are young enough.
    state.age(208);
    assert!(matches!(state.check(195, &Resource::CONFIGMAPS), Err(WatchError::Expired { oldest: 197, .. })));
    assert!(state.check(197, &Resource::CONFIGMAPS).is_ok());
    assert!(state.check(100, &Resource::SECRETS).is_ok(), "another resource has lost nothing");
    assert!(matches!(state.check(201, &Resource::SECRETS), Err(WatchError::Future { current: 200, .. })));
}

#[test]
fn replacing_a_part_shows_as_changes() {
    let mut state = started(Limits::default());
    let cause = Arc::new(Cause::default());
    let put = |path: &str, label: &str, at| Put {
        key: key(path),
        object: Some(labelled(label, at)),
        at,
        cause: cause.clone(),
    };
    state.put_all(at(5), [put("a/x", "1", 5), put("a/y", "1", 5), put("a/z", "1", 5)]);
    state.replace(
        at(9),
        vec![(key("a/x"), labelled("1", 5)), (key("a/y"), labelled("2", 8)), (key("b/x"), labelled("1", 3))],
    );
    let segment = state.segment(5, &Selected::all(Resource::CONFIGMAPS)).unwrap();
    let mut told: Vec<_> =
        segment.events().iter().map(|e| (e.entry.key().path().to_owned(), e.kind.as_str())).collect();
    told.sort();
    assert_eq!(told, [("a/y".to_owned(), "MODIFIED"), ("a/z".to_owned(), "DELETED"), ("b/x".to_owned(), "ADDED")]);
    assert_eq!((state.position(), state.len()), (at(9), 3));
    let same = Source::list(&state, &Resource::CONFIGMAPS, "");
    state.replace(at(9), same);
    assert!(state.check(5, &Resource::CONFIGMAPS).is_ok(), "the same set again is no new start");
    state.replace(at(2), vec![]);
    assert_eq!((state.position(), state.len()), (at(2), 0), "an older server's set is a new start");
}

#[test]
fn a_list_by_name_finds_it_in_one_namespace_or_in_all() {
    let mut state = started(Limits::default());
    offer(&mut state, PATHS.iter().zip(1..).map(|(path, n)| one(n, path, Change::Added, "1")));
    let named = |namespace: &str, name: &str, at: Option<Revision>| {
        let selector = Selector::parse(&kind(), "", &format!("metadata.name={name}")).unwrap();
        let what = Selected::within(Resource::CONFIGMAPS, namespace).by(selector);
        let listing = state.list(&ListQuery { what, limit: 0, after: None, at }).unwrap();
        seen(&listing).into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(named("a", "x", None), ["a/x"]);
    assert_eq!(named("", "x", None), ["a-b/x", "a/x", "ab/x", "b/x"]);
    assert_eq!(named("a", "x", Some(1)), Vec::<String>::new());
    assert_eq!(
        Draft::of(state.item(&key("a/x")).unwrap().object()).seal(2),
        *state.item(&key("a/x")).unwrap().object()
    );
}
