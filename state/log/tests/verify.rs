//! A log is read whole: what is sound passes and stays untouched, and every kind of damage is named with its revision.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/log.rs"]
mod support;

use std::path::Path;

use cox_log::{Log, Options, Report, Until, VerifyError, cut, format, verify};
use cox_objects::{Key, Resource};
use support::{asked, check_invariants, delete, draft, key, of, open, put, value};

/// A closed log of 9 revisions: `a` changed thrice, `b` made and gone, `c` made again, `d` and `e` at once.
async fn written(dir: &Path) {
    let log = open(dir);
    log.commit(asked(1, vec![put("a", "1"), put("b", "1")])).await.unwrap();
    log.commit(of(vec![put("a", "2"), delete("b"), put("c", "1")])).await.unwrap();
    log.commit(of(vec![delete("c")])).await.unwrap();
    log.commit(asked(2, vec![put("d", "1"), put("c", "2"), put("a", "3")])).await.unwrap();
    log.close();
}

fn passes(dir: &Path) -> Report {
    verify(dir, &Options::default(), 0, &mut |_, _| {}).unwrap()
}

fn fault(dir: &Path) -> String {
    let error = verify(dir, &Options::default(), 0, &mut |_, _| {}).unwrap_err();
    let line = error.to_string();
    assert!(!line.contains('\n') && line.contains(dir.to_str().unwrap()), "one line that names the directory: {line}");
    line
}

/// Changes the closed database behind the log's back.
fn tamper(dir: &Path, family: &str, change: impl FnOnce(&rocksdb::DB, &rocksdb::ColumnFamily)) {
    let names = ["default", "log", "current", "history", "requests", "meta"];
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.join("log"), names).unwrap();
    change(&db, db.cf_handle(family).unwrap());
}

#[tokio::test]
async fn a_sound_log_passes_also_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let mut told = Vec::new();
    let report = verify(dir.path(), &Options::default(), 9, &mut |done, of| told.push((done, of))).unwrap();
    let Report { oldest, head, dense_from, events, transactions, objects, outcomes, .. } = report;
    assert_eq!((oldest, head, dense_from, events), (Some(1), 9, 1, 9));
    assert_eq!((transactions, objects, outcomes), (4, 3, 2));
    let read = 9 + 9 + 3 + 2;
    assert_eq!(told.last(), Some(&(read, read)), "every entry is read, and it says so");

    let log = open(dir.path());
    assert_eq!(log.head(), 9, "and nothing was touched");
    assert!(fault(dir.path()).contains("in use by process"), "a log that is written cannot be verified");
    let copies = tempfile::tempdir().unwrap();
    log.checkpoint(&copies.path().join("log")).unwrap();
    log.commit(of(vec![put("a", "later")])).await.unwrap();
    assert_eq!(passes(copies.path()), report, "a copy can, and has no more than there was");
    log.close();
    let stopped = tempfile::tempdir().unwrap();
    Log::checkpoint_of(dir.path(), &Options::default(), &stopped.path().join("log")).unwrap();
    assert_eq!(passes(stopped.path()).head, 10);
    let short = verify(copies.path(), &Options::default(), 10, &mut |_, _| {}).unwrap_err();
    assert!(matches!(short, VerifyError::Damaged { .. }), "{short}");
}

#[tokio::test]
async fn each_damage_is_named_with_its_revision() {
    let log_key = format::log_key;
    let current = |name: &str| format::current_key(&key(name));
    let history = |name: &str, revision| format::history_key(&key(name), revision);
    type Change<'a> = Box<dyn Fn(&rocksdb::DB, &rocksdb::ColumnFamily) + 'a>;
    let remove = |key: Vec<u8>| -> Change<'static> { Box::new(move |db, family| db.delete_cf(family, &key).unwrap()) };
    let set = |key: Vec<u8>, value: Vec<u8>| -> Change<'static> {
        Box::new(move |db, family| db.put_cf(family, &key, &value).unwrap())
    };
    let move_record = |from: u64, to: u64| -> Change<'static> {
        Box::new(move |db, family| {
            let record = db.get_cf(family, log_key(from)).unwrap().unwrap();
            db.put_cf(family, log_key(to), record).unwrap();
        })
    };
    let flip = |revision: u64, from_end: usize| -> Change<'static> {
        Box::new(move |db, family| {
            let mut record = db.get_cf(family, log_key(revision)).unwrap().unwrap();
            let at = record.len() - from_end;
            record[at] ^= 0x80;
            db.put_cf(family, log_key(revision), record).unwrap();
        })
    };
    let outcome = |first: u64, last: u64| {
        let outcome = cox_log::Outcome { code: 200, first, last, unchanged: false, refusal: None };
        format::encode_outcome(&outcome).unwrap()
    };
    let nine = 9u64.to_be_bytes().to_vec();
    let cases: Vec<(&str, Change<'_>, &str)> = vec![
        ("log", remove(log_key(4).to_vec()), "revision 4: its event is missing"),
        ("log", remove(log_key(9).to_vec()), "revision 8: the transaction 7 to 9 is not whole"),
        ("log", move_record(7, 8), "revision 8: its object says resourceVersion 7"),
        ("log", move_record(6, 10), "revision 10: its event says that it is of the transaction 6 to 6"),
        ("log", set(log_key(5).to_vec(), vec![0, 0, 1]), "revision 5: its event cannot be read"),
        ("log", flip(3, 1), "revision 3: its object is not well formed"),
        ("history", remove(history("d", 7)), "revision 7: configmaps/ns/d does not have it in its history"),
        ("history", set(history("d", 3), vec![]), "revision 3: the history of configmaps/ns/d names it"),
        ("history", set(history("d", 77), vec![]), "revision 77: its event is missing"),
        ("current", remove(current("d")), "revision 7: configmaps/ns/d should stand as it left it"),
        ("current", set(current("a"), 3u64.to_be_bytes().to_vec()), "revision 9: configmaps/ns/a should stand"),
        ("current", set(current("b"), 2u64.to_be_bytes().to_vec()), "revision 4: configmaps/ns/b should stand"),
        ("current", set(current("zz"), nine.clone()), "revision 9: configmaps/ns/zz should stand"),
        ("current", set(current("zz"), 77u64.to_be_bytes().to_vec()), "revision 77: its event is missing"),
        ("requests", set(vec![1; 16], outcome(8, 12)), "revision 12: the outcome of a request"),
        ("requests", set(vec![1; 16], outcome(9, 7)), "revision 7: the outcome of a request"),
        ("meta", set(b"epoch".to_vec(), vec![0; 8]), "there is no epoch"),
    ];
    for (family, change, said) in cases {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path()).await;
        passes(dir.path());
        tamper(dir.path(), family, change);
        let line = fault(dir.path());
        assert!(line.contains(said), "{line} should say: {said}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_table_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    // A copy has everything in tables.
    let copy = tempfile::tempdir().unwrap();
    Log::checkpoint_of(dir.path(), &Options::default(), &copy.path().join("log")).unwrap();
    passes(copy.path());
    let files = std::fs::read_dir(copy.path().join("log")).unwrap().map(|entry| entry.unwrap().path());
    let tables: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "sst")).collect();
    assert!(!tables.is_empty());
    for table in tables {
        let whole = std::fs::read(&table).unwrap();
        let mut damaged = whole.clone();
        damaged[20] ^= 1;
        // The files of a copy are links: a new one, so that the log's own stays as it is.
        std::fs::remove_file(&table).unwrap();
        std::fs::write(&table, &damaged).unwrap();
        fault(copy.path());
        std::fs::write(&table, whole).unwrap();
        passes(copy.path());
    }
}

