//! What the floors promise: every revision above them reads as it was, nothing of the dense window is missing, and nothing is kept for nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

#[path = "support/log.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use cox_log::{
    Existence, Floors, Keep, Log, LogError, Options, Retention, Transaction, Until, VerifyError, Write, cut, format,
    verify,
};
use cox_objects::{Change, Key, Object, Resource};
use proptest::prelude::*;
use support::{delete, draft, key, of, put, value};

const MAPS: Resource = Resource::CONFIGMAPS;
const LEASES: Resource = Resource::LEASES;

fn lease(name: &str) -> Key {
    Key::new(LEASES, "ns", name)
}

fn renew(name: &str, value: &str) -> Write {
    Write::Put { key: lease(name), draft: draft(name, value), must: Existence::Any }
}

/// What is remembered in memory would hide what is gone.
fn open(dir: &Path) -> Log {
    let options = Options { recent_events: 0, ..Options::default() };
    Log::open(dir, options, Box::new(support::Any)).unwrap()
}

/// Units of time are milliseconds.
fn keep(keep: u64, window: u64, window_revisions: u64) -> Retention {
    Retention {
        keep: Keep::For(Duration::from_millis(keep)),
        window: Duration::from_millis(window),
        window_revisions,
        ..Retention::default()
    }
}

fn sweep(log: &Log) {
    // Small steps for few events, so that there are some.
    let most = if log.head() < 1_000 { 7 } else { 500 };
    while !log.sweep(most).unwrap().done {}
}

/// A log where a write comes every millisecond, from 1 on: `a` each time, `b` made at 2 and gone at 4, a Lease each second time.
async fn written(dir: &Path, until: u64) -> Log {
    let log = open(dir);
    for time in 1..=until {
        let text = time.to_string();
        let mut changes = vec![put("a", &text)];
        changes.extend((time % 2 == 0).then(|| renew("l", &text)));
        changes.extend((time == 2).then(|| put("b", &text)));
        changes.extend((time == 4).then(|| delete("b")));
        log.commit(Transaction { time, ..of(changes) }).await.unwrap();
    }
    log
}

fn revisions(log: &Log) -> Vec<u64> {
    log.events(1, u64::MAX, usize::MAX).unwrap().iter().map(|event| event.revision()).collect()
}

fn passes(dir: &Path) -> u64 {
    verify(dir, &Options::default(), 0, &mut |_, _| {}).unwrap().events
}

#[tokio::test]
async fn below_its_floor_of_each_object_the_newest_event_is_kept_unless_it_is_a_deletion() {
    let dir = tempfile::tempdir().unwrap();
    let log = written(dir.path(), 10).await;
    // 1 a · 2 a, l, b · 5 a · 6 a, l, b gone · 9 a · 10 a, l · 12 a · 13 a, l · 15 a · 16 a, l
    assert_eq!(log.head(), 17);
    log.retain(&keep(5, 3, 0), 10).unwrap();
    let floors = log.floors();
    assert_eq!((floors.dense_from, floors.kept.of(&MAPS), floors.kept.of(&LEASES)), (13, 9, 12), "{floors:?}");
    assert_eq!(log.sweep(7).unwrap().seen, 7, "a step is bounded");
    sweep(&log);
    assert_eq!(revisions(&log), [9, 10, 11, 12, 13, 14, 15, 16, 17]);
    assert_eq!(log.get_at(&key("b"), 9).unwrap(), None);
    assert_eq!(value(&log.get_at(&key("a"), 9).unwrap().unwrap()), "5");
    assert!(matches!(log.get_at(&key("a"), 8), Err(LogError::Expired { revision: 8, oldest: 9 })));
    assert!(matches!(log.list_at(&LEASES, "", None, 0, 11), Err(LogError::Expired { revision: 11, oldest: 12 })));
    assert_eq!(value(&log.get_at(&lease("l"), 12).unwrap().unwrap()), "6");
    assert_eq!(log.history(&lease("l")).unwrap(), [11, 14, 17]);
    log.close();
    assert_eq!(passes(dir.path()), 9);
    let log = open(dir.path());
    assert_eq!(*log.floors(), *floors, "they last");
    assert!(matches!(log.get_at(&key("a"), 8), Err(LogError::Expired { oldest: 9, .. })));
    assert_eq!(log.dense_from(), 13);
}

