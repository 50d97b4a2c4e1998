//! However the events arrive, lost, doubled or out of order, the state goes through the log's own states only, and ends at its head.

use cox_objects::{Change, Resource, Source};
use proptest::prelude::*;

use super::*;
use crate::Limits;
use crate::testing::{at, event, key, labelled};

/// A log of transactions of these lengths, each changing few objects.
fn log(lengths: &[usize]) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for length in lengths {
        let first = events.len() as Revision + 1;
        let last = first + *length as Revision - 1;
        for revision in first..=last {
            let path = format!("n/{}", revision % 5);
            let before = events.iter().rev().find(|event| event.key.path() == path).map(|event| event.change);
            let change = match before {
                None | Some(Change::Deleted) => Change::Added,
                Some(_) if revision % 3 == 0 => Change::Deleted,
                Some(_) => Change::Modified,
            };
            events.push(event(revision, (first, last), key(&path), change, labelled("l", revision)));
        }
    }
    events
}

fn objects(state: &State) -> Vec<(Key, Object)> {
    Source::list(state, &Resource::CONFIGMAPS, "")
}

fn started() -> State {
    let mut state = State::new(Limits::default());
    state.reset(at(0), []);
    state
}

proptest! {
    #[test]
    fn the_mirror_is_always_a_state_of_the_log(
        lengths in proptest::collection::vec(1usize..4, 1..20),
        heard in proptest::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        let log = log(&lengths);
        let mut states = std::collections::BTreeMap::from([(0, Vec::new())]);
        let mut straight = started();
        for event in &log {
            straight.offer(event.clone()).unwrap();
            states.insert(straight.position().revision, objects(&straight));
        }
        let mut state = started();
        // What is heard last is the head: an announcement shows whatever is missing then.
        let last = log.len() - 1;
        for index in heard.iter().map(|index| index.index(log.len())).chain([last]) {
            let mut offered = vec![log[index].clone()];
            while let Some(next) = offered.pop() {
                let Some((from, after)) = offer_all(&mut state, &mut std::iter::once(next)).unwrap() else { continue };
                let missing = log[from as usize - 1..after.revision() as usize - 1].to_vec();
                prop_assert!(!missing.is_empty() || from == after.revision());
                prop_assert!(offer_all(&mut state, &mut missing.into_iter()).unwrap().is_none());
                offered.push(after);
            }
            let reached = state.position().revision;
            prop_assert_eq!(states.get(&reached), Some(&objects(&state)), "at {}", reached);
        }
        prop_assert_eq!(state.position().revision, log.len() as Revision);
    }
}