#[tokio::test]
async fn cut_back_it_is_as_it_was() {
    for (wanted, head) in [(9, 9), (8, 6), (7, 6), (6, 6), (5, 5), (4, 2), (3, 2), (2, 2)] {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path()).await;
        let log = open(dir.path());
        let before = log.list_at(&Resource::CONFIGMAPS, "", None, 0, head).unwrap().items;
        let request = |id| log.outcome(support::request(id)).unwrap().is_some_and(|outcome| outcome.last <= head);
        let outcomes = u64::from(request(1)) + u64::from(request(2));
        log.close();
        assert_eq!(cut(dir.path(), &Options::default(), Until::Revision(wanted)).unwrap(), head);
        let report = passes(dir.path());
        assert_eq!((report.head, report.objects, report.outcomes), (head, before.len() as u64, outcomes));
        let log = open(dir.path());
        assert_eq!(log.list(&Resource::CONFIGMAPS, "", None, 0).unwrap().items, before, "at {wanted}");
        check_invariants(&log);
        log.close();
        Log::begin_epoch(dir.path(), &Options::default(), 1000).unwrap();
        let log = open(dir.path());
        assert_eq!(log.commit(of(vec![put("a", "new")])).await.unwrap().first, 1001);
        assert!(log.get_at(&key("a"), head + 1).is_err(), "what was cut off is gone");
        log.close();
        assert_eq!(passes(dir.path()).head, 1001);
    }
}

#[tokio::test]
async fn a_time_is_the_last_transaction_before_the_first_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for (time, text) in [(10, "1"), (20, "2"), (15, "the clock went back"), (30, "4")] {
        let changes = vec![put("a", text), put("b", text)];
        log.commit(cox_log::Transaction { time, ..of(changes) }).await.unwrap();
    }
    log.close();
    for (time, head) in [(40, 8), (30, 8), (29, 6), (20, 6), (19, 2), (10, 2)] {
        let copy = tempfile::tempdir().unwrap();
        Log::checkpoint_of(dir.path(), &Options::default(), &copy.path().join("log")).unwrap();
        assert_eq!(cut(copy.path(), &Options::default(), Until::Time(time)).unwrap(), head, "at {time}");
    }
    let refused = |until| cut(dir.path(), &Options::default(), until).unwrap_err().to_string();
    assert_eq!(refused(Until::Time(9)), "the log begins later than that: its first revision is 1");
    assert_eq!(refused(Until::Revision(1)), "the log begins later than that: its first revision is 1");
    assert_eq!(refused(Until::Revision(9)), "revision 9 is above the newest one, 8");
    tamper(dir.path(), "meta", |db, meta| {
        db.put_cf(meta, format::meta_floor(&Resource::CONFIGMAPS), 5u64.to_be_bytes()).unwrap();
    });
    assert_eq!(refused(Until::Revision(4)), "the past of configmaps is kept from revision 5 on, and 4 is older");
    assert_eq!(passes(dir.path()).head, 8, "a refused one changed nothing");
}

#[tokio::test]
async fn a_cut_takes_many_events_back_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let made = Key::new(Resource::CONFIGMAPS, "ns", "kept");
    log.commit(of(vec![put("kept", "first")])).await.unwrap();
    for n in 0..30 {
        let changes = (0..50).map(|m| put(&format!("m{m}"), &n.to_string())).chain([put("kept", &n.to_string())]);
        log.commit(of(changes.collect())).await.unwrap();
    }
    log.close();
    assert_eq!(cut(dir.path(), &Options::default(), Until::Revision(1)).unwrap(), 1);
    assert_eq!(passes(dir.path()).events, 1);
    let log = open(dir.path());
    assert_eq!(value(&log.get(&made).unwrap().unwrap()), "first");
    assert_eq!(draft("kept", "first").seal(1), log.get(&made).unwrap().unwrap());
}