#[tokio::test]
async fn the_dense_window_is_so_old_and_has_so_many_revisions_and_floors_only_rise() {
    let dir = tempfile::tempdir().unwrap();
    let log = written(dir.path(), 20).await;
    let from = |retention: &Retention, now| {
        log.retain(retention, now).unwrap();
        log.dense_from()
    };
    assert_eq!(log.head(), 32);
    assert_eq!(from(&keep(0, 0, 32), 20), 1, "so many revisions are never touched");
    assert_eq!(from(&keep(0, 20, 0), 20), 1, "nor what is that young");
    assert_eq!(from(&keep(0, 12, 10), 20), 15, "of time: what was after 8");
    assert_eq!(from(&keep(0, 5, 16), 20), 16, "of revisions: 17 is in the middle of a transaction, whose first is 16");
    assert_eq!(from(&keep(100, 100, 0), 20), 16, "what is gone does not come back");
    assert_eq!(log.floors().kept.of(&MAPS), 15);
    let own = Retention { by_resource: [(MAPS, Keep::Forever)].into(), ..keep(0, 0, 0) };
    log.retain(&own, 20).unwrap();
    let floors = log.floors();
    assert_eq!(floors.kept.of(&MAPS), 15, "from now on kept");
    assert_eq!(floors.kept.of(&LEASES), floors.dense_from - 1, "it keeps a floor of its own");
    assert_eq!(floors.kept.of(&Resource::PODS), floors.dense_from - 1);
}

#[tokio::test]
async fn a_bound_of_the_disk_keeps_less_but_never_less_than_the_newest_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { write_buffer: 1 << 20, ..Options::default() };
    let log = Log::open(dir.path(), options, Box::new(support::Any)).unwrap();
    // What does not compress.
    let noise = |seed: u64| {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + (state >> 58) as u8)
        };
        // Neither quotes nor backslashes.
        (0..1500).map(|_| next()).filter(char::is_ascii_alphanumeric).collect::<String>()
    };
    // 4,000 events of some 1.3 kB.
    let write = async |round: u64| {
        for n in 0..40 {
            let time = round * 40 + n;
            let changes = (0..100u64).map(|k| put(&format!("k{k}"), &noise(time * 100 + k))).collect();
            log.commit(Transaction { time, ..of(changes) }).await.unwrap();
        }
    };
    let retention = Retention { max_disk: Some(1 << 20), ..keep(1 << 40, 1 << 40, 500) };
    let unbounded = Retention { max_disk: None, ..retention.clone() };
    write(1).await;
    log.retain(&unbounded, 1 << 30).unwrap();
    assert_eq!(log.dense_from(), 1);
    let deadline = Instant::now() + Duration::from_secs(120);
    for round in 2.. {
        write(round).await;
        log.retain(&retention, 1 << 30).unwrap();
        sweep(&log);
        let floors = log.floors();
        assert!(floors.dense_from + 500 <= log.head() + 1, "{floors:?} at {}", log.head());
        // Without dropping it takes some 5 MB more each time.
        let disk = log.usage(1 << 30).unwrap().disk;
        if round >= 5 && disk < 12 << 20 {
            assert!(floors.dense_from > 1 && floors.kept.all == floors.dense_from - 1, "{floors:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{disk} bytes after {} events", log.head());
    }
    assert_eq!(log.list_at(&MAPS, "", None, 0, log.floors().kept.all).unwrap().items.len(), 100);
    log.close();
    passes(dir.path());
}

