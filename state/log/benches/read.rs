//! What a log of 100,000 events (or of `COX_LOG_EVENTS`) takes: an object as it is and as it was, a range, a snapshot, opening, and letting go of
//! the past.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may fail, and criterion's macros make public items"
)]

#[path = "../tests/support/log.rs"]
mod support;

use std::time::Duration;

use cox_log::{Existence, Keep, Log, Retention, Transaction, Write};
use cox_objects::{Draft, Key, Resource};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use support::open;

/// Objects, written in turn.
const OBJECTS: u64 = 10_000;

/// How many events there are.
fn events() -> u64 {
    std::env::var("COX_LOG_EVENTS").map_or(100_000, |text| text.parse().expect("a number of events"))
}

fn key(n: u64) -> Key {
    Key::new(Resource::CONFIGMAPS, "default", &format!("c-{}", n % OBJECTS))
}

fn write(n: u64) -> Write {
    let key = key(n);
    let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": key.name()},
                        "data": {"n": n.to_string(), "v": "x".repeat(1024)}});
    Write::Put { key, draft: Draft::encode(&object).expect("an object"), must: Existence::Any }
}

fn fill(runtime: &tokio::runtime::Runtime, log: &Log, events: u64) {
    for from in (0..events).step_by(100) {
        let changes = (from..from + 100).map(write).collect();
        runtime.block_on(log.commit(Transaction { changes, time: from, ..Transaction::default() })).expect("a commit");
    }
}

fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    let events = events();
    fill(&runtime, &log, events);
    let mut n = 0;
    let mut next = || {
        n += 7_919;
        n
    };
    criterion.bench_function("get", |b| b.iter(|| log.get(&key(next())).expect("a read")));
    criterion.bench_function("get at", |b| b.iter(|| log.get_at(&key(next()), events / 2).expect("a read")));
    let mut ranges = criterion.benchmark_group("range");
    ranges.throughput(Throughput::Elements(1_000));
    ranges.bench_function("1000 events", |b| {
        b.iter(|| {
            let from = next() % (events - 1_000) + 1;
            log.events(from, from + 999, usize::MAX).expect("a read")
        });
    });
    ranges.finish();
    criterion.bench_function("snapshot of 10000 objects", |b| b.iter(|| log.snapshot().expect("a snapshot").count()));
    let mut held = Some(log);
    criterion.bench_function("open", |b| {
        b.iter(|| {
            held.take().expect("it is open").close();
            held = Some(open(dir.path()));
        });
    });
    let log = held.expect("it is open");
    // Each step is taken anew: what one has swept the next one does not sweep.
    let policy =
        Retention { keep: Keep::Newest, window: Duration::ZERO, window_revisions: 100, ..Retention::default() };
    log.retain(&policy, u64::MAX).expect("floors");
    criterion.bench_function("sweep of 128 events", |b| {
        b.iter(|| {
            if log.sweep(128).expect("a step").done {
                fill(&runtime, &log, 100_000);
                log.retain(&policy, u64::MAX).expect("floors");
            }
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = bench
}
criterion_main!(benches);
