//! What a commit costs: one writer at a time, and 16 and 64 at once (group commit), with objects of 1 KiB.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may fail, and criterion's macros make public items"
)]

#[path = "../tests/support/log.rs"]
mod support;

use std::time::{Duration, Instant};

use cox_log::{Existence, Log, Transaction, Write};
use cox_objects::{Draft, Key, Resource};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use support::open;

fn transaction(writer: u64, n: u64) -> Transaction {
    let name = format!("c-{writer}-{n}");
    let object =
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"v": "x".repeat(1024)}});
    let draft = Draft::encode(&object).expect("an object");
    let key = Key::new(Resource::CONFIGMAPS, "default", &name);
    Transaction { changes: vec![Write::Put { key, draft, must: Existence::Absent }], ..Transaction::default() }
}

/// The time that `count` commits take, by so many writers.
fn commits(runtime: &tokio::runtime::Runtime, log: &Log, writers: u64, from: u64, count: u64) -> Duration {
    let start = Instant::now();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..writers {
            let log = log.clone();
            let share = count / writers + u64::from(writer < count % writers);
            tasks.spawn(async move {
                for n in from..from + share {
                    log.commit(transaction(writer, n)).await.expect("a commit");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("a writer");
        }
    });
    start.elapsed()
}

fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1));
    for writers in [1, 16, 64] {
        let dir = tempfile::tempdir().expect("a folder");
        let log = open(dir.path());
        let mut from = 0;
        group.bench_function(BenchmarkId::from_parameter(writers), |bencher| {
            bencher.iter_custom(|count| {
                let elapsed = commits(&runtime, &log, writers, from, count);
                from += count;
                elapsed
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
