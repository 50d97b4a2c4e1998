//! What of the log is enough to join a watch.

use cox_objects::selector::Selector;
use cox_objects::{Change, Resource};

use super::*;
use crate::testing::{key, labelled, one};

fn told(segment: &Segment) -> Vec<(&'static str, Revision)> {
    segment.events().iter().map(|event| (event.kind.as_str(), event.object().revision())).collect()
}

#[test]
fn without_a_selector_the_events_tell_all() {
    let events = vec![
        one(3, "a/x", Change::Modified, "1"),
        one(4, "b/x", Change::Added, "1"),
        one(5, "a/x", Change::Deleted, "1"),
        one(6, "a/x", Change::Added, "1"),
        one(7, "a/x", Change::Modified, "1"),
    ];
    let all = segment(events.clone(), &Selected::all(Resource::CONFIGMAPS), None, 2, 6);
    assert_eq!(told(&all), [("MODIFIED", 3), ("ADDED", 4), ("DELETED", 5), ("ADDED", 6)]);
    assert_eq!((all.after(), all.through()), (2, 6));
    let one_namespace = segment(events, &Selected::within(Resource::CONFIGMAPS, "b"), None, 2, 7);
    assert_eq!(told(&one_namespace), [("ADDED", 4)]);
}

#[test]
fn with_a_selector_what_was_before_decides() {
    let selector = Selector::parse(&crate::state::tests::kind(), "l=1", "").unwrap();
    let what = Selected::all(Resource::CONFIGMAPS).by(selector);
    let before =
        ["1", "2"].map(|l| (key(&format!("a/{l}")), Arc::new(Item::new(key(&format!("a/{l}")), labelled(l, 1)))));
    let events = vec![
        one(3, "a/new", Change::Added, "1"),
        one(4, "a/1", Change::Modified, "2"),
        one(5, "a/2", Change::Modified, "1"),
        one(6, "a/new", Change::Modified, "2"),
        one(7, "a/1", Change::Modified, "3"),
        one(8, "a/2", Change::Deleted, "1"),
        one(9, "a/1", Change::Deleted, "3"),
    ];
    let seen = segment(events, &what, Some(HashMap::from(before)), 2, 9);
    assert_eq!(told(&seen), [("ADDED", 3), ("DELETED", 4), ("ADDED", 5), ("DELETED", 6), ("DELETED", 8)]);
}
