//! What it costs a request to be sorted into its flow, to sit down and to get up, and to be counted, while there is room for all.

use std::hint::black_box;
use std::time::Duration;

use cox_gateway::flow::Flows;
use cox_gateway::metrics::Metrics;
use cox_gateway::query::Query;
use cox_gateway::route::{Action, Info, Target};
use cox_kit::Registry;
use cox_objects::{User, kinds};
use criterion::{Criterion, criterion_group, criterion_main};
use futures::FutureExt;
use http::Method;

fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.to_owned(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..User::default() }
}

fn flow(criterion: &mut Criterion) {
    let flows = Flows::new(&Registry::default());
    let info = Info::read(&Method::POST, "/api/v1/namespaces/default/configmaps", &Query::parse(""));
    let account = "system:serviceaccount:default:x";
    let accounts = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"];
    for user in [user("kubernetes-admin", &["system:masters", "system:authenticated"]), user(account, &accounts)] {
        criterion.bench_function(&format!("a seat for {}", user.name), |bencher| {
            bencher.iter(|| black_box(flows.enter(black_box(&user), &info).now_or_never().is_some()));
        });
    }
}

fn count(criterion: &mut Criterion) {
    let kinds = kinds::builtin();
    let metrics = Metrics::new(Registry::default(), &kinds);
    let Some(kind) = kinds.at("", "v1", "configmaps").cloned() else { return };
    let (namespace, name, subresource) = ("default".to_owned(), "c".to_owned(), String::new());
    let target = Target { kind, namespace, name, subresource, action: Action::Get };
    criterion.bench_function("counting a request", |bencher| {
        bencher.iter(|| metrics.count(metrics.label(black_box(&target)), 200, Duration::from_micros(70), Some(1200)));
    });
}

criterion_group!(benches, flow, count);
criterion_main!(benches);
