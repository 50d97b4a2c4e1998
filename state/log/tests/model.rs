//! Random transactions against a model, with the log closed and opened again at random points.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/log.rs"]
mod support;

use std::collections::BTreeMap;

use cox_log::{CommitError, Existence, Log, LogError, Precondition, Write};
use cox_objects::{Key, Object, Resource};
use proptest::prelude::*;
use support::{asked, check_invariants, delete, draft, key, open, value};

#[derive(Clone, Debug)]
enum Step {
    /// Changes; each a name, a value (none deletes), and what it expects.
    Commit(Vec<(u8, Option<u8>, u8)>, Option<(u8, bool)>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0u8..5, proptest::option::weighted(0.75, 0u8..3), 0u8..3);
    let commit = (proptest::collection::vec(change, 1..4), proptest::option::of((0u8..5, any::<bool>())));
    let step = prop_oneof![
        9 => commit.prop_map(|(changes, expects)| Step::Commit(changes, expects)),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

type State = BTreeMap<String, (String, u64)>;

/// What the log must answer, said in another way: the new state, or none if it is refused.
fn model(
    state: &State,
    head: u64,
    changes: &[(u8, Option<u8>, u8)],
    expects: Option<(u8, u64)>,
) -> Option<(State, u64)> {
    if let Some((name, revision)) = expects
        && state.get(&name.to_string()).is_none_or(|(_, current)| *current != revision)
    {
        return None;
    }
    let (mut state, mut head) = (state.clone(), head);
    for (name, value, must) in changes {
        let name = name.to_string();
        let there = state.get(&name).map(|(value, _)| value.clone());
        match value {
            None => {
                state.remove(&name)?;
                head += 1;
            }
            Some(_) if (*must == 0 && there.is_some()) || (*must == 1 && there.is_none()) => return None,
            Some(value) if there.as_ref() == Some(&value.to_string()) => {}
            Some(value) => {
                head += 1;
                state.insert(name, (value.to_string(), head));
            }
        }
    }
    Some((state, head))
}

fn writes(changes: &[(u8, Option<u8>, u8)]) -> Vec<Write> {
    let must = |must: u8| [Existence::Absent, Existence::Present, Existence::Any][must as usize];
    let write = |(name, value, expects): &(u8, Option<u8>, u8)| match value {
        None => delete(&name.to_string()),
        Some(value) => Write::Put {
            key: key(&name.to_string()),
            draft: draft(&name.to_string(), &value.to_string()),
            must: must(*expects),
        },
    };
    changes.iter().map(write).collect()
}

fn seen(items: &[(Key, Object)]) -> State {
    items.iter().map(|(key, object)| (key.name().to_owned(), (value(object), object.revision()))).collect()
}

fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut log = open(dir.path());
    let (mut state, mut past) = (State::new(), vec![State::new()]);
    for (step, id) in steps.into_iter().zip(1u64..) {
        let Step::Commit(changes, expects) = step else {
            let epoch = log.epoch();
            log.close();
            log = open(dir.path());
            assert_eq!((log.epoch(), log.head()), (epoch, past.len() as u64 - 1));
            continue;
        };
        let head = past.len() as u64 - 1;
        let expects = expects.map(|(name, right)| {
            let current = state.get(&name.to_string()).map_or(0, |(_, revision)| *revision);
            (name, if right { current } else { current + 1 })
        });
        let mut transaction = asked(id, writes(&changes));
        transaction.preconditions.extend(expects.map(|(name, revision)| Precondition {
            key: key(&name.to_string()),
            uid: None,
            revision: Some(revision),
        }));
        let answer = runtime.block_on(log.commit(transaction.clone()));
        match (model(&state, head, &changes, expects), answer) {
            (None, Err(error)) => assert!(
                matches!(error, CommitError::Exists(_) | CommitError::Missing(_) | CommitError::Conflict { .. }),
                "{error}"
            ),
            (Some((after, last)), Ok(committed)) => {
                assert_eq!((committed.last, committed.unchanged), (last, last == head));
                state = after;
                past.resize(last as usize + 1, state.clone());
                let again = runtime.block_on(log.commit(transaction));
                assert!(
                    matches!(again, Err(CommitError::Repeated(outcome)) if outcome.last == last && outcome.code == 200)
                );
            }
            (expected, answer) => panic!("{changes:?} on {state:?}: the model says {expected:?}, the log {answer:?}"),
        }
        assert_eq!(log.head(), past.len() as u64 - 1);
    }
    compare(&log, &state, &past);
}

fn compare(log: &Log, state: &State, past: &[State]) {
    check_invariants(log);
    let resource = Resource::CONFIGMAPS;
    assert_eq!(&seen(&log.list(&resource, "ns", None, 0).unwrap().items), state);
    assert!(log.list(&resource, "n", None, 0).unwrap().items.is_empty(), "a prefix of a namespace is another one");
    for name in 0..5u8 {
        let object = log.get(&key(&name.to_string())).unwrap();
        assert_eq!(object.as_ref().map(Object::revision), state.get(&name.to_string()).map(|(_, revision)| *revision));
    }
    // Within a transaction the states in between are not compared: no reader is told of them.
    for (then, revision) in past.iter().zip(0u64..) {
        let whole = log.event(revision).unwrap().is_none_or(|event| event.ends_transaction());
        if whole {
            assert_eq!(&seen(&log.list_at(&resource, "", None, 0, revision).unwrap().items), then, "at {revision}");
            let (name, _) = (revision % 5, ());
            let object = log.get_at(&key(&name.to_string()), revision).unwrap();
            assert_eq!(object.map(|o| o.revision()), then.get(&name.to_string()).map(|(_, r)| *r));
        }
    }
    let head = log.head();
    assert!(matches!(log.get_at(&key("0"), head + 1), Err(LogError::Future { .. })));
    pages(log, state, head);
}

fn pages(log: &Log, state: &State, head: u64) {
    let (mut after, mut items) = (None, Vec::new());
    loop {
        let page = log.list_at(&Resource::CONFIGMAPS, "ns", after.as_deref(), 2, head).unwrap();
        let now = log.list(&Resource::CONFIGMAPS, "ns", after.as_deref(), 2).unwrap();
        assert_eq!((&page.items, page.more), (&now.items, now.more), "a list at the head is the list");
        items.extend(page.items);
        after = items.last().map(|(key, _)| key.path().to_owned());
        if !page.more {
            break;
        }
    }
    assert_eq!(&seen(&items), state);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_log_does_what_the_model_does(steps in steps()) {
        run(steps);
    }
}
