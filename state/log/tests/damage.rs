//! Damaged files: a torn tail is trimmed, everything else is said in one line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/log.rs"]
mod support;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cox_log::{Log, OpenError, Options};
use support::{Any, check_invariants, key, of, open, put, value};

/// A closed log with a number of transactions of two changes each, and the size of its write-ahead log after each.
fn written(dir: &Path, transactions: u32) -> Vec<u64> {
    let log = open(dir);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sizes = (1..=transactions).map(|n| {
        let changes = vec![put("a", &format!("{n}{}", "x".repeat(300))), put("b", &n.to_string())];
        runtime.block_on(log.commit(of(changes))).unwrap();
        fs::metadata(wal(dir)).unwrap().len()
    });
    let sizes = sizes.collect();
    log.close();
    sizes
}

/// The newest write-ahead log.
fn wal(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap()
}

fn refused(dir: &Path) -> (OpenError, String) {
    let error = Log::open(dir, Options::default(), Box::new(Any)).err().expect("it opens");
    let line = error.to_string();
    assert!(!line.contains('\n') && line.contains(dir.to_str().unwrap()), "one line that names the directory: {line}");
    (error, line)
}

#[test]
fn a_torn_tail_is_trimmed_and_nothing_else() {
    for torn in [1, 9, 60] {
        let dir = tempfile::tempdir().unwrap();
        let sizes = written(dir.path(), 10);
        let file = OpenOptions::new().write(true).open(wal(dir.path())).unwrap();
        file.set_len(sizes[9] - torn).unwrap();
        let log = open(dir.path());
        assert_eq!(log.head(), 18, "the torn transaction is gone as a whole");
        assert_eq!(value(&log.get(&key("b")).unwrap().unwrap()), "9");
        check_invariants(&log);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(
            runtime.block_on(log.commit(of(vec![put("c", "1")]))).unwrap().first,
            19,
            "and its revisions are used again"
        );
    }
}

#[test]
fn damage_in_the_middle_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = written(dir.path(), 10);
    let file = OpenOptions::new().read(true).write(true).open(wal(dir.path())).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, sizes[4] + 100).unwrap();
    file.write_all_at(&[byte[0] ^ 0xff], sizes[4] + 100).unwrap();
    let (error, line) = refused(dir.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{line}");
    assert!(line.contains("restore it from a backup"), "{line}");
}

#[test]
fn a_lost_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3);
    fs::remove_file(dir.path().join("log").join("CURRENT")).unwrap();
    for _ in 0..2 {
        let (error, line) = refused(dir.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{line}");
    }
}

/// Changes the closed database behind the log's back.
fn tamper(dir: &Path, change: impl FnOnce(&rocksdb::DB)) {
    let names = ["default", "log", "current", "history", "requests", "meta"];
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.join("log"), names).unwrap();
    change(&db);
}

#[test]
fn a_newer_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 1);
    tamper(dir.path(), |db| db.put_cf(db.cf_handle("meta").unwrap(), "format", 3u32.to_be_bytes()).unwrap());
    let (error, line) = refused(dir.path());
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{line}");
    tamper(dir.path(), |db| db.put_cf(db.cf_handle("meta").unwrap(), "format", 1u32.to_be_bytes()).unwrap());
    assert_eq!(open(dir.path()).head(), 2, "nothing was touched, and the format before is read");
}

#[test]
fn a_transaction_that_is_cut_off_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 2);
    tamper(dir.path(), |db| db.delete_cf(db.cf_handle("log").unwrap(), 4u64.to_be_bytes()).unwrap());
    let (error, line) = refused(dir.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{line}");
}

#[test]
fn an_object_whose_event_is_missing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 2);
    tamper(dir.path(), |db| {
        db.put_cf(db.cf_handle("current").unwrap(), "configmaps\0ns/z", 77u64.to_be_bytes()).unwrap()
    });
    let (error, line) = refused(dir.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{line}");
}
