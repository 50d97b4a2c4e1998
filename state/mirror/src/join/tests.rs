//! What of the log is enough to join a watch.

use cox_objects::selector::Selector;
use cox_objects::{Change, Resource};

use super::*;
use crate::testing::one;

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
    let all = segment(events.clone(), &Selected::all(Resource::CONFIGMAPS), 2, 6).unwrap();
    assert_eq!(told(&all), [("MODIFIED", 3), ("ADDED", 4), ("DELETED", 5), ("ADDED", 6)]);
    assert_eq!((all.after(), all.through()), (2, 6));
    let one_namespace = segment(events, &Selected::within(Resource::CONFIGMAPS, "b"), 2, 7).unwrap();
    assert_eq!(told(&one_namespace), [("ADDED", 4)]);
}

#[test]
fn with_a_selector_only_if_what_was_before_is_known() {
    let by = |labels: &str| {
        let selector = Selector::parse(&crate::state::tests::kind(), labels, "").unwrap();
        Selected::all(Resource::CONFIGMAPS).by(selector)
    };
    let known = vec![
        one(3, "a/x", Change::Added, "1"),
        one(4, "a/x", Change::Modified, "2"),
        one(5, "a/x", Change::Modified, "1"),
    ];
    assert_eq!(told(&segment(known, &by("l=1"), 2, 5).unwrap()), [("ADDED", 3), ("DELETED", 4), ("ADDED", 5)]);
    assert!(
        segment(vec![one(3, "a/x", Change::Modified, "1")], &by("l=1"), 2, 3).is_none(),
        "it may have matched before, or not"
    );
}
