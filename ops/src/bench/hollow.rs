//! A cluster of hollow nodes: how long it takes until all pods of many Deployments run, and how much memory the cluster takes then.
//!
//! The nodes are those of `cox up --hollow-nodes`. Deployments of 100 replicas are created; each pod is then made, placed, started and told of
//! by the components that do so in any cluster. What is counted is from the first Deployment's creation until all replicas are ready.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::crowd::{Crowd, pod_spec, takes_pods};
use super::report::{Measured, Samples};

/// How many replicas a Deployment has.
const REPLICAS: u32 = 100;
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a cluster whose pods all run may need until its memory is looked at: Events are still written.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures.
///
/// # Errors
/// If the nodes do not come, or something is refused.
pub(super) async fn measure(crowd: &Crowd<'_>, data_dir: &Path) -> Result<Measured> {
    crowd.progress.set_message(format!("waiting for {} hollow nodes", crowd.nodes));
    crowd
        .until("all hollow nodes are ready (see `cox up --hollow-nodes`)", PAUSE, async || all_ready(crowd).await)
        .await?;
    let before = Memory::of(crowd, data_dir).await;
    let run = crowd.place.namespace.to_owned();
    let path = format!("/apis/apps/v1/namespaces/{run}/deployments");
    let (deployments, pods, to) = (crowd.pods.div_ceil(REPLICAS), crowd.pods, path.clone());
    crowd.progress.set_message(format!("{pods} pods on {} hollow nodes", crowd.nodes));
    let begun = Instant::now();
    let make = move |number: u32| {
        let replicas = REPLICAS.min(pods - number * REPLICAS);
        (to.clone(), deployment(number, replicas))
    };
    crowd.create(deployments, make).await.context("making Deployments")?;
    let run = async || Ok((running(crowd, &path).await? >= u64::from(pods)).then(|| begun.elapsed()));
    let elapsed = crowd.until("all pods run", PAUSE, run).await?;
    tokio::time::sleep(SETTLE).await;
    let after = Memory::of(crowd, data_dir).await;
    let mut measured = Samples::default().measured("hollow", crowd.connections, elapsed);
    measured.count = usize::try_from(pods)?;
    measured.per_second = f64::from(pods) / elapsed.as_secs_f64().max(1e-9);
    measured.facts = vec![("nodes", f64::from(crowd.nodes)), ("seconds until all pods run", elapsed.as_secs_f64())];
    for (when, memory) in [("before", before), ("after", after)] {
        let before = when == "before";
        let names = if before {
            ["MiB of cox before", "MiB of nats-server before"]
        } else {
            ["MiB of cox", "MiB of nats-server"]
        };
        let told = names.into_iter().zip([memory.cox, memory.nats]);
        measured.facts.extend(told.filter_map(|(name, bytes)| Some((name, bytes? as f64 / f64::from(1 << 20)))));
    }
    Ok(measured)
}

fn deployment(number: u32, replicas: u32) -> Value {
    let labels = json!({"app": format!("hollow-{number}")});
    let selector = json!({"node.kubernetes.io/instance-type": "hollow"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("hollow-{number}")},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(&selector)},
        },
    })
}

async fn all_ready(crowd: &Crowd<'_>) -> Result<Option<()>> {
    let path = "/api/v1/nodes?labelSelector=node.kubernetes.io/instance-type%3Dhollow";
    let ready = takes_pods(crowd, path).await?.into_iter().filter(|takes| *takes).count();
    Ok((ready >= usize::try_from(crowd.nodes)?).then_some(()))
}

/// How many replicas are ready.
async fn running(crowd: &Crowd<'_>, path: &str) -> Result<u64> {
    let list = crowd.place.target.connect().await?.get(path).await?;
    let items = list.pointer("/items").and_then(Value::as_array);
    let ready = |item: &Value| item.pointer("/status/readyReplicas").and_then(Value::as_u64);
    Ok(items.into_iter().flatten().filter_map(ready).sum())
}

/// Bytes in RAM, as far as they can be learned.
struct Memory {
    cox: Option<u64>,
    nats: Option<u64>,
}

impl Memory {
    async fn of(crowd: &Crowd<'_>, data_dir: &Path) -> Self {
        Memory { cox: of_server(crowd).await, nats: of_bus(data_dir) }
    }
}

/// That of the process of the API, which has a metric of it.
async fn of_server(crowd: &Crowd<'_>) -> Option<u64> {
    let mut connection = crowd.place.target.connect().await.ok()?;
    let (_, text) = connection.request(hyper::Method::GET, "/metrics", None).await.ok()?;
    let text = std::str::from_utf8(&text).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("cox_process_resident_memory_bytes "))?;
    Some(line.trim().parse::<f64>().ok()? as u64)
}

/// That of the nats-server of a cluster on this machine.
fn of_bus(data_dir: &Path) -> Option<u64> {
    let pid = fs::read_to_string(data_dir.join("bus").join("nats-server.pid")).ok()?;
    crate::figures::resident_of(pid.trim())
}
