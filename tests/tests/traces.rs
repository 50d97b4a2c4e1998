//! A manifest is one trace, from the request to the start of the container, and each write names what caused it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cox_tests::collector::{Collector, Span};
use cox_tests::wait::{Look, until, until_async};
use cox_tests::{Cluster, Node, image};
use hyper::Request;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

fn deployment(name: &str) -> String {
    format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "{name}"}},
            "spec": {{"replicas": 1, "selector": {{"matchLabels": {{"app": "{name}"}}}},
              "template": {{"metadata": {{"labels": {{"app": "{name}"}}}},
                "spec": {{"terminationGracePeriodSeconds": 1, "containers": [{{"name": "web", "image": "{}"}}]}}}}}}}}"#,
        image::NAME
    )
}

/// The spans from the first of a trace down to this one.
fn path<'a>(spans: &'a HashMap<&str, &'a Span>, last: &'a Span) -> Vec<&'a Span> {
    let mut path = vec![last];
    while let Some(parent) = path.last().and_then(|span| spans.get(span.parent.as_str())) {
        path.push(parent);
    }
    path.reverse();
    path
}

/// The trace of the container's start, once all that leads to it has come.
async fn traced(collector: &Collector) -> Result<Vec<Span>> {
    until_async("the container's start is traced up to its request", PATIENCE, || async {
        let spans = collector.spans();
        let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
        let start = spans.iter().find(|span| span.name == "kubelet.container.start");
        let whole = |start: &&Span| path(&by_id, start).first().is_some_and(|first| first.name == "gateway.request");
        Ok(match start.filter(whole) {
            Some(start) => Look::Done(path(&by_id, start).into_iter().cloned().collect()),
            None => Look::NotYet(format!("{:?}", start.map(|start| path(&by_id, start)))),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_one_trace_from_its_request_to_its_containers_start() -> Result<()> {
    let collector = Collector::start().await?;
    let endpoint = format!("--otlp={}", collector.endpoint());
    let cluster = Cluster::with_node(Node { slot: 119 }, &[&endpoint])?;
    cluster.kubectl_with(&["apply", "-f", "-"], &deployment("traced"))?;
    cluster.kubectl(&["rollout", "status", "deployment/traced", "--timeout=40s"])?;
    let path = traced(&collector).await?;
    let told: Vec<String> = path.iter().map(told).collect();
    let expected = [
        "gateway.request create",
        "apiserver.request create deployments",
        "controller.reconcile deployment-controller",
        "apiserver.request create replicasets",
        "controller.reconcile replicaset-controller",
        "apiserver.request create pods",
        "scheduler.schedule",
        "apiserver.request create pods/binding",
    ];
    assert_eq!(told.get(..expected.len()), Some(expected.map(str::to_owned).as_slice()), "{told:#?}");
    let node = told.get(expected.len()..).context("the node's part")?;
    ensure!(node.iter().all(|name| name.starts_with("kubelet.")), "{node:#?}");
    ensure!(path.iter().all(|span| span.trace == path[0].trace), "{path:#?}");
    ensure!(path[0].parent.is_empty(), "kubectl sends no trace");
    until_async("each write's commit is in the trace", PATIENCE, || async {
        let spans = collector.spans();
        let writes = path.iter().filter(|span| span.name == "apiserver.request");
        let durable = |write: &Span| spans.iter().any(|span| span.name == "log.commit" && span.parent == write.id);
        let missing: Vec<_> = writes.filter(|write| !durable(write)).map(|write| write.text("resource")).collect();
        Ok(Look::at(missing.is_empty(), || format!("{missing:?}")))
    })
    .await?;
    Ok(())
}

/// What a span is of.
fn told(span: &Span) -> String {
    let resource = [span.text("resource"), span.text("subresource")];
    let resource = resource.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let parts = [span.name.as_str(), span.text("verb"), &resource, span.text("controller")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A request of a client that is in a trace of its own.
async fn create_pod_within(cluster: &Cluster, name: &str, traceparent: &str) -> Result<()> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "web", "image": image::NAME}]}});
    let request = Request::post("/api/v1/namespaces/default/pods").header("traceparent", traceparent);
    let request = request.header("content-type", "application/json").body(pod.to_string().into_bytes())?;
    cluster.client().await?.request::<Value>(request).await?;
    Ok(())
}

const THEIR_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const THEIR_SPAN: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_trace_goes_on() -> Result<()> {
    let collector = Collector::start().await?;
    let endpoint = format!("--otlp={}", collector.endpoint());
    let cluster = Cluster::without_node(&[&endpoint])?;
    create_pod_within(&cluster, "theirs", &format!("00-{THEIR_TRACE}-{THEIR_SPAN}-01")).await?;
    let tried = until_async("the scheduler has tried the pod", PATIENCE, || async {
        let spans = collector.spans();
        let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
        let tried = spans.iter().find(|span| span.name == "scheduler.schedule" && span.trace == THEIR_TRACE);
        let whole = tried.map(|tried| path(&by_id, tried).into_iter().cloned().collect::<Vec<Span>>());
        Ok(match whole.filter(|path| path.len() == 3) {
            Some(path) => Look::Done(path),
            None => Look::NotYet(format!("{spans:?}")),
        })
    })
    .await?;
    assert_eq!(
        tried.iter().map(told).collect::<Vec<_>>(),
        ["gateway.request create", "apiserver.request create pods", "scheduler.schedule"]
    );
    assert_eq!(tried[0].parent, THEIR_SPAN);
    Ok(())
}

/// The events of the log about objects in a namespace, the oldest first, as `cox events --json` tells them.
fn events(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let text = cluster.cox(&["events", "--since", "0", "--json"])?;
    let all = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    Ok(all.into_iter().filter(|event| event["namespace"] == namespace).collect())
}

/// The first event of this kind about an object whose name begins so.
fn event<'a>(events: &'a [Value], change: &str, resource: &str, name: &str) -> Option<&'a Value> {
    events.iter().find(|event| {
        let named = event["name"].as_str().is_some_and(|is| is.starts_with(name));
        named && event["change"] == change && event["resource"] == resource
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_exporter_causes_chain_and_a_clients_trace_is_kept() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl_with(&["apply", "-f", "-"], &deployment("plain"))?;
    let theirs = format!("00-{THEIR_TRACE}-{THEIR_SPAN}-01");
    create_pod_within(&cluster, "theirs", &theirs).await?;
    let chains = [
        [("added", "deployments", "plain"), ("added", "replicasets", "plain-")],
        [("added", "replicasets", "plain-"), ("added", "pods", "plain-")],
        [("added", "pods", "plain-"), ("modified", "pods", "plain-")],
        [("added", "pods", "theirs"), ("modified", "pods", "theirs")],
        // What components tell about it, as Events: the scheduler, and the controllers.
        [("added", "pods", "theirs"), ("added", "events", "theirs.")],
        [("added", "deployments", "plain"), ("added", "events", "plain.")],
    ];
    let all = until("everything was tried", PATIENCE, || {
        let all = events(&cluster, "default")?;
        let there =
            chains.iter().flatten().all(|(change, resource, name)| event(&all, change, resource, name).is_some());
        Ok(if there { Look::Done(all) } else { Look::NotYet(format!("{all:#?}")) })
    })?;
    for [cause, effect] in chains {
        let find = |(change, resource, name)| event(&all, change, resource, name).context("it was there");
        let (cause, effect) = (find(cause)?, find(effect)?);
        assert_eq!(effect["trigger"]["event"], position(cause)?, "{effect:#?}");
        assert_eq!(effect["correlation"], cause["correlation"], "{effect:#?}");
        let theirs = if effect["name"].as_str().is_some_and(|name| name.starts_with("theirs")) {
            json!(theirs)
        } else {
            Value::Null
        };
        assert_eq!((&cause["traceparent"], &effect["traceparent"]), (&theirs, &theirs));
    }
    Ok(())
}

fn position(event: &Value) -> Result<String> {
    let epoch = event["epoch"].as_str().context("an epoch")?;
    Ok(format!("{epoch}-{}", event["revision"]))
}
