//! Many writers at once, outcomes, and who may open a log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/log.rs"]
mod support;

use std::collections::BTreeSet;

use cox_log::{CommitError, Guard, Log, LogError, OpenError, Options, Outcome};
use cox_objects::{Resource, Status};
use support::{Any, asked, check_invariants, delete, key, of, open, put, request, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_share_dense_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let writers = (0..64u64).map(|writer| {
        let log = log.clone();
        async move {
            let mut revisions = Vec::new();
            for n in 0..20 {
                let changes =
                    vec![put(&format!("w{writer}"), &n.to_string()), put(&format!("x{writer}"), &n.to_string())];
                let committed = log.commit(asked(writer * 100 + n, changes)).await.unwrap();
                assert_eq!(committed.last, committed.first + 1, "a transaction takes consecutive revisions");
                assert!(log.head() >= committed.last, "what is acknowledged is in the head");
                revisions.extend([committed.first, committed.last]);
            }
            assert!(revisions.is_sorted());
            revisions
        }
    });
    let tasks: Vec<_> = writers.map(tokio::spawn).collect();
    let mut all = BTreeSet::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    assert_eq!(all, (1..=64 * 20 * 2).collect());
    check_invariants(&log);
}

#[tokio::test]
async fn outcomes_outlive_the_process_and_refusals_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.commit(asked(1, vec![put("a", "1")])).await.unwrap();
    log.commit(asked(2, vec![put("a", "1")])).await.unwrap();
    log.refuse(request(3), Outcome::refused(Status::bad_request("no")));
    assert!(log.outcome(request(2)).unwrap().unwrap().unchanged);
    assert_eq!(log.outcome(request(3)).unwrap().unwrap().code, 400);
    assert!(matches!(log.commit(asked(3, vec![put("b", "1")])).await, Err(CommitError::Repeated(_))));
    log.close();
    let log = open(dir.path());
    assert_eq!(log.outcome(request(1)).unwrap().unwrap().first, 1);
    assert_eq!(log.outcome(request(3)).unwrap(), None);
    assert!(matches!(log.commit(asked(1, vec![delete("a")])).await, Err(CommitError::Repeated(_))));
    assert_eq!(value(&log.get(&key("a")).unwrap().unwrap()), "1");
}

#[tokio::test]
async fn outcomes_are_dropped_after_ten_minutes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.commit(asked(1, vec![put("a", "1")])).await.unwrap();
    let mut later = of(vec![put("b", "1")]);
    later.time += 599_000;
    log.commit(later.clone()).await.unwrap();
    assert!(log.outcome(request(1)).unwrap().is_some(), "within ten minutes");
    later.time += 62_000;
    later.changes = vec![put("b", "2")];
    log.commit(later).await.unwrap();
    assert_eq!(log.outcome(request(1)).unwrap(), None);
}

