//! How fast pods find their nodes: Node objects with a Lease each, without kubelets; then pods of one template, as fast as they are created.
//!
//! What is counted is from the first pod's creation until the last one is seen to be bound, by a watch of pods that have a node; the
//! time of one pod is from sending its creation until then. Creating goes on meanwhile, on the same machine. Nobody runs the pods.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::crowd::{Crowd, PATIENCE, pod_spec, takes_pods};
use super::report::{Measured, Samples};
use super::target::Connection;
use super::watch::take_line;

const LABEL: &str = "bench.cox/run";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Measures.
///
/// # Errors
/// If there are other nodes, or something is refused.
pub(super) async fn measure(crowd: &Crowd<'_>) -> Result<Measured> {
    let mut own = crowd.place.target.connect().await?;
    let others = own.get("/api/v1/nodes?limit=1").await?;
    let others = others.pointer("/items").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(others == 0, "the cluster has nodes; measure scheduling in one without, as `cox up --no-node` starts it");
    let outcome = with_nodes(crowd, &mut own).await;
    crowd.progress.set_message("removing pods and nodes");
    let removed = remove(crowd, &mut own).await;
    let measured = outcome?;
    removed?;
    Ok(measured)
}

async fn with_nodes(crowd: &Crowd<'_>, own: &mut Connection) -> Result<Measured> {
    let (nodes, run) = (crowd.nodes, crowd.place.namespace.to_owned());
    crowd.progress.set_message(format!("making {nodes} nodes"));
    let begun = Instant::now();
    let of_run = run.clone();
    crowd
        .create(nodes, move |number| ("/api/v1/nodes".to_owned(), node(number, &of_run)))
        .await
        .context("making nodes")?;
    let of_run = run.clone();
    crowd.create(nodes, move |number| (LEASES.to_owned(), lease(number, &of_run))).await.context("making Leases")?;
    crowd.until("all nodes take pods", Duration::from_millis(200), async || all_take_pods(crowd).await).await?;
    let made = begun.elapsed();

    let pods = format!("/api/v1/namespaces/{run}/pods");
    let list = own.get(&format!("{pods}?limit=1")).await?;
    let from = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).context("no resourceVersion")?;
    let path = format!("{pods}?watch=1&fieldSelector=spec.nodeName%21%3D&resourceVersion={from}&timeoutSeconds=3600");
    let mut watching = crowd.place.target.connect().await?;
    let answer = watching.begin(Method::GET, &path, None).await?;
    ensure!(answer.status().is_success(), "a watch was refused: {}", answer.status());

    crowd.progress.set_message(format!("{} pods on {nodes} nodes", crowd.pods));
    let begun = Instant::now();
    let created = async {
        let sent = crowd.create(crowd.pods, move |number| (pods.clone(), pod(number, &run))).await;
        sent.context("making pods").map(|sent| (sent, begun.elapsed()))
    };
    let bound = tokio::time::timeout(PATIENCE, bound(answer.into_body(), crowd.pods));
    let ((sent, creating), bound) = tokio::try_join!(created, async {
        bound.await.with_context(|| format!("not all pods were bound after {} seconds", PATIENCE.as_secs()))?
    })?;
    let first = bound.iter().flatten().min().context("no pod was bound")?;
    let last = bound.iter().flatten().max().context("no pod was bound")?;
    let mut samples = Samples::default();
    for (number, at) in sent {
        let bound = usize::try_from(number).ok().and_then(|number| *bound.get(number)?);
        samples.took(bound.map_or(Duration::ZERO, |bound| bound.saturating_duration_since(at)));
    }
    let mut measured = samples.measured("schedule", crowd.connections, last.duration_since(begun));
    let rate = |count: u32, time: Duration| f64::from(count) / time.as_secs_f64().max(1e-9);
    measured.facts = vec![
        ("nodes", f64::from(nodes)),
        ("seconds to make the nodes", made.as_secs_f64()),
        ("pods created a second", rate(crowd.pods, creating)),
        ("pods bound a second between the first and the last", rate(crowd.pods, last.duration_since(*first))),
        (
            "seconds from the last creation to the last binding",
            (last.duration_since(begun).saturating_sub(creating)).as_secs_f64(),
        ),
    ];
    Ok(measured)
}

/// When each pod was seen to be bound.
async fn bound(mut body: Incoming, pods: u32) -> Result<Vec<Option<Instant>>> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "type")]
        kind: String,
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        message: Option<String>,
        #[serde(default)]
        metadata: Metadata,
    }
    #[derive(Default, Deserialize)]
    struct Metadata {
        #[serde(default)]
        name: String,
    }
    let mut all = vec![None; usize::try_from(pods)?];
    let (mut rest, mut left) = (BytesMut::new(), pods);
    while left > 0 {
        let Some(frame) = body.frame().await else { bail!("a watch ended early") };
        let Ok(chunk): Result<Bytes, _> = frame?.into_data() else { continue };
        let now = Instant::now();
        rest.extend_from_slice(&chunk);
        while let Some(line) = take_line(&mut rest) {
            let line: Line = serde_json::from_slice(&line)?;
            if line.kind == "ERROR" {
                bail!("a watch ended: {}", line.object.message.unwrap_or_default());
            }
            let number = line.object.metadata.name.rsplit('-').next().and_then(|number| number.parse::<usize>().ok());
            if let Some(slot @ None) = number.and_then(|number| all.get_mut(number)) {
                *slot = Some(now);
                left -= 1;
            }
        }
    }
    Ok(all)
}

fn name(number: u32) -> String {
    format!("bench-{number:05}")
}

fn node(number: u32, run: &str) -> Value {
    let now = cox_objects::time::format(Timestamp::now());
    let amounts = json!({"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "1Ti"});
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "made by a benchmark",
        "lastHeartbeatTime": now, "lastTransitionTime": now});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name(number), "labels": {LABEL: run, "kubernetes.io/hostname": name(number), "kubernetes.io/os": "linux"}},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
    })
}

fn lease(number: u32, run: &str) -> Value {
    let now = cox_objects::time::format_micro(Timestamp::now());
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name(number), "namespace": "kube-node-lease", "labels": {LABEL: run}},
        "spec": {"holderIdentity": name(number), "leaseDurationSeconds": 40, "renewTime": now},
    })
}

fn pod(number: u32, run: &str) -> Value {
    let metadata = json!({"name": format!("pod-{number}"), "namespace": run, "labels": {"app": "bench"}});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(&json!({}))})
}

/// Whether the taints are gone that new nodes have until somebody has looked at them.
async fn all_take_pods(crowd: &Crowd<'_>) -> Result<Option<()>> {
    let takes = takes_pods(crowd, "/api/v1/nodes").await?;
    let all = takes.len() >= usize::try_from(crowd.nodes)?;
    Ok((all && takes.iter().all(|takes| *takes)).then_some(()))
}

/// Takes away what was made. Nobody else would end the pods: no kubelet looks after them.
async fn remove(crowd: &Crowd<'_>, own: &mut Connection) -> Result<()> {
    let run = &crowd.place.namespace;
    let now = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
    own.send(Method::DELETE, &format!("/api/v1/namespaces/{run}/pods"), &now).await.context("removing pods")?;
    for path in ["/api/v1/nodes", LEASES] {
        own.send(Method::DELETE, &format!("{path}?labelSelector={LABEL}%3D{run}"), &now)
            .await
            .context("removing nodes")?;
    }
    Ok(())
}
