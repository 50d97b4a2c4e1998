//! Watches as clients see them.

use std::time::Duration;

use cox_objects::selector::Selector;
use cox_objects::{Change, Resource};

use super::*;
use crate::testing::{mirror, offer, one};
use crate::{Limits, Mirror};

fn query(start: Start, labels: &str) -> WatchQuery {
    let kind = crate::state::tests::kind();
    let what = Selected::all(Resource::CONFIGMAPS).by(Selector::parse(&kind, labels, "").unwrap());
    WatchQuery { what, start, bookmarks: true }
}

fn send(mirror: &Mirror, revision: u64, path: &str, change: Change, label: &str) {
    mirror.update(|state| offer(state, [one(revision, path, change, label)]));
}

/// The next changes, as type, path and the revision of the object that is shown.
async fn changes(watch: &mut Watch) -> Vec<(&'static str, String, u64)> {
    let next = tokio::time::timeout(Duration::from_secs(5), watch.next()).await.expect("nothing came").unwrap();
    let Batch::Changes(segment) = next else { panic!("{next:?}") };
    segment
        .events()
        .iter()
        .map(|event| (event.kind.as_str(), event.entry.key().path().to_owned(), event.object().revision()))
        .collect()
}

#[tokio::test]
async fn an_object_comes_into_a_selector_and_leaves_it() {
    let mirror = mirror(Limits::default());
    send(&mirror, 1, "a/c", Change::Added, "0");
    let mut watch = mirror.watch(query(Start::At(1), "l=1")).unwrap();
    send(&mirror, 2, "a/c", Change::Modified, "1");
    assert_eq!(changes(&mut watch).await, [("ADDED", "a/c".to_owned(), 2)]);
    send(&mirror, 3, "a/c", Change::Modified, "1");
    assert_eq!(changes(&mut watch).await, [("MODIFIED", "a/c".to_owned(), 3)]);
    send(&mirror, 4, "a/c", Change::Modified, "2");
    send(&mirror, 5, "a/c", Change::Modified, "2");
    let Ok(Batch::Changes(segment)) = watch.next().await else { panic!("no changes") };
    let [left] = segment.events() else { panic!("{segment:?}") };
    assert_eq!((left.kind, left.object().revision()), (EventKind::Left, 4));
    assert_eq!(left.object().value()["metadata"]["labels"]["l"], "1", "the last object that matched");
    send(&mirror, 6, "a/c", Change::Modified, "1");
    send(&mirror, 7, "a/c", Change::Deleted, "1");
    assert_eq!(changes(&mut watch).await, [("ADDED", "a/c".to_owned(), 6), ("DELETED", "a/c".to_owned(), 7)]);
}

#[tokio::test]
async fn initial_events_end_with_a_mark_for_those_who_asked() {
    let mirror = mirror(Limits::default());
    for n in 1..=INITIAL as u64 + 5 {
        send(&mirror, n, &format!("a/{n:04}"), Change::Added, "1");
    }
    let mut watch = mirror.watch(query(Start::Initial { marked: true }, "")).unwrap();
    send(&mirror, 506, "a/later", Change::Added, "1");
    for expected in [INITIAL, 5] {
        let Ok(Batch::Initial(items)) = watch.next().await else { panic!("no initial objects") };
        assert_eq!(items.len(), expected);
    }
    assert!(matches!(watch.next().await, Ok(Batch::Bookmark { revision: 505, initial_end: true })));
    assert_eq!(changes(&mut watch).await, [("ADDED", "a/later".to_owned(), 506)]);
    let mut unmarked = mirror.watch(query(Start::Initial { marked: false }, "l=none")).unwrap();
    send(&mirror, 507, "a/more", Change::Added, "none");
    assert_eq!(changes(&mut unmarked).await, [("ADDED", "a/more".to_owned(), 507)]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_is_told_how_far_it_is() {
    let mirror = mirror(Limits::default());
    let mut watch = mirror.watch(query(Start::Now, "l=none")).unwrap();
    send(&mirror, 1, "a/c", Change::Added, "1");
    assert!(matches!(watch.next().await, Ok(Batch::Bookmark { revision: 1, initial_end: false })));
    let mut without = mirror.watch(WatchQuery { bookmarks: false, ..query(Start::Now, "") }).unwrap();
    assert!(tokio::time::timeout(BOOKMARK_EVERY * 3, without.next()).await.is_err());
}

#[tokio::test]
async fn a_watcher_that_is_too_slow_ends() {
    let mirror = mirror(Limits { entries: 10, ..Limits::default() });
    let mut slow = mirror.watch(query(Start::Now, "")).unwrap();
    for n in 1..=11 {
        send(&mirror, n, "a/c", if n == 1 { Change::Added } else { Change::Modified }, "1");
    }
    assert!(matches!(slow.next().await, Err(WatchError::Expired { revision: 0, oldest: 1 })));
    assert!(matches!(mirror.watch(query(Start::At(0), "")), Err(WatchError::Expired { .. })));
    assert!(matches!(mirror.watch(query(Start::At(12), "")), Err(WatchError::Future { revision: 12, current: 11 })));
    let mut from_one = mirror.watch(query(Start::At(1), "")).unwrap();
    assert_eq!(changes(&mut from_one).await.len(), 10);
}

#[tokio::test]
async fn a_new_start_of_the_mirror_ends_watches() {
    let mirror = mirror(Limits::default());
    let mut watch = mirror.watch(query(Start::Now, "")).unwrap();
    mirror.update(|state| state.reset(crate::testing::at(50), []));
    assert!(matches!(watch.next().await, Err(WatchError::Expired { revision: 0, oldest: 50 })));
}

#[tokio::test]
async fn watchers_of_a_resource_share_segments_and_encodings() {
    let mirror = mirror(Limits::default());
    let mut watches = [(); 3].map(|()| mirror.watch(query(Start::Now, "")).unwrap());
    send(&mirror, 1, "a/c", Change::Added, "1");
    let mut made = 0;
    for watch in &mut watches {
        let Ok(Batch::Changes(segment)) = watch.next().await else { panic!("no changes") };
        let mut encode = || {
            made += 1;
            bytes::Bytes::from_static(b"frame")
        };
        segment.frames().get_or_make(0, &mut encode);
        segment.events()[0].entry.frames().get_or_make(3, &mut encode);
    }
    assert_eq!(made, 2, "each is encoded once");
}
