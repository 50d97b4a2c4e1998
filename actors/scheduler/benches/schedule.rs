//! How many pods a second find their node: the whole core, 1,000 and 5,000 nodes, replicas of one kind; and of one that is decided the long way.
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

const PODS: usize = 500;

fn fact(value: Value) -> Option<Fact> {
    Some(match value["kind"].as_str() {
        Some("Node") => Fact::Node(Box::new(Node::read(&from_value(value).ok()?))),
        _ => Fact::Pod(Box::new(Pod::read(&from_value(value).ok()?))),
    })
}

/// A planner that knows so many nodes, and pods whose spec has this beside their container.
fn planner(nodes: usize, more: &Value) -> Planner {
    let mut planner = Planner::new(SCHEDULER);
    let node = |i: usize| {
        json!({"kind": "Node", "metadata": {"name": format!("n{i}"), "labels": {"kubernetes.io/hostname": format!("n{i}")}},
               "status": {"allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"}}})
    };
    let pod = |i: usize| {
        let asks = json!({"requests": {"cpu": "100m", "memory": "64Mi"}});
        let mut pod = json!({
            "kind": "Pod", "metadata": {"name": format!("p{i}"), "namespace": "ns", "uid": format!("u{i}"), "labels": {"app": "x"}},
            "spec": {"schedulerName": SCHEDULER, "containers": [{"name": "c", "image": "nginx", "resources": asks}]},
        });
        if let (Some(spec), Some(more)) = (pod["spec"].as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        pod
    };
    for fact in (0..nodes).map(node).chain((0..PODS).map(pod)).filter_map(fact) {
        planner.take_in(fact, &Reason::timer("bench"), Duration::ZERO);
    }
    planner
}

fn schedule(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule");
    group.throughput(Throughput::Elements(PODS as u64)).sample_size(10);
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "x"}}}]});
    let plain = json!({});
    for (name, nodes, more) in [
        ("500 pods on 1000 nodes", 1000, &plain),
        ("500 pods on 5000 nodes", 5000, &plain),
        ("500 spread pods on 1000 nodes", 1000, &spread),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || planner(nodes, more),
                |mut planner| {
                    while let Some(turn) = planner.take(Duration::ZERO) {
                        let decided = planner.decide(&turn, 7);
                        black_box(planner.go(turn, decided, Duration::ZERO));
                    }
                    planner
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, schedule);
criterion_main!(benches);
