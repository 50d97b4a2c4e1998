//! What is held is what was committed last, whatever came before, and within its bounds.

use cox_objects::{Cause, Draft, Epoch, Position, RequestId, Resource};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn event(revision: Revision, name: u8, size: usize, deleted: bool) -> Event {
    let value =
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, "data": {"a": "x".repeat(size)}});
    Event {
        position: Position { epoch: Epoch(1), revision },
        transaction: (revision, revision),
        time: 0,
        key: Key::new(Resource::CONFIGMAPS, "d", &format!("n{name}")),
        change: if deleted { Change::Deleted } else { Change::Modified },
        object: Draft::encode(&value).unwrap().seal(revision),
        cause: Cause {
            user: String::new(),
            component: String::new(),
            request: RequestId(0),
            observed: None,
            trigger: None,
            folded: Vec::new(),
            correlation: None,
            traceparent: None,
        },
    }
}

proptest! {
    #[test]
    fn it_says_what_the_log_would_say(
        changes in prop::collection::vec((0u8..12, 0usize..900, prop::bool::weighted(0.2)), 1..120),
        at_a_time in 1usize..9,
    ) {
        let events: Vec<Event> =
            (10u64..).zip(&changes).map(|(revision, &(name, size, deleted))| event(revision, name, size, deleted)).collect();
        let recent = Recent::new(8_000, 8_000);
        let mut truth: HashMap<Key, Object> = HashMap::new();
        for batch in events.chunks(at_a_time) {
            recent.commit(batch.to_vec());
            for event in batch {
                match event.change {
                    Change::Deleted => truth.remove(&event.key),
                    _ => truth.insert(event.key.clone(), event.object.clone()),
                };
            }
            for name in 0..12 {
                let key = Key::new(Resource::CONFIGMAPS, "d", &format!("n{name}"));
                match recent.object(&key) {
                    Some(object) => prop_assert_eq!(Some(&object), truth.get(&key)),
                    // As the writer does, which reads what is not held.
                    None => if let Some(object) = truth.get(&key) { recent.note(&key, object) },
                }
            }
        }
        let last = 9 + events.len() as u64;
        prop_assert_eq!(recent.event(last).map(|event| event.revision()), Some(last), "the newest is always held");
        for from in 9..=last + 1 {
            if let Some(held) = recent.events(from, last, 3_000) {
                let revisions: Vec<Revision> = held.iter().map(Event::revision).collect();
                prop_assert!(!revisions.is_empty());
                prop_assert_eq!(&revisions, &(from..from + revisions.len() as u64).collect::<Vec<_>>());
            }
        }
        let inner = recent.inner.read();
        prop_assert!(inner.bytes_of_events <= 8_000);
        prop_assert_eq!(inner.bytes_of_young, inner.young.values().map(weight).sum::<usize>());
        prop_assert!(inner.old.len() + inner.young.len() <= 12);
    }
}

#[test]
fn what_is_cleared_is_not_held() {
    let recent = Recent::new(8_000, 8_000);
    recent.commit(vec![event(1, 1, 10, false), event(2, 2, 10, false)]);
    assert_eq!(recent.events(1, 1, usize::MAX).map(|events| events.len()), Some(1), "not past the asked revision");
    recent.clear();
    assert!(recent.object(&Key::new(Resource::CONFIGMAPS, "d", "n1")).is_none());
    assert!(recent.events(1, 2, usize::MAX).is_none());
}