#[tokio::test]
async fn dropping_is_no_excuse_for_damage() {
    type Tamper = fn(&rocksdb::DB, &rocksdb::ColumnFamily, &rocksdb::ColumnFamily);
    let cases: [(Tamper, &str); 4] = [
        // An event and all that names it, below the dense window, where others are missing too.
        (
            |db, log, history| {
                db.delete_cf(log, format::log_key(10)).unwrap();
                db.delete_cf(history, format::history_key(&key("a"), 10)).unwrap();
            },
            "revision 13: up to the head 9 revisions have no event, and 8 were dropped or never used",
        ),
        (|db, log, _| db.delete_cf(log, format::log_key(10)).unwrap(), "up to the head 9 revisions have no event"),
        (
            |db, _, history| db.delete_cf(history, format::history_key(&key("a"), 10)).unwrap(),
            "revision 10: configmaps/ns/a does not have it",
        ),
        (|db, log, _| db.delete_cf(log, format::log_key(14)).unwrap(), "revision 14: its event is missing"),
    ];
    for (tamper, said) in cases {
        let dir = tempfile::tempdir().unwrap();
        let log = written(dir.path(), 10).await;
        log.retain(&keep(5, 3, 0), 10).unwrap();
        sweep(&log);
        log.close();
        passes(dir.path());
        {
            let names = ["default", "log", "current", "history", "requests", "meta"];
            let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path().join("log"), names).unwrap();
            tamper(&db, db.cf_handle("log").unwrap(), db.cf_handle("history").unwrap());
        }
        let error = verify(dir.path(), &Options::default(), 0, &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, VerifyError::Damaged { .. }) && error.to_string().contains(said), "{error}: {said}");
    }
}

#[tokio::test]
async fn a_compacted_log_is_cut_down_to_its_floor_and_no_further() {
    for (wanted, head) in [(16, 15), (13, 12), (12, 12), (11, 11), (10, 9), (9, 9)] {
        let dir = tempfile::tempdir().unwrap();
        let log = written(dir.path(), 10).await;
        let before = log.list_at(&MAPS, "", None, 0, head).unwrap().items;
        log.retain(&keep(5, 3, 0), 10).unwrap();
        sweep(&log);
        log.close();
        let refused = cut(dir.path(), &Options::default(), Until::Revision(8)).unwrap_err().to_string();
        assert_eq!(refused, "the past of objects is kept from revision 9 on, and 8 is older");
        assert_eq!(cut(dir.path(), &Options::default(), Until::Revision(wanted)).unwrap(), head);
        passes(dir.path());
        Log::begin_epoch(dir.path(), &Options::default(), 1000).unwrap();
        passes(dir.path());
        let log = open(dir.path());
        assert_eq!(log.list(&MAPS, "", None, 0).unwrap().items, before, "at {wanted}");
        let lease = log.get(&lease("l")).unwrap().map(|lease| value(&lease));
        let expected = if head >= 14 {
            Some("8")
        } else if head >= 11 {
            Some("6")
        } else {
            None
        };
        assert_eq!(lease.as_deref(), expected, "as it was, or not there: at {wanted}");
        log.commit(Transaction { time: 11, ..of(vec![put("a", "new"), renew("l", "new")]) }).await.unwrap();
        log.retain(&keep(0, 0, 0), 12).unwrap();
        sweep(&log);
        log.close();
        passes(dir.path());
    }
}

#[tokio::test]
async fn a_transaction_whose_end_was_dropped_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = written(dir.path(), 10).await;
    log.retain(&keep(6, 3, 0), 10).unwrap();
    sweep(&log);
    assert_eq!(revisions(&log)[..2], [6, 9], "a, of which the Lease and the deletion of b are gone");
    log.close();
    assert_eq!(cut(dir.path(), &Options::default(), Until::Revision(8)).unwrap(), 6);
    assert_eq!(passes(dir.path()), 1);
    Log::begin_epoch(dir.path(), &Options::default(), 1000).unwrap();
    assert_eq!(value(&open(dir.path()).get(&key("a")).unwrap().unwrap()), "4");
}

#[derive(Clone, Debug)]
enum Op {
    /// Changes (of a Lease or not, a name, a value or none to delete), and how much later.
    Commit(Vec<(bool, u8, Option<u8>)>, u64),
    Retain {
        keep: u64,
        window: u64,
        revisions: u64,
    },
    Sweep(usize),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let change = (any::<bool>(), 0u8..3, proptest::option::weighted(0.7, 0u8..4));
    let op = prop_oneof![
        8 => (proptest::collection::vec(change, 1..4), 0u64..3).prop_map(|(changes, later)| Op::Commit(changes, later)),
        2 => (0u64..20, 0u64..10, 0u64..10).prop_map(|(keep, window, revisions)| Op::Retain { keep, window, revisions }),
        3 => (1usize..9).prop_map(Op::Sweep),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..60)
}

