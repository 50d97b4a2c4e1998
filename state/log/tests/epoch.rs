//! A new epoch: what is left of the one before stays readable, what was lost is gone, and no revision is ever used twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/log.rs"]
mod support;

use cox_log::{Log, LogError, Options};
use cox_objects::Resource;
use support::{key, of, open, put, value};

const BASE: u64 = 1_000_000_004;

#[tokio::test]
async fn a_new_epoch_goes_on_past_everything() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for n in 1..=4 {
        log.commit(of(vec![put("a", &n.to_string())])).await.unwrap();
    }
    let before = log.epoch();
    let held = Log::begin_epoch(dir.path(), &Options::default(), BASE).unwrap_err();
    assert!(held.to_string().contains("in use by process"), "{held}");
    log.close();
    Log::begin_epoch(dir.path(), &Options::default(), BASE).unwrap();

    for opening in 0..2 {
        let log = open(dir.path());
        let head = BASE + opening;
        assert!(log.epoch() != before);
        assert_eq!((log.head(), log.dense_from(), log.snapshot().unwrap().revision()), (head, BASE + 1, head));
        assert_eq!(log.snapshot().unwrap().count(), 1);
        let at = |revision| log.get_at(&key("a"), revision).map(|object| value(&object.unwrap()));
        assert_eq!(at(3).unwrap(), "3", "what is left of the past is still read");
        assert_eq!(at(BASE).unwrap(), "4");
        assert!(matches!(at(5), Err(LogError::Expired { revision: 5, oldest: BASE })), "it was lost");
        let lost = log.list_at(&Resource::CONFIGMAPS, "", None, 0, BASE - 1);
        assert!(matches!(lost, Err(LogError::Expired { .. })));
        let committed = log.commit(of(vec![put("a", &format!("new {opening}"))])).await.unwrap();
        assert_eq!(committed.first, head + 1);
        assert_eq!(at(head + 1).unwrap(), format!("new {opening}"));
        log.close();
    }
}

#[tokio::test]
async fn it_never_begins_below_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for n in 1..=4 {
        log.commit(of(vec![put("a", &n.to_string())])).await.unwrap();
    }
    log.close();
    Log::begin_epoch(dir.path(), &Options::default(), 2).unwrap();
    assert_eq!(open(dir.path()).head(), 4);
}
