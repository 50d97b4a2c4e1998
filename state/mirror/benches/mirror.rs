//! What reads of a mirror cost: a get, a list of 5,000 objects of 1 KiB, and a change that 100 watches see.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark may fail, and criterion's macros make public items")]

use cox_mirror::{Batch, Limits, ListQuery, Mirror, Selected, Start, WatchQuery};
use cox_objects::{Cause, Change, Draft, Epoch, Event, Key, Position, Resource};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::FutureExt;
use serde_json::json;

const OBJECTS: u64 = 5_000;
const WATCHES: u64 = 100;

fn at(revision: u64) -> Position {
    Position { epoch: Epoch(1), revision }
}

fn event(revision: u64, change: Change) -> Event {
    let name = format!("c-{}", revision % OBJECTS);
    let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "labels": {"n": "1"}}, "data": {"v": "x".repeat(1024)}});
    Event {
        position: at(revision),
        transaction: (revision, revision),
        time: 0,
        key: Key::new(Resource::CONFIGMAPS, "default", &name),
        change,
        object: Draft::encode(&object).expect("an object").seal(revision),
        cause: Cause::default(),
    }
}

fn filled() -> Mirror {
    let mirror = Mirror::new(Limits::default());
    mirror.update(|state| {
        state.reset(at(0), []);
        for revision in 1..=OBJECTS {
            state.offer(event(revision, Change::Added)).expect("in order");
        }
    });
    mirror
}

fn bench(criterion: &mut Criterion) {
    let mirror = filled();
    let key = Key::new(Resource::CONFIGMAPS, "default", "c-77");
    criterion.bench_function("get", |bencher| bencher.iter(|| mirror.get(&key)));
    let query = ListQuery { what: Selected::within(Resource::CONFIGMAPS, "default"), limit: 0, after: None, at: None };
    let mut group = criterion.benchmark_group("list");
    group.throughput(Throughput::Elements(OBJECTS));
    group.bench_function("now", |bencher| bencher.iter(|| mirror.list(&query)));
    let then = ListQuery { at: Some(OBJECTS - 1000), ..query };
    group.bench_function("1000 changes ago", |bencher| bencher.iter(|| mirror.list(&then)));
    group.finish();
    let mut group = criterion.benchmark_group("watch");
    group.throughput(Throughput::Elements(WATCHES));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    group.bench_function("a change for 100 watches", |bencher| {
        let all = WatchQuery { what: Selected::all(Resource::CONFIGMAPS), start: Start::Now, bookmarks: false };
        let _entered = runtime.enter();
        let mut watches: Vec<_> = (0..WATCHES).map(|_| mirror.watch(all.clone()).expect("a watch")).collect();
        bencher.iter(|| {
            let revision = mirror.position().revision + 1;
            mirror.update(|state| state.offer(event(revision, Change::Modified)).expect("in order"));
            for watch in &mut watches {
                let Some(Ok(Batch::Changes(segment))) = watch.next().now_or_never() else { panic!("no change") };
                assert_eq!(segment.through(), revision);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