type State = BTreeMap<Key, (String, u64)>;

fn seen(items: Vec<(Key, Object)>) -> State {
    items.into_iter().map(|(key, object)| (key, (value(&object), object.revision()))).collect()
}

/// Every revision that can be read is as it was, and the others say so.
fn compare(log: &Log, past: &[State]) {
    let floors: Floors = (*log.floors()).clone();
    for (then, revision) in past.iter().zip(0u64..) {
        for resource in [MAPS, LEASES] {
            let floor = floors.kept.of(&resource);
            let read = log.list_at(&resource, "", None, 0, revision);
            if revision < floor {
                assert!(
                    matches!(read, Err(LogError::Expired { oldest, .. }) if oldest == floor),
                    "{resource} at {revision}"
                );
                continue;
            }
            let expected: State =
                then.iter().filter(|(key, _)| key.resource == resource).map(|(k, v)| (k.clone(), v.clone())).collect();
            assert_eq!(seen(read.unwrap().items), expected, "{resource} at {revision} above {floors:?}");
            for (key, (_, made)) in &expected {
                assert_eq!(log.get_at(key, revision).unwrap().unwrap().revision(), *made);
            }
        }
    }
    let dense: Vec<u64> = revisions(log).into_iter().filter(|revision| *revision >= floors.dense_from).collect();
    assert_eq!(dense, (floors.dense_from..=log.head()).collect::<Vec<_>>(), "the window has no hole");
}

/// Below the floors there is one event of each object that was there.
fn is_swept(log: &Log) {
    let floors = log.floors();
    let mut below: BTreeMap<Key, u64> = BTreeMap::new();
    for event in log.events(1, u64::MAX, usize::MAX).unwrap() {
        if event.revision() <= floors.kept.of(&event.key.resource) {
            assert_ne!(event.change, Change::Deleted);
            assert_eq!(below.insert(event.key.clone(), event.revision()), None, "one event of {}", event.key);
        }
    }
}

fn run(ops: Vec<Op>) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut log = open(dir.path());
    let (mut now, mut state, mut past) = (0, State::new(), vec![State::new()]);
    for op in ops {
        let before = log.floors();
        match op {
            Op::Commit(changes, later) => {
                now += later;
                let writes: Vec<Write> = changes
                    .iter()
                    .map(|(of_lease, name, value)| {
                        let name = name.to_string();
                        match (of_lease, value) {
                            (true, Some(value)) => renew(&name, &value.to_string()),
                            (false, Some(value)) => put(&name, &value.to_string()),
                            (true, None) => Write::Delete { key: lease(&name), last: None },
                            (false, None) => delete(&name),
                        }
                    })
                    .collect();
                if runtime.block_on(log.commit(Transaction { time: now, ..of(writes.clone()) })).is_err() {
                    continue;
                }
                for (write, revision) in
                    log.events(past.len() as u64, u64::MAX, usize::MAX).unwrap().iter().zip(past.len() as u64..)
                {
                    assert_eq!(write.revision(), revision);
                    match write.change {
                        Change::Deleted => drop(state.remove(&write.key)),
                        _ => drop(state.insert(write.key.clone(), (value(&write.object), revision))),
                    }
                    past.push(state.clone());
                }
            }
            Op::Retain { keep: time, window, revisions } => log.retain(&keep(time, window, revisions), now).unwrap(),
            Op::Sweep(most) => drop(log.sweep(most).unwrap()),
            Op::Reopen => {
                log.close();
                log = open(dir.path());
                assert_eq!(log.floors(), before);
            }
        }
        let floors = log.floors();
        assert!(floors.dense_from >= before.dense_from && floors.kept.all >= before.kept.all, "floors only rise");
        compare(&log, &past);
    }
    sweep(&log);
    compare(&log, &past);
    is_swept(&log);
    log.close();
    passes(dir.path());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn what_can_be_read_is_as_it_was(ops in ops()) {
        run(ops);
    }
}