#[tokio::test]
async fn a_closed_log_refuses_and_can_be_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let other = log.clone();
    let mut writable = other.writable();
    assert!(writable.borrow_and_update().is_ok());
    log.close();
    assert!(matches!(other.commit(of(vec![put("a", "1")])).await, Err(CommitError::NotWritable(_))));
    assert!(matches!(other.get(&key("a")), Err(LogError::Closed)));
    assert!(writable.borrow().is_err());
    drop(other);
    open(dir.path());
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.commit(of(vec![put("a", "1"), put("b", "1"), put("c", "1")])).await.unwrap();
    let mut snapshot = log.snapshot().unwrap();
    assert_eq!((snapshot.revision(), snapshot.size_hint()), (3, (3, Some(3))));
    let first = snapshot.next().unwrap().unwrap();
    log.commit(of(vec![put("b", "2"), delete("c"), put("d", "1")])).await.unwrap();
    let rest: Vec<_> =
        snapshot.map(|entry| entry.unwrap()).map(|(key, object)| (key.name().to_owned(), value(&object))).collect();
    assert_eq!(first.0, key("a"));
    assert_eq!(rest, [("b".to_owned(), "1".to_owned()), ("c".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn events_come_in_parts_and_histories_span_lives() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.commit(of(vec![put("a", "1")])).await.unwrap();
    log.commit(of(vec![delete("a"), put("b", &"x".repeat(500))])).await.unwrap();
    log.commit(of(vec![put("a", "2")])).await.unwrap();
    assert_eq!(log.history(&key("a")).unwrap(), [1, 2, 4]);
    assert_eq!(log.events(2, 3, usize::MAX).unwrap().len(), 2);
    assert_eq!(log.events(2, 100, 1).unwrap().len(), 1, "one event even if it is too large");
    assert!(log.events(5, 100, 1).unwrap().is_empty());
    assert_eq!(log.get_at(&key("a"), 3).unwrap(), None);
    assert_eq!(value(&log.get_at(&key("a"), 1).unwrap().unwrap()), "1");
    let names = |revision| {
        let listed = log.list_at(&Resource::CONFIGMAPS, "", None, 0, revision).unwrap();
        listed.items.iter().map(|(key, _)| key.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (names(1), names(3), names(4)),
        (vec!["a".into()], vec!["b".into()], vec!["a".to_owned(), "b".to_owned()])
    );
}

#[test]
fn a_second_process_is_told_who_has_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let second = Log::open(dir.path(), Options::default(), Box::new(Any));
    let Err(OpenError::Held { pid, .. }) = &second else { panic!("opened twice") };
    assert_eq!(pid, &std::process::id().to_string());
    let line = second.err().unwrap().to_string();
    assert!(line.contains("in use by process") && !line.contains('\n'), "{line}");
    drop(log);
    open(dir.path());
}

/// Panics when it is asked.
struct Panics;
impl cox_log::Arbiter for Panics {
    fn check(&mut self, _: &Guard, _: &dyn cox_log::Staged) -> Result<(), cox_log::Refusal> {
        panic!("a bug in the arbiter");
    }
    fn apply(&mut self, _: &cox_objects::Event, _: Option<&cox_objects::Object>) {}
    fn durable(&mut self, _: u64) {}
    fn reset(&mut self, _: &mut dyn Iterator<Item = (cox_objects::Key, cox_objects::Object)>, _: u64) {}
}

#[tokio::test]
async fn a_writer_that_panics_shows_and_the_log_can_be_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), Options::default(), Box::new(Panics)).unwrap();
    log.commit(of(vec![put("a", "1")])).await.unwrap();
    let mut guarded = of(vec![put("b", "1")]);
    guarded.guards.push(Guard::NamespaceLive("ns".into()));
    assert!(matches!(log.commit(guarded).await, Err(CommitError::Unknown)), "nobody knows how far it got");
    let mut writable = log.writable();
    tokio::time::timeout(std::time::Duration::from_secs(10), writable.wait_for(Result::is_err)).await.unwrap().unwrap();
    assert!(matches!(log.commit(of(vec![put("c", "1")])).await, Err(CommitError::NotWritable(_))));
    assert!(log.get(&key("a")).unwrap().is_some(), "reads go on");
    drop(writable);
    drop(log);
    assert_eq!(open(dir.path()).head(), 1);
}

#[tokio::test]
async fn a_disk_with_too_little_space_takes_no_writes() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { reserve: u64::MAX, ..Options::default() };
    let log = Log::open(dir.path(), options, Box::new(Any)).unwrap();
    let refused = log.commit(of(vec![put("a", "1")])).await;
    assert!(matches!(&refused, Err(CommitError::NotWritable(why)) if why.contains("kept free")), "{refused:?}");
    assert!(log.writable().borrow().is_err());
    assert_eq!((log.head(), log.get(&key("a")).unwrap()), (0, None), "surely not done, and reads go on");
}
