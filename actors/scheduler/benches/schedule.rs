//! How many pods a second find their node: the whole core, 1,000 nodes, replicas of one kind.
#![allow(clippy::indexing_slicing, reason = "a JSON value that is not there reads as null")]

use std::hint::black_box;
use std::time::Duration;

use cox_kit::Reason;
use cox_scheduler::commands::SCHEDULER;
use cox_scheduler::intake::Fact;
use cox_scheduler::node::Node;
use cox_scheduler::planner::Planner;
use cox_scheduler::pod::Pod;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, from_value, json};

const NODES: usize = 1000;
const PODS: usize = 500;

fn fact(value: Value) -> Option<Fact> {
    Some(match value["kind"].as_str() {
        Some("Node") => Fact::Node(Box::new(Node::read(&from_value(value).ok()?))),
        _ => Fact::Pod(Box::new(Pod::read(&from_value(value).ok()?))),
    })
}

fn planner(pods: usize) -> Planner {
    let mut planner = Planner::new(SCHEDULER);
    let node = |i: usize| {
        json!({"kind": "Node", "metadata": {"name": format!("n{i}"), "labels": {"kubernetes.io/hostname": format!("n{i}")}},
               "status": {"allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"}}})
    };
    let pod = |i: usize| {
        let asks = json!({"requests": {"cpu": "100m", "memory": "64Mi"}});
        json!({"kind": "Pod", "metadata": {"name": format!("p{i}"), "namespace": "ns", "uid": format!("u{i}")},
               "spec": {"schedulerName": SCHEDULER, "containers": [{"name": "c", "image": "nginx", "resources": asks}]}})
    };
    for fact in (0..NODES).map(node).chain((0..pods).map(pod)).filter_map(fact) {
        planner.take_in(fact, &Reason::timer("bench"), Duration::ZERO);
    }
    planner
}

fn schedule(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule");
    group.throughput(Throughput::Elements(PODS as u64)).sample_size(10);
    group.bench_function("500 pods on 1000 nodes", |bencher| {
        bencher.iter_batched(
            || planner(PODS),
            |mut planner| {
                while let Some(attempt) = planner.next(Duration::ZERO, 7) {
                    black_box(attempt);
                }
                planner
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, schedule);
criterion_main!(benches);
